/*
 * Connections: connect, the opening handshake and its check, frames or HTTP
 * responses out of the bytes that come, writing without blocking.
 *
 * All share one input buffer; a connection keeps bytes of its own only while a
 * frame or a response is incomplete.
 */
#include "t/bench/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "modules/websocket/base64.h"
#include "modules/websocket/sha1.h"
#include "t/bench/bench.h"
#include "t/bench/frame.h"

enum { INPUT_SIZE = 4 * 1024 * 1024, KEY_SIZE = 16, KEY_TEXT = 24 };

void
client_init(struct client *c, unsigned index, bool publisher)
{
    *c = (struct client){.fd = -1, .index = index, .publisher = publisher};
}

/* ---- the end ---- */

void
client_drop(struct bench *b, struct client *c)
{
    if (c->state == CLIENT_CLOSED)
        return;
    if (c->state == CLIENT_CONNECTING || c->state == CLIENT_HANDSHAKE)
        b->opening--;
    else if (c->state == CLIENT_OPEN)
        b->open--;
    close(c->fd);
    free(c->in);
    free(c->out);
    c->fd = -1;
    c->in = c->out = NULL;
    c->in_n = c->out_n = 0;
    c->blocked = false;
    c->state = CLIENT_CLOSED;
}

/* The server, or the network, has ended it. */
static void
end(struct bench *b, struct client *c, const char *why)
{
    bool leaving = c->state == CLIENT_CLOSING;
    client_drop(b, c);
    if (!leaving)
        note_error(b, "connection %u: %s", c->index, why);
    else if (b->o.work->left)
        b->o.work->left(b, c);
}

static void
fail(struct bench *b, struct client *c, const char *why)
{
    client_drop(b, c);
    note_error(b, "connection %u: %s", c->index, why);
}

/* ---- writing ---- */

static void
watch(struct bench *b, struct client *c, bool blocked)
{
    struct epoll_event ev = {.events = EPOLLIN | (blocked ? EPOLLOUT : 0u),
                             .data.ptr = c};
    if (c->blocked == blocked)
        return;
    c->blocked = blocked;
    epoll_ctl(b->epoll, EPOLL_CTL_MOD, c->fd, &ev);
}

/* How much the kernel takes now. */
static size_t
try_send(const struct client *c, const uint8_t *p, size_t n)
{
    ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
    /* A broken connection is told by the next recv. */
    return sent > 0 ? (size_t)sent : 0;
}

void
client_send(struct bench *b, struct client *c, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    if (c->state == CLIENT_CLOSED)
        return;
    size_t sent = c->out_n ? 0 : try_send(c, bytes, n);
    if (sent == n)
        return;
    c->out = lnt_realloc(c->out, c->out_n + n - sent);
    memcpy(c->out + c->out_n, bytes + sent, n - sent);
    c->out_n += n - sent;
    watch(b, c, true);
}

static void
send_rest(struct bench *b, struct client *c)
{
    size_t sent = try_send(c, c->out, c->out_n);
    c->out_n -= sent;
    memmove(c->out, c->out + sent, c->out_n);
    if (c->out_n == 0) {
        free(c->out);
        c->out = NULL;
        watch(b, c, false);
    }
}

void
client_say(struct bench *b, struct client *c, const void *p, size_t n)
{
    uint8_t *frame = lnt_malloc(n + FRAME_HEAD_MAX);
    unsigned opcode = b->o.binary ? FRAME_BINARY : FRAME_TEXT;
    client_send(b, c, frame, frame_write(frame, opcode, p, n));
    free(frame);
}

void
client_leave(struct bench *b, struct client *c)
{
    static const uint8_t normal[2] = {1000 >> 8, 1000 & 255};
    uint8_t frame[FRAME_HEAD_MAX + 2];
    if (c->state != CLIENT_OPEN)
        return;
    client_send(b, c, frame,
                frame_write(frame, FRAME_CLOSE, normal, sizeof(normal)));
    b->open--;
    c->state = CLIENT_CLOSING;
}

/* ---- the beginning ---- */

static void
become_open(struct bench *b, struct client *c)
{
    const char *first = c->publisher ? b->o.publish_first : b->o.first;
    c->state = CLIENT_OPEN;
    b->opening--;
    b->open++;
    if (first)
        client_say(b, c, first, strlen(first));
    if (b->o.work->opened)
        b->o.work->opened(b, c);
}

void
client_connect(struct bench *b, struct client *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)b->o.port)};
    int one = 1;
    if (inet_pton(AF_INET, b->o.host, &to.sin_addr) != 1)
        usage_error("--host %s: an IPv4 address in digits is expected",
                    b->o.host);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        give_up("socket: %s", strerror(errno));
    (void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (b->o.work->stamps)
        (void)setsockopt(c->fd, SOL_SOCKET, SO_TIMESTAMPNS, &one, sizeof(one));
    c->began = clock_ns();
    c->state = CLIENT_CONNECTING;
    b->opening++;
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 &&
        errno != EINPROGRESS) {
        fail(b, c, strerror(errno));
        return;
    }
    c->blocked = true;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
    if (epoll_ctl(b->epoll, EPOLL_CTL_ADD, c->fd, &ev) < 0)
        give_up("epoll: %s", strerror(errno));
}

