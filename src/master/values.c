/*
 * Shared values in the master.
 */
#include "master/values.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "core/utf8.h"
#include "master/child.h"
#include "master/master.h"

/* A worker that misses a change would be wrong from then on. */
static void
send_or_kill(struct lnt_child *c, enum lnt_frame_type type, struct lnt_str s)
{
    if (lnt_channel_send(&c->channel, type, 0, s, NULL, 0) == 0 ||
        errno != ENOBUFS)
        return; /* others have ended, which is seen elsewhere */
    lnt_log_error("%s does not take shared values any more and is killed",
                  c->name);
    c->late = true;
    (void)kill(c->pid, SIGKILL);
}

/* One that takes over has had our values already, and learns of changes until
   it does; after that they are its own. */
static bool
tell_newer(struct lnt_master *m, struct lnt_str change, struct lnt_strbuf *why)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    if (m->handed_over) {
        lnt_strbuf_adds(why, "another process has taken over from this one");
        return false;
    }
    if (!m->newer)
        return true;
    lnt_strbuf_add(&b, "value", sizeof("value"));
    lnt_strbuf_add_str(&b, change);
    int rc = lnt_channel_send(m->newer, LNT_FRAME_HAND, 0, lnt_strbuf_str(&b),
                              NULL, 0);
    lnt_strbuf_release(&b);
    if (rc == 0 || errno != ENOBUFS)
        return true; /* it has ended, which is seen elsewhere */
    lnt_strbuf_adds(why, "an upgrade is going on; try again after it");
    return false;
}

bool
lnt_values_change(struct lnt_master *m, struct lnt_str key,
                  const struct lnt_str *value, uint64_t *version,
                  struct lnt_strbuf *why)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    if (!lnt_dict_check(&m->dict, key, value, why))
        return false;
    if (!value && !lnt_dict_get(&m->dict, key)) {
        lnt_strbuf_addf(why, "%.*s is not set", LNT_STR_ARG(key));
        return false;
    }
    *version = m->dict.version + 1;
    lnt_dict_encode(&b, key, value, *version);
    if (!tell_newer(m, lnt_strbuf_str(&b), why)) {
        lnt_strbuf_release(&b);
        return false;
    }
    lnt_dict_apply(&m->dict, key, value, *version);
    struct lnt_child *c = NULL;
    while ((c = lnt_worker_next(m, c)))
        send_or_kill(c, LNT_FRAME_VALUE, lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
    return true;
}

void
lnt_values_snapshot(struct lnt_master *m, struct lnt_child *c)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    const struct lnt_dict_entry **all = lnt_dict_sorted(&m->dict);
    for (size_t i = 0; i < m->dict.map.n; i++) {
        lnt_strbuf_clear(&b);
        lnt_dict_encode(&b, all[i]->key, &all[i]->value, all[i]->version);
        send_or_kill(c, LNT_FRAME_VALUE, lnt_strbuf_str(&b));
    }
    send_or_kill(c, LNT_FRAME_SNAPSHOT, lnt_str("", 0));
    free(all);
    lnt_strbuf_release(&b);
}

/* Modules may set any bytes. */
static bool
is_text(struct lnt_str v, unsigned char least)
{
    for (size_t i = 0; i < v.n; i++)
        if ((unsigned char)v.p[i] < least)
            return false;
    return lnt_utf8_valid(v.p, v.n);
}

bool
lnt_values_show(const struct lnt_master *m, struct lnt_str key,
                struct lnt_strbuf *out)
{
    const struct lnt_dict_entry *e = lnt_dict_get(&m->dict, key);
    bool shown = e && is_text(e->value, 1);
    if (shown)
        lnt_strbuf_add_str(out, e->value);
    else if (e)
        lnt_strbuf_addf(out, "%.*s is set, to %zu bytes that are no text",
                        LNT_STR_ARG(key), e->value.n);
    else
        lnt_strbuf_addf(out, "%.*s is not set", LNT_STR_ARG(key));
    return shown;
}

void
lnt_values_list(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_dict_entry **all = lnt_dict_sorted(&m->dict);
    for (size_t i = 0; i < m->dict.map.n; i++) {
        lnt_strbuf_addf(out, "%.*s = ", LNT_STR_ARG(all[i]->key));
        if (is_text(all[i]->value, ' '))
            lnt_strbuf_add_str(out, all[i]->value);
        else
            lnt_strbuf_addf(out, "(%zu bytes)", all[i]->value.n);
        lnt_strbuf_addc(out, '\n');
    }
    free(all);
}
