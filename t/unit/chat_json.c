/*
 * The chat's requests: each of them, each refusal, and what others see of it.
 */
#include "t/unit/chat_world.h"
#include "t/unit/tap.h"

#define SEND(s, text) (void)world_send(s, text, sizeof(text) - 1)

/* One request and its whole answer, at this session. */
#define ASK(s, text, wanted)                                                   \
    (SEND(s, text), is_str(world_next(s), wanted, "%s", text))
#define SILENT(s, name) is_str(world_next(s), NULL, "%s", name)

/* A request that is refused with that code; what stands behind "message" is
   for people.  rest: what follows the message, from the comma on. */
static void
refused_n(struct lnt_session *s, const char *p, size_t n, const char *code,
          const char *rest)
{
    char start[96];
    const char *got;
    size_t len, rest_len = strlen(rest);

    world_send(s, p, n);
    got = world_next(s);
    snprintf(start, sizeof(start),
             "{\"type\":\"error\",\"code\":\"%s\",\"message\":\"", code);
    len = got ? strlen(got) : 0;
    if (!ok(len > strlen(start) + rest_len + 2 &&
                strncmp(got, start, strlen(start)) == 0 &&
                memcmp(got + len - rest_len - 1, rest, rest_len) == 0,
            "%s for %.60s", code, p))
        diag("got %s", got ? got : "nothing");
    is_str(world_next(s), NULL, "and nothing else");
}

#define REFUSED(s, text, code) REFUSED_ID(s, text, code, "")
#define REFUSED_ID(s, text, code, rest)                                        \
    refused_n(s, text, sizeof(text) - 1, code, rest)

static struct lnt_session *ann, *bob;

static void
begin(void)
{
    world_begin();
    ann = world_open(false);
    bob = world_open(false);
}

static void
begin_joined(void)
{
    begin();
    SEND(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
    SEND(bob, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"bob\"}");
    ann->seen = ann->got.n;
    bob->seen = bob->got.n;
}

static void
join(void)
{
    begin();
    SILENT(ann, "no greeting for programs");
    ASK(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\",\"id\":1}",
        "{\"type\":\"joined\",\"room\":\"lobby\",\"nick\":\"ann\","
        "\"epoch\":77,\"seq\":41,\"topic\":\"Welcome\","
        "\"members\":[\"ann\"],\"recovered\":false,\"history\":[],"
        "\"id\":1}");
    SILENT(ann, "one's own joining is no news");
    ASK(bob, "{\"type\":\"join\",\"room\":\"lobby\",\"id\":\"x\"}",
        "{\"type\":\"joined\",\"room\":\"lobby\",\"nick\":\"guest-1\","
        "\"epoch\":77,\"seq\":42,\"topic\":\"Welcome\","
        "\"members\":[\"ann\",\"guest-1\"],\"recovered\":false,\"history\":[],"
        "\"id\":\"x\"}");
    is_str(world_next(ann),
           "{\"type\":\"presence\",\"room\":\"lobby\",\"event\":\"join\","
           "\"nick\":\"guest-1\",\"seq\":42}",
           "others see who joins");
    ASK(ann, "{\"type\":\"join\",\"room\":\"den\",\"nick\":\"other\"}",
        "{\"type\":\"joined\",\"room\":\"den\",\"nick\":\"ann\",\"epoch\":77,"
        "\"seq\":43,\"topic\":\"\",\"members\":[\"ann\"],"
        "\"recovered\":false,\"history\":[]}");
    SILENT(bob, "who is not in a room hears nothing of it");
    ASK(ann,
        "{\"type\":\"join\",\"room\":\"x\",\"since\":{\"epoch\":77,"
        "\"seq\":3}}",
        "{\"type\":\"joined\",\"room\":\"x\",\"nick\":\"ann\",\"epoch\":77,"
        "\"seq\":44,\"topic\":\"\",\"members\":[\"ann\"],"
        "\"recovered\":false,\"history\":[]}");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"y\"}", "too_many_rooms");
    REFUSED_ID(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"id\":9}",
               "already_joined", ",\"id\":9");
    world_end();
}

