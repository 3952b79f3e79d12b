/*
 * PCRE2 patterns.  Matching is bounded: what strangers send is matched here
 * against patterns that an administrator wrote without thinking of them.
 */
#include "core/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <stdint.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/strbuf.h"
#include "os/clock.h"

enum {
    MATCH_LIMIT = 10000,
    JIT_STACK_START = 16 * 1024,
    JIT_STACK_MAX = 256 * 1024,
    NOTICE_EVERY_MS = 60000,
};

struct lnt_regex {
    pcre2_code *code;
    const char *pattern;
};

/* One a process, made when first needed; a match never nests. */
static struct {
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    uint64_t exceeded; /* matches that hit the limit */
    uint64_t noticed;  /* ms of the last line about them; 0 never */
} matcher;

static void free_code(void *arg);
static void compile_jit(pcre2_code *code);
static void make_matcher(void);
static int run(const struct lnt_regex *r, struct lnt_str s);
static void notice_failure(const struct lnt_regex *r, int rc);
static void add_error(struct lnt_strbuf *b, int error);

struct lnt_regex *
lnt_regex_compile(struct lnt_arena *a, const char *pattern,
                  struct lnt_strbuf *error)
{
    /* DOLLAR_ENDONLY: "$" is the very end, or ^[a-z]+$ would let a name with
       a line break through. */
    const uint32_t options =
        PCRE2_UTF | PCRE2_DOLLAR_ENDONLY | PCRE2_NEVER_BACKSLASH_C;
    int number;
    PCRE2_SIZE at;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
                                     options, &number, &at, NULL);

    if (!code) {
        add_error(error, number);
        lnt_strbuf_addf(error, " at byte %zu of the pattern", at + 1);
        return NULL;
    }
    compile_jit(code);

    struct lnt_regex *r = lnt_arena_alloc(a, sizeof(*r));
    r->code = code;
    r->pattern = lnt_arena_strdup(a, pattern);
    lnt_arena_cleanup(a, free_code, code);
    return r;
}

const char *
lnt_regex_pattern(const struct lnt_regex *r)
{
    return r->pattern;
}

bool
lnt_regex_match(const struct lnt_regex *r, struct lnt_str s,
                struct lnt_str *captures, size_t *ncaptures)
{
    int rc;

    if (captures)
        *ncaptures = 0;
    make_matcher();
    rc = run(r, s);
    if (rc < 0) {
        notice_failure(r, rc);
        return false;
    }
    if (!captures)
        return true;

    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(matcher.data);
    /* 0: there are more groups than pairs */
    size_t n = rc == 0 ? LNT_CAPTURES_MAX : (size_t)rc;
    for (size_t i = 0; i < n; i++) {
        PCRE2_SIZE from = v[2 * i], to = v[2 * i + 1];

        if (from == PCRE2_UNSET)
            captures[i] = lnt_str(NULL, 0);
        else /* \K in an assertion can put the end before the start */
            captures[i] =
                lnt_str((s.p ? s.p : "") + from, to > from ? to - from : 0);
    }
    *ncaptures = n;
    return true;
}

int
lnt_regex_group(const struct lnt_regex *r, const char *name)
{
    int n = pcre2_substring_number_from_name(r->code, (PCRE2_SPTR)name);

    return n > 0 ? n : -1;
}

static void
free_code(void *arg)
{
    pcre2_code_free(arg);
}

static void
compile_jit(pcre2_code *code)
{
    static bool noticed;
    int rc = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);

    if (rc == 0 || noticed)
        return;
    /* Memory that may be written and executed is not to be had everywhere;
       some patterns are too large.  The interpreter does them all. */
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    add_error(&text, rc);
    lnt_log_info("patterns are interpreted, not compiled to machine code: %s",
                 text.p);
    lnt_strbuf_release(&text);
    noticed = true;
}

static void
make_matcher(void)
{
    if (matcher.data)
        return;
    matcher.data = pcre2_match_data_create(LNT_CAPTURES_MAX, NULL);
    matcher.context = pcre2_match_context_create(NULL);
    bool out_of_memory = !matcher.data || !matcher.context;
    lnt_assert(!out_of_memory);
    pcre2_set_match_limit(matcher.context, MATCH_LIMIT);
    /* Without one the machine stack is used, 32k of it. */
    matcher.stack =
        pcre2_jit_stack_create(JIT_STACK_START, JIT_STACK_MAX, NULL);
    if (matcher.stack)
        pcre2_jit_stack_assign(matcher.context, NULL, matcher.stack);
}

static int
run(const struct lnt_regex *r, struct lnt_str s)
{
    PCRE2_SPTR p = (PCRE2_SPTR)(s.p ? s.p : "");
    int rc = pcre2_match(r->code, p, s.n, 0, 0, matcher.data, matcher.context);

    /* Deep patterns can need more stack than we give; the interpreter counts
       its steps better and uses the heap. */
    if (rc == PCRE2_ERROR_JIT_STACKLIMIT)
        rc = pcre2_match(r->code, p, s.n, 0, PCRE2_NO_JIT, matcher.data,
                         matcher.context);
    return rc;
}

static void
notice_failure(const struct lnt_regex *r, int rc)
{
    uint64_t now = lnt_clock_ms() + 1;

    if (rc == PCRE2_ERROR_NOMATCH)
        return;
    /* Not UTF-8: no match, and nothing to tell. */
    if (rc <= PCRE2_ERROR_UTF8_ERR1 && rc >= PCRE2_ERROR_UTF8_ERR21)
        return;
    matcher.exceeded++;
    if (matcher.noticed && now - matcher.noticed < NOTICE_EVERY_MS)
        return;
    matcher.noticed = now;

    struct lnt_strbuf text = LNT_STRBUF_INIT;
    add_error(&text, rc);
    lnt_log_warn("pattern %s: gave up matching: %s; taken for no match "
                 "(%llu times so far)",
                 r->pattern, text.p, (unsigned long long)matcher.exceeded);
    lnt_strbuf_release(&text);
}

static void
add_error(struct lnt_strbuf *b, int error)
{
    PCRE2_UCHAR text[256];

    if (pcre2_get_error_message(error, text, sizeof(text)) < 0)
        lnt_strbuf_addf(b, "PCRE2 error %d", error);
    else
        lnt_strbuf_adds(b, (const char *)text);
}
