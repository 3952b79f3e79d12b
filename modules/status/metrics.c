/*
 * Metrics in the text format of Prometheus: one scrape shows the whole server,
 * whichever worker answers it.
 *
 * A worker is labelled with its slot and its pid: while one generation drains
 * and the next serves, a slot is there twice.
 */
#include "modules/status/metrics.h"

#include <inttypes.h>

#include "core/strbuf.h"
#include "hub/server.h"
#include "modules/status/values.h"
#include "net/module.h"
#include "net/server_info.h"
#include "net/stats.h"
#include "os/process.h"

static void
add_head(struct lnt_strbuf *out, const char *name, const char *type,
         const char *help)
{
    lnt_strbuf_addf(out, "# HELP linnet_%s %s\n# TYPE linnet_%s %s\n", name,
                    help, name, type);
}

static void
add_sample(struct lnt_strbuf *out, const char *name,
           const struct lnt_worker_info *w, uint64_t value)
{
    lnt_strbuf_addf(out,
                    "linnet_%s{worker=\"%" PRIu32 "\",pid=\"%" PRId32
                    "\"} %" PRIu64 "\n",
                    name, w->slot, w->pid, value);
}

static void
add_counters(struct lnt_hub *h, struct lnt_strbuf *out)
{
    for (unsigned i = 0; i < LNT_COUNTERS; i++) {
        struct lnt_worker_info w;
        if (!lnt_counter_names[i])
            continue;
        add_head(out, lnt_counter_names[i], "counter", lnt_counter_help[i]);
        if (i == LNT_C_LOG_LOST) { /* not only by workers */
            lnt_strbuf_addf(out, "linnet_%s %" PRIu64 "\n",
                            lnt_counter_names[i], lnt_hub_log_lost(h));
            continue;
        }
        for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
            add_sample(out, lnt_counter_names[i], &w,
                       lnt_status_load(&w.stats->counters[i]));
    }
}

static void
add_worker_gauges(struct lnt_hub *h, struct lnt_strbuf *out)
{
    struct lnt_worker_info w;
    add_head(out, "connections", "gauge", "Connections open now.");
    for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
        add_sample(out, "connections", &w,
                   lnt_status_load(&w.stats->connections));
    add_head(out, "detached_sessions", "gauge",
             "Sessions without a connection of their own, now.");
    for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
        add_sample(out, "detached_sessions", &w,
                   lnt_status_load(&w.stats->detached));
    add_head(out, "send_queue_bytes", "gauge",
             "Bytes that wait for slow readers.");
    for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
        add_sample(out, "send_queue_bytes", &w,
                   lnt_status_load(&w.stats->send_queue));
    add_head(out, "http_parked", "gauge",
             "HTTP requests whose answer is put off.");
    for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
        add_sample(out, "http_parked", &w, lnt_status_load(&w.stats->parked));
    add_head(out, "filter_handshakes", "gauge",
             "Connections in the handshake of their filter (TLS).");
    for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
        add_sample(out, "filter_handshakes", &w,
                   lnt_status_load(&w.stats->shaking));
    add_head(out, "filter_input_bytes", "gauge",
             "Bytes kept that are not a whole record of a filter yet.");
    for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
        add_sample(out, "filter_input_bytes", &w,
                   lnt_status_load(&w.stats->raw_input));
    add_head(out, "worker_ready", "gauge",
             "1 while the worker accepts connections.");
    for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
        add_sample(out, "worker_ready", &w, w.state == LNT_WORKER_READY);
    add_head(out, "resident_memory_bytes", "gauge",
             "Resident memory of the worker.");
    for (unsigned at = 0; lnt_hub_worker_next(h, &at, &w);)
        add_sample(out, "resident_memory_bytes", &w, lnt_process_rss(w.pid));
}

static void
add_gauge(struct lnt_strbuf *out, const char *name, const char *help,
          uint64_t value)
{
    add_head(out, name, "gauge", help);
    lnt_strbuf_addf(out, "linnet_%s %" PRIu64 "\n", name, value);
}