static void
join_refused(void)
{
    begin();
    REFUSED(ann, "{\"type\":\"join\"}", "bad_request");
    REFUSED(ann, "{\"type\":\"join\",\"room\":7}", "bad_request");
    REFUSED(ann, "{\"type\":\"join\",\"room\":null}", "bad_request");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\",\"nick\":1}",
            "bad_request");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\",\"since\":5}",
            "bad_request");
    REFUSED(ann,
            "{\"type\":\"join\",\"room\":\"a\",\"since\":{\"epoch\":-1,"
            "\"seq\":1}}",
            "bad_request");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"\"}", "bad_room");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"Lobby\"}", "bad_room");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"lobby\\n\"}", "bad_room");
    REFUSED(ann,
            "{\"type\":\"join\",\"room\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\"}",
            "bad_room");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\",\"nick\":\"\"}",
            "bad_nick");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\",\"nick\":\"a b\"}",
            "bad_nick");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\",\"nick\":\"ann\\n\"}",
            "bad_nick");
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\",\"nick\":\"\\u202ea\"}",
            "bad_nick");
    REFUSED(ann,
            "{\"type\":\"join\",\"room\":\"a\","
            "\"nick\":\"123456789-123456789-123456789-123\"}",
            "bad_nick");
    world.fail = ENOSPC;
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\",\"nick\":\"ann\"}",
            "server_full");
    world.fail = ENOSPC;
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\"}", "server_full");
    SEND(ann, "{\"type\":\"nick\",\"nick\":\"ann\"}");
    world_next(ann);
    world.fail = ENOSPC;
    REFUSED(ann, "{\"type\":\"join\",\"room\":\"a\"}", "server_full");
    REFUSED(bob, "{\"type\":\"join\",\"room\":\"a\",\"nick\":\"ann\"}",
            "nick_taken");
    world.conf.guests = false;
    REFUSED(bob, "{\"type\":\"join\",\"room\":\"a\"}", "bad_request");
    ASK(bob,
        "{\"type\":\"join\",\"room\":\"a\",\"nick\":\"J\\u00fcrgen_\\u674e\"}",
        "{\"type\":\"joined\",\"room\":\"a\",\"nick\":"
        "\"J\xc3\xbcrgen_\xe6\x9d\x8e\",\"epoch\":77,\"seq\":41,"
        "\"topic\":\"\",\"members\":["
        "\"J\xc3\xbcrgen_\xe6\x9d\x8e\"],\"recovered\":false,\"history\":[]}");
    world_end();
}

/* A nick that looks like the next guest's is no obstacle, and a newcomer that
   could not join leaves no nick behind. */
static void
join_details(void)
{
    begin();
    SEND(ann, "{\"type\":\"nick\",\"nick\":\"guest-1\"}");
    SEND(bob, "{\"type\":\"join\",\"room\":\"a\"}");
    is_str(world.users[1].nick, "guest-2", "the next number");
    world_end();

    begin();
    SEND(ann, "{\"type\":\"join\",\"room\":\"a\",\"nick\":\"ann\"}");
    for (uint32_t i = 0; i < WORLD_ROOMS; i++)
        world.rooms[i].members++;
    world_next(bob);
    REFUSED(bob, "{\"type\":\"join\",\"room\":\"b\",\"nick\":\"bob\"}",
            "server_full");
    for (uint32_t i = 0; i < WORLD_ROOMS; i++)
        world.rooms[i].members--;
    is_int(lnt_hub_find(NULL, LNT_STR("bob")), 0,
           "a refused newcomer's nick is free again");
    world_end();
}

