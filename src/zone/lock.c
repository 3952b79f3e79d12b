/*
 * The lock of the zone.  Its holder may have died: then what it left is
 * repaired before anybody sees it.  Its holder may also be stopped: the master
 * does not wait for it then (lnt_zone_lock_soon), and can find the holder's pid
 * (lnt_zone_holder).
 *
 * The lock itself holds that pid.  A robust mutex has a word that the kernel
 * reads when a thread dies, so its contents are the kernel's protocol: the id of
 * the thread, which is the pid of a process with one thread, and two flags.  The
 * word changes in the same instruction that takes the lock.  A field of our own,
 * written afterwards, would leave a gap in which a holder can be stopped without
 * a name.  Only the place of the word depends on the C library, so it is
 * searched for at the start.
 */
#include "zone/map.h"

#include <errno.h>
#include <linux/futex.h>
#include <string.h>
#include <time.h>

#include "auto_config.h"
#include "core/log.h"
#include "os/clock.h"
#include "zone/repair.h"
#include "zone/undo.h"

enum {
    NS_PER_MS = 1000 * 1000,
    MS_PER_S = 1000,
    NAP_MAX = 8, /* ms between two tries, where a wait cannot be timed */
};

/* ---- who holds it ---- */

static uint64_t
turn_of(const struct lnt_zone *z)
{
    return __atomic_load_n(&z->map->turns, __ATOMIC_RELAXED);
}

pid_t
lnt_zone_holder(const struct lnt_zone *z, uint64_t *turn)
{
    uint32_t word;

    *turn = turn_of(z);
    if (z->lock_word < 0)
        return 0;
    word = lnt_lock_word(&z->map->lock, z->lock_word);
    return word & FUTEX_OWNER_DIED ? 0 : (pid_t)(word & FUTEX_TID_MASK);
}

/* ---- taking it ---- */

/* e is what the C library said when it gave us the lock. */
static void
take(struct lnt_zone *z, int e)
{
    if (e != 0 && e != EOWNERDEAD) {
        lnt_log_alert("the lock of the zone: %s", strerror(e));
        lnt_assert(e == 0);
    }
    if (e == EOWNERDEAD) {
        /* First, so that dying in the repair is EOWNERDEAD again for the
           next. */
        pthread_mutex_consistent(&z->map->lock);
        lnt_zone_repair(z);
    } else {
        lnt_undo_begin(z);
    }
    LNT_ZONE_STEP(z);
}

void
lnt_zone_lock(struct lnt_zone *z)
{
    lnt_assert(z->patience == 0);
    take(z, pthread_mutex_lock(&z->map->lock));
}

#ifndef LNT_HAVE_MUTEX_CLOCKLOCK
/* The wall clock would have to end the wait, and may be set back: it is tried
   again after a nap. */
static int
wait_for_lock(struct lnt_zone *z)
{
    const uint64_t end = lnt_clock_ms() + z->patience;
    struct timespec nap = {0, NS_PER_MS};
    int e;

    while ((e = pthread_mutex_trylock(&z->map->lock)) == EBUSY &&
           lnt_clock_ms() < end) {
        (void)nanosleep(&nap, NULL);
        if (nap.tv_nsec < NAP_MAX * NS_PER_MS)
            nap.tv_nsec *= 2;
    }
    return e;
}
#else
static int
wait_for_lock(struct lnt_zone *z)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += z->patience / MS_PER_S;
    until.tv_nsec += (long)(z->patience % MS_PER_S) * NS_PER_MS;
    if (until.tv_nsec >= (long)MS_PER_S * NS_PER_MS) {
        until.tv_sec++;
        until.tv_nsec -= (long)MS_PER_S * NS_PER_MS;
    }
    return pthread_mutex_clocklock(&z->map->lock, CLOCK_MONOTONIC, &until);
}
#endif

int
lnt_zone_lock_try(struct lnt_zone *z)
{
    int e = pthread_mutex_trylock(&z->map->lock);

    if (e == EBUSY) {
        errno = e;
        return -1;
    }
    take(z, e);
    return 0;
}

int
lnt_zone_lock_soon(struct lnt_zone *z)
{
    int e;

    if (z->patience == 0) {
        lnt_zone_lock(z);
        return 0;
    }
    e = pthread_mutex_trylock(&z->map->lock);
    if (e == EBUSY && z->stuck != turn_of(z) + 1)
        e = wait_for_lock(z);
    if (e == EBUSY || e == ETIMEDOUT) {
        z->stuck = turn_of(z) + 1;
        errno = EBUSY;
        return -1;
    }
    z->stuck = 0;
    take(z, e);
    return 0;
}

void
lnt_zone_unlock(struct lnt_zone *z)
{
    int e;

    LNT_ZONE_STEP(z); /* the last writes can be undone, too */
    lnt_undo_commit(z);
    e = pthread_mutex_unlock(&z->map->lock);
    lnt_assert(e == 0);
}

/* ---- a process with patience ---- */

void
lnt_zone_set_patience(struct lnt_zone *z, unsigned ms)
{
    z->patience = ms;
    z->stuck = 0;
}

int
lnt_zone_probe(struct lnt_zone *z)
{
    if (lnt_zone_lock_soon(z) < 0)
        return -1;
    lnt_zone_unlock(z);
    return 0;
}
