#include "os/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "t/unit/tap.h"
#include "t/unit/tmp.h"

static void
parsing(void)
{
    static const struct {
        const char *text, *wanted; /* NULL: refused */
    } table[] = {
        {"8080", "*:8080"},
        {"*:8080", "*:8080"},
        {"[::]:8080", "[::]:8080"},
        {"0.0.0.0:80", "0.0.0.0:80"},
        {"127.0.0.1:7000", "127.0.0.1:7000"},
        {"localhost:65535", "127.0.0.1:65535"},
        {"[::1]:1", "[::1]:1"},
        {"[::ffff:10.0.0.1]:5", "10.0.0.1:5"},
        {"[2001:db8::0001]:443", "[2001:db8::1]:443"},
        {"[fe80::1%lo]:9", "[fe80::1%1]:9"},
        {"[fe80::1%1]:9", "[fe80::1%1]:9"},
        {"unix:/run/x.sock", "unix:/run/x.sock"},
        {"unix:run/x.sock", "unix:run/x.sock"},
        {"", NULL},
        {":", NULL},
        {":80", NULL},
        {"0", NULL},
        {"65536", NULL},
        {"99999999999999999999", NULL},
        {"-1", NULL},
        {"80x", NULL},
        {"127.0.0.1", NULL},
        {"127.0.0.1:", NULL},
        {"127.0.0.256:80", NULL},
        {"example.org:80", NULL},
        {"::1:80", NULL},
        {"[::1]", NULL},
        {"[::1:80", NULL},
        {"[::g]:80", NULL},
        {"[]:80", NULL},
        {"[fe80::1%nosuchif]:9", NULL},
        {"unix:", NULL},
        {"unix:/a/very/long/path/that/does/not/fit/into/the/hundred/and/"
         "eight/bytes/that/an/address/of/a/unix/socket/has/in/it",
         NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:80",
         NULL},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct lnt_addr a, again;
        const char *why = NULL;
        char text[LNT_ADDR_TEXT], short_text[6];
        int rc = lnt_addr_parse(&a, table[i].text, &why);

        is_int(rc, table[i].wanted ? 0 : -1, "\"%s\"", table[i].text);
        if (rc < 0) {
            ok(why && *why, "refused because: %s", why);
            continue;
        }
        is_str(lnt_addr_format(&a, text, sizeof(text)), table[i].wanted,
               "\"%s\" is %s", table[i].text, table[i].wanted);
        lnt_addr_format(&a, short_text, sizeof(short_text));
        ok(strlen(short_text) < sizeof(short_text), "cut to little room");
        ok(lnt_addr_parse(&again, text, &why) == 0 &&
               lnt_addr_equal(&a, &again),
           "and reads back");
        is_int(lnt_addr_is_unix(&a), strncmp(text, "unix:", 5) == 0,
               "unix or not");
    }
}

static void
equality(void)
{
    static const char *const texts[] = {
        "1.2.3.4:5",   "1.2.3.4:6", "1.2.3.5:5", "[::1]:5",  "[::1]:6",
        "[::2]:5",     "unix:/a",   "unix:/b",   "unix:/aa", "[fe80::1%1]:5",
        "[fe80::1]:5", "5",         "6",         "[::]:5",   "0.0.0.0:5",
    };
    enum { N = sizeof(texts) / sizeof(texts[0]) };
    struct lnt_addr a[N], empty = {.len = 0};
    const char *why;
    bool good = true;

    for (size_t i = 0; i < N; i++)
        lnt_addr_parse(&a[i], texts[i], &why);
    for (size_t i = 0; i < N; i++) {
        for (size_t j = 0; j < N; j++)
            good = good && lnt_addr_equal(&a[i], &a[j]) == (i == j);
        good = good && !lnt_addr_equal(&a[i], &empty);
    }
    ok(good && lnt_addr_equal(&empty, &empty), "each equals itself only");
    char text[LNT_ADDR_TEXT];
    is_str(lnt_addr_format(&empty, text, sizeof(text)), "-", "none");
}

