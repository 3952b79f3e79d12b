/*
 * Reasons: texts of one or more lines that say why something failed, on their
 * way to a log, to another process or to an operator.
 */
#ifndef LNT_IPC_REASONS_H
#define LNT_IPC_REASONS_H

#include <stdbool.h>

#include "core/str.h"

struct lnt_strbuf;

/* Bytes of one reason.  What is longer is cut at the end of a line. */
enum { LNT_REASON_MAX = 8192 };

/* One line at level error for each line of the text, each behind "head: ". */
void lnt_reason_log(const char *head, const char *text);
/* Adds the text without line breaks at its end, cut, and printable. */
void lnt_reason_add(struct lnt_strbuf *out, struct lnt_str text);
/* What went wrong between this process and a worker, in plain words. */
const char *lnt_reason_of_send(int error);
/* Whether that was: the other process has ended, or is about to. */
bool lnt_reason_is_gone(int error);

#endif
