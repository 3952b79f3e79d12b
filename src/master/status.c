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
#include "master/child.h"
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
    uint64_t connections, in, out, queue, rss;
};

static const char *const state_names[] = {
    [LNT_CHILD_STARTING] = "starting",
    [LNT_CHILD_READY] = "starting",
    [LNT_CHILD_SERVING] = "ready",
    [LNT_CHILD_DRAINING] = "draining",
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
        .queue = load(&s->send_queue),
        .rss = lnt_process_rss(c->pid),
    };
}

/* Slots in order, then children of other generations. */
static size_t
collect(const struct lnt_master *m, struct row **rows)
{
    size_t n = m->now.nslots, k = 0;
    for (const struct lnt_child *c = m->children; c; c = c->next)
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
    for (const struct lnt_child *c = m->children; c; c = c->next) {
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
    for (const struct lnt_child *c = m->children; c; c = c->next)
        access += load(&lnt_zone_cell(m->zone, c->cell)
                            ->stats.counters[LNT_C_ACCESS_LOST]);
    if (error || access)
        lnt_strbuf_addf(out,
                        "lost: %" PRIu64 " lines of the error log, %" PRIu64
                        " of the access log\n",
                        error, access);
}

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
            ",\"send_queue\":%" PRIu64 ",\"rss\":%" PRIu64 "}",
            i ? "," : "", r->slot, r->pid, r->incarnation, r->generation,
            r->state, r->uptime, r->restarts, r->connections, r->in, r->out,
            r->queue, r->rss);
    }
    lnt_strbuf_adds(out, "],\"counters\":");
    counters_json(m, out);
    lnt_strbuf_adds(out, ",\"store\":");
    lnt_keepers_json(m, out);
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
    lnt_keepers_text(m, out);
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
