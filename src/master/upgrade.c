/*
 * Binary upgrade: the old master's half; the new one's is takeover.c.
 */
#include "master/upgrade.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "ipc/reasons.h"
#include "master/broadcast.h"
#include "master/control.h"
#include "master/diagnosis.h"
#include "master/lock_watch.h"
#include "master/master.h"
#include "master/moves.h"
#include "master/run_files.h"
#include "master/takeover.h"
#include "os/fds.h"
#include "os/process.h"
#include "os/socket.h"
#include "zone/zone.h"

enum {
    EXTRA_TIME = 5000, /* ms beyond start_timeout for the new binary */
    LATE = 1000,       /* ms after its time: we did not run meanwhile */
};

struct lnt_upgrade {
    struct lnt_master *m;
    pid_t pid;     /* 0: has ended */
    pid_t started; /* the same for as long as its files may be there */
    struct lnt_channel channel;
    struct lnt_timer timer;
    uint64_t due; /* loop time of the timer */
    char *pid_path, *old_pid_path;
    struct lnt_diagnosis *diagnosis; /* it has failed; this is to say why */
    char *how;                       /* what is known until then */
    bool mute;                       /* it ended as release 0.1.0 does */
    bool new_zone;                   /* the zone need not be kept */
    bool saving;                     /* the store is written before it starts */
    bool taken;                      /* it has said that it serves */
    bool taken_back;                 /* nothing of the upgrade is left */
};

/* A new master that is killed leaves the files that it listens and writes to
   until they get their names. */
static void
remove_leftovers(const struct lnt_config *c, pid_t pid)
{
    const char *const paths[] = {c->control_path, c->pid_path};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        struct lnt_strbuf name = LNT_STRBUF_INIT;
        lnt_strbuf_addf(&name, "%s.%d", paths[i], (int)pid);
        (void)unlink(name.p);
        lnt_strbuf_release(&name);
    }
}

/* One that has ended in this turn is not judged yet: its pid may be another's. */
static void
kill_new(const struct lnt_upgrade *u)
{
    const struct lnt_child *c = NULL;
    while ((c = lnt_child_next(u->m, c)))
        if (c->pid == u->pid)
            (void)kill(c->pid, SIGKILL);
}

/* All is as it was before; the old master serves on. */
static void
take_back(struct lnt_master *m)
{
    struct lnt_upgrade *u = m->upgrade;
    if (u->taken_back)
        return;
    u->taken_back = true;
    m->newer = NULL;
    kill_new(u);
    u->pid = 0;
    if (u->started > 0)
        remove_leftovers(m->now.config, u->started);
    u->started = 0;
    lnt_channel_close(&u->channel);
    lnt_timer_stop(m->loop, &u->timer);
    if (u->old_pid_path && rename(u->old_pid_path, u->pid_path) < 0)
        lnt_run_files_retake(m); /* ours is gone, or cannot be moved */
    free(u->old_pid_path);
    u->old_pid_path = NULL;
    if (lnt_control_retake(m->control) < 0)
        lnt_log_error("control socket: %s; a reload (HUP) makes it again",
                      strerror(errno));
    lnt_moves_cancel(m);
}

static void
fail(struct lnt_master *m, const char *text)
{
    struct lnt_upgrade *u = m->upgrade;
    take_back(m);
    m->upgrade = NULL;
    lnt_reason_log("upgrade failed, this binary goes on", text);
    /* Nobody has come who was not told. */
    free(lnt_changes_take(m, LNT_CHANGE_REOPEN));
    lnt_changes_done(m, false, text);
    lnt_diagnosis_free(u->diagnosis);
    free(u->pid_path);
    free(u->how);
    lnt_loop_free(m->loop, u);
}

static void
on_diagnosis(void *arg, bool good, const char *found)
{
    struct lnt_master *m = arg;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&text, "%s; %s", m->upgrade->how, found);
    if (good && m->upgrade->mute)
        lnt_strbuf_adds(&text,
                        "; release 0.1.0 ends like that, as it cannot keep "
                        "the zone: " LNT_TAKEOVER_HINT
                        " (0.1.0 does not know that command: give it with the "
                        "binary of this release)");
    fail(m, text.p);
    lnt_strbuf_release(&text);
}

/* It ended without a reason. */
static void
diagnose(struct lnt_master *m, const char *how)
{
    struct lnt_upgrade *u = m->upgrade;
    take_back(m);
    u->how = lnt_strdup(how);
    u->diagnosis = lnt_diagnosis_start(m, on_diagnosis, m);
    if (!u->diagnosis)
        fail(m, how);
}

