/*
 * What the chat tells of the past: at joining, to those who come back, page by
 * page, to people; as much as one answer may have.
 */
#include <jansson.h>
#include <stdio.h>

#include "t/unit/chat_world.h"
#include "t/unit/tap.h"

static struct lnt_session *ann, *bob, *cy;

static void
begin(void)
{
    world_begin();
    ann = world_open(false);
    bob = world_open(false);
    cy = world_open(true);
    cy->seen = cy->got.n;
}

static void
quiet(struct lnt_session *s)
{
    s->seen = s->got.n;
}

/* One request; its answer, the first that comes. */
static json_t *
ask(struct lnt_session *s, const char *request)
{
    const char *text;

    quiet(s);
    world_send(s, request, strlen(request));
    text = world_next(s);
    return text ? json_loads(text, 0, NULL) : NULL;
}

static void
say(struct lnt_session *s, const char *room, unsigned first, unsigned last)
{
    char text[128];

    for (unsigned i = first; i <= last; i++) {
        int n = snprintf(text, sizeof(text),
                         "{\"type\":\"message\",\"room\":\"%s\","
                         "\"text\":\"%u\"}",
                         room, i);
        world_send(s, text, (size_t)n);
    }
}

/* "1 2 3": the texts of a list of messages, "!" where seqs do not rise. */
static const char *
texts(const json_t *messages)
{
    static char list[4096];
    size_t n = 0, i;
    json_int_t seq = 0;
    const json_t *m;

    list[0] = '\0';
    json_array_foreach(messages, i, m)
    {
        json_int_t now = json_integer_value(json_object_get(m, "seq"));

        n += (size_t)snprintf(list + n, sizeof(list) - n, "%s%s%s",
                              n ? " " : "", now > seq ? "" : "!",
                              json_string_value(json_object_get(m, "text")));
        seq = now;
    }
    return list;
}

static void
joined_is(json_t *answer, bool recovered, const char *wanted, const char *name)
{
    is_str(json_string_value(json_object_get(answer, "type")), "joined", "%s",
           name);
    is_str(texts(json_object_get(answer, "history")), wanted, "%s", name);
    ok(json_is_true(json_object_get(answer, "recovered")) == recovered,
       "%s: recovered", name);
    json_decref(answer);
}

static void
page_is(json_t *answer, bool more, const char *wanted, const char *name)
{
    is_str(json_string_value(json_object_get(answer, "type")), "history", "%s",
           name);
    is_str(texts(json_object_get(answer, "messages")), wanted, "%s", name);
    ok(json_is_true(json_object_get(answer, "more")) == more, "%s: more", name);
    json_decref(answer);
}

