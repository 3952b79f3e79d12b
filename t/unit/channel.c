/*
 * The channel between processes: order under pressure, descriptors, commands
 * that overtake, and what a broken peer may send.
 */
#include "ipc/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "os/socket.h"
#include "t/unit/tap.h"

static struct lnt_loop *loop;
static struct lnt_channel a, b;
static unsigned received, disorder, fds_received, quit_after;
static uint32_t next_request;
static const char *closed_why;
static bool closed_broken;

static void
on_frame(struct lnt_channel *c, const struct lnt_frame *f)
{
    (void)c;
    if (f->type == LNT_FRAME_QUIT) {
        quit_after = received;
        return;
    }
    if (f->request != next_request++)
        disorder++;
    for (size_t i = 0; i < f->payload.n; i++)
        if (f->payload.p[i] != (char)f->request)
            disorder++;
    for (size_t i = 0; i < f->nfds; i++)
        fds_received += fcntl(f->fds[i], F_GETFD) >= 0;
    received++;
}

static void
on_closed(struct lnt_channel *c, bool broken, const char *why)
{
    closed_broken = broken;
    closed_why = why;
    lnt_channel_close(c);
    lnt_loop_stop(loop);
}

static const struct lnt_channel_handler handler = {on_frame, on_closed};

static unsigned wanted;

static bool
until_received(void *arg)
{
    (void)arg;
    if (received >= wanted)
        lnt_loop_stop(loop);
    return false;
}

static void
open_pair_of(uint32_t incarnation)
{
    int fds[2];
    struct lnt_loop_hook hook = {.turn = until_received};
    loop = lnt_loop_new();
    lnt_loop_set_hook(loop, &hook);
    if (lnt_socket_pair(fds) < 0)
        exit(1);
    lnt_channel_open(&a, loop, fds[0], incarnation, &handler);
    lnt_channel_open(&b, loop, fds[1], incarnation, &handler);
    received = disorder = fds_received = quit_after = 0;
    next_request = 0;
    closed_why = NULL;
    wanted = UINT32_MAX;
}

static void
open_pair(void)
{
    open_pair_of(7);
}

static void
close_pair(void)
{
    lnt_channel_close(&a);
    lnt_channel_close(&b);
    lnt_loop_destroy(loop);
}

/* More than the socket holds: queued, in order, nothing lost. */
static void
test_pressure(void)
{
    char payload[4000];
    int fd = open("/dev/null", O_RDONLY);
    open_pair();
    for (uint32_t i = 0; i < 500; i++) {
        memset(payload, (char)i, sizeof(payload));
        if (lnt_channel_send(&a, LNT_FRAME_BROADCAST, i,
                             lnt_str(payload, sizeof(payload)), &fd,
                             i % 50 == 0) < 0)
            fail("send %u: %s", i, strerror(errno));
    }
    close(fd);
    ok(a.queue.first != NULL, "the socket is full and the rest is queued");
    is_int(lnt_channel_send(&a, LNT_FRAME_QUIT, 0, lnt_str("", 0), NULL, 0), 0,
           "QUIT is taken");
    wanted = 500;
    lnt_loop_run(loop);
    is_int(received, 500, "everything arrives");
    is_int(disorder, 0, "in order and whole");
    is_int(fds_received, 10, "with the descriptors, queued ones too");
    ok(quit_after < 499, "QUIT overtakes the queue (after %u)", quit_after);
    close_pair();
}

static void
test_bound(void)
{
    char payload[LNT_FRAME_PAYLOAD_MAX] = {0};
    int rc = 0, n = 0;
    open_pair();
    while (rc == 0 && n++ < 1000)
        rc = lnt_channel_send(&a, LNT_FRAME_BROADCAST, 0,
                              lnt_str(payload, sizeof(payload)), NULL, 0);
    is_int(rc, -1, "a peer that does not read fills the queue (%d frames)", n);
    is_int(errno, ENOBUFS, "which says so");
    ok(a.queued <= LNT_CHANNEL_QUEUE_MAX, "%zu bytes are queued", a.queued);
    int fds[2] = {0, 0};
    for (n = 0; n < LNT_CHANNEL_FDS_MAX / 2; n++)
        rc =
            lnt_channel_send(&a, LNT_FRAME_REOPEN, 0, lnt_str("ea", 2), fds, 2);
    is_int(rc, 0, "descriptors are queued, too");
    is_int(lnt_channel_send(&a, LNT_FRAME_REOPEN, 0, lnt_str("ea", 2), fds, 2),
           -1, "but not any number");
    is_int(errno, ENOBUFS, "which is said");
    is_int(lnt_channel_send(&a, LNT_FRAME_HAND, 0, lnt_str("x", 1), fds, 2), 0,
           "what one master hands to the next is never too much");
    is_int(lnt_channel_send(&a, LNT_FRAME_STOP, 0, lnt_str("", 0), NULL, 0), 0,
           "STOP is taken all the same");
    is_int(lnt_channel_send(&a, LNT_FRAME_BROADCAST, 0,
                            lnt_str(payload, LNT_FRAME_PAYLOAD_MAX + 1), NULL,
                            0),
           -1, "a payload over the limit is refused");
    is_int(errno, EMSGSIZE, "as too large");
    close_pair();
}

