#include "core/map.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "t/unit/tap.h"

enum { MANY = 5000 };

struct number {
    unsigned value;
    bool seen;
    struct lnt_map_node node;
};

struct word {
    struct lnt_map_node node;
    uint32_t app;
    char text[16];
};

static struct number *
number(const struct lnt_map *m, uint64_t key)
{
    return LNT_MAP_FIND(m, lnt_map_number(key), struct number, node);
}

static bool
all_there(const struct lnt_map *m, struct number *v, unsigned step)
{
    size_t n = 0;

    for (unsigned i = 0; i < MANY; i++) {
        if (number(m, i) != (i % step == 0 ? NULL : &v[i]))
            return false;
        v[i].seen = false;
    }
    LNT_MAP_EACH(m, struct number, x, node) {
        if (x->seen)
            return false;
        x->seen = true;
        n++;
    }
    return n == m->n;
}

static void
test_numbers(void)
{
    struct lnt_map m = {0};
    struct number *v = lnt_calloc(MANY, sizeof(*v));

    ok(!number(&m, 0) && !lnt_map_next(&m, NULL), "zeroed is empty");
    for (unsigned i = 0; i < MANY; i++) {
        v[i].value = i;
        lnt_map_add(&m, &v[i].node, lnt_map_number(i));
    }
    ok(number(&m, 0) == &v[0], "0 is a number, too");
    is_int(m.n, MANY, "all are counted");
    for (unsigned i = 0; i < MANY; i += 3)
        lnt_map_remove(&m, &v[i].node);
    ok(all_there(&m, v, 3), "a third is gone, the others are there once");
    ok(!number(&m, MANY) && !number(&m, UINT64_MAX), "nobody else is");
    LNT_MAP_EACH(&m, struct number, x, node) {
        lnt_map_remove(&m, &x->node);
        x->value = MANY;
    }
    is_int(m.n, 0, "all go while it is walked");
    ok(!number(&m, 1), "none is found");
    for (unsigned i = 0; i < MANY; i++) {
        if (v[i].value != (i % 3 == 0 ? i : MANY))
            fail("%u was not walked over", i);
    }
    lnt_map_add(&m, &v[7].node, lnt_map_number(7));
    ok(number(&m, 7) == &v[7], "one again");
    lnt_map_release(&m);
    ok(!number(&m, 7), "released is empty");
    free(v);
}

static struct word *
word(struct lnt_map *m, uint32_t app, const char *text)
{
    struct lnt_map_node *node =
        lnt_map_find(m, lnt_map_hash(m, app, lnt_str_c(text)));

    for (; node; node = lnt_map_more(node)) {
        struct word *w = LNT_OWNER(node, struct word, node);

        if (w->app == app && strcmp(w->text, text) == 0)
            return w;
    }
    return NULL;
}

static void
test_words(void)
{
    struct lnt_map m = {0}, other = {0};
    bool good = true;

    lnt_map_seed(&m);
    lnt_map_seed(&other);
    ok(!word(&m, 0, "none"), "none is in an empty one");
    for (unsigned i = 0; i < MANY; i++) {
        struct word *w = lnt_calloc(1, sizeof(*w));

        w->app = i % 2;
        snprintf(w->text, sizeof(w->text), "w%u", i / 2);
        lnt_map_add(&m, &w->node, lnt_map_hash(&m, w->app, lnt_str_c(w->text)));
    }
    for (unsigned i = 0; i < MANY; i++) {
        char text[16];
        struct word *w;

        snprintf(text, sizeof(text), "w%u", i / 2);
        w = word(&m, i % 2, text);
        good = good && w && w->app == i % 2;
    }
    ok(good, "each is found by its key and its salt");
    ok(!word(&m, 2, "w1") && !word(&m, 1, "w"), "others are not");
    ok(lnt_map_hash(&m, 0, LNT_STR("w")) !=
           lnt_map_hash(&other, 0, LNT_STR("w")),
       "each map has a seed of its own");
    LNT_MAP_EACH(&m, struct word, w, node)
        free(w);
    lnt_map_release(&m);
}

/* Those with one hash are told apart by the caller. */
static void
test_same(void)
{
    struct lnt_map m = {0};
    struct number v[3];
    size_t n = 0;

    lnt_map_add(&m, &v[0].node, 42);
    lnt_map_add(&m, &v[1].node, 43);
    lnt_map_add(&m, &v[2].node, 42);
    for (struct lnt_map_node *x = lnt_map_find(&m, 42); x; x = lnt_map_more(x))
        n += x == &v[0].node || x == &v[2].node;
    is_int(n, 2, "two with one hash");
    lnt_map_remove(&m, &v[0].node);
    ok(lnt_map_find(&m, 42) == &v[2].node && !lnt_map_more(&v[2].node),
       "one is left");
    lnt_map_release(&m);
}

int
main(void)
{
    test_numbers();
    test_words();
    test_same();
    return done_testing();
}
