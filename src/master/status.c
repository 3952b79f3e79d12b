/*
 * Status: one walk over the workers, two renderings.
 */
#include "master/status.h"

#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "os/clock.h"
#include "os/process.h"
#include "zone/zone.h"

struct row {
    unsigned slot, restarts;
    int pid;
    uint32_t incarnation, generation;
    const char *state;
    uint64_t uptime; /* s */
    uint64_t connections, detached, in, out, queue, parked, rss;
};

static const char *const state_names[] = {
    [LNT_CHILD_STARTING] = "starting", [LNT_CHILD_READY] = "starting",
    [LNT_CHILD_SERVING] = "ready",     [LNT_CHILD_DRAINING] = "draining",
    [LNT_CHILD_ENDED] = "stopped",
};

static uint64_t
load(const uint64_t *p)
{
    return __atomic_load_n(p, __ATOMIC_RELAXED);
}

static struct row
child_row(const struct lnt_master *m, const struct lnt_child *c)
{
    const struct lnt_stats *s = &lnt_zone_cell(m->zone, c->cell)->stats;
    return (struct row){
        .slot = c->slot,
        .restarts = c->restarts,
        .pid = (int)c->pid,
        .incarnation = c->incarnation,
        .generation = c->generation,
        .state = state_names[c->state],
        .uptime = (lnt_loop_now(m->loop) - c->started) / 1000,
        .connections = load(&s->connections),
        .in = load(&s->counters[LNT_C_MESSAGES_IN]),
        .out = load(&s->counters[LNT_C_MESSAGES_OUT]),
        .detached = load(&s->detached),
        .queue = load(&s->send_queue),
        .parked = load(&s->parked),
        .rss = lnt_process_rss(c->pid),
    };
}

/* Slots in order, then children of other generations. */
static size_t
collect(const struct lnt_master *m, struct row **rows)
{
    size_t n = m->now.nslots, k = 0;
    const struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)))
        n++;
    *rows = lnt_calloc(n + 1, sizeof(struct row));
    for (size_t i = 0; i < m->now.nslots; i++) {
        const struct lnt_slot *s = &m->now.slots[i];
        (*rows)[k++] =
            s->child ? child_row(m, s->child)
                     : (struct row){
                           .slot = s->number,
                           .restarts = s->restarts,
                           .generation = m->now.number,
                           .state = lnt_timer_active(&s->timer) ? "backoff"
                                                                : "stopped",
                       };
    }
    while ((c = lnt_worker_next(m, c))) {
        bool seated = false;
        for (size_t i = 0; i < m->now.nslots; i++)
            seated |= m->now.slots[i].child == c;
        if (!seated)
            (*rows)[k++] = child_row(m, c);
    }
    return k;
}

static void
last_reload_json(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_last_reload *r = &m->last_reload;
    if (!r->any) {
        lnt_strbuf_adds(out, "null");
        return;
    }
    lnt_strbuf_addf(out, "{\"ok\":%s,\"time\":%" PRIu64 ".%03u,\"error\":",
                    r->ok ? "true" : "false", r->time_us / 1000000,
                    (unsigned)(r->time_us / 1000 % 1000));
    if (r->error)
        lnt_strbuf_add_json(out, lnt_str_c(r->error));
    else
        lnt_strbuf_adds(out, "null");
    lnt_strbuf_addc(out, '}');
}

static uint64_t
uptime(const struct lnt_master *m)
{
    return (lnt_clock_ms() - m->info->started_ms) / 1000;
}

static void
counters_json(const struct lnt_master *m, struct lnt_strbuf *out)
{
    uint64_t sums[LNT_COUNTERS];
    char before = '{';
    lnt_zone_counters(m->zone, sums);
    for (unsigned i = 0; i < LNT_COUNTERS; i++) {
        if (!lnt_counter_names[i])
            continue;
        lnt_strbuf_addf(out, "%c\"%s\":%" PRIu64, before, lnt_counter_names[i],
                        sums[i]);
        before = ',';
    }
    lnt_strbuf_addc(out, '}');
}

static void
lost_lines_text(const struct lnt_master *m, struct lnt_strbuf *out)
{
    uint64_t error = load(lnt_zone_log_lost(m->zone));
    uint64_t access =
        load(&lnt_zone_past(m->zone)->counters[LNT_C_ACCESS_LOST]);
    const struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)))
        access += load(&lnt_zone_cell(m->zone, c->cell)
                            ->stats.counters[LNT_C_ACCESS_LOST]);
    if (error || access)
        lnt_strbuf_addf(out,
                        "lost: %" PRIu64 " lines of the error log, %" PRIu64
                        " of the access log\n",
                        error, access);
}

/* ---- the store ---- */

