/*
 * What is to be handed over to other workers, noted until the end of the turn.
 */
#include "net/handover.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/names.h"
#include "net/stats.h"
#include "net/table.h"
#include "zone/zone.h"

/* Connections of one worker that wait for another. */
enum { WISHES_MAX = 4096 };

uint64_t
lnt_net_worker(const struct lnt_net *n)
{
    uint32_t incarnation =
        n->zone ? lnt_zone_cell(n->zone, n->cell)->incarnation : 0;
    return (uint64_t)incarnation << LNT_ID_CELL_BITS | n->cell;
}

/* Whether what is unread has been refused already.  When there is output since,
   that has been answered, and it is about what came behind it. */
static bool
is_refused(const struct lnt_conn *c)
{
    return c->stayed && (c->handover == LNT_HANDOVER_AGAIN ||
                         lnt_session_queued(&c->session) == 0);
}

int
lnt_session_hand_over(struct lnt_session *s, uint64_t worker,
                      struct lnt_str name)
{
    enum {
        NEVER = LNT_F_EOF | LNT_F_CLOSE_ASKED | LNT_F_DOOMED | LNT_F_PARKED
    };
    struct lnt_conn *c = lnt_conn_of(s);
    struct lnt_net *n = c->net;
    int error = 0;
    if (name.n ? lnt_names_find(n, name) != NULL : worker == lnt_net_worker(n))
        error = EINVAL;
    else if (is_refused(c))
        error = EALREADY;
    else if (c->state > LNT_CONN_READY || (c->flags & NEVER) || c->shut ||
             c->handover == LNT_HANDOVER_WAITS ||
             !s->endpoint->protocol->protocol->freeze)
        error = EBUSY;
    else if (n->draining)
        error = ESHUTDOWN;
    else if (n->nwishes >= WISHES_MAX)
        error = EAGAIN;
    errno = error;
    if (error)
        return -1;
    struct lnt_wish *w = lnt_calloc(1, sizeof(*w) + name.n);
    w->name_n = name.n;
    if (name.n)
        memcpy(w->name, name.p, name.n);
    w->session = lnt_table_id(c);
    w->worker = worker;
    lnt_list_add_last(&n->wishes, &w->node);
    n->nwishes++;
    c->handover = LNT_HANDOVER_WAITS;
    if (lnt_output_watch(c) < 0)
        lnt_session_cut(s);
    return 0;
}

void
lnt_session_again(struct lnt_session *s)
{
    struct lnt_conn *c = lnt_conn_of(s);
    /* One that waits is given its input anyway, here or there. */
    if (c->state > LNT_CONN_GOODBYE || c->handover == LNT_HANDOVER_WAITS)
        return;
    c->handover = LNT_HANDOVER_AGAIN;
    lnt_output_touch(c);
}

void
lnt_session_unread(struct lnt_session *s, const void *p, size_t n)
{
    struct lnt_net *net = lnt_conn_of(s)->net;
    lnt_assert(net->current == lnt_conn_of(s));
    lnt_strbuf_add(&net->unread, p, n);
}

struct lnt_wish *
lnt_wish_take(struct lnt_net *n)
{
    struct lnt_wish *w = LNT_LIST_FIRST(&n->wishes, struct lnt_wish, node);
    if (w)
        lnt_list_remove(&n->wishes, &w->node);
    return w;
}

static struct lnt_conn *
find(struct lnt_net *n, const struct lnt_wish *w)
{
    struct lnt_conn *c = lnt_table_find(n, w->session);
    return c && c->handover == LNT_HANDOVER_WAITS ? c : NULL;
}

struct lnt_session *
lnt_wish_session(struct lnt_net *n, const struct lnt_wish *w)
{
    struct lnt_conn *c = find(n, w);
    return c ? &c->session : NULL;
}

void
lnt_wish_free(struct lnt_net *n, struct lnt_wish *w)
{
    n->nwishes--;
    free(w);
}

void
lnt_session_stays(struct lnt_session *s, const char *why)
{
    struct lnt_conn *c = lnt_conn_of(s);
    if (c->state >= LNT_CONN_FINISHING)
        return;
    lnt_count(c->net->stats, LNT_C_STAYED);
    lnt_conn_stays(c, why);
}

void
lnt_wish_refuse(struct lnt_net *n, struct lnt_wish *w, const char *why)
{
    struct lnt_conn *c = find(n, w);
    if (c)
        lnt_session_stays(&c->session, why);
    lnt_wish_free(n, w);
}

void
lnt_wishes_drop(struct lnt_net *n)
{
    struct lnt_wish *w;
    while ((w = lnt_wish_take(n)))
        lnt_wish_free(n, w);
    lnt_strbuf_release(&n->unread);
}
