/*
 * Freeze and thaw.  Only between messages and between turns: what the kernel
 * has not taken yet and what no callback has consumed travel along.
 *
 * A frozen connection, by the rules of core/pack.h:
 *
 *   magic, version, the linnet that wrote it (these three never move),
 *   a counted head: endpoint's id, protocol's name, application's name, state,
 *       age, by which name it is counted for its address, flags, a counted
 *       part of sessions without a connection (detached.c),
 *   the protocol's bytes, the application's, unread input, unsent output,
 *   and where there are any: what its filter is (filter.c); open calls.  Both
 *   from release 0.2.0 on; empty or left out: it has none.
 *
 * A field about the connection goes to the end of the head, a further piece to
 * the end of all.  What the protocol and the application write is theirs; they
 * keep to the same rules, and say in errno what they do not understand.
 *
 * Who does not know of filters would take such a connection for one of plain
 * bytes.  So that with a filter needs version 4, any other still version 3.
 *
 * Up to release 0.1.0 that was version 2: the same fields, without the one who
 * wrote it and not counted.
 */
#include "net/move.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "auto_config.h"
#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/stats.h"
#include "os/memory.h"
#include "os/socket.h"
#include "zone/zone.h"

enum {
    MAGIC = 0x6c6e746d,
    OLD_VERSION = 2, /* of release 0.1.0 */
    VERSION = 4,
    NEEDS = 3,       /* but with flags or a filter: */
    MORE_NEEDS = 4,  /* a flag that is new needs its version */
    WRITER_MAX = 40, /* of which so much is told */
};

enum {               /* of the head */
       AGAIN = 1,    /* the protocol here has not judged the unread input */
       DETACHED = 2, /* there is no connection: the descriptor means nothing */
       KNOWN_FLAGS = AGAIN | DETACHED,
};

struct frozen {
    struct lnt_str writer; /* empty: release 0.1.0 or older */
    struct lnt_str endpoint, protocol, app;
    uint32_t state, age, flags;
    uint64_t visit;
    struct lnt_str detached, protocol_state, app_state, input, output;
    struct lnt_str filter, calls;
};

/* ---- freeze ---- */

static bool
may_move(const struct lnt_conn *c)
{
    const struct lnt_endpoint *e = c->session.endpoint;
    enum { NEVER = LNT_F_EOF | LNT_F_CLOSE_ASKED | LNT_F_DOOMED | LNT_F_HELD };
    if (c->state > LNT_CONN_READY || (c->flags & NEVER) || c->admission ||
        !e->protocol->protocol->freeze)
        return false;
    /* An application without state has nothing to carry. */
    return !e->app || e->app->app->freeze || e->app->app->state_size == 0;
}

static void
pack_head(const struct lnt_conn *c, struct lnt_strbuf *out)
{
    const struct lnt_endpoint *e = c->session.endpoint;
    bool again = c->handover != LNT_HANDOVER_NONE;
    bool detached = lnt_conn_is_detached(c);
    uint32_t flags = (again ? AGAIN : 0) | (detached ? DETACHED : 0);
    size_t head, part;
    bool more = flags || (c->flags & LNT_F_FILTERED);
    /* t/move_steps.t spoils bytes at places that are counted from here. */
    lnt_pack_u32(out, MAGIC);
    lnt_pack_version(out, VERSION, more ? MORE_NEEDS : NEEDS);
    lnt_pack_str(out, LNT_STR(LNT_VERSION));
    head = lnt_pack_begin(out);
    lnt_pack_str(out, lnt_str_c(e->id));
    lnt_pack_str(out, lnt_str_c(e->protocol->name));
    lnt_pack_str(out, lnt_str_c(e->app ? e->app->name : ""));
    lnt_pack_u32(out, c->state);
    lnt_pack_u32(out, lnt_net_time(c->net) - c->opened);
    lnt_pack_u64(out,
                 c->visit ? lnt_zone_peer_name(c->net->zone, c->visit) : 0);
    lnt_pack_u32(out, flags);
    part = lnt_pack_begin(out);
    if (detached)
        lnt_detached_pack(c, out);
    lnt_pack_end(out, part);
    lnt_pack_end(out, head);
}