/* Section 4.1: a fresh key, and what its answer must be. */
static void
make_key(char *key, char *accept)
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t random[KEY_SIZE], digest[LNT_SHA1_SIZE];
    char text[KEY_TEXT + sizeof(guid)];
    for (size_t i = 0; i < KEY_SIZE; i++)
        random[i] = (uint8_t)frame_random();
    lnt_ws_base64_encode(key, random, KEY_SIZE);
    memcpy(text, key, KEY_TEXT);
    memcpy(text + KEY_TEXT, guid, sizeof(guid));
    lnt_ws_sha1(text, sizeof(text) - 1, digest);
    lnt_ws_base64_encode(accept, digest, sizeof(digest));
}

/* What is said to be compressed is inflated here, which is simple without a
   context for each connection; in idle that very context is of interest. */
static const char *
extensions(const struct bench *b)
{
    if (!b->o.deflate)
        return "";
    if (b->o.work->no_load)
        return "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    return "Sec-WebSocket-Extensions: permessage-deflate; "
           "server_no_context_takeover\r\n";
}

static void
send_handshake(struct bench *b, struct client *c)
{
    char key[KEY_TEXT], text[1024];
    make_key(key, c->accept);
    int n = snprintf(text, sizeof(text),
                     "GET %s HTTP/1.1\r\n"
                     "Host: %s:%d\r\n"
                     "Upgrade: websocket\r\n"
                     "Connection: Upgrade\r\n"
                     "Sec-WebSocket-Key: %.*s\r\n"
                     "Sec-WebSocket-Version: 13\r\n%s\r\n",
                     c->publisher ? b->o.publish_path : b->o.path, b->o.host,
                     b->o.port, KEY_TEXT, key, extensions(b));
    if (n < 0 || (size_t)n >= sizeof(text))
        usage_error("the path is too long");
    client_send(b, c, text, (size_t)n);
}

static void
connected(struct bench *b, struct client *c)
{
    int error = 0;
    socklen_t n = sizeof(error);
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &error, &n) < 0 || error) {
        fail(b, c, strerror(error));
        return;
    }
    watch(b, c, false);
    if (b->o.work->http) {
        become_open(b, c);
    } else {
        c->state = CLIENT_HANDSHAKE;
        send_handshake(b, c);
    }
}

/* ---- heads of responses ---- */

/* The value of a header in a head that ends with an empty line; NULL: it is
   not there.  *n is its length. */
static const char *
header(const char *head, size_t size, const char *name, size_t *n)
{
    size_t len = strlen(name);
    const char *p = head, *limit = head + size;
    while ((p = memchr(p, '\n', (size_t)(limit - p)))) {
        p++;
        const char *stop = memchr(p, '\r', (size_t)(limit - p));
        if (!stop || stop == p)
            return NULL;
        if ((size_t)(stop - p) > len && p[len] == ':' &&
            strncasecmp(p, name, len) == 0) {
            for (p += len + 1; p < stop && *p == ' ';)
                p++;
            *n = (size_t)(stop - p);
            return p;
        }
    }
    return NULL;
}

static bool
has(const char *head, size_t size, const char *name, const char *value)
{
    size_t n;
    const char *p = header(head, size, name, &n);
    return p && n == strlen(value) && strncasecmp(p, value, n) == 0;
}

/* Whether the server's answer about extensions is what we want. */
static bool
agreed(const struct bench *b, const char *head, size_t size)
{
    static const char name[] = "permessage-deflate";
    size_t n;
    const char *p = header(head, size, "Sec-WebSocket-Extensions", &n);
    if (!b->o.deflate)
        return !p;
    return p && n >= sizeof(name) - 1 && memcmp(p, name, sizeof(name) - 1) == 0;
}

/* Bytes up to and with the empty line; 0: it has not come. */
static size_t
head_size(const uint8_t *p, size_t n)
{
    const uint8_t *end_of = memmem(p, n, "\r\n\r\n", 4);
    return end_of ? (size_t)(end_of - p) + 4 : 0;
}

/* Each of the three returns how many bytes it has taken; 0: more are needed,
   or the connection is no more. */
static size_t
take_handshake(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    size_t size = head_size(p, n), len;
    const char *head = (const char *)p;
    if (!size)
        return 0;
    const char *accept = header(head, size, "Sec-WebSocket-Accept", &len);
    if (size < 12 || memcmp(head, "HTTP/1.1 101", 12) != 0) {
        note_error(b, "the handshake was answered with \"%.*s\"",
                   (int)strcspn(head, "\r"), head);
        client_drop(b, c);
    } else if (!accept || len != sizeof(c->accept) ||
               memcmp(accept, c->accept, len) != 0 ||
               !has(head, size, "Upgrade", "websocket") ||
               !has(head, size, "Connection", "upgrade")) {
        fail(b, c, "the handshake's answer is wrong");
    } else if (!agreed(b, head, size)) {
        fail(b, c, "the handshake agrees on other extensions");
    } else {
        become_open(b, c);
        return size;
    }
    return 0;
}

