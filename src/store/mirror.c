/*
 * From the zone into the store and back.  When, by which process, and what
 * happens after a failure is left to store/process.c; the file itself to store.c.
 */
#include "store/mirror.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "os/clock.h"
#include "store/store.h"
#include "store/stored.h"
#include "zone/zone.h"

enum {
    COMMIT_EVERY = 5000,        /* messages written in one transaction */
    COPY = 256 * 1024,          /* bytes of history in memory at once */
    SCRATCH_KEEP = 1024 * 1024, /* more is given back after a sync */
    MARKS_MAX = 1 << 16,        /* rooms noted one by one */
    GROWTH = 256, /* rooms more in the store than at the last look at all, after
                     which the next look is due: many may have been evicted */
};

struct lnt_mirror {
    struct lnt_zone *zone;
    struct lnt_store_state *state;
    char *path;
    struct lnt_store *store; /* NULL: not open */
    struct lnt_cursor cursor;
    bool all;        /* rooms may have something new without being marked */
    bool unsure;     /* it may lack old messages that rooms have: another
                        process wrote it before this one */
    bool ending;     /* this is the last sync */
    bool loaded;     /* the store that is open is what the zone was made of */
    uint32_t *marks; /* numbers of rooms with something new */
    size_t nmarks, marks_cap;
    struct lnt_stored rooms; /* of the store */
    uint64_t looks;          /* at all rooms */
    size_t in_zone;          /* rooms that the last look found there */
    uint64_t limit;          /* rooms that may be parked, 0: no limit */
    uint64_t put;            /* messages in this transaction */
    uint64_t written;        /* not yet in the state */
    struct lnt_strbuf copy;
};

static void
set(uint64_t *to, uint64_t value)
{
    __atomic_store_n(to, value, __ATOMIC_RELAXED);
}

/* ---- life ---- */

struct lnt_mirror *
lnt_mirror_new(struct lnt_zone *z, const char *path)
{
    struct lnt_mirror *m = lnt_calloc(1, sizeof(*m));

    m->zone = z;
    m->state = lnt_zone_store(z);
    m->path = lnt_strdup(path);
    return m;
}

void
lnt_mirror_limit(struct lnt_mirror *m, uint64_t rooms)
{
    m->limit = rooms;
}

void
lnt_mirror_let_go(struct lnt_mirror *m)
{
    lnt_store_close(m->store);
    m->store = NULL;
    m->loaded = false;
    lnt_stored_clear(&m->rooms);
}

void
lnt_mirror_free(struct lnt_mirror *m)
{
    lnt_mirror_let_go(m);
    free(m->marks);
    free(m->cursor.scratch);
    lnt_strbuf_release(&m->copy);
    free(m->path);
    free(m);
}

/* ---- opening ---- */

int
lnt_mirror_load(struct lnt_mirror *m, struct lnt_strbuf *why)
{
    m->store = lnt_store_open(m->path, why);
    if (m->store && lnt_store_load(m->store, m->zone, why) == 0) {
        m->loaded = true;
        return 0;
    }
    lnt_mirror_let_go(m);
    return -1;
}

static int
note_room(void *arg, const struct lnt_store_room *r, struct lnt_strbuf *why)
{
    struct lnt_mirror *m = arg;

    if (r->name.n == 0 || r->name.n > LNT_ROOM_NAME_MAX)
        return lnt_store_damaged(m->store, "a room without a good name", why);
    (void)lnt_stored_add(&m->rooms, r);
    return 0;
}

static int
write_head(struct lnt_mirror *m, uint64_t seq, bool whole,
           struct lnt_strbuf *why)
{
    const struct lnt_store_head head = {
        .epoch = lnt_zone_epoch(m->zone),
        .seq = seq,
        .whole = whole,
    };

    return lnt_store_set_head(m->store, &head, why);
}

