/*
 * Taking over from an older binary.
 *
 * It may be of another release.  What it hands over begins with a word, and
 * what this binary does not know is skipped, but for what begins with "must ":
 * that is refused by name.  So a release that hands over more says so in a
 * frame with a word of its own; in one with "must " in front where a binary
 * that skipped it would do harm.  A known word keeps its form; more may follow
 * behind what there was.
 */
#include "master/takeover.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "ipc/reasons.h"
#include "master/broadcast.h"
#include "master/master.h"
#include "master/moves.h"
#include "master/values.h"
#include "os/fds.h"
#include "os/socket.h"
#include "zone/zone.h"

enum { HAND_TIME = 10000 }; /* ms for the frames to come */

struct receiver {
    struct lnt_master *m;
    struct lnt_strbuf *why;
    bool ended, bad;
    bool keep; /* the zone: an upgrade with a new one was not asked for */
};

static void
refuse(struct receiver *r, const char *text)
{
    r->bad = true;
    lnt_strbuf_adds(r->why, text);
}

static void
take_value(struct receiver *r, struct lnt_str payload)
{
    size_t head = sizeof("value");
    struct lnt_dict *d = &r->m->dict;
    struct lnt_dict_change c;
    struct lnt_str change = lnt_str(payload.p + head, payload.n - head);
    uint64_t newest = d->version;
    if (payload.n < head || lnt_dict_decode(change, &c) < 0 || c.unset) {
        refuse(r, "a shared value that was handed over cannot be read");
        return;
    }
    lnt_dict_apply(d, c.key, &c.value, c.version);
    d->version = newest; /* theirs came first, with the zone */
}

/* What it begins with is known, but not what follows: it is not a part of the
   hand-over that can be left out. */
static bool
is_known(const char *text)
{
    static const char *const words[] = {"end",       "zone",  "giver",
                                        "doorbells", "value", "listen"};
    size_t n = strcspn(text, " ");
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strlen(words[i]) == n && memcmp(words[i], text, n) == 0)
            return true;
    return false;
}

static void
take_unknown(struct receiver *r, const char *text)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    if (strncmp(text, "must ", 5) == 0)
        lnt_strbuf_addf(&why,
                        "the old master demands \"%.64s\", which this binary "
                        "does not know; upgrade to a newer one, or without "
                        "what demands it",
                        text + 5);
    else if (is_known(text))
        lnt_strbuf_addf(&why,
                        "what the old master hands over as \"%.64s\" "
                        "cannot be read",
                        text);
    if (why.n)
        refuse(r, why.p);
    else
        lnt_log_info("what the old master hands over as \"%.64s\" is not "
                     "known here and is left out",
                     text);
    lnt_strbuf_release(&why);
}

/* Owns fd.  Nothing has been touched yet, and nothing is when it is refused.  A
   zone that is locked can be kept the next time, so no history is given up for
   that. */
static void
take_zone(struct receiver *r, int fd)
{
    struct lnt_master *m = r->m;
    struct lnt_strbuf problem = LNT_STRBUF_INIT;
    m->zone = lnt_zone_attach(fd, &problem);
    bool busy = !m->zone && errno == EBUSY;
    if (!m->zone && (r->keep || busy)) {
        refuse(r, "the zone cannot be kept: ");
        lnt_strbuf_addf(r->why, "%s; %s", problem.p,
                        busy ? "try again" : LNT_TAKEOVER_HINT);
    } else if (!m->zone) {
        m->zone_refused = lnt_strdup(problem.p); /* told when the log is open */
    }
    lnt_strbuf_release(&problem);
}

