/*
 * The chat for people: commands, what they read, and that no text can pretend
 * to be something else on their terminal.
 */
#include "t/unit/chat_world.h"
#include "t/unit/tap.h"

#define SEND(s, text) world_send(s, text, sizeof(text) - 1)
#define ASK(s, text, wanted)                                                   \
    (SEND(s, text), is_str(world_next(s), wanted, "%s", text))
#define NEXT(s, wanted, name) is_str(world_next(s), wanted, "%s", name)
#define SILENT(s, name) NEXT(s, NULL, name)

static struct lnt_session *cy, *dan, *ann;

static void
begin(void)
{
    world_begin();
    cy = world_open(true);
    dan = world_open(true);
    ann = world_open(false);
    cy->seen = cy->got.n;
    dan->seen = dan->got.n;
}

static void
one_room(void)
{
    world_begin();
    cy = world_open(true);
    NEXT(cy, "* welcome; /join ROOM [NICK] enters a room, /help tells the rest",
         "a greeting");
    world_end();

    begin();
    ASK(cy, "hello?", "! you are in no room; /join ROOM enters one");
    ASK(cy, "/join lobby cy",
        "* you are cy in lobby\n* topic: Welcome\n* here: cy (1)");
    ASK(dan, "/join lobby",
        "* you are guest-1 in lobby\n* topic: Welcome\n"
        "* here: cy, guest-1 (2)");
    NEXT(cy, "* guest-1 joined", "joined");
    ASK(dan, "/nick dan", "* you are dan now");
    NEXT(dan, "* guest-1 is now dan", "the news reach oneself");
    NEXT(cy, "* guest-1 is now dan", "and others");
    ASK(dan, "/NICK dan", "* you are dan now");
    SILENT(cy, "the same nick is no news");
    ASK(dan, "hi there", "<dan> hi there");
    NEXT(cy, "<dan> hi there", "a message");
    ASK(dan, "//shrug", "<dan> /shrug");
    NEXT(cy, "<dan> /shrug", "two slashes say one");
    SEND(dan, "");
    SEND(dan, "  \t ");
    SILENT(dan, "empty lines are nothing");
    ASK(dan, "/msg cy  psst, you", "-> *cy* psst, you");
    NEXT(cy, "*dan* psst, you", "direct");
    ASK(dan, "/who", "* here: cy, dan (2)");
    ASK(dan, "/who lobby", "* here: cy, dan (2)");
    ASK(dan, "/leave", "* you left lobby");
    NEXT(cy, "* dan left", "left");
    is_int(SEND(cy, "/quit"), LNT_CLOSE_NORMAL, "/quit");
    world_end();
}

static void
refusals(void)
{
    begin();
    ASK(cy, "/", "! no such command; /help lists them all");
    ASK(cy, "/foo bar", "! no such command; /help lists them all");
    ASK(cy, "/join", "! /join ROOM [NICK]");
    ASK(cy, "/join Lobby",
        "! names of rooms match ^[a-z0-9][a-z0-9_-]{0,31}$, have at most "
        "64 bytes and no blanks");
    ASK(cy, "/join lobby c*y",
        "! nicks match ^[\\p{L}\\p{M}\\p{N}._-]+$, have at most 32 bytes and "
        "no blanks");
    ASK(cy, "/leave", "! you are in no room; /join ROOM enters one");
    ASK(cy, "/who", "! you are in no room; /join ROOM enters one");
    ASK(cy, "/rooms", "! you are in no room; /join ROOM enters one");
    ASK(cy, "/leave den", "! join den first");
    ASK(cy, "/who den", "! join den first");
    ASK(cy, "/nick", "! /nick NAME");
    ASK(cy, "/msg dan", "! /msg NICK TEXT");
    ASK(cy, "/msg", "! /msg NICK TEXT");
    ASK(cy, "/msg dan hi",
        "! who speaks needs a nick: join a room or take one first");
    SEND(dan, "/join den dan");
    ASK(cy, "/nick dan", "! dan is taken by another");
    ASK(cy, "/join den cy", "* you are cy in den\n* here: dan, cy (2)");
    ASK(cy, "/msg eve hi", "! nobody has that nick");
    ASK(cy, "/history x", "! /history N, a number of messages");
    ASK(cy, "/history 0", "! /history N, a number of messages");
    ASK(cy, "/history 5", "* nothing has been said here yet");
    ASK(cy,
        "0123456789012345678901234567890123456789012345678901234567890"
        "1234",
        "! a text has at most 64 bytes, this one has 65");
    SEND(cy, "/help");
    ok(strstr(world_next(cy), "\n* /msg NICK TEXT      tell one person alone"),
       "/help");
    world_end();
}

