/*
 * Ids that sessions had before they moved: how long they are known, and when
 * their memory is given back.
 */
#include <stdlib.h>

#include "hub/aliases.h"
#include "t/unit/tap.h"

enum { FAR = 1 << 20 }; /* seqs that nobody is late */

static void
test_names(void)
{
    struct lnt_aliases t = {0};
    const struct lnt_alias a = {.id = 9, .after = 10, .until = 20};
    const struct lnt_alias none = {.id = 9};

    is_int(lnt_aliases_id(&t, 7, 15), 7, "an empty table");
    lnt_aliases_add(&t, 0, &none, 1);
    is_int(t.map.n, 0, "a session without a former id");
    lnt_aliases_add(&t, 7, &a, 1);
    is_int(lnt_aliases_id(&t, 7, 10), 7, "before the move");
    is_int(lnt_aliases_id(&t, 7, 11), 9, "behind it");
    is_int(lnt_aliases_id(&t, 8, 11), 8, "another session");
    lnt_aliases_forget(&t, 21);
    is_int(lnt_aliases_id(&t, 7, 21), 9, "somebody may be late");
    lnt_aliases_forget(&t, FAR);
    ok(!t.map.slots && t.map.n == 0,
       "nobody is so late: the memory is given back");
    is_int(lnt_aliases_id(&t, 7, FAR), 7, "and the id is not known any more");
    lnt_aliases_release(&t);
}

static void
test_many(void)
{
    struct lnt_aliases t = {0};
    unsigned wrong = 0;

    for (uint64_t i = 1; i <= 20000; i++) {
        const struct lnt_alias a = {i, .after = 10, .until = 1000000};
        lnt_aliases_add(&t, i << 28, &a, 500);
    }
    for (uint64_t i = 1; i <= 20000; i++)
        wrong += lnt_aliases_id(&t, i << 28, 11) != i ||
                 lnt_aliases_id(&t, i << 28, 10) != i << 28;
    ok(wrong == 0, "each of 20,000 sessions that moved is found (%u not)",
       wrong);
    is_int(lnt_aliases_id(&t, 5, 11), 5, "one that did not move");
    for (uint64_t i = 1; i <= 200000; i++) {
        const struct lnt_alias a = {i, .after = 0, .until = i};
        lnt_aliases_add(&t, i << 29 | 1, &a, 2000000 + i);
    }
    ok(t.map.n <= 1 << 16, "those of long ago are forgotten (%zu are there)",
       t.map.n);
    lnt_aliases_forget(&t, 1000000);
    ok(t.map.slots != NULL, "some may be named still");
    lnt_aliases_forget(&t, FAR * 4);
    ok(!t.map.slots && t.map.n == 0,
       "and when all are long past, the memory is given back");
}

int
main(void)
{
    test_names();
    test_many();
    return done_testing();
}
