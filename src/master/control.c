/*
 * The master's side of the control socket.  Only those with access to the
 * file get here; still everything they can send is bounded.
 */
#include "master/control.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/list.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "core/utf8.h"
#include "master/commands.h"
#include "master/master.h"
#include "master/waiters.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/socket.h"

enum {
    PEERS_MAX = 64,
    BACKLOG = 64,
    LINE_MAX_BYTES = 256 * 1024, /* a shared value, escaped for the most part */
    PEER_TIME = 10000,   /* ms to begin a command, and to take an answer */
    COMMAND_TIME = 3000, /* ms from its first byte to its end */
    ERROR_PAUSE = 1000,  /* ms without descriptors */
    COMPLAIN = 60000,    /* ms between lines in the log */
    FINISH_TIME = 1000,  /* ms for the last answers to go out */
    WORDS_MAX = 16,
};

struct peer {
    struct lnt_list_node node;
    struct lnt_control *control;
    struct lnt_watch watch;
    struct lnt_timer timer;
    struct lnt_strbuf in, out;
    size_t sent;
    struct waiting *waiting; /* its command goes on */
    bool answered, keep;     /* keep: stays open until the server ends */
};

/* Outlives a peer that goes before its answer, unless it waits in a list: there
   may be any number of those in the time of one reload. */
struct waiting {
    struct lnt_waiter waiter;
    struct peer *peer;
};

/* A socket that listens. */
struct listener {
    struct lnt_watch watch;
    struct lnt_control *control;
    char *temporary; /* its file; NULL: the control socket's path */
    struct stat file;
};

struct lnt_control {
    struct lnt_master *m;
    struct listener *listener; /* NULL: none */
    struct lnt_timer timer;    /* accepts again */
    char *path;
    struct lnt_list peers; /* the newest first */
    unsigned npeers;
    unsigned turned_away;           /* since the last line about it */
    uint64_t crowd_line, full_line; /* in the log: not before */
};

static void answer(struct peer *p, bool ok, struct lnt_str text);
static void answer_again(struct peer *p);
static bool accept_one(struct lnt_control *c);
static bool flush(struct peer *p);
static void on_accept(struct lnt_watch *w, uint32_t events);
static void on_accept_timer(struct lnt_timer *t);
static void on_peer(struct lnt_watch *w, uint32_t events);
static void on_peer_timer(struct lnt_timer *t);

/* Those that have connected by now. */
static void
accept_waiting(struct lnt_control *c)
{
    for (int i = 0; i < BACKLOG && c->listener && accept_one(c); i++)
        ;
}

static void
close_listener(struct lnt_control *c, struct listener *l)
{
    close(lnt_watch_del(c->m->loop, &l->watch));
    free(l->temporary);
    lnt_loop_free(c->m->loop, l);
}

static void
stop_listening(struct lnt_control *c)
{
    lnt_timer_stop(c->m->loop, &c->timer);
    if (c->listener)
        close_listener(c, c->listener);
    c->listener = NULL;
}

/* Listens at path, which is a temporary one.  NULL with errno. */
static struct listener *
listen_at(struct lnt_control *c, const struct sockaddr_un *un)
{
    struct lnt_addr a = {0};
    struct stat file;
    memcpy(&a.ss, un, sizeof(*un));
    a.len = sizeof(*un);
    int fd = lnt_socket_listen(&a, BACKLOG, 0660);
    if (fd < 0)
        return NULL;
    struct listener *l = lnt_calloc(1, sizeof(*l));
    l->control = c;
    l->watch.fd = fd;
    l->watch.fn = on_accept;
    if (stat(un->sun_path, &file) == 0 &&
        lnt_watch_add(c->m->loop, &l->watch, EPOLLIN) == 0) {
        l->file = file;
        l->temporary = lnt_strdup(un->sun_path);
        return l;
    }
    int error = errno;
    close(fd);
    (void)unlink(un->sun_path);
    free(l);
    errno = error;
    return NULL;
}

/* Beside the control socket's path, and beside the socket that is there. */
static struct listener *
listen_beside(struct lnt_control *c)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    int n = snprintf(un.sun_path, sizeof(un.sun_path), "%s.%d", c->path,
                     (int)getpid());
    if (n < 0 || (size_t)n >= sizeof(un.sun_path)) {
        errno = ENAMETOOLONG;
        return NULL;
    }
    (void)unlink(un.sun_path); /* of a process that had our pid before */
    return listen_at(c, &un);
}

struct lnt_control *
lnt_control_open(struct lnt_master *m, const char *path)
{
    struct lnt_control *c = lnt_calloc(1, sizeof(*c));
    c->m = m;
    c->path = lnt_strdup(path);
    c->timer.fn = on_accept_timer;
    c->listener = listen_beside(c);
    if (c->listener)
        return c;
    int error = errno;
    free(c->path);
    free(c);
    errno = error;
    return NULL;
}