static void
pack_output(const struct lnt_conn *c, struct lnt_strbuf *out)
{
    size_t output = lnt_pack_begin(out);
    bool sealed = (c->flags & LNT_F_FILTERED) && lnt_conn_filter(c)->sealed;
    if (c->out && !sealed)
        lnt_strbuf_add(out, c->out->data + c->out_off,
                       c->out->len - c->out_off);
    for (uint32_t i = 0; c->more && i < c->more->n; i++) {
        const struct lnt_buf *b =
            c->more->bufs[(c->more->head + i) & (c->more->cap - 1)];
        lnt_strbuf_add(out, b->data, b->len);
    }
    lnt_pack_end(out, output);
}

/* The pieces that most do not have. */
static int
pack_more(const struct lnt_conn *c, struct lnt_strbuf *out)
{
    bool filtered = c->flags & LNT_F_FILTERED;
    struct lnt_strbuf calls = LNT_STRBUF_INIT;
    int rc = 0;
    lnt_events_freeze(c, &calls);
    if (filtered || calls.n > 0) {
        size_t filter = lnt_pack_begin(out);
        if (filtered)
            rc = lnt_filter_freeze(c, out);
        lnt_pack_end(out, filter);
    }
    if (calls.n > 0)
        lnt_pack_str(out, lnt_strbuf_str(&calls));
    lnt_strbuf_release(&calls);
    return rc;
}

/* 0 or a negative errno. */
static int
pack(struct lnt_conn *c, struct lnt_strbuf *out)
{
    const struct lnt_endpoint *e = c->session.endpoint;
    struct lnt_strbuf state = LNT_STRBUF_INIT;
    int rc =
        e->protocol->protocol->freeze(&c->session, &state) < 0 ? -EBUSY : 0;
    pack_head(c, out);
    lnt_pack_str(out, lnt_strbuf_str(&state));
    lnt_strbuf_clear(&state);
    if (rc == 0)
        rc = lnt_app_freeze(c, &state) < 0 ? -EAGAIN : 0;
    lnt_pack_str(out, lnt_strbuf_str(&state));
    lnt_pack_str(out, c->in ? lnt_str(c->in->data, c->in->n) : lnt_str("", 0));
    pack_output(c, out);
    if (rc == 0)
        rc = pack_more(c, out) < 0 ? -EBUSY : 0;
    lnt_strbuf_release(&state);
    return rc;
}

int
lnt_move_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    struct lnt_conn *c = lnt_conn_of(s);
    size_t before = out->n;
    int instead = -1;
    /* Whoever takes connections over a link expects a descriptor with each. */
    if (lnt_conn_is_detached(c)) {
        instead = lnt_eventfd_create();
        if (instead < 0) {
            errno = EAGAIN;
            return -1;
        }
    }
    int rc = may_move(c) ? pack(c, out) : -EBUSY;
    if (rc < 0) {
        out->n = before;
        if (instead >= 0)
            close(instead);
        errno = -rc;
        return -1;
    }
    lnt_count(c->net->stats, LNT_C_MOVED_OUT);
    int fd = lnt_conn_detach(c);
    return fd < 0 ? instead : fd;
}

/* ---- thaw ---- */

/* "linnet 0.2.0"; printable, as it may be anything. */
static void
add_writer(struct lnt_strbuf *out, struct lnt_str writer)
{
    if (writer.n == 0) {
        lnt_strbuf_adds(out, "linnet 0.1.0 or older");
        return;
    }
    lnt_strbuf_adds(out, "linnet ");
    for (size_t i = 0; i < writer.n && i < WRITER_MAX; i++) {
        char c = writer.p[i];
        lnt_strbuf_addc(out, c > ' ' && c <= '~' ? c : '?');
    }
}

