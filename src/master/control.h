/*
 * The control socket: a unix stream socket in run_dir, mode 0660.  A client
 * sends one line, a JSON array of the words of a command, and gets one line
 * back: {"ok":true|false,"text":"..."}; then the connection is closed.  When
 * there are too many, connections without a command are closed first.
 */
#ifndef LNT_MASTER_CONTROL_H
#define LNT_MASTER_CONTROL_H

#include <stdbool.h>

struct lnt_control;
struct lnt_master;

/* Listens beside path, under a temporary name.  NULL with errno. */
struct lnt_control *lnt_control_open(struct lnt_master *m, const char *path);
/* Moves it to path, once: from now on commands come here.  0, or -1 with
   errno. */
int lnt_control_publish(struct lnt_control *c);
/* Whether the socket at path is ours. */
bool lnt_control_is_there(const struct lnt_control *c);
/* The same again when it is not, because the file was removed, or another
   process has taken path and is gone.  Connections stay.  0, or -1 with errno;
   the old one is kept then. */
int lnt_control_retake(struct lnt_control *c);
/* Stops listening and removes the file (unless it is another's by now);
   answers under way are still given. */
void lnt_control_close(struct lnt_control *c, bool remove);
/* Nothing waits for the workers any more: connections that have no answer yet
   get one, and all answers are sent, within a second.  NULL is fine. */
void lnt_control_finish(struct lnt_control *c);
/* Ends all connections; frees.  NULL is fine. */
void lnt_control_free(struct lnt_control *c);

#endif