static void
add_zone_gauges(struct lnt_hub *h, struct lnt_strbuf *out)
{
    struct lnt_zone_usage u;
    lnt_hub_usage(h, &u);
    add_gauge(out, "log_head", "Sequence number of the last record.",
              lnt_hub_head(h));
    add_gauge(out, "log_bytes", "Size of the log.", u.log_bytes);
    add_gauge(out, "users", "Users with a nick.", u.users);
    add_gauge(out, "users_max", "Users that fit.", u.users_max);
    add_gauge(out, "rooms", "Rooms.", u.rooms);
    add_gauge(out, "rooms_max", "Rooms that fit.", u.rooms_max);
    add_gauge(out, "members", "Members of all rooms.", u.members);
    add_gauge(out, "members_max", "Members that fit.", u.members_max);
    add_gauge(out, "addresses", "Addresses counted for connections_per_ip.",
              u.peers);
    add_gauge(out, "address_connections", "Connections counted for them.",
              u.visits);
    add_gauge(out, "address_connections_max",
              "Connections that can be counted.", u.visits_max);
    add_gauge(out, "zone_bytes", "Size of the shared memory (zone_size).",
              u.size);
    add_head(out, "zone_repairs_total", "counter",
             "Times the zone was put right after a worker died in it.");
    lnt_strbuf_addf(out, "linnet_zone_repairs_total %" PRIu64 "\n", u.repairs);
    add_head(out, "zone_rebuilds_total", "counter",
             "Of these, times all its tables had to be made again.");
    lnt_strbuf_addf(out, "linnet_zone_rebuilds_total %" PRIu64 "\n",
                    u.rebuilds);
    add_head(out, "rooms_evicted_total", "counter",
             "Rooms without members whose history made room for others.");
    lnt_strbuf_addf(out, "linnet_rooms_evicted_total %" PRIu64 "\n", u.evicted);
}

static void
add_counter(struct lnt_strbuf *out, const char *name, const char *help,
            uint64_t value)
{
    add_head(out, name, "counter", help);
    lnt_strbuf_addf(out, "linnet_%s %" PRIu64 "\n", name, value);
}

/* Only where there is one: what never syncs is no reason for an alarm then. */
static void
add_store(struct lnt_hub *h, struct lnt_strbuf *out)
{
    const struct lnt_store_state *s = lnt_hub_store(h);
    uint64_t synced = lnt_status_load(&s->synced_us);
    uint64_t broken = lnt_status_load(&s->broken_us);
    if (!synced && !broken)
        return;
    add_gauge(out, "store_messages", "Messages in the store.",
              lnt_status_load(&s->messages));
    add_gauge(out, "store_rooms", "Rooms in the store.",
              lnt_status_load(&s->rooms));
    add_gauge(out, "store_rooms_parked", "Of these, rooms not in memory.",
              lnt_status_load(&s->parked));
    add_gauge(out, "store_failing", "1 while the store cannot be written.",
              broken != 0);
    add_gauge(out, "store_last_sync_timestamp_seconds",
              "When the store was last found complete, since 1970.",
              synced / 1000000);
    add_counter(out, "store_written_total", "Messages written to the store.",
                lnt_status_load(&s->written));
    add_counter(out, "store_syncs_total", "Transactions of the store.",
                lnt_status_load(&s->syncs));
    add_counter(out, "store_errors_total", "Failures to write the store.",
                lnt_status_load(&s->errors));
}

void
lnt_status_metrics(struct lnt_module_ctx *m, struct lnt_strbuf *out)
{
    struct lnt_hub *h = m->hub;
    add_head(out, "info", "gauge", "The server.");
    lnt_strbuf_addf(out, "linnet_info{version=\"%s\"} 1\n", m->server->version);
    add_gauge(out, "generation", "Loads of the configuration that took place.",
              m->server->generation);
    add_gauge(out, "uptime_seconds", "Time since the server started.",
              lnt_status_uptime(m));
    add_worker_gauges(h, out);
    add_zone_gauges(h, out);
    add_store(h, out);
    add_counters(h, out);
}
