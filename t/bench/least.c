/*
 * The least that a server can do: what all others are compared with.
 *
 * One process and one epoll; WebSocket frames are taken as they should be, no
 * rule is checked, nothing times out, and nobody is refused.  Paths: /sub gets
 * what /pub says, any other one is an echo; a request without an upgrade is
 * answered with 1 KiB.
 *
 *     least PORT
 *
 * What is left is what the kernel takes, and a few hundred instructions: one
 * recv for what has come, replies made in place, one send.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "modules/websocket/base64.h"
#include "modules/websocket/sha1.h"

enum { INPUT = 256 * 1024, EVENTS = 512, BODY = 1024, ACCEPTS = 64 };

enum role { NEW, ECHO, SUBSCRIBER, PUBLISHER };

/* Bytes that wait for more of them, or for room. */
struct rest {
    size_t n;
    uint8_t bytes[];
};

struct peer {
    int fd;
    enum role role;
    unsigned place; /* among the subscribers */
    struct rest *in, *out;
    struct peer *next_dead;
};

struct least {
    int epoll;
    struct peer listener;
    struct peer **subscribers;
    unsigned n, cap;
    struct peer *dead; /* freed when the turn is over */
    char page[BODY + 256];
    size_t page_n;
    uint8_t input[INPUT];
};

static void
stop(const char *what)
{
    fprintf(stderr, "least: %s: %s\n", what, strerror(errno));
    exit(1);
}

/* ---- connections ---- */

static void
watch(struct least *s, struct peer *p, int how, uint32_t events)
{
    struct epoll_event ev = {.events = events, .data.ptr = p};
    if (epoll_ctl(s->epoll, how, p->fd, &ev) < 0)
        stop("epoll");
}

static void
subscribe(struct least *s, struct peer *p)
{
    if (s->n == s->cap) {
        s->cap = s->cap ? s->cap * 2 : 64;
        s->subscribers =
            lnt_realloc(s->subscribers, s->cap * sizeof(s->subscribers[0]));
    }
    p->place = s->n;
    s->subscribers[s->n++] = p;
}

static void
hang_up(struct least *s, struct peer *p)
{
    if (p->fd < 0)
        return;
    close(p->fd);
    p->fd = -1;
    if (p->role == SUBSCRIBER) {
        struct peer *last = s->subscribers[--s->n];
        s->subscribers[p->place] = last;
        last->place = p->place;
    }
    free(p->in);
    free(p->out);
    p->next_dead = s->dead;
    s->dead = p;
}

static struct rest *
keep(struct rest *r, const uint8_t *p, size_t n)
{
    size_t had = r ? r->n : 0;
    r = lnt_realloc(r, sizeof(*r) + had + n);
    memcpy(r->bytes + had, p, n);
    r->n = had + n;
    return r;
}

/* Does not hang up: whoever calls may be in the midst of the subscribers.  A
   broken connection is found by its next recv. */
static void
say(struct least *s, struct peer *p, const uint8_t *bytes, size_t n)
{
    if (!p->out) {
        ssize_t sent = send(p->fd, bytes, n, MSG_NOSIGNAL);
        if (sent == (ssize_t)n || (sent < 0 && errno != EAGAIN))
            return;
        if (sent > 0) {
            bytes += sent;
            n -= (size_t)sent;
        }
        watch(s, p, EPOLL_CTL_MOD, EPOLLOUT);
    }
    p->out = keep(p->out, bytes, n);
}

static void
say_rest(struct least *s, struct peer *p)
{
    struct rest *r = p->out;
    ssize_t sent = send(p->fd, r->bytes, r->n, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN) {
        hang_up(s, p);
        return;
    }
    if (sent > 0) {
        r->n -= (size_t)sent;
        memmove(r->bytes, r->bytes + sent, r->n);
    }
    if (r->n == 0) {
        free(r);
        p->out = NULL;
        watch(s, p, EPOLL_CTL_MOD, EPOLLIN);
    }
}

/* ---- HTTP ---- */

static void
upgrade(struct least *s, struct peer *p, const char *head, const char *key)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[24 + sizeof(guid)], accept[28], answer[160];
    uint8_t digest[LNT_SHA1_SIZE];
    memcpy(text, key, 24);
    memcpy(text + 24, guid, sizeof(guid));
    lnt_ws_sha1(text, sizeof(text) - 1, digest);
    lnt_ws_base64_encode(accept, digest, sizeof(digest));
    int n = snprintf(answer, sizeof(answer),
                     "HTTP/1.1 101 Switching Protocols\r\n"
                     "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                     "Sec-WebSocket-Accept: %.28s\r\n\r\n",
                     accept);
    p->role = ECHO;
    if (memcmp(head, "GET /sub", 8) == 0) {
        p->role = SUBSCRIBER;
        subscribe(s, p);
    } else if (memcmp(head, "GET /pub", 8) == 0) {
        p->role = PUBLISHER;
    }
    say(s, p, (const uint8_t *)answer, (size_t)n);
}