/* Lines of the first room are bare, those of further ones name it. */
static void
several_rooms(void)
{
    begin();
    SEND(dan, "/join lobby dan");
    SEND(dan, "/join den");
    SEND(cy, "/join den cy");
    dan->seen = dan->got.n;
    cy->seen = cy->got.n;
    ASK(cy, "/join lobby",
        "* you are cy in lobby; its lines begin with [lobby]\n"
        "* topic: Welcome\n* here: dan, cy (2)");
    ASK(cy, "here", "[lobby] <cy> here");
    NEXT(dan, "* cy joined", "bare: the first room of this one");
    NEXT(dan, "<cy> here", "bare: the first room of this one");
    ASK(cy, "/join den", "* you speak in den now");
    ASK(cy, "there", "<cy> there");
    NEXT(dan, "[den] <cy> there", "named: the second of this one");
    ASK(cy, "/rooms", "* you speak in den, and hear lobby");
    SEND(cy, "/nick zoe");
    NEXT(dan, "[den] * cy is now zoe", "news come in each room and name it");
    NEXT(dan, "* cy is now zoe", "unless it is the first");
    cy->seen = cy->got.n;
    ASK(cy, "/leave", "* you left den; you speak in lobby now");
    NEXT(dan, "[den] * zoe left", "leaving, too");
    ASK(cy, "/join x", "* you are zoe in x\n* here: zoe (1)");
    ASK(cy, "/join den",
        "* you are zoe in den; its lines begin with [den]\n"
        "* here: dan, zoe (2)\n* the last message:\n[den] <cy> there");
    ASK(cy, "/join y", "! nobody may be in more than 3 rooms; leave one first");
    ASK(cy, "/leave lobby", "* you left lobby; you speak in den now");
    world_end();
}

static void
not_fooled(void)
{
    begin();
    SEND(cy, "/join lobby cy");
    SEND(ann, "{\"type\":\"join\",\"room\":\"lobby\",\"nick\":\"ann\"}");
    cy->seen = cy->got.n;
    ann->seen = ann->got.n;
    SEND(ann, "{\"type\":\"message\",\"room\":\"lobby\","
              "\"text\":\"a\\n<cy> b\\r\\n* c\"}");
    NEXT(cy, "<ann> a\n<ann> <cy> b\n<ann> * c", "every line has its speaker");
    SEND(ann, "{\"type\":\"message\",\"room\":\"lobby\",\"text\":"
              "\"\\u001b[2J\\u0007\\u009b2J\\u202eabc\\u2066\\u2028\\tz\"}");
    NEXT(cy, "<ann> [2J2Jabc\tz", "nothing steers the terminal");
    SEND(ann, "{\"type\":\"direct\",\"to\":\"cy\",\"text\":"
              "\"x\\n\\u001by\"}");
    NEXT(cy, "*ann* x\n*ann* y", "nor does a direct message");
    SEND(ann, "{\"type\":\"typing\",\"room\":\"lobby\"}");
    SILENT(cy, "typing is for programs");
    SEND(cy, "say \"x\\y\"");
    world_next(cy);
    ann->seen = 0;
    const char *text = NULL;
    for (const char *next; (next = world_next(ann));)
        text = next;
    is_str(text,
           "{\"type\":\"message\",\"room\":\"lobby\",\"seq\":47,"
           "\"from\":\"cy\",\"text\":\"say \\\"x\\\\y\\\"\","
           "\"time\":1790000047.123}",
           "programs read what people write");
    lnt_module_chat.app->gap(cy);
    NEXT(cy, "* some messages were lost here", "a gap");
    lnt_module_chat.on_broadcast(&world.ctx, LNT_STR("a\x1b\nb"));
    NEXT(cy, "* a\n* b", "a broadcast");
    world_end();
}

static void
large_room(void)
{
    begin();
    for (int i = 0; i < 4; i++) {
        struct lnt_session *s = i < 2 ? i ? dan : ann : world_open(false);
        SEND(s, "{\"type\":\"join\",\"room\":\"lobby\"}");
    }
    SEND(dan, "/join lobby");
    dan->seen = dan->got.n;
    world_open(true);
    SEND(&world.sessions[5], "/join lobby");
    ASK(cy, "/join lobby",
        "* you are guest-6 in lobby\n* topic: Welcome\n* here: 6 members");
    ASK(cy, "/who", "* here: 6 members");
    SILENT(dan, "and nobody is told");
    world_end();
}

