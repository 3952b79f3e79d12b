/*
 * echo: an application that sends every message back.  The model to copy when
 * writing a module; docs/modules.md walks through it line by line.
 */
#include "net/module.h"

static lnt_verdict
on_message(struct lnt_session *s, const struct lnt_message *m)
{
    lnt_session_send(s, m->type, m->data.p, m->data.n);
    return LNT_GO_ON;
}

static const struct lnt_app echo_app = {
    .message = on_message,
};

const struct lnt_module lnt_module_echo = {
    LNT_MODULE_HEAD,
    .name = "echo",
    .help = "sends every message back to its sender",
    .app = &echo_app,
};
