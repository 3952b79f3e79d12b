/*
 * Shared values and requests, for t/values.t: an application over lines that
 * does what it is told, and writes down all that this worker hears of values.
 *
 *   where                     which worker: slot, cell, pid
 *   set K V | unset K | get K
 *   fill K N                  sets K to N bytes
 *   bytes K                   sets K to all bytes from 0 to 255
 *   nul                       sets a key with a NUL in it
 *   many K N                  N sets of keys K0 .. K9 without waiting
 *   storm K N                 the same, but does not try again when refused
 *   log                       how many changes this worker has seen, a hash
 *                             of all, and how many answers were wrong
 *   began                     what the key "began" was when this worker
 *                             started
 *   ask CELL MS NAME DATA     asks this module in another worker: NAME is echo,
 *                             big, refuse, where, hang, exit or crash; or
 *                             the master (CELL is "master"), whose answer is
 *                             told up to the end of its first line
 *   flood CELL MS N           that many questions to one that does not answer
 *   frame TYPE REQUEST INCARNATION [HEX]     sends the master a frame of that
 *                             payload
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/hash.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "net/module.h"
#include "net/net.h"
#include "net/server_info.h"

enum { BATCH = 10, FDS = 1024, FRAME_MAX = 4096 };

/* A worker's. */
struct values {
    uint64_t *seen; /* a hash for each change, in their order */
    size_t nseen, cap;
    uint64_t before; /* the version at the first change we know of, less one */
    uint64_t wrong;  /* answers that do not agree with what was seen */
    bool known;      /* before is */
    char *began;     /* the value of that key at the start */
};

/* A set, or a run of sets, whose answer somebody waits for. */
struct setter {
    struct lnt_module_ctx *m;
    uint64_t session;
    char key[64];
    size_t wanted, sent, done, refused;
    bool single;
    bool stubborn; /* goes on when too many are under way */
};

struct one {
    struct setter *setter;
    uint64_t hash; /* of its change */
};

static uint64_t
hash_change(struct lnt_str key, struct lnt_str value)
{
    uint64_t h = lnt_hash(1, key.p, key.n);
    return lnt_hash(h, value.p ? value.p : "", value.n) + !value.p;
}

/* ---- answers ---- */

__attribute__((format(printf, 3, 4))) static void
say(struct lnt_module_ctx *m, uint64_t session, const char *fmt, ...)
{
    struct lnt_session *s = lnt_net_session(m->net, session);
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    va_list ap;
    va_start(ap, fmt);
    lnt_strbuf_vaddf(&b, fmt, ap);
    va_end(ap);
    if (s)
        lnt_session_send(s, LNT_TEXT, b.p, b.n);
    lnt_strbuf_release(&b);
}

/* ---- setting ---- */

/*
 * By the time a setter is told, this worker has seen its change, and as the
 * version says: the change with version V is the V-th there was.
 */
static void
check_order(struct values *v, uint64_t version, uint64_t hash)
{
    size_t at = v->nseen;
    if (!v->known) {
        while (at > 0 && v->seen[at - 1] != hash)
            at--;
        v->known = at > 0;
        v->before = version - at;
        v->wrong += !v->known;
    } else if (version <= v->before || version - v->before > v->nseen ||
               v->seen[version - v->before - 1] != hash) {
        v->wrong++;
    }
}

static void send_some(struct setter *w);

static void
on_done(void *arg, uint64_t version, const char *why)
{
    struct one *one = arg;
    struct setter *w = one->setter;
    w->done++;
    if (version)
        check_order(w->m->data, version, one->hash);
    else
        w->refused++;
    free(one);
    if (w->single) {
        if (version)
            say(w->m, w->session, "set %" PRIu64, version);
        else
            say(w->m, w->session, "refused %s", why);
    }
    send_some(w);
    if (w->done < w->wanted)
        return;
    if (!w->single)
        say(w->m, w->session, "%zu done, %zu refused", w->done, w->refused);
    free(w);
}

static int
send_set(struct setter *w, struct lnt_str key, const struct lnt_str *value)
{
    const struct lnt_server_info *server = w->m->server;
    struct one *one = lnt_malloc(sizeof(*one));
    one->setter = w;
    one->hash = hash_change(key, value ? *value : lnt_str(NULL, 0));
    if (lnt_server_set(server, key, value, on_done, one) == 0) {
        w->sent++;
        return 0;
    }
    int error = errno;
    free(one);
    errno = error;
    return -1;
}

