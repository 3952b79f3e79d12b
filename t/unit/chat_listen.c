/*
 * The chat for those who only listen: what they are told at the beginning,
 * what they get, and that nobody sees them.
 */
#include <stdio.h>

#include "t/unit/chat_world.h"
#include "t/unit/tap.h"

static struct lnt_session *ann;

static void
say(const char *room, const char *text)
{
    char request[256];
    int n = snprintf(request, sizeof(request),
                     "{\"type\":\"message\",\"room\":\"%s\",\"text\":\"%s\"}",
                     room, text);

    world_send(ann, request, (size_t)n);
}

static void
begin(void)
{
    static const char join[] =
        "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}";

    world_begin();
    ann = world_open(false);
    world_send(ann, join, sizeof(join) - 1);
    say("lobby", "one");
}

/* A listener of these rooms, "lobby den". */
static struct lnt_session *
listen_to(const char *names, struct lnt_interest l)
{
    struct lnt_session *s = world_open(false);
    struct lnt_str rooms[LNT_INTEREST_MAX];
    char text[256];
    char *save = NULL;

    snprintf(text, sizeof(text), "%s", names);
    l.rooms = rooms;
    for (char *p = strtok_r(text, " ", &save); p;
         p = strtok_r(NULL, " ", &save))
        rooms[l.nrooms++] = lnt_str_c(p);
    is_int(chat_listen(s, &l), LNT_GO_ON, "listens to %s", names);
    return s;
}

static void
test_one(void)
{
    const struct lnt_interest all = {.limit = UINT64_MAX};
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    struct lnt_session *s;

    begin();
    s = listen_to("lobby", all);
    is_str(world_next(s),
           "{\"type\":\"joined\",\"room\":\"lobby\",\"epoch\":77,\"seq\":43,"
           "\"topic\":\"Welcome\",\"members\":[\"ann\"],\"recovered\":false,"
           "\"history\":[{\"type\":\"message\",\"room\":\"lobby\",\"seq\":42,"
           "\"from\":\"ann\",\"text\":\"one\",\"time\":1790000042.123}]}",
           "what it is told");
    say("lobby", "two");
    ok(strstr(world_next(s), "\"text\":\"two\""), "what is said");
    is_str(world_next(s), NULL, "... once");
    lnt_module_chat.app->describe(s, &text);
    is_str(text.p, "listens to lobby", "what operators see");
    ann->seen = ann->got.n;
    world_close(s);
    is_str(world_next(ann), NULL, "nobody sees it come or go");
    lnt_strbuf_release(&text);
    world_close(ann);
    world_end();
}

static void
test_several(void)
{
    const struct lnt_interest none = {.limit = 0};
    struct lnt_session *s;

    begin();
    s = listen_to("lobby den new", none);
    ok(strstr(world_next(s), "\"room\":\"lobby\",\"epoch\":77,\"seq\":45"),
       "the first room");
    ok(strstr(world_next(s), "\"room\":\"den\",\"epoch\":77,\"seq\":45"),
       "the second, up to the same place");
    ok(strstr(world_next(s), "\"room\":\"new\",\"epoch\":77,\"seq\":45"),
       "the third");
    for (const struct lnt_sub *b = chat_session(s)->subs; b; b = b->next)
        is_int((int64_t)b->start, 46, "%s is delivered behind it",
               lnt_sub_room_name(b));
    world_close(s);
    world_close(ann);
    world_end();
}

static void
test_back(void)
{
    const struct lnt_interest since = {
        .limit = 0, .resumes = true, .epoch = 77, .seq = 42};
    const struct lnt_interest other = {
        .limit = 1, .resumes = true, .epoch = 78, .seq = 42};
    struct lnt_session *s;
    const char *text;

    begin();
    say("lobby", "two");
    say("lobby", "three");
    s = listen_to("lobby", since);
    text = world_next(s);
    ok(strstr(text, "\"recovered\":true"), "recovered");
    ok(!strstr(text, "\"one\"") && strstr(text, "\"two\"") &&
           strstr(text, "\"three\""),
       "... what was missed, whatever limit says");
    world_close(s);
    s = listen_to("lobby", other);
    is_str(world_next(s), "{\"type\":\"gap\",\"room\":\"lobby\",\"seq\":46}",
           "of another epoch: a gap");
    text = world_next(s);
    ok(strstr(text, "\"recovered\":false"), "... not recovered");
    ok(!strstr(text, "\"two\"") && strstr(text, "\"three\""),
       "... what others get");
    world_close(s);
    world_close(ann);
    world_end();
}

static void
test_refusals(void)
{
    struct lnt_str rooms[] = {LNT_STR("lobby"), LNT_STR("den"), LNT_STR("a"),
                              LNT_STR("b"), LNT_STR("No Room")};
    struct lnt_interest l = {.rooms = rooms, .nrooms = 3};
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_session *s;

    begin();
    ok(chat_may_listen(&world.ctx, &l, &why), "as many as one may be in");
    l.nrooms = 4;
    ok(!chat_may_listen(&world.ctx, &l, &why), "one more");
    is_str(why.p, "nobody may be in more than 3 rooms", "... and why");
    lnt_strbuf_clear(&why);
    l.rooms = rooms + 4;
    l.nrooms = 1;
    ok(!chat_may_listen(&world.ctx, &l, &why), "a bad name");
    ok(strncmp(why.p, "names of rooms match ^", 22) == 0, "... and why");
    s = world_open(false);
    l.rooms = rooms;
    world.fail = ENOSPC;
    (void)chat_listen(s, &l);
    is_int(s->close_code, LNT_CLOSE_LATER, "a server that is full");
    ok(strstr(world_next(s), "\"code\":\"server_full\""), "... says so");
    world_close(s);
    world_close(ann);
    lnt_strbuf_release(&why);
    world_end();
}

int
main(void)
{
    test_one();
    test_several();
    test_back();
    test_refusals();
    return done_testing();
}
