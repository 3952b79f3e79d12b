/*
 * Connections out of the frames of a link: several in one, one over several,
 * and what no worker sends.
 */
#include "worker/arrival.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "core/pack.h"
#include "t/unit/tap.h"

enum { MAX = 1000 };

static char got[8][MAX + 1];
static int got_fds[8];
static size_t taken;

/* Serves all but those that begin with "no". */
static enum lnt_verdict_on_move
take(void *arg, int fd, struct lnt_str bytes)
{
    *(unsigned *)arg += 1;
    memcpy(got[taken], bytes.p, bytes.n);
    got[taken][bytes.n] = '\0';
    got_fds[taken++] = fd;
    return bytes.n >= 2 && memcmp(bytes.p, "no", 2) == 0 ? LNT_MOVE_REFUSED
                                                         : LNT_MOVE_ACCEPTED;
}

static bool
is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static int
some_fd(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void
check_verdict(struct lnt_str *reply, uint32_t number, uint32_t verdict)
{
    uint32_t n = 0, v = 7;
    ok(lnt_unpack_u32(reply, &n) && lnt_unpack_u32(reply, &v) && n == number &&
           v == verdict,
       "... the verdict on number %u is %u", number, verdict);
}

static void
test_many(void)
{
    struct lnt_arrival a;
    struct lnt_strbuf frame = LNT_STRBUF_INIT, reply = LNT_STRBUF_INIT;
    unsigned calls = 0;
    int fds[3] = {some_fd(), some_fd(), some_fd()};
    int kept[3] = {fds[0], fds[1], fds[2]};
    taken = 0;
    lnt_arrival_init(&a, MAX, take, &calls);
    lnt_entry_pack(&frame, 5, 3, LNT_STR("one"));
    lnt_entry_pack(&frame, 6, 7, LNT_STR("no, two"));
    lnt_entry_pack(&frame, 7, 9, LNT_STR("thr"));
    ok(lnt_arrival_frame(&a, lnt_strbuf_str(&frame), fds, 3, &reply),
       "two connections and the beginning of a third");
    is_int(calls, 2, "... are two connections");
    is_str(got[0], "one", "... the first");
    is_str(got[1], "no, two", "... the second");
    ok(got_fds[0] == kept[0] && got_fds[1] == kept[1] && fds[0] == -1 &&
           fds[1] == -1 && fds[2] == -1,
       "... with their descriptors");
    struct lnt_str r = lnt_strbuf_str(&reply);
    check_verdict(&r, 5, 1);
    check_verdict(&r, 6, 0);
    is_int(r.n, 0, "... and no more verdicts");

    lnt_strbuf_clear(&frame);
    lnt_strbuf_clear(&reply);
    lnt_entry_pack(&frame, 7, 9, LNT_STR("ee a"));
    ok(lnt_arrival_frame(&a, lnt_strbuf_str(&frame), NULL, 0, &reply) &&
           reply.n == 0 && calls == 2,
       "a middle is waited on");
    lnt_strbuf_clear(&frame);
    lnt_entry_pack(&frame, 7, 9, LNT_STR("nd"));
    lnt_entry_pack(&frame, 8, 4, LNT_STR("four"));
    fds[0] = some_fd();
    ok(lnt_arrival_frame(&a, lnt_strbuf_str(&frame), fds, 1, &reply),
       "an end, and the next one");
    is_str(got[2], "three and", "... the third is whole");
    is_int(got_fds[2], kept[2], "... with the descriptor it began with");
    is_str(got[3], "four", "... and so is the fourth");
    for (size_t i = 0; i < taken; i++)
        close(got_fds[i]);
    lnt_arrival_release(&a);
    lnt_strbuf_release(&frame);
    lnt_strbuf_release(&reply);
}

static void
refused(const char *name, struct lnt_strbuf *frame, size_t nfds, size_t before)
{
    struct lnt_arrival a;
    struct lnt_strbuf reply = LNT_STRBUF_INIT;
    unsigned calls = 0;
    int fds[2] = {-1, -1}, kept[2];
    for (size_t i = 0; i < nfds; i++)
        fds[i] = some_fd();
    memcpy(kept, fds, sizeof(kept));
    taken = 0;
    lnt_arrival_init(&a, MAX, take, &calls);
    ok(!lnt_arrival_frame(&a, lnt_strbuf_str(frame), fds, nfds, &reply),
       "%s is refused", name);
    is_int(calls, before, "... after what was good");
    is_int(reply.n, before * 8, "... which is answered");
    lnt_arrival_release(&a);
    for (size_t i = 0; i < taken; i++)
        close(got_fds[i]);
    for (size_t i = 0; i < nfds; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    ok((nfds < 1 || !is_open(kept[0])) && (nfds < 2 || !is_open(kept[1])),
       "... and no descriptor is left");
    lnt_strbuf_clear(frame);
    lnt_strbuf_release(&reply);
}

static void
test_bad(void)
{
    struct lnt_strbuf f = LNT_STRBUF_INIT;
    lnt_entry_pack(&f, 1, 3, LNT_STR("one"));
    refused("one without a descriptor", &f, 0, 0);
    lnt_entry_pack(&f, 1, 3, LNT_STR("one"));
    refused("a descriptor of nobody", &f, 2, 1);
    lnt_entry_pack(&f, 1, 3, LNT_STR("one"));
    lnt_entry_pack(&f, 2, 3, LNT_STR(""));
    refused("an entry without bytes", &f, 2, 1);
    lnt_entry_pack(&f, 1, 2, LNT_STR("one"));
    refused("one with more bytes than it says", &f, 1, 0);
    lnt_entry_pack(&f, 1, MAX + 1, LNT_STR("one"));
    refused("one that is too large", &f, 1, 0);
    lnt_entry_pack(&f, 1, 6, LNT_STR("one"));
    lnt_entry_pack(&f, 2, 6, LNT_STR("two"));
    refused("another one in the middle of one", &f, 2, 0);
    lnt_entry_pack(&f, 1, 6, LNT_STR("one"));
    lnt_entry_pack(&f, 1, 5, LNT_STR("two"));
    refused("a size that changes", &f, 1, 0);
    lnt_entry_pack(&f, 1, 3, LNT_STR("one"));
    lnt_strbuf_add(&f, "xyz", 3);
    refused("half a head", &f, 1, 1);
    lnt_strbuf_release(&f);
}

int
main(void)
{
    test_many();
    test_bad();
    return done_testing();
}