static void
message(void)
{
    const char *line = "{\"type\":\"message\",\"room\":\"lobby\",\"seq\":43,"
                       "\"from\":\"ann\",\"text\":\"hi \\\"you\\\"\","
                       "\"time\":1790000043.123}";
    begin_joined();
    ASK(ann,
        "{\"type\":\"message\",\"room\":\"lobby\","
        "\"text\":\"hi \\u0022you\\u0022\",\"id\":2}",
        "{\"type\":\"ack\",\"id\":2,\"seq\":43}");
    is_str(world_next(ann), line, "to the sender too, behind the ack");
    is_str(world_next(bob), line, "to the others");
    SEND(bob, "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"yes\"}");
    is_str(world_next(bob),
           "{\"type\":\"message\",\"room\":\"lobby\",\"seq\":44,"
           "\"from\":\"bob\",\"text\":\"yes\",\"time\":1790000044.123}",
           "no ack without an id");
    world_next(ann);
    REFUSED_ID(ann, "{\"type\":\"message\",\"room\":\"lobby\",\"id\":-1.5}",
               "bad_request", ",\"id\":-1.5");
    REFUSED(ann, "{\"type\":\"message\",\"text\":\"x\"}", "bad_request");
    REFUSED(ann, "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"\"}",
            "bad_request");
    REFUSED(ann, "{\"type\":\"message\",\"room\":\"lobby\",\"text\":[]}",
            "bad_request");
    REFUSED(ann, "{\"type\":\"message\",\"room\":\"den\",\"text\":\"x\"}",
            "not_joined");
    REFUSED(ann, "{\"type\":\"message\",\"room\":\"DEN\",\"text\":\"x\"}",
            "bad_room");
    REFUSED(ann,
            "{\"type\":\"message\",\"room\":\"lobby\",\"text\":"
            "\"0123456789012345678901234567890123456789012345678901234567890"
            "1234\"}",
            "too_long");
    world.fail = EMSGSIZE;
    REFUSED(ann, "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"x\"}",
            "too_long");
    SILENT(bob, "nothing of all this reached the others");
    world_end();
}

