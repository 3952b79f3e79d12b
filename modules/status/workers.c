/*
 * The workers of the server as their cells in the zone show them.
 */
#include "modules/status/workers.h"

#include "net/module.h"
#include "net/server_info.h"
#include "os/clock.h"
#include "zone/zone.h"

const struct lnt_cell *
lnt_status_next(struct lnt_zone *z, unsigned *at)
{
    while (*at < lnt_zone_cells(z)) {
        const struct lnt_cell *c = lnt_zone_cell(z, (*at)++);
        if (lnt_cell_state(c) != LNT_CELL_FREE && lnt_cell_is_worker(c))
            return c;
    }
    return NULL;
}

uint64_t
lnt_status_uptime(const struct lnt_module_ctx *m)
{
    return (lnt_clock_ms() - m->server->started_ms) / 1000;
}