bool
lnt_control_is_there(const struct lnt_control *c)
{
    struct stat now;
    return c->listener && stat(c->path, &now) == 0 &&
           now.st_ino == c->listener->file.st_ino &&
           now.st_dev == c->listener->file.st_dev;
}

static int
publish(const struct lnt_control *c, struct listener *l)
{
    if (!l->temporary)
        return 0;
    if (rename(l->temporary, c->path) < 0)
        return -1;
    free(l->temporary);
    l->temporary = NULL;
    return 0;
}

int
lnt_control_publish(struct lnt_control *c)
{
    if (c->listener)
        return publish(c, c->listener);
    errno = ENOTCONN;
    return -1;
}

int
lnt_control_retake(struct lnt_control *c)
{
    if (lnt_control_is_there(c))
        return 0;
    struct listener *l = listen_beside(c);
    if (!l)
        return -1;
    if (publish(c, l) < 0) {
        int error = errno;
        (void)unlink(l->temporary);
        close_listener(c, l);
        errno = error;
        return -1;
    }
    /* Connections from before the file was removed are served. */
    accept_waiting(c);
    stop_listening(c);
    c->listener = l;
    return 0;
}

void
lnt_control_close(struct lnt_control *c, bool remove)
{
    bool there = lnt_control_is_there(c);
    if (!c->listener)
        return;
    accept_waiting(c); /* those are answered, too */
    if (c->listener->temporary)
        (void)unlink(c->listener->temporary);
    else if (remove && there)
        (void)unlink(c->path);
    stop_listening(c);
}

/* ---- peers ---- */

static void
drop_peer(struct peer *p)
{
    struct lnt_control *c = p->control;
    lnt_list_remove(&c->peers, &p->node);
    c->npeers--;
    if (p->waiting && lnt_waiters_remove(&p->waiting->waiter))
        free(p->waiting);
    else if (p->waiting)
        p->waiting->peer = NULL;
    lnt_timer_stop(c->m->loop, &p->timer);
    close(lnt_watch_del(c->m->loop, &p->watch));
    lnt_strbuf_release(&p->in);
    lnt_strbuf_release(&p->out);
    lnt_loop_free(c->m->loop, p);
}

/* What has no answer yet gets one. */
static void
answer_all(struct lnt_control *c)
{
    LNT_LIST_EACH(&c->peers, struct peer, p, node) {
        if (p->answered)
            continue;
        if (c->m->handed_over)
            answer_again(p);
        else
            answer(p, false, LNT_STR("the server has ended"));
    }
}

/* Waits until some of the connections take more of their answers, ms at most;
   false: there are none that have to, or they do not. */
static bool
send_some(struct lnt_control *c, int ms)
{
    struct pollfd fds[PEERS_MAX];
    struct peer *peers[PEERS_MAX];
    nfds_t n = 0;
    LNT_LIST_EACH(&c->peers, struct peer, p, node) {
        if (n == PEERS_MAX || p->sent == p->out.n)
            continue;
        fds[n] = (struct pollfd){.fd = p->watch.fd, .events = POLLOUT};
        peers[n++] = p;
    }
    int ready = n ? poll(fds, n, ms) : 0;
    for (nfds_t i = 0; ready > 0 && i < n; i++)
        if (fds[i].revents)
            (void)flush(peers[i]); /* drops that one at most */
    return ready > 0 || (ready < 0 && errno == EINTR);
}

void
lnt_control_finish(struct lnt_control *c)
{
    uint64_t end = lnt_clock_ms() + FINISH_TIME, now;
    if (!c)
        return;
    answer_all(c);
    while ((now = lnt_clock_ms()) < end && send_some(c, (int)(end - now)))
        ;
}

void
lnt_control_free(struct lnt_control *c)
{
    if (!c)
        return;
    lnt_control_close(c, true);
    LNT_LIST_EACH(&c->peers, struct peer, p, node) {
        drop_peer(p);
    }
    free(c->path);
    free(c);
}

static void
set_deadline(struct peer *p, unsigned ms)
{
    struct lnt_loop *loop = p->control->m->loop;
    lnt_timer_at(loop, &p->timer, lnt_loop_now(loop) + ms);
}

