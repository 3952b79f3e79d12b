/*
 * What operators set and ask for while the chat runs: the message of the day,
 * slow mode, publishing, and what a session is.
 */
#include "core/log.h"
#include "t/unit/chat_world.h"
#include "t/unit/tap.h"

#define SEND(s, text) (void)world_send(s, text, sizeof(text) - 1)
#define ASK(s, text, wanted)                                                   \
    (quiet(s), SEND(s, text), is_str(world_next(s), wanted, "%s", text))
#define NEXT(s, wanted, name) is_str(world_next(s), wanted, "%s", name)

static struct lnt_session *ann, *bob, *cy;

static void
quiet(struct lnt_session *s)
{
    s->seen = s->got.n;
}

static void
begin(void)
{
    world_begin();
    ann = world_open(false);
    bob = world_open(false);
    cy = world_open(true);
    quiet(cy);
}

/* A value changes; NULL: is unset. */
static void
set(const char *key, const char *value)
{
    struct lnt_str data = lnt_str_c(value);

    lnt_dict_apply(&world.values, lnt_str_c(key), value ? &data : NULL,
                   world.values.version + 1);
    lnt_module_chat.on_value(&world.ctx, lnt_str_c(key), data);
}

static void
motd(void)
{
    begin();
    set("chat:motd", "Be \"kind\"\nalways");
    NEXT(ann, NULL, "nobody is told who will read it at the first join");
    ASK(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}",
        "{\"type\":\"joined\",\"room\":\"lobby\",\"nick\":\"ann\","
        "\"epoch\":77,\"seq\":41,\"topic\":\"Welcome\","
        "\"motd\":\"Be \\\"kind\\\"\\nalways\",\"members\":[\"ann\"],"
        "\"recovered\":false,\"history\":[]}");
    ASK(ann, "{\"type\":\"join\",\"room\":\"den\"}",
        "{\"type\":\"joined\",\"room\":\"den\",\"nick\":\"ann\","
        "\"epoch\":77,\"seq\":42,\"topic\":\"\",\"members\":[\"ann\"],"
        "\"recovered\":false,\"history\":[]}");
    ASK(cy, "/join lobby cy",
        "* you are cy in lobby\n* topic: Welcome\n* Be \"kind\"\n* always\n"
        "* here: ann, cy (2)");
    quiet(ann);
    set("chat:motd", "Be brief");
    NEXT(ann, "{\"type\":\"notice\",\"text\":\"Be brief\"}", "a change");
    NEXT(cy, "* Be brief", "is told to people, too");
    NEXT(bob, NULL, "not to those who are not in yet");
    set("chat:motd", NULL);
    set("chat:motd", "");
    NEXT(ann, NULL, "none at all is not");
    ASK(bob, "{\"type\":\"join\",\"room\":\"x\",\"nick\":\"bob\"}",
        "{\"type\":\"joined\",\"room\":\"x\",\"nick\":\"bob\",\"epoch\":77,"
        "\"seq\":44,\"topic\":\"\",\"members\":[\"bob\"],"
        "\"recovered\":false,\"history\":[]}");
    set("chat:motd", "\xff");
    NEXT(bob, NULL, "nor what is no UTF-8");
    set("other:motd", "x");
    NEXT(bob, NULL, "nor what others have");
    world_end();
}

#define SAY "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"x\",\"id\":1}"

static bool
may_say(struct lnt_session *s)
{
    const char *text;

    quiet(s);
    SEND(s, SAY);
    text = world_next(s);
    return text && strstr(text, "\"ack\"");
}

