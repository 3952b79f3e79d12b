#include "core/units.h"

#include "t/unit/tap.h"

static const char *why;

static void
ints(void)
{
    static const struct {
        const char *text;
        int rc;
        int64_t v;
    } table[] = {
        {"0", 0, 0},
        {"42", 0, 42},
        {"-7", 0, -7},
        {"+7", 0, 7},
        {"007", 0, 7},
        {"9223372036854775807", 0, INT64_MAX},
        {"-9223372036854775807", 0, -INT64_MAX},
        {"9223372036854775808", -1, 0},
        {"18446744073709551616", -1, 0},
        {"99999999999999999999999", -1, 0},
        {"", -1, 0},
        {"-", -1, 0},
        {"+-1", -1, 0},
        {"1x", -1, 0},
        {" 1", -1, 0},
        {"1.5", -1, 0},
        {"0x10", -1, 0},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int64_t v = -99;
        int rc = lnt_parse_int(lnt_str_c(table[i].text), &v, &why);

        is_int(rc, table[i].rc, "int \"%s\"", table[i].text);
        if (rc == 0)
            is_int(v, table[i].v, "int \"%s\" is %lld", table[i].text,
                   (long long)table[i].v);
        else
            ok(v == -99 && why && *why, "refused, untouched, with a reason");
    }
}

typedef int parse_fn(struct lnt_str, uint64_t *, const char **);

struct row {
    const char *text;
    int rc;
    uint64_t v;
};

static void
table_of(const char *what, parse_fn *parse, const struct row *r, size_t n)
{
    for (; n--; r++) {
        uint64_t v = 99;
        int rc = parse(lnt_str_c(r->text), &v, &why);

        is_int(rc, r->rc, "%s \"%s\"", what, r->text);
        if (rc == 0)
            is_int(v, r->v, "%s \"%s\" is %llu", what, r->text,
                   (unsigned long long)r->v);
        else
            ok(v == 99 && why && *why, "refused, untouched, with a reason");
    }
}

static void
tables(void)
{
    static const struct row sizes[] = {
        {"0", 0, 0},
        {"512", 0, 512},
        {"64k", 0, 65536},
        {"64K", 0, 65536},
        {"1m", 0, 1 << 20},
        {"2G", 0, (uint64_t)2 << 30},
        {"", -1, 0},
        {"k", -1, 0},
        {"1kb", -1, 0},
        {"1 k", -1, 0},
        {"-1", -1, 0},
        {"1t", -1, 0},
        {"1.5m", -1, 0},
        {"99999999999g", -1, 0},
        {"18446744073709551615", -1, 0},
        {"184467440737095516150", -1, 0},
    };
    static const struct row durations[] = {
        {"0", 0, 0},       {"500ms", 0, 500},  {"10s", 0, 10000},
        {"5m", 0, 300000}, {"2h", 0, 7200000}, {"1d", 0, 86400000},
        {"0s", 0, 0},      {"10", -1, 0},      {"", -1, 0},
        {"s", -1, 0},      {"10 s", -1, 0},    {"1w", -1, 0},
        {"10sec", -1, 0},  {"-1s", -1, 0},     {"99999999999999999d", -1, 0},
    };
    static const struct row rates[] = {
        {"0", 0, 0},
        {"20/s", 0, 20000},
        {"30/m", 0, 500},
        {"1/m", 0, 17},
        {"60/m", 0, 1000},
        {"2.5/s", 0, 2500},
        {"0.017/s", 0, 17},
        {"0.01/m", 0, 1},
        {"0/s", 0, 0},
        {"20", -1, 0},
        {"20/h", -1, 0},
        {"/s", -1, 0},
        {"20/", -1, 0},
        {"1.2345/s", -1, 0},
        {"1./s", -1, 0},
        {"", -1, 0},
        {"-1/s", -1, 0},
        {"99999999999999999999/s", -1, 0},
        {"9223372036854775807/s", -1, 0},
    };

    table_of("size", lnt_parse_size, sizes, sizeof(sizes) / sizeof(sizes[0]));
    table_of("duration", lnt_parse_duration, durations,
             sizeof(durations) / sizeof(durations[0]));
    table_of("rate", lnt_parse_rate, rates, sizeof(rates) / sizeof(rates[0]));
}

static void
flags(void)
{
    static const struct {
        const char *text;
        int rc, v;
    } table[] = {
        {"on", 0, 1},   {"off", 0, 0}, {"yes", 0, 1},      {"no", 0, 0},
        {"true", 0, 1}, {"ON", 0, 1},  {"False", 0, 0},    {"1", -1, 0},
        {"", -1, 0},    {"o", -1, 0},  {"enabled", -1, 0},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        int v = 9;
        int rc = lnt_parse_flag(lnt_str_c(table[i].text), &v, &why);

        is_int(rc, table[i].rc, "flag \"%s\"", table[i].text);
        is_int(v, rc == 0 ? table[i].v : 9, "and its value");
    }
}

typedef void format_fn(struct lnt_strbuf *, uint64_t);

/* Whatever can be stored is printed so that it reads back. */
static void
round_trips(const char *what, parse_fn *parse, format_fn *format)
{
    bool good = true;
    uint64_t v = 0;

    for (unsigned i = 0; i < 200000 && good; i++) {
        struct lnt_strbuf b = LNT_STRBUF_INIT;
        uint64_t back = ~v;

        format(&b, v);
        good = parse(lnt_strbuf_str(&b), &back, &why) == 0 && back == v;
        if (!good)
            diag("%s: %llu became \"%s\"", what, (unsigned long long)v, b.p);
        lnt_strbuf_release(&b);
        v = i < 100000 ? i : v + v / 1000 + 1;
        if (v > (uint64_t)1 << 50)
            v = 100000;
    }
    ok(good, "%s: every value reads back", what);
}

static void
shortest(void)
{
    static const struct {
        format_fn *format;
        uint64_t v;
        const char *wanted;
    } table[] = {
        {lnt_format_size, 0, "0"},
        {lnt_format_size, 1023, "1023"},
        {lnt_format_size, 1024, "1k"},
        {lnt_format_size, 1536, "1536"},
        {lnt_format_size, 64 << 20, "64m"},
        {lnt_format_size, (uint64_t)3 << 30, "3g"},
        {lnt_format_duration, 0, "0"},
        {lnt_format_duration, 1, "1ms"},
        {lnt_format_duration, 1500, "1500ms"},
        {lnt_format_duration, 90000, "90s"},
        {lnt_format_duration, 3600000, "1h"},
        {lnt_format_duration, 86400000, "1d"},
        {lnt_format_rate, 0, "0"},
        {lnt_format_rate, 20000, "20/s"},
        {lnt_format_rate, 500, "30/m"},
        {lnt_format_rate, 17, "1/m"},
        {lnt_format_rate, 18, "0.018/s"},
        {lnt_format_rate, 2501, "2.501/s"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct lnt_strbuf b = LNT_STRBUF_INIT;

        table[i].format(&b, table[i].v);
        is_str(b.p, table[i].wanted, "%llu", (unsigned long long)table[i].v);
        lnt_strbuf_release(&b);
    }
}

int
main(void)
{
    ints();
    tables();
    flags();
    round_trips("size", lnt_parse_size, lnt_format_size);
    round_trips("duration", lnt_parse_duration, lnt_format_duration);
    round_trips("rate", lnt_parse_rate, lnt_format_rate);
    shortest();
    return done_testing();
}