static const char *
store_state(const struct lnt_master *m)
{
    const struct lnt_slot *s = &m->helpers[0].slot;
    if (!s->child || s->child->state == LNT_CHILD_ENDED)
        return lnt_timer_active(&s->timer) ? "backoff" : "stopped";
    if (s->child->state == LNT_CHILD_DRAINING)
        return "ending";
    if (s->child->state < LNT_CHILD_SERVING)
        return "starting";
    return lnt_zone_store(m->zone)->broken_us ? "failing" : "ready";
}

static void
store_text(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_store_state *s = lnt_zone_store(m->zone);
    const struct lnt_slot *slot = &m->helpers[0].slot;
    uint64_t now = lnt_clock_wall_us(), synced = load(&s->synced_us);
    if (!m->now.config->history->store)
        return;
    lnt_strbuf_addf(out, "store %s: %s", m->now.config->history->store,
                    store_state(m));
    if (slot->child)
        lnt_strbuf_addf(out, ", pid %d", (int)slot->child->pid);
    lnt_strbuf_addf(out, ", %" PRIu64 " messages in %" PRIu64 " rooms",
                    load(&s->messages), load(&s->rooms));
    if (synced) {
        lnt_strbuf_adds(out, ", last written ");
        lnt_format_duration(out, now > synced ? (now - synced) / 1000 : 0);
        lnt_strbuf_adds(out, " ago");
    }
    lnt_strbuf_addf(out, ", %" PRIu64 " errors, %u restarts\n",
                    load(&s->errors), slot->restarts);
}

static void
add_time(struct lnt_strbuf *out, const char *name, uint64_t us)
{
    lnt_strbuf_addf(out, ",\"%s\":", name);
    if (us)
        lnt_strbuf_addf(out, "%" PRIu64 ".%03u", us / 1000000,
                        (unsigned)(us / 1000 % 1000));
    else
        lnt_strbuf_adds(out, "null");
}

static void
store_json(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_store_state *s = lnt_zone_store(m->zone);
    const struct lnt_slot *slot = &m->helpers[0].slot;
    if (!m->now.config->history->store) {
        lnt_strbuf_adds(out, "null");
        return;
    }
    lnt_strbuf_adds(out, "{\"path\":");
    lnt_strbuf_add_json(out, lnt_str_c(m->now.config->history->store));
    lnt_strbuf_addf(out,
                    ",\"state\":\"%s\",\"pid\":%d,\"restarts\":%u,\"rooms\":"
                    "%" PRIu64 ",\"messages\":%" PRIu64 ",\"written\":%" PRIu64
                    ",\"syncs\":%" PRIu64 ",\"errors\":%" PRIu64
                    ",\"seq\":%" PRIu64,
                    store_state(m), slot->child ? (int)slot->child->pid : 0,
                    slot->restarts, load(&s->rooms), load(&s->messages),
                    load(&s->written), load(&s->syncs), load(&s->errors),
                    load(&s->seq));
    add_time(out, "last_sync", load(&s->synced_us));
    add_time(out, "failing_since", load(&s->broken_us));
    lnt_strbuf_addc(out, '}');
}

/* ---- all of it ---- */

void
lnt_status_json(const struct lnt_master *m, struct lnt_strbuf *out)
{
    struct row *rows;
    size_t n = collect(m, &rows);
    uint64_t connections = 0;
    for (size_t i = 0; i < n; i++)
        connections += rows[i].connections;
    lnt_strbuf_addf(out,
                    "{\"version\":\"%s\",\"epoch\":%" PRIu64
                    ",\"generation\":%u,\"pid\":%d,\"uptime\":%" PRIu64
                    ",\"connections\":%" PRIu64 ",\"workers\":[",
                    m->info->version, lnt_zone_epoch(m->zone), m->now.number,
                    (int)getpid(), uptime(m), connections);
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];
        lnt_strbuf_addf(
            out,
            "%s{\"slot\":%u,\"pid\":%d,\"incarnation\":%u,\"generation\":%u,"
            "\"state\":\"%s\",\"uptime\":%" PRIu64
            ",\"restarts\":%u,\"connections\":%" PRIu64
            ",\"messages_in\":%" PRIu64 ",\"messages_out\":%" PRIu64
            ",\"detached\":%" PRIu64 ",\"send_queue\":%" PRIu64
            ",\"parked\":%" PRIu64 ",\"rss\":%" PRIu64 "}",
            i ? "," : "", r->slot, r->pid, r->incarnation, r->generation,
            r->state, r->uptime, r->restarts, r->connections, r->in, r->out,
            r->detached, r->queue, r->parked, r->rss);
    }
    lnt_strbuf_adds(out, "],\"counters\":");
    counters_json(m, out);
    lnt_strbuf_adds(out, ",\"store\":");
    store_json(m, out);
    lnt_strbuf_adds(out, ",\"last_reload\":");
    last_reload_json(m, out);
    lnt_strbuf_adds(out, ",\"zone_lock\":");
    lnt_lock_status_json(m, out);
    lnt_strbuf_addc(out, '}');
    free(rows);
}