static void
slow_mode(void)
{
    begin();
    SEND(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
    SEND(ann, "{\"type\":\"join\",\"room\":\"den\"}");
    SEND(bob, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"bob\"}");
    SEND(cy, "/join lobby cy");
    ok(may_say(ann) && may_say(ann), "as fast as one likes");
    set("chat:slow_mode:lobby", "2");
    ok(may_say(ann), "the first one");
    world.now += 500;
    ASK(ann, SAY,
        "{\"type\":\"error\",\"code\":\"rate_limited\",\"message\":\"slow "
        "mode: one message every 2 s in this room; wait 1.5 s\","
        "\"retry_after\":1.5,\"id\":1}");
    ok(may_say(bob), "others may");
    quiet(ann);
    SEND(ann, "{\"type\":\"message\",\"room\":\"den\",\"text\":\"x\"}");
    ok(strstr(world_next(ann), "\"message\""), "elsewhere one may");
    SEND(ann, "{\"type\":\"leave\",\"room\":\"lobby\"}");
    quiet(ann);
    SEND(ann, "{\"type\":\"join\",\"room\":\"lobby\"}");
    ok(strstr(world_next(ann), "\"topic\":\"Welcome\",\"slow_mode\":2,"),
       "joined tells it");
    ok(!may_say(ann), "to go and come back does not help");
    world.now += 1499;
    ASK(ann, SAY,
        "{\"type\":\"error\",\"code\":\"rate_limited\",\"message\":\"slow "
        "mode: one message every 2 s in this room; wait 0.001 s\","
        "\"retry_after\":0.001,\"id\":1}");
    world.now += 1;
    ok(may_say(ann), "after two seconds");
    ok(!may_say(ann), "but not twice");
    ASK(ann, "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"\"}",
        "{\"type\":\"error\",\"code\":\"bad_request\","
        "\"message\":\"text must not be empty\"}");
    quiet(cy);
    SEND(cy, "one");
    NEXT(cy, "<cy> one", "a person");
    SEND(cy, "two");
    NEXT(cy, "! slow mode: one message every 2 s in this room; wait 2 s",
         "is slowed, too");
    set("chat:slow_mode:lobby", "0.25");
    world.now += 250;
    ok(may_say(ann), "a change has effect at once");
    set("chat:slow_mode:lobby", "1m");
    ok(!may_say(ann), "a duration");
    set("chat:slow_mode:lobby", NULL);
    ok(may_say(ann) && may_say(ann), "unset");
    world_close(ann);
    world_end();
}

/* The configuration says it, operators know better. */
static void
slow_rooms(void)
{
    static const char *const bad[] = {"x",
                                      "",
                                      "-1",
                                      "1.",
                                      ".5",
                                      "1s2",
                                      "1.5s",
                                      "2d",
                                      "86401",
                                      "1 2",
                                      "99999999999999999999",
                                      "0.5x"};
    struct chat_room rooms[] = {
        {.name = "lobby", .topic = "", .slow_mode = 3000}};

    begin();
    world.conf.rooms = rooms;
    world.conf.nrooms = 1;
    is_int(chat_slow_mode(&world.ctx, "lobby"), 3000, "as configured");
    is_int(chat_slow_mode(&world.ctx, "den"), 0, "others are not slow");
    set("chat:slow_mode:lobby", "0");
    is_int(chat_slow_mode(&world.ctx, "lobby"), 0, "set to none");
    set("chat:slow_mode:lobby", "86400");
    is_int(chat_slow_mode(&world.ctx, "lobby"), 86400000, "a day");
    set("chat:slow_mode:lobby", "0.0125");
    is_int(chat_slow_mode(&world.ctx, "lobby"), 12, "in milliseconds");
    lnt_log_level(LNT_ERROR);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        set("chat:slow_mode:lobby", bad[i]);
        is_int(chat_slow_mode(&world.ctx, "lobby"), 3000,
               "\"%s\" has no effect", bad[i]);
    }
    lnt_log_level(LNT_NOTICE);
    world_end();
}

/* Only the latest of many slow rooms are remembered. */
static void
many_slow_rooms(void)
{
    static struct chat_room rooms[40];
    static char names[40][8];
    char text[80];

    begin();
    for (unsigned i = 0; i < 40; i++) {
        snprintf(names[i], sizeof(names[i]), "r%02u", i % 100);
        rooms[i] = (struct chat_room){names[i], "", 60000};
    }
    world.conf.rooms = rooms;
    world.conf.nrooms = 40;
    world.conf.rooms_per_session = 50;
    for (int i = 0; i < 40; i++) {
        int n = snprintf(text, sizeof(text), "/join r%02d", i);
        world_send(cy, text, (size_t)n);
        quiet(cy);
        SEND(cy, "x");
        ok(strstr(world_next(cy), "<guest-1> x"), "in room %d", i);
    }
    SEND(cy, "x");
    ok(strstr(world_next(cy), "! slow mode"), "not again in the last");
    world_end();
}

