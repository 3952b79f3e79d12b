/*
 * [chat] and [room NAME]: the directives, and what must hold between them.
 */
#include "modules/chat/chat.h"

#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/conf.h"
#include "core/regex.h"
#include "net/module.h"

enum {
    TYPICAL = 256, /* bytes of a message, for history_size = auto */
};

struct room_section {
    const char *topic;
    uint64_t slow_mode;
};

static const struct lnt_enum_value auto_value[] = {{"auto", -1}, {NULL, 0}};

static const struct lnt_directive chat_directives[] = {
    {
        .name = "history",
        .type = LNT_TYPE_INT,
        .offset = offsetof(struct chat_conf, history),
        .def = "100",
        .max = 100000,
        .help = "messages of a room that are kept for those who come later",
    },
    {
        .name = "history_age",
        .type = LNT_TYPE_DURATION,
        .offset = offsetof(struct chat_conf, history_age),
        .def = "0",
        .max = INT64_C(86400000) * 365,
        .help = "how long they are kept at most; 0: no limit",
    },
    {
        .name = "history_size",
        .type = LNT_TYPE_SIZE,
        .offset = offsetof(struct chat_conf, history_size),
        .def = "auto",
        .max = 1 << 30,
        .values = auto_value,
        .help = "memory for them that is a room's own, however busy others "
                "are; auto: 256 bytes for each",
    },
    {
        .name = "room_name",
        .type = LNT_TYPE_REGEX,
        .offset = offsetof(struct chat_conf, room_name),
        .def = "^[a-z0-9][a-z0-9_-]{0,31}$",
        .help = "the names that rooms may have; 64 bytes at most",
    },
    {
        .name = "nick_name",
        .type = LNT_TYPE_REGEX,
        .offset = offsetof(struct chat_conf, nick_name),
        .def = "^[\\p{L}\\p{M}\\p{N}._-]+$",
        .help = "the nicks that members may take; 32 bytes at most, "
                "never with blanks",
    },
    {
        .name = "presence_limit",
        .type = LNT_TYPE_INT,
        .offset = offsetof(struct chat_conf, presence_limit),
        .def = "500",
        .min = 1,
        .max = 100000,
        .help = "members above which a room tells their number instead of "
                "their nicks, and no longer who joins and leaves",
    },
    {
        .name = "text_size",
        .type = LNT_TYPE_SIZE,
        .offset = offsetof(struct chat_conf, text_size),
        .def = "4k",
        .min = 1,
        .max = 1024 * 1024,
        .help = "longest text of a message, in bytes of UTF-8",
    },
    {
        .name = "rooms_per_session",
        .type = LNT_TYPE_INT,
        .offset = offsetof(struct chat_conf, rooms_per_session),
        .def = "32",
        .min = 1,
        .max = CHAT_ROOMS_MAX,
        .help = "rooms that one session may be in at once",
    },
    {
        .name = "guests",
        .type = LNT_TYPE_FLAG,
        .offset = offsetof(struct chat_conf, guests),
        .def = "on",
        .help = "whoever joins without a nick becomes guest-NUMBER; "
                "off: a nick must be given",
    },
    {.name = NULL},
};

static const struct lnt_directive_set chat_set = {
    .owner = "chat",
    .size = sizeof(struct chat_conf),
    .directives = chat_directives,
};

static const struct lnt_directive room_directives[] = {
    {
        .name = "topic",
        .type = LNT_TYPE_STRING,
        .offset = offsetof(struct room_section, topic),
        .help = "told to whoever joins",
    },
    {
        .name = "slow_mode",
        .type = LNT_TYPE_DURATION,
        .offset = offsetof(struct room_section, slow_mode),
        .def = "0",
        .max = 86400000,
        .help = "time between two messages of one session; 0: none",
    },
    {.name = NULL},
};

static const struct lnt_directive_set room_set = {
    .owner = "chat",
    .size = sizeof(struct room_section),
    .directives = room_directives,
};

const struct lnt_section_kind chat_sections[] = {
    {
        .kind = "chat",
        .help = "the chat application",
        .set = &chat_set,
    },
    {
        .kind = "room",
        .named = true,
        .help = "one room of the chat; rooms without a section exist as soon "
                "as somebody joins",
        .set = &room_set,
    },
    {.kind = NULL},
};

