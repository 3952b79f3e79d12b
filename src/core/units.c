/*
 * Numbers as people write them.  Bounds, and what to say besides what was
 * expected, are left to conf.c.
 */
#include "core/units.h"

#include <inttypes.h>
#include <stdlib.h>

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit size_units[] = {
    {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}, {"", 1}, {NULL, 0},
};
static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000},
    {"s", 1000},     {"ms", 1},      {NULL, 0},
};

static const char expected_int[] = "expected a whole number";
static const char expected_size[] = "expected a size such as 512, 64k, 16m or "
                                    "1g";
static const char expected_duration[] =
    "expected a duration with its unit, such as 500ms, 10s, 5m, 2h or 1d";
static const char expected_rate[] =
    "expected a rate such as 20/s or 30/m, or 0";
static const char expected_flag[] = "expected on or off";
static const char too_large[] = "the number is too large";

static const char *digits(struct lnt_str *s, uint64_t *out);
static int with_unit(struct lnt_str s, const struct unit *units, uint64_t *out,
                     const char **why, const char *expected);
static const struct unit *largest_unit(const struct unit *units, uint64_t v);

int
lnt_parse_int(struct lnt_str s, int64_t *out, const char **why)
{
    bool negative = s.n && s.p[0] == '-';
    uint64_t v;

    if (s.n && (s.p[0] == '-' || s.p[0] == '+'))
        s = lnt_str(s.p + 1, s.n - 1);
    *why = digits(&s, &v);
    if (!*why && s.n)
        *why = expected_int;
    if (!*why && v > (uint64_t)INT64_MAX)
        *why = too_large;
    if (*why) {
        if (*why != too_large)
            *why = expected_int;
        return -1;
    }
    *out = negative ? -(int64_t)v : (int64_t)v;
    return 0;
}

int
lnt_parse_size(struct lnt_str s, uint64_t *out, const char **why)
{
    return with_unit(s, size_units, out, why, expected_size);
}

int
lnt_parse_duration(struct lnt_str s, uint64_t *ms, const char **why)
{
    if (lnt_str_eq(s, LNT_STR("0"))) {
        *ms = 0;
        return 0;
    }
    return with_unit(s, duration_units, ms, why, expected_duration);
}

int
lnt_parse_rate(struct lnt_str s, uint64_t *milli, const char **why)
{
    uint64_t whole, fraction = 0, scale = 1000;
    const char *bad;

    if (lnt_str_eq(s, LNT_STR("0"))) {
        *milli = 0;
        return 0;
    }
    bad = digits(&s, &whole);
    if (!bad && s.n && s.p[0] == '.') {
        s = lnt_str(s.p + 1, s.n - 1);
        size_t n = s.n;
        bad = digits(&s, &fraction);
        if (!bad && n - s.n > 3)
            bad = expected_rate;
        for (n -= s.n; n > 0 && !bad; n--)
            scale /= 10;
        fraction *= scale;
    }
    bool minute = lnt_str_ieq(s, LNT_STR("/m"));
    if (!bad && !minute && !lnt_str_ieq(s, LNT_STR("/s")))
        bad = expected_rate;
    if (!bad && whole > (uint64_t)INT64_MAX / 1000 - 1)
        bad = too_large;
    if (bad) {
        *why = bad == too_large ? too_large : expected_rate;
        return -1;
    }
    uint64_t v = whole * 1000 + fraction;
    if (minute && v) {
        v = (v + 30) / 60;
        if (v == 0)
            v = 1; /* the slowest there is, not "no limit" */
    }
    *milli = v;
    return 0;
}

int
lnt_parse_flag(struct lnt_str s, int *out, const char **why)
{
    static const struct {
        const char *name;
        int value;
    } names[] = {
        {"on", 1}, {"yes", 1}, {"true", 1}, {"off", 0}, {"no", 0}, {"false", 0},
    };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (lnt_str_ieq(s, lnt_str_c(names[i].name))) {
            *out = names[i].value;
            return 0;
        }
    }
    *why = expected_flag;
    return -1;
}

void
lnt_format_size(struct lnt_strbuf *b, uint64_t bytes)
{
    const struct unit *u = largest_unit(size_units, bytes);

    lnt_strbuf_addf(b, "%" PRIu64 "%s", bytes / u->factor, u->name);
}

void
lnt_format_duration(struct lnt_strbuf *b, uint64_t ms)
{
    const struct unit *u = largest_unit(duration_units, ms);

    if (ms == 0)
        lnt_strbuf_addc(b, '0');
    else
        lnt_strbuf_addf(b, "%" PRIu64 "%s", ms / u->factor, u->name);
}

void
lnt_format_rate(struct lnt_strbuf *b, uint64_t milli)
{
    /* Where one a minute is no whole number of thousandths a second, only
       the nearest number of minutes that parses back will do. */
    uint64_t minutes =
        milli <= UINT64_MAX / 120 ? (milli * 60 + 500) / 1000 : 0;

    if (milli == 0) {
        lnt_strbuf_addc(b, '0');
    } else if (milli % 1000 == 0) {
        lnt_strbuf_addf(b, "%" PRIu64 "/s", milli / 1000);
    } else if (minutes && (minutes * 1000 + 30) / 60 == milli) {
        lnt_strbuf_addf(b, "%" PRIu64 "/m", minutes);
    } else {
        char fraction[4] = {(char)('0' + milli / 100 % 10),
                            (char)('0' + milli / 10 % 10),
                            (char)('0' + milli % 10), '\0'};

        for (int i = 2; i > 0 && fraction[i] == '0'; i--)
            fraction[i] = '\0';
        lnt_strbuf_addf(b, "%" PRIu64 ".%s/s", milli / 1000, fraction);
    }
}

/* Takes the digits s starts with; NULL, or what is wrong. */
static const char *
digits(struct lnt_str *s, uint64_t *out)
{
    size_t n = 0;
    uint64_t v = 0;

    for (; n < s->n && s->p[n] >= '0' && s->p[n] <= '9'; n++) {
        unsigned d = (unsigned)(s->p[n] - '0');

        if (v > (UINT64_MAX - d) / 10)
            return too_large;
        v = v * 10 + d;
    }
    if (n == 0)
        return expected_int;
    *s = lnt_str(s->p + n, s->n - n);
    *out = v;
    return NULL;
}

/* Values stay below INT64_MAX, so that they compare with bounds and do not
   overflow when a time is added. */
static int
with_unit(struct lnt_str s, const struct unit *units, uint64_t *out,
          const char **why, const char *expected)
{
    uint64_t v;
    const char *bad = digits(&s, &v);

    if (bad) {
        *why = bad == too_large ? too_large : expected;
        return -1;
    }
    for (const struct unit *u = units; u->name; u++) {
        if (!lnt_str_ieq(s, lnt_str_c(u->name)))
            continue;
        if (v > (uint64_t)INT64_MAX / 2 / u->factor) {
            *why = too_large;
            return -1;
        }
        *out = v * u->factor;
        return 0;
    }
    *why = expected;
    return -1;
}

static const struct unit *
largest_unit(const struct unit *units, uint64_t v)
{
    const struct unit *u = units;

    while (v == 0 ? u[1].name != NULL : v % u->factor != 0)
        u++;
    return u;
}
