/*
 * What the header fields of a request mean for the connection.
 *
 * Framing that two programs could understand differently is refused, never
 * repaired: a second Content-Length even with the same value, a list in one,
 * Transfer-Encoding beside it, any coding but "chunked" alone.
 */
#include "modules/http/head.h"

#include <string.h>

#include "modules/http/http.h"

struct fields {
    struct lnt_http_request *r;
    struct lnt_http_framing *framing;
    struct lnt_http_fault *fault;
    unsigned hosts, lengths, codings;
    bool close, keep;
};

static int
refuse(struct fields *f, int status, const char *message)
{
    lnt_http_bad(f->fault, status, message);
    return -1;
}

/* Next element of a comma-separated list, trimmed; false at the end. */
static bool
next_element(struct lnt_str *list, struct lnt_str *element)
{
    while (list->n > 0) {
        const char *comma = memchr(list->p, ',', list->n);
        size_t n = comma ? (size_t)(comma - list->p) : list->n;
        *element = lnt_str_trim(lnt_str(list->p, n));
        size_t skip = comma ? n + 1 : n;
        list->p += skip;
        list->n -= skip;
        if (element->n > 0)
            return true;
    }
    return false;
}

static int
read_content_length(struct fields *f, struct lnt_str value)
{
    if (f->lengths++ > 0)
        return refuse(f, 400, "more than one Content-Length");
    if (value.n == 0)
        return refuse(f, 400, "Content-Length without a number");
    uint64_t length = 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return refuse(f, 400, "Content-Length is not a number");
        uint64_t digit = (uint64_t)(value.p[i] - '0');
        if (length > (UINT64_MAX - digit) / 10)
            return refuse(f, 400, "Content-Length is out of range");
        length = length * 10 + digit;
    }
    f->framing->length = length;
    return 0;
}

static int
read_transfer_encoding(struct fields *f, struct lnt_str value)
{
    struct lnt_str coding;
    bool any = false;
    while (next_element(&value, &coding)) {
        any = true;
        if (f->framing->chunked)
            return refuse(f, 400, "chunked is not the last transfer coding");
        if (!lnt_str_ieq(coding, LNT_STR("chunked")))
            return refuse(f, 501, "no transfer coding but chunked is known");
        f->framing->chunked = true;
    }
    f->codings++;
    return any ? 0 : refuse(f, 400, "Transfer-Encoding without a coding");
}

static void
read_connection(struct fields *f, struct lnt_str value)
{
    struct lnt_str option;
    while (next_element(&value, &option)) {
        if (lnt_str_ieq(option, LNT_STR("close")))
            f->close = true;
        else if (lnt_str_ieq(option, LNT_STR("keep-alive")))
            f->keep = true;
    }
}

static int
read_expect(struct fields *f, struct lnt_str value)
{
    if (f->r->version == 10)
        return 0;
    if (!lnt_str_ieq(value, LNT_STR("100-continue")))
        return refuse(f, 417, "no expectation but 100-continue is known");
    f->framing->expects = true;
    return 0;
}

static int
read_host(struct fields *f, struct lnt_str value)
{
    if (f->hosts++ > 0)
        return refuse(f, 400, "more than one Host");
    if (!lnt_http_host_valid(value.p, value.n))
        return refuse(f, 400, "Host is not a host name with a port");
    f->r->host = value;
    return 0;
}

static int
read_field(struct fields *f, const struct lnt_http_header *h)
{
    switch (h->name.n) {
    case 4:
        if (strncasecmp(h->name.p, "host", 4) == 0)
            return read_host(f, h->value);
        break;
    case 6:
        if (strncasecmp(h->name.p, "expect", 6) == 0)
            return read_expect(f, h->value);
        break;
    case 10:
        if (strncasecmp(h->name.p, "connection", 10) == 0)
            read_connection(f, h->value);
        break;
    case 14:
        if (strncasecmp(h->name.p, "content-length", 14) == 0)
            return read_content_length(f, h->value);
        break;
    case 17:
        if (strncasecmp(h->name.p, "transfer-encoding", 17) == 0)
            return read_transfer_encoding(f, h->value);
        break;
    default:
        break;
    }
    return 0;
}

int
lnt_http_read_fields(struct lnt_http_request *r,
                     struct lnt_http_framing *framing,
                     struct lnt_http_fault *fault)
{
    struct fields f = {.r = r, .framing = framing, .fault = fault};
    memset(framing, 0, sizeof(*framing));
    r->host = lnt_str("", 0);
    r->keep_alive = false;
    for (size_t i = 0; i < r->nheaders; i++)
        if (read_field(&f, &r->headers[i]) < 0)
            return -1;
    if (f.hosts == 0 && r->version == 11)
        return refuse(&f, 400, "HTTP/1.1 requests need a Host");
    if (f.codings > 0 && f.lengths > 0)
        return refuse(&f, 400, "both Transfer-Encoding and Content-Length");
    if (f.codings > 0 && r->version == 10)
        return refuse(&f, 400, "Transfer-Encoding in an HTTP/1.0 request");
    r->keep_alive = !f.close && (r->version == 11 || f.keep);
    if (!lnt_http_has_body(framing))
        framing->expects = false;
    return 0;
}

static bool
name_char(char c)
{
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
        (c >= '0' && c <= '9'))
        return true;
    return c != '\0' && strchr("-._~!$&'()*+,;=%", c) != NULL;
}

/* [::1], [fe80::1] ...: exact form is of no interest, the alphabet is. */
static size_t
literal_length(const char *p, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        if (p[i] == ']')
            return i > 1 ? i + 1 : 0;
        if (p[i] != ':' && !name_char(p[i]))
            return 0;
    }
    return 0;
}

bool
lnt_http_host_valid(const char *p, size_t n)
{
    size_t i = 0;
    if (n > 0 && p[0] == '[') {
        i = literal_length(p, n);
        if (i == 0)
            return false;
    } else {
        while (i < n && name_char(p[i]))
            i++;
    }
    if (i == n)
        return true;
    if (p[i] != ':' || i == 0)
        return false;
    for (i++; i < n; i++)
        if (p[i] < '0' || p[i] > '9')
            return false;
    return true;
}
