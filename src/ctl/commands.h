/*
 * The commands of linnet ctl: their words, known to both ends of the control
 * socket.
 */
#ifndef LNT_CTL_COMMANDS_H
#define LNT_CTL_COMMANDS_H

#include <stddef.h>

struct lnt_strbuf;

enum lnt_command {
    LNT_COMMAND_STATUS,
    LNT_COMMAND_RELOAD,
    LNT_COMMAND_REOPEN,
    LNT_COMMAND_QUIT,
    LNT_COMMAND_STOP,
    LNT_COMMAND_UPGRADE,
    LNT_COMMAND_BROADCAST,
    LNT_COMMAND_LOG_LEVEL,
    LNT_COMMAND_ROOMS,
    LNT_COMMAND_CONNS,
    LNT_COMMAND_KICK,
    LNT_COMMAND_PUBLISH,
    LNT_COMMAND_GET,
    LNT_COMMAND_SET,
    LNT_COMMAND_UNSET,
    LNT_COMMAND_VALUES,
    LNT_COMMAND_ZONE,
    LNT_COMMAND_WORKERS,
    LNT_COMMAND_DRAIN,
    LNT_COMMANDS
};

/* The command that the n words are; -1 with why: unknown (and what is near),
   or used wrongly (and how it is used). */
int lnt_command_find(const char *const *words, size_t n,
                     struct lnt_strbuf *why);

#endif
