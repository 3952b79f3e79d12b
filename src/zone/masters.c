/*
 * Who uses the zone, as far as releases differ: each master has an entry here,
 * each other process says in its cell what it maintains (its master's binary is
 * its own).  Derived state is right only as long as all of them maintain it.
 *
 * Whoever comes takes away what it does not know, of whatever release that is:
 * so nobody relies on derived state that an older process is about to leave
 * behind.  It comes back when the last such process is gone.
 */
#include "zone/masters.h"

#include <errno.h>
#include <unistd.h>

#include "core/strbuf.h"
#include "os/process.h"
#include "zone/map.h"

static bool
is_there(const struct lnt_zone_master *m)
{
    return m->pid > 0 && lnt_process_alive(m->pid);
}

/* An entry with our pid is of a master that was killed and had it before us, or
   our own of before. */
static void
forget_self(struct lnt_zone_map *map)
{
    for (unsigned i = 0; i < LNT_ZONE_MASTERS; i++) {
        if (map->masters[i].pid == getpid())
            map->masters[i].pid = 0;
    }
}

int
lnt_masters_enter(struct lnt_zone *z, struct lnt_strbuf *why)
{
    struct lnt_zone_map *map = z->map;
    struct lnt_zone_master *m = map->masters;
    const struct lnt_zone_master *end = m + LNT_ZONE_MASTERS;

    if (lnt_zone_lock_soon(z) < 0) {
        lnt_strbuf_adds(why, "the lock of the zone is not to be had: a process "
                             "that holds it does not go on");
        return -1;
    }
    forget_self(map);
    while (m < end && is_there(m))
        m++;
    if (m < end) {
        *m = (struct lnt_zone_master){
            .pid = getpid(),
            .features = LNT_ZONE_FEATURES,
        };
        map->arrivals++;
        __atomic_and_fetch(&map->maintained, (uint64_t)LNT_ZONE_FEATURES,
                           __ATOMIC_RELEASE);
    }
    lnt_zone_unlock(z);
    if (m < end)
        return 0;
    lnt_strbuf_addf(why, "the zone has %u masters already",
                    (unsigned)LNT_ZONE_MASTERS);
    errno = EPROTO;
    return -1;
}

void
lnt_masters_leave(struct lnt_zone *z)
{
    struct lnt_zone_master *m = z->map->masters;
    const struct lnt_zone_master *end = m + LNT_ZONE_MASTERS;

    while (m < end && m->pid != getpid())
        m++;
    /* Without the lock somebody finds out later that the process is gone. */
    if (m == end || lnt_zone_lock_soon(z) < 0)
        return;
    m->pid = 0;
    lnt_zone_unlock(z);
}

bool
lnt_masters_agree(struct lnt_zone *z, uint64_t feature)
{
    for (unsigned i = 0; i < LNT_ZONE_MASTERS; i++) {
        const struct lnt_zone_master *m = &z->map->masters[i];

        if (!(m->features & feature) && is_there(m))
            return false;
    }
    for (unsigned i = 0; i < lnt_cells_of(z); i++) {
        const struct lnt_cell *c = lnt_cell_at(z, i);

        if (!(c->features & feature) && lnt_cell_state(c) != LNT_CELL_FREE)
            return false;
    }
    return true;
}
