/*
 * Workers whose listeners have the toy filter, and clients that know it.
 * Included by exactly one file of a program, which is linked with all.
 */
#ifndef LNT_T_FILTER_WORLD_H
#define LNT_T_FILTER_WORLD_H

#define WORLD_TEXT                                                             \
    "[server]\n"                                                               \
    "workers = 1\n"                                                            \
    "[listen raw]\n"                                                           \
    "address = 127.0.0.1:9\n"                                                  \
    "app = echo\n"                                                             \
    "[listen quick]\n"                                                         \
    "address = 127.0.0.1:10\n"                                                 \
    "app = echo\n"                                                             \
    "handshake_timeout = 100ms\n"                                              \
    "[listen lines]\n"                                                         \
    "address = 127.0.0.1:11\n"                                                 \
    "protocol = line\n"                                                        \
    "app = chat\n"                                                             \
    "[listen web]\n"                                                           \
    "address = 127.0.0.1:12\n"                                                 \
    "protocol = http\n"                                                        \
    "[route echo]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /echo\n"                                                           \
    "protocol = websocket\n"                                                   \
    "compression = off\n"                                                      \
    "app = echo\n"                                                             \
    "[route files]\n"                                                          \
    "listen = web\n"                                                           \
    "path = /files\n"                                                          \
    "handler = static\n"                                                       \
    "root = .\n"                                                               \
    "[route poll]\n"                                                           \
    "listen = web\n"                                                           \
    "path = /poll\n"                                                           \
    "handler = poll\n"                                                         \
    "[listen plain]\n"                                                         \
    "address = 127.0.0.1:13\n"                                                 \
    "app = echo\n"

#define WORLD_MODULES filter_modules

#include "modules/http/http.h"
#include "net/module.h"

static const struct lnt_module *filter_modules[64];

#include "t/unit/move_world.h"
#include "t/unit/toy_filter.h"

/* ---- a handler that answers later ---- */

static struct lnt_http_later *polls; /* the last one; NULL: none */
static unsigned polls_gone;

static inline lnt_verdict
poll_handle(struct lnt_module_ctx *m, struct lnt_http_request *r)
{
    (void)m;
    polls = lnt_http_park(r, 60000, NULL);
    return LNT_GO_ON;
}

static inline void
poll_answer(const char *text)
{
    struct lnt_http_request *r = lnt_http_resume(polls);
    polls = NULL;
    (void)lnt_http_respond(r, 200, "text/plain", NULL, lnt_str_c(text));
}

static inline void
poll_due(struct lnt_module_ctx *m, struct lnt_http_later *l,
         enum lnt_http_due why)
{
    (void)m;
    (void)why;
    polls = l;
    poll_answer("due");
}

static inline void
poll_gone(struct lnt_module_ctx *m, struct lnt_http_later *l)
{
    (void)m;
    polls_gone++;
    if (polls == l)
        polls = NULL;
}

static inline int
poll_freeze(struct lnt_module_ctx *m, struct lnt_http_later *l,
            struct lnt_strbuf *out)
{
    (void)m;
    (void)l;
    (void)out;
    return 0;
}

static inline int
poll_thaw(struct lnt_module_ctx *m, struct lnt_http_later *l,
          struct lnt_str state)
{
    (void)m;
    (void)state;
    polls = l;
    return 0;
}

static const struct lnt_http_handler poll_handler = {
    .allow = "GET",
    .handle = poll_handle,
    .due = poll_due,
    .gone = poll_gone,
    .freeze = poll_freeze,
    .thaw = poll_thaw,
};

static const struct lnt_module poll_module = {
    LNT_MODULE_HEAD,
    .name = "poll",
    .handler = &poll_handler,
};

/* ---- workers ---- */

/* All listeners but "plain"; a real module does it when it is configured. */
static inline void
filter_begin(unsigned n)
{
    size_t k = 0;
    for (; lnt_static_modules[k]; k++)
        filter_modules[k] = lnt_static_modules[k];
    filter_modules[k] = &poll_module;
    world_begin(n);
    for (const struct lnt_endpoint *e = config->endpoints; e; e = e->next) {
        struct lnt_endpoint *writable = (struct lnt_endpoint *)(uintptr_t)e;
        if (e->listener || strcmp(e->name, "listen plain") == 0)
            continue;
        writable->filter = &toy_greeting;
        writable->filter_conf = &toy_conf;
    }
}

/* ---- clients ---- */

/* type: SOCK_STREAM, or SOCK_SEQPACKET, in which each write shows. */
static inline struct toy_client
toy_dial_as(struct worker *w, const char *endpoint, int type)
{
    struct toy_client c = {0};
    int fds[2];
    if (socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
        exit(1);
    if (!lnt_conn_open(w->net, fds[0], find(NULL, lnt_str_c(endpoint)), 0))
        exit(1);
    c.fd = fds[1];
    return c;
}

/* Nothing is run in between. */
static inline void
toy_write(struct toy_client *c, const void *p, size_t n)
{
    if (send(c->fd, p, n, MSG_NOSIGNAL) != (ssize_t)n)
        exit(1);
}

static inline void
toy_put(struct toy_client *c, const void *p, size_t n)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    toy_record(&c->out, p, n, &b);
    toy_write(c, b.p, b.n);
    lnt_strbuf_release(&b);
}

static inline void
toy_say(struct toy_client *c, const char *text)
{
    toy_put(c, text, strlen(text));
    settle();
}

/* What came back since the last time. */
static inline const char *
toy_heard(struct toy_client *c)
{
    settle();
    lnt_strbuf_clear(&c->plain);
    toy_read(c, SIZE_MAX);
    return c->plain.n ? c->plain.p : "";
}

static inline struct toy_client
toy_dial(struct worker *w, const char *endpoint)
{
    struct toy_client c = toy_dial_as(w, endpoint, SOCK_STREAM);
    toy_write(&c, "HELLO\n", 6);
    (void)toy_heard(&c);
    return c;
}

/* Nothing of filters is left. */
static inline void
toy_none_left(const char *what)
{
    settle();
    for (unsigned i = 0; i < nworkers; i++) {
        const struct lnt_stats *s =
            &lnt_zone_cell(zone, workers[i].cell)->stats;
        is_int(lnt_net_count(workers[i].net), 0, "%s: nobody is left", what);
        is_int(s->shaking + s->raw_input + s->send_queue, 0,
               "... and nothing counted");
    }
    is_int(toy_open, 0, "... no state either");
}

#endif
