/*
 * The head of a request, from bytes to slices: request line and header lines,
 * RFC 9112 sections 2 to 5, strictly.  What the fields mean is head.h's.
 */
#ifndef LNT_HTTP_PARSE_H
#define LNT_HTTP_PARSE_H

#include <stddef.h>
#include <stdint.h>

struct lnt_http_request;

enum lnt_http_parse { LNT_HTTP_DONE, LNT_HTTP_MORE, LNT_HTTP_BAD };

/* Why a request is refused: a status and a static text for its sender. */
struct lnt_http_fault {
    int status;
    const char *message;
};

struct lnt_http_head_limits {
    uint32_t line;    /* bytes of the request line, without CRLF: else 414 */
    uint32_t head;    /* bytes of the whole head: else 431 */
    uint32_t headers; /* how many, at most LNT_HTTP_HEADERS_MAX: else 431 */
};

/* How far a head that comes in pieces was read.  Zeroed at its start. */
struct lnt_http_parser {
    uint32_t line;  /* where the first unfinished line begins */
    uint32_t seen;  /* bytes looked at */
    uint32_t lines; /* finished lines */
};

/*
 * Reads a head at p.  With MORE, to be called again with the same bytes and
 * more behind them (they may have moved); the cost of all calls together is
 * linear in the size of the head.  With DONE, method, method_text, target,
 * version, headers and nheaders of r are set, pointing into p, and *size is
 * what the head takes.  With BAD, *fault is set, and of r what was read so
 * far: only a closed connection can follow.
 */
enum lnt_http_parse
lnt_http_parse_head(struct lnt_http_parser *ps,
                    const struct lnt_http_head_limits *limits, const char *p,
                    size_t n, struct lnt_http_request *r, size_t *size,
                    struct lnt_http_fault *fault);

enum lnt_http_parse lnt_http_bad(struct lnt_http_fault *fault, int status,
                                 const char *message);

/* Characters of a token (1 each), RFC 9110 section 5.6.2. */
extern const uint8_t lnt_http_token_chars[256];

#endif
