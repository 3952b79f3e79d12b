/*
 * The zone's life: dividing a mapping into its parts, making one, attaching to
 * one.  Nothing here locks.  What lies in the parts is left to the other files
 * (map.h has the list).
 */
#include "zone/zone.h"

#include <errno.h>
#include <linux/futex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "os/clock.h"
#include "os/memory.h"
#include "zone/map.h"
#include "zone/masters.h"
#include "zone/undo.h"

enum {
    PAGE = 4096,
    CELLS = 128, /* of a new zone */
    MEMBERS_PER_USER = 2,
    USERS_PER_ROOM = 4,
    NODES_PER_SLOT = 2,
    PEERS_SHARE = 32,   /* a part of so many of the zone */
    BITS_OF_EPOCH = 53, /* a double, so JavaScript, holds it */
    ATTACH_TIME = 5000, /* ms to wait for the lock of another's zone */
    MAP_SIZE = 2 * PAGE,
    UNDO_SIZE = 64 * PAGE,
};

/* How far apart nodes of a new zone lie: space for the fields of releases to
   come.  Not below what a struct had in any release. */
enum {
    CELL_SIZE = 2048, /* some 220 counters */
    USER_SIZE = 80,
    ROOM_SIZE = 320,
    MEMBER_SIZE = 40,
    PEER_SIZE = 32,
    VISIT_SIZE = 24,
    CREATOR_SIZE = 96,
};

/* What lies in a zone, and how large it is. */
struct sizes {
    uint64_t map, cells, undo;
    size_t user, room, member, peer, visit, creator;
};
static const struct sizes whole = {
    .map = MAP_SIZE,
    .cells = (CELLS + 1) * CELL_SIZE,
    .undo = UNDO_SIZE,
    .user = USER_SIZE,
    .room = ROOM_SIZE,
    .member = MEMBER_SIZE,
    .peer = PEER_SIZE,
    .visit = VISIT_SIZE,
    .creator = CREATOR_SIZE,
};
/* What of it counts for zone_size: not what is reserved, and the same in all
   releases, so that zones of one size have the same capacities. */
static const struct sizes net = {
    .map = 1280,
    .cells = 65536,
    .user = 64,
    .room = 224,
    .member = 32,
    .peer = 24,
    .visit = 16,
    .creator = 72,
};

_Static_assert(sizeof(struct lnt_zone_map) <= MAP_SIZE &&
                   sizeof(struct lnt_cell) <= CELL_SIZE &&
                   sizeof(struct lnt_zone_user) <= USER_SIZE &&
                   sizeof(struct lnt_zone_room) <= ROOM_SIZE &&
                   sizeof(struct lnt_zone_member) <= MEMBER_SIZE &&
                   sizeof(struct lnt_zone_peer) <= PEER_SIZE &&
                   sizeof(struct lnt_zone_visit) <= VISIT_SIZE &&
                   sizeof(struct lnt_zone_creator) <= CREATOR_SIZE,
               "zones that exist have no more space than that");
_Static_assert(sizeof(struct lnt_zone_block) == 32 + LNT_BLOCK_DATA &&
                   sizeof(struct lnt_zone_kept) <= LNT_KEPT_ROOM &&
                   offsetof(struct lnt_zone_record, room) + sizeof(uint32_t) >=
                       LNT_RECORD_HEAD,
               "what lies in zones that exist");
/* Where the fields of layout 4 end.  One that was put in between, or a constant
   that is a dimension in these structs (LNT_CELLS, LNT_NICK_MAX and so on), would
   move all that follow. */
_Static_assert(sizeof(void *) < sizeof(uint64_t) ||
                   (offsetof(struct lnt_zone_map, rebuilds) -
                            offsetof(struct lnt_zone_map, parts) ==
                        4928 &&
                    offsetof(struct lnt_cell, stats) == 168 &&
                    offsetof(struct lnt_stats, counters) == 64 &&
                    offsetof(struct lnt_zone_user, created) == 60 &&
                    offsetof(struct lnt_zone_room, wakers) == 224 &&
                    offsetof(struct lnt_zone_member, joined) == 28 &&
                    offsetof(struct lnt_zone_peer, state) == 17 &&
                    offsetof(struct lnt_zone_visit, next) == 12 &&
                    offsetof(struct lnt_zone_creator, state) == 64),
               "fields of layout 4 lie where they always did");

