/*
 * What a line of the access log is made of: the value of access_format, read
 * once with the configuration.
 */
#ifndef LNT_HTTP_ACCESS_FORMAT_H
#define LNT_HTTP_ACCESS_FORMAT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/str.h"

struct lnt_arena;
struct lnt_strbuf;

enum lnt_http_var {
    LNT_HTTP_VAR_TEXT,   /* no variable: text as it stands */
    LNT_HTTP_VAR_HEADER, /* of the request; text is its name */
    LNT_HTTP_VAR_REMOTE_ADDR,
    LNT_HTTP_VAR_REMOTE_PORT,
    LNT_HTTP_VAR_REQUEST,
    LNT_HTTP_VAR_METHOD,
    LNT_HTTP_VAR_URI,
    LNT_HTTP_VAR_REQUEST_URI,
    LNT_HTTP_VAR_ARGS,
    LNT_HTTP_VAR_PROTOCOL,
    LNT_HTTP_VAR_VERSION,
    LNT_HTTP_VAR_HOST,
    LNT_HTTP_VAR_AUTHORITY,
    LNT_HTTP_VAR_STATUS,
    LNT_HTTP_VAR_ROUTE,
    LNT_HTTP_VAR_LISTEN,
    LNT_HTTP_VAR_CONNECTION_REQUESTS,
    /* What is only known when the line is written. */
    LNT_HTTP_VAR_LATE,
    LNT_HTTP_VAR_TIME_LOCAL = LNT_HTTP_VAR_LATE,
    LNT_HTTP_VAR_TIME_ISO8601,
    LNT_HTTP_VAR_MSEC,
    LNT_HTTP_VAR_BYTES_SENT,
    LNT_HTTP_VAR_BODY_BYTES_SENT,
    LNT_HTTP_VAR_REQUEST_TIME,
    LNT_HTTP_VAR_WORKER,
    LNT_HTTP_VAR_PID,
    LNT_HTTP_VAR_CONNECTION,
    LNT_HTTP_VARS,
};

struct lnt_http_access_item {
    enum lnt_http_var var;
    struct lnt_str text; /* of TEXT and HEADER */
};

struct lnt_http_access_format {
    bool json; /* values are parts of JSON strings */
    struct lnt_http_access_item *items;
    size_t n;
};

/*
 * Reads text: "combined", "json", "json $a $b ...", or text with variables in
 * it; NULL is the usual line.  With json all of them become objects, with the
 * variables' names as keys.  What f points to is the arena's.  0, or -1 with
 * the reason in why.
 */
int lnt_http_access_compile(struct lnt_arena *a, const char *text, bool json,
                            struct lnt_http_access_format *f,
                            struct lnt_strbuf *why);

#endif
