/*
 * [chat] and [room NAME] from the text of a server.ini.
 */
#include <string.h>

#include "core/arena.h"
#include "core/conf.h"
#include "core/regex.h"
#include "modules/chat/chat.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

static struct lnt_arena *arena;
static struct lnt_report report;

/* What the chat needs to know of [server]. */
static const struct lnt_directive server_directives[] = {
    {.name = "workers", .type = LNT_TYPE_INT, .def = "2"},
    {.name = "zone_size",
     .type = LNT_TYPE_SIZE,
     .offset = sizeof(int64_t),
     .def = "64m"},
    {.name = NULL},
};
static const struct lnt_directive_set server_set = {
    .owner = "core",
    .size = sizeof(int64_t) + sizeof(uint64_t),
    .directives = server_directives,
};
static const struct lnt_section_kind server_kind = {
    .kind = "server", .help = "", .set = &server_set};

/* The configuration that a text makes; problems are in report. */
static const struct chat_conf *
load(const char *text)
{
    const char *path = tmp_write("server.ini", text, strlen(text));

    arena = lnt_arena_new();
    lnt_report_init(&report, arena);
    struct lnt_ini_section *ini = lnt_ini_load(arena, path, NULL, 0, &report);

    struct lnt_schema *schema = lnt_schema_new(arena);
    lnt_schema_kind(schema, &server_kind);
    for (const struct lnt_section_kind *k = chat_sections; k->kind; k++)
        lnt_schema_kind(schema, k);
    struct lnt_module_setup setup = {.arena = arena, .report = &report};
    setup.sections = lnt_conf_build(arena, schema, ini, NULL, "/", &report);
    if (report.errors == 0) {
        int result = chat_configure(&setup);
        is_int(result, report.errors ? -1 : 0, "configured");
    }
    return setup.conf;
}

static void
done(void)
{
    lnt_arena_free(arena);
}

/* Text with exactly one problem: at that line, with these words. */
static void
wrong(const char *text, unsigned line, const char *words)
{
    char place[16];

    load(text);
    snprintf(place, sizeof(place), ":%u: ", line);
    if (is_int(report.errors, 1, "one problem")) {
        const char *got = report.first->text;
        ok(strstr(got, place) && strstr(got, words), "at line %u: %s", line,
           words);
        diag("%s", got);
    }
    done();
}

static void
defaults(void)
{
    const struct chat_conf *c = load("");

    is_int(report.errors, 0, "an empty file is fine");
    is_int(c->history, 100, "history");
    is_int(c->history_age, 0, "history_age");
    is_int(c->keep.count, 100, "kept: messages");
    is_int(c->keep.age_s, 0, "kept: however old");
    is_int(c->keep.bytes, 25600, "kept: bytes");
    is_int(c->presence_limit, 500, "presence_limit");
    is_int(c->text_size, 4096, "text_size");
    is_int(c->rooms_per_session, 32, "rooms_per_session");
    ok(c->guests, "guests");
    ok(lnt_regex_match(c->room_name, LNT_STR("lobby-2"), NULL, NULL) &&
           !lnt_regex_match(c->room_name, LNT_STR("-x"), NULL, NULL),
       "room_name");
    ok(lnt_regex_match(c->nick_name, LNT_STR("J\xc3\xbcrgen_1.x-"), NULL,
                       NULL) &&
           !lnt_regex_match(c->nick_name, LNT_STR("a b"), NULL, NULL) &&
           !lnt_regex_match(c->nick_name, LNT_STR(""), NULL, NULL),
       "nick_name");
    is_str(chat_topic(c, "lobby"), "", "no topics");
    done();
}

static void
given(void)
{
    const struct chat_conf *c = load("[room zoo]\n"
                                     "topic = Animals\n"
                                     "[chat]\n"
                                     "history = 7\n"
                                     "history_age = 2h\n"
                                     "guests = off\n"
                                     "text_size = 1k\n"
                                     "[room lobby]\n"
                                     "topic = Gr\xc3\xbc\xc3\x9f \"dich\"\n"
                                     "[room den]\n");

    is_int(report.errors, 0, "no problem");
    is_int(c->history, 7, "history");
    is_int(c->history_age, 7200000, "history_age");
    is_int(c->keep.count, 7, "kept: messages");
    is_int(c->keep.age_s, 7200, "kept: seconds");
    is_int(c->keep.bytes, 1792, "kept: bytes");
    is_int(c->text_size, 1024, "text_size");
    ok(!c->guests, "guests");
    is_int(c->nrooms, 3, "rooms");
    is_str(chat_topic(c, "zoo"), "Animals", "a topic");
    is_str(chat_topic(c, "lobby"), "Gr\xc3\xbc\xc3\x9f \"dich\"", "another");
    is_str(chat_topic(c, "den"), "", "none");
    is_str(chat_topic(c, "nowhere"), "", "no such room");
    done();
}