static int
compare_rooms(const void *a, const void *b)
{
    const struct chat_room *x = a, *y = b;
    return strcmp(x->name, y->name);
}

/* Reports a name that no room may have; 0 when it may. */
static int
check_room(const struct lnt_module_setup *setup, const struct chat_conf *conf,
           const struct lnt_section *section)
{
    struct lnt_str name = lnt_str_c(section->name);

    if (name.n <= LNT_ROOM_NAME_MAX && chat_is_plain(name) &&
        lnt_regex_match(conf->room_name, name, NULL, NULL))
        return 0;
    lnt_report_add(setup->report, section->file, section->line,
                   "\"%s\" is no name for a room: it must match room_name in "
                   "[chat], %s, and have at most %d bytes and no blanks",
                   section->name, lnt_regex_pattern(conf->room_name),
                   LNT_ROOM_NAME_MAX);
    return -1;
}

static struct lnt_keep
keep_of(const struct chat_conf *conf)
{
    uint64_t count = (uint64_t)conf->history, bytes = conf->history_size;

    if (count == 0)
        return (struct lnt_keep){0};
    return (struct lnt_keep){
        .count = (uint32_t)count,
        .age_s = (uint32_t)((conf->history_age + 999) / 1000),
        .bytes = bytes == CHAT_SIZE_AUTO ? count * TYPICAL : bytes,
    };
}

/* Where to look when there is too much history: where it was asked for. */
static struct lnt_origin
origin_of_history(const struct lnt_module_setup *setup,
                  const struct chat_conf *conf)
{
    const struct lnt_section *chat = lnt_section_find(setup->sections, "chat");
    const struct lnt_section *room = lnt_section_find(setup->sections, "room");
    bool is_auto = conf->history_size == CHAT_SIZE_AUTO;
    struct lnt_origin at = lnt_section_origin(
        chat, &chat_set, is_auto ? "history" : "history_size");

    if (!at.file && room)
        at = (struct lnt_origin){room->file, room->line};
    return at;
}

int
chat_configure(struct lnt_module_setup *setup)
{
    struct lnt_section *section = lnt_section_find(setup->sections, "chat");
    struct chat_conf *conf = lnt_section_data(section, &chat_set);
    struct chat_room *rooms;
    size_t n = 0;
    int result = 0;

    setup->conf = conf;
    conf->keep = keep_of(conf);
    if (!conf->room_name || !conf->nick_name) {
        const char *key = conf->room_name ? "nick_name" : "room_name";
        struct lnt_origin at = lnt_section_origin(section, &chat_set, key);
        lnt_report_add(setup->report, at.file, at.line,
                       "%s must not be empty; ^.+$ allows every name", key);
        return -1;
    }
    for (section = lnt_section_find(setup->sections, "room"); section;
         section = lnt_section_find(section->next, "room"))
        n++;
    rooms = lnt_arena_alloc(setup->arena, (n ? n : 1) * sizeof(*rooms));
    conf->rooms = rooms;
    for (section = lnt_section_find(setup->sections, "room"); section;
         section = lnt_section_find(section->next, "room")) {
        const struct room_section *data = lnt_section_data(section, &room_set);

        if (check_room(setup, conf, section) < 0) {
            result = -1;
            continue;
        }
        rooms[conf->nrooms++] = (struct chat_room){
            .name = section->name,
            .topic = data->topic ? data->topic : "",
            .slow_mode = data->slow_mode,
        };
    }
    qsort(rooms, conf->nrooms, sizeof(*rooms), compare_rooms);
    if (chat_plan(setup, conf, origin_of_history(setup, conf)) < 0)
        result = -1;
    return result;
}

const struct chat_room *
chat_room_conf(const struct chat_conf *conf, const char *name)
{
    struct chat_room key = {.name = name};

    if (conf->nrooms == 0)
        return NULL;
    return bsearch(&key, conf->rooms, conf->nrooms, sizeof(key), compare_rooms);
}

const char *
chat_topic(const struct chat_conf *conf, const char *name)
{
    const struct chat_room *room = chat_room_conf(conf, name);

    return room ? room->topic : "";
}
