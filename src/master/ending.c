/*
 * The end of the server, in order: nothing new is begun, the workers end (each
 * in its time), and when nobody is left who could publish, the store's process
 * writes the last word.  Then the master's loop stops.
 */
#include "master/ending.h"

#include "core/log.h"
#include "ipc/reasons.h"
#include "master/bringup.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "master/slots.h"
#include "master/takeover.h"
#include "master/upgrade.h"
#include "os/process.h"

void
lnt_ending_step(struct lnt_master *m)
{
    if (m->state < LNT_MASTER_QUITTING || lnt_worker_next(m, NULL) ||
        !lnt_helpers_end(m))
        return;
    /* The newer master goes on with the zone: nobody else tells it who is not
       there any more.  Not for a server that is to end at once. */
    if (m->handed_over && m->state == LNT_MASTER_QUITTING && lnt_lock_owes(m))
        return;
    lnt_loop_stop(m->loop);
}

void
lnt_ending_begin(struct lnt_master *m, bool at_once)
{
    struct lnt_child *c = NULL;
    if (m->state == LNT_MASTER_STOPPING ||
        (m->state == LNT_MASTER_QUITTING && !at_once))
        return;
    lnt_log_notice(at_once ? "stopping"
                           : "quitting: waiting for connections "
                             "to end");
    bool in_vain =
        m->older && !m->zone_is_new && m->state == LNT_MASTER_STARTING;
    /* At an upgrade one of the two goes on, whichever ends: the service does
       not stop. */
    if (!m->handed_over && m->state != LNT_MASTER_STARTING)
        lnt_sd_notify("STOPPING=1");
    lnt_changes_cancel(m, "the server ends");
    lnt_bringup_cancel(m, "the server ends");
    lnt_upgrade_cancel(m, "the server ends");
    m->state = at_once ? LNT_MASTER_STOPPING : LNT_MASTER_QUITTING;
    lnt_slots_stop(m, &m->now);
    while ((c = lnt_worker_next(m, c)))
        lnt_child_end(c, at_once);
    /* As long as somebody has them open, clients would be let in that nobody
       accepts: refused, they can go elsewhere, to a newer master's sockets
       that overlap with ours, too. */
    lnt_sockets_close(&m->now.sockets, &m->inherited, !m->handed_over);
    /* The store is the newer master's as soon as it can have it, or has been
       the older one's all the time. */
    if (m->handed_over || in_vain)
        lnt_helpers_let_go(m);
}

void
lnt_ending_give_up(struct lnt_master *m, const char *why)
{
    lnt_reason_log("the server does not start", why);
    m->exit_status = LNT_ENDING_FAILED;
    lnt_takeover_refuse(m, why);
    lnt_ending_begin(m, true);
}
