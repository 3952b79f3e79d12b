/* LINK: all */
/*
 * A connection as bytes: real sessions over socket pairs are frozen and thawed
 * again; then bytes that were cut short or changed are thawed, which must come
 * to a living session or to an end, and never harm the others.
 */
#include "net/move.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/buf.h"
#include "core/log.h"
#include "core/mem.h"
#include "event/loop.h"
#include "hub/hub.h"
#include "net/conn.h"
#include "net/endpoint.h"
#include "os/clock.h"
#include "proc/config.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

extern const struct lnt_module *const lnt_static_modules[];

static const char text[] = "[server]\n"
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
                           "app = chat\n";

/* ---- a worker ---- */

static struct lnt_loop *loop;
static struct lnt_net *net;
static struct lnt_hub *hub;
static struct lnt_zone *zone;
static struct lnt_config *config;
static struct lnt_module_ctx *ctx;
static struct lnt_server_info info;
static unsigned turns;
static uint32_t seed = 20260101;

static uint32_t
any(uint32_t below)
{
    seed = seed * 1664525 + 1013904223;
    return (seed >> 8) % below;
}

static bool
on_turn(void *arg)
{
    (void)arg;
    if (hub) {
        (void)lnt_hub_turn(hub);
        (void)lnt_net_flush(net);
    }
    if (turns > 0 && --turns == 0)
        lnt_loop_stop(loop);
    return true;
}

static bool
on_sleep(void *arg)
{
    (void)arg;
    return false; /* never waits */
}

static void
on_wake(void *arg)
{
    (void)arg;
}

/* Lets all that is under way happen. */
static void
settle(void)
{
    turns = 4;
    if (lnt_loop_run(loop) < 0)
        exit(1);
}

static bool
get_nothing(void *arg, struct lnt_str key, struct lnt_str *value)
{
    (void)arg;
    (void)key;
    (void)value;
    return false;
}

static void
load(void)
{
    struct lnt_strbuf errors = LNT_STRBUF_INIT;
    char folder[PATH_MAX];
    snprintf(folder, sizeof(folder), "%s/", tmp_dir());
    const char *path = tmp_write("server.ini", text, sizeof(text) - 1);
    struct lnt_config_source source = {
        .prefix = folder,
        .path = path,
        .builtin = lnt_static_modules,
        .info = &info,
    };
    info.slot = -1;
    info.access_fd = -1;
    info.get = get_nothing;
    config = lnt_config_load(&source, &errors);
    if (!config) {
        diag("%s", errors.p);
        exit(1);
    }
    lnt_strbuf_release(&errors);
}

static void
begin(void)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    static int bells[LNT_CELLS];
    load();
    for (int i = 0; i < LNT_CELLS; i++)
        bells[i] = -1;
    zone = lnt_zone_create(16 * 1024 * 1024, &why);
    loop = lnt_loop_new();
    struct lnt_loop_hook hook = {on_turn, on_sleep, on_wake, NULL};
    lnt_loop_set_hook(loop, &hook);
    settle(); /* so that it knows the time */
    int cell = lnt_zone_cell_take(zone, 0, 1);
    ctx = lnt_calloc(config->nmodules + 1, sizeof(*ctx));
    net = lnt_net_new(&(struct lnt_net_params){
        .loop = loop,
        .cell = (unsigned)cell,
        .stats = &lnt_zone_cell(zone, (unsigned)cell)->stats,
        .modules = config->modules,
        .ctx = ctx,
    });
    hub = lnt_hub_new(&(struct lnt_hub_params){
        .zone = zone, .cell = (unsigned)cell, .doorbells = bells, .net = net});
    for (size_t i = 0; i < config->nmodules; i++)
        ctx[i] = (struct lnt_module_ctx){.module = config->modules[i],
                                         .conf = config->module_confs[i],
                                         .net = net,
                                         .hub = hub,
                                         .server = &info};
    for (size_t i = 0; i < config->nmodules; i++)
        if (ctx[i].module->worker_start &&
            ctx[i].module->worker_start(&ctx[i], &why) < 0) {
            diag("%s: %s", ctx[i].module->name, why.p);
            exit(1);
        }
}

