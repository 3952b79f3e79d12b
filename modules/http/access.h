/*
 * The access log: one line a request, when its answer is out.
 */
#ifndef LNT_HTTP_ACCESS_H
#define LNT_HTTP_ACCESS_H

#include <stdint.h>

#include "core/str.h"

struct lnt_http_access;
struct lnt_http_access_format;
struct lnt_http_exchange;
struct lnt_http_line;
struct lnt_loop;
struct lnt_server_info;
struct lnt_session;
struct lnt_stats;
struct lnt_strbuf;

/* Writes to server->access_fd. */
struct lnt_http_access *
lnt_http_access_new(struct lnt_loop *loop, const struct lnt_server_info *server,
                    const struct lnt_http_access_format *format,
                    struct lnt_stats *stats);
/* server->access_fd was opened again: what is held goes to the new file. */
void lnt_http_access_reopen(struct lnt_http_access *a); /* NULL is fine */
/* Writes what is left. */
void lnt_http_access_free(struct lnt_http_access *a); /* NULL is fine */

/* Notes a request whose answer of that many bytes, head of it head, is queued
   whole. */
void lnt_http_access_add(struct lnt_http_access *a,
                         const struct lnt_http_exchange *x, int status,
                         uint64_t bytes, uint64_t head);

/*
 * The same for an answer of which only the beginning is there; base is what
 * lnt_http_access_base said before any of it was queued.  The line is the
 * caller's until it is given to end, which tells what was sent since and more
 * bytes that will be, or to drop.
 */
uint64_t lnt_http_access_base(const struct lnt_session *s);
struct lnt_http_line *lnt_http_access_begin(struct lnt_http_access *a,
                                            const struct lnt_http_exchange *x,
                                            int status, uint64_t base,
                                            uint64_t head);
/* NULL for a: is dropped. */
void lnt_http_access_end(struct lnt_http_access *a, const struct lnt_session *s,
                         struct lnt_http_line *line, uint64_t more);
void lnt_http_access_drop(struct lnt_http_line *line); /* NULL is fine */

/* For a session that moves, and has moved.  NULL: these bytes are no line. */
void lnt_http_access_pack(const struct lnt_http_line *line,
                          const struct lnt_session *s, struct lnt_strbuf *out);
struct lnt_http_line *lnt_http_access_unpack(struct lnt_str bytes,
                                             const struct lnt_session *s);

#endif