/* Which pairs overlap; the kernel is asked, too, where it can be. */
static void
overlaps(void)
{
    static const struct {
        const char *a, *b;
        bool yes;
    } t[] = {
        {"5", "6", false},
        {"5", "*:5", true},
        {"5", "1.2.3.4:5", true},
        {"5", "0.0.0.0:5", true},
        {"5", "[::]:5", true},
        {"5", "[::1]:5", true},
        {"5", "1.2.3.4:6", false},
        {"0.0.0.0:5", "1.2.3.4:5", true},
        {"0.0.0.0:5", "[::ffff:1.2.3.4]:5", true},
        {"0.0.0.0:5", "[::]:5", false},
        {"0.0.0.0:5", "[::1]:5", false},
        {"[::]:5", "[::1]:5", true},
        {"[::]:5", "[fe80::1%1]:5", true},
        {"[::]:5", "1.2.3.4:5", false},
        {"[::1]:5", "[::2]:5", false},
        {"1.2.3.4:5", "1.2.3.5:5", false},
        {"[fe80::1%1]:5", "[fe80::1]:5", true},
        {"[fe80::1%1]:5", "[fe80::1%2]:5", false},
        {"localhost:5", "127.0.0.1:5", true},
        {"unix:/tmp/a", "5", false},
        {"unix:/tmp/a", "unix:/tmp/b", false},
        {"unix:/tmp/a", "unix:/tmp/./a", true},
        {"unix:/tmp/a", "unix:/a", false},
        {"unix:/a", "unix:///a", true},
        {"unix:/none/a", "unix:/none/./a", false},
        {"unix:a", "unix:./a", true},
    };
    struct lnt_addr a, b, empty = {.len = 0};
    const char *why;

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        lnt_addr_parse(&a, t[i].a, &why);
        lnt_addr_parse(&b, t[i].b, &why);
        is_int(lnt_addr_overlaps(&a, &b), t[i].yes, "%s and %s", t[i].a,
               t[i].b);
        is_int(lnt_addr_overlaps(&b, &a), t[i].yes, "... the other way round");
    }
    ok(!lnt_addr_overlaps(&a, &empty) && !lnt_addr_overlaps(&empty, &a),
       "nothing overlaps with none");
    ok(lnt_path_same("/tmp/x", "/tmp//x") && !lnt_path_same("/tmp/x", "/x"),
       "paths");
    char link[PATH_MAX], in_link[PATH_MAX + 8], in_dir[PATH_MAX + 8];
    snprintf(link, sizeof(link), "%s", tmp_path("link"));
    ok(symlink(tmp_dir(), link) == 0, "a symbolic link to a folder");
    snprintf(in_link, sizeof(in_link), "%s/x", link);
    snprintf(in_dir, sizeof(in_dir), "%s/x", tmp_dir());
    ok(lnt_path_same(in_link, in_dir), "... is seen through");
    unlink(link);
}

static void
networks(void)
{
    static const struct {
        const char *text;
        uint64_t prefix;
        uint32_t family;
    } t[] = {
        {"1.2.3.4:5", 0x01020304, 4},
        {"1.2.3.4:6", 0x01020304, 4},
        {"255.0.0.1:6", 0xff000001, 4},
        {"[::ffff:1.2.3.4]:5", 0x01020304, 4},
        {"[2001:db8:1:2:3:4:5:6]:7", 0x20010db800010002, 6},
        {"[2001:db8:1:2::1]:7", 0x20010db800010002, 6},
        {"[::1]:7", 0, 6},
    };
    struct lnt_network net;
    struct lnt_addr a;
    const char *why;

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        lnt_addr_parse(&a, t[i].text, &why);
        ok(lnt_addr_network(&a, &net) && net.prefix == t[i].prefix &&
               net.family == t[i].family,
           "%s counts as what it is in", t[i].text);
    }
    /* As the kernel gives it for a socket that takes both. */
    struct sockaddr_in6 mapped = {.sin6_family = AF_INET6};
    inet_pton(AF_INET6, "::ffff:1.2.3.4", &mapped.sin6_addr);
    memcpy(&a.ss, &mapped, sizeof(mapped));
    a.len = sizeof(mapped);
    ok(lnt_addr_network(&a, &net) && net.prefix == 0x01020304 &&
           net.family == 4,
       "a mapped address is a v4 address");
    lnt_addr_parse(&a, "unix:/a", &why);
    ok(!lnt_addr_network(&a, &net), "a unix socket is nobody's");
    a.len = 0;
    ok(!lnt_addr_network(&a, &net), "nor is nothing");
}