/* As many as the channel takes; the others when answers have come. */
static void
send_some(struct setter *w)
{
    char key[80], value[64];
    while (!w->single && w->sent < w->wanted) {
        snprintf(key, sizeof(key), "%s%zu", w->key, w->sent % BATCH);
        snprintf(value, sizeof(value), "%d.%" PRIu64 ".%zu", w->m->server->slot,
                 w->session, w->sent);
        struct lnt_str v = lnt_str_c(value);
        if (send_set(w, lnt_str_c(key), &v) == 0)
            continue;
        if (w->stubborn && errno == EAGAIN && w->sent > w->done)
            return;
        w->wanted = w->sent;
        say(w->m, w->session, "after %zu: %s", w->sent, strerror(errno));
    }
}

static struct setter *
new_setter(struct lnt_session *s, size_t wanted)
{
    struct setter *w = lnt_calloc(1, sizeof(*w));
    w->m = lnt_session_app(s);
    w->session = lnt_session_id(s);
    w->wanted = wanted;
    return w;
}

static void
set_one(struct lnt_session *s, struct lnt_str key, const struct lnt_str *value)
{
    struct setter *w = new_setter(s, 1);
    w->single = true;
    if (send_set(w, key, value) == 0)
        return;
    say(w->m, w->session, "not sent: %s", strerror(errno));
    free(w);
}

static void
set_many(struct lnt_session *s, const char *key, size_t n, bool stubborn)
{
    struct setter *w = new_setter(s, n);
    snprintf(w->key, sizeof(w->key), "%.60s", key);
    w->stubborn = stubborn;
    send_some(w);
    if (w->wanted == 0)
        free(w);
}

static void
set_filler(struct lnt_session *s, const char *key, size_t n)
{
    struct lnt_str v = {lnt_calloc(1, n + 1), n};
    memset((char *)(uintptr_t)v.p, 'x', n);
    set_one(s, lnt_str_c(key), &v);
    free((char *)(uintptr_t)v.p);
}

static void
set_bytes(struct lnt_session *s, const char *key)
{
    char bytes[256];
    struct lnt_str v = {bytes, sizeof(bytes)};
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)i;
    set_one(s, lnt_str_c(key), &v);
}

static void
tell_value(struct lnt_session *s, const char *key)
{
    struct lnt_module_ctx *m = lnt_session_app(s);
    struct lnt_str v;
    if (!lnt_server_get(m->server, lnt_str_c(key), &v))
        say(m, lnt_session_id(s), "not set");
    else if (v.n > 100)
        say(m, lnt_session_id(s), "%zu bytes", v.n);
    else
        say(m, lnt_session_id(s), "is %.*s", LNT_STR_ARG(v));
}

static void
tell_log(struct lnt_session *s)
{
    struct lnt_module_ctx *m = lnt_session_app(s);
    const struct values *v = m->data;
    say(m, lnt_session_id(s), "%zu %016" PRIx64 " %" PRIu64, v->nseen,
        lnt_hash(7, v->seen ? (const void *)v->seen : "",
                 v->nseen * sizeof(v->seen[0])),
        v->wrong);
}

/* ---- asking ---- */

struct question {
    struct lnt_module_ctx *m;
    uint64_t session, asked;
    bool of_master;
};

static void
on_reply(void *arg, bool ok, struct lnt_str answer)
{
    struct question *q = arg;
    struct lnt_session *s = lnt_net_session(q->m->net, q->session);
    uint64_t took = s ? lnt_session_now(s) - q->asked : 0;
    if (!q->m->data)
        abort(); /* told after worker_stop */
    const char *end = q->of_master ? memchr(answer.p, '\n', answer.n) : NULL;
    if (end)
        answer.n = (size_t)(end - answer.p);
    if (answer.n > 200 && !q->of_master)
        say(q->m, q->session, "%s %" PRIu64 " %zu bytes %016" PRIx64,
            ok ? "yes" : "no", took, answer.n, lnt_hash(7, answer.p, answer.n));
    else
        say(q->m, q->session, "%s %" PRIu64 " %.*s", ok ? "yes" : "no", took,
            LNT_STR_ARG(answer));
    free(q);
}

static int
ask(struct lnt_session *s, unsigned cell, uint64_t timeout, const char *name,
    struct lnt_str data)
{
    struct lnt_module_ctx *m = lnt_session_app(s);
    struct question *q = lnt_calloc(1, sizeof(*q));
    *q = (struct question){m, lnt_session_id(s), lnt_session_now(s),
                           cell == LNT_MASTER};
    if (lnt_server_request(m->server, cell, q->of_master ? "" : "values", name,
                           data, timeout, on_reply, q) == 0)
        return 0;
    int error = errno;
    free(q);
    errno = error;
    return -1;
}

