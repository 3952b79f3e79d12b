/*
 * Whole workers, one or two in one process, for tests of moving: the modules
 * that are built in, their configuration, a zone, and clients at the other
 * ends of socket pairs.  Included by exactly one file of a program, which is
 * linked with all.
 */
#ifndef LNT_T_MOVE_WORLD_H
#define LNT_T_MOVE_WORLD_H

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "config/config.h"
#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "event/loop.h"
#include "hub/hub.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "net/move.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"
#include "zone/zone.h"

extern const struct lnt_module *const lnt_static_modules[];

/* A program that wants another configuration, other modules or another size of
   the zone says so before it includes this. */
#ifndef WORLD_MODULES
#define WORLD_MODULES lnt_static_modules
#endif
#ifndef WORLD_ZONE
#define WORLD_ZONE (16 * 1024 * 1024)
#endif
#ifndef WORLD_ACCESS_FD
#define WORLD_ACCESS_FD -1 /* nothing is logged */
#endif
#ifdef WORLD_TEXT
static const char world_text[] = WORLD_TEXT;
#else
static const char world_text[] = "[server]\n"
                                 "workers = 1\n"
                                 "[listen raw]\n"
                                 "address = 127.0.0.1:9\n"
                                 "app = echo\n"
                                 "[listen lines]\n"
                                 "address = 127.0.0.1:10\n"
                                 "protocol = line\n"
                                 "app = chat\n"
                                 "[listen web]\n"
                                 "address = 127.0.0.1:11\n"
                                 "protocol = http\n"
                                 "[route chat]\n"
                                 "listen = web\n"
                                 "path = /chat\n"
                                 "protocol = websocket\n"
                                 "app = chat\n"
                                 "[route echo]\n"
                                 "listen = web\n"
                                 "path = /echo\n"
                                 "protocol = websocket\n"
                                 "compression = 16k\n"
                                 "compression_min = 1\n"
                                 "app = echo\n"
                                 "[room slow]\n"
                                 "slow_mode = 1h\n";
#endif

/* ---- workers ---- */

enum { WORLD_WORKERS = 2 };

struct worker {
    struct lnt_loop *loop;
    struct lnt_net *net;
    struct lnt_hub *hub;
    struct lnt_module_ctx *ctx;
    unsigned turns, cell;
    uint32_t incarnation;
};

static struct worker workers[WORLD_WORKERS];
static unsigned nworkers;
static struct lnt_zone *zone;
static struct lnt_config *config;
static struct lnt_server_info info;

static inline bool
world_turn(void *arg)
{
    struct worker *w = arg;
    if (w->hub) {
        (void)lnt_hub_turn(w->hub);
        (void)lnt_net_flush(w->net);
    }
    if (w->turns > 0 && --w->turns == 0)
        lnt_loop_stop(w->loop);
    return true;
}

static inline bool
world_sleep(void *arg)
{
    (void)arg;
    return false; /* never waits */
}

static inline void
world_wake(void *arg)
{
    (void)arg;
}

static inline void
world_run(struct worker *w)
{
    w->turns = 4;
    if (lnt_loop_run(w->loop) < 0)
        exit(1);
}

/* Lets all that is under way happen, in all of them. */
static inline void
settle(void)
{
    for (unsigned i = 0; i < nworkers; i++)
        world_run(&workers[i]);
}

static inline void
world_load(void)
{
    struct lnt_strbuf errors = LNT_STRBUF_INIT;
    static char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/", tmp_dir());
    const char *path =
        tmp_write("server.ini", world_text, sizeof(world_text) - 1);
    struct lnt_config_source source = {
        .prefix = folder,
        .path = path,
        .builtin = WORLD_MODULES,
        .info = &info,
    };
    info.prefix = folder;
    info.slot = -1;
    info.access_fd = WORLD_ACCESS_FD;
    config = lnt_config_load(&source, &errors);
    if (!config) {
        diag("%s", errors.p);
        exit(1);
    }
    lnt_strbuf_release(&errors);
}