/* Up to which seq the store has what this zone has; -1: it is not for us. */
static int
where_to_go_on(struct lnt_mirror *m, uint64_t *seq, struct lnt_strbuf *why)
{
    struct lnt_store_head head;

    if (lnt_store_head(m->store, &head, why) < 0)
        return -1;
    *seq = m->loaded ? lnt_zone_head(m->zone) : head.seq;
    if (m->loaded || head.epoch == lnt_zone_epoch(m->zone))
        return 0;
    *seq = 0;
    m->all = true; /* the zone's history may be older than its log */
    if (head.epoch == 0)
        return 0;
    /* What another process has written after we had loaded it is not in this
       zone. */
    if (head.epoch == m->state->origin)
        return lnt_store_cut(m->store, m->state->loaded, why);
    lnt_strbuf_addf(why,
                    "store %s: it has the history of a server that ran before "
                    "this one, which only a start can take over; restart, or "
                    "name another file",
                    m->path);
    return -1;
}

/* Which rooms have not fitted into the zone that was just made of them. */
static int
park_rooms(struct lnt_mirror *m, struct lnt_strbuf *why)
{
    struct lnt_room_info info;

    LNT_MAP_EACH(&m->rooms.rooms, struct lnt_stored_room, r, node) {
        bool parked =
            lnt_zone_room_find(m->zone, r->row.app, r->row.name, &info) < 0;

        if (parked == r->row.parked)
            continue;
        lnt_stored_park(&m->rooms, r, parked);
        if (lnt_store_put_room(m->store, &r->row, why) < 0)
            return -1;
    }
    return 0;
}

/* Makes it the store of this zone. */
static int
take_over(struct lnt_mirror *m, struct lnt_strbuf *why)
{
    uint64_t seq;

    m->all = false;
    m->unsure = !m->loaded;
    if (where_to_go_on(m, &seq, why) < 0 ||
        lnt_store_rooms(m->store, note_room, m, why) < 0 ||
        (m->loaded && park_rooms(m, why) < 0))
        return -1;
    free(m->cursor.scratch);
    if (!lnt_zone_cursor_after(m->zone, &m->cursor, seq))
        m->all = true;
    /* Of another file it is told when something has been written there. */
    if (m->loaded)
        set(&m->state->seq, seq);
    return write_head(m, seq, false, why);
}

int
lnt_mirror_open(struct lnt_mirror *m, struct lnt_strbuf *why)
{
    if (!m->store)
        m->store = lnt_store_open(m->path, why);
    if (m->store && lnt_store_begin(m->store, why) == 0 &&
        take_over(m, why) == 0 && lnt_store_commit(m->store, why) == 0) {
        m->loaded = false;
        m->nmarks = 0;
        m->put = m->written = 0;
        return 0;
    }
    lnt_mirror_let_go(m);
    return -1;
}

/* ---- what is new ---- */

static int
compare_marks(const void *a, const void *b)
{
    uint32_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return (x > y) - (x < y);
}

static void
unique_marks(struct lnt_mirror *m)
{
    size_t n = 0;

    if (m->nmarks == 0)
        return;
    qsort(m->marks, m->nmarks, sizeof(*m->marks), compare_marks);
    for (size_t i = 1; i < m->nmarks; i++)
        if (m->marks[i] != m->marks[n])
            m->marks[++n] = m->marks[i];
    m->nmarks = n + 1;
}

static void
mark(struct lnt_mirror *m, uint32_t room)
{
    if (m->all || (m->nmarks > 0 && m->marks[m->nmarks - 1] == room))
        return;
    if (m->nmarks == MARKS_MAX) {
        unique_marks(m);
        if (m->nmarks > MARKS_MAX / 2) {
            m->all = true;
            return;
        }
    }
    if (m->nmarks == m->marks_cap) {
        m->marks_cap = m->marks_cap ? m->marks_cap * 2 : 64;
        m->marks = lnt_realloc(m->marks, m->marks_cap * sizeof(*m->marks));
    }
    m->marks[m->nmarks++] = room;
}

