/*
 * HTTP for handlers: what a [route] with "handler = NAME", or a protocol that
 * begins as an HTTP request (websocket), sees of a request, and how it
 * answers.  RFC 9110, RFC 9112.
 */
#ifndef LNT_HTTP_H
#define LNT_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"
#include "net/session.h"

struct lnt_endpoint;
struct lnt_http_later;
struct lnt_module_setup;
struct lnt_regexes;
struct lnt_section;
struct lnt_strbuf;

enum { LNT_HTTP_HEADERS_MAX = 100 };

enum lnt_http_method {
    LNT_HTTP_GET,
    LNT_HTTP_HEAD,
    LNT_HTTP_POST,
    LNT_HTTP_PUT,
    LNT_HTTP_DELETE,
    LNT_HTTP_OPTIONS,
    LNT_HTTP_PATCH,
    LNT_HTTP_OTHER,
};

struct lnt_http_header {
    struct lnt_str name, value; /* value without blanks around it */
};

/* A request whose head is complete.  Valid during handle() only; slices point
   into the input. */
struct lnt_http_request {
    struct lnt_session *session;
    const struct lnt_http_route *route;
    enum lnt_http_method method;
    struct lnt_str method_text;
    struct lnt_str target; /* as sent */
    struct lnt_str path;   /* percent-decoded, normalised, starts with / */
    struct lnt_str rest;   /* of path behind the route's path; no leading / */
    struct lnt_str query;  /* behind ?, as sent; p NULL when there is none */
    struct lnt_str host;   /* of Host or of an absolute target */
    int version;           /* 10 or 11 */
    bool keep_alive;
    struct lnt_http_header headers[LNT_HTTP_HEADERS_MAX];
    size_t nheaders;
    struct lnt_str body; /* whole; only for handlers with body_max > 0 */
    struct lnt_str captures[16]; /* of the route's pattern */
    size_t ncaptures;
};

/* One route as configured; conf is what prepare() returned. */
struct lnt_http_route {
    const char *path;        /* NULL for a pattern */
    struct lnt_regex *match; /* NULL for a path */
    const struct lnt_module *module;
    const struct lnt_http_handler *handler;
    const struct lnt_endpoint *endpoint; /* for upgrades; else NULL */
    const struct lnt_section *section;
    bool gzip;                         /* as the section says */
    const struct lnt_regexes *origins; /* as configured; NULL: none */
    const void *conf;
};

/* Why a request that was put off must be answered at once. */
enum lnt_http_due {
    LNT_HTTP_DUE_DEADLINE,
    LNT_HTTP_DUE_MOVE, /* its connection is to move, and it cannot */
    LNT_HTTP_DUE_END,  /* the worker drains, or the session is to end */
};

struct lnt_http_handler {
    size_t body_max;      /* bytes of request body taken; 0: bodies are
                               refused with 413 */
    const char *allow;    /* methods, "GET, HEAD"; others are answered 405 */
    const char *upgrades; /* is named by protocol =, not by handler =; what it
                             is to people ("a WebSocket"); NULL: it is not */
    bool json; /* for programs: errors are JSON, whatever they accept */
    /* While the configuration is built: checks the route's own keys; *conf is
       given back in route->conf.  0, or -1 with problems in the report. */
    int (*prepare)(struct lnt_module_setup *setup,
                   const struct lnt_section *route, const void **conf);
    /* Must answer with exactly one of the functions below, or put the answer
       off with lnt_http_park, or leave it to another worker with
       lnt_http_hand_over. */
    lnt_verdict (*handle)(struct lnt_module_ctx *m, struct lnt_http_request *r);
    /*
     * For handlers that call lnt_http_park.  due: answer it now (resume it, and
     * answer before this returns).  gone: nobody is there any more, or
     * (lnt_session_moved) it goes on in another process; forget it.
     */
    void (*due)(struct lnt_module_ctx *m, struct lnt_http_later *l,
                enum lnt_http_due why);
    void (*gone)(struct lnt_module_ctx *m, struct lnt_http_later *l);
    /* May be NULL: then what is parked is due when its connection would move.
       As of protocols (net/module.h); thaw keeps its data with
       lnt_http_later_keep. */
    int (*freeze)(struct lnt_module_ctx *m, struct lnt_http_later *l,
                  struct lnt_strbuf *out);
    int (*thaw)(struct lnt_module_ctx *m, struct lnt_http_later *l,
                struct lnt_str state);
};

/* First header of that name (case folded) or an empty slice with p NULL. */
struct lnt_str lnt_http_header_get(const struct lnt_http_request *r,
                                   const char *name);
/* Number of headers of that name. */
size_t lnt_http_header_count(const struct lnt_http_request *r,
                             const char *name);
/* Whether a comma-separated header (any occurrence) has token, case folded. */
bool lnt_http_header_has(const struct lnt_http_request *r, const char *name,
                         const char *token);

/* Whether gzip is named in Accept-Encoding, with a weight that is not 0 and
   not below identity's.  RFC 9110 section 12.5.3. */
bool lnt_http_takes_gzip(const struct lnt_http_request *r);

/*
 * Answers with status; headers is a text of whole lines each ending in CRLF,
 * or NULL.  Content-Length, Date, Server and Connection are added.  The body
 * is left out for HEAD, 204 and 304 (its length is still told where the RFC
 * wants it).  Copies what it needs.  A 200 of text is compressed for clients
 * that take it, from gzip_min bytes on, unless the route says gzip = off or
 * the headers have one of ETag, Vary, Content-Encoding, Content-Range.
 */
