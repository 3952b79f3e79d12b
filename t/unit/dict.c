/*
 * Shared values: the table, its limits and what is said of them, and the form
 * in which changes travel.
 */
#include "ipc/dict.h"

#include "core/strbuf.h"
#include "t/unit/tap.h"

static struct lnt_dict d;
static char filler[LNT_DICT_VALUE_MAX + 1];

static void
set(const char *key, const char *value, uint64_t version)
{
    struct lnt_str v = lnt_str_c(value);
    lnt_dict_apply(&d, lnt_str_c(key), value ? &v : NULL, version);
}

/* Of the table, counted again. */
static void
is_consistent(const char *name)
{
    size_t size = 0, n = 0, disorder = 0;
    const struct lnt_dict_entry **all = lnt_dict_sorted(&d);
    for (; all[n]; n++) {
        size += all[n]->key.n + all[n]->value.n;
        if (lnt_dict_get(&d, all[n]->key) != all[n])
            disorder++;
        if (n == 0)
            continue;
        /* Keys have no NUL, and one is kept behind the bytes. */
        size_t a = all[n - 1]->key.n, b = all[n]->key.n;
        int c = memcmp(all[n - 1]->key.p, all[n]->key.p, a < b ? a : b);
        disorder += c > 0 || (c == 0 && a >= b);
    }
    free(all);
    ok(n == d.map.n && size == d.size && disorder == 0,
       "%s: %zu keys, %zu bytes, sorted", name, d.map.n, d.size);
}

static void
test_table(void)
{
    lnt_dict_init(&d);
    ok(!lnt_dict_get(&d, LNT_STR("a")), "nothing is there at first");
    is_consistent("empty");
    set("b", "two", 1);
    set("a", "one", 2);
    set("ab", "", 3);
    set("a/b", "x", 4);
    const struct lnt_dict_entry *e = lnt_dict_get(&d, LNT_STR("a"));
    is_mem(e->value.p, e->value.n, "one", 3, "set and read");
    is_int(e->version, 2, "with its version");
    e = lnt_dict_get(&d, LNT_STR("ab"));
    ok(e && e->value.n == 0, "an empty value is a value");
    is_int(d.version, 4, "the last version");
    is_consistent("four");
    set("a", "another, longer one", 5);
    e = lnt_dict_get(&d, LNT_STR("a"));
    is_mem(e->value.p, e->value.n, "another, longer one", 19, "set again");
    is_int(d.map.n, 4, "which adds no key");
    set("a", NULL, 6);
    ok(!lnt_dict_get(&d, LNT_STR("a")), "unset");
    ok(lnt_dict_get(&d, LNT_STR("ab")) != NULL, "others stay");
    set("a", NULL, 7);
    is_int(d.version, 7, "unset twice: another version, nothing else");
    is_consistent("three");
    set("b", NULL, 8);
    set("ab", NULL, 9);
    set("a/b", NULL, 10);
    ok(d.map.n == 0 && d.size == 0, "empty again");
    lnt_dict_release(&d);
}

/* More keys than buckets, so that there are chains. */
static void
test_many(void)
{
    char key[32];
    int wrong = 0;
    lnt_dict_init(&d);
    for (int i = 0; i < 4000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        set(key, key, (uint64_t)i + 1);
    }
    for (int i = 0; i < 4000; i += 2) {
        snprintf(key, sizeof(key), "k%d", i);
        set(key, i % 4 ? "changed" : NULL, (uint64_t)i + 4001);
    }
    for (int i = 0; i < 4000; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        const char *wanted = i % 2 ? key : i % 4 ? "changed" : NULL;
        const struct lnt_dict_entry *e = lnt_dict_get(&d, lnt_str_c(key));
        if (wanted ? !e || !lnt_str_eq(e->value, lnt_str_c(wanted)) : !!e)
            wrong++;
    }
    is_int(wrong, 0, "4,000 keys, half of them changed");
    is_consistent("many");
    lnt_dict_release(&d);
}

/* ---- limits ---- */

static void
refused(struct lnt_str key, const struct lnt_str *value, const char *text,
        const char *name)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    bool allowed = lnt_dict_check(&d, key, value, &why);
    ok(!allowed && why.n && strstr(why.p, text), "%s: \"%s\"", name,
       why.n ? why.p : "");
    lnt_strbuf_release(&why);
}

static void
allowed(struct lnt_str key, const struct lnt_str *value, const char *name)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    bool yes = lnt_dict_check(&d, key, value, &why);
    ok(yes && why.n == 0, "%s%s%s", name, why.n ? ": " : "",
       why.n ? why.p : "");
    lnt_strbuf_release(&why);
}

