/*
 * What modules ask of the server: through the channel to the master.
 */
#include "net/server_info.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "ipc/channel.h"
#include "ipc/dict.h"

enum { BROADCAST_MAX = 32 * 1024, SET_TIME = 10000 };

int
lnt_server_broadcast(const struct lnt_server_info *s, const char *module,
                     struct lnt_str data)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    if (data.n > BROADCAST_MAX) {
        errno = EMSGSIZE;
        return -1;
    }
    lnt_strbuf_adds(&b, module);
    lnt_strbuf_addc(&b, '\0');
    lnt_strbuf_add_str(&b, data);
    int rc = lnt_channel_send(s->master, LNT_FRAME_BROADCAST, 0,
                              lnt_strbuf_str(&b), NULL, 0);
    lnt_strbuf_release(&b);
    return rc;
}

bool
lnt_server_get(const struct lnt_server_info *s, struct lnt_str key,
               struct lnt_str *value)
{
    const struct lnt_dict_entry *e =
        s->values ? lnt_dict_get(s->values, key) : NULL;
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

int
lnt_server_set(const struct lnt_server_info *s, struct lnt_str key,
               const struct lnt_str *value,
               void (*done)(void *arg, uint64_t version, const char *why),
               void *arg)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    /* It would end the key in the frame; all else the master checks. */
    if (key.n && memchr(key.p, '\0', key.n)) {
        errno = EINVAL;
        return -1;
    }
    struct setter *one = lnt_malloc(sizeof(*one));
    *one = (struct setter){done, arg};
    lnt_dict_encode(&b, key, value, 0);
    int rc = lnt_requests_send(s->requests, s->master, LNT_FRAME_SET,
                               lnt_strbuf_str(&b), SET_TIME, on_set_reply, one);
    if (rc < 0)
        free(one);
    lnt_strbuf_release(&b);
    return rc;
}

int
lnt_server_request(const struct lnt_server_info *s, unsigned cell,
                   const char *module, const char *name, struct lnt_str data,
                   uint64_t timeout_ms, lnt_reply_fn *reply, void *arg)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_request q = {
        .cell = cell,
        .module = lnt_str_c(module),
        .name = lnt_str_c(name),
        .data = data,
    };
    lnt_request_encode(&b, &q);
    int rc = lnt_requests_send(s->requests, s->master, LNT_FRAME_REQUEST,
                               lnt_strbuf_str(&b), timeout_ms, reply, arg);
    lnt_strbuf_release(&b);
    return rc;
}