/* false: the peer is gone. */
static bool
flush(struct peer *p)
{
    while (p->sent < p->out.n) {
        ssize_t n = send(p->watch.fd, p->out.p + p->sent, p->out.n - p->sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN) {
            (void)lnt_watch_set(p->control->m->loop, &p->watch,
                                EPOLLIN | EPOLLOUT);
            return true;
        }
        if (n < 0) {
            drop_peer(p);
            return false;
        }
        p->sent += (size_t)n;
    }
    if (p->keep) {
        (void)lnt_watch_set(p->control->m->loop, &p->watch, EPOLLIN);
        lnt_timer_stop(p->control->m->loop, &p->timer);
        return true;
    }
    drop_peer(p);
    return false;
}

/* Modules and peers may have brought in what is no text. */
static void
add_text(struct lnt_strbuf *out, struct lnt_str text)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    if (lnt_utf8_valid(text.p, text.n) && !memchr(text.p, '\0', text.n)) {
        lnt_strbuf_add_json(out, text);
        return;
    }
    lnt_strbuf_add_str(&b, text);
    for (size_t i = 0; i < b.n; i++)
        if ((unsigned char)b.p[i] >= 0x80 || b.p[i] == '\0')
            b.p[i] = '?';
    lnt_strbuf_add_json(out, lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
}

static void
answer(struct peer *p, bool ok, struct lnt_str text)
{
    p->answered = true;
    lnt_strbuf_addf(&p->out, "{\"ok\":%s,\"text\":", ok ? "true" : "false");
    add_text(&p->out, text);
    lnt_strbuf_adds(&p->out, "}\n");
    set_deadline(p, PEER_TIME);
    (void)flush(p);
}

/* The command is for the server at the socket's path now: the caller connects
   again, older callers show the text. */
static void
answer_again(struct peer *p)
{
    p->answered = true;
    lnt_strbuf_adds(&p->out, "{\"ok\":false,\"again\":true,\"text\":\"another "
                             "process has taken over from this one; try "
                             "again\"}\n");
    set_deadline(p, PEER_TIME);
    (void)flush(p);
}

static void
on_done(struct lnt_waiter *waiter, bool ok, const char *text)
{
    struct waiting *w = LNT_OWNER(waiter, struct waiting, waiter);
    struct peer *p = w->peer;
    free(w);
    if (!p)
        return;
    p->waiting = NULL;
    answer(p, ok, lnt_str_c(text));
}

static struct lnt_waiter *
wait_for(struct peer *p)
{
    struct waiting *w = lnt_calloc(1, sizeof(*w));
    w->waiter.done = on_done;
    w->peer = p;
    p->waiting = w;
    /* The command has bounds of its own. */
    lnt_timer_stop(p->control->m->loop, &p->timer);
    return &w->waiter;
}

/* ---- commands ---- */

static void
run_command(struct peer *p, const char *const *words, size_t n)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    int command = lnt_command_find(words, n, &why);
    if (command < 0) {
        answer(p, false, lnt_strbuf_str(&why));
    } else if (p->control->m->handed_over) {
        answer_again(p);
    } else {
        p->keep = command == LNT_COMMAND_QUIT || command == LNT_COMMAND_STOP;
        lnt_commands_run(p->control->m, (enum lnt_command)command, words, n,
                         wait_for(p));
    }
    lnt_strbuf_release(&why);
}

static void
run_line(struct peer *p, size_t n)
{
    json_error_t error;
    const char *words[WORDS_MAX + 1] = {NULL};
    json_t *root = json_loadb(p->in.p, n, JSON_REJECT_DUPLICATES, &error);
    size_t count = json_array_size(root);
    bool ok = json_is_array(root) && count > 0 && count <= WORDS_MAX;
    for (size_t i = 0; ok && i < count; i++) {
        words[i] = json_string_value(json_array_get(root, i));
        ok = words[i] != NULL;
    }
    if (ok)
        run_command(p, words, count);
    else
        answer(p, false,
               LNT_STR("expected a line with a JSON array of 1 to 16 strings"));
    json_decref(root);
}

/* ---- input ---- */

static void
read_peer(struct peer *p)
{
    char *room = lnt_strbuf_reserve(&p->in, 4096);
    ssize_t n = recv(p->watch.fd, room, 4096, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop_peer(p);
        return;
    }
    if (p->answered || p->waiting)
        return; /* one command a connection */
    if (p->in.n == 0)
        set_deadline(p, COMMAND_TIME);
    p->in.n += (size_t)n;
    p->in.p[p->in.n] = '\0';
    char *end = memchr(p->in.p, '\n', p->in.n);
    if (end)
        run_line(p, (size_t)(end - p->in.p));
    else if (p->in.n > LINE_MAX_BYTES)
        answer(p, false, LNT_STR("the command is too long"));
}

static void
on_peer(struct lnt_watch *w, uint32_t events)
{
    struct peer *p = LNT_OWNER(w, struct peer, watch);
    if ((events & EPOLLOUT) && !flush(p))
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR))
        read_peer(p);
}

