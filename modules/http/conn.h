/*
 * The protocol: requests out of a connection, one after the other.
 */
#ifndef LNT_HTTP_CONN_H
#define LNT_HTTP_CONN_H

struct lnt_protocol;

extern const struct lnt_protocol lnt_http_protocol;

#endif
