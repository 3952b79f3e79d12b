/*
 * Socket addresses as users write them and as logs show them.  Numeric only:
 * a name server that does not answer must not keep a server from starting.
 * Opening sockets on them is left to socket.c.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "os/socket.h"

static const char expected[] =
    "expected host:port, port, [v6]:port or unix:path (numeric hosts, "
    "localhost or *)";

static bool takes_both(const struct lnt_addr *a);
static bool is_any(const struct lnt_addr *a);
static in_port_t port_of(const struct lnt_addr *a);
static bool same_but_scope(const struct lnt_addr *a, const struct lnt_addr *b);
static int stat_folder(const char *path, struct stat *st);
static int parse_unix(struct lnt_addr *a, const char *path, const char **why);
static int parse_port(const char *text, in_port_t *port, const char **why);
static int parse_v6(struct lnt_addr *a, const char *host, in_port_t port,
                    const char **why);
static void set_v4(struct lnt_addr *a, struct in_addr ip, in_port_t port);
static void set_v6(struct lnt_addr *a, const struct in6_addr *ip,
                   in_port_t port, uint32_t scope);

int
lnt_addr_parse(struct lnt_addr *a, const char *text, const char **why)
{
    char host[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
    struct in_addr v4;
    in_port_t port;

    memset(a, 0, sizeof(*a));
    if (strncmp(text, "unix:", 5) == 0)
        return parse_unix(a, text + 5, why);

    const char *colon = strrchr(text, ':');
    if (parse_port(colon ? colon + 1 : text, &port, why) < 0)
        return -1;
    if (!colon) {
        set_v6(a, &in6addr_any, port, 0);
        a->both = true;
        return 0;
    }
    size_t n = (size_t)(colon - text);
    if (n == 0 || n >= sizeof(host)) {
        *why = expected;
        return -1;
    }
    memcpy(host, text, n);
    host[n] = '\0';

    if (host[0] == '[' && host[n - 1] == ']') {
        host[n - 1] = '\0';
        return parse_v6(a, host + 1, port, why);
    }
    if (strcmp(host, "*") == 0) {
        set_v6(a, &in6addr_any, port, 0);
        a->both = true;
        return 0;
    }
    if (strcmp(host, "localhost") == 0) {
        v4.s_addr = htonl(INADDR_LOOPBACK);
        set_v4(a, v4, port);
        return 0;
    }
    if (inet_pton(AF_INET, host, &v4) == 1) {
        set_v4(a, v4, port);
        return 0;
    }
    *why = strchr(host, ':') ? "an IPv6 address stands in brackets: [::1]:8080"
                             : expected;
    return -1;
}

const char *
lnt_addr_format(const struct lnt_addr *a, char *out, size_t size)
{
    char ip[INET6_ADDRSTRLEN];
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un un;
    const size_t head = offsetof(struct sockaddr_un, sun_path);

    switch (a->len ? a->ss.ss_family : AF_UNSPEC) {
    case AF_INET:
        memcpy(&v4, &a->ss, sizeof(v4));
        inet_ntop(AF_INET, &v4.sin_addr, ip, sizeof(ip));
        snprintf(out, size, "%s:%u", ip, ntohs(v4.sin_port));
        break;
    case AF_INET6:
        memcpy(&v6, &a->ss, sizeof(v6));
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) {
            inet_ntop(AF_INET, v6.sin6_addr.s6_addr + 12, ip, sizeof(ip));
            snprintf(out, size, "%s:%u", ip, ntohs(v6.sin6_port));
            break;
        }
        inet_ntop(AF_INET6, &v6.sin6_addr, ip, sizeof(ip));
        if (takes_both(a))
            snprintf(out, size, "*:%u", ntohs(v6.sin6_port));
        else if (v6.sin6_scope_id)
            snprintf(out, size, "[%s%%%u]:%u", ip, v6.sin6_scope_id,
                     ntohs(v6.sin6_port));
        else
            snprintf(out, size, "[%s]:%u", ip, ntohs(v6.sin6_port));
        break;
    case AF_UNIX:
        /* A client's end has no name; the kernel need not end a name that
           fills sun_path with NUL. */
        memset(&un, 0, sizeof(un));
        memcpy(&un, &a->ss, sizeof(un));
        snprintf(out, size, "unix:%.*s",
                 (int)(a->len > head ? strnlen(un.sun_path, a->len - head) : 0),
                 un.sun_path);
        break;
    default:
        snprintf(out, size, "-");
        break;
    }
    return out;
}