static void
end(void)
{
    lnt_net_abort(net);
    settle();
    for (size_t i = config->nmodules; i-- > 0;)
        if (ctx[i].module->worker_stop)
            ctx[i].module->worker_stop(&ctx[i]);
    lnt_hub_free(hub);
    lnt_net_free(net);
    lnt_loop_destroy(loop);
    lnt_zone_close(zone);
    lnt_config_free(config);
    free(ctx);
}

static const struct lnt_endpoint *
find(void *arg, struct lnt_str id)
{
    (void)arg;
    return lnt_endpoint_find(config->endpoints, id);
}

/* ---- clients ---- */

static int
dial(const char *endpoint)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                   fds) < 0)
        exit(1);
    if (!lnt_conn_open(net, fds[0], find(NULL, lnt_str_c(endpoint)), 0))
        exit(1);
    return fds[1];
}

static void
say(int fd, const void *p, size_t n)
{
    if (write(fd, p, n) != (ssize_t)n)
        exit(1);
    settle();
}

/* What came back; in a buffer of its own, NUL at the end. */
static const char *
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

static void
say_frame(int fd, uint8_t op, const char *payload)
{
    uint8_t frame[256] = {op, (uint8_t)(0x80 | strlen(payload)), 0, 0, 0, 0};
    memcpy(frame + 6, payload, strlen(payload));
    say(fd, frame, 6 + strlen(payload));
}

/* The only one there is. */
static struct lnt_session *
only(void)
{
    size_t at = 0;
    return lnt_net_next(net, &at);
}

enum kind { RAW, LINES, CHAT, KINDS };
static const char *const names[] = {"raw", "line with chat",
                                    "WebSocket with chat"};

/* A client with something of everything: half a line, a message in fragments,
   a nick and a room. */
static int
client(enum kind kind, struct lnt_session **s)
{
    int fd = dial(kind == RAW     ? "listen raw"
                  : kind == LINES ? "listen lines"
                                  : "listen web");
    *s = only();
    if (kind == LINES) {
        const char *lines = "/nick bob\n/join lobby\n/join hall\nhalf a li";
        say(fd, lines, strlen(lines));
    } else if (kind == CHAT) {
        const char *head = "GET /chat HTTP/1.1\r\nHost: x\r\n"
                           "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                           "Sec-WebSocket-Version: 13\r\n"
                           "Sec-WebSocket-Extensions: permessage-deflate\r\n"
                           "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                           "\r\n";
        say(fd, head, strlen(head));
        say_frame(fd, 0x81,
                  "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
        say_frame(fd, 0x81, "{\"type\":\"join\",\"room\":\"den\"}");
        say_frame(fd, 0x01, "{\"type\":\"message\",\"ro");
    }
    (void)heard(fd);
    return fd;
}

/* The rest of what the client had begun, and whether it is answered. */
static bool
goes_on(enum kind kind, int fd)
{
    if (kind == RAW) {
        say(fd, "hello", 5);
        return strcmp(heard(fd), "hello") == 0;
    }
    if (kind == LINES) {
        say(fd, "ne\n", 3);
        return strstr(heard(fd), "<bob> half a line") != NULL;
    }
    say_frame(fd, 0x80, "om\":\"lobby\",\"text\":\"hi\",\"id\":7}");
    return strstr(heard(fd), "\"id\":7") != NULL;
}

static bool
freeze(struct lnt_session *s, struct lnt_strbuf *bytes, int *fd)
{
    lnt_strbuf_clear(bytes);
    *fd = lnt_move_freeze(s, bytes);
    return *fd >= 0;
}

/* ---- the tests ---- */

static void
test_there_and_back(enum kind kind)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_session *s;
    const char *why = NULL;
    int fd, peer = client(kind, &s);
    for (int i = 0; i < 3 && s; i++) {
        const char *said = heard(peer);
        if (said[0])
            diag("after the move: %s", said);
        ok(freeze(s, &bytes, &fd), "%s: frozen, %zu bytes", names[kind],
           bytes.n);
        settle();
        is_int(lnt_net_count(net), 0, "... nothing is left here");
        ok(lnt_move_thaw(net, fd, lnt_strbuf_str(&bytes), find, NULL, &why) !=
               NULL,
           "... and thawed");
        s = only();
        is_int(lnt_net_count(net), 1, "... it is there");
    }
    ok(goes_on(kind, peer), "... and goes on where it was");
    close(peer);
    settle();
    is_int(lnt_net_count(net), 0, "... until its client goes");
    lnt_strbuf_release(&bytes);
}

