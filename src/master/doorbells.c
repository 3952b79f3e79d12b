/*
 * Doorbells: how many, and their descriptors.
 */
#include "master/doorbells.h"

#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include "config/config.h"
#include "core/mem.h"
#include "os/memory.h"
#include "os/process.h"
#include "zone/zone.h"

enum {
    FILES_MANY = 1024, /* descriptors of a process */
    FEWEST = 32,
};

int *
lnt_doorbells_new(void)
{
    int *bells = lnt_malloc(LNT_CELLS * sizeof(int));
    for (size_t i = 0; i < LNT_CELLS; i++)
        bells[i] = -1;
    return bells;
}

/*
 * For all cells there are, as nobody knows how many workers a reload brings;
 * where descriptors are few, only for those that this server may need, two
 * generations and some more.
 */
static size_t
how_many(const struct lnt_config *c, size_t cells)
{
    uint64_t most = lnt_process_nofile(0);
    size_t n = 4 * (size_t)c->server->workers;
    if (c->server->open_files && (uint64_t)c->server->open_files < most)
        most = (uint64_t)c->server->open_files;
    if (most >= FILES_MANY || n > cells)
        return cells;
    return n < FEWEST ? FEWEST : n;
}

int
lnt_doorbells_make(int *bells, const struct lnt_config *c,
                   const struct lnt_zone *z)
{
    size_t wanted = bells[0] < 0 ? how_many(c, lnt_zone_cells(z)) : 0;
    for (size_t i = 0; i < wanted; i++) {
        bells[i] = lnt_eventfd_create();
        if (bells[i] < 0)
            return -1;
    }
    return 0;
}

unsigned
lnt_doorbells_count(const int *bells)
{
    unsigned n = 0;
    for (size_t i = 0; i < LNT_CELLS; i++)
        n += bells[i] >= 0;
    return n;
}

void
lnt_doorbells_ring(const int *bells, struct lnt_zone *z)
{
    uint8_t cells[LNT_CELLS];
    size_t n = lnt_zone_sleepers(z, -1, cells);
    for (size_t i = 0; i < n; i++)
        lnt_eventfd_ring(bells[cells[i]]);
}

void
lnt_doorbells_ring_all(const int *bells, struct lnt_zone *z)
{
    for (unsigned i = 0; i < lnt_zone_cells(z); i++)
        if (bells[i] >= 0 &&
            lnt_cell_state(lnt_zone_cell(z, i)) != LNT_CELL_FREE)
            lnt_eventfd_ring(bells[i]);
}

void
lnt_doorbells_ring_late(const int *bells, struct lnt_zone *z,
                        struct lnt_late *s)
{
    for (unsigned i = 0; i < lnt_zone_cells(z); i++) {
        const struct lnt_cell *c = lnt_zone_cell(z, i);
        if (lnt_cell_state(c) == LNT_CELL_FREE || !lnt_cell_is_worker(c))
            continue;
        uint64_t position = __atomic_load_n(&c->position, __ATOMIC_RELAXED);
        if (bells[i] >= 0 && position == s->position[i] && position < s->end)
            lnt_eventfd_ring(bells[i]);
        s->position[i] = position;
    }
    s->end = lnt_zone_end(z);
}

void
lnt_doorbells_free(int *bells)
{
    for (size_t i = 0; i < LNT_CELLS; i++)
        if (bells[i] >= 0)
            close(bells[i]);
    free(bells);
}