/* zone: what became of it, LNT_TAKEOVER_KEPT or else. */
static void
on_taken(struct lnt_master *m, struct lnt_str zone)
{
    struct lnt_upgrade *u = m->upgrade;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    char state[64];
    m->upgrade = NULL;
    m->newer = NULL;
    m->handed_over = true;
    lnt_strbuf_addf(&text, "upgraded, pid %d took over from pid %d",
                    (int)u->pid, (int)getpid());
    if (!lnt_str_eq(zone, LNT_STR(LNT_TAKEOVER_KEPT))) {
        lnt_strbuf_adds(&text, ", with a new zone, as the new binary cannot "
                               "keep the old one: ");
        lnt_reason_add(&text, zone.n ? zone
                                     : LNT_STR("release 0.1.0 cannot keep that "
                                               "of another one"));
    }
    snprintf(state, sizeof(state), "MAINPID=%d\nREADY=1", (int)u->pid);
    lnt_log_notice("%s", text.p);
    lnt_sd_notify(state);
    lnt_timer_stop(m->loop, &u->timer);
    (void)unlink(u->old_pid_path);
    free(u->pid_path);
    free(u->old_pid_path);
    m->upgraded = u; /* its channel stays until our workers are gone */
    m->neighbour = &u->channel;
    lnt_run_files_let_go(m);
    /* It opened its logs when it began. */
    struct lnt_change *reopen = lnt_changes_take(m, LNT_CHANGE_REOPEN);
    if (reopen)
        (void)kill(u->pid, SIGUSR1);
    free(reopen);
    lnt_changes_done(m, true, text.p);
    lnt_strbuf_release(&text);
    lnt_changes_ask(m, &(struct lnt_change){.kind = LNT_CHANGE_END}, NULL);
}

/* A frame may be older than the end of the process that sent it. */
static bool
is_alive(const struct lnt_upgrade *u)
{
    return u->pid > 0 && lnt_process_alive(u->pid);
}

/* No connection has moved before this: workers give theirs when they end. */
static void
take_taken(struct lnt_upgrade *u, struct lnt_str zone)
{
    u->taken = true;
    if (is_alive(u))
        on_taken(u->m, zone);
    /* Else SIGCHLD ends the upgrade. */
}

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    struct lnt_upgrade *u = LNT_OWNER(c, struct lnt_upgrade, channel);
    uint32_t incarnation;
    struct lnt_str payload = f->payload;
    bool going_on = u->m->upgrade == u;
    if (f->type == LNT_FRAME_TAKEN && going_on) {
        take_taken(u, f->payload);
    } else if (f->type == LNT_FRAME_LINK && f->nfds == 1 &&
               lnt_unpack_u32(&payload, &incarnation)) {
        if (is_alive(u))
            lnt_moves_forward(u->m, incarnation, f->fds[0]);
    } else if (f->type == LNT_FRAME_BROADCAST && u->m->handed_over) {
        lnt_broadcast_take(u->m, f->payload);
    } else if (f->type == LNT_FRAME_FAILED && going_on) {
        struct lnt_strbuf text = LNT_STRBUF_INIT;
        lnt_strbuf_adds(&text, "the new binary: ");
        lnt_reason_add(&text, f->payload);
        fail(u->m, text.p);
        lnt_strbuf_release(&text);
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

static uint64_t
patience(const struct lnt_master *m)
{
    return m->now.config->server->start_timeout + EXTRA_TIME;
}

static void
set_timer(struct lnt_upgrade *u, uint64_t ms)
{
    struct lnt_loop *loop = u->m->loop;
    u->due = lnt_loop_now(loop) + ms;
    lnt_timer_at(loop, &u->timer, u->due);
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_upgrade *u = LNT_OWNER(t, struct lnt_upgrade, timer);
    struct lnt_master *m = u->m;
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_channel_poll(&u->channel); /* its answer may wait there */
    if (m->upgrade != u || u->taken)
        return;
    /* This process was stopped, and the new one perhaps, too. */
    if (lnt_loop_now(m->loop) > u->due + LATE) {
        set_timer(u, EXTRA_TIME);
        return;
    }
    lnt_strbuf_addf(&text,
                    "the new binary (pid %d) did not get ready within %llu s "
                    "(start_timeout and %d s) and is killed",
                    (int)u->pid, (unsigned long long)patience(m) / 1000,
                    EXTRA_TIME / 1000);
    fail(m, text.p);
    lnt_strbuf_release(&text);
}

void
lnt_upgrade_ended(struct lnt_master *m, const struct lnt_child *c)
{
    struct lnt_upgrade *u = m->upgrade;
    char how[96];
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    if (u && c->kind == LNT_KIND_TEST)
        lnt_diagnosis_ended(u->diagnosis, c);
    if (!u || u->pid != c->pid)
        return;
    u->pid = 0;
    lnt_channel_poll(&u->channel); /* its reason may wait there */
    if (!m->upgrade)
        return;
    lnt_strbuf_addf(
        &text, "%s %s %s", c->name, lnt_child_how(c->status, how, sizeof(how)),
        u->taken ? "when it was about to take over" : "before it was ready");
    u->mute =
        !u->new_zone && WIFEXITED(c->status) && WEXITSTATUS(c->status) == 1;
    diagnose(m, text.p);
    lnt_strbuf_release(&text);
}

void
lnt_upgrade_cancel(struct lnt_master *m, const char *why)
{
    if (m->upgrade)
        fail(m, why);
}

_Noreturn static void
run_new_binary(const struct lnt_master *m, int fd)
{
    char value[16];
    lnt_signals_reset();
    (void)lnt_fd_cloexec(fd, 0);
    lnt_run_files_hand_on(m);
    snprintf(value, sizeof(value), "%d", fd);
    if (setenv(LNT_TAKEOVER_ENV, value, 1) == 0)
        execv(m->binary, m->argv);
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&why, "cannot run %s: %s", m->binary, strerror(errno));
    (void)lnt_frame_send(fd, LNT_FRAME_FAILED, lnt_strbuf_str(&why));
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
    for (size_t i = 0; rc == 0 && i < d->map.n; i++) {
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
    int rc = 0;
    if (!u->new_zone) {
        lnt_strbuf_adds(&text, LNT_TAKEOVER_KEEP);
        rc = hand(u, &text, NULL, 0);
    }
    lnt_strbuf_addf(&text, "zone %u %llu", m->now.number,
                    (unsigned long long)m->dict.version);
    if (rc == 0)
        rc = hand(u, &text, &zone, 1);
    /* Of a worker that has died: its replacement will hand over. */
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
    u->started = u->pid;
    (void)lnt_child_add(m, LNT_KIND_BINARY, u->pid);
    if (lnt_channel_open(&u->channel, m->loop, fds[0], 0, &old_handler) < 0)
        return -1;
    /* One that has ended already says why, or its exit status does. */
    if (hand_all(u) < 0 && !lnt_reason_is_gone(errno))
        return -1;
    m->newer = &u->channel;
    return 0;
}

static void
fail_for(struct lnt_master *m, const char *what, int error)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&text, "%s: %s", what, strerror(error));
    fail(m, text.p);
    lnt_strbuf_release(&text);
}