static void
take_frame(struct receiver *r, const struct lnt_frame *f)
{
    struct lnt_master *m = r->m;
    char *text = lnt_strndup(f->payload.p, f->payload.n);
    const char *why;
    unsigned number;
    unsigned long long version;
    if (strcmp(text, "end") == 0) {
        r->ended = true;
    } else if (strcmp(text, LNT_TAKEOVER_KEEP) == 0) {
        r->keep = true;
    } else if (sscanf(text, "zone %u %llu", &number, &version) == 2 &&
               f->nfds == 1) {
        m->now.number = number;
        m->dict.version = version;
        take_zone(r, f->fds[0]);
        f->fds[0] = -1;
    } else if (sscanf(text, "giver %u", &number) == 1) {
        m->older_givers =
            lnt_realloc(m->older_givers,
                        (m->nolder_givers + 1) * sizeof(m->older_givers[0]));
        m->older_givers[m->nolder_givers++] = number;
    } else if (strcmp(text, "doorbells") == 0 && m->zone_refused) {
        /* They belong to the cells of the zone that is not kept: shared with
           the old workers, one would answer what was meant for the other. */
    } else if (strcmp(text, "doorbells") == 0 && f->nfds > 0 &&
               f->nfds <= LNT_CELLS) {
        for (size_t i = 0; i < f->nfds; i++) {
            m->doorbells[i] = f->fds[i];
            f->fds[i] = -1;
        }
    } else if (strcmp(text, "value") == 0) {
        take_value(r, f->payload);
    } else if (strncmp(text, "listen ", 7) == 0 && f->nfds == 1) {
        struct lnt_addr addr;
        if (lnt_addr_parse(&addr, text + 7, &why) < 0) {
            refuse(r, "an address that was handed over cannot be read");
        } else {
            lnt_socket_adopt(&addr, f->fds[0]);
            lnt_sockets_add(&m->inherited, &addr, f->fds[0]);
            f->fds[0] = -1;
        }
    } else {
        take_unknown(r, text);
    }
    free(text);
}

/* The frames come before there is a loop to speak of: wait for each. */
static bool
receive_one(struct receiver *r, int fd)
{
    static char buf[64 * 1024];
    int fds[LNT_FDS_MAX];
    struct lnt_frame f = {.fds = fds, .nfds = LNT_FDS_MAX};
    struct pollfd p = {.fd = fd, .events = POLLIN};
    const char *why;
    if (poll(&p, 1, HAND_TIME) <= 0) {
        refuse(r, "nothing came from the old master");
        return false;
    }
    ssize_t n = lnt_socket_recv_fds(fd, buf, sizeof(buf), fds, &f.nfds);
    if (n <= 0) {
        refuse(r, "the old master is gone");
        return false;
    }
    int rc = lnt_frame_decode(buf, (size_t)n, 0, &f, &why);
    if (rc < 0)
        refuse(r, why);
    else if (rc > 0 && f.type == LNT_FRAME_HAND)
        take_frame(r, &f);
    for (size_t i = 0; i < f.nfds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    return !r->bad;
}

/* The old master while we start, and until it knows that we serve. */
struct older {
    struct lnt_channel channel; /* first: m->older */
    struct lnt_master *m;
};

/* Values that were changed since they were handed over, and broadcasts while
   connections move. */
static void
on_older_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct lnt_master *m = ((struct older *)c)->m;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_dict_change v;
    uint64_t version;
    size_t head = sizeof("value");
    if (f->type == LNT_FRAME_BROADCAST)
        lnt_broadcast_take(m, f->payload);
    if (f->type != LNT_FRAME_HAND || f->payload.n < head ||
        memcmp(f->payload.p, "value", head) != 0)
        return;
    struct lnt_str change = lnt_str(f->payload.p + head, f->payload.n - head);
    if (lnt_dict_decode(change, &v) < 0)
        lnt_strbuf_adds(&why, "it cannot be read");
    else
        (void)lnt_values_change(m, v.key, v.unset ? NULL : &v.value, &version,
                                &why);
    if (why.n)
        lnt_log_error("a value that the old master changed: %s", why.p);
    lnt_strbuf_release(&why);
}

static void
remove_old_pidfile(const struct lnt_master *m)
{
    struct lnt_strbuf path = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&path, "%s.old", m->now.config->pid_path);
    (void)unlink(path.p);
    lnt_strbuf_release(&path);
}