static inline void
world_start(struct worker *w)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    static int bells[LNT_CELLS];
    for (int i = 0; i < LNT_CELLS; i++)
        bells[i] = -1;
    w->loop = lnt_loop_new();
    struct lnt_loop_hook hook = {world_turn, world_sleep, world_wake, w};
    lnt_loop_set_hook(w->loop, &hook);
    world_run(w); /* so that it knows the time */
    int cell = lnt_zone_cell_take(zone, 0, 1);
    if (cell < 0)
        exit(1);
    w->cell = (unsigned)cell;
    w->incarnation = lnt_zone_cell(zone, w->cell)->incarnation;
    w->ctx = lnt_calloc(config->nmodules + 1, sizeof(*w->ctx));
    w->net = lnt_net_new(&(struct lnt_net_params){
        .loop = w->loop,
        .cell = (unsigned)cell,
        .zone = zone,
        .stats = &lnt_zone_cell(zone, (unsigned)cell)->stats,
        .modules = config->modules,
        .ctx = w->ctx,
    });
    w->hub = lnt_hub_new(&(struct lnt_hub_params){.zone = zone,
                                                  .cell = (unsigned)cell,
                                                  .doorbells = bells,
                                                  .net = w->net});
    for (size_t i = 0; i < config->nmodules; i++)
        w->ctx[i] = (struct lnt_module_ctx){.module = config->modules[i],
                                            .conf = config->module_confs[i],
                                            .net = w->net,
                                            .hub = w->hub,
                                            .server = &info};
    for (size_t i = 0; i < config->nmodules; i++)
        if (w->ctx[i].module->worker_start &&
            w->ctx[i].module->worker_start(&w->ctx[i], &why) < 0) {
            diag("%s: %s", w->ctx[i].module->name, why.p);
            exit(1);
        }
}

static inline void
world_begin(unsigned n)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    signal(SIGPIPE, SIG_IGN);
    world_load();
    zone = lnt_zone_create(WORLD_ZONE, &why);
    for (; nworkers < n; nworkers++)
        world_start(&workers[nworkers]);
}

static inline void
world_stop(struct worker *w)
{
    lnt_net_abort(w->net);
    world_run(w);
    for (size_t i = config->nmodules; i-- > 0;)
        if (w->ctx[i].module->worker_stop)
            w->ctx[i].module->worker_stop(&w->ctx[i]);
    lnt_hub_free(w->hub);
    w->hub = NULL;
    lnt_zone_cell_release(zone, w->cell, w->incarnation);
    lnt_net_free(w->net);
    lnt_loop_destroy(w->loop);
    free(w->ctx);
}

static inline void
world_end(void)
{
    while (nworkers > 0)
        world_stop(&workers[--nworkers]);
    lnt_zone_close(zone);
    lnt_config_free(config);
}

static inline const struct lnt_endpoint *
find(void *arg, struct lnt_str id)
{
    (void)arg;
    return lnt_endpoint_find(config->endpoints, id);
}

/* ---- clients ---- */

static inline int
dial(struct worker *w, const char *endpoint)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   fds) < 0)
        exit(1);
    if (!lnt_conn_open(w->net, fds[0], find(NULL, lnt_str_c(endpoint)), 0))
        exit(1);
    return fds[1];
}

static inline void
say(int fd, const void *p, size_t n)
{
    if (write(fd, p, n) != (ssize_t)n)
        exit(1);
    settle();
}

/* What came back; in a buffer of its own, NUL at the end. */
static inline const char *
heard(int fd)
{
    static char room[65536];
    settle();
    ssize_t n = read(fd, room, sizeof(room) - 1);
    room[n > 0 ? n : 0] = '\0';
    for (ssize_t i = 0; i < n; i++)
        if (room[i] == '\0')
            room[i] = '0';
    return room;
}

static inline void
say_bytes(int fd, uint8_t op, const char *payload, size_t n)
{
    uint8_t frame[256] = {op, (uint8_t)(0x80 | n), 0, 0, 0, 0};
    memcpy(frame + 6, payload, n);
    say(fd, frame, 6 + n);
}

static inline void
say_frame(int fd, uint8_t op, const char *payload)
{
    say_bytes(fd, op, payload, strlen(payload));
}

/* The only one there is. */
static inline struct lnt_session *
only(const struct worker *w)
{
    size_t at = 0;
    return lnt_net_next(w->net, &at);
}

