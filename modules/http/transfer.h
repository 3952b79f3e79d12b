/*
 * Bytes of a response that are too many to be queued at once: read and queued
 * piece by piece, the next when the one before has gone to the kernel.
 */
#ifndef LNT_HTTP_TRANSFER_H
#define LNT_HTTP_TRANSFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct lnt_buf;
struct lnt_http_conn;
struct lnt_http_line;
struct lnt_session;

/* Bytes [offset, offset + left) of fd, or of memory at p when fd is -1 (which
   must stay until the worker ends). */
struct lnt_http_source {
    int fd;
    const char *p;
    uint64_t offset, left;
};

enum { LNT_HTTP_PIECE = 128 * 1024 }; /* bytes queued at a time */

/* Appends what fits into b and moves the source on.  0, or -1 with errno (EIO:
   the file became shorter). */
int lnt_http_source_fill(struct lnt_http_source *s, struct lnt_buf *b);
/* Closes the file, if there is one. */
void lnt_http_source_close(struct lnt_http_source *s);

/*
 * Queues b (a reference is taken over) and after it what source has left
 * (NULL: nothing; its file is owned from here on).  With last the session is
 * finished afterwards.  Input is held while there is more to come.
 */
void lnt_http_transfer(struct lnt_session *s, struct lnt_http_conn *c,
                       struct lnt_buf *b, const struct lnt_http_source *source,
                       bool last);
/* What has been begun is logged when it ends; line is owned from here on. */
void lnt_http_transfer_log(struct lnt_http_conn *c, struct lnt_http_line *line);
/* The queue went empty. */
void lnt_http_transfer_continue(struct lnt_session *s, struct lnt_http_conn *c);
/* The connection ends. */
void lnt_http_transfer_drop(struct lnt_session *s, struct lnt_http_conn *c);

#endif