static void
others(void)
{
    begin_joined();
    ASK(ann, "{\"type\":\"typing\",\"room\":\"lobby\",\"id\":3}",
        "{\"type\":\"ack\",\"id\":3,\"seq\":43}");
    SILENT(ann, "not told of one's own typing");
    is_str(world_next(bob),
           "{\"type\":\"typing\",\"room\":\"lobby\",\"nick\":\"ann\"}",
           "typing");
    REFUSED(ann, "{\"type\":\"typing\",\"room\":\"den\"}", "not_joined");

    ASK(ann,
        "{\"type\":\"direct\",\"to\":\"bob\",\"text\":\"psst\","
        "\"id\":\"\\u00e4\"}",
        "{\"type\":\"ack\",\"id\":\"\xc3\xa4\",\"seq\":44}");
    SILENT(ann, "a direct message goes to the other");
    is_str(world_next(bob),
           "{\"type\":\"direct\",\"from\":\"ann\",\"to\":\"bob\","
           "\"text\":\"psst\",\"time\":1790000044.123}",
           "direct");
    REFUSED(ann, "{\"type\":\"direct\",\"to\":\"cy\",\"text\":\"x\"}",
            "no_such_nick");
    REFUSED(ann, "{\"type\":\"direct\",\"to\":\"\",\"text\":\"x\"}",
            "no_such_nick");
    REFUSED(ann, "{\"type\":\"direct\",\"to\":\"bob\",\"text\":\"\"}",
            "bad_request");
    REFUSED(ann, "{\"type\":\"direct\",\"text\":\"x\"}", "bad_request");
    world.fail = ENOENT;
    REFUSED(ann, "{\"type\":\"direct\",\"to\":\"bob\",\"text\":\"x\"}",
            "no_such_nick");

    ASK(ann, "{\"type\":\"nick\",\"nick\":\"anna\",\"id\":4}",
        "{\"type\":\"nick\",\"nick\":\"anna\",\"id\":4}");
    is_str(world_next(ann),
           "{\"type\":\"presence\",\"room\":\"lobby\",\"event\":\"nick\","
           "\"nick\":\"anna\",\"from\":\"ann\",\"seq\":45}",
           "a new nick is told to all");
    is_str(world_next(bob),
           "{\"type\":\"presence\",\"room\":\"lobby\",\"event\":\"nick\","
           "\"nick\":\"anna\",\"from\":\"ann\",\"seq\":45}",
           "the others as well");
    ASK(ann, "{\"type\":\"nick\",\"nick\":\"anna\"}",
        "{\"type\":\"nick\",\"nick\":\"anna\"}");
    SILENT(bob, "the same nick again is no news");
    REFUSED(ann, "{\"type\":\"nick\",\"nick\":\"bob\"}", "nick_taken");
    REFUSED(ann, "{\"type\":\"nick\",\"nick\":\"a b\"}", "bad_nick");
    REFUSED(ann, "{\"type\":\"nick\"}", "bad_request");

    ASK(bob, "{\"type\":\"who\",\"room\":\"lobby\",\"id\":6}",
        "{\"type\":\"who\",\"room\":\"lobby\",\"members\":[\"anna\",\"bob\"],"
        "\"count\":2,\"id\":6}");
    REFUSED(bob, "{\"type\":\"who\",\"room\":\"den\"}", "not_joined");
    ASK(bob, "{\"type\":\"leave\",\"room\":\"lobby\",\"id\":5}",
        "{\"type\":\"left\",\"room\":\"lobby\",\"id\":5}");
    SILENT(bob, "one's own leaving is no news");
    is_str(world_next(ann),
           "{\"type\":\"presence\",\"room\":\"lobby\",\"event\":\"leave\","
           "\"nick\":\"bob\",\"seq\":46}",
           "others see who leaves");
    REFUSED(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}", "not_joined");
    REFUSED_ID(bob, "{\"type\":\"history\",\"room\":\"lobby\",\"id\":7}",
               "not_joined", ",\"id\":7");
    ASK(bob, "{\"type\":\"ping\"}", "{\"type\":\"pong\"}");
    ASK(bob, "{\"type\":\"ping\",\"id\":0}", "{\"type\":\"pong\",\"id\":0}");
    SEND(bob, "{\"type\":\"direct\",\"to\":\"anna\",\"text\":\"x\"}");
    ok(world_next(ann) != NULL, "a nick is kept without a room");
    world_close(bob);
    REFUSED(ann, "{\"type\":\"direct\",\"to\":\"bob\",\"text\":\"x\"}",
            "no_such_nick");
    bob = world_open(false);
    REFUSED(bob, "{\"type\":\"direct\",\"to\":\"anna\",\"text\":\"x\"}",
            "not_joined");
    SEND(bob, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"bob\"}");
    world_next(ann);
    world_close(bob);
    is_str(world_next(ann),
           "{\"type\":\"presence\",\"room\":\"lobby\",\"event\":\"leave\","
           "\"nick\":\"bob\",\"seq\":49}",
           "an end of a connection is seen as leaving");
    world_end();
}

/* Above presence_limit (4 here) a room only counts. */
static void
large_room(void)
{
    struct lnt_session *s[6];

    begin();
    for (int i = 0; i < 6; i++) {
        s[i] = i < 2 ? i ? bob : ann : world_open(false);
        SEND(s[i], "{\"type\":\"join\",\"room\":\"lobby\"}");
    }
    world_next(ann); /* joined */
    for (int i = 2; i <= 4; i++)
        ok(world_next(ann) != NULL, "join %d is told", i);
    SILENT(ann, "the fifth and sixth are not");
    is_str(world_next(s[5]),
           "{\"type\":\"joined\",\"room\":\"lobby\",\"nick\":\"guest-6\","
           "\"epoch\":77,\"seq\":44,"
           "\"topic\":\"Welcome\",\"members\":[],\"count\":6,\"recovered\":"
           "false,\"history\":[]}",
           "and gets a number instead of a list");
    ASK(ann, "{\"type\":\"who\",\"room\":\"lobby\"}",
        "{\"type\":\"who\",\"room\":\"lobby\",\"members\":[],\"count\":6}");
    world_end();
}

