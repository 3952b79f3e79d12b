/*
 * Links for moving connections: so many that each gives and each takes its
 * share.
 */
#include "master/moves.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "ipc/move_step.h"
#include "master/master.h"
#include "master/slots.h"
#include "os/process.h"
#include "os/socket.h"
#include "zone/zone.h"

enum {
    LINKS_MAX = 64,    /* between two generations */
    LEVEL_BATCH = 100, /* connections at a time */
    LEVEL_SLACK = 32,  /* quarters of connections that do not count */
};

static void
send_end(struct lnt_channel *c, const char *role, int fd)
{
    if (lnt_channel_send(c, LNT_FRAME_LINK, 0, lnt_str_c(role), &fd, 1) < 0)
        lnt_log_error("cannot link workers: %s", strerror(errno));
}

static bool
is_giver(struct lnt_master *m, const struct lnt_child *c)
{
    return c->state == LNT_CHILD_SERVING && !lnt_slots_find(&m->now, c);
}

/* The n-th child that gives. */
static struct lnt_child *
giver(struct lnt_master *m, size_t n)
{
    struct lnt_child *c = lnt_worker_next(m, NULL);
    while (c && !(is_giver(m, c) && n-- == 0))
        c = lnt_worker_next(m, c);
    return c;
}

static bool
link_pair(struct lnt_child *from, struct lnt_child *to, const char *role)
{
    int fds[2];
    if (lnt_socket_pair(fds) < 0)
        return false;
    send_end(&to->channel, "take", fds[0]);
    lnt_move_step(LNT_MOVE_LINKED);
    send_end(&from->channel, role, fds[1]);
    close(fds[0]);
    close(fds[1]);
    return true;
}

/* Between one of the old master's workers and one of ours. */
static void
link_older(struct lnt_master *m, uint32_t incarnation, struct lnt_child *to)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    int fds[2];
    if (lnt_socket_pair(fds) < 0)
        return;
    send_end(&to->channel, m->zone_is_new ? "take foreign" : "take", fds[0]);
    lnt_move_step(LNT_MOVE_LINKED);
    lnt_pack_u32(&b, incarnation);
    if (lnt_channel_send(m->older, LNT_FRAME_LINK, 0, lnt_strbuf_str(&b),
                         &fds[1], 1) < 0)
        lnt_log_error("cannot link workers: %s", strerror(errno));
    lnt_strbuf_release(&b);
    close(fds[0]);
    close(fds[1]);
}

/* Every giver with every taker, so that each of these gets the same, as long as
   that is not too many: as many links as there are on the larger side, then. */
static size_t
how_many_links(size_t givers, size_t takers)
{
    if (givers * takers <= LINKS_MAX)
        return givers * takers;
    return givers > takers ? givers : takers;
}

struct pair {
    size_t giver, taker;
};

/* The i-th of them.  Givers do not begin with the same taker. */
static struct pair
pair_at(size_t i, size_t givers, size_t takers)
{
    struct pair p = {.giver = i % givers, .taker = i % takers};
    if (givers * takers <= LINKS_MAX)
        p.taker = (i / givers + p.giver) % takers;
    return p;
}

void
lnt_moves_link(struct lnt_master *m)
{
    size_t givers = 0, takers = m->now.nslots;
    struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)))
        givers += is_giver(m, c);
    for (size_t i = 0; i < how_many_links(givers, takers); i++) {
        struct pair p = pair_at(i, givers, takers);
        struct lnt_child *from = giver(m, p.giver);
        struct lnt_child *to = m->now.slots[p.taker].child;
        if (from && to && link_pair(from, to, "give")) /* else it drains */
            from->giving = true;
    }
}

void
lnt_moves_link_new(struct lnt_master *m, struct lnt_child *to)
{
    struct lnt_child *c = NULL;
    if (!lnt_slots_find(&m->now, to))
        return;
    while ((c = lnt_worker_next(m, c)))
        if (c->giving)
            (void)link_pair(c, to, "give");
    for (size_t i = 0; m->older && i < m->nolder_givers; i++)
        link_older(m, m->older_givers[i], to);
}

void
lnt_moves_cancel(struct lnt_master *m)
{
    struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)))
        if (c->state == LNT_CHILD_SERVING)
            c->giving = false;
}

/* Whether connections come from an older generation just now. */
static bool
is_moving(const struct lnt_master *m)
{
    const struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)))
        if (c->giving)
            return true;
    return m->older != NULL;
}

bool
lnt_moves_going(const struct lnt_master *m)
{
    const struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)))
        if (c->giving ||
            (c->state == LNT_CHILD_DRAINING && c->generation != m->now.number))
            return true;
    return m->older != NULL;
}

/* ---- within a generation ---- */

static uint64_t
connections(const struct lnt_master *m, const struct lnt_child *c)
{
    const struct lnt_stats *s = &lnt_zone_cell(m->zone, c->cell)->stats;
    return __atomic_load_n(&s->connections, __ATOMIC_RELAXED);
}

