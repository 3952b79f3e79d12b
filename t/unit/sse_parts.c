/*
 * What protocol sse reads (queries, ids) and what it writes (events).
 */
#include <inttypes.h>

#include "core/buf.h"
#include "modules/sse/event.h"
#include "modules/sse/query.h"
#include "t/unit/tap.h"

/* ---- queries ---- */

static struct lnt_sse_query query;

/* The rooms of a query with commas between, or why there are none. */
static const char *
rooms(const char *text)
{
    static char out[20000];
    const char *why;
    size_t n = 0;

    out[0] = '\0';
    if (!lnt_sse_query_read(&query, lnt_str_c(text), &why))
        return why;
    for (size_t i = 0; i < query.listen.nrooms; i++)
        n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%.*s", i ? "," : "",
                              LNT_STR_ARG(query.listen.rooms[i]));
    return out;
}

static void
test_rooms(void)
{
    char text[LNT_SSE_NAME_MAX * 3 + 20] = "room=";

    is_str(rooms("room=lobby"), "lobby", "a room");
    ok(!query.listen.resumes, "... from now on");
    ok(query.listen.limit == UINT64_MAX, "... with all of the past");
    is_str(rooms("room=a&room=b&room=c"), "a,b,c", "three");
    is_str(rooms("room=a&room=b&room=a&room=%61"), "a,b", "each once");
    is_str(rooms("&&room=a&&x=1&room&room=b"),
           "room is empty; name one, as "
           "in ?room=lobby",
           "one without a value");
    is_str(rooms("&&x=1&=&room=a=b&"), "a=b", "what else there may be");
    is_str(rooms("room=%c3%BC+%2b"), "\xc3\xbc +", "decoded");
    is_str(rooms("rooms=a"), "a room is missing; name one, as in ?room=lobby",
           "another name");
    is_str(rooms(""), "a room is missing; name one, as in ?room=lobby", "none");
    is_str(rooms(NULL), "a room is missing; name one, as in ?room=lobby",
           "no query");
    is_str(rooms("room=%"),
           "a % in the name of a room has no two hexadecimal "
           "digits behind it",
           "a percent sign alone");
    is_str(rooms("room=%4"),
           "a % in the name of a room has no two hexadecimal "
           "digits behind it",
           "half of one");
    is_str(rooms("room=%4g"),
           "a % in the name of a room has no two "
           "hexadecimal digits behind it",
           "not hexadecimal");
    is_str(rooms("room=%c3"), "the name of a room is not UTF-8", "no UTF-8");
    memset(text + 5, 'x', LNT_SSE_NAME_MAX);
    is_int(strlen(rooms(text)), LNT_SSE_NAME_MAX, "the longest name");
    text[5 + LNT_SSE_NAME_MAX] = 'x';
    is_str(rooms(text), "the name of a room is too long", "a longer one");
}

static void
test_many(void)
{
    char text[64 * 16] = "";
    size_t n = 0;

    for (int i = 0; i < LNT_INTEREST_MAX; i++)
        n += (size_t)snprintf(text + n, sizeof(text) - n, "room=r%d&", i);
    ok(rooms(text)[0] == 'r', "as many rooms as there may be");
    is_int(query.listen.nrooms, LNT_INTEREST_MAX, "... are all there");
    ok(lnt_str_eq(query.listen.rooms[LNT_INTEREST_MAX - 1], LNT_STR("r31")),
       "... and right");
    snprintf(text + n, sizeof(text) - n, "room=r1");
    is_int(rooms(text)[0], 'r', "one of them again");
    snprintf(text + n, sizeof(text) - n, "room=more");
    is_str(rooms(text), "that are too many rooms for one connection",
           "one more");
}

static void
test_since(void)
{
    uint64_t epoch, seq;

    rooms("room=a&since=12:34&limit=5");
    ok(query.listen.resumes && query.listen.epoch == 12 &&
           query.listen.seq == 34 && query.listen.limit == 5,
       "since and limit");
    rooms("since=12%3a34&room=a");
    ok(query.listen.resumes && query.listen.seq == 34, "encoded, in front");
    ok(strstr(rooms("room=a&since="), "since must be"), "empty");
    ok(strstr(rooms("room=a&since=1"), "since must be"), "half");
    ok(strstr(rooms("room=a&since=1:"), "since must be"), "no seq");
    ok(strstr(rooms("room=a&since=1:2:3"), "since must be"), "three");
    ok(strstr(rooms("room=a&limit="), "limit must be"), "empty limit");
    ok(strstr(rooms("room=a&limit=x"), "limit must be"), "bad limit");
    rooms("room=a");
    ok(!query.listen.resumes, "nothing stays from the one before");
    ok(lnt_sse_id_read(LNT_STR("18446744073709551615:18446744073709551615"),
                       &epoch, &seq) &&
           epoch == UINT64_MAX && seq == UINT64_MAX,
       "the largest id");
    ok(!lnt_sse_id_read(LNT_STR("18446744073709551616:1"), &epoch, &seq),
       "a larger one");
    ok(!lnt_sse_id_read(LNT_STR(":1"), &epoch, &seq), "no epoch");
    ok(!lnt_sse_id_read(LNT_STR(" 1:1"), &epoch, &seq), "a blank");
    ok(!lnt_sse_id_read(lnt_str(NULL, 0), &epoch, &seq), "nothing");
}