static struct lnt_strbuf replied;
static bool reply_is_good;

static void
on_reply(const struct lnt_requester *to, bool good, struct lnt_str text)
{
    ok(to->id == 5 && replied.n == 0, "answered once");
    lnt_strbuf_add_str(&replied, text);
    reply_is_good = good;
}

static bool
ask_chat(struct lnt_str name, struct lnt_str data)
{
    const struct lnt_requester to = {.answer = on_reply, .id = 5};

    lnt_strbuf_clear(&replied);
    lnt_module_chat.on_request(&world.ctx, name, data, &to);
    lnt_strbuf_addc(&replied, '\0');
    return reply_is_good;
}

static void
publish_is(const char *data, size_t n, bool wanted, const char *reply)
{
    ok(ask_chat(LNT_STR("publish"), lnt_str(data, n)) == wanted, "publish: %s",
       reply);
    ok(strncmp(replied.p, reply, strlen(reply)) == 0, "%s", replied.p);
    world_turn();
}

#define PUBLISH(data, wanted, reply)                                           \
    publish_is(data, sizeof(data) - 1, wanted, reply)

static void
publishing(void)
{
    begin();
    SEND(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
    quiet(ann);
    PUBLISH("lobby\0server\0hi all", true, "seq 42");
    NEXT(ann,
         "{\"type\":\"message\",\"room\":\"lobby\",\"seq\":42,"
         "\"from\":\"server\",\"text\":\"hi all\",\"time\":1790000042.123}",
         "published");
    PUBLISH("fresh\0bot\0first", true, "seq 43");
    quiet(ann);
    SEND(ann, "{\"type\":\"join\",\"room\":\"fresh\"}");
    ok(strstr(world_next(ann),
              "\"history\":[{\"type\":\"message\","
              "\"room\":\"fresh\",\"seq\":43,\"from\":\"bot\","),
       "into a room nobody was in");
    quiet(ann);
    PUBLISH("Lobby\0server\0x", false, "bad_room: names of rooms match");
    PUBLISH("lob\xff\0server\0x", false, "bad_room: ");
    PUBLISH("\0server\0x", false, "bad_room: ");
    PUBLISH("lobby\0a b\0x", false, "bad_nick: ");
    PUBLISH("lobby\0server\0", false, "bad_request: text must not be empty");
    PUBLISH("lobby\0server\0a\0b", false, "bad_request: ");
    PUBLISH("lobby\0server\0\xff", false, "bad_request: text must be UTF-8");
    PUBLISH("lobby\0server", false, "bad_request: publish takes");
    PUBLISH("", false, "bad_request: publish takes");
    PUBLISH("lobby\0server\00012345678901234567890123456789012345678901234567"
            "8901234567890123456789",
            false, "too_long: ");
    world.fail = EMSGSIZE;
    PUBLISH("lobby\0server\0x", false, "too_long: ");
    NEXT(ann, NULL, "nothing of all this was told");
    ok(!ask_chat(LNT_STR("dance"), LNT_STR("x")) &&
           strstr(replied.p, "unknown_type"),
       "no other request");
    lnt_strbuf_release(&replied);
    world_end();
}

static void
described_as(const struct lnt_session *s, const char *wanted)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;

    lnt_module_chat.app->describe(s, &out);
    is_str(out.p ? out.p : "", wanted, "described: %s", wanted);
    lnt_strbuf_release(&out);
}

static void
described(void)
{
    begin();
    described_as(ann, "");
    SEND(ann, "{\"type\":\"nick\",\"nick\":\"ann\"}");
    described_as(ann, "ann");
    SEND(ann, "{\"type\":\"join\",\"room\":\"lobby\"}");
    described_as(ann, "ann in lobby");
    SEND(ann, "{\"type\":\"join\",\"room\":\"dev\"}");
    SEND(ann, "{\"type\":\"join\",\"room\":\"a\"}");
    described_as(ann, "ann in lobby, dev, a");
    world_end();
}

int
main(void)
{
    motd();
    slow_mode();
    slow_rooms();
    many_slow_rooms();
    publishing();
    described();
    return done_testing();
}