void
lnt_moves_level(struct lnt_master *m)
{
    struct lnt_child *most = NULL, *least = NULL;
    uint64_t sum = 0, n = 0;
    if (is_moving(m))
        return; /* that evens out, too */
    for (size_t i = 0; i < m->now.nslots; i++) {
        struct lnt_child *c = m->now.slots[i].child;
        if (!c || c->state != LNT_CHILD_SERVING)
            return; /* somebody comes or goes: wait until all are there */
        n++;
        sum += connections(m, c);
        if (!most || connections(m, c) > connections(m, most))
            most = c;
        if (!least || connections(m, c) < connections(m, least))
            least = c;
    }
    if (n < 2 || connections(m, most) * 4 * n <= sum * 5 + LEVEL_SLACK * n)
        return;
    uint64_t mean = sum / n;
    uint64_t over = connections(m, most) - mean;
    uint64_t under = mean - connections(m, least);
    uint64_t give = over < under ? over : under;
    uint32_t batch = give < LEVEL_BATCH ? (uint32_t)give : LEVEL_BATCH;
    if (batch == 0 || !link_pair(most, least, "give some"))
        return;
    lnt_log_info("worker %u gives %u connections to worker %u", most->slot,
                 batch, least->slot);
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    lnt_pack_u32(&b, batch);
    (void)lnt_channel_send(&most->channel, LNT_FRAME_GIVE, 0,
                           lnt_strbuf_str(&b), NULL, 0);
    lnt_strbuf_release(&b);
}

static bool
replace(struct lnt_master *m, struct lnt_child *c)
{
    bool any = false;
    for (size_t i = 0; i < m->now.nslots; i++) {
        struct lnt_child *to = m->now.slots[i].child;
        if (to && to != c && to->state == LNT_CHILD_SERVING)
            any |= link_pair(c, to, "give");
    }
    if (any) {
        c->giving = true;
        lnt_child_end(c, false);
    }
    return any;
}

bool
lnt_moves_drain(struct lnt_master *m, struct lnt_str slot,
                struct lnt_strbuf *why)
{
    struct lnt_change change = {.kind = LNT_CHANGE_REPLACE};
    const char *refusal = lnt_changes_refusal(m, &change), *text;
    struct lnt_child *c = NULL;
    int64_t n;
    if (lnt_parse_int(slot, &n, &text) == 0 && n >= 0 &&
        (size_t)n < m->now.nslots)
        c = m->now.slots[n].child;
    if (refusal)
        lnt_strbuf_adds(why, refusal);
    else if (!c || c->state != LNT_CHILD_SERVING)
        lnt_strbuf_addf(why, "no worker serves in slot %.*s",
                        LNT_STR_ARG(slot));
    else if (!replace(m, c))
        lnt_strbuf_adds(why, "there is no other worker to take its "
                             "connections");
    return why->n == 0;
}

void
lnt_moves_trim(struct lnt_master *m)
{
    uint64_t most = m->now.config->server->worker_memory;
    for (size_t i = 0; most && i < m->now.nslots; i++) {
        struct lnt_child *c = m->now.slots[i].child;
        if (!c || c->state != LNT_CHILD_SERVING)
            return; /* one at a time */
        uint64_t rss = lnt_process_rss(c->pid);
        if (rss <= most)
            continue;
        lnt_log_warn("worker %u has %llu bytes, more than worker_memory: it "
                     "is replaced",
                     c->slot, (unsigned long long)rss);
        if (!replace(m, c))
            /* The only one: by a new one. */
            lnt_changes_ask(m, &(struct lnt_change){.kind = LNT_CHANGE_RELOAD},
                            NULL);
        return;
    }
}

/* ---- between two masters ---- */

void
lnt_moves_link_older(struct lnt_master *m)
{
    size_t givers = m->nolder_givers, takers = m->now.nslots;
    for (size_t i = 0; i < how_many_links(givers, takers); i++) {
        struct pair p = pair_at(i, givers, takers);
        if (m->now.slots[p.taker].child)
            link_older(m, m->older_givers[p.giver],
                       m->now.slots[p.taker].child);
    }
}

void
lnt_moves_forward(struct lnt_master *m, uint32_t incarnation, int fd)
{
    struct lnt_child *c = lnt_worker_next(m, NULL), *other = NULL;
    for (; c && c->incarnation != incarnation; c = lnt_worker_next(m, c))
        if (!other && c->state == LNT_CHILD_SERVING && !c->giving)
            other = c;
    /* In place of one that has died there may be another by now: the youngest,
       as others have links of their own to come. */
    if (!c)
        c = other;
    if (!c || !(c->state == LNT_CHILD_SERVING || c->giving))
        return;
    send_end(&c->channel, "give", fd);
    c->giving = true;
}
