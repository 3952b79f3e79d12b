/*
 * The lock of the zone.  Its holder may have died: then what it left is
 * repaired before anybody sees it.
 */
#include "hub/zone_map.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "hub/zone_repair.h"

void
lnt_zone_lock(struct lnt_zone *z)
{
    int e = pthread_mutex_lock(&z->map->lock);

    if (e == 0)
        return;
    if (e != EOWNERDEAD) {
        lnt_log_alert("the lock of the zone: %s", strerror(e));
        lnt_assert(e == 0);
    }
    /* First, so that dying in the repair is EOWNERDEAD again for the next. */
    pthread_mutex_consistent(&z->map->lock);
    lnt_zone_repair(z);
}

void
lnt_zone_unlock(struct lnt_zone *z)
{
    int e = pthread_mutex_unlock(&z->map->lock);

    lnt_assert(e == 0);
}