static void
history(void)
{
    const struct chat_conf *c = load("[chat]\n"
                                     "history_size = 10k\n"
                                     "history_age = 1500ms\n"
                                     "[room lobby]\n"
                                     "slow_mode = 5s\n");

    is_int(report.errors, 0, "no problem");
    is_int(c->keep.bytes, 10240, "kept: bytes");
    is_int(c->keep.age_s, 2, "kept: seconds, no fewer");
    is_int(chat_room_conf(c, "lobby")->slow_mode, 5000, "slow_mode");
    ok(!chat_room_conf(c, "den"), "a room that is not configured");
    done();
    c = load("[chat]\nhistory = 0\nhistory_size = 1g\n");
    is_int(report.errors, 0, "no history needs no room");
    is_int(c->keep.count, 0, "kept: none");
    done();
}

/* Text with rooms that are too many for the zone; what is said, and that the
   size it tells is enough. */
static void
too_small(const char *chat, const char *zone_size, unsigned nrooms,
          const char *words)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    const char *size, *end, *said;

    lnt_strbuf_addf(&text, "[server]\nzone_size = %s\n%s", zone_size, chat);
    for (unsigned i = 0; i < nrooms; i++)
        lnt_strbuf_addf(&text, "[room r%u]\n", i);
    load(text.p);
    is_int(report.errors, 1, "one problem");
    said = report.first ? report.first->text : "";
    diag("%s", said);
    ok(strstr(said, words), "%s", words);
    size = strstr(said, "zone_size = ");
    for (const char *next = size; next; next = strstr(next + 1, "zone_size = "))
        size = next;
    if (ok(size != NULL, "a size is told")) {
        size += strlen("zone_size = ");
        end = strchr(size, ' ');
        lnt_strbuf_clear(&text);
        lnt_strbuf_addf(&text, "[server]\nzone_size = %.*s\n%s",
                        (int)(end - size), size, chat);
        for (unsigned i = 0; i < nrooms; i++)
            lnt_strbuf_addf(&text, "[room r%u]\n", i);
        done();
        load(text.p);
        is_int(report.errors, 0, "which is enough");
    }
    done();
    lnt_strbuf_release(&text);
}

int
main(void)
{
    defaults();
    given();
    history();
    too_small("[chat]\nhistory = 10000\n", "1m", 3,
              ":4: the 3 rooms of this configuration and one other are "
              "promised 10004k of history (history_size = 2500k "
              "each), and zone_size = 1m has ");
    too_small("[chat]\nhistory_size = 1g\n", "64m", 0,
              ":4: a room is promised 1025m of history");
    too_small("[chat]\nhistory_size = 100k\n", "1m", 20, ":4: the 20 rooms");
    too_small("", "1m", 50, ":3: the 50 rooms");
    too_small("[chat]\nhistory = 0\n", "1m", 900,
              ": 900 rooms are too many for zone_size = 1m; zone_size = ");
    wrong("[chat]\n[room Lobby]\n", 2, "must match room_name");
    wrong("[chat]\nroom_name = ^x+$\n\n[room xyz]\ntopic = t\n", 4, "^x+$");
    wrong("[room lobby]\n[chat]\nroom_name =\n", 3, "must not be empty");
    wrong("[chat]\nnick_name =\n", 2, "nick_name must not be empty");
    wrong("[chat]\nroom_name = ^(x\n", 2, "room_name");
    wrong("[chat]\npresence_limit = 0\n", 2, "presence_limit");
    wrong("[chat]\ntext_size = 2m\n", 2, "text_size");
    wrong("[chat]\nhistroy = 5\n", 2, "history");
    wrong("[room lobby]\ntopic = \xff\n", 2, "UTF-8");
    return done_testing();
}
