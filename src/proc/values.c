/*
 * Shared values in the master.
 */
#include "proc/values.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "proc/child.h"
#include "proc/master.h"

/* A worker that misses a change would be wrong from then on. */
static void
send_or_kill(struct lnt_child *c, enum lnt_frame_type type, struct lnt_str s)
{
    if (lnt_channel_send(&c->channel, type, 0, s, NULL, 0) == 0 ||
        errno != ENOBUFS)
        return; /* others have ended, which is seen elsewhere */
    lnt_log_error("worker %u does not take shared values any more and is "
                  "killed",
                  c->slot);
    c->late = true;
    (void)kill(c->pid, SIGKILL);
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
    lnt_dict_apply(&m->dict, key, value, *version);
    for (struct lnt_child *c = m->children; c; c = c->next)
        send_or_kill(c, LNT_FRAME_VALUE, lnt_strbuf_str(&b));
    lnt_strbuf_release(&b);
    return true;
}

void
lnt_values_snapshot(struct lnt_master *m, struct lnt_child *c)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    const struct lnt_dict_entry **all = lnt_dict_sorted(&m->dict);
    for (size_t i = 0; i < m->dict.n; i++) {
        lnt_strbuf_clear(&b);
        lnt_dict_encode(&b, all[i]->key, &all[i]->value, all[i]->version);
        send_or_kill(c, LNT_FRAME_VALUE, lnt_strbuf_str(&b));
    }
    send_or_kill(c, LNT_FRAME_SNAPSHOT, lnt_str("", 0));
    free(all);
    lnt_strbuf_release(&b);
}

void
lnt_values_list(const struct lnt_master *m, struct lnt_strbuf *out)
{
    const struct lnt_dict_entry **all = lnt_dict_sorted(&m->dict);
    for (size_t i = 0; i < m->dict.n; i++)
        lnt_strbuf_addf(out, "%.*s = %.*s\n", LNT_STR_ARG(all[i]->key),
                        LNT_STR_ARG(all[i]->value));
    free(all);
}