/* Up to what was the end when it began; who writes on meanwhile can wait. */
static void
read_log(struct lnt_mirror *m)
{
    uint64_t end = lnt_zone_head(m->zone);
    enum lnt_read got = LNT_READ_ONE;
    struct lnt_event e;

    while (got == LNT_READ_ONE && m->cursor.seq < end) {
        got = lnt_zone_read(m->zone, &m->cursor, &e);
        if (got == LNT_READ_LAPPED)
            m->all = true;
        else if (got == LNT_READ_ONE && (e.flags & LNT_EVENT_HISTORY) &&
                 e.room != LNT_ROOM_NONE)
            mark(m, e.room);
    }
    if (m->cursor.cap > SCRATCH_KEEP) {
        free(m->cursor.scratch);
        m->cursor.scratch = NULL;
        m->cursor.cap = 0;
    }
}

bool
lnt_mirror_behind(const struct lnt_mirror *m)
{
    return lnt_zone_pending(m->zone, &m->cursor);
}

/* ---- from the zone into the store ---- */

static int
put(struct lnt_mirror *m, struct lnt_stored_room *r, const struct lnt_event *e,
    struct lnt_strbuf *why)
{
    if (lnt_store_put(m->store, r->row.id, e, why) < 0)
        return -1;
    r->row.last = e->seq;
    r->row.newest_us = e->time_us;
    if (r->row.messages++ == 0) {
        r->row.first = e->seq;
        r->row.oldest_us = e->time_us;
    }
    m->rooms.messages++;
    m->written++;
    if (++m->put < COMMIT_EVERY)
        return 0;
    m->put = 0;
    if (lnt_store_commit(m->store, why) < 0)
        return -1;
    return lnt_store_begin(m->store, why);
}

/* What the room has behind what the store has, up to seq at least. */
static int
put_new(struct lnt_mirror *m, struct lnt_stored_room *r, uint32_t number,
        uint64_t upto, struct lnt_strbuf *why)
{
    struct lnt_str rest;
    struct lnt_event e;
    unsigned n = 1;

    while (n > 0 && r->row.last < upto) {
        lnt_strbuf_clear(&m->copy);
        n = lnt_zone_kept_after(m->zone, number, r->row.last, COPY, &m->copy);
        rest = lnt_strbuf_str(&m->copy);
        while (lnt_zone_kept_next(&rest, &e))
            if (put(m, r, &e, why) < 0)
                return -1;
    }
    return 0;
}

/* n messages of the room, the oldest, have gone from the store. */
static int
note_removed(struct lnt_mirror *m, struct lnt_stored_room *r, uint64_t n,
             struct lnt_strbuf *why)
{
    if (n > r->row.messages)
        n = r->row.messages;
    r->row.messages -= n;
    m->rooms.messages -= n;
    return lnt_store_first(m->store, r->row.id, &r->row.first,
                           &r->row.oldest_us, why);
}

/* Messages below seq. */
static int
prune(struct lnt_mirror *m, struct lnt_stored_room *r, uint64_t seq,
      struct lnt_strbuf *why)
{
    uint64_t n;

    if (lnt_store_prune(m->store, r->row.id, seq, &n, why) < 0)
        return -1;
    return note_removed(m, r, n, why);
}

/* What is too much by the room's settings; k: what the zone has of it. */
static int
limit(struct lnt_mirror *m, struct lnt_stored_room *r, const struct lnt_kept *k,
      struct lnt_strbuf *why)
{
    uint64_t n;

    /* The zone has all it should: that is all there should be. */
    if (k->count >= k->keep.count)
        return r->row.first < k->first ? prune(m, r, k->first, why) : 0;
    if (r->row.messages <= k->keep.count)
        return 0;
    if (lnt_store_limit(m->store, r->row.id, k->keep.count, &n, why) < 0)
        return -1;
    return note_removed(m, r, n, why);
}

static int
drop(struct lnt_mirror *m, struct lnt_stored_room *r, struct lnt_strbuf *why)
{
    if (lnt_store_drop(m->store, r->row.id, why) < 0)
        return -1;
    lnt_stored_remove(&m->rooms, r);
    return 0;
}

/* What is too old by the settings that the store has of the room; all of it: the
   room goes, and r with it. */
static int
forget_old(struct lnt_mirror *m, struct lnt_stored_room *r,
           struct lnt_strbuf *why)
{
    uint64_t age = (uint64_t)r->row.keep.age_s * 1000000;
    uint64_t now = lnt_clock_wall_us(), n;