static void
ask_one(struct lnt_session *s, unsigned cell, uint64_t timeout,
        const char *name, const char *data)
{
    if (ask(s, cell, timeout, name, lnt_str_c(data)) < 0)
        say(lnt_session_app(s), lnt_session_id(s), "not sent: %s",
            strerror(errno));
}

static void
flood(struct lnt_session *s, unsigned cell, uint64_t timeout, size_t n)
{
    size_t sent = 0;
    while (sent < n && ask(s, cell, timeout, "echo", LNT_STR("flood")) == 0)
        sent++;
    say(lnt_session_app(s), lnt_session_id(s), "%zu sent", sent);
}

/* The same bytes for everybody; the asker knows their hash. */
static void
add_pattern(struct lnt_strbuf *b, size_t n)
{
    char *p = lnt_strbuf_reserve(b, n);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)(i * 31 + i / 256);
    b->n += n;
}

static bool
reply_to(struct lnt_module_ctx *m, struct lnt_str name, struct lnt_str data,
         struct lnt_strbuf *reply)
{
    if (lnt_str_eq(name, LNT_STR("echo"))) {
        lnt_strbuf_add_str(reply, data);
    } else if (lnt_str_eq(name, LNT_STR("big"))) {
        char *text = lnt_strndup(data.p, data.n);
        add_pattern(reply, (size_t)strtoul(text, NULL, 10));
        free(text);
    } else if (lnt_str_eq(name, LNT_STR("where"))) {
        lnt_strbuf_addf(reply, "%d %ld", m->server->slot, (long)getpid());
    } else if (lnt_str_eq(name, LNT_STR("exit"))) {
        _exit(3);
    } else if (lnt_str_eq(name, LNT_STR("crash"))) {
        abort();
    } else if (lnt_str_eq(name, LNT_STR("hang"))) {
        for (;;)
            pause();
    } else {
        lnt_strbuf_adds(reply, "values does not do that");
        return false;
    }
    return true;
}

static void
on_request(struct lnt_module_ctx *m, struct lnt_str name, struct lnt_str data,
           const struct lnt_requester *to)
{
    struct lnt_strbuf reply = LNT_STRBUF_INIT;
    bool good = reply_to(m, name, data, &reply);

    lnt_answer(to, good, lnt_strbuf_str(&reply));
    lnt_strbuf_release(&reply);
}

/* ---- what no worker would send ---- */

/* This worker's end of the channel: the one seqpacket socket it has. */
static int
channel_fd(void)
{
    for (int fd = 3; fd < FDS; fd++) {
        int type = 0;
        socklen_t n = sizeof(type);
        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0 &&
            type == SOCK_SEQPACKET)
            return fd;
    }
    return -1;
}

static size_t
from_hex(const char *hex, uint8_t *out, size_t size)
{
    size_t n = 0;
    unsigned byte;
    while (n < size && sscanf(hex + 2 * n, "%2x", &byte) == 1)
        out[n++] = (uint8_t)byte;
    return n;
}

/* As ipc/channel.c lays it out; the incarnation comes from the status. */
static void
send_frame(struct lnt_session *s, unsigned type, uint32_t request,
           uint32_t incarnation, const char *hex)
{
    uint8_t frame[24 + FRAME_MAX];
    uint32_t length = (uint32_t)from_hex(hex ? hex : "", frame + 24, FRAME_MAX);
    uint32_t head[6] = {0x6c6e7431, 1u | type << 16, incarnation,
                        request,    length,          0};
    memcpy(frame, head, sizeof(head));
    ssize_t n = send(channel_fd(), frame, 24 + length, MSG_NOSIGNAL);
    say(lnt_session_app(s), lnt_session_id(s), "%zd bytes", n);
}

/* ---- commands ---- */

enum { WORDS = 5 };

/* The last word may have blanks. */
static size_t
split(char *line, size_t most, char *word[WORDS])
{
    size_t n = 0;
    while (n < most) {
        word[n++] = line;
        if (n == most || !(line = strchr(line, ' ')))
            break;
        *line++ = '\0';
    }
    return n;
}

static unsigned
number(const char *word)
{
    return (unsigned)strtoul(word, NULL, 10);
}

