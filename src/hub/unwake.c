/*
 * Rooms whose records need not wake this worker any more.
 *
 * When the last subscriber of a room leaves, only this worker knows it: it says
 * so before it sleeps, for all such rooms in one locked section.  While it is
 * awake nobody rings it anyway.
 *
 * The zone may also think that a room concerns this worker when it does not: a
 * session was on its way to another worker when the masks were made again.
 * Then the worker is woken for nothing; what it read last is what it was woken
 * for, and it takes back its bit in those rooms.
 */
#include "hub/unwake.h"

#include <stdlib.h>

#include "core/mem.h"
#include "hub/subs.h"
#include "zone/zone.h"

enum {
    AT_ONCE = 256, /* rooms in one locked section */
    LAST = 16,     /* rooms of records that concerned nobody here */
};

struct lnt_unwake {
    struct lnt_zone *zone;
    struct lnt_subs *subs;
    unsigned cell;
    bool rung, heard; /* since it slept last */
    uint32_t npassed;
    uint32_t passed[LAST]; /* a ring */
    uint32_t n;
    uint32_t rooms[AT_ONCE];
};

struct lnt_unwake *
lnt_unwake_new(struct lnt_zone *z, struct lnt_subs *subs, unsigned cell)
{
    struct lnt_unwake *u = lnt_calloc(1, sizeof(*u));

    u->zone = z;
    u->subs = subs;
    u->cell = cell;
    return u;
}

void
lnt_unwake_free(struct lnt_unwake *u)
{
    free(u);
}

void
lnt_unwake_rung(struct lnt_unwake *u)
{
    u->rung = true;
}

void
lnt_unwake_heard(struct lnt_unwake *u)
{
    u->heard = true;
}

void
lnt_unwake_passed(struct lnt_unwake *u, uint32_t room)
{
    u->passed[u->npassed++ % LAST] = room;
}

static void
say(struct lnt_unwake *u)
{
    if (u->n > 0)
        lnt_zone_unwake(u->zone, u->cell, u->rooms, u->n);
    u->n = 0;
}

/* The room may have subscribers again. */
static void
add(struct lnt_unwake *u, uint32_t room)
{
    if (lnt_subs_room(u->subs, room))
        return;
    u->rooms[u->n++] = room;
    if (u->n == AT_ONCE)
        say(u);
}

void
lnt_unwake_settle(struct lnt_unwake *u)
{
    uint32_t room;

    while ((room = lnt_subs_gone(u->subs)) != 0)
        add(u, room);
    if (u->rung && !u->heard) {
        for (uint32_t i = 0; i < u->npassed && i < LAST; i++)
            add(u, u->passed[i]);
    }
    say(u);
    u->rung = u->heard = false;
    u->npassed = 0;
}
