#include "core/list.h"

#include <stdint.h>
#include <stdlib.h>

#include "t/unit/tap.h"

struct one {
    int name;
    struct lnt_list_node node;
};

/* The names in order, and that the way back is the same. */
static const char *
names(const struct lnt_list *l)
{
    static char text[64];
    const struct lnt_list_node *prev = NULL;
    size_t n = 0;

    LNT_LIST_EACH(l, struct one, x, node) {
        if (x->node.prev != prev)
            return "broken";
        prev = &x->node;
        text[n++] = (char)('0' + x->name);
    }
    text[n] = '\0';
    return l->last == prev ? text : "broken";
}

static void
test_order(void)
{
    struct lnt_list l = {0};
    struct one v[6];

    for (int i = 0; i < 6; i++)
        v[i].name = i;
    is_str(names(&l), "", "zeroed is empty");
    ok(!LNT_LIST_FIRST(&l, struct one, node), "... and has no first");
    lnt_list_add_last(&l, &v[1].node);
    is_str(names(&l), "1", "one");
    lnt_list_add_last(&l, &v[2].node);
    lnt_list_add_first(&l, &v[0].node);
    is_str(names(&l), "012", "at both ends");
    lnt_list_add_behind(&l, &v[1].node, &v[3].node);
    lnt_list_add_behind(&l, &v[2].node, &v[4].node);
    lnt_list_add_behind(&l, NULL, &v[5].node);
    is_str(names(&l), "501324", "behind one, behind the last, in front");
    ok(LNT_LIST_FIRST(&l, struct one, node) == &v[5], "the first");
    lnt_list_remove(&l, &v[5].node);
    lnt_list_remove(&l, &v[3].node);
    lnt_list_remove(&l, &v[4].node);
    is_str(names(&l), "012", "the first, one within and the last go");
    LNT_LIST_EACH(&l, struct one, x, node)
        lnt_list_remove(&l, &x->node);
    is_str(names(&l), "", "all go while it is walked");
    lnt_list_add_first(&l, &v[3].node);
    is_str(names(&l), "3", "one again");
}

static void
test_free(void)
{
    struct lnt_list l = {0};

    for (int i = 0; i < 5; i++) {
        struct one *x = malloc(sizeof(*x));

        x->name = i;
        lnt_list_add_last(&l, &x->node);
    }
    LNT_LIST_EACH(&l, struct one, x, node) {
        if (x->name % 2 == 0) {
            lnt_list_remove(&l, &x->node);
            free(x);
        }
    }
    is_str(names(&l), "13", "some go while it is walked");
    LNT_LIST_EACH(&l, struct one, x, node)
        free(x);
}

int
main(void)
{
    test_order();
    test_free();
    return done_testing();
}
