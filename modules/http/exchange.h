/*
 * What the files of this module share: the state of a connection, of a worker,
 * and of the one request that is being answered.  Nothing for handlers.
 */
#ifndef LNT_HTTP_EXCHANGE_H
#define LNT_HTTP_EXCHANGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/strbuf.h"
#include "modules/http/access_format.h"
#include "modules/http/date.h"
#include "modules/http/head.h"
#include "modules/http/http.h"

struct lnt_http_access;
struct lnt_http_upgraded;
struct lnt_http_packer;
struct lnt_http_entry;
struct lnt_http_later;
struct lnt_http_pending;
struct lnt_http_table;
struct lnt_http_transfer;

/* The module's configuration. */
struct lnt_http_conf {
    struct lnt_http_head_limits limits;
    uint64_t body_timeout; /* ms */
    uint64_t gzip_min;     /* bytes */
    uint64_t later_max;    /* ms that an answer is put off, at most */
    uint32_t requests_max; /* a connection; 0 no limit */
    const struct lnt_http_table *tables;
    struct lnt_http_access_format text, json; /* [log] format says which */
};

enum {                          /* lnt_http_conn.flags */
       LNT_HTTP_F_BLANK = 1,    /* the empty line before a request was taken */
       LNT_HTTP_F_TRANSFER = 2, /* busy.transfer, else busy.pending */
       LNT_HTTP_F_CLOSE = 4,    /* the next response is the last */
       LNT_HTTP_F_DONE = 8,     /* that was it; input is dropped */
       LNT_HTTP_F_HELD = 16,  /* there is input, for when the queue is empty */
       LNT_HTTP_F_LATER = 32, /* busy.later */
       LNT_HTTP_F_ANSWERING = 64, /* that was resumed, not yet answered */
       LNT_HTTP_F_ENDING = 128,   /* nothing more is put off */
       LNT_HTTP_F_ASKED = 256,    /* there may be an admission for an upgrade */
};

/* All that an idle keep-alive connection costs here. */
struct lnt_http_conn {
    const struct lnt_http_table *table; /* NULL: no routes */
    union {
        struct lnt_http_pending *pending;   /* a request not yet whole */
        struct lnt_http_transfer *transfer; /* a response not yet out */
        struct lnt_http_later *later;       /* a request put off */
    } busy;
    uint32_t requests;
    uint16_t flags;
};

/* A request being answered; there is one a worker. */
struct lnt_http_exchange {
    struct lnt_http_request r; /* first: handlers give it back to us */
    struct lnt_http_framing framing;
    struct lnt_http_conn *conn;
    struct lnt_http_worker *worker;
    uint64_t begun;                     /* when its first byte came */
    const struct lnt_http_entry *entry; /* that is asked */
    struct lnt_str head;                /* its bytes */
    int status;                         /* of the answer */
    bool answered;
    bool handed;   /* another worker will read it */
    bool upgraded; /* conn is gone */
    bool parked;   /* it is answered later */
    bool late;     /* it was; this is an exchange of its own */
};

struct lnt_http_worker {
    const struct lnt_http_conf *conf;
    struct lnt_http_exchange x;
    struct lnt_http_access *access;     /* NULL: off */
    struct lnt_http_upgraded *upgraded; /* NULL: off */
    struct lnt_http_packer *packer;     /* NULL until it is needed */
    struct lnt_strbuf text;             /* bodies of errors */
    uint64_t date_until;                /* loop time up to which date holds */
    uint32_t date_serial;               /* how often it was made */
    char date[LNT_HTTP_DATE_LEN + 1];
    char *path; /* room for a decoded path: conf->limits.line + 1 */
};

/* begun is now. */
void lnt_http_exchange_begin(struct lnt_http_exchange *x,
                             struct lnt_session *s);

static inline struct lnt_http_exchange *
lnt_http_exchange(struct lnt_http_request *r)
{
    return (struct lnt_http_exchange *)r;
}

#endif
