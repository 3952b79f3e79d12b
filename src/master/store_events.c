/*
 * The store's process and the generations: the first workers wait for it, a
 * generation to come waits for its own, and without it the server goes on.
 */
#include "master/store_events.h"

#include "core/log.h"
#include "core/strbuf.h"
#include "master/bringup.h"
#include "master/ending.h"
#include "master/master.h"

static void
on_ready(struct lnt_master *m, struct lnt_keeper *k)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    if (k == m->keepers.coming) {
        lnt_bringup_store_ready(m);
    } else if (m->state != LNT_MASTER_STARTING) {
        lnt_keeper_start(k); /* one that was spawned again */
    } else if (!m->now.slots && lnt_bringup_workers(m, &why) < 0) {
        lnt_ending_give_up(m, why.p);
    }
    lnt_strbuf_release(&why);
}

static void
on_failed(struct lnt_master *m, struct lnt_keeper *k, const char *why)
{
    if (k == m->keepers.coming)
        lnt_bringup_cancel_for(m, why);
    else if (m->state == LNT_MASTER_STARTING && !m->keepers.used)
        lnt_ending_give_up(m, why);
    else
        lnt_log_error("%s", why);
}

static void
on_ended(struct lnt_master *m, enum lnt_keeper_role role, uint64_t lived,
         const char *how)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&text, "the store's process %s before it was ready", how);
    if (role == LNT_KEEPER_COMING)
        lnt_bringup_cancel_for(m, text.p);
    else if (role == LNT_KEEPER_NOW && m->state == LNT_MASTER_STARTING &&
             !m->keepers.used)
        lnt_ending_give_up(m, text.p);
    else if (role == LNT_KEEPER_NOW && m->state < LNT_MASTER_QUITTING)
        lnt_keepers_retry(m, lived);
    lnt_strbuf_release(&text);
    lnt_ending_check(m);
}

const struct lnt_keeper_events lnt_store_events = {
    .ready = on_ready,
    .failed = on_failed,
    .ended = on_ended,
};