    if (age == 0 || age >= now || r->row.oldest_us >= now - age)
        return 0;
    if (r->row.newest_us < now - age)
        return drop(m, r, why);
    if (lnt_store_forget(m->store, r->row.id, now - age, &n, why) < 0)
        return -1;
    return note_removed(m, r, n, why);
}

/* Whether the room is of the configuration.  When the server has ended, no
   worker is left that says so. */
static bool
is_configured(const struct lnt_mirror *m, const struct lnt_store_room *row,
              const struct lnt_kept *k)
{
    return k->configured || (m->ending && row->configured);
}

static bool
same_row(const struct lnt_mirror *m, const struct lnt_store_room *row,
         const struct lnt_kept *k)
{
    return row->keep.count == k->keep.count &&
           row->keep.age_s == k->keep.age_s &&
           row->keep.bytes == k->keep.bytes && row->lost == k->lost &&
           row->creator == k->creator &&
           row->configured == is_configured(m, row, k) && !row->parked;
}

static int
put_row(struct lnt_mirror *m, struct lnt_stored_room *r,
        const struct lnt_kept *k, struct lnt_strbuf *why)
{
    r->row.keep = k->keep;
    r->row.lost = k->lost;
    r->row.creator = k->creator;
    r->row.configured = is_configured(m, &r->row, k);
    lnt_stored_park(&m->rooms, r, false);
    return lnt_store_put_room(m->store, &r->row, why);
}

static int
save_room(struct lnt_mirror *m, const struct lnt_room_info *info,
          struct lnt_strbuf *why)
{
    struct lnt_str name = lnt_str_c(info->name);
    struct lnt_stored_room *r = lnt_stored_find(&m->rooms, info->app, name);
    struct lnt_kept k;

    if (lnt_zone_kept(m->zone, info->room, &k) < 0)
        return 0; /* gone: found when all rooms are looked at */
    if (r)
        r->seen = m->looks;
    if (k.count == 0) {
        if (!r)
            return 0;
        /* In use again, so it counts no more among those that are parked. */
        if (r->row.parked && k.told && put_row(m, r, &k, why) < 0)
            return -1;
        /* Only a room that is set to keep no history loses it. */
        return k.told && k.keep.count == 0 ? drop(m, r, why)
                                           : forget_old(m, r, why);
    }
    if (!r)
        r = lnt_stored_add(&m->rooms, &(struct lnt_store_room){.app = info->app,
                                                               .name = name});
    r->seen = m->looks;
    if (!r->row.id && put_row(m, r, &k, why) < 0)
        return -1;
    if (m->unsure && r->row.messages > 0 && k.first < r->row.first) {
        if (prune(m, r, INT64_MAX, why) < 0)
            return -1;
        r->row.last = 0;
    }
    if (put_new(m, r, info->room, k.last, why) < 0)
        return -1;
    /* As it is now: what was dropped while it was copied is lost, too. */
    if (lnt_zone_kept(m->zone, info->room, &k) < 0 || k.count == 0)
        return 0;
    if (limit(m, r, &k, why) < 0)
        return -1;
    if (!same_row(m, &r->row, &k) && put_row(m, r, &k, why) < 0)
        return -1;
    return forget_old(m, r, why);
}

struct look {
    struct lnt_mirror *m;
    struct lnt_strbuf *why;
    int result;
};

static void
look_at(void *arg, const struct lnt_room_info *info)
{
    struct look *l = arg;

    if (l->result == 0)
        l->result = save_room(l->m, info, l->why);
}

/* Rooms of the store that have gone from the zone stay as long as their messages
   may. */
static int
park_gone(struct lnt_mirror *m, struct lnt_strbuf *why)
{
    struct lnt_room_info info;

    LNT_MAP_EACH(&m->rooms.rooms, struct lnt_stored_room, r, node) {
        if (r->seen == m->looks)
            continue;
        /* It may have come again where the look had passed. */
        if (lnt_zone_room_find(m->zone, r->row.app, r->row.name, &info) == 0)
            continue;
        if (!r->row.parked) {
            lnt_stored_park(&m->rooms, r, true);
            if (lnt_store_put_room(m->store, &r->row, why) < 0)
                return -1;
        }
        if (forget_old(m, r, why) < 0)
            return -1;
    }
    return 0;
}