/* The address a socket really has, with its port. */
static struct lnt_addr
bound(int fd)
{
    struct lnt_addr a = {.len = sizeof(a.ss)};

    getsockname(fd, (struct sockaddr *)&a.ss, &a.len);
    return a;
}

/* A listener on a port that the kernel chooses. */
static int
listen_any(const char *text)
{
    struct lnt_addr a;
    const char *why;

    lnt_addr_parse(&a, text, &why);
    if (a.ss.ss_family == AF_INET)
        memset((char *)&a.ss + offsetof(struct sockaddr_in, sin_port), 0, 2);
    else
        memset((char *)&a.ss + offsetof(struct sockaddr_in6, sin6_port), 0, 2);
    return lnt_socket_listen(&a, 16, 0);
}

static bool
has_flags(int fd)
{
    return (fcntl(fd, F_GETFD) & FD_CLOEXEC) &&
           (fcntl(fd, F_GETFL) & O_NONBLOCK);
}

static void
one_listener(const char *text, const char *client, const char *peer_starts)
{
    int fd = listen_any(text);
    struct lnt_addr at, to, peer;
    char name[LNT_ADDR_TEXT], target[LNT_ADDR_TEXT + 16];
    const char *why;

    if (fd < 0) {
        skip(5, "no listener on %s here: %s", text, strerror(errno));
        return;
    }
    ok(has_flags(fd), "%s: non-blocking and close-on-exec", text);
    is_int(lnt_socket_accept(fd, NULL), -1, "nobody yet");
    is_int(errno, EAGAIN, "EAGAIN");
    lnt_socket_nodelay(fd);
    lnt_socket_user_timeout(fd, 1234);
    at = bound(fd);
    lnt_addr_format(&at, name, sizeof(name));
    snprintf(target, sizeof(target), "%s%s", client, strrchr(name, ':'));
    lnt_addr_parse(&to, target, &why);
    int c = socket(to.ss.ss_family, SOCK_STREAM, 0);
    if (connect(c, (struct sockaddr *)&to.ss, to.len) < 0) {
        skip(2, "cannot connect to %s: %s", target, strerror(errno));
    } else {
        int s = lnt_socket_accept(fd, &peer);

        ok(s >= 0 && has_flags(s), "accepted, with the flags");
        lnt_addr_format(&peer, name, sizeof(name));
        ok(strncmp(name, peer_starts, strlen(peer_starts)) == 0, "peer is %s",
           name);
        int v = 0;
        socklen_t n = sizeof(v);
        getsockopt(s, IPPROTO_TCP, TCP_NODELAY, &v, &n);
        ok(v, "it does not delay, as the listener");
        getsockopt(s, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, &n);
        is_int(v, 1234, "and has its user timeout");
        lnt_socket_user_timeout(s, 0);
        getsockopt(s, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, &n);
        is_int(v, 0, "... until it is taken away");
        lnt_socket_user_timeout(s, UINT64_MAX);
        getsockopt(s, IPPROTO_TCP, TCP_USER_TIMEOUT, &v, &n);
        is_int(v, INT_MAX, "... or more than fits is set");
        close(s);
    }
    close(c);
    close(fd);
}