/* "the quick brown fox jumps", and "a quick brown fox jumps again" with the
   window of that. */
#define WORLD_ZIPPED                                                           \
    "\x2a\xc9\x48\x55\x28\x2c\xcd\x4c\xce\x56\x48\x2a\xca\x2f"                 \
    "\xcf\x53\x48\xcb\xaf\x50\xc8\x2a\xcd\x2d\x28\x06\x00"
#define WORLD_AGAIN "\x4a\xc4\x2e\xac\x90\x98\x9e\x98\x99\x07\x00"

enum kind { RAW, LINES, CHAT, ECHO, IDLE, HALF, KINDS };
static const char *const names[] = {
    "raw",
    "line with chat",
    "WebSocket with chat",
    "WebSocket with windows",
    "HTTP between requests",
    "HTTP in a head",
};

static inline void
shake_hands(int fd, const char *path, const char *extensions)
{
    char head[400];
    snprintf(head, sizeof(head),
             "GET %s HTTP/1.1\r\nHost: x\r\n"
             "Upgrade: websocket\r\nConnection: Upgrade\r\n"
             "Sec-WebSocket-Version: 13\r\n"
             "Sec-WebSocket-Extensions: %s\r\n"
             "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
             "\r\n",
             path, extensions);
    say(fd, head, strlen(head));
}

/* A client with something of everything: half a line, a message in fragments,
   a nick and a room. */
static inline int
client(struct worker *w, enum kind kind, struct lnt_session **s)
{
    static const char *const endpoints[] = {"listen raw", "listen lines",
                                            "listen web", "listen web",
                                            "listen web", "listen web"};
    int fd = dial(w, endpoints[kind]);
    *s = only(w);
    switch (kind) {
    case RAW:
    case KINDS:
        break;
    case LINES: {
        const char *lines = "/nick bob\n/join lobby\n/join hall\nhalf a li";
        say(fd, lines, strlen(lines));
        break;
    }
    case CHAT:
        shake_hands(fd, "/chat", "permessage-deflate");
        say_frame(fd, 0x81,
                  "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
        say_frame(fd, 0x81, "{\"type\":\"join\",\"room\":\"den\"}");
        say_frame(fd, 0x01, "{\"type\":\"message\",\"ro");
        break;
    case ECHO:
        shake_hands(fd, "/echo", "permessage-deflate; client_max_window_bits");
        say_bytes(fd, 0xc1, WORLD_ZIPPED, sizeof(WORLD_ZIPPED) - 1);
        say_bytes(fd, 0x41, WORLD_AGAIN, 5);
        break;
    case IDLE: {
        const char *get = "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n";
        say(fd, get, strlen(get));
        break;
    }
    case HALF: {
        const char *get = "GET /nothing HTTP/1.1\r\nHo";
        say(fd, get, strlen(get));
        break;
    }
    }
    (void)heard(fd);
    return fd;
}

/* The rest of what the client had begun, and whether it is answered. */
static inline bool
goes_on(enum kind kind, int fd)
{
    switch (kind) {
    case RAW:
        say(fd, "hello", 5);
        return strcmp(heard(fd), "hello") == 0;
    case LINES:
        say(fd, "ne\n", 3);
        return strstr(heard(fd), "<bob> half a line") != NULL;
    case CHAT:
        say_frame(fd, 0x80, "om\":\"lobby\",\"text\":\"hi\",\"id\":7}");
        return strstr(heard(fd), "\"id\":7") != NULL;
    case ECHO:
        /* It refers to the first one, which only the window has. */
        say_bytes(fd, 0x80, &WORLD_AGAIN[5], sizeof(WORLD_AGAIN) - 6);
        return (uint8_t)heard(fd)[0] == 0xc1;
    case IDLE:
        say(fd, "GET /n HTTP/1.1\r\nHost: x\r\n\r\n", 29);
        return strstr(heard(fd), "404 Not Found") != NULL;
    case HALF:
        say(fd, "st: x\r\n\r\n", 9);
        return strstr(heard(fd), "404 Not Found") != NULL;
    case KINDS:
        break;
    }
    return false;
}

#endif
