/*
 * The table of commands.
 */
#include "ctl/commands.h"

#include <string.h>

#include "core/str.h"
#include "core/strbuf.h"

static const struct {
    const char *name, *usage;
    size_t min, max; /* words, the name included */
} table[LNT_COMMANDS] = {
    [LNT_COMMAND_STATUS] = {"status", "status [--json]", 1, 2},
    [LNT_COMMAND_RELOAD] = {"reload", "reload", 1, 1},
    [LNT_COMMAND_REOPEN] = {"reopen", "reopen", 1, 1},
    [LNT_COMMAND_QUIT] = {"quit", "quit", 1, 1},
    [LNT_COMMAND_STOP] = {"stop", "stop", 1, 1},
    [LNT_COMMAND_UPGRADE] = {"upgrade", "upgrade [--new-zone]", 1, 2},
    [LNT_COMMAND_BROADCAST] = {"broadcast", "broadcast TEXT", 2, 2},
    [LNT_COMMAND_LOG_LEVEL] = {"log-level",
                               "log-level debug|info|notice|warn|error|alert",
                               2, 2},
    [LNT_COMMAND_ROOMS] = {"rooms", "rooms", 1, 1},
    [LNT_COMMAND_CONNS] = {"conns", "conns", 1, 1},
    [LNT_COMMAND_KICK] = {"kick", "kick ID", 2, 2},
    [LNT_COMMAND_PUBLISH] = {"publish", "publish ROOM TEXT", 3, 3},
    [LNT_COMMAND_GET] = {"get", "get KEY", 2, 2},
    [LNT_COMMAND_SET] = {"set", "set KEY VALUE", 3, 3},
    [LNT_COMMAND_UNSET] = {"unset", "unset KEY", 2, 2},
    [LNT_COMMAND_VALUES] = {"values", "values", 1, 1},
    [LNT_COMMAND_ZONE] = {"zone", "zone", 1, 1},
    [LNT_COMMAND_WORKERS] = {"workers", "workers N", 2, 2},
    [LNT_COMMAND_DRAIN] = {"drain", "drain SLOT", 2, 2},
};

/* The only word that may follow those. */
static const char *const options[LNT_COMMANDS] = {
    [LNT_COMMAND_STATUS] = "--json",
    [LNT_COMMAND_UPGRADE] = "--new-zone",
};

static void
say_unknown(const char *word, struct lnt_strbuf *why)
{
    const char *names[LNT_COMMANDS + 1];
    for (size_t i = 0; i < LNT_COMMANDS; i++)
        names[i] = table[i].name;
    names[LNT_COMMANDS] = NULL;
    const char *near = lnt_str_nearest(word, names);
    lnt_strbuf_addf(why, "unknown command \"%s\"", word);
    if (near)
        lnt_strbuf_addf(why, "; did you mean \"%s\"?", near);
    else
        for (size_t i = 0; i < LNT_COMMANDS; i++)
            lnt_strbuf_addf(why, "%s%s", i ? ", " : "; known: ", names[i]);
}

int
lnt_command_find(const char *const *words, size_t n, struct lnt_strbuf *why)
{
    for (int i = 0; i < LNT_COMMANDS; i++) {
        if (strcmp(words[0], table[i].name) != 0)
            continue;
        if (n < table[i].min || n > table[i].max)
            break;
        if (options[i] && n == 2 && strcmp(words[1], options[i]) != 0)
            break;
        return i;
    }
    for (int i = 0; i < LNT_COMMANDS; i++) {
        if (strcmp(words[0], table[i].name) != 0)
            continue;
        lnt_strbuf_addf(why, "usage: linnet ctl %s", table[i].usage);
        return -1;
    }
    say_unknown(words[0], why);
    return -1;
}