/* What is wrong with something that linnet wrote; error: as thaw left it. */
static const char *
tell(struct lnt_net *n, const char *what, const char *name,
     struct lnt_str writer, struct lnt_str bytes, int error)
{
    struct lnt_pack_version v = {0, 0};
    struct lnt_strbuf *why = &n->refusal;
    lnt_strbuf_clear(why);
    lnt_strbuf_addf(why, "%s%s, written by ", what, name);
    add_writer(why, writer);
    if (error == ENOTSUP)
        (void)lnt_unpack_version(&bytes, 0, &v);
    if (v.needs)
        lnt_strbuf_addf(why,
                        ", is of version %u and needs a reader of version %u "
                        "or newer; that of this process, linnet " LNT_VERSION
                        ", is older",
                        v.is, v.needs);
    else if (error == ENOENT)
        lnt_strbuf_adds(why, ", refers to something that no longer exists");
    else
        lnt_strbuf_adds(why, ", cannot be read");
    return why->p;
}

static bool
unpack_head(struct lnt_str *in, struct frozen *f)
{
    return lnt_unpack_str(in, &f->endpoint) &&
           lnt_unpack_str(in, &f->protocol) && lnt_unpack_str(in, &f->app) &&
           lnt_unpack_u32(in, &f->state) && lnt_unpack_u32(in, &f->age) &&
           lnt_unpack_u64(in, &f->visit) && f->state <= LNT_CONN_READY;
}

static bool
unpack_pieces(struct lnt_str *in, struct frozen *f)
{
    return lnt_unpack_str(in, &f->protocol_state) &&
           lnt_unpack_str(in, &f->app_state) && lnt_unpack_str(in, &f->input) &&
           lnt_unpack_str(in, &f->output);
}

static bool
unpack(struct lnt_net *n, struct lnt_str bytes, struct frozen *f,
       const char **why)
{
    struct lnt_str rest = bytes, from_version, head;
    struct lnt_pack_version v;
    uint32_t magic;
    *why = "the bytes of a moved connection cannot be read";
    if (!lnt_unpack_u32(&rest, &magic) || magic != MAGIC)
        return false;
    from_version = rest;
    int error = lnt_unpack_version(&rest, VERSION, &v) ? EPROTO : errno;
    if (v.is == OLD_VERSION && v.needs == 0)
        return unpack_head(&rest, f) && unpack_pieces(&rest, f) && rest.n == 0;
    if (v.is < NEEDS || !lnt_unpack_str(&rest, &f->writer))
        return false;
    if (error != ENOTSUP && lnt_unpack_part(&rest, &head) &&
        unpack_head(&head, f) && lnt_unpack_late_u32(&head, &f->flags) &&
        lnt_unpack_late_str(&head, &f->detached) &&
        !(f->flags & ~(uint32_t)KNOWN_FLAGS) && unpack_pieces(&rest, f) &&
        lnt_unpack_late_str(&rest, &f->filter) &&
        lnt_unpack_late_str(&rest, &f->calls))
        return true;
    *why = tell(n, "a moved connection", "", f->writer, from_version, error);
    return false;
}

static bool
fits(const struct lnt_endpoint *e, const struct frozen *f)
{
    return lnt_str_eq(f->protocol, lnt_str_c(e->protocol->name)) &&
           lnt_str_eq(f->app, lnt_str_c(e->app ? e->app->name : "")) &&
           e->protocol->protocol->thaw &&
           (f->flags & DETACHED ? f->filter.n == 0
                                : lnt_filter_fits(e, f->filter));
}

/* Counted for its address as it was, or from now on; it is here, so however
   many there are. */
static void
count_peer(struct lnt_conn *c, uint64_t name)
{
    struct lnt_net *n = c->net;
    struct lnt_addr peer;
    struct lnt_network net;
    if (name && n->zone && lnt_zone_peer_move(n->zone, name, n->cell) == 0)
        c->visit = (uint32_t)name;
    if (c->visit || !n->counts_peers ||
        lnt_session_peer(&c->session, &peer) < 0 ||
        !lnt_addr_network(&peer, &net))
        return;
    if (lnt_zone_peer_enter(n->zone, &net, n->cell, 0, &c->visit) < 0)
        lnt_count(n->stats, LNT_C_UNCOUNTED);
}