/* ---- events ---- */

static const char *
event(uint64_t epoch, const char *message)
{
    static char out[4096];
    struct lnt_buf *b = lnt_buf_new(1);

    b = lnt_sse_event_add(b, epoch, lnt_str_c(message));
    snprintf(out, sizeof(out), "%.*s", (int)b->len, (const char *)b->data);
    lnt_buf_unref(b);
    return out;
}

static void
test_events(void)
{
    is_str(event(7, "{\"type\":\"message\",\"seq\":42,\"text\":\"hi\"}"),
           "id: 7:42\nevent: message\n"
           "data: {\"type\":\"message\",\"seq\":42,\"text\":\"hi\"}\n\n",
           "a message");
    is_str(event(0, "{\"type\":\"message\",\"seq\":42}"),
           "event: message\ndata: {\"type\":\"message\",\"seq\":42}\n\n",
           "without an id");
    is_str(event(7, "{\"type\":\"typing\"}"),
           "event: typing\ndata: {\"type\":\"typing\"}\n\n", "without a seq");
    is_str(event(7, "hello"), "data: hello\n\n", "no JSON");
    is_str(event(7, ""), "data: \n\n", "nothing");
    is_str(event(7, "a\nb\r\nc\rd\n"),
           "data: a\ndata: b\ndata: c\ndata: d\ndata: \n\n",
           "lines, however they end");
    is_str(event(7, "\r"), "data: \ndata: \n\n", "an end of a line only");
    is_str(event(UINT64_MAX, "{\"seq\":18446744073709551615}"),
           "id: 18446744073709551615:18446744073709551615\n"
           "data: {\"seq\":18446744073709551615}\n\n",
           "the longest id");
}

static void
test_labels(void)
{
    static const struct {
        const char *text, *type;
        int64_t seq; /* -1 none */
    } rows[] = {
        {"{\"type\":\"a\",\"seq\":1}", "a", 1},
        {" { \"seq\" : 7 , \"type\" : \"b-c_d9\" } ", "b-c_d9", 7},
        {"{\"x\":{\"type\":\"no\",\"seq\":2},\"type\":\"yes\"}", "yes", -1},
        {"{\"x\":[{\"seq\":2},\"}\"],\"seq\":3}", "", 3},
        {"{\"text\":\"\\\"type\\\":\\\"no\\\",\",\"type\":\"yes\"}", "yes", -1},
        {"{\"x\":\"\\\\\",\"seq\":4}", "", 4},
        {"{\"type\":5,\"seq\":\"6\"}", "", -1},
        {"{\"type\":\"a b\"}", "", -1},
        {"{\"type\":\"a\\nb\"}", "", -1},
        {"{\"type\":\"\"}", "", -1},
        {"{\"seq\":-1}", "", -1},
        {"{\"seq\":1.5}", "", -1},
        {"{\"seq\":1e3}", "", -1},
        {"{\"seq\":18446744073709551616}", "", -1},
        {"{\"seq\":true}", "", -1},
        {"[{\"type\":\"a\"}]", "", -1},
        {"{}", "", -1},
        {"{", "", -1},
        {"{\"", "", -1},
        {"{\"type", "", -1},
        {"{\"type\"", "", -1},
        {"{\"type\":", "", -1},
        {"{\"type\":\"", "", -1},
        {"{\"\\", "", -1},
        {"", "", -1},
        {"   ", "", -1},
    };
    struct lnt_sse_label label;
    char text[LNT_SSE_TYPE_MAX + 20];

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lnt_str type;

        lnt_sse_label_read(&label, lnt_str_c(rows[i].text));
        type = label.type.p ? label.type : LNT_STR("");
        is_mem(type.p, type.n, rows[i].type, strlen(rows[i].type), "type: %s",
               rows[i].text);
        is_int(label.numbered ? (int64_t)label.seq : -1, rows[i].seq,
               "... seq");
    }
    snprintf(text, sizeof(text), "{\"type\":\"%0*d\"}", LNT_SSE_TYPE_MAX, 1);
    lnt_sse_label_read(&label, lnt_str_c(text));
    is_int(label.type.n, LNT_SSE_TYPE_MAX, "the longest type");
    snprintf(text, sizeof(text), "{\"type\":\"%0*d\"}", LNT_SSE_TYPE_MAX + 1,
             1);
    lnt_sse_label_read(&label, lnt_str_c(text));
    ok(!label.type.p, "a longer one");
}

int
main(void)
{
    test_rooms();
    test_many();
    test_since();
    test_events();
    test_labels();
    lnt_sse_query_release(&query);
    return done_testing();
}
