/*
 * Binary upgrade.
 */
#include "proc/upgrade.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "hub/zone.h"
#include "os/clock.h"
#include "os/fds.h"
#include "os/process.h"
#include "os/socket.h"
#include "proc/askers.h"
#include "proc/child.h"
#include "proc/control.h"
#include "proc/lock_watch.h"
#include "proc/master.h"
#include "proc/moves.h"
#include "proc/values.h"

enum {
    HAND_TIME = 10000, /* ms for the frames to come */
    EXTRA_TIME = 5000, /* ms beyond start_timeout for the new binary */
};

#define ENV_NAME "LINNET_HANDOVER"

struct lnt_upgrade {
    struct lnt_master *m;
    pid_t pid;
    struct lnt_channel channel;
    struct lnt_asker *askers;
    struct lnt_timer timer;
    char *pid_path, *old_pid_path;
    bool late;
};

/* ---- the old master ---- */

static void
fail(struct lnt_master *m, const char *text)
{
    struct lnt_upgrade *u = m->upgrade;
    struct lnt_asker *askers = u->askers;
    m->upgrade = NULL;
    m->newer = NULL;
    m->newer_pid = 0;
    m->reopen_again = false;
    if (u->pid > 0)
        (void)kill(u->pid, SIGKILL);
    lnt_channel_close(&u->channel);
    lnt_timer_stop(m->loop, &u->timer);
    if (u->old_pid_path && rename(u->old_pid_path, u->pid_path) < 0)
        lnt_log_error("cannot take back %s: %s", u->pid_path, strerror(errno));
    if (lnt_control_retake(m->control) < 0)
        lnt_log_alert("control socket: %s", strerror(errno));
    lnt_moves_cancel(m);
    free(u->pid_path);
    free(u->old_pid_path);
    lnt_loop_free(m->loop, u);
    lnt_log_error("upgrade failed, this binary goes on: %s", text);
    lnt_askers_tell(&askers, false, text);
}

static void
on_taken(struct lnt_master *m)
{
    struct lnt_upgrade *u = m->upgrade;
    struct lnt_asker *askers = u->askers;
    char text[96], state[64];
    m->upgrade = NULL;
    m->newer = NULL;
    m->newer_pid = 0;
    m->handed_over = true;
    snprintf(text, sizeof(text), "upgraded, pid %d took over from pid %d",
             (int)u->pid, (int)getpid());
    snprintf(state, sizeof(state), "MAINPID=%d\nREADY=1", (int)u->pid);
    lnt_log_notice("%s", text);
    lnt_sd_notify(state);
    lnt_timer_stop(m->loop, &u->timer);
    (void)unlink(u->old_pid_path);
    free(u->pid_path);
    free(u->old_pid_path);
    m->upgraded = u; /* its channel stays until our connections have moved */
    /* It opened its logs when it began. */
    if (m->reopen_again)
        (void)kill(u->pid, SIGUSR1);
    lnt_askers_tell(&askers, true, text);
    m->commands->end(m, false, NULL);
    m->commands->settled(m);
}

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct lnt_upgrade *u =
        (struct lnt_upgrade *)((uintptr_t)c -
                               offsetof(struct lnt_upgrade, channel));
    uint32_t incarnation;
    struct lnt_str payload = f->payload;
    if (f->type == LNT_FRAME_TAKEN) {
        on_taken(u->m);
    } else if (f->type == LNT_FRAME_LINK && f->nfds == 1 &&
               lnt_unpack_u32(&payload, &incarnation)) {
        lnt_moves_forward(u->m, incarnation, f->fds[0]);
    } else if (f->type == LNT_FRAME_FAILED) {
        char *why = lnt_strndup(f->payload.p, f->payload.n);
        struct lnt_strbuf text = LNT_STRBUF_INIT;
        lnt_strbuf_addf(&text, "the new binary: %s", why);
        fail(u->m, text.p);
        lnt_strbuf_release(&text);
        free(why);
    }
}

static void
on_closed(struct lnt_channel *c, bool broken, const char *why)
{
    (void)broken;
    (void)why;
    lnt_channel_close(c); /* SIGCHLD says how it ended */
}

static const struct lnt_channel_handler old_handler = {.frame = on_frame,
                                                       .closed = on_closed};

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_upgrade *u =
        (struct lnt_upgrade *)((uintptr_t)t -
                               offsetof(struct lnt_upgrade, timer));
    fail(u->m, "the new binary did not get ready in time");
}

bool
lnt_upgrade_reap(struct lnt_master *m, pid_t pid, int status)
{
    if (!m->upgrade || m->upgrade->pid != pid)
        return false;
    char how[96];
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    m->upgrade->pid = 0;
    m->newer_pid = 0;
    lnt_channel_poll(&m->upgrade->channel); /* its reason may wait there */
    if (m->upgrade) {
        lnt_strbuf_addf(&text, "the new binary %s before it was ready",
                        lnt_child_how(status, how, sizeof(how)));
        fail(m, text.p);
        lnt_strbuf_release(&text);
    }
    return true;
}

