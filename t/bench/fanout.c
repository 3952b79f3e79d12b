/*
 * fanout: an application for the benchmark.  Whatever one says reaches all,
 * on all workers, as it is: what the log and the hub cost without the words
 * that chat puts around a message.
 *
 * Loaded with load_module; docs/modules.md tells about modules.
 */
#include <errno.h>
#include <string.h>

#include "core/log.h"
#include "hub/hub.h"
#include "net/module.h"
#include "t/lib/hub_now.h"

struct fanout {
    struct lnt_sub *sub;
};

static lnt_verdict
on_open(struct lnt_session *s)
{
    struct fanout *f = lnt_session_app_state(s);
    struct lnt_room_info room;
    f->sub = now_listen(lnt_session_app(s)->hub, s, LNT_STR("all"), 0, &room);
    if (f->sub)
        return LNT_GO_ON;
    lnt_log_error("fanout: cannot subscribe: %s", strerror(errno));
    return LNT_CLOSE_LATER;
}

static lnt_verdict
on_message(struct lnt_session *s, const struct lnt_message *m)
{
    struct fanout *f = lnt_session_app_state(s);
    if (now_publish(lnt_session_app(s)->hub, s, f->sub, LNT_EVENT_APP, 0,
                    m->data, NULL, NULL) == 0)
        return LNT_GO_ON;
    lnt_log_error("fanout: cannot publish: %s", strerror(errno));
    return LNT_CLOSE_ERROR;
}

static bool
on_event(struct lnt_module_ctx *m, const struct lnt_event *e, unsigned format,
         struct lnt_strbuf *out)
{
    (void)m;
    (void)format;
    lnt_strbuf_add(out, e->data.p, e->data.n);
    return true;
}

static void
on_close(struct lnt_session *s)
{
    struct fanout *f = lnt_session_app_state(s);
    if (f->sub)
        lnt_hub_leave(lnt_session_app(s)->hub, f->sub, 0);
    f->sub = NULL;
}

static const struct lnt_app fanout_app = {
    .state_size = sizeof(struct fanout),
    .open = on_open,
    .message = on_message,
    .event = on_event,
    .close = on_close,
};

extern const struct lnt_module *const lnt_module;

static const struct lnt_module fanout = {
    LNT_MODULE_HEAD,
    .name = "fanout",
    .help = "sends every message to everybody",
    .app = &fanout_app,
};

/* How linnet finds it; configure writes this for modules that it builds. */
const struct lnt_module *const lnt_module = &fanout;