bool
lnt_addr_equal(const struct lnt_addr *a, const struct lnt_addr *b)
{
    if (!a->len || !b->len)
        return !a->len && !b->len;
    if (a->ss.ss_family != b->ss.ss_family)
        return false;
    if (a->ss.ss_family == AF_INET) {
        struct sockaddr_in x, y;

        memcpy(&x, &a->ss, sizeof(x));
        memcpy(&y, &b->ss, sizeof(y));
        return x.sin_port == y.sin_port &&
               x.sin_addr.s_addr == y.sin_addr.s_addr;
    }
    if (a->ss.ss_family == AF_INET6) {
        struct sockaddr_in6 x, y;

        memcpy(&x, &a->ss, sizeof(x));
        memcpy(&y, &b->ss, sizeof(y));
        return x.sin6_port == y.sin6_port &&
               x.sin6_scope_id == y.sin6_scope_id &&
               takes_both(a) == takes_both(b) &&
               memcmp(&x.sin6_addr, &y.sin6_addr, sizeof(x.sin6_addr)) == 0;
    }
    /* unix: as text, because a length may count the NUL or not */
    char x[LNT_ADDR_TEXT], y[LNT_ADDR_TEXT];
    return strcmp(lnt_addr_format(a, x, sizeof(x)),
                  lnt_addr_format(b, y, sizeof(y))) == 0;
}

bool
lnt_addr_overlaps(const struct lnt_addr *a, const struct lnt_addr *b)
{
    if (lnt_addr_equal(a, b))
        return true;
    if (!a->len || !b->len)
        return false;
    if (lnt_addr_is_unix(a) || lnt_addr_is_unix(b)) {
        struct sockaddr_un x, y;

        if (!lnt_addr_is_unix(a) || !lnt_addr_is_unix(b))
            return false;
        memcpy(&x, &a->ss, sizeof(x));
        memcpy(&y, &b->ss, sizeof(y));
        return lnt_path_same(x.sun_path, y.sun_path);
    }
    if (port_of(a) != port_of(b))
        return false;
    if (takes_both(a) || takes_both(b))
        return true;
    /* What remains is of one family each, and equal addresses were found. */
    return a->ss.ss_family == b->ss.ss_family &&
           (is_any(a) || is_any(b) || same_but_scope(a, b));
}

bool
lnt_path_same(const char *a, const char *b)
{
    const char *x = strrchr(a, '/'), *y = strrchr(b, '/');
    struct stat of_a, of_b;

    if (strcmp(a, b) == 0)
        return true;
    if (strcmp(x ? x + 1 : a, y ? y + 1 : b) != 0)
        return false;
    return stat_folder(a, &of_a) == 0 && stat_folder(b, &of_b) == 0 &&
           of_a.st_dev == of_b.st_dev && of_a.st_ino == of_b.st_ino;
}

bool
lnt_addr_is_unix(const struct lnt_addr *a)
{
    return a->len && a->ss.ss_family == AF_UNIX;
}

bool
lnt_addr_network(const struct lnt_addr *a, struct lnt_network *net)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const uint8_t *ip = v6.sin6_addr.s6_addr;

    *net = (struct lnt_network){0, 4};
    switch (a->len ? a->ss.ss_family : AF_UNSPEC) {
    case AF_INET:
        memcpy(&v4, &a->ss, sizeof(v4));
        net->prefix = ntohl(v4.sin_addr.s_addr);
        return true;
    case AF_INET6:
        memcpy(&v6, &a->ss, sizeof(v6));
        if (!IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr))
            net->family = 6;
        else
            ip += 12;
        for (int i = 0; i < (net->family == 6 ? 8 : 4); i++)
            net->prefix = net->prefix << 8 | ip[i];
        return true;
    default:
        return false;
    }
}

bool
lnt_addr_is_local(const struct lnt_addr *a)
{
    if (a->ss.ss_family == AF_INET) {
        struct sockaddr_in x;

        memcpy(&x, &a->ss, sizeof(x));
        return ntohl(x.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
    }
    if (a->ss.ss_family == AF_INET6) {
        struct sockaddr_in6 x;

        memcpy(&x, &a->ss, sizeof(x));
        return IN6_IS_ADDR_LOOPBACK(&x.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&x.sin6_addr) &&
                x.sin6_addr.s6_addr[12] == IN_LOOPBACKNET);
    }
    return lnt_addr_is_unix(a);
}