void
lnt_upgrade_cancel(struct lnt_master *m, const char *why)
{
    m->upgrade_again = false;
    lnt_askers_tell(&m->upgrade_askers, false, why);
    if (m->upgrade)
        fail(m, why);
}

_Noreturn static void
run_new_binary(const struct lnt_master *m, int fd)
{
    char value[16];
    lnt_signals_reset();
    (void)lnt_fd_cloexec(fd, 0);
    snprintf(value, sizeof(value), "%d", fd);
    if (setenv(ENV_NAME, value, 1) == 0)
        execv(m->binary, m->argv);
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_channel c = {.watch.fd = fd, .loop = m->loop, .tail = &c.head};
    lnt_strbuf_addf(&why, "cannot run %s: %s", m->binary, strerror(errno));
    (void)lnt_channel_send(&c, LNT_FRAME_FAILED, 0, lnt_strbuf_str(&why), NULL,
                           0);
    _exit(127);
}

/* One frame of descriptors; text says what they are. */
static int
hand(struct lnt_upgrade *u, struct lnt_strbuf *text, const int *fds, size_t n)
{
    int rc = lnt_channel_send(&u->channel, LNT_FRAME_HAND, 0,
                              lnt_strbuf_str(text), fds, n);
    lnt_strbuf_clear(text);
    return rc;
}

static int
hand_values(struct lnt_upgrade *u, struct lnt_strbuf *text)
{
    const struct lnt_dict *d = &u->m->dict;
    const struct lnt_dict_entry **all = lnt_dict_sorted(d);
    int rc = 0;
    lnt_strbuf_clear(text);
    for (size_t i = 0; rc == 0 && i < d->n; i++) {
        lnt_strbuf_add(text, "value", sizeof("value"));
        lnt_dict_encode(text, all[i]->key, &all[i]->value, all[i]->version);
        rc = hand(u, text, NULL, 0);
    }
    free(all);
    return rc;
}

static int
hand_all(struct lnt_upgrade *u)
{
    struct lnt_master *m = u->m;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    char addr[LNT_ADDR_TEXT];
    int zone = lnt_zone_fd(m->zone);
    size_t bells = 0;
    while (bells < LNT_CELLS && m->doorbells[bells] >= 0)
        bells++;
    lnt_strbuf_addf(&text, "zone %u %llu", m->now.number,
                    (unsigned long long)m->dict.version);
    int rc = hand(u, &text, &zone, 1);
    /* Of one that has died: whoever takes its place will give. */
    for (size_t i = 0; rc == 0 && i < m->now.nslots; i++) {
        const struct lnt_slot *s = &m->now.slots[i];
        lnt_strbuf_addf(&text, "giver %u",
                        s->child ? s->child->incarnation : s->last_incarnation);
        rc = hand(u, &text, NULL, 0);
    }
    lnt_strbuf_adds(&text, "doorbells");
    if (rc == 0)
        rc = hand(u, &text, m->doorbells, bells);
    for (size_t i = 0; rc == 0 && i < m->now.sockets.n; i++) {
        const struct lnt_socket *s = &m->now.sockets.v[i];
        lnt_strbuf_addf(&text, "listen %s",
                        lnt_addr_format(&s->addr, addr, sizeof(addr)));
        rc = hand(u, &text, &s->fd, 1);
    }
    if (rc == 0)
        rc = hand_values(u, &text);
    lnt_strbuf_adds(&text, "end");
    if (rc == 0)
        rc = hand(u, &text, NULL, 0);
    lnt_strbuf_release(&text);
    return rc;
}

static int
launch(struct lnt_upgrade *u)
{
    struct lnt_master *m = u->m;
    int fds[2];
    if (lnt_socket_pair(fds) < 0)
        return -1;
    u->pid = fork();
    if (u->pid == 0)
        run_new_binary(m, fds[1]);
    int error = errno;
    close(fds[1]);
    if (u->pid < 0) {
        close(fds[0]);
        u->pid = 0;
        errno = error;
        return -1;
    }
    m->newer_pid = u->pid;
    if (lnt_channel_open(&u->channel, m->loop, fds[0], 0, &old_handler) < 0)
        return -1;
    /* One that has ended already says why, or its exit status does. */
    if (hand_all(u) < 0 && errno != EPIPE && errno != ECONNRESET)
        return -1;
    m->newer = &u->channel;
    return 0;
}

static void
start(struct lnt_master *m, struct lnt_asker *askers)
{
    struct lnt_upgrade *u = lnt_calloc(1, sizeof(*u));
    struct lnt_strbuf old = LNT_STRBUF_INIT;
    u->m = m;
    u->askers = askers;
    u->timer.fn = on_timer;
    u->channel.watch.fd = -1;
    m->upgrade = u;
    u->pid_path = lnt_strdup(m->now.config->pid_path);
    lnt_strbuf_addf(&old, "%s.old", u->pid_path);
    lnt_log_notice("upgrading: starting %s", m->binary);
    if (rename(u->pid_path, old.p) < 0) {
        lnt_strbuf_release(&old);
        fail(m, "cannot rename the pidfile");
        return;
    }
    u->old_pid_path = lnt_strbuf_detach(&old);
    lnt_timer_at(m->loop, &u->timer,
                 lnt_loop_now(m->loop) + m->now.config->server->start_timeout +
                     EXTRA_TIME);
    if (launch(u) < 0)
        fail(m, strerror(errno));
}

