/*
 * The [route] sections of a configuration, made into tables.
 */
#ifndef LNT_HTTP_ROUTES_H
#define LNT_HTTP_ROUTES_H

struct lnt_directive_set;
struct lnt_http_table;
struct lnt_module_setup;

extern const struct lnt_directive_set lnt_http_route_set;

/* Problems go to the report; *tables is what could be made. */
void lnt_http_routes_make(struct lnt_module_setup *setup,
                          const struct lnt_http_table **tables);

#endif
