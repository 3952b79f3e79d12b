/*
 * What each command of linnet ctl does.
 */
#ifndef LNT_MASTER_COMMANDS_H
#define LNT_MASTER_COMMANDS_H

#include <stddef.h>

#include "ctl/commands.h"

struct lnt_master;
struct lnt_waiter;

/* Its words are right in number; the waiter hears the answer, now or later. */
void lnt_commands_run(struct lnt_master *m, enum lnt_command command,
                      const char *const *words, size_t n, struct lnt_waiter *w);

#endif
