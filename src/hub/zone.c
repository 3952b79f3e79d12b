/*
 * The zone's life: dividing a mapping into its parts, making one, attaching to
 * one.  Nothing here locks.  What lies in the parts is left to the other files
 * (zone_map.h has the list).
 */
#include "hub/zone.h"

#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "hub/zone_map.h"
#include "os/clock.h"
#include "os/memory.h"

enum {
    PAGE = 4096,
    MEMBERS_PER_USER = 2,
    USERS_PER_ROOM = 4,
    NODES_PER_SLOT = 2,
    PEERS_SHARE = 32,   /* a part of so many of the zone */
    BITS_OF_EPOCH = 53, /* a double, so JavaScript, holds it */
};

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
    return sizeof(struct lnt_zone_room) + sizeof(uint32_t) / NODES_PER_SLOT +
           sizeof(struct lnt_zone_creator) + sizeof(uint32_t) / NODES_PER_SLOT +
           sizeof(uint32_t);
}

static uint64_t
bytes_per_user(void)
{
    uint64_t bytes = sizeof(struct lnt_zone_user) +
                     MEMBERS_PER_USER * sizeof(struct lnt_zone_member);

    bytes += sizeof(uint32_t) / NODES_PER_SLOT;
    return bytes + bytes_per_room() / USERS_PER_ROOM + 1;
}

/* Each visit may be another peer's. */
static uint64_t
bytes_per_visit(void)
{
    return sizeof(struct lnt_zone_visit) + sizeof(struct lnt_zone_peer) +
           sizeof(uint32_t) / NODES_PER_SLOT;
}

/*
 * Divides size bytes: the ring is the largest power of two within five eighths
 * (so between a third and five eighths of the whole), the tables are a
 * quarter, an eighth of it for peers, history has what is left.
 */
static void
divide(uint64_t size, struct lnt_zone_parts *p)
{
    uint64_t at = align(sizeof(struct lnt_zone_map), 64);

    uint64_t visits = size / PEERS_SHARE / bytes_per_visit();
    uint64_t users = (size / 4 - visits * bytes_per_visit()) / bytes_per_user();

    if (visits > INT32_MAX)
        visits = INT32_MAX;
    if (users > INT32_MAX / MEMBERS_PER_USER)
        users = INT32_MAX / MEMBERS_PER_USER;
    p->ring_size = 1;
    while (p->ring_size * 2 <= size / 8 * 5)
        p->ring_size *= 2;
    p->cells = at;
    at += LNT_CELLS * sizeof(struct lnt_cell);
    place_slots(&p->nicks, &at, users);
    place_slots(&p->names, &at, users / USERS_PER_ROOM);
    place_slots(&p->addresses, &at, visits);
    place_pool(&p->users, &at, users, sizeof(struct lnt_zone_user),
               offsetof(struct lnt_zone_user, hash_next));
    place_pool(&p->rooms, &at, users / USERS_PER_ROOM,
               sizeof(struct lnt_zone_room),
               offsetof(struct lnt_zone_room, hash_next));
    place_pool(&p->members, &at, users * MEMBERS_PER_USER,
               sizeof(struct lnt_zone_member),
               offsetof(struct lnt_zone_member, next));
    place_pool(&p->peers, &at, visits, sizeof(struct lnt_zone_peer),
               offsetof(struct lnt_zone_peer, hash_next));
    place_pool(&p->visits, &at, visits, sizeof(struct lnt_zone_visit),
               offsetof(struct lnt_zone_visit, next));
    place_slots(&p->origins, &at, users / USERS_PER_ROOM);
    place_pool(&p->creators, &at, users / USERS_PER_ROOM,
               sizeof(struct lnt_zone_creator),
               offsetof(struct lnt_zone_creator, hash_next));
    p->ranking = at = align(at, 64);
    at += (users / USERS_PER_ROOM + 1) * sizeof(uint32_t);
    at = align(at, PAGE);
    p->ring = at;
    at += p->ring_size;
    /* One less: node 0. */
    place_pool(&p->blocks, &at, 0, sizeof(struct lnt_zone_block),
               offsetof(struct lnt_zone_block, next));
    if (size > at)
        p->blocks.max = (uint32_t)((size - at) / sizeof(struct lnt_zone_block));
}

