/*
 * Dynamic modules.  A module is looked at before it is believed: the first
 * two numbers of the descriptor say which API it was built for.
 */
#include "config/dso.h"

#include <dlfcn.h>
#include <stddef.h>
#include <unistd.h>

#include "config/privileges.h"
#include "core/arena.h"
#include "core/strbuf.h"
#include "net/module.h"

static void
unload(void *handle)
{
    (void)dlclose(handle);
}

/* The loader says "Permission denied", and not to which of the folders. */
static const char *
why_not(struct lnt_arena *a, const char *path, const char *error)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_privileges_explain(path, R_OK, &text);
    const char *why = text.n ? lnt_arena_printf(a, "%s%s", path, text.p)
                             : lnt_arena_strdup(a, error);
    lnt_strbuf_release(&text);
    return why;
}

const struct lnt_module *
lnt_dso_load(struct lnt_arena *a, const char *path, const char **why)
{
    /* Global, so that a module can build on another one (an HTTP handler on
       http). */
    void *handle = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (!handle) {
        *why = why_not(a, path, dlerror());
        return NULL;
    }
    const struct lnt_module *const *found = dlsym(handle, "lnt_module");
    if (!found || !*found) {
        *why = lnt_arena_printf(a,
                                "%s is no linnet module: it does not export "
                                "lnt_module",
                                path);
        dlclose(handle);
        return NULL;
    }
    const struct lnt_module *m = *found;
    if (m->abi != LNT_MODULE_ABI ||
        m->struct_size != sizeof(struct lnt_module)) {
        *why = lnt_arena_printf(
            a,
            "%s was built for module API %u (descriptor of %u bytes), this "
            "server has %u (%zu bytes); build it again",
            path, m->abi, m->struct_size, LNT_MODULE_ABI,
            sizeof(struct lnt_module));
        dlclose(handle);
        return NULL;
    }
    lnt_arena_cleanup(a, unload, handle);
    return m;
}