/* Raw bytes to b; it must close, with a reason. */
static void
test_garbage(const void *p, size_t n, const char *what)
{
    open_pair();
    int fd = a.watch.fd;
    if (send(fd, p, n, 0) != (ssize_t)n)
        fail("cannot send %s", what);
    lnt_loop_run(loop);
    ok(closed_why && closed_broken && !lnt_channel_is_open(&b),
       "%s: closed, \"%s\"", what, closed_why ? closed_why : "");
    is_int(received, 0, "%s: not handled", what);
    close_pair();
}

static void
test_broken_peers(void)
{
    struct {
        uint32_t magic;
        uint16_t version, type;
        uint32_t incarnation, request, length, reserved;
        char payload[8];
    } f = {0x6c6e7431, 1, LNT_FRAME_BROADCAST, 7, 0, 8, 0, "payload"}, g;
    test_garbage("x", 1, "one byte");
    test_garbage(&f, 23, "a cut head");
    test_garbage(&f, sizeof(f) - 1, "a cut payload");
    g = f;
    g.magic++;
    test_garbage(&g, sizeof(g), "another magic number");
    g = f;
    g.version++;
    test_garbage(&g, sizeof(g), "another version");
    g = f;
    g.type = 0;
    test_garbage(&g, sizeof(g), "type 0");
    g = f;
    g.type = LNT_FRAME_TYPES;
    test_garbage(&g, sizeof(g), "an unknown type");
    g = f;
    g.incarnation = 6;
    test_garbage(&g, sizeof(g), "another incarnation");
    g = f;
    g.length = UINT32_MAX;
    test_garbage(&g, sizeof(g), "a length that is a lie");
}

/* Of a later release: skipped, with its descriptors, and the next one is
   handled. */
static void
test_later_types(void)
{
    struct {
        uint32_t magic;
        uint16_t version, type;
        uint32_t incarnation, request, length, reserved;
        char payload[8];
    } f = {0x6c6e7431, 1, LNT_FRAME_TYPES, 0, 0, 8, 0, "payload"};
    open_pair_of(0);
    int fd = a.watch.fd, file = open("/dev/null", O_RDONLY), other;
    struct iovec iov = {.iov_base = &f, .iov_len = sizeof(f)};
    for (int i = 0; i < 2; i++) {
        f.type = i ? UINT16_MAX : LNT_FRAME_TYPES;
        if (lnt_socket_send_fds(fd, &iov, 1, &file, 1) < 0)
            fail("cannot send a frame");
    }
    next_request = 3;
    lnt_channel_send(&a, LNT_FRAME_REPLY, 3, lnt_str("\3", 1), NULL, 0);
    wanted = 1;
    lnt_loop_run(loop);
    is_int(received, 1, "frames of unknown types are skipped");
    is_int(disorder, 0, "... the next one is handled");
    ok(lnt_channel_is_open(&b) && !closed_why, "... the channel stays");
    /* The next descriptor is the one that it would be without them. */
    other = open("/dev/null", O_RDONLY);
    is_int(other, file + 1, "... their descriptors are closed");
    close(other);
    close(file);
    close_pair();
}

static void
test_end(void)
{
    open_pair();
    next_request = 3;
    lnt_channel_send(&a, LNT_FRAME_REPLY, 3, lnt_str("\3", 1), NULL, 0);
    lnt_channel_close(&a);
    lnt_loop_run(loop);
    is_int(received, 1, "the last words of a peer are heard");
    is_str(closed_why, "end of file", "then its end");
    ok(!closed_broken, "which is no breach");
    is_int(lnt_channel_send(&a, LNT_FRAME_REPLY, 0, lnt_str("", 0), NULL, 0),
           -1, "nothing can be sent on a closed channel");
    is_int(errno, ENOTCONN, "which is not connected");
    close_pair();
}

/* Frames from a process that has no channel, only its descriptor. */
static void
test_without_channel(void)
{
    int fds[2], sent = 0;
    loop = lnt_loop_new();
    is_int(lnt_socket_pair(fds), 0, "a pair");
    is_int(lnt_channel_open(&b, loop, fds[1], 0, &handler), 0, "one channel");
    received = disorder = next_request = 0;
    is_int(lnt_frame_send(fds[0], LNT_FRAME_FAILED, lnt_str("\0\0", 2)), 0,
           "a frame through a descriptor");
    lnt_channel_poll(&b);
    is_int(received, 1, "is received");
    is_int(disorder, 0, "as it was sent");
    while (sent < 100000 &&
           lnt_frame_send(fds[0], LNT_FRAME_FAILED, lnt_str("", 0)) == 0)
        sent++;
    ok(sent < 100000 && errno == EAGAIN, "one that is not taken is waited for, "
                                         "but not for ever");
    lnt_channel_close(&b);
    is_int(lnt_frame_send(fds[0], LNT_FRAME_FAILED, lnt_str("", 0)), -1,
           "nothing can be sent to one that is gone");
    ok(errno == EPIPE || errno == ECONNRESET, "which is told");
    close(fds[0]);
    lnt_loop_destroy(loop);
}

int
main(void)
{
    test_pressure();
    test_bound();
    test_broken_peers();
    test_later_types();
    test_end();
    test_without_channel();
    return done_testing();
}
