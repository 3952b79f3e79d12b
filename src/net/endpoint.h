/*
 * An endpoint: what a listener or a route leads to.  Made from its section
 * when the configuration is built; const afterwards.
 */
#ifndef LNT_NET_ENDPOINT_H
#define LNT_NET_ENDPOINT_H

#include <stdint.h>

#include "core/str.h"

struct lnt_filter;
struct lnt_limits;
struct lnt_module;
struct lnt_module_setup;
struct lnt_section;

struct lnt_endpoint {
    const char *name; /* "listen echo", "route chat" */
    const char *id;   /* the name; of a route, a line feed and the name of its
                         listener's section behind it */
    const struct lnt_module *protocol;
    const struct lnt_module *app;       /* NULL for bare protocols */
    unsigned protocol_index, app_index; /* in the list of modules */
    const struct lnt_limits *limits;
    const struct lnt_section *section; /* for module's own keys */
    /* Of a route: that of its listener.  A listener's is NULL. */
    const struct lnt_endpoint *listener;
    /* Of a listener: what its connections are filtered by (net/filter.h), NULL
       nothing, and what the filter is given of it. */
    const struct lnt_filter *filter;
    const void *filter_conf;
    struct lnt_endpoint *next; /* of the configuration */
};

/* Where its connections were accepted. */
static inline const struct lnt_endpoint *
lnt_endpoint_listener(const struct lnt_endpoint *e)
{
    return e->listener ? e->listener : e;
}

/*
 * Resolves the names (app may be NULL or empty when the protocol is bare) and
 * the limits: those of the section where given, else of up, the listener of a
 * route (NULL: [limits]).  A route on several listeners is as many endpoints.
 * Unknown names go to the report with a suggestion.  NULL then.
 */
struct lnt_endpoint *lnt_endpoint_make(struct lnt_module_setup *setup,
                                       struct lnt_section *section,
                                       const char *protocol, const char *app,
                                       const struct lnt_section *up);

/* The endpoint of that id; when its listener is gone or was not named (an older
   binary's), any of that name; NULL. */
const struct lnt_endpoint *lnt_endpoint_find(const struct lnt_endpoint *list,
                                             struct lnt_str id);

#endif
