/*
 * An application for tests: whoever is connected holds what the others of this
 * worker begin at the hub, as if it had to go to another machine first.
 *
 *     hold         from now on nothing completes
 *     release N    the first N of what was begun; answers how many these were
 *     held         answers how many there are
 *     go           all, and what comes completes at once again
 *
 * A connection cannot move, so it stays with its worker.
 */
#include <stdlib.h>
#include <string.h>

#include "core/strbuf.h"
#include "hub/hub.h"
#include "net/module.h"

struct holder {
    bool any; /* state, so that it cannot move */
};

#ifdef LNT_DEBUG_BUILD
static size_t
obey(struct lnt_hub *h, struct lnt_str line)
{
    char text[32] = "";

    memcpy(text, line.p, line.n < sizeof(text) ? line.n : sizeof(text) - 1);
    if (strcmp(text, "hold") == 0)
        lnt_hub_hold(h, true);
    else if (strncmp(text, "release ", 8) == 0)
        return lnt_hub_release(h, strtoul(text + 8, NULL, 10));
    else if (strcmp(text, "held") == 0)
        return lnt_hub_held(h);
    else if (strcmp(text, "go") == 0)
        lnt_hub_hold(h, false);
    return 0;
}
#else
static size_t
obey(struct lnt_hub *h, struct lnt_str line)
{
    (void)h;
    (void)line;
    return 0;
}
#endif

static lnt_verdict
on_message(struct lnt_session *s, const struct lnt_message *m)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;

    lnt_strbuf_addu(&out, obey(lnt_session_app(s)->hub, m->data));
    lnt_session_send(s, LNT_TEXT, out.p, out.n);
    lnt_strbuf_release(&out);
    return LNT_GO_ON;
}

static const struct lnt_app app = {
    .state_size = sizeof(struct holder),
    .message = on_message,
};

const struct lnt_module lnt_module_hold = {
    LNT_MODULE_HEAD,
    .name = "hold",
    .help = "for tests: operations of the hub complete later",
    .app = &app,
};