lnt_verdict lnt_http_respond(struct lnt_http_request *r, int status,
                             const char *content_type, const char *headers,
                             struct lnt_str body);
/* A short JSON error body {"error":{"code":..,"message":..}} or plain text,
   as the client accepts; headers as above. */
lnt_verdict lnt_http_error(struct lnt_http_request *r, int status,
                           const char *headers, const char *message);
/* The same as respond, but the body is bytes [offset, offset + n) of fd, sent
   piece by piece as the client takes them; fd is owned from here on. */
lnt_verdict lnt_http_respond_file(struct lnt_http_request *r, int status,
                                  const char *content_type, const char *headers,
                                  int fd, uint64_t offset, uint64_t n);
/* The same for a body that stays where it is as long as the worker lives. */
lnt_verdict lnt_http_respond_static(struct lnt_http_request *r, int status,
                                    const char *content_type,
                                    const char *headers, struct lnt_str body);

/*
 * An answer that is given again and again: head and body are made once, only
 * the date is put in.  One a worker (not shared between processes).  The texts
 * are copied, and so are bodies of up to LNT_HTTP_COPY_MAX bytes; larger ones
 * must stay where they are as long as the worker lives.
 */
enum { LNT_HTTP_COPY_MAX = 64 * 1024 };
struct lnt_http_prepared;
struct lnt_http_prepared *lnt_http_prepare(int status, const char *content_type,
                                           const char *headers,
                                           struct lnt_str body);
void lnt_http_prepared_free(struct lnt_http_prepared *p); /* NULL is fine */
lnt_verdict lnt_http_respond_prepared(struct lnt_http_request *r,
                                      struct lnt_http_prepared *p);

/*
 * Leaves the request to another worker, the one that has the session of that
 * name or, without a name, that one (net/handover.h): the connection moves
 * there, and the request is read there again as it came.  Its next requests
 * come there, too.  0, or -1 with errno, to be answered here: as
 * lnt_session_hand_over (EALREADY, the other worker did not take this request);
 * or ENOTSUP, the request was put off and resumed, and its body is gone.
 */
int lnt_http_hand_over(struct lnt_http_request *r, uint64_t worker,
                       struct lnt_str name);

/* 101: writes head (whole, with the empty line) and turns the session into
   one of route->endpoint. */
lnt_verdict lnt_http_upgrade(struct lnt_http_request *r, struct lnt_str head);

/*
 * Puts the answer off, from handle(), for ms at most and not longer than [http]
 * later_timeout; handle() returns LNT_GO_ON then.  r is valid until handle()
 * returns, as always.  What this returns is valid until exactly one of three
 * things happens: lnt_http_resume, due() (which resumes it) or gone().
 * Meanwhile the client's next requests wait unread.  A client that shuts its
 * side counts as gone.
 */
struct lnt_http_later *lnt_http_park(struct lnt_http_request *r, uint64_t ms,
                                     void *data);
void *lnt_http_later_data(const struct lnt_http_later *l);
void lnt_http_later_keep(struct lnt_http_later *l, void *data);
struct lnt_session *lnt_http_later_session(const struct lnt_http_later *l);
/*
 * The request again, without its body, to be answered at once with one of the
 * functions above; from any callback, also while another request is in hand.  It
 * is valid until control returns to the loop.  Upgrades and streams work, too,
 * but not from where an application is told of events: they open one.
 */
struct lnt_http_request *lnt_http_resume(struct lnt_http_later *l);

/*
 * For the protocol that the session has become, for the access log: to be
 * called from its close(); and by its freeze() and thaw(), to let travel along
 * what is known of the request (appends nothing when nothing is logged; -1
 * when state is not what freeze told).
 */
void lnt_http_upgrade_ended(struct lnt_session *s);
void lnt_http_upgrade_freeze(struct lnt_session *s, struct lnt_strbuf *out);
int lnt_http_upgrade_thaw(struct lnt_session *s, struct lnt_str state);

/*
 * 200 with a body that ends with the connection, which from here on is one of
 * route->endpoint: what that writes is the body.  headers as above.
 */
lnt_verdict lnt_http_stream(struct lnt_http_request *r,
                            const char *content_type, const char *headers);

/*
 * Before an upgrade or a stream: whether the application of route->endpoint
 * lets in whom the request is of, by its headers Authorization and Cookie and
 * its query.  false: it was answered (401 when there is none of these, else
 * 403; headers as above), and *v is to be returned.  waits: also true when the
 * application is going to answer later; lnt_session_ready waits for it then.
 * To be called before the request is put off, or when it was resumed, or both:
 * the application is asked once.
 */
bool lnt_http_admit(struct lnt_http_request *r, bool waits, const char *headers,
                    lnt_verdict *v);

/*
 * Whether a page from origin may use a route: when a pattern matches the origin
 * in lower case, or, without patterns (or NULL), when it comes from the host
 * (and port) that the request is for.
 */
bool lnt_http_origin_allowed(const struct lnt_regexes *patterns,
                             struct lnt_str origin, struct lnt_str host);
/* Whether the request has no Origin, or one that may use its route. */
bool lnt_http_origin_fits(const struct lnt_http_request *r);

const char *lnt_http_reason(int status);

#endif
