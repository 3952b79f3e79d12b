/*
 * A request that is put off while its filter fails: in one read with it came
 * what is no good.
 */
#include "t/unit/filter_world.h"

#define POLL "GET /poll HTTP/1.1\r\nHost: x\r\n\r\n"

/* The client does not go: it is told, and awaited for a while. */
static void
test_fails(void)
{
    struct toy_client c = toy_dial(&workers[0], "listen web");
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    polls_gone = 0;
    toy_record(&c.out, POLL, sizeof(POLL) - 1, &b);
    lnt_strbuf_add(&b, "\xff\xff\xff", 3);
    toy_write(&c, b.p, b.n);
    settle();
    ok(polls == NULL, "nobody answers it any more");
    is_int(polls_gone, 1, "its handler was told");
    ok(strstr(toy_heard(&c), "200") == NULL && c.alert,
       "the client heard what was no good, and nothing else");
    is_int(lnt_zone_cell(zone, workers[0].cell)->stats.parked, 0,
           "nothing is put off");
    lnt_strbuf_release(&b);
    toy_client_end(&c);
    toy_none_left("a filter that failed");
    is_int(polls_gone, 1, "... told once");
}

int
main(void)
{
    filter_begin(1);
    test_fails();
    world_end();
    return done_testing();
}
