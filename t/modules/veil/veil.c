/*
 * A module for tests: connections of listeners whose name begins with "veil" go
 * through the toy filter (t/unit/toy_filter.h).
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "net/endpoint.h"
#include "net/module.h"
#include "t/unit/toy_filter.h"

static int
configure(struct lnt_module_setup *setup)
{
    static const char veiled[] = "listen veil";
    for (struct lnt_endpoint *e = setup->endpoints; e; e = e->next) {
        if (strncmp(e->name, veiled, sizeof(veiled) - 1) != 0)
            continue;
        e->filter = &toy_greeting;
        e->filter_conf = &toy_conf;
    }
    return 0;
}

const struct lnt_module lnt_module_veil = {
    LNT_MODULE_HEAD,
    .name = "veil",
    .help = "a filter between sockets and protocols, for tests",
    .configure = configure,
};