static void
at_joining(void)
{
    json_t *answer;

    begin();
    world.conf.history = 5;
    world.conf.keep.count = 5;
    json_decref(
        ask(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}"));
    say(ann, "lobby", 1, 3);
    answer = ask(bob, "{\"type\":\"join\",\"room\":\"lobby\"}");
    joined_is(answer, false, "1 2 3", "all there is");
    json_decref(ask(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    say(ann, "lobby", 4, 8);
    joined_is(ask(bob, "{\"type\":\"join\",\"room\":\"lobby\"}"), false,
              "4 5 6 7 8", "the last ones");
    json_decref(ask(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    joined_is(ask(bob, "{\"type\":\"join\",\"room\":\"lobby\",\"limit\":2}"),
              false, "7 8", "no more than asked for");
    json_decref(ask(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    answer = ask(bob, "{\"type\":\"join\",\"room\":\"lobby\",\"limit\":-1}");
    is_str(json_string_value(json_object_get(answer, "code")), "bad_request",
           "a limit that is none");
    json_decref(answer);
    json_decref(ask(ann, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    answer = ask(bob, "{\"type\":\"join\",\"room\":\"lobby\"}");
    is_str(json_string_value(json_object_get(
               json_array_get(json_object_get(answer, "history"), 0), "from")),
           "ann", "by whom");
    is_str(json_string_value(json_object_get(
               json_array_get(json_object_get(answer, "history"), 0), "room")),
           "lobby", "where");
    joined_is(answer, false, "4 5 6 7 8", "when everybody has left");
    world_end();
}

static void
coming_back(void)
{
    begin();
    world.conf.history = 5;
    world.conf.keep.count = 5;
    json_decref(
        ask(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}"));
    say(ann, "lobby", 1, 8); /* 42 to 49 */
    joined_is(ask(bob, "{\"type\":\"join\",\"room\":\"lobby\","
                       "\"since\":{\"epoch\":77,\"seq\":42}}"),
              true, "2 3 4 5 6 7 8", "exactly what was missed");
    json_decref(ask(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    joined_is(ask(bob, "{\"type\":\"join\",\"room\":\"lobby\","
                       "\"since\":{\"epoch\":77,\"seq\":49}}"),
              true, "", "nothing was missed");
    json_decref(ask(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    joined_is(ask(bob, "{\"type\":\"join\",\"room\":\"lobby\","
                       "\"since\":{\"epoch\":78,\"seq\":48}}"),
              false, "4 5 6 7 8", "another epoch");
    json_decref(ask(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    joined_is(ask(bob, "{\"type\":\"join\",\"room\":\"lobby\","
                       "\"since\":{\"epoch\":77,\"seq\":999}}"),
              false, "4 5 6 7 8", "a seq of the future");
    json_decref(ask(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    world.rooms[1].lost = 45;
    joined_is(ask(bob, "{\"type\":\"join\",\"room\":\"lobby\","
                       "\"since\":{\"epoch\":77,\"seq\":44}}"),
              false, "4 5 6 7 8", "gone");
    world_end();
}

static void
pages(void)
{
    begin();
    json_decref(
        ask(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}"));
    say(ann, "lobby", 1, 80); /* 42 to 121 */
    page_is(ask(ann, "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":4}"),
            true, "77 78 79 80", "from the end");
    page_is(ask(ann, "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":2,"
                     "\"before\":118}"),
            true, "75 76", "from there");
    page_is(ask(ann, "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":2,"
                     "\"before\":44}"),
            false, "1 2", "the first ones");
    page_is(ask(ann, "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":2,"
                     "\"before\":45}"),
            true, "2 3", "all but the first");
    page_is(ask(ann, "{\"type\":\"history\",\"room\":\"lobby\","
                     "\"before\":42}"),
            false, "", "before the first");
    page_is(ask(ann, "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":0}"),
            true, "", "none asked for");
    page_is(ask(ann, "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":37,"
                     "\"before\":79}"),
            false,
            "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 "
            "26 27 28 29 30 31 32 33 34 35 36 37",
            "more than are read at once");
    json_t *answer =
        ask(ann, "{\"type\":\"history\",\"room\":\"lobby\",\"id\":\"x\","
                 "\"limit\":4294967295}");
    is_int((long long)json_array_size(json_object_get(answer, "messages")), 80,
           "all of them");
    is_str(json_string_value(json_object_get(answer, "id")), "x", "the id");
    is_str(json_string_value(json_object_get(answer, "room")), "lobby",
           "the room");
    json_decref(answer);
    static const char *const bad[] = {
        "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":-1}",
        "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":\"9\"}",
        "{\"type\":\"history\",\"room\":\"lobby\",\"limit\":1.5}",
        "{\"type\":\"history\",\"room\":\"lobby\",\"before\":null}",
        "{\"type\":\"history\"}",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        answer = ask(ann, bad[i]);
        is_str(json_string_value(json_object_get(answer, "code")),
               "bad_request", "%s", bad[i]);
        json_decref(answer);
    }
    world_end();
}

static size_t
answer_size(struct lnt_session *s, const char *request)
{
    quiet(s);
    world_send(s, request, strlen(request));
    return strlen(world_next(s));
}

/* Whatever is kept, one answer stays below 256 KiB, and the reader's queue is
   not filled by it. */
static void
large(void)
{
    const char *join = "{\"type\":\"join\",\"room\":\"lobby\","
                       "\"since\":{\"epoch\":77,\"seq\":42}}";
    const char *all = "{\"type\":\"history\",\"room\":\"lobby\","
                      "\"limit\":100000}";
    const char *head = "{\"type\":\"message\",\"room\":\"lobby\",\"text\":\"";
    static char text[4200];
    json_t *answer;
    size_t n;

    begin();
    world.conf.text_size = 4096;
    world.conf.history = world.conf.keep.count = 100000;
    json_decref(
        ask(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}"));
    memset(text, 'x', sizeof(text));
    memcpy(text, head, strlen(head));
    text[4100] = '"';
    text[4101] = '}';
    for (int i = 0; i < 60; i++) {
        world_send(ann, text, 4102);
        lnt_strbuf_clear(&ann->got);
    }
    n = answer_size(ann, all);
    ok(n > 220000 && n < 256 * 1024, "a page of %zu bytes", n);
    quiet(bob);
    n = answer_size(bob, join);
    ok(n > 220000 && n < 256 * 1024, "a join of %zu bytes", n);
    json_decref(ask(bob, "{\"type\":\"leave\",\"room\":\"lobby\"}"));
    answer = ask(bob, join);
    ok(json_is_false(json_object_get(answer, "recovered")),
       "more was missed than fits");
    json_decref(answer);
    world.queued = world.limits.send_queue - 20000;
    answer = ask(ann, all);
    is_int((long long)json_array_size(json_object_get(answer, "messages")), 2,
           "half of what the queue has left");
    ok(json_is_true(json_object_get(answer, "more")), "and there are more");
    json_decref(answer);
    world.queued = world.limits.send_queue;
    answer = ask(ann, all);
    is_int((long long)json_array_size(json_object_get(answer, "messages")), 1,
           "one is always told");
    json_decref(answer);
    world_end();
}

static void
people(void)
{
    char line[24];

    begin();
    json_decref(
        ask(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}"));
    say(ann, "lobby", 1, 12);
    world_send(cy, "/join lobby cy", 14);
    is_str(world_next(cy),
           "* you are cy in lobby\n* topic: Welcome\n* here: ann, cy (2)\n"
           "* the last 10 messages:\n<ann> 3\n<ann> 4\n<ann> 5\n<ann> 6\n"
           "<ann> 7\n<ann> 8\n<ann> 9\n<ann> 10\n<ann> 11\n<ann> 12",
           "joining tells the last ten");
    world_send(cy, "/history 2", 10);
    is_str(world_next(cy), "* the last 2 messages:\n<ann> 11\n<ann> 12",
           "/history 2");
    world_send(cy, "/history 1", 10);
    is_str(world_next(cy), "* the last message:\n<ann> 12", "/history 1");
    for (unsigned i = 13; i <= 30; i++)
        say(ann, "lobby", i, i);
    quiet(cy);
    world_send(cy, "/history", 8);
    snprintf(line, sizeof(line), "* the last 20 messages:");
    ok(strncmp(world_next(cy), line, strlen(line)) == 0, "/history alone");
    world_send(cy, "/join den", 9);
    quiet(cy);
    world_send(cy, "hi", 2);
    world_next(cy);
    world_send(cy, "/history 9", 10);
    is_str(world_next(cy), "* the last message:\n[den] <cy> hi",
           "in a further room, with its name");
    world_end();
}

int
main(void)
{
    at_joining();
    coming_back();
    pages();
    large();
    people();
    return done_testing();
}
