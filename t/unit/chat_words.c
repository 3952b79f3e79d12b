/* LINK: modules/chat/chat_words.c core/utf8.c -ljansson */
/*
 * A message read at once: what is taken is what jansson would have read, what
 * jansson refuses is never taken, and what most clients send is.
 */
#include <jansson.h>

#include "modules/chat/chat.h"
#include "t/unit/tap.h"

static bool
same_text(const json_t *body, const char *key, struct lnt_str s)
{
    const json_t *value = json_object_get(body, key);

    return json_is_string(value) &&
           lnt_str_eq(s, lnt_str(json_string_value(value),
                                 json_string_length(value)));
}

static bool
same_id(const json_t *body, struct lnt_str s)
{
    const json_t *id = json_object_get(body, "id");
    char text[512];

    if (!id || !s.p)
        return !id && !s.p;
    return lnt_str_eq(
        s, lnt_str(text, json_dumpb(id, text, sizeof(text), JSON_ENCODE_ANY)));
}

/* Whether jansson says the same of what was taken. */
static bool
agrees(struct lnt_str request, const struct chat_words *w)
{
    json_t *body =
        json_loadb(request.p, request.n, JSON_REJECT_DUPLICATES, NULL);
    bool same =
        json_is_object(body) && same_text(body, "type", LNT_STR("message")) &&
        same_text(body, "room", w->room) && same_text(body, "text", w->text) &&
        same_id(body, w->id) && json_object_size(body) == (w->id.p ? 4 : 3);

    json_decref(body);
    return same;
}

static const char *const taken[] = {
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"hi\"}",
    " {\r\n\t\"room\" : \"r\" , \"text\" : \"\" ,\n\"type\":\"message\" } \n",
    "{\"id\":0,\"type\":\"message\",\"room\":\"r\",\"text\":\"{}[],:\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":-17}",
    "{\"type\":\"message\",\"room\":\"r\",\"id\":999999999999999,"
    "\"text\":\"x\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\" : \"a b\"}",
    "{\"type\":\"message\",\"room\":\"\",\"text\":\"x\",\"id\":\"\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"gr\xc3\xbc\xc3\x9f "
    "\xf0\x9f\x90\xa6\x7f/'\"}",
};

static const char *const left[] = {
    "",
    "{",
    "{}",
    "[]",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"hi\"",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"hi\"}}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"hi\",}",
    "{,\"type\":\"message\",\"room\":\"r\",\"text\":\"hi\"}",
    "{\"type\" \"message\",\"room\":\"r\",\"text\":\"hi\"}",
    "{\"type\":\"message\" \"room\":\"r\",\"text\":\"hi\"}",
    "{\"type\":\"message\",\"room\":\"r\"}",
    "{\"type\":\"message\",\"text\":\"hi\"}",
    "{\"room\":\"r\",\"text\":\"hi\"}",
    "{\"type\":\"typing\",\"room\":\"r\",\"text\":\"hi\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"hi\",\"more\":1}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"hi\",\"room\":\"s\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"\",\"text\":\"\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"\",\"id\":1,\"id\":2}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"a\\nb\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"a\nb\"}",
    "{\"t\\u0079pe\":\"message\",\"room\":\"r\",\"text\":\"hi\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":7}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"\xff\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"\xed\xa0\x80\"}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":-}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":01}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":-0}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":1.5}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":1e3}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":null}",
    "{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\",\"id\":[1]}",
    ("{\"type\":\"message\",\"room\":\"r\",\"text\":\"x\","
     "\"id\":1234567890123456}"),
};

/* A copy of just its size, so that a sanitizer sees who reads on. */
static bool
reads(const char *request, size_t n, bool *agreed)
{
    struct chat_words w;
    char *copy = malloc(n ? n : 1);
    bool yes;

    memcpy(copy, request, n);
    yes = chat_words_read(&w, lnt_str(copy, n));
    *agreed = !yes || agrees(lnt_str(copy, n), &w);
    free(copy);
    return yes;
}

/* Every one of those that are taken, cut, and with any byte become any of a
   few others. */
static void
spoiled(void)
{
    static const char others[] = "{}[]:,\"\\ \n0-1.eta\xc3\xff\x01";
    bool agreed = true, all = true;
    size_t yes = 0;

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
        size_t n = strlen(taken[i]);
        char text[160];

        for (size_t at = 0; at < n; at++) {
            reads(taken[i], at, &agreed);
            all = all && agreed;
            memcpy(text, taken[i], n);
            for (size_t k = 0; k < sizeof(others); k++) {
                text[at] = others[k];
                yes += reads(text, n, &agreed);
                if (!agreed)
                    diag("not agreed: %.*s", (int)n, text);
                all = all && agreed;
            }
        }
    }
    ok(all, "nothing is taken for what it is not");
    ok(yes > 500, "%zu of them were still messages", yes);
}

int
main(void)
{
    bool agreed;

    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        ok(reads(taken[i], strlen(taken[i]), &agreed) && agreed,
           "number %zu is taken", i);
    for (size_t i = 0; i < sizeof(left) / sizeof(left[0]); i++)
        ok(!reads(left[i], strlen(left[i]), &agreed),
           "number %zu is left to jansson", i);
    spoiled();
    return done_testing();
}
