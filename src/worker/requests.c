/*
 * What comes to a worker's modules from the master.
 */
#include "worker/requests.h"

#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "core/pack.h"
#include "core/strbuf.h"
#include "ipc/requests.h"
#include "net/detached.h"
#include "net/handover.h"
#include "net/module.h"
#include "worker/conns.h"

void
lnt_worker_requests_init(struct lnt_worker_requests *a, struct lnt_loop *loop,
                         struct lnt_channel *channel,
                         struct lnt_server_info *info)
{
    a->channel = channel;
    a->requests = lnt_requests_new(loop);
    lnt_dict_init(&a->dict);
    info->master = channel;
    info->requests = a->requests;
    info->values = &a->dict;
}

void
lnt_worker_requests_drop(struct lnt_worker_requests *a, const char *why)
{
    lnt_requests_drop(a->requests, a->channel, why);
}

void
lnt_worker_requests_release(struct lnt_worker_requests *a)
{
    lnt_requests_free(a->requests);
    lnt_dict_release(&a->dict);
}

static void
take_broadcast(struct lnt_worker_requests *a, struct lnt_str payload)
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
take_value(struct lnt_worker_requests *a, struct lnt_str payload)
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
answer_core(struct lnt_worker_requests *a, const struct lnt_request *q,
            struct lnt_strbuf *reply)
{
    if (lnt_str_eq(q->name, LNT_STR("conns"))) {
        lnt_conns_list(a->net, a->slot, reply);
        return true;
    }
    if (lnt_str_eq(q->name, LNT_STR("kick")))
        return lnt_conns_kick(a->net, q->data, reply);
    /* Of other workers, that look for a session (seek.c). */
    if (lnt_str_eq(q->name, LNT_STR("has"))) {
        lnt_pack_u64(reply, lnt_net_worker(a->net));
        return lnt_detached_find(a->net, q->data) != NULL;
    }
    lnt_strbuf_adds(reply, "that is not known here");
    return false;
}

static void
answer(const struct lnt_requester *to, bool good, struct lnt_str text)
{
    struct lnt_worker_requests *a = to->arg;
    if (lnt_requests_answer(a->channel, (uint32_t)to->id, good, text) < 0)
        lnt_log_error("cannot answer a request: %s", strerror(errno));
}

static void
ask_module(struct lnt_worker_requests *a, const struct lnt_request *q,
           const struct lnt_requester *to)
{
    for (size_t i = 0; i < a->nctx; i++) {
        const struct lnt_module *m = a->ctx[i].module;
        if (lnt_str_eq(q->module, lnt_str_c(m->name)) && m->on_request) {
            m->on_request(&a->ctx[i], q->name, q->data, to);
            return;
        }
    }
    lnt_answer(to, false, LNT_STR("no module here answers that"));
}

static void
take_request(struct lnt_worker_requests *a, const struct lnt_frame *f)
{
    const struct lnt_requester to = {answer, a, f->request};
    struct lnt_strbuf reply = LNT_STRBUF_INIT;
    struct lnt_request q;
    if (lnt_request_decode(f->payload, &q) < 0) {
        lnt_answer(&to, false, LNT_STR("the request cannot be read"));
    } else if (q.module.n) {
        ask_module(a, &q, &to);
    } else {
        bool good = answer_core(a, &q, &reply);
        lnt_answer(&to, good, lnt_strbuf_str(&reply));
    }
    lnt_strbuf_release(&reply);
}

bool
lnt_worker_requests_frame(struct lnt_worker_requests *a,
                          const struct lnt_frame *f)
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