/* Changes with any size that processes must agree on. */
static uint32_t
shape(void)
{
    const size_t sizes[] = {
        sizeof(struct lnt_zone_map),
        sizeof(struct lnt_cell),
        sizeof(struct lnt_zone_user),
        sizeof(struct lnt_zone_room),
        sizeof(struct lnt_zone_member),
        sizeof(struct lnt_zone_peer),
        sizeof(struct lnt_zone_visit),
        sizeof(struct lnt_zone_creator),
        sizeof(struct lnt_zone_block),
        sizeof(struct lnt_zone_record),
        sizeof(struct lnt_zone_kept),
        LNT_CELLS,
        LNT_COUNTERS,
        sizeof(pthread_mutex_t),
    };
    uint32_t mix = 2166136261;

    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        mix = (mix ^ (uint32_t)sizes[i]) * 16777619;
    return mix;
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
    z->users = lnt_zone_at(z, p->users.base);
    z->rooms = lnt_zone_at(z, p->rooms.base);
    z->members = lnt_zone_at(z, p->members.base);
    z->peers = lnt_zone_at(z, p->peers.base);
    z->visits = lnt_zone_at(z, p->visits.base);
    z->blocks = lnt_zone_at(z, p->blocks.base);
    z->creators = lnt_zone_at(z, p->creators.base);
    z->ranking = lnt_zone_at(z, p->ranking);
    while ((1u << z->room_bits) <= p->rooms.max + 1)
        z->room_bits++;
    z->lock_word = find_lock_word();
#ifdef LNT_DEBUG_BUILD
    const char *n = getenv("LINNET_TEST_ZONE_KILL");
    z->die_at = n ? strtoull(n, NULL, 10) : 0;
    z->stop_file = getenv("LINNET_TEST_ZONE_STOP");
#endif
    return z;
}

/* map is zeroed memory. */
static int
init_map(struct lnt_zone_map *map, uint64_t size)
{
    map->size = size;
    map->layout = LNT_ZONE_LAYOUT;
    map->shape = shape();
    map->born_us = lnt_clock_wall_us();
    while (map->epoch == 0) {
        lnt_random(&map->epoch, sizeof(map->epoch));
        map->epoch >>= 64 - BITS_OF_EPOCH;
    }
    lnt_random(&map->hash_key, sizeof(map->hash_key));
    divide(size, &map->parts);
    map->ring_size = map->parts.ring_size;
    /* Not 0, which is "no position". */
    map->head = map->tail = map->ring_size;
    int e = init_lock(&map->lock);
    __atomic_store_n(&map->magic, LNT_ZONE_MAGIC, __ATOMIC_RELEASE);
    return e;
}

struct lnt_zone *
lnt_zone_create(size_t size, struct lnt_strbuf *why)
{
    struct lnt_zone_map *map;
    int fd, e;

    size = size / PAGE * PAGE;
    if (size < LNT_ZONE_MIN_SIZE) {
        lnt_strbuf_adds(why, "the zone needs at least ");
        lnt_format_size(why, LNT_ZONE_MIN_SIZE);
        errno = EINVAL;
        return NULL;
    }
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
    e = init_map(map, size);
    if (e != 0) {
        lnt_strbuf_addf(why, "no lock to be shared by processes: %s",
                        strerror(e));
        lnt_memfd_unmap(map, size);
        close(fd);
        errno = e;
        return NULL;
    }
    return handle(fd, map);
}

struct lnt_zone *
lnt_zone_attach(int fd, struct lnt_strbuf *why)
{
    size_t size = lnt_memfd_size(fd);
    struct lnt_zone_map *map = NULL;

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
    if (map->magic != LNT_ZONE_MAGIC || map->size != size) {
        lnt_strbuf_adds(why, "that is not a zone");
    } else if (map->layout != LNT_ZONE_LAYOUT || map->shape != shape()) {
        lnt_strbuf_addf(why,
                        "the zone has layout %u/%08x, this binary makes "
                        "%u/%08x",
                        map->layout, map->shape, (unsigned)LNT_ZONE_LAYOUT,
                        shape());
    } else {
        return handle(fd, map);
    }
    lnt_memfd_unmap(map, size);
    close(fd);
    errno = EPROTO;
    return NULL;
}

void
lnt_zone_close(struct lnt_zone *z)
{
    if (!z)
        return;
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
    return &z->cells[cell];
}

uint64_t *
lnt_zone_log_lost(struct lnt_zone *z)
{
    return &z->map->past.counters[LNT_C_LOG_LOST];
}

const struct lnt_stats *
lnt_zone_past(const struct lnt_zone *z)
{
    return &z->map->past;
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

/* ---- faults, for tests ---- */

/* The file has one line: the process that is to stop, and at which step from
   now; taking the lock is one, too. */
static void
stop_if_asked(struct lnt_zone *z)
{
    FILE *f = fopen(z->stop_file, "re");
    long pid, n;
    int got;

    if (!f)
        return;
    got = fscanf(f, "%ld %ld", &pid, &n);
    fclose(f);
    if (got != 2 || pid != (long)getpid() || ++z->stop_steps != (uint64_t)n)
        return;
    z->stop_steps = 0;
    if (unlink(z->stop_file) == 0)
        kill(getpid(), SIGSTOP);
}

/* LINNET_TEST_ZONE_KILL=n: a process dies at its n-th step.
   LINNET_TEST_ZONE_STOP=file: see above. */
void
lnt_zone_step(struct lnt_zone *z)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    z->steps++;
    if (z->steps == z->die_at)
        kill(getpid(), SIGKILL);
    if (z->stop_file)
        stop_if_asked(z);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