/* How many bytes the request has; 0: it is not there whole. */
static size_t
take_request(struct least *s, struct peer *p, const uint8_t *bytes, size_t n)
{
    static const char key[] = "\r\nSec-WebSocket-Key: ";
    const uint8_t *end = memmem(bytes, n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    size_t size = (size_t)(end - bytes) + 4;
    const char *at = memmem(bytes, size, key, sizeof(key) - 1);
    if (at)
        upgrade(s, p, (const char *)bytes, at + sizeof(key) - 1);
    else
        say(s, p, (const uint8_t *)s->page, s->page_n);
    return size;
}

/* ---- WebSocket ---- */

static void
unmask(uint8_t *to, const uint8_t *from, size_t n, const uint8_t *key)
{
    uint64_t twice, word;
    memcpy(&twice, key, 4);
    memcpy((uint8_t *)&twice + 4, key, 4);
    size_t i = 0;
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, from + i, 8);
        word ^= twice;
        memcpy(to + i, &word, 8);
    }
    for (uint8_t k = 0; i < n; i++, k++)
        to[i] = from[i] ^ ((const uint8_t *)&twice)[k];
}

/* Bytes of the frame at p, 0: it is not there whole; those of its head. */
static size_t
frame_size(const uint8_t *p, size_t n, size_t *head)
{
    size_t length;
    if (n < 6)
        return 0;
    length = p[1] & 127;
    *head = 6;
    if (length == 126) {
        length = (size_t)p[2] << 8 | p[3];
        *head = 8;
    } else if (length == 127) {
        if (n < 14)
            return 0;
        length = 0;
        for (int i = 2; i < 10; i++)
            length = length << 8 | p[i];
        *head = 14;
    }
    return n < *head || n - *head < length ? 0 : *head + length;
}

/*
 * Turns frames that came into frames that go, in place: each gets four bytes
 * shorter, so what is written stays behind what is read.  Returns how many
 * bytes were read, *out is how many were written.
 */
static size_t
turn_frames(uint8_t *bytes, size_t n, size_t *out, bool *close_came)
{
    size_t used = 0, size, head;
    *out = 0;
    while (!*close_came && (size = frame_size(bytes + used, n - used, &head))) {
        uint8_t key[4], *from = bytes + used, *to = bytes + *out;
        memcpy(key, from + head - 4, 4);
        *close_came = (from[0] & 15) == 8;
        memmove(to, from, head - 4);
        to[1] &= 127;
        unmask(to + head - 4, from + head, size - head, key);
        *out += size - 4;
        used += size;
    }
    return used;
}

static size_t
take_frames(struct least *s, struct peer *p, uint8_t *bytes, size_t n)
{
    bool close_came = false;
    size_t out, used = turn_frames(bytes, n, &out, &close_came);
    if (out > 0 && (p->role != PUBLISHER || close_came))
        say(s, p, bytes, out);
    else if (out > 0)
        for (unsigned i = 0; i < s->n; i++)
            say(s, s->subscribers[i], bytes, out);
    if (close_came)
        hang_up(s, p);
    return used;
}

/* ---- events ---- */

static void
listen_to(struct least *s, struct peer *p)
{
    size_t had = p->in ? p->in->n : 0, used = 0, got;
    if (had) {
        memcpy(s->input, p->in->bytes, had);
        free(p->in);
        p->in = NULL;
    }
    ssize_t n = recv(p->fd, s->input + had, INPUT - had, 0);
    if (n <= 0) {
        if (n == 0 || errno != EAGAIN)
            hang_up(s, p);
        else if (had)
            p->in = keep(NULL, s->input, had);
        return;
    }
    size_t all = had + (size_t)n;
    while (p->role == NEW &&
           (got = take_request(s, p, s->input + used, all - used)))
        used += got;
    if (p->role != NEW)
        used += take_frames(s, p, s->input + used, all - used);
    if (p->fd >= 0 && used < all)
        p->in = keep(NULL, s->input + used, all - used);
}

static void
let_in(struct least *s)
{
    int one = 1;
    for (int i = 0; i < ACCEPTS; i++) {
        int fd =
            accept4(s->listener.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0)
            return;
        struct peer *p = lnt_calloc(1, sizeof(*p));
        p->fd = fd;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        watch(s, p, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void
run(struct least *s)
{
    struct epoll_event events[EVENTS];
    for (;;) {
        int n = epoll_wait(s->epoll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (p == &s->listener)
                let_in(s);
            else if (p->fd >= 0 && p->out)
                say_rest(s, p);
            else if (p->fd >= 0)
                listen_to(s, p);
        }
        while (s->dead) {
            struct peer *p = s->dead;
            s->dead = p->next_dead;
            free(p);
        }
    }
}

/* ---- the beginning ---- */

static void
make_page(struct least *s)
{
    int n = snprintf(s->page, sizeof(s->page),
                     "HTTP/1.1 200 OK\r\nServer: least\r\n"
                     "Content-Type: text/plain\r\nContent-Length: %d\r\n\r\n",
                     BODY);
    memset(s->page + n, 'x', BODY);
    s->page_n = (size_t)n + BODY;
}

static void
open_listener(struct least *s, int port)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port)};
    int one = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    s->listener.fd =
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (s->listener.fd < 0)
        stop("socket");
    (void)setsockopt(s->listener.fd, SOL_SOCKET, SO_REUSEADDR, &one,
                     sizeof(one));
    if (bind(s->listener.fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
        listen(s->listener.fd, 4096) < 0)
        stop("listen");
    watch(s, &s->listener, EPOLL_CTL_ADD, EPOLLIN);
}

int
main(int argc, char **argv)
{
    static struct least s;
    struct rlimit files;
    if (argc != 2 || atoi(argv[1]) < 1) {
        fprintf(stderr, "usage: least PORT\n");
        return 2;
    }
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    s.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (s.epoll < 0)
        stop("epoll");
    make_page(&s);
    open_listener(&s, atoi(argv[1]));
    run(&s);
}