void
lnt_upgrade_start(struct lnt_master *m, struct lnt_asker *a)
{
    struct lnt_asker *askers = NULL;
    if (m->state == LNT_MASTER_RUNNING && !m->bringup && !m->upgrade &&
        (lnt_moves_going(m) || !lnt_lock_ready(m))) {
        m->upgrade_again = true;
        lnt_askers_add(&m->upgrade_askers, a);
        return;
    }
    lnt_askers_add(&askers, a);
    if (m->upgrade || m->bringup || m->state != LNT_MASTER_RUNNING) {
        lnt_log_error("upgrade refused: another change is going on");
        lnt_askers_tell(&askers, false,
                        "another reload, upgrade or shutdown is going on");
        return;
    }
    start(m, askers);
}

void
lnt_upgrade_next(struct lnt_master *m)
{
    struct lnt_asker *waiting = m->upgrade_askers;
    if (m->upgraded && !lnt_moves_going(m)) {
        lnt_channel_close(&m->upgraded->channel);
        lnt_loop_free(m->loop, m->upgraded);
        m->upgraded = NULL;
    }
    if (!m->upgrade_again || m->bringup || m->upgrade ||
        m->state != LNT_MASTER_RUNNING || lnt_moves_going(m) ||
        !lnt_lock_ready(m))
        return;
    m->upgrade_again = false;
    m->upgrade_askers = NULL;
    start(m, waiting);
}

/* ---- the new master ---- */

struct receiver {
    struct lnt_master *m;
    struct lnt_strbuf *why;
    bool ended, bad;
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
    } else if (sscanf(text, "zone %u %llu", &number, &version) == 2 &&
               f->nfds == 1) {
        struct lnt_strbuf problem = LNT_STRBUF_INIT;
        m->now.number = number;
        m->dict.version = version;
        m->zone = lnt_zone_attach(f->fds[0], &problem);
        f->fds[0] = -1;
        if (!m->zone)
            lnt_log_notice("the old zone is not kept: %s", problem.p);
        lnt_strbuf_release(&problem);
    } else if (sscanf(text, "giver %u", &number) == 1) {
        m->older_givers =
            lnt_realloc(m->older_givers,
                        (m->nolder_givers + 1) * sizeof(m->older_givers[0]));
        m->older_givers[m->nolder_givers++] = number;
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
        refuse(r, "the old master hands over what is not known here");
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
    if (lnt_frame_decode(buf, (size_t)n, 0, &f, &why) < 0)
        refuse(r, why);
    else if (f.type == LNT_FRAME_HAND)
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

/* Values that were changed since they were handed over. */
static void
on_older_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct lnt_master *m = ((struct older *)c)->m;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_dict_change v;
    uint64_t version;
    size_t head = sizeof("value");
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
older_gone(struct lnt_channel *c, bool broken, const char *why)
{
    struct older *o = (struct older *)c;
    (void)broken;
    (void)why;
    lnt_channel_close(c);
    o->m->older = NULL; /* if we do not serve yet, we will without it */
    lnt_loop_free(o->m->loop, o);
    o->m->commands->settled(o->m);
}

static const struct lnt_channel_handler new_handler = {.frame = on_older_frame,
                                                       .closed = older_gone};

int
lnt_upgrade_receive(struct lnt_master *m, struct lnt_strbuf *why)
{
    const char *value = getenv(ENV_NAME);
    struct receiver r = {.m = m, .why = why};
    if (!value)
        return 0;
    int fd = atoi(value);
    if (fd < 3 || lnt_fd_cloexec(fd, 1) < 0) {
        lnt_strbuf_adds(why, ENV_NAME " names no descriptor; it is not meant "
                                      "to be set by hand");
        return -1;
    }
    while (!r.ended)
        if (!receive_one(&r, fd))
            return -1;
    struct older *o = lnt_calloc(1, sizeof(*o));
    o->m = m;
    m->older = &o->channel;
    if (lnt_channel_open(m->older, m->loop, fd, 0, &new_handler) == 0)
        return 0;
    lnt_strbuf_addf(why, "channel to the old master: %s", strerror(errno));
    free(m->older);
    m->older = NULL;
    return -1;
}

void
lnt_upgrade_taken(struct lnt_master *m)
{
    if (!m->older)
        return;
    lnt_moves_link_older(m);
    if (lnt_channel_send(m->older, LNT_FRAME_TAKEN, 0, lnt_str("", 0), NULL,
                         0) < 0)
        lnt_log_error("cannot tell the old master: %s", strerror(errno));
    /* It closes the channel when it knows; until then values may come. */
}
