/*
 * The operator's side of the control socket.
 */
#ifndef LNT_CTL_CTL_H
#define LNT_CTL_CTL_H

#include <stddef.h>

/*
 * Sends the n words to the server whose control socket is at path, waits for
 * the answer and prints it: to stdout, or to stderr when it is a refusal.
 * Returns the exit status: 0 done, 1 refused or no server, 2 no such command.
 */
int lnt_ctl_run(const char *path, char *const *words, size_t n);

#endif