static size_t
take_response(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    size_t size = head_size(p, n), len, body;
    const char *head = (const char *)p;
    if (!size)
        return 0;
    const char *length = header(head, size, "Content-Length", &len);
    if (memcmp(head, "HTTP/1.1 200", 12) != 0 || !length) {
        note_error(b, "a request was answered with \"%.*s\"",
                   (int)strcspn(head, "\r"), head);
        client_drop(b, c);
        return 0;
    }
    body = strtoul(length, NULL, 10);
    if (n - size < body)
        return 0;
    b->o.work->message(b, c, p + size, body);
    return c->state == CLIENT_CLOSED ? 0 : size + body;
}

/* ---- frames ---- */

static void
take_control(struct bench *b, struct client *c, const struct frame *f,
             const uint8_t *p)
{
    uint8_t pong[FRAME_HEAD_MAX + 125];
    if (f->opcode == FRAME_PING)
        client_send(b, c, pong, frame_write(pong, FRAME_PONG, p, f->n));
    else if (f->opcode == FRAME_CLOSE && c->state != CLIENT_CLOSING)
        end(b, c, "the server closed it");
}

static void
take_message(struct bench *b, struct client *c, const struct frame *f,
             const uint8_t *p)
{
    size_t n = f->n;
    if (c->state != CLIENT_OPEN || !b->o.work->message)
        return;
    if (f->compressed)
        p = frame_inflate(p, n, &n);
    if (p)
        b->o.work->message(b, c, p, n);
    else
        fail(b, c, "a message that cannot be inflated");
}

static size_t
take_frame(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    struct frame f;
    int got = frame_read(&f, p, n, b->o.deflate);
    if (got < 0) {
        fail(b, c, "a frame that no server may send");
        return 0;
    }
    if (got == 0 || n - f.head < f.n)
        return 0;
    if (f.opcode >= FRAME_CLOSE)
        take_control(b, c, &f, p + f.head);
    else
        take_message(b, c, &f, p + f.head);
    return f.head + f.n;
}

/* ---- reading ---- */

static void
take_input(struct bench *b, struct client *c, const uint8_t *p, size_t n)
{
    const struct work *w = b->o.work;
    for (size_t used = 1; n > 0 && used > 0; p += used, n -= used) {
        if (c->state == CLIENT_HANDSHAKE)
            used = take_handshake(b, c, p, n);
        else
            used = w->http ? take_response(b, c, p, n) : take_frame(b, c, p, n);
        if (c->state == CLIENT_CLOSED)
            return;
    }
    if (n > 0) {
        c->in = lnt_malloc(n);
        memcpy(c->in, p, n);
        c->in_n = n;
    }
    if (w->after && c->state == CLIENT_OPEN)
        w->after(b, c);
}

/* As recv, and notes when the last of it arrived. */
static ssize_t
receive(struct bench *b, const struct client *c, void *p, size_t n)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(sizeof(struct timespec))];
    } control;
    struct iovec iov = {.iov_base = p, .iov_len = n};
    struct msghdr m = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control)};
    if (!b->o.work->stamps)
        return recv(c->fd, p, n, 0);
    b->arrived = 0;
    ssize_t got = recvmsg(c->fd, &m, 0);
    struct cmsghdr *h = got > 0 ? CMSG_FIRSTHDR(&m) : NULL;
    if (h && h->cmsg_level == SOL_SOCKET && h->cmsg_type == SCM_TIMESTAMPNS) {
        struct timespec t;
        memcpy(&t, CMSG_DATA(h), sizeof(t));
        b->arrived = (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
    }
    return got;
}

static void
read_input(struct bench *b, struct client *c)
{
    if (!b->input)
        b->input = lnt_malloc(INPUT_SIZE);
    size_t had = c->in_n;
    if (had >= INPUT_SIZE / 2) {
        fail(b, c, "an answer without end");
        return;
    }
    ssize_t n = receive(b, c, b->input + had, INPUT_SIZE - had);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        end(b, c, n < 0 ? strerror(errno) : "the server closed it");
        return;
    }
    b->last_in = b->now;
    if (had) {
        memcpy(b->input, c->in, had);
        free(c->in);
        c->in = NULL;
        c->in_n = 0;
    }
    take_input(b, c, b->input, had + (size_t)n);
}

void
client_event(struct bench *b, struct client *c, uint32_t events)
{
    if (c->state == CLIENT_CONNECTING) {
        connected(b, c);
        return;
    }
    if ((events & EPOLLOUT) && c->out_n)
        send_rest(b, c);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP))
        read_input(b, c);
}