static void
on_peer_timer(struct lnt_timer *t)
{
    struct peer *p = LNT_OWNER(t, struct peer, timer);
    if (p->answered)
        drop_peer(p);
    else
        answer(p, false, LNT_STR("the command did not come in time"));
}

/* ---- accepting ---- */

static void
note_turned_away(struct lnt_control *c)
{
    uint64_t now = lnt_loop_now(c->m->loop);
    c->turned_away++;
    if (now < c->crowd_line)
        return;
    lnt_log_warn("control socket: %u connections are open, more than there is "
                 "room for; those that send no command are closed, the oldest "
                 "first (%u since the last such line)",
                 c->npeers, c->turned_away);
    c->turned_away = 0;
    c->crowd_line = now + COMPLAIN;
}

/* Whether something of it waits to be read, most likely its command. */
static bool
has_input(const struct peer *p)
{
    char byte;
    return recv(p->watch.fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

/* Makes room for another one: of those that have sent no command the oldest
   goes, else the oldest that does not take its answer.  A connection whose
   command is under way stays. */
static bool
make_room(struct lnt_control *c)
{
    struct peer *idle = NULL, *slow = NULL;
    LNT_LIST_EACH(&c->peers, struct peer, p, node) {
        if (p->waiting || p->keep)
            continue;
        if (p->answered)
            slow = p;
        else if (!has_input(p))
            idle = p;
    }
    if (!idle && !slow)
        return false;
    note_turned_away(c);
    if (idle)
        answer(idle, false,
               LNT_STR("no command came, and others want to connect"));
    else
        drop_peer(slow);
    return true;
}

/* New connections wait in the backlog meanwhile. */
static void
pause_accepting(struct lnt_control *c)
{
    struct lnt_loop *loop = c->m->loop;
    uint64_t now = lnt_loop_now(loop);
    if (now >= c->full_line) {
        lnt_log_error("control socket: %s", strerror(errno));
        c->full_line = now + COMPLAIN;
    }
    if (lnt_watch_set(loop, &c->listener->watch, 0) == 0)
        lnt_timer_at(loop, &c->timer, lnt_loop_now(loop) + ERROR_PAUSE);
}

static void
on_accept_timer(struct lnt_timer *t)
{
    struct lnt_control *c = LNT_OWNER(t, struct lnt_control, timer);
    struct lnt_loop *loop = c->m->loop;
    if (lnt_watch_set(loop, &c->listener->watch, EPOLLIN) < 0)
        lnt_timer_at(loop, t, lnt_loop_now(loop) + ERROR_PAUSE);
}

/* Tells a connection that cannot be served why, as far as that goes without
   waiting. */
static void
refuse(int fd, const char *why)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    lnt_strbuf_adds(&b, "{\"ok\":false,\"text\":");
    lnt_strbuf_add_json(&b, lnt_str_c(why));
    lnt_strbuf_adds(&b, "}\n");
    (void)send(fd, b.p, b.n, MSG_NOSIGNAL | MSG_DONTWAIT);
    lnt_strbuf_release(&b);
    close(fd);
}

static void
add_peer(struct lnt_control *c, int fd)
{
    while (c->npeers >= PEERS_MAX) {
        if (make_room(c))
            continue;
        note_turned_away(c);
        refuse(fd, "too many commands are under way");
        return;
    }
    struct peer *p = lnt_calloc(1, sizeof(*p));
    p->control = c;
    p->watch.fd = fd;
    p->watch.fn = on_peer;
    p->timer.fn = on_peer_timer;
    if (lnt_watch_add(c->m->loop, &p->watch, EPOLLIN) < 0) {
        lnt_log_error("control socket: %s", strerror(errno));
        refuse(fd, strerror(errno));
        free(p);
        return;
    }
    lnt_list_add_first(&c->peers, &p->node);
    c->npeers++;
    set_deadline(p, PEER_TIME);
}

/* false: there is no other one, or it has to wait. */
static bool
accept_one(struct lnt_control *c)
{
    int fd = lnt_socket_accept(c->listener->watch.fd, NULL);
    /* Those that only sit there have descriptors that others need. */
    if (fd < 0 && errno == EMFILE && make_room(c))
        fd = lnt_socket_accept(c->listener->watch.fd, NULL);
    if (fd < 0) {
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
            errno == ENOMEM)
            pause_accepting(c);
        return errno == ECONNABORTED;
    }
    add_peer(c, fd);
    return true;
}

static void
on_accept(struct lnt_watch *w, uint32_t events)
{
    struct listener *l = LNT_OWNER(w, struct listener, watch);
    (void)events;
    (void)accept_one(l->control);
}