void
lnt_status_text(const struct lnt_master *m, struct lnt_strbuf *out)
{
    struct row *rows;
    size_t n = collect(m, &rows);
    uint64_t connections = 0;
    for (size_t i = 0; i < n; i++)
        connections += rows[i].connections;
    lnt_strbuf_addf(out, "linnet %s, pid %d, generation %u, up ",
                    m->info->version, (int)getpid(), m->now.number);
    lnt_format_duration(out, uptime(m) * 1000);
    lnt_strbuf_addf(out, ", %" PRIu64 " connections\n", connections);
    if (m->last_reload.any)
        lnt_strbuf_addf(out, "last reload: %s\n",
                        m->last_reload.ok ? "ok" : m->last_reload.error);
    lost_lines_text(m, out);
    store_text(m, out);
    lnt_lock_status_text(m, out);
    lnt_strbuf_adds(out, "\nslot     pid  gen  state     up(s)  restarts  "
                         "connections  messages in  messages out  queue(k)  "
                         "memory(k)\n");
    for (size_t i = 0; i < n; i++) {
        const struct row *r = &rows[i];
        lnt_strbuf_addf(out,
                        "%4u %7d %4u  %-8s %6" PRIu64 "  %8u  %11" PRIu64
                        "  %11" PRIu64 "  %12" PRIu64 "  %8" PRIu64
                        "  %9" PRIu64 "\n",
                        r->slot, r->pid, r->generation, r->state, r->uptime,
                        r->restarts, r->connections, r->in, r->out,
                        r->queue / 1024, r->rss / 1024);
    }
    free(rows);
}

/* ---- the zone ---- */

static void
add_room(void *arg, const struct lnt_room_info *r)
{
    lnt_strbuf_addf(arg, "%-32s %8u %8u\n", r->name, r->members, r->kept);
}

static bool
refuse(const struct lnt_master *m, struct lnt_strbuf *out)
{
    lnt_strbuf_clear(out);
    lnt_lock_text(m, out);
    lnt_strbuf_adds(out, "; try again in a moment");
    return false;
}

bool
lnt_status_rooms(struct lnt_master *m, struct lnt_strbuf *out)
{
    lnt_strbuf_addf(out, "%-32s %8s %8s\n", "room", "members", "history");
    return lnt_zone_rooms(m->zone, 0, add_room, out) == 0 || refuse(m, out);
}

static void
add_share(struct lnt_strbuf *out, const char *what, uint64_t used, uint64_t of)
{
    unsigned percent = of ? (unsigned)(used * 100 / of) : 0;
    lnt_strbuf_addf(out, "%-10s %14" PRIu64 " of %14" PRIu64 "  %3u %%\n", what,
                    used, of, percent);
}

bool
lnt_status_zone(struct lnt_master *m, struct lnt_strbuf *out)
{
    struct lnt_zone_usage u;
    uint64_t lapped = 0, now = lnt_clock_wall_us();
    if (lnt_zone_usage(m->zone, &u) < 0)
        return refuse(m, out);
    for (unsigned i = 0; i < lnt_zone_cells(m->zone); i++) {
        const struct lnt_cell *c = lnt_zone_cell(m->zone, i);
        if (lnt_cell_state(c) != LNT_CELL_FREE)
            lapped += __atomic_load_n(&c->stats.counters[LNT_C_LAPPED],
                                      __ATOMIC_RELAXED);
    }
    lnt_strbuf_addf(out, "epoch %" PRIu64 ", %" PRIu64 " bytes\n",
                    lnt_zone_epoch(m->zone), u.size);
    add_share(out, "log", u.log_used, u.log_bytes);
    add_share(out, "history", u.history_used, u.history_bytes);
    add_share(out, "promised", u.history_promised, u.history_bytes);
    add_share(out, "users", u.users, u.users_max);
    add_share(out, "rooms", u.rooms, u.rooms_max);
    add_share(out, "members", u.members, u.members_max);
    add_share(out, "by address", u.visits, u.visits_max);
    lnt_strbuf_addf(
        out,
        "the log has %" PRIu64 " records of the last %" PRIu64 " s; %" PRIu64
        " were published; history keeps %" PRIu64
        " messages\nlapped readers: %" PRIu64 ", repairs: %" PRIu64 "\n"
        "rooms evicted: %" PRIu64 "\n",
        u.records,
        u.oldest_us && now > u.oldest_us ? (now - u.oldest_us) / 1000000 : 0,
        u.published, u.kept, lapped, u.repairs, u.evicted);
    return true;
}