/* Drops rooms when there are too many that are parked. */
static int
drop_excess(struct lnt_mirror *m, struct lnt_strbuf *why)
{
    struct lnt_stored_room **v;
    int result = 0;
    size_t n;

    if (m->limit == 0 || m->rooms.parked <= m->limit)
        return 0;
    n = m->rooms.parked - m->limit;
    v = lnt_stored_excess(&m->rooms, &n);
    for (size_t i = 0; i < n && result == 0; i++)
        result = drop(m, v[i], why);
    free(v);
    return result;
}

static int
save_all(struct lnt_mirror *m, struct lnt_strbuf *why)
{
    struct look l = {.m = m, .why = why};

    m->looks++;
    lnt_zone_rooms(m->zone, 0, look_at, &l);
    if (l.result < 0 || park_gone(m, why) < 0 || drop_excess(m, why) < 0)
        return -1;
    m->in_zone = m->rooms.rooms.n - m->rooms.parked;
    m->unsure = false;
    return 0;
}

static int
save_marked(struct lnt_mirror *m, struct lnt_strbuf *why)
{
    struct lnt_room_info info;

    unique_marks(m);
    for (size_t i = 0; i < m->nmarks; i++) {
        if (lnt_zone_room_info(m->zone, m->marks[i], &info) == 0 &&
            save_room(m, &info, why) < 0)
            return -1;
    }
    return 0;
}

static int
save(struct lnt_mirror *m, bool all, struct lnt_strbuf *why)
{
    if (lnt_store_begin(m->store, why) < 0)
        return -1;
    if (all ? save_all(m, why) < 0 : save_marked(m, why) < 0)
        return -1;
    if (write_head(m, m->cursor.seq, false, why) < 0)
        return -1;
    return lnt_store_commit(m->store, why);
}

static void
tell(struct lnt_mirror *m)
{
    struct lnt_store_state *s = m->state;

    set(&s->rooms, m->rooms.rooms.n);
    set(&s->parked, m->rooms.parked);
    set(&s->messages, m->rooms.messages);
    set(&s->written, s->written + m->written);
    set(&s->seq, m->cursor.seq);
    set(&s->synced_us, lnt_clock_wall_us());
    m->written = 0;
}

static int
moved(const struct lnt_mirror *m, struct lnt_strbuf *why)
{
    lnt_strbuf_addf(why,
                    "store %s: the file was removed or replaced while it was "
                    "in use",
                    m->path);
    return -1;
}

int
lnt_mirror_sync(struct lnt_mirror *m, bool all, struct lnt_strbuf *why)
{
    int result = 0;

    if (!m->store && lnt_mirror_open(m, why) < 0)
        return -1;
    if (!lnt_store_in_place(m->store))
        result = moved(m, why);
    read_log(m);
    all = all || m->all;
    if (result == 0 && (all || m->nmarks > 0)) {
        result = save(m, all, why);
        if (result == 0)
            set(&m->state->syncs, m->state->syncs + 1);
    }
    if (result < 0) {
        lnt_mirror_let_go(m);
        return -1;
    }
    m->all = m->rooms.rooms.n - m->rooms.parked > m->in_zone * 2 + GROWTH;
    m->nmarks = 0;
    m->put = 0;
    tell(m);
    return 0;
}

int
lnt_mirror_finish(struct lnt_mirror *m, bool ended, struct lnt_strbuf *why)
{
    uint64_t seq = lnt_zone_head(m->zone);
    int result = -1;

    m->ending = true;
    if (lnt_mirror_sync(m, true, why) == 0 &&
        lnt_store_begin(m->store, why) == 0 &&
        write_head(m, seq, ended && lnt_zone_head(m->zone) == seq, why) == 0)
        result = lnt_store_commit(m->store, why);
    lnt_mirror_let_go(m);
    return result;
}