static void
test_keys(void)
{
    struct lnt_str v = LNT_STR("v");
    int taken = 0;
    lnt_dict_init(&d);
    for (int c = 0; c < 256; c++) {
        struct lnt_strbuf why = LNT_STRBUF_INIT;
        char key = (char)c;
        taken += lnt_dict_check(&d, lnt_str(&key, 1), &v, &why);
        lnt_strbuf_release(&why);
    }
    is_int(taken, 26 + 26 + 10 + 5, "of 256 bytes those that a key may have");
    allowed(LNT_STR("room/lobby:slow_mode.X-9"), &v, "all kinds of them");
    refused(LNT_STR(""), &v, "1 to 128", "an empty key");
    allowed(lnt_str(filler, LNT_DICT_KEY_MAX), &v, "a key of 128 bytes");
    refused(lnt_str(filler, LNT_DICT_KEY_MAX + 1), &v, "1 to 128", "of 129");
    refused(LNT_STR("a b"), &v, "letters, digits and . _ : / -", "a blank");
    refused(LNT_STR("a\0b"), &v, "letters, digits", "a NUL inside");
    refused(LNT_STR("gr\303\274n"), &v, "letters, digits", "UTF-8");
    refused(LNT_STR("a b"), NULL, "letters, digits", "unset of what is no key");
    allowed(LNT_STR("a"), NULL, "unset of what may be one");
    lnt_dict_release(&d);
}

static void
test_value_size(void)
{
    struct lnt_str v = {filler, LNT_DICT_VALUE_MAX};
    lnt_dict_init(&d);
    allowed(LNT_STR("k"), &v, "a value of 32 KiB");
    v.n++;
    refused(LNT_STR("k"), &v, "at most 32768 bytes, this one 32769",
            "one byte more");
    lnt_dict_release(&d);
}

static void
test_count(void)
{
    struct lnt_str v = LNT_STR("v");
    char key[32];
    lnt_dict_init(&d);
    for (int i = 0; i < LNT_DICT_KEYS_MAX; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        set(key, "v", (uint64_t)i + 1);
    }
    refused(LNT_STR("new"), &v, "4096 values already", "one key too many");
    allowed(LNT_STR("k7"), &v, "one that is there may change");
    allowed(LNT_STR("k7"), NULL, "and be unset");
    set("k7", NULL, 5000);
    allowed(LNT_STR("new"), &v, "which makes room");
    lnt_dict_release(&d);
}

static void
test_total(void)
{
    char key[32];
    struct lnt_str v = {filler, LNT_DICT_VALUE_MAX};
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    int n = 0;
    lnt_dict_init(&d);
    for (; n < LNT_DICT_KEYS_MAX; n++) {
        snprintf(key, sizeof(key), "k%03d", n);
        if (!lnt_dict_check(&d, lnt_str_c(key), &v, &why))
            break;
        lnt_dict_apply(&d, lnt_str_c(key), &v, (uint64_t)n + 1);
    }
    ok(n == 127 && why.n && strstr(why.p, "at most 4194304 bytes"),
       "%d large values fit: \"%s\"", n, why.n ? why.p : "");
    lnt_strbuf_release(&why);
    allowed(LNT_STR("k005"), &v, "a large one may be replaced by its like");
    v.n = LNT_DICT_SIZE_MAX - d.size - 1;
    allowed(LNT_STR("z"), &v, "up to the last byte");
    v.n++;
    refused(LNT_STR("z"), &v, "unset some", "and not one more");
    is_consistent("full");
    lnt_dict_release(&d);
}

/* ---- as it travels ---- */

static void
round_trip(const char *key, const struct lnt_str *value, uint64_t version,
           const char *name)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_dict_change c;
    lnt_dict_encode(&b, lnt_str_c(key), value, version);
    int rc = lnt_dict_decode(lnt_strbuf_str(&b), &c);
    ok(rc == 0 && c.version == version && lnt_str_eq(c.key, lnt_str_c(key)) &&
           c.unset == !value && (!value || lnt_str_eq(c.value, *value)),
       "there and back: %s", name);
    lnt_strbuf_release(&b);
}

static void
test_travel(void)
{
    struct lnt_str v = LNT_STR("value"), none = LNT_STR(""),
                   nul = LNT_STR("\0a\0"), large = {filler, LNT_DICT_VALUE_MAX};
    round_trip("key", &v, 7, "a value");
    round_trip("key", &none, UINT64_MAX, "an empty one");
    round_trip("key", &nul, 1, "one with NULs");
    round_trip("key", &large, 1, "a large one");
    round_trip("key", NULL, 9, "none");
    round_trip("", &v, 9, "no key"); /* the check refuses it */

    struct lnt_strbuf b = LNT_STRBUF_INIT;
    struct lnt_dict_change c;
    int cut = 0;
    lnt_dict_encode(&b, LNT_STR("key"), &v, 7);
    size_t least = sizeof(uint64_t) + 1 + 4;
    for (size_t n = 0; n < least; n++)
        cut += lnt_dict_decode(lnt_str(b.p, n), &c) < 0;
    is_int(cut, least, "cut before the value: refused");
    b.p[sizeof(uint64_t)] = '+';
    is_int(lnt_dict_decode(lnt_strbuf_str(&b), &c), -1, "neither = nor -");
    b.p[sizeof(uint64_t)] = '-';
    is_int(lnt_dict_decode(lnt_strbuf_str(&b), &c), 0,
           "unset, with what a later release has behind it");
    ok(c.unset && c.value.n == 0, "... which is left");
    lnt_strbuf_release(&b);
    is_int(lnt_dict_decode(lnt_str(NULL, 0), &c), -1, "nothing at all");
}

int
main(void)
{
    memset(filler, 'x', sizeof(filler));
    test_table();
    test_many();
    test_keys();
    test_value_size();
    test_count();
    test_total();
    test_travel();
    return done_testing();
}
