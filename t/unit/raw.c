/*
 * The raw protocol: what is written from the input in place, and what is
 * copied.
 */
#include <stdlib.h>
#include <string.h>

#include "core/buf.h"
#include "core/strbuf.h"
#include "net/limits.h"
#include "net/module.h"
#include "t/unit/tap.h"

extern const struct lnt_module lnt_module_raw;

enum app { ECHO, PARTS, TAIL, OTHER, CLOSE };

struct lnt_session {
    struct lnt_strbuf log; /* what the core was asked, in order */
    enum app app;
    bool closing;
    lnt_verdict answer;
};

static struct lnt_limits limits = {.message_size = 8};
static struct lnt_module_ctx ctx = {.module = &lnt_module_raw};
static struct lnt_session *other;

struct lnt_module_ctx *
lnt_session_protocol(const struct lnt_session *s)
{
    (void)s;
    return &ctx;
}

const struct lnt_limits *
lnt_session_limits(const struct lnt_session *s)
{
    (void)s;
    return &limits;
}

bool
lnt_session_closing(const struct lnt_session *s)
{
    return s->closing;
}

lnt_verdict
lnt_session_ready(struct lnt_session *s)
{
    lnt_strbuf_adds(&s->log, "ready ");
    return LNT_GO_ON;
}

void
lnt_session_write(struct lnt_session *s, const void *p, size_t n)
{
    lnt_strbuf_addf(&s->log, "copy:%.*s ", (int)n, (const char *)p);
}

void
lnt_session_write_input(struct lnt_session *s, const void *p, size_t n)
{
    lnt_strbuf_addf(&s->log, "input:%.*s ", (int)n, (const char *)p);
}

void
lnt_session_finish(struct lnt_session *s)
{
    lnt_strbuf_adds(&s->log, "finish ");
}

lnt_verdict
lnt_session_message(struct lnt_session *s, enum lnt_message_type type, void *p,
                    size_t n)
{
    const struct lnt_protocol *raw = lnt_module_raw.protocol;
    const char *text = p;

    if (type != LNT_BINARY)
        lnt_strbuf_adds(&s->log, "text? ");
    switch (s->app) {
    case ECHO:
        raw->send(s, LNT_BINARY, p, n);
        break;
    case PARTS:
        raw->send(s, LNT_BINARY, text, 1);
        raw->send(s, LNT_TEXT, "static", 6);
        raw->send(s, LNT_BINARY, text + 1, n - 1);
        break;
    case TAIL:
        raw->send(s, LNT_BINARY, text + n - 1, 1);
        raw->send(s, LNT_BINARY, text + n - 1, 2); /* not all of it ours */
        raw->send(s, LNT_BINARY, text + n, 1);
        break;
    case OTHER:
        raw->send(other, LNT_BINARY, "x", 1);
        break;
    case CLOSE:
        s->closing = true;
        break;
    }
    return s->answer;
}

static void
check(struct lnt_session *s, const char *input, bool eof, lnt_verdict verdict,
      const char *wanted, const char *name)
{
    char bytes[64];
    size_t n = strlen(input);
    struct lnt_input in = {.p = (uint8_t *)bytes, .n = n, .eof = eof};

    memcpy(bytes, input, n + 1);
    strcat(bytes, "##");
    in.used = 7; /* must not matter */
    is_int(lnt_module_raw.protocol->data(s, &in), verdict, "%s", name);
    is_int(in.used, n, "all is used");
    is_str(s->log.p ? s->log.p : "", wanted, "%s", name);
    lnt_strbuf_release(&s->log);
    s->closing = false;
    s->answer = LNT_GO_ON;
}

int
main(void)
{
    const struct lnt_protocol *raw = lnt_module_raw.protocol;
    struct lnt_session s = {.app = ECHO}, second = {.app = ECHO};
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_buf *b;

    other = &second;
    is_int(lnt_module_raw.worker_start(&ctx, &why), 0, "starts");
    raw->open(&s);
    check(&s, "hello", false, 0, "ready input:hello ", "echo in place");
    check(&s, "0123456789", false, 0, "input:01234567 input:89 ",
          "no message is longer than message_size");
    check(&s, "", false, 0, "", "nothing");
    check(&s, "", true, 0, "finish ", "the end");
    check(&s, "bye", true, 0, "input:bye finish ", "the end behind words");
    s.answer = 4500;
    check(&s, "0123456789", true, 4500, "input:01234567 ",
          "the app's verdict is ours");
    s.app = CLOSE;
    check(&s, "0123456789", false, 0, "", "the app closes");
    s.app = PARTS;
    check(&s, "abc", false, 0, "input:a copy:static input:bc ",
          "its own text is copied");
    s.app = TAIL;
    check(&s, "abc", false, 0, "input:c copy:c# copy:# ",
          "so is what reaches over the input");
    s.app = OTHER;
    check(&s, "abc", false, 0, "", "a text for somebody else");
    is_str(second.log.p, "copy:x ", "is copied");
    lnt_strbuf_release(&second.log);
    raw->send(&s, LNT_BINARY, "later", 5);
    is_str(s.log.p, "copy:later ", "outside of data() all is copied");
    lnt_strbuf_release(&s.log);

    b = raw->encode(&ctx, 0, LNT_TEXT, LNT_STR("ab"));
    b = raw->append(&ctx, 0, b, LNT_BINARY, LNT_STR("cde"));
    b = raw->append(&ctx, 0, b, LNT_BINARY, lnt_str(NULL, 0));
    is_mem(b->data, b->len, "abcde", 5, "encoded is copied");
    lnt_buf_unref(b);
    b = raw->encode(&ctx, 0, LNT_TEXT, lnt_str(NULL, 0));
    is_int(b->len, 0, "nothing encoded is nothing");
    lnt_buf_unref(b);
    lnt_module_raw.worker_stop(&ctx);
    return done_testing();
}