/* Whether the kernel still has bytes for a peer that has no room. */
static void
unsent(void)
{
    struct lnt_addr peer;
    char bytes[4096] = {0};
    int fd = listen_any("127.0.0.1:1");
    struct lnt_addr at = bound(fd);
    int c = socket(AF_INET, SOCK_STREAM, 0);
    int small = 4096;

    setsockopt(c, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    if (connect(c, (struct sockaddr *)&at.ss, at.len) < 0) {
        skip(3, "cannot connect: %s", strerror(errno));
    } else {
        int s = lnt_socket_accept(fd, &peer);

        ok(!lnt_socket_has_unsent(s), "nothing was written");
        while (send(s, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
            ;
        ok(lnt_socket_has_unsent(s), "more than the peer has room for");
        shutdown(s, SHUT_WR);
        while (recv(c, bytes, sizeof(bytes), 0) > 0)
            ;
        ok(!lnt_socket_has_unsent(s), "it has read all");
        close(s);
    }
    close(c);
    close(fd);
}

static void
listeners(void)
{
    one_listener("127.0.0.1:1", "127.0.0.1", "127.0.0.1:");
    one_listener("[::1]:1", "[::1]", "[::1]:");
    one_listener("1", "127.0.0.1", "127.0.0.1:");
    one_listener("*:1", "[::1]", "[::1]:");

    int fd = listen_any("127.0.0.1:1");
    struct lnt_addr at = bound(fd);
    is_int(lnt_socket_listen(&at, 16, 0), -1, "the same address again");
    is_int(errno, EADDRINUSE, "is in use");
    is_int(lnt_socket_try(&at), -1, "which is found out without listening");
    is_int(errno, EADDRINUSE, "with the same reason");
    close(fd);
    is_int(lnt_socket_try(&at), 0, "and when it is free, that");
    fd = lnt_socket_listen(&at, 16, 0);
    ok(fd >= 0, "and free when it is closed");
    close(fd);
}

/* A socket that takes the place of one whose address overlaps. */
static void
beside(void)
{
    int old = listen_any("127.0.0.1:1");
    struct lnt_addr at = bound(old), all = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in v4;

    memcpy(&v4, &at.ss, sizeof(v4));
    v4.sin_addr.s_addr = htonl(INADDR_ANY);
    memcpy(&all.ss, &v4, sizeof(v4));
    is_int(lnt_socket_bind_beside(&all), -1, "not beside one that shares not");
    is_int(errno, EADDRINUSE, "EADDRINUSE");
    is_int(lnt_socket_share(old), 0, "now it does");
    int fd = lnt_socket_bind_beside(&all);
    ok(fd >= 0 && has_flags(fd), "and another one is bound beside it");
    is_int(lnt_socket_try(&all), -1, "not so one that does not share");
    int c = socket(AF_INET, SOCK_STREAM, 0);
    ok(connect(c, (struct sockaddr *)&at.ss, at.len) == 0, "a client");
    int s = lnt_socket_accept(old, NULL);
    ok(s >= 0, "is the first one's");
    close(s);
    close(c);
    is_int(listen(fd, 16), 0, "it listens");
    close(old);
    c = socket(AF_INET, SOCK_STREAM, 0);
    ok(connect(c, (struct sockaddr *)&at.ss, at.len) == 0, "another client");
    s = lnt_socket_accept(fd, NULL);
    ok(s >= 0, "is the second one's when the first is closed");
    close(s);
    close(c);
    close(fd);
}

/* What a text of an older version means is seen from the socket. */
static void
adoption(void)
{
    static const struct {
        const char *listen, *text, *wanted;
    } t[] = {
        {"1", "[::]:1", "*:1"},
        {"[::]:1", "[::]:1", "[::]:1"},
        {"[::]:1", "*:1", "[::]:1"},
        {"0.0.0.0:1", "[::]:1", "*:1"},
        {"0.0.0.0:1", "0.0.0.0:1", "0.0.0.0:1"},
    };
    const char *why;

    for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        int fd = listen_any(t[i].listen);
        struct lnt_addr a;
        char text[LNT_ADDR_TEXT];

        if (fd < 0) {
            skip(1, "no listener on %s here: %s", t[i].listen, strerror(errno));
            continue;
        }
        lnt_addr_parse(&a, t[i].text, &why);
        lnt_socket_adopt(&a, fd);
        is_str(lnt_addr_format(&a, text, sizeof(text)), t[i].wanted,
               "a socket of %s, said to be of %s", t[i].listen, t[i].text);
        close(fd);
    }
}

static void
unix_listeners(void)
{
    const char *path = tmp_path("l.sock");
    char text[PATH_MAX + 8];
    struct lnt_addr a, peer;
    struct stat st;
    const char *why;

    snprintf(text, sizeof(text), "unix:%s", path);
    lnt_addr_parse(&a, text, &why);
    mode_t mask = umask(0);
    int fd = lnt_socket_listen(&a, 16, 0640);
    ok(fd >= 0 && has_flags(fd), "listens on a path");
    stat(path, &st);
    is_int(st.st_mode & 07777, 0640, "with the mode that was asked for");
    is_int(umask(mask), 0, "the mask is as before");

    int c = lnt_socket_connect_unix(path);
    ok(c >= 0 && (fcntl(c, F_GETFD) & FD_CLOEXEC), "connects");
    ok(!(fcntl(c, F_GETFL) & O_NONBLOCK), "blocking");
    int s = lnt_socket_accept(fd, &peer);
    ok(s >= 0, "accepted");
    char name[LNT_ADDR_TEXT];
    is_str(lnt_addr_format(&peer, name, sizeof(name)),
           "unix:", "the peer has no name");
    lnt_socket_nodelay(s);
    lnt_socket_user_timeout(s, 1);
    ok(!lnt_socket_has_unsent(s), "what is written is with the peer");
    close(s);
    close(c);

    is_int(lnt_socket_listen(&a, 16, 0600), -1, "a live one is not replaced");
    is_int(errno, EADDRINUSE, "it is in use");
    ok(stat(path, &st) == 0, "its file is still there");
    close(lnt_socket_accept(fd, NULL)); /* the look whether it is alive */
    close(fd);
    fd = lnt_socket_listen(&a, 16, 0600);
    ok(fd >= 0, "a stale one is");
    close(fd);
    unlink(path);
    is_int(lnt_socket_connect_unix(path), -1, "nothing there");
    is_int(errno, ENOENT, "ENOENT");
    memset(text, 'x', 200);
    text[200] = '\0';
    is_int(lnt_socket_connect_unix(text), -1, "too long");
    is_int(errno, ENAMETOOLONG, "ENAMETOOLONG");
}

static void
unix_in_the_way(void)
{
    const char *path = tmp_write("file.sock", "precious", 8);
    char text[PATH_MAX + 8];
    struct lnt_addr a;
    const char *why;

    snprintf(text, sizeof(text), "unix:%s", path);
    lnt_addr_parse(&a, text, &why);
    is_int(lnt_socket_listen(&a, 16, 0600), -1, "a file in the way");
    is_int(errno, EADDRINUSE, "is not touched");
    char *content = tmp_read(path);
    is_str(content, "precious", "as it was");
    free(content);
    unlink(path);

    /* full backlog: its owner is busy, not dead */
    int fd = lnt_socket_listen(&a, 0, 0600);
    struct sockaddr_un un;
    memcpy(&un, &a.ss, sizeof(un));
    int c[8];
    for (int i = 0; i < 8; i++) {
        c[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (connect(c[i], (struct sockaddr *)&un, sizeof(un)) < 0)
            ok(errno == EAGAIN || i > 0, "the backlog is full at %d", i);
    }
    is_int(lnt_socket_listen(&a, 16, 0600), -1, "a busy one");
    is_int(errno, EADDRINUSE, "is in use");
    for (int i = 0; i < 8; i++)
        close(c[i]);
    close(fd);
    snprintf(text, sizeof(text), "unix:%s/no/such/folder", tmp_dir());
    lnt_addr_parse(&a, text, &why);
    is_int(lnt_socket_listen(&a, 16, 0600), -1, "no folder for it");
    is_int(errno, ENOENT, "ENOENT");
}

static int
open_files(void)
{
    int n = 0;

    for (int i = 0; i < 1024; i++)
        n += fcntl(i, F_GETFD) >= 0;
    return n;
}

static void
passing(void)
{
    int pair[2], fds[LNT_FDS_MAX + 1], got[LNT_FDS_MAX];
    char buf[64];
    struct iovec iov[2] = {{(char[]){"ab"}, 2}, {(char[]){"cde"}, 3}};
    size_t n;

    is_int(lnt_socket_pair(pair), 0, "a pair");
    ok(has_flags(pair[0]) && has_flags(pair[1]), "with the flags");
    int before = open_files();
    n = LNT_FDS_MAX;
    is_int(lnt_socket_recv_fds(pair[1], buf, sizeof(buf), got, &n), -1,
           "nothing yet");
    is_int(errno, EAGAIN, "EAGAIN");
    is_int(n, 0, "no descriptors either");

    is_int(lnt_socket_send_fds(pair[0], iov, 2, NULL, 0), 5, "bytes only");
    n = LNT_FDS_MAX;
    is_int(lnt_socket_recv_fds(pair[1], buf, sizeof(buf), got, &n), 5, "come");
    is_mem(buf, 5, "abcde", 5, "as they were sent");
    is_int(n, 0, "alone");

    for (size_t i = 0; i <= LNT_FDS_MAX; i++)
        fds[i] = pair[0];
    for (size_t want = 1; want <= LNT_FDS_MAX; want += 199) {
        is_int(lnt_socket_send_fds(pair[0], iov, 1, fds, want), 2,
               "%zu descriptors", want);
        n = LNT_FDS_MAX;
        is_int(lnt_socket_recv_fds(pair[1], buf, sizeof(buf), got, &n), 2,
               "come");
        is_int(n, want, "all of them");
        ok(fcntl(got[n - 1], F_GETFD) & FD_CLOEXEC, "close-on-exec");
        while (n)
            close(got[--n]);
    }
    is_int(lnt_socket_send_fds(pair[0], iov, 1, fds, LNT_FDS_MAX + 1), -1,
           "one too many");
    is_int(errno, EINVAL, "EINVAL");

    /* room for fewer than come, odd and even, none */
    for (size_t room = 0; room < 4; room++) {
        lnt_socket_send_fds(pair[0], iov, 1, fds, room + 1);
        n = room;
        memset(got, 0xff, sizeof(got));
        is_int(lnt_socket_recv_fds(pair[1], buf, sizeof(buf), got, &n), -1,
               "%zu more than there is room for", room + 1 - room);
        ok(errno == EMSGSIZE && n == 0 && got[room] == -1,
           "EMSGSIZE, nothing written beyond");
    }
    lnt_socket_send_fds(pair[0], iov, 2, fds, 2);
    n = LNT_FDS_MAX;
    is_int(lnt_socket_recv_fds(pair[1], buf, 3, got, &n), -1,
           "a message longer than the buffer");
    ok(errno == EMSGSIZE && n == 0, "EMSGSIZE");
    is_int(open_files(), before, "no descriptor is left over");

    /* at the limit of open files */
    struct rlimit keep, tight;
    getrlimit(RLIMIT_NOFILE, &keep);
    lnt_socket_send_fds(pair[0], iov, 1, fds, 10);
    tight = keep;
    tight.rlim_cur = (rlim_t)dup(0) + 5;
    close((int)tight.rlim_cur - 5);
    setrlimit(RLIMIT_NOFILE, &tight);
    n = LNT_FDS_MAX;
    is_int(lnt_socket_recv_fds(pair[1], buf, sizeof(buf), got, &n), 2,
           "more descriptors than this process may have: the bytes come");
    is_int(n, 0, "without any");
    setrlimit(RLIMIT_NOFILE, &keep);
    is_int(open_files(), before, "none of them is left over");

    /* until it would block, then everything comes out in order */
    unsigned sent = 0, received = 0;
    bool good = true;
    while (lnt_socket_send_fds(pair[0], &(struct iovec){&sent, sizeof(sent)}, 1,
                               NULL, 0) == sizeof(sent))
        sent++;
    is_int(errno, EAGAIN, "full after %u", sent);
    for (unsigned v; received < sent; received++) {
        n = 0;
        good =
            good &&
            lnt_socket_recv_fds(pair[1], &v, sizeof(v), got, &n) == sizeof(v) &&
            v == received;
    }
    ok(good, "all in order");
    close(pair[0]);
    n = LNT_FDS_MAX;
    is_int(lnt_socket_recv_fds(pair[1], buf, sizeof(buf), got, &n), 0,
           "end of file");
    is_int(lnt_socket_send_fds(pair[1], iov, 1, NULL, 0), -1,
           "nobody listens any more");
    is_int(errno, EPIPE, "EPIPE, without a signal");
    close(pair[1]);
}

int
main(void)
{
    parsing();
    equality();
    overlaps();
    networks();
    listeners();
    beside();
    adoption();
    unsent();
    unix_listeners();
    unix_in_the_way();
    passing();
    return done_testing();
}
