/*
 * Who may use the API.
 */
#ifndef LNT_CHAT_API_ACCESS_H
#define LNT_CHAT_API_ACCESS_H

#include <stdbool.h>

#include "core/conf.h"
#include "core/str.h"

struct lnt_http_request;

enum lnt_api_access {
    LNT_API_GRANTED,
    LNT_API_NO_TOKEN,  /* one is wanted, and none was given */
    LNT_API_BAD_TOKEN, /* it was not one of ours */
    LNT_API_ELSEWHERE, /* without tokens: not from this machine */
};

/*
 * With tokens the request must have "Authorization: Bearer TOKEN" with one of
 * them.  Without, it must come from this machine and be meant for it: from a
 * unix socket or a loopback address, with a Host that names one, and not
 * through a proxy that tells of itself.
 */
enum lnt_api_access lnt_api_access(const struct lnt_strings *tokens,
                                   const struct lnt_http_request *r);

/* Whether a token can be one: RFC 6750, section 2.1. */
bool lnt_api_is_token(struct lnt_str s);

#endif
