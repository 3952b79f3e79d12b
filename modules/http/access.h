/*
 * The access log: one line a request.
 */
#ifndef LNT_HTTP_ACCESS_H
#define LNT_HTTP_ACCESS_H

#include <stdint.h>

struct lnt_http_access;
struct lnt_http_request;
struct lnt_loop;
struct lnt_server_info;

/* Writes to server->access_fd, as it is at each write. */
struct lnt_http_access *
lnt_http_access_new(struct lnt_loop *loop,
                    const struct lnt_server_info *server);
/* Writes what is left. */
void lnt_http_access_free(struct lnt_http_access *a); /* NULL is fine */

/* Notes a request that was answered with status and a body of n bytes. */
void lnt_http_access_add(struct lnt_http_access *a,
                         const struct lnt_http_request *r, int status,
                         uint64_t n);

#endif