static void
not_json(void)
{
    static const char deep[] = "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[";
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    begin();
    REFUSED(ann, "", "bad_json");
    REFUSED(ann, "hello", "bad_json");
    REFUSED(ann, "{\"type\":\"ping\"", "bad_json");
    REFUSED(ann, "{\"type\":\"ping\"} {}", "bad_json");
    REFUSED(ann, "{\"type\":\"ping\",\"type\":\"who\"}", "bad_json");
    REFUSED(ann, "{\"type\":\"pi\\u0000ng\"}", "bad_json");
    REFUSED(ann, "{\"type\":\"pi\0ng\"}", "bad_json");
    REFUSED(ann, "{\"type\":\"ping\",\"a\\u0000\":1}", "bad_json");
    REFUSED(ann, "{\"type\":\"\xff\"}", "bad_json");
    REFUSED(ann, "{\"type\":\"\\ud800\"}", "bad_json");
    REFUSED(ann, "{\"type\":\"ping\",\"id\":99999999999999999999}", "bad_json");
    REFUSED(ann, "[]", "bad_json");
    REFUSED(ann, "7", "bad_json");
    for (int i = 0; i < 2000; i++)
        lnt_strbuf_adds(&text, deep);
    refused_n(ann, text.p, text.n, "bad_json", "");
    lnt_strbuf_release(&text);
    REFUSED(ann, "{}", "bad_request");
    REFUSED(ann, "{\"type\":3}", "bad_request");
    REFUSED(ann, "{\"type\":\"\"}", "unknown_type");
    REFUSED_ID(ann, "{\"type\":\"Join\",\"id\":123456789012}", "unknown_type",
               ",\"id\":123456789012");
    REFUSED(ann, "{\"type\":\"ping\",\"id\":null}", "bad_request");
    REFUSED(ann, "{\"type\":\"ping\",\"id\":{}}", "bad_request");
    REFUSED(ann, "{\"type\":\"ping\",\"id\":true}", "bad_request");
    lnt_strbuf_adds(&text, "{\"type\":\"ping\",\"id\":\"");
    for (int i = 0; i < 129; i++)
        lnt_strbuf_addc(&text, 'x');
    lnt_strbuf_adds(&text, "\"}");
    refused_n(ann, text.p, text.n, "bad_request", "");
    lnt_strbuf_release(&text);
    ASK(ann, "\t{ \"id\" : 1e3 , \"type\" : \"ping\" } \r\n",
        "{\"type\":\"pong\",\"id\":1000.0}");
    world_end();
}

static void
from_above(void)
{
    begin_joined();
    SEND(ann, "{\"type\":\"join\",\"room\":\"den\"}");
    world_next(ann);
    lnt_module_chat.app->gap(ann);
    is_str(world_next(ann), "{\"type\":\"gap\",\"room\":\"den\",\"seq\":43}",
           "a gap is told for each room");
    is_str(world_next(ann), "{\"type\":\"gap\",\"room\":\"lobby\",\"seq\":43}",
           "for the other, too");
    lnt_module_chat.on_broadcast(&world.ctx, LNT_STR("back at 5 \"sharp\""));
    is_str(world_next(ann),
           "{\"type\":\"notice\",\"text\":\"back at 5 \\\"sharp\\\"\"}",
           "a broadcast");
    ok(world_next(bob) != NULL, "to all");
    lnt_module_chat.on_broadcast(&world.ctx, LNT_STR("\xff"));
    SILENT(ann, "but not what is no UTF-8");
    world_end();
}

int
main(void)
{
    join();
    join_refused();
    join_details();
    message();
    others();
    large_room();
    not_json();
    from_above();
    return done_testing();
}