static void
older_gone(struct lnt_channel *c, bool broken, const char *why)
{
    struct older *o = (struct older *)c;
    (void)broken;
    (void)why;
    lnt_channel_close(c);
    /* If it was killed it could not remove that. */
    if (o->m->state == LNT_MASTER_RUNNING && !o->m->upgrade)
        remove_old_pidfile(o->m);
    o->m->neighbour = NULL;
    o->m->older = NULL; /* if we do not serve yet, we will without it */
    if (o->m->zone)
        lnt_zone_rebuild(o->m->zone); /* it may have been of an older release */
    lnt_loop_free(o->m->loop, o);
}

static const struct lnt_channel_handler new_handler = {.frame = on_older_frame,
                                                       .closed = older_gone};

int
lnt_takeover_receive(struct lnt_master *m, struct lnt_strbuf *why)
{
    const char *value = getenv(LNT_TAKEOVER_ENV);
    struct receiver r = {.m = m, .why = why};
    if (!value)
        return 0;
    int fd = atoi(value);
    if (fd < 3 || lnt_fd_cloexec(fd, 1) < 0) {
        lnt_strbuf_adds(why, LNT_TAKEOVER_ENV
                        " names no descriptor; it is not meant "
                        "to be set by hand");
        return -1;
    }
    while (!r.ended)
        if (!receive_one(&r, fd))
            return -1;
    struct older *o = lnt_calloc(1, sizeof(*o));
    o->m = m;
    m->older = &o->channel;
    if (lnt_channel_open(m->older, m->loop, fd, 0, &new_handler) == 0) {
        m->received = true;
        return 0;
    }
    lnt_strbuf_addf(why, "channel to the old master: %s", strerror(errno));
    free(m->older);
    m->older = NULL;
    return -1;
}

void
lnt_takeover_refuse(struct lnt_master *m, const char *why)
{
    const char *value = getenv(LNT_TAKEOVER_ENV);
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_reason_add(&text, lnt_str_c(why));
    /* Once received, the descriptor is the channel's, or has been closed. */
    if (m && m->received && m->older)
        (void)lnt_channel_send(m->older, LNT_FRAME_FAILED, 0,
                               lnt_strbuf_str(&text), NULL, 0);
    else if (!(m && m->received) && value && atoi(value) >= 3)
        (void)lnt_frame_send(atoi(value), LNT_FRAME_FAILED,
                             lnt_strbuf_str(&text));
    lnt_strbuf_release(&text);
}

/* For tests: LINNET_TEST_TAKEN names a file.  When it is there it is removed,
   the old master is stopped, and this one ends right after it has taken
   over. */
static bool
is_to_die(void)
{
#ifdef LNT_DEBUG_BUILD
    const char *path = getenv("LINNET_TEST_TAKEN");
    return path && unlink(path) == 0 && kill(getppid(), SIGSTOP) == 0;
#else
    return false;
#endif
}

static const char *
zone_fate(const struct lnt_master *m)
{
    if (m->zone_refused)
        return m->zone_refused;
    return LNT_TAKEOVER_KEPT;
}

/* What the configuration asks for and an upgrade does not do. */
static void
warn_of_size(const struct lnt_master *m)
{
    if (m->received && !m->zone_refused &&
        !lnt_zone_has_size(m->zone, m->now.config->server->zone_size))
        lnt_log_warn("the zone of the old binary keeps its size; a restart "
                     "makes one of the zone_size in [server]");
}

void
lnt_takeover_done(struct lnt_master *m)
{
    warn_of_size(m);
    if (!m->older) {
        if (m->received) /* the old master was killed before */
            remove_old_pidfile(m);
        return;
    }
    bool dies = is_to_die();
    m->neighbour = m->older;
    lnt_moves_link_older(m);
    if (lnt_channel_send(m->older, LNT_FRAME_TAKEN, 0, lnt_str_c(zone_fate(m)),
                         NULL, 0) < 0)
        lnt_log_error("cannot tell the old master: %s", strerror(errno));
    if (dies)
        (void)raise(SIGKILL);
    /* It closes the channel when it knows; until then values may come. */
}
