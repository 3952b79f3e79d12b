/*
 * JSON text: what is well-formed, where values end, what strings say.
 */
#include "core/json.h"

#include <string.h>

#include "core/strbuf.h"
#include "t/unit/tap.h"

/* A copy of its own size, so that a read behind its end is seen. */
static bool
valid(const char *text)
{
    size_t n = strlen(text);
    char *copy = malloc(n ? n : 1);
    bool result;

    memcpy(copy, text, n);
    result = lnt_json_valid(lnt_str(copy, n));
    free(copy);
    return result;
}

static void
test_valid(void)
{
    static const char *const good[] = {
        "0",
        "-0",
        "-1.5e+10",
        "12E3",
        "1.25",
        "true",
        "false",
        "null",
        "\"\"",
        " [ ] ",
        "{}",
        "[[],{}]",
        "{\"a\":{\"b\":[1,2,{\"c\":null}]},\"d\":0}",
        "\"\\u00e4\\n\\\"\\/\"",
        "\"\xc3\xa4\"",
        "\t\r\n1 ",
        "[1 , 2]",
        "{ \"a\" : 1 , \"b\" : 2 }",
        "[\"]\",\"}\"]",
    };
    static const char *const bad[] = {
        "",
        " ",
        "01",
        "-",
        "1.",
        "1e",
        "+1",
        ".5",
        "nul",
        "truee",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[",
        "]",
        "{",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{a:1}",
        "{1:2}",
        "[}",
        "{]",
        "[1}",
        "\"",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\",
        "\"\\u1",
        "\"\t\"",
        "\"\xff\"",
        "\"\xc3\"",
        "1 2",
        "[]]",
        "\xef\xbb\xbf[]",
        "{\"a\":1 \"b\":2}",
        "'a'",
        "NaN",
    };

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        ok(valid(good[i]), "good: %s", good[i]);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        ok(!valid(bad[i]), "bad: number %zu", i);
    ok(!lnt_json_valid(lnt_str("\"a\0b\"", 5)), "no NUL in a string");
}

static void
test_cut(void)
{
    static const char text[] =
        "[\"\\u00e4\xc3\xa4\",{\"a\":[-1.5e3,true]},null]";
    bool any = false;

    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        char *copy = malloc(n ? n : 1);

        memcpy(copy, text, n);
        any |= lnt_json_valid(lnt_str(copy, n));
        free(copy);
    }
    ok(!any, "nothing that is cut off is well-formed");
}

static void
test_depth(void)
{
    char text[2 * (LNT_JSON_DEPTH + 1) + 1] = "";

    memset(text, '[', LNT_JSON_DEPTH);
    memset(text + LNT_JSON_DEPTH, ']', LNT_JSON_DEPTH);
    ok(valid(text), "as deep as it may be");
    memset(text, '[', LNT_JSON_DEPTH + 1);
    memset(text + LNT_JSON_DEPTH + 1, ']', LNT_JSON_DEPTH + 1);
    ok(!valid(text), "one deeper");
}

static void
test_elements(void)
{
    struct lnt_str rest = LNT_STR("[ 1, \"a,b\" ,[2,3] , {} ]"), value;
    struct lnt_str two = LNT_STR(" {\"a\":1} [2] x");
    struct lnt_strbuf all = LNT_STRBUF_INIT;

    while (lnt_json_element(&rest, &value))
        lnt_strbuf_addf(&all, "<%.*s>", LNT_STR_ARG(value));
    is_str(all.p, "<1><\"a,b\"><[2,3]><{}>", "the elements of an array");
    rest = LNT_STR("[]");
    ok(!lnt_json_element(&rest, &value), "an empty one has none");
    rest = LNT_STR("[ ]");
    ok(!lnt_json_element(&rest, &value), "nor with a blank in it");

    ok(lnt_json_take(&two, &value) && lnt_str_eq(value, LNT_STR("{\"a\":1}")),
       "a value in front of others");
    ok(lnt_json_take(&two, &value) && lnt_str_eq(value, LNT_STR("[2]")),
       "the next one");
    ok(!lnt_json_take(&two, &value) && lnt_str_eq(two, LNT_STR("x")),
       "what is none stays");
    lnt_strbuf_release(&all);
}

static void
test_strings(void)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"a\\\"b\\\\c\\/d\"", "a\"b\\c/d"},
        {"\"\\b\\f\\n\\r\\t\"", "\b\f\n\r\t"},
        {"\"\\u0041\\u00e4\\u20AC\"", "A\xc3\xa4\xe2\x82\xac"},
        {"\"\\ud83d\\ude00!\"", "\xf0\x9f\x98\x80!"},
        {"\"\\ud83d\"", "\xef\xbf\xbd"},
        {"\"\\ud83dx\"", "\xef\xbf\xbdx"},
        {"\"\\ude00\\ud83d\"", "\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"\\ud83d\\u0021\"", "\xef\xbf\xbd!"},
    };
    struct lnt_strbuf out = LNT_STRBUF_INIT;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lnt_strbuf_clear(&out);
        ok(lnt_json_string(lnt_str_c(cases[i].text), &out), "%s is a string",
           cases[i].text);
        is_str(out.p, cases[i].says, "... and says that");
    }
    ok(!lnt_json_string(LNT_STR("12"), &out), "a number is none");
    lnt_strbuf_release(&out);
}

int
main(void)
{
    test_valid();
    test_cut();
    test_depth();
    test_elements();
    test_strings();
    return done_testing();
}
