/*
 * Fuzz target: what workers send the master inside of frames, changes of
 * shared values and requests.
 */
#include "ipc/dict.h"
#include "ipc/requests.h"

#include <stdlib.h>
#include <string.h>

#include "core/strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void
must(bool cond)
{
    if (!cond)
        abort();
}

static void
is_inside(struct lnt_str part, struct lnt_str whole)
{
    must(part.p >= whole.p && part.n <= whole.n &&
         (size_t)(part.p - whole.p) <= whole.n - part.n);
}

/* What is read is what would have been written, byte for byte. */
static void
is_same(struct lnt_strbuf *again, struct lnt_str input)
{
    must(lnt_str_eq(lnt_strbuf_str(again), input));
    lnt_strbuf_release(again);
}

static void
fuzz_change(struct lnt_str input)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT, why = LNT_STRBUF_INIT;
    struct lnt_dict_change c;
    struct lnt_dict d;
    if (lnt_dict_decode(input, &c) < 0)
        return;
    is_inside(c.key, input);
    is_inside(c.value, input);
    const struct lnt_str *value = c.unset ? NULL : &c.value;
    lnt_dict_encode(&b, c.key, value, c.version);
    /* Behind a key that is unset may be what a later release writes there. */
    if (c.unset && input.n > b.n)
        input.n = b.n;
    is_same(&b, input);

    lnt_dict_init(&d);
    if (lnt_dict_check(&d, c.key, value, &why)) {
        lnt_dict_apply(&d, c.key, value, c.version);
        const struct lnt_dict_entry *e = lnt_dict_get(&d, c.key);
        must(!e == c.unset && (!e || lnt_str_eq(e->value, c.value)));
    } else {
        must(why.n > 0);
    }
    lnt_strbuf_release(&why);
    lnt_dict_release(&d);
}

static void
fuzz_request(struct lnt_str input)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_request q;
    if (lnt_request_decode(input, &q) < 0)
        return;
    is_inside(q.module, input);
    is_inside(q.name, input);
    is_inside(q.data, input);
    must(!memchr(q.module.p, '\0', q.module.n));
    must(!memchr(q.name.p, '\0', q.name.n));
    lnt_request_encode(&b, &q);
    is_same(&b, input);
}

int
LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
    struct lnt_str input = lnt_str(p ? (const void *)p : "", n);
    fuzz_change(input);
    fuzz_request(input);
    return 0;
}
