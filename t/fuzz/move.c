/*
 * Fuzz target: the bytes of a connection that moves, and what protocols and
 * applications read in theirs.
 *
 * Input: a byte, then
 *   0   such bytes as they are
 *   n   changes of what a client of kind n - 1 is frozen to, four bytes each:
 *       what is done, where (two), and with which byte or number
 * Whatever comes of it lives and can be used, or is told to go; its descriptor
 * is closed, and others are not harmed.
 */
#include "t/lib/zone_check.h"
#include "t/unit/move_world.h"

enum { CHECK_EVERY = 64, CHANGES_MAX = 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool cond)
{
    if (!cond)
        abort();
}

static struct worker *
world(void)
{
    struct worker *w = &workers[0];
    if (nworkers == 0) {
        lnt_log_level(LNT_ALERT);
        world_begin(1);
    }
    return w;
}

/* ---- changes ---- */

static void
insert(struct lnt_strbuf *b, size_t at, uint8_t byte)
{
    lnt_strbuf_addc(b, (char)byte);
    memmove(b->p + at + 1, b->p + at, b->n - 1 - at);
    b->p[at] = (char)byte;
}

/* Lengths and counts that somebody may have forgotten. */
static void
put_number(struct lnt_strbuf *b, size_t at, uint8_t which)
{
    static const uint32_t numbers[] = {
        0,       1,          2,          0xff,        0x100,      0xffff,
        0x10000, 0x7fffffff, 0x80000000, 0xffffffff,  0xfffffffe, 0xfffffffc,
        125,     126,        64 * 1024,  1024 * 1024,
    };
    uint32_t n = numbers[which % (sizeof(numbers) / sizeof(numbers[0]))];
    if (b->n - at >= sizeof(n))
        memcpy(b->p + at, &n, sizeof(n));
}

static void
change(struct lnt_strbuf *b, const uint8_t *p)
{
    size_t at = ((size_t)p[1] << 8 | p[2]) % (b->n + 1);
    switch (p[0] % 6) {
    case 0:
        if (at < b->n)
            b->p[at] = (char)p[3];
        break;
    case 1:
        if (at < b->n)
            b->p[at] = (char)(b->p[at] ^ (1 << p[3] % 8));
        break;
    case 2:
        insert(b, at, p[3]);
        break;
    case 3:
        if (at < b->n)
            memmove(b->p + at, b->p + at + 1, --b->n - at);
        break;
    case 4:
        put_number(b, at, p[3]);
        break;
    case 5:
        b->n = at;
        break;
    }
}

/* ---- what becomes of it ---- */

/* Whether the other end was closed: no descriptor is left behind. */
static bool
is_over(int peer)
{
    char room[4096];
    ssize_t n;
    while ((n = read(peer, room, sizeof(room))) > 0)
        ;
    return n == 0 || errno == ECONNRESET;
}

static void
use(struct worker *w, struct lnt_str bytes, int fd, int peer)
{
    const char *why = NULL;
    char *copy = malloc(bytes.n ? bytes.n : 1);
    must(copy != NULL);
    if (bytes.n)
        memcpy(copy, bytes.p, bytes.n);
    struct lnt_session *s =
        lnt_move_thaw(w->net, fd, lnt_str(copy, bytes.n), find, NULL, &why);
    free(copy);
    must(s || why);
    must(lnt_net_count(w->net) == (s != NULL));
    settle();
    /* What is left of a head, a line, a frame, and the end of a message. */
    if (write(peer, "x\r\n\r\n", 5) == 5)
        settle();
    if (write(peer, "\x80\x80\0\0\0\0", 6) == 6)
        settle();
    lnt_net_abort(w->net);
    settle();
    must(lnt_net_count(w->net) == 0);
}

static void
check_zone(void)
{
    static unsigned runs;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    if (++runs % CHECK_EVERY)
        return;
    if (!lnt_zone_check(zone, &why)) {
        fprintf(stderr, "%s\n", why.p);
        abort();
    }
}

static void
as_they_are(struct worker *w, struct lnt_str bytes)
{
    int fds[2];
    must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0,
                    fds) == 0);
    use(w, bytes, fds[0], fds[1]);
    must(is_over(fds[1]));
    close(fds[1]);
}

static void
changed(struct worker *w, enum kind kind, const uint8_t *p, size_t n)
{
    struct lnt_strbuf bytes = LNT_STRBUF_INIT, other = LNT_STRBUF_INIT;
    struct lnt_session *s;
    const char *why;
    int peer = client(w, kind, &s);
    int fd = lnt_move_freeze(s, &bytes);
    must(fd >= 0);
    int kept = dup(fd);
    lnt_strbuf_add_str(&other, lnt_strbuf_str(&bytes));
    for (int i = 0; i < CHANGES_MAX && n >= 4; i++, p += 4, n -= 4)
        change(&other, p);
    use(w, lnt_strbuf_str(&other), fd, peer);
    /* Its user is still there if it was not found; as if its worker had
       died. */
    (void)lnt_move_thaw(w->net, kept, lnt_strbuf_str(&bytes), find, NULL, &why);
    settle();
    lnt_net_abort(w->net);
    settle();
    must(is_over(peer));
    close(peer);
    lnt_strbuf_release(&bytes);
    lnt_strbuf_release(&other);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct worker *w = world();
    if (size == 0)
        return 0;
    if (data[0] % (KINDS + 1) == 0)
        as_they_are(w, lnt_str(data + 1, size - 1));
    else
        changed(w, (enum kind)(data[0] % (KINDS + 1) - 1), data + 1, size - 1);
    check_zone();
    return 0;
}