static uint64_t
align(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- parts ---- */

static void
place_pool(struct lnt_zone_pool *p, uint64_t *at, uint64_t nodes, size_t stride,
           size_t link)
{
    *at = align(*at, 64);
    p->base = *at;
    p->stride = (uint32_t)stride;
    p->link = (uint32_t)link;
    p->max = (uint32_t)nodes;
    p->free = 0;
    p->fresh = 1;
    p->used = 0;
    *at += (nodes + 1) * stride; /* node 0 is nobody's */
}

static void
place_slots(struct lnt_zone_slots *s, uint64_t *at, uint64_t nodes)
{
    *at = align(*at, 64);
    s->base = *at;
    s->max = (uint32_t)(nodes / NODES_PER_SLOT + 1);
    s->active = 1;
    *at += s->max * sizeof(uint32_t);
}

/* Each may be another creator's. */
static uint64_t
bytes_per_room(void)
{
    return net.room + sizeof(uint32_t) / NODES_PER_SLOT + net.creator +
           sizeof(uint32_t) / NODES_PER_SLOT + sizeof(uint32_t);
}

static uint64_t
bytes_per_user(void)
{
    uint64_t bytes = net.user + MEMBERS_PER_USER * net.member;

    bytes += sizeof(uint32_t) / NODES_PER_SLOT;
    return bytes + bytes_per_room() / USERS_PER_ROOM + 1;
}

/* Each visit may be another peer's. */
static uint64_t
bytes_per_visit(void)
{
    return net.visit + net.peer + sizeof(uint32_t) / NODES_PER_SLOT;
}

/* The parts one behind the other, p->ring_size is set; there are no blocks yet.
   Returns where the blocks begin. */
static uint64_t
place(struct lnt_zone_parts *p, const struct sizes *s, uint64_t users,
      uint64_t visits)
{
    uint64_t at = s->map, rooms = users / USERS_PER_ROOM;

    p->cells = at;
    p->cells_max = CELLS;
    p->cell_size = CELL_SIZE;
    at += s->cells;
    place_slots(&p->nicks, &at, users);
    place_slots(&p->names, &at, rooms);
    place_slots(&p->addresses, &at, visits);
    place_pool(&p->users, &at, users, s->user,
               offsetof(struct lnt_zone_user, hash_next));
    place_pool(&p->rooms, &at, rooms, s->room,
               offsetof(struct lnt_zone_room, hash_next));
    place_pool(&p->members, &at, users * MEMBERS_PER_USER, s->member,
               offsetof(struct lnt_zone_member, next));
    place_pool(&p->peers, &at, visits, s->peer,
               offsetof(struct lnt_zone_peer, hash_next));
    place_pool(&p->visits, &at, visits, s->visit,
               offsetof(struct lnt_zone_visit, next));
    place_slots(&p->origins, &at, rooms);
    place_pool(&p->creators, &at, rooms, s->creator,
               offsetof(struct lnt_zone_creator, hash_next));
    p->ranking = at = align(at, 64);
    at += (rooms + 1) * sizeof(uint32_t);
    at = align(at, PAGE);
    p->undo = at;
    p->undo_size = s->undo;
    at += s->undo;
    p->ring = at;
    at += p->ring_size;
    /* One less: node 0. */
    place_pool(&p->blocks, &at, 0, sizeof(struct lnt_zone_block),
               offsetof(struct lnt_zone_block, next));
    return at;
}

/*
 * Divides size bytes: the ring is the largest power of two within five eighths
 * (so between a third and five eighths of the whole), the tables are a
 * quarter, an eighth of it for peers, history has what is left.  Returns how
 * large all of it is, with what is reserved.
 */
static uint64_t
divide(uint64_t size, struct lnt_zone_parts *p)
{
    uint64_t visits = size / PEERS_SHARE / bytes_per_visit();
    uint64_t users = (size / 4 - visits * bytes_per_visit()) / bytes_per_user();
    uint64_t blocks, at;

    if (visits > INT32_MAX)
        visits = INT32_MAX;
    if (users > INT32_MAX / MEMBERS_PER_USER)
        users = INT32_MAX / MEMBERS_PER_USER;
    p->ring_size = 1;
    while (p->ring_size * 2 <= size / 8 * 5)
        p->ring_size *= 2;
    at = place(p, &net, users, visits);
    blocks = size > at ? (size - at) / sizeof(struct lnt_zone_block) : 0;
    at = place(p, &whole, users, visits);
    p->blocks.max = (uint32_t)blocks;
    return align(at + blocks * sizeof(struct lnt_zone_block), PAGE);
}

/* ---- the lock ---- */

static int
init_lock(pthread_mutex_t *lock)
{
    pthread_mutexattr_t attr;
    int e = pthread_mutexattr_init(&attr);

    if (e == 0) {
        e = pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
        if (e == 0)
            e = pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
        if (e == 0)
            e = pthread_mutex_init(lock, &attr);
        pthread_mutexattr_destroy(&attr);
    }
    return e;
}

/* Where in a mutex of this C library is the word that names the holder: the
   first one that names this process while it has the lock, and nobody
   afterwards.  -1: there is none. */
static int
find_lock_word(void)
{
    enum { WORDS = sizeof(pthread_mutex_t) / sizeof(uint32_t) };
    bool held[WORDS];
    pthread_mutex_t lock;
    int found = -1;

    if (init_lock(&lock) != 0)
        return -1;
    if (pthread_mutex_lock(&lock) == 0) {
        for (int i = 0; i < WORDS; i++)
            held[i] = (lnt_lock_word(&lock, i) & FUTEX_TID_MASK) ==
                      (uint32_t)getpid();
        pthread_mutex_unlock(&lock);
        for (int i = WORDS; i-- > 0;) {
            if (held[i] && lnt_lock_word(&lock, i) == 0)
                found = i;
        }
    }
    pthread_mutex_destroy(&lock);
    return found;
}

/* ---- life ---- */

static struct lnt_zone *
handle(int fd, struct lnt_zone_map *map)
{
    struct lnt_zone *z = lnt_calloc(1, sizeof(*z));
    const struct lnt_zone_parts *p = &map->parts;

    z->map = map;
    z->fd = fd;
    z->ring = lnt_zone_at(z, p->ring);
    z->ring_mask = p->ring_size - 1;
    z->cells = lnt_zone_at(z, p->cells);
    z->cell_size = p->cell_size;
    z->users = lnt_zone_at(z, p->users.base);
    z->user_size = p->users.stride;
    z->rooms = lnt_zone_at(z, p->rooms.base);
    z->room_size = p->rooms.stride;
    z->members = lnt_zone_at(z, p->members.base);
    z->member_size = p->members.stride;
    z->peers = lnt_zone_at(z, p->peers.base);
    z->peer_size = p->peers.stride;
    z->visits = lnt_zone_at(z, p->visits.base);
    z->visit_size = p->visits.stride;
    z->creators = lnt_zone_at(z, p->creators.base);
    z->creator_size = p->creators.stride;
    z->blocks = lnt_zone_at(z, p->blocks.base);
    z->ranking = lnt_zone_at(z, p->ranking);
    z->undo_log = lnt_zone_at(z, p->undo);
    z->undo_size = p->undo_size < LNT_UNDO_FULL ? p->undo_size : 0;
    while ((1u << z->room_bits) <= p->rooms.max + 1)
        z->room_bits++;
    z->lock_word = find_lock_word();
#ifdef LNT_DEBUG_BUILD
    const char *n = getenv("LINNET_TEST_ZONE_KILL");
    z->die_at = n ? strtoull(n, NULL, 10) : 0;
    z->stop_file = getenv("LINNET_TEST_ZONE_STOP");
    /* As a release that keeps no undo log. */
    if (getenv("LINNET_TEST_ZONE_NO_UNDO"))
        z->undo_size = 0;
#endif
    return z;
}

/* map is zeroed memory of size bytes. */
static int
init_map(struct lnt_zone_map *map, uint64_t size,
         const struct lnt_zone_parts *parts, uint64_t zone_size)
{
    map->size = size;
    map->zone_size = zone_size;
    map->layout = LNT_ZONE_LAYOUT;
    map->map_size = sizeof(*map);
    map->born_us = lnt_clock_wall_us();
    while (map->epoch == 0) {
        lnt_random(&map->epoch, sizeof(map->epoch));
        map->epoch >>= 64 - BITS_OF_EPOCH;
    }
    lnt_random(&map->hash_key, sizeof(map->hash_key));
    map->parts = *parts;
    map->ring_size = map->parts.ring_size;
    /* Not 0, which is "no position". */
    map->head = map->tail = map->ring_size;
    int e = init_lock(&map->lock);
    __atomic_store_n(&map->magic, LNT_ZONE_MAGIC, __ATOMIC_RELEASE);
    return e;
}

uint64_t
lnt_zone_mapping_size(uint64_t zone_size)
{
    struct lnt_zone_parts parts = {.ring_size = 0};

    return divide(zone_size / PAGE * PAGE, &parts);
}

bool
lnt_zone_has_size(const struct lnt_zone *z, uint64_t size)
{
    return z->map->zone_size == size / PAGE * PAGE;
}

struct lnt_zone *
lnt_zone_create(size_t zone_size, struct lnt_strbuf *why)
{
    struct lnt_zone_parts parts = {.ring_size = 0};
    struct lnt_zone_map *map;
    size_t size;
    struct lnt_zone *z;
    int fd, e;

    zone_size = zone_size / PAGE * PAGE;
    if (zone_size < LNT_ZONE_MIN_SIZE) {
        lnt_strbuf_adds(why, "the zone needs at least ");
        lnt_format_size(why, LNT_ZONE_MIN_SIZE);
        errno = EINVAL;
        return NULL;
    }
    size = divide(zone_size, &parts);
    fd = lnt_memfd_create("linnet-zone", size);
    if (fd < 0) {
        lnt_strbuf_addf(why, "no shared memory of %zu bytes: %s%s", size,
                        strerror(errno),
                        errno == EFBIG ? "; the limit on the size of files "
                                         "(ulimit -f) holds for it, too"
                                       : "");
        return NULL;
    }
    map = lnt_memfd_map(fd, size);
    if (!map) {
        e = errno;
        lnt_strbuf_addf(why, "cannot map %zu bytes of shared memory: %s", size,
                        strerror(e));
        close(fd);
        errno = e;
        return NULL;
    }
    e = init_map(map, size, &parts, zone_size);
    if (e != 0) {
        lnt_strbuf_addf(why, "no lock to be shared by processes: %s",
                        strerror(e));
        lnt_memfd_unmap(map, size);
        close(fd);
        errno = e;
        return NULL;
    }
    z = handle(fd, map);
    map->maintained = LNT_ZONE_FEATURES;
    (void)lnt_masters_enter(z, why);
    return z;
}

static bool
has_space(const struct lnt_zone_parts *p)
{
    return p->cell_size >= sizeof(struct lnt_cell) &&
           p->users.stride >= sizeof(struct lnt_zone_user) &&
           p->rooms.stride >= sizeof(struct lnt_zone_room) &&
           p->members.stride >= sizeof(struct lnt_zone_member) &&
           p->peers.stride >= sizeof(struct lnt_zone_peer) &&
           p->visits.stride >= sizeof(struct lnt_zone_visit) &&
           p->creators.stride >= sizeof(struct lnt_zone_creator) &&
           p->blocks.stride == sizeof(struct lnt_zone_block) &&
           p->cells >= sizeof(struct lnt_zone_map);
}

/* Whether this binary can use it; false with the reason. */
static bool
fits(const struct lnt_zone_map *map, size_t size, struct lnt_strbuf *why)
{
    if (map->magic != LNT_ZONE_MAGIC || map->size != size)
        lnt_strbuf_adds(why, "that is not a zone");
    else if (map->layout != LNT_ZONE_LAYOUT)
        lnt_strbuf_addf(why, "the zone has layout %u, this binary uses %u",
                        map->layout, (unsigned)LNT_ZONE_LAYOUT);
    else if (map->needs & ~(uint64_t)LNT_ZONE_FEATURES)
        lnt_strbuf_addf(why,
                        "the zone needs features that this binary does not "
                        "have (0x%llx)",
                        (unsigned long long)(map->needs &
                                             ~(uint64_t)LNT_ZONE_FEATURES));
    else if (map->parts.cells_max > LNT_CELLS)
        lnt_strbuf_addf(why,
                        "the zone is for %u processes, this binary for %u at "
                        "most",
                        map->parts.cells_max, (unsigned)LNT_CELLS);
    else if (!has_space(&map->parts))
        lnt_strbuf_adds(why, "the zone was made by an older release and has no "
                             "space for what this one keeps in it");
    else
        return true;
    return false;
}

struct lnt_zone *
lnt_zone_attach(int fd, struct lnt_strbuf *why)
{
    size_t size = lnt_memfd_size(fd);
    struct lnt_zone_map *map = NULL;
    struct lnt_zone *z;

    if (size >= sizeof(*map))
        map = lnt_memfd_map(fd, size);
    else if (size > 0)
        errno = EPROTO;
    if (!map) {
        int e = errno;
        lnt_strbuf_addf(why, "cannot map the zone: %s", strerror(e));
        close(fd);
        errno = e;
        return NULL;
    }
    if (!fits(map, size, why)) {
        lnt_memfd_unmap(map, size);
        close(fd);
        errno = EPROTO;
        return NULL;
    }
    z = handle(fd, map);
    lnt_zone_set_patience(z, ATTACH_TIME);
    if (lnt_masters_enter(z, why) < 0) {
        int e = errno;
        lnt_zone_close(z);
        errno = e;
        return NULL;
    }
    lnt_zone_set_patience(z, 0);
    return z;
}

void
lnt_zone_close(struct lnt_zone *z)
{
    if (!z)
        return;
    lnt_masters_leave(z);
    lnt_memfd_unmap(z->map, z->map->size);
    close(z->fd);
    free(z);
}

/* ---- what needs no lock ---- */

int
lnt_zone_fd(const struct lnt_zone *z)
{
    return z->fd;
}

unsigned
lnt_zone_cells(const struct lnt_zone *z)
{
    return z->map->parts.cells_max;
}

uint64_t
lnt_zone_epoch(const struct lnt_zone *z)
{
    return z->map->epoch;
}

uint64_t
lnt_zone_head(const struct lnt_zone *z)
{
    return __atomic_load_n(&z->map->seq, __ATOMIC_ACQUIRE);
}

size_t
lnt_zone_record_max(const struct lnt_zone *z)
{
    uint64_t max = z->map->ring_size / 4;

    if (max > INT32_MAX)
        max = INT32_MAX;
    return max - sizeof(struct lnt_zone_record);
}

uint32_t
lnt_zone_app_id(const char *app_name)
{
    uint32_t h = 2166136261; /* FNV-1a: the same in every binary */

    for (const char *p = app_name; *p; p++)
        h = (h ^ (unsigned char)*p) * 16777619;
    return h ? h : 1;
}

uint64_t
lnt_zone_guest(struct lnt_zone *z)
{
    return __atomic_add_fetch(&z->map->guests, 1, __ATOMIC_RELAXED);
}

struct lnt_cell *
lnt_zone_cell(struct lnt_zone *z, unsigned cell)
{
    return lnt_cell_at(z, cell);
}

uint64_t *
lnt_zone_log_lost(struct lnt_zone *z)
{
    return &lnt_past_of(z)->counters[LNT_C_LOG_LOST];
}

const struct lnt_stats *
lnt_zone_past(const struct lnt_zone *z)
{
    return lnt_past_of(z);
}

struct lnt_store_state *
lnt_zone_store(struct lnt_zone *z)
{
    return &z->map->store;
}

void
lnt_cell_set_state(struct lnt_cell *c, enum lnt_cell_state state)
{
    __atomic_store_n(&c->state, (uint32_t)state, __ATOMIC_RELEASE);
}

void
lnt_zone_plan(size_t size, struct lnt_zone_usage *u)
{
    struct lnt_zone_parts p;

    memset(u, 0, sizeof(*u));
    if (size < LNT_ZONE_MIN_SIZE)
        return;
    divide(size / PAGE * PAGE, &p);
    u->size = size / PAGE * PAGE;
    u->log_bytes = p.ring_size;
    u->users_max = p.users.max;
    u->rooms_max = p.rooms.max;
    u->members_max = p.members.max;
    u->visits_max = p.visits.max;
    u->history_bytes = (uint64_t)p.blocks.max * LNT_BLOCK_DATA;
}