/* Payloads that no version of ours wrote are left out. */
static void
strange_payloads(void)
{
    static const struct {
        uint16_t kind;
        const char *p;
        size_t n;
    } bad[] = {
        {CHAT_MESSAGE, "", 0},     {CHAT_MESSAGE, "\005abcd", 5},
        {CHAT_MESSAGE, "\xff", 1}, {CHAT_TYPING, "\x01", 1},
        {LNT_EVENT_NICK, "", 0},   {LNT_EVENT_NICK, "ab", 2},
        {999, "\001a", 2},
    };
    struct lnt_strbuf out = LNT_STRBUF_INIT;

    begin();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct lnt_event e = {.kind = bad[i].kind,
                              .data = lnt_str(bad[i].p, bad[i].n)};
        bool any = false;

        for (unsigned f = 0; f < CHAT_FORMATS; f++)
            any = chat_event(&world.ctx, &e, f, &out) || any;
        e.kind = CHAT_DIRECT;
        any = chat_event_direct(cy, &e, &out) || any;
        ok(!any && out.n == 0, "payload %zu", i);
    }
    lnt_strbuf_release(&out);
    world_end();
}

/* With fields of a later release, that are skipped; and those cut short. */
static void
later_payloads(void)
{
#define MORE "\xff\0\4more"
    static const struct {
        uint16_t kind;
        struct lnt_str data;
        const char *json, *line;
    } rows[] = {
        {CHAT_MESSAGE, LNT_STR(MORE "\3annhi"),
         "{\"type\":\"message\",\"room\":\"den\",\"seq\":7,"
         "\"from\":\"ann\",\"text\":\"hi\",\"time\":0.000}",
         "<ann> hi"},
        {CHAT_MESSAGE, LNT_STR("\xff\0\0\3annhi"),
         "{\"type\":\"message\",\"room\":\"den\",\"seq\":7,"
         "\"from\":\"ann\",\"text\":\"hi\",\"time\":0.000}",
         "<ann> hi"},
        {CHAT_TYPING, LNT_STR(MORE "\3ann"),
         "{\"type\":\"typing\",\"room\":\"den\",\"nick\":\"ann\"}", ""},
        {LNT_EVENT_JOIN, LNT_STR("ann\0more"),
         "{\"type\":\"presence\",\"room\":\"den\",\"event\":\"join\","
         "\"nick\":\"ann\",\"seq\":7}",
         "* ann joined"},
        {LNT_EVENT_LEAVE, LNT_STR("ann\0"),
         "{\"type\":\"presence\",\"room\":\"den\",\"event\":\"leave\","
         "\"nick\":\"ann\",\"seq\":7}",
         "* ann left"},
        {LNT_EVENT_NICK, LNT_STR("ann\0bea\0more"),
         "{\"type\":\"presence\",\"room\":\"den\",\"event\":\"nick\","
         "\"nick\":\"bea\",\"from\":\"ann\",\"seq\":7}",
         "* ann is now bea"},
        {CHAT_MESSAGE, LNT_STR("\xff\0"), "", ""},
        {CHAT_MESSAGE, LNT_STR("\xff\0\4mor"), "", ""},
        {CHAT_MESSAGE, LNT_STR(MORE), "", ""},
        {CHAT_MESSAGE, LNT_STR("\xff\xff\xff\3annhi"), "", ""},
        {CHAT_DIRECT + 1, LNT_STR(MORE "\3annhi"), "", ""},
        {UINT16_MAX, LNT_STR("\3annhi"), "", ""},
    };

    begin();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct lnt_strbuf json = LNT_STRBUF_INIT, line = LNT_STRBUF_INIT;
        /* In memory of just its size, so that reading beyond it is seen. */
        char *data = lnt_malloc(rows[i].data.n);
        struct lnt_event e = {.seq = 7,
                              .kind = rows[i].kind,
                              .data = lnt_str(data, rows[i].data.n),
                              .room_name = LNT_STR("den")};

        memcpy(data, rows[i].data.p, rows[i].data.n);
        (void)chat_event(&world.ctx, &e, CHAT_FORMAT_JSON, &json);
        (void)chat_event(&world.ctx, &e, CHAT_FORMAT_LINE, &line);
        is_str(json.p ? json.p : "", rows[i].json, "later payload %zu", i);
        is_str(line.p ? line.p : "", rows[i].line, "... as a line");
        lnt_strbuf_release(&json);
        lnt_strbuf_release(&line);
        free(data);
    }
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    struct lnt_event e = {.kind = CHAT_DIRECT,
                          .data = LNT_STR(MORE "\3ann\2cypsst")};
    ok(chat_event_direct(cy, &e, &out), "to one alone");
    is_str(out.p ? out.p : "", "*ann* psst", "... without what is not known");
    lnt_strbuf_release(&out);
    world_end();
#undef MORE
}

int
main(void)
{
    one_room();
    refusals();
    several_rooms();
    not_fooled();
    large_room();
    strange_payloads();
    later_payloads();
    return done_testing();
}
