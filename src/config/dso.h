/*
 * Dynamic modules: shared objects that export lnt_module.
 */
#ifndef LNT_CONFIG_DSO_H
#define LNT_CONFIG_DSO_H

struct lnt_arena;
struct lnt_module;

/*
 * Loads path; it stays loaded as long as the arena lives.  NULL with *why (in
 * the arena): not a module, or built for another module API.
 */
const struct lnt_module *lnt_dso_load(struct lnt_arena *a, const char *path,
                                      const char **why);

#endif