/* Peers are never [::], and nobody sets both for them. */
static bool
takes_both(const struct lnt_addr *a)
{
    return a->ss.ss_family == AF_INET6 && is_any(a) && a->both;
}

static bool
is_any(const struct lnt_addr *a)
{
    if (a->ss.ss_family == AF_INET) {
        struct sockaddr_in x;

        memcpy(&x, &a->ss, sizeof(x));
        return x.sin_addr.s_addr == htonl(INADDR_ANY);
    }
    struct sockaddr_in6 x;

    memcpy(&x, &a->ss, sizeof(x));
    return IN6_IS_ADDR_UNSPECIFIED(&x.sin6_addr);
}

static in_port_t
port_of(const struct lnt_addr *a)
{
    if (a->ss.ss_family == AF_INET) {
        struct sockaddr_in x;

        memcpy(&x, &a->ss, sizeof(x));
        return x.sin_port;
    }
    struct sockaddr_in6 x;

    memcpy(&x, &a->ss, sizeof(x));
    return x.sin6_port;
}

/* One IPv6 address, of which one is on an interface and the other is not. */
static bool
same_but_scope(const struct lnt_addr *a, const struct lnt_addr *b)
{
    struct sockaddr_in6 x, y;

    if (a->ss.ss_family != AF_INET6)
        return false;
    memcpy(&x, &a->ss, sizeof(x));
    memcpy(&y, &b->ss, sizeof(y));
    return (!x.sin6_scope_id || !y.sin6_scope_id) &&
           memcmp(&x.sin6_addr, &y.sin6_addr, sizeof(x.sin6_addr)) == 0;
}

static int
stat_folder(const char *path, struct stat *st)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];

    if (!slash)
        return stat(".", st);
    size_t n = (size_t)(slash - path) + 1; /* with it: "/" is a folder, too */
    if (n >= sizeof(folder)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(folder, path, n);
    folder[n] = '\0';
    return stat(folder, st);
}

static int
parse_unix(struct lnt_addr *a, const char *path, const char **why)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    size_t n = strlen(path);

    if (n == 0) {
        *why = "expected a path behind unix:";
        return -1;
    }
    if (n >= sizeof(un.sun_path)) {
        *why = "the path of a unix socket has at most 107 bytes";
        return -1;
    }
    memcpy(un.sun_path, path, n + 1);
    memcpy(&a->ss, &un, sizeof(un));
    a->len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n + 1);
    return 0;
}

static int
parse_port(const char *text, in_port_t *port, const char **why)
{
    unsigned v = 0;
    size_t n = strlen(text);

    if (n == 0 || strspn(text, "0123456789") != n) {
        *why = expected;
        return -1;
    }
    for (size_t i = 0; i < n && v <= 65535; i++)
        v = v * 10 + (unsigned)(text[i] - '0');
    if (v == 0 || v > 65535) {
        *why = "expected a port from 1 to 65535";
        return -1;
    }
    *port = (in_port_t)v;
    return 0;
}

static int
parse_v6(struct lnt_addr *a, const char *host, in_port_t port, const char **why)
{
    char text[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
    struct in6_addr ip;
    uint32_t scope = 0;

    snprintf(text, sizeof(text), "%s", host);
    char *percent = strchr(text, '%');
    if (percent) {
        *percent++ = '\0';
        scope = if_nametoindex(percent);
        if (!scope && percent[strspn(percent, "0123456789")] == '\0')
            sscanf(percent, "%9u", &scope);
        if (!scope) {
            *why = "there is no network interface of the name behind %";
            return -1;
        }
    }
    if (inet_pton(AF_INET6, text, &ip) != 1) {
        *why = "expected an IPv6 address between the brackets";
        return -1;
    }
    if (IN6_IS_ADDR_V4MAPPED(&ip)) {
        struct in_addr v4;

        memcpy(&v4, ip.s6_addr + 12, sizeof(v4));
        set_v4(a, v4, port);
    } else {
        set_v6(a, &ip, port, scope);
    }
    return 0;
}

static void
set_v4(struct lnt_addr *a, struct in_addr ip, in_port_t port)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr = ip,
    };

    memcpy(&a->ss, &v4, sizeof(v4));
    a->len = sizeof(v4);
}

static void
set_v6(struct lnt_addr *a, const struct in6_addr *ip, in_port_t port,
       uint32_t scope)
{
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6,
        .sin6_port = htons(port),
        .sin6_addr = *ip,
        .sin6_scope_id = scope,
    };

    memcpy(&a->ss, &v6, sizeof(v6));
    a->len = sizeof(v6);
}