/* true: it was one of these, which need more than a key. */
static bool
run_long(struct lnt_session *s, char *word[WORDS], size_t n)
{
    const char *verb = word[0];
    if (strcmp(verb, "many") == 0 && n == 3)
        set_many(s, word[1], number(word[2]), true);
    else if (strcmp(verb, "storm") == 0 && n == 3)
        set_many(s, word[1], number(word[2]), false);
    else if (strcmp(verb, "fill") == 0 && n == 3)
        set_filler(s, word[1], number(word[2]));
    else if (strcmp(verb, "flood") == 0 && n == 4)
        flood(s, number(word[1]), number(word[2]), number(word[3]));
    else if (strcmp(verb, "ask") == 0 && n >= 4)
        ask_one(s, strcmp(word[1], "master") ? number(word[1]) : LNT_MASTER,
                number(word[2]), word[3], n > 4 ? word[4] : "");
    else if (strcmp(verb, "frame") == 0 && n >= 4)
        send_frame(s, number(word[1]), number(word[2]), number(word[3]),
                   n > 4 ? word[4] : "");
    else
        return false;
    return true;
}

static void
run_short(struct lnt_session *s, char *word[WORDS], size_t n)
{
    struct lnt_module_ctx *m = lnt_session_app(s);
    const struct values *v = m->data;
    uint64_t id = lnt_session_id(s);
    const char *verb = word[0];
    if (strcmp(verb, "where") == 0)
        say(m, id, "%d %u %ld", m->server->slot,
            (unsigned)id & ((1u << LNT_ID_CELL_BITS) - 1), (long)getpid());
    else if (strcmp(verb, "unset") == 0 && n == 2)
        set_one(s, lnt_str_c(word[1]), NULL);
    else if (strcmp(verb, "get") == 0 && n == 2)
        tell_value(s, word[1]);
    else if (strcmp(verb, "bytes") == 0 && n == 2)
        set_bytes(s, word[1]);
    else if (strcmp(verb, "nul") == 0)
        set_one(s, LNT_STR("a\0b"), &LNT_STR("value"));
    else if (strcmp(verb, "log") == 0)
        tell_log(s);
    else if (strcmp(verb, "began") == 0)
        say(m, id, "with %s", v->began);
    else
        say(m, id, "what?");
}

static lnt_verdict
on_message(struct lnt_session *s, const struct lnt_message *msg)
{
    char *line = lnt_strndup(msg->data.p, msg->data.n);
    char *word[WORDS] = {NULL};
    if (strncmp(line, "set ", 4) == 0) {
        if (split(line, 3, word) == 3) {
            struct lnt_str v = lnt_str_c(word[2]);
            set_one(s, lnt_str_c(word[1]), &v);
        }
    } else {
        size_t n = split(line, WORDS, word);
        if (!run_long(s, word, n))
            run_short(s, word, n);
    }
    free(line);
    return LNT_GO_ON;
}

/* ---- the module ---- */

static void
on_value(struct lnt_module_ctx *m, struct lnt_str key, struct lnt_str data)
{
    struct values *v = m->data;
    if (v->nseen == v->cap) {
        v->cap = v->cap ? 2 * v->cap : 1024;
        v->seen = lnt_realloc(v->seen, v->cap * sizeof(v->seen[0]));
    }
    v->seen[v->nseen++] = hash_change(key, data);
}

/* Values are there before a worker is ready. */
static int
worker_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    struct values *v = lnt_calloc(1, sizeof(*v));
    struct lnt_str value;
    (void)why;
    v->began = lnt_server_get(m->server, LNT_STR("began"), &value)
                   ? lnt_strndup(value.p, value.n)
                   : lnt_strdup("nothing");
    m->data = v;
    return 0;
}

static void
worker_stop(struct lnt_module_ctx *m)
{
    struct values *v = m->data;
    free(v->seen);
    free(v->began);
    free(v);
    m->data = NULL;
}

static void
describe(const struct lnt_session *s, struct lnt_strbuf *out)
{
    (void)s;
    lnt_strbuf_adds(out, "asks for values");
}

static const struct lnt_app values_app = {
    .message = on_message,
    .describe = describe,
};

const struct lnt_module lnt_module_values = {
    LNT_MODULE_HEAD,
    .name = "values",
    .help = "shared values and requests, for tests",
    .app = &values_app,
    .worker_start = worker_start,
    .worker_stop = worker_stop,
    .on_value = on_value,
    .on_request = on_request,
};
