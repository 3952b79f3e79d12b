#include "core/str.h"
#include "core/strbuf.h"

#include "t/unit/tap.h"

static void
hex(void)
{
    const char digits[] = "0123456789abcdef0123456789ABCDEF";
    int wrong = 0;

    for (int c = 0; c < 256; c++) {
        const char *at = memchr(digits, c, sizeof(digits) - 1);
        wrong += lnt_hex_digit((char)c) != (at ? (at - digits) % 16 : -1);
    }
    is_int(wrong, 0, "hexadecimal digits, and nothing else");
}

static void
slices(void)
{
    struct lnt_str s = lnt_str_trim(LNT_STR(" \t a b \t "));

    is_mem(s.p, s.n, "a b", 3, "trim: both ends, not the middle");
    is_int(lnt_str_trim(LNT_STR(" \t ")).n, 0, "trim: only blanks");
    is_int(lnt_str_trim(LNT_STR("")).n, 0, "trim: nothing");
    ok(lnt_str_eq(LNT_STR("ab"), lnt_str_c("ab")), "eq");
    ok(!lnt_str_eq(LNT_STR("ab"), LNT_STR("aB")), "eq sees case");
    ok(!lnt_str_eq(LNT_STR("ab"), LNT_STR("abc")), "eq sees length");
    ok(lnt_str_ieq(LNT_STR("aB"), LNT_STR("Ab")), "ieq does not see case");
    ok(lnt_str_eq(lnt_str_c(NULL), LNT_STR("")), "NULL is empty");
}

static void
nearest(void)
{
    static const char *const keys[] = {"address", "app",     "protocol",
                                       "path",    "workers", "send_queue",
                                       "user",    NULL};
    static const struct {
        const char *word, *wanted;
    } table[] = {
        {"adress", "address"},
        {"addres", "address"},
        {"sadress", "address"},
        {"worker", "workers"},
        {"wrokers", "workers"},
        {"send-queue", "send_queue"},
        {"SendQueue", "send_queue"},
        {"protocl", "protocol"},
        {"pth", "path"},
        {"aap", "app"},
        {"usr", "user"},
        {"xyz", NULL},
        {"banana", NULL},
        {"", NULL},
        {"a", NULL},
        {"Address", "address"},
        {"an_extremely_long_word_that_nobody_could_have_meant_at_all", NULL},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        is_str(lnt_str_nearest(table[i].word, keys), table[i].wanted,
               "nearest to \"%s\"", table[i].word);
    static const char *const none[] = {NULL};
    is_str(lnt_str_nearest("x", none), NULL, "nearest of nothing");
}

static void
growing(void)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;

    is_int(lnt_strbuf_str(&b).n, 0, "an empty one has an empty slice");
    ok(lnt_strbuf_str(&b).p != NULL, "that is not NULL");
    for (int i = 0; i < 1000; i++)
        lnt_strbuf_addc(&b, (char)('a' + i % 26));
    is_int(b.n, 1000, "a thousand, one by one");
    is_int(b.p[1000], 0, "ended by NUL");
    lnt_strbuf_clear(&b);
    is_str(b.p, "", "cleared");
    lnt_strbuf_adds(&b, "x=");
    lnt_strbuf_addu(&b, 0);
    lnt_strbuf_addc(&b, ' ');
    lnt_strbuf_addu(&b, UINT64_MAX);
    lnt_strbuf_addf(&b, " %s-%d", "y", -5);
    lnt_strbuf_add_str(&b, LNT_STR("!"));
    is_str(b.p, "x=0 18446744073709551615 y--5!", "all the verbs");

    lnt_strbuf_clear(&b);
    lnt_strbuf_addf(&b, "%0500d", 7);
    is_int(b.n, 500, "a format longer than the room");
    lnt_strbuf_addf(&b, "%01500d", 7);
    is_int(b.n, 2000, "and again");
    is_int(strlen(b.p), 2000, "all of it text");

    char *p = lnt_strbuf_detach(&b);
    is_int(strlen(p), 2000, "detached");
    ok(!b.p && b.n == 0, "and empty then");
    free(p);
    p = lnt_strbuf_detach(&b);
    is_str(p, "", "detach of nothing is an empty string");
    free(p);
    char *room = lnt_strbuf_reserve(&b, 10);
    memcpy(room, "0123456789", 10);
    b.n += 10;
    lnt_strbuf_addc(&b, '!');
    is_str(b.p, "0123456789!", "written into what was reserved");
    lnt_strbuf_release(&b);
    ok(!b.p, "released");
    lnt_strbuf_release(&b);
    lnt_strbuf_clear(&b);
    pass("release and clear of nothing");
}

/* Every length up to and over each growth, for the NUL behind. */
static void
boundaries(void)
{
    bool good = true;

    for (size_t n = 0; n < 300 && good; n++) {
        struct lnt_strbuf b = LNT_STRBUF_INIT;
        char text[300];

        memset(text, 'x', sizeof(text));
        lnt_strbuf_add(&b, text, n);
        good = b.n == n && b.p[n] == '\0' && b.cap > n;
        lnt_strbuf_addf(&b, "%.*s", (int)(299 - n), text);
        good = good && b.n == 299 && strlen(b.p) == 299;
        lnt_strbuf_release(&b);
    }
    ok(good, "every length has its NUL");
}

static void
json(void)
{
    static const struct {
        struct lnt_str in;
        const char *wanted;
    } table[] = {
        {{"", 0}, "\"\""},
        {{NULL, 0}, "\"\""},
        {{"abc", 3}, "\"abc\""},
        {{"a\"b\\c/", 6}, "\"a\\\"b\\\\c/\""},
        {{"\"\"", 2}, "\"\\\"\\\"\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"bfnrt", 5}, "\"bfnrt\""},
        {{"z\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa6", 10},
         "\"z\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa6\""},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct lnt_strbuf b = LNT_STRBUF_INIT;

        lnt_strbuf_add_json(&b, table[i].in);
        is_str(b.p, table[i].wanted, "json %zu", i);
        lnt_strbuf_release(&b);
    }
}

int
main(void)
{
    hex();
    slices();
    nearest();
    growing();
    boundaries();
    json();
    return done_testing();
}