static void
thaw_app(struct lnt_conn *c, const struct frozen *f)
{
    errno = EPROTO;
    if (lnt_app_thaw(c, f->app_state) == 0 && lnt_events_thaw(c, f->calls) == 0)
        return;
    bool gone = errno == ENOENT;
    const char *why =
        tell(c->net, "the state of its application ",
             c->session.endpoint->app->name, f->writer, f->app_state, errno);
    /* Of all members of rooms, after an upgrade with a new zone: the master has
       warned of that. */
    if (gone)
        lnt_log_info("a connection cannot be taken over and ends: %s", why);
    else
        lnt_log_warn("a connection cannot be taken over and ends: %s", why);
    lnt_conn_ask_close(c, LNT_CLOSE_RESTART, "cannot be taken over");
}

static struct lnt_session *
refuse(int fd, int error, const char *text, const char **why)
{
    *why = text;
    if (fd >= 0)
        close(fd);
    errno = error;
    return NULL;
}

static struct lnt_conn *
attach(struct lnt_net *n, int fd, const struct lnt_endpoint *e,
       const struct frozen *f, const char **why)
{
    struct lnt_conn *c;
    if (f->flags & DETACHED) {
        c = lnt_detached_unpack(n, e, f->detached, why);
        int error = errno;
        close(fd);
        errno = error;
        return c;
    }
    c = lnt_conn_attach(n, fd, e);
    if (c)
        count_peer(c, f->visit);
    else
        (void)refuse(-1, ENFILE, "no room for a moved connection", why);
    return c;
}

struct lnt_session *
lnt_move_thaw(struct lnt_net *n, int fd, struct lnt_str bytes,
              const struct lnt_endpoint *(*find)(void *arg,
                                                 struct lnt_str name),
              void *arg, const char **why)
{
    struct frozen f = {0};
    if (!unpack(n, bytes, &f, why))
        return refuse(fd, EPROTO, *why, why);
    const struct lnt_endpoint *e = find(arg, f.endpoint);
    /* Without its endpoint there is nobody to say goodbye for it. */
    if (!e || !fits(e, &f))
        return refuse(fd, ENOENT,
                      "a moved connection's listener or route is gone", why);
    struct lnt_conn *c = attach(n, fd, e, &f, why);
    if (!c)
        return NULL;
    const struct lnt_protocol *p = e->protocol->protocol;
    struct lnt_str sealed = lnt_str("", 0);
    c->flags |= LNT_F_COMING;
    c->opened -= f.age;
    errno = EPROTO;
    if (p->thaw(&c->session, f.protocol_state) < 0) {
        *why = tell(n, "the state of its protocol ", e->protocol->name,
                    f.writer, f.protocol_state, errno);
        lnt_conn_kill(c);
        return refuse(-1, EPROTO, *why, why);
    }
    errno = EPROTO;
    if (f.filter.n && lnt_filter_thaw(c, f.filter, &sealed) < 0) {
        *why = tell(n, "what filters it", "", f.writer, f.filter, errno);
        lnt_conn_kill(c);
        return refuse(-1, EPROTO, *why, why);
    }
    if (sealed.n)
        lnt_output_sealed(c, sealed);
    if (f.output.n)
        lnt_output_copy(c, f.output.p, f.output.n);
    if (f.input.n)
        lnt_conn_keep(c, f.input.p, f.input.n);
    if (f.state == LNT_CONN_READY)
        thaw_app(c, &f);
    if (f.flags & AGAIN) {
        c->handover = LNT_HANDOVER_AGAIN;
        lnt_output_touch(c);
    }
    /* One with a filter stays so until lnt_move_go. */
    if (!f.filter.n)
        c->flags &= (uint16_t)~LNT_F_COMING;
    /* It came while we were going ourselves. */
    if (n->draining)
        lnt_conn_ask_close(c, LNT_CLOSE_AWAY, "server is going away");
    lnt_deadline_set(c);
    lnt_count(n->stats, LNT_C_MOVED_IN);
    return &c->session;
}

bool
lnt_move_waits(const struct lnt_session *s)
{
    return lnt_conn_of(s)->flags & LNT_F_COMING;
}

void
lnt_move_go(struct lnt_session *s)
{
    struct lnt_conn *c = lnt_conn_of(s);
    if (!(c->flags & LNT_F_COMING))
        return;
    c->flags &= (uint16_t)~LNT_F_COMING;
    lnt_output_touch(c);
}