static void
run(struct lnt_upgrade *u)
{
    set_timer(u, patience(u->m));
    if (launch(u) < 0)
        fail_for(u->m, "cannot start the new binary", errno);
}

static void
on_saved(void *arg, bool ok, struct lnt_str why)
{
    struct lnt_master *m = arg;
    if (!m->upgrade || !m->upgrade->saving)
        return; /* the server ends */
    m->upgrade->saving = false;
    if (!ok)
        lnt_log_error("the store's process: %.*s; what was said last may not "
                      "be in the store",
                      LNT_STR_ARG(why));
    run(m->upgrade);
}

void
lnt_upgrade_begin(struct lnt_master *m, bool new_zone)
{
    struct lnt_upgrade *u = lnt_calloc(1, sizeof(*u));
    struct lnt_strbuf old = LNT_STRBUF_INIT;
    u->m = m;
    u->new_zone = new_zone;
    u->timer.fn = on_timer;
    u->channel.watch.fd = -1;
    lnt_run_files_restore(m); /* what is to be handed over has to be there */
    m->upgrade = u;
    u->pid_path = lnt_strdup(m->now.config->pid_path);
    lnt_strbuf_addf(&old, "%s.old", u->pid_path);
    lnt_log_notice("upgrading: starting %s", m->binary);
    if (rename(u->pid_path, old.p) < 0) {
        fail_for(m, "cannot rename the pidfile", errno);
        lnt_strbuf_release(&old);
        return;
    }
    u->old_pid_path = lnt_strbuf_detach(&old);
    /* A new zone begins with what is in the store. */
    u->saving = new_zone && lnt_helpers_sync(m, on_saved, m);
    if (!u->saving)
        run(u);
}

/* Until then clients are with both masters' workers, also such as cannot
   move. */
void
lnt_upgrade_step(struct lnt_master *m)
{
    if (!m->upgraded || lnt_worker_next(m, NULL))
        return;
    m->neighbour = NULL;
    lnt_channel_close(&m->upgraded->channel);
    lnt_loop_free(m->loop, m->upgraded);
    m->upgraded = NULL;
}
