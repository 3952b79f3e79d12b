/*
 * A worker's half of requests, broadcasts and shared values.
 */
#include "worker/asks.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "ipc/requests.h"
#include "net/module.h"
#include "worker/conns.h"

enum { BROADCAST_MAX = 32 * 1024, SET_TIME = 10000 };

/* ---- what modules call ---- */

static int
send_broadcast(void *arg, const char *module, struct lnt_str data)
{
    struct lnt_asks *a = arg;
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    if (data.n > BROADCAST_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    lnt_strbuf_adds(&b, module);
    lnt_strbuf_addc(&b, '\0');
    lnt_strbuf_add_str(&b, data);
    int rc = lnt_channel_send(a->channel, LNT_FRAME_BROADCAST, 0,
                              lnt_strbuf_str(&b), NULL, 0);
    lnt_strbuf_release(&b);
    return rc;
}

static bool
get_value(void *arg, struct lnt_str key, struct lnt_str *value)
{
    const struct lnt_asks *a = arg;
    const struct lnt_dict_entry *e = lnt_dict_get(&a->dict, key);
    if (e)
        *value = e->value;
    return e != NULL;
}

/* Somebody who set a value and wants to know. */
struct setter {
    void (*done)(void *arg, uint64_t version, const char *why);
    void *arg;
};

static void
on_set_reply(void *arg, bool ok, struct lnt_str data)
{
    struct setter *s = arg;
    char *text = lnt_strndup(data.p, data.n);
    if (s->done)
        s->done(s->arg, ok ? strtoull(text, NULL, 10) : 0, ok ? NULL : text);
    free(text);
    free(s);
}

static int
set_value(void *arg, struct lnt_str key, const struct lnt_str *value,
          void (*done)(void *done_arg, uint64_t version, const char *why),
          void *done_arg)
{
    struct lnt_asks *a = arg;
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    /* It would end the key in the frame; all else the master checks. */
    if (key.n && memchr(key.p, '\0', key.n)) {
        errno = EINVAL;
        return -1;
    }
    struct setter *s = lnt_malloc(sizeof(*s));
    *s = (struct setter){done, done_arg};
    lnt_dict_encode(&b, key, value, 0);
    int rc = lnt_requests_send(a->requests, a->channel, LNT_FRAME_SET,
                               lnt_strbuf_str(&b), SET_TIME, on_set_reply, s);
    if (rc < 0)
        free(s);
    lnt_strbuf_release(&b);
    return rc;
}

static int
send_request(void *arg, unsigned cell, const char *module, const char *name,
             struct lnt_str data, uint64_t timeout_ms, lnt_reply_fn *reply,
             void *reply_arg)
{
    struct lnt_asks *a = arg;
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_request q = {
        .cell = cell,
        .module = lnt_str_c(module),
        .name = lnt_str_c(name),
        .data = data,
    };
    lnt_request_encode(&b, &q);
    int rc =
        lnt_requests_send(a->requests, a->channel, LNT_FRAME_REQUEST,
                          lnt_strbuf_str(&b), timeout_ms, reply, reply_arg);
    lnt_strbuf_release(&b);
    return rc;
}

void
lnt_asks_init(struct lnt_asks *a, struct lnt_loop *loop,
              struct lnt_channel *channel, struct lnt_server_info *info)
{
    a->channel = channel;
    a->requests = lnt_requests_new(loop);
    lnt_dict_init(&a->dict);
    info->broadcast = send_broadcast;
    info->get = get_value;
    info->set = set_value;
    info->request = send_request;
    info->arg = a;
}

void
lnt_asks_drop(struct lnt_asks *a, const char *why)
{
    lnt_requests_drop(a->requests, a->channel, why);
}

void
lnt_asks_release(struct lnt_asks *a)
{
    lnt_requests_free(a->requests);
    lnt_dict_release(&a->dict);
}

/* ---- what comes from the master ---- */

static void
take_broadcast(struct lnt_asks *a, struct lnt_str payload)
{
    size_t n = strnlen(payload.p, payload.n);
    struct lnt_str name = {payload.p, n};
    struct lnt_str data = lnt_str("", 0);
    if (n < payload.n) /* the NUL behind the name */
        data = lnt_str(payload.p + n + 1, payload.n - n - 1);
    for (size_t i = 0; i < a->nctx; i++) {
        const struct lnt_module *m = a->ctx[i].module;
        if (m->on_broadcast &&
            (name.n == 0 || lnt_str_eq(name, lnt_str_c(m->name))))
            m->on_broadcast(&a->ctx[i], data);
    }
}

static void
take_value(struct lnt_asks *a, struct lnt_str payload)
{
    struct lnt_dict_change c;
    if (lnt_dict_decode(payload, &c) < 0) {
        lnt_log_alert("a shared value from the master cannot be read");
        return;
    }
    lnt_dict_apply(&a->dict, c.key, c.unset ? NULL : &c.value, c.version);
    struct lnt_str value = c.unset ? lnt_str(NULL, 0) : c.value;
    for (size_t i = 0; i < a->nctx; i++) {
        const struct lnt_module *m = a->ctx[i].module;
        if (m->on_value)
            m->on_value(&a->ctx[i], c.key, value);
    }
}

static bool
ask_core(struct lnt_asks *a, const struct lnt_request *q,
         struct lnt_strbuf *reply)
{
    if (lnt_str_eq(q->name, LNT_STR("conns"))) {
        lnt_conns_list(a->net, a->slot, reply);
        return true;
    }
    if (lnt_str_eq(q->name, LNT_STR("kick")))
        return lnt_conns_kick(a->net, q->data, reply);
    lnt_strbuf_adds(reply, "that is not known here");
    return false;
}

static bool
ask_module(struct lnt_asks *a, const struct lnt_request *q,
           struct lnt_strbuf *reply)
{
    for (size_t i = 0; i < a->nctx; i++) {
        const struct lnt_module *m = a->ctx[i].module;
        if (lnt_str_eq(q->module, lnt_str_c(m->name)) && m->on_request)
            return m->on_request(&a->ctx[i], q->name, q->data, reply);
    }
    lnt_strbuf_adds(reply, "no module here answers that");
    return false;
}

static void
take_request(struct lnt_asks *a, const struct lnt_frame *f)
{
    struct lnt_strbuf reply = LNT_STRBUF_INIT;
    struct lnt_request q;
    bool ok = false;
    if (lnt_request_decode(f->payload, &q) < 0)
        lnt_strbuf_adds(&reply, "the request cannot be read");
    else
        ok = q.module.n ? ask_module(a, &q, &reply) : ask_core(a, &q, &reply);
    if (lnt_requests_answer(a->channel, f->request, ok,
                            lnt_strbuf_str(&reply)) < 0)
        lnt_log_error("cannot answer a request: %s", strerror(errno));
    lnt_strbuf_release(&reply);
}

bool
lnt_asks_frame(struct lnt_asks *a, const struct lnt_frame *f)
{
    if (f->type == LNT_FRAME_BROADCAST)
        take_broadcast(a, f->payload);
    else if (f->type == LNT_FRAME_VALUE)
        take_value(a, f->payload);
    else if (f->type == LNT_FRAME_REQUEST)
        take_request(a, f);
    else if (f->type == LNT_FRAME_REPLY)
        lnt_requests_take(a->requests, a->channel, f->request, f->payload);
    else
        return false;
    return true;
}