/* Thaws these bytes instead; what was frozen is gone then, its nick and rooms
   with its worker, which we play here. */
static bool
try_thaw(struct lnt_str bytes, int fd, int peer)
{
    const char *why = NULL;
    /* Reads beyond the end are seen with a buffer of just that size. */
    char *copy = malloc(bytes.n + (bytes.n == 0));
    if (bytes.n)
        memcpy(copy, bytes.p, bytes.n);
    bool lives = lnt_move_thaw(net, fd, lnt_str(copy, bytes.n), find, NULL,
                               &why) != NULL;
    free(copy);
    settle();
    if (lives) {
        say(peer, "x\n", 2);
        (void)heard(peer);
    }
    return lives || why;
}

/* How one that was frozen and is given up leaves the zone: as at the death of
   its worker. */
static void
forget(struct lnt_str bytes, int fd)
{
    const char *why;
    if (lnt_move_thaw(net, fd, bytes, find, NULL, &why))
        lnt_net_abort(net);
    settle();
}

static void
test_broken(enum kind kind)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT, changed = LNT_STRBUF_INIT;
    struct lnt_session *s;
    bool told = true;
    unsigned living = 0;
    int fd, peer = client(kind, &s);
    if (!freeze(s, &bytes, &fd))
        exit(1);
    /* Refused in full length only: nobody misses what was cut off. */
    unsigned refused = 0;
    for (size_t n = 0; n < bytes.n; n++) {
        int pair = dup(fd);
        const char *why = NULL;
        refused +=
            !lnt_move_thaw(net, pair, lnt_str(bytes.p, n), find, NULL, &why) &&
            why;
        settle();
    }
    is_int(refused, (long long)bytes.n, "%s: cut anywhere it is refused",
           names[kind]);
    is_int(lnt_net_count(net), 0, "... and nothing stays");
    forget(lnt_strbuf_str(&bytes), fd);
    close(peer);
    for (int i = 0; i < 1000; i++) {
        peer = client(kind, &s);
        if (!s || !freeze(s, &bytes, &fd)) {
            fail("%s: cannot be frozen", names[kind]);
            return;
        }
        lnt_strbuf_clear(&changed);
        lnt_strbuf_add_str(&changed, lnt_strbuf_str(&bytes));
        for (uint32_t n = 1 + any(3); n > 0; n--) {
            uint32_t at = any((uint32_t)changed.n);
            changed.p[at] =
                (char)(any(3) ? changed.p[at] ^ (1 << any(8)) : (int)any(256));
        }
        int again = dup(fd);
        told &= try_thaw(lnt_strbuf_str(&changed), fd, peer);
        living += lnt_net_count(net);
        lnt_net_abort(net);
        settle();
        /* If the nick was not adopted, it is still to be had. */
        forget(lnt_strbuf_str(&bytes), again);
        close(peer);
        settle();
    }
    ok(told,
       "... changed 1,000 times it lives or it is told why not "
       "(%u lived)",
       living);
    is_int(lnt_net_count(net), 0, "... and nothing stays");
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    ok(lnt_zone_check(zone, &why), "... the zone is sound");
    if (why.n)
        diag("%s", why.p);
    lnt_strbuf_release(&why);
    lnt_strbuf_release(&bytes);
    lnt_strbuf_release(&changed);
}

int
main(void)
{
    lnt_log_level(LNT_ALERT);
    begin();
    for (enum kind k = RAW; k < KINDS; k++)
        test_there_and_back(k);
    for (enum kind k = RAW; k < KINDS; k++)
        test_broken(k);
    end();
    done_testing();
}
