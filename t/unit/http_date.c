/*
 * Dates of HTTP, against the C library over five centuries.
 */
#include "modules/http/date.h"

#include <time.h>

#include "t/unit/tap.h"

static void
parsed(const char *text, int64_t wanted)
{
    int64_t t = -2;
    int got = lnt_http_date_parse(lnt_str_c(text), &t);
    is_int(got < 0 ? -1 : t, wanted, "%s", text);
}

static void
test_range(void)
{
    long bad = 0, n = 0;
    /* Steps that meet every hour, day and month. */
    for (int64_t t = 0; t < 16725225600; t += 86400 * 3 + 3607, n++) {
        char out[LNT_HTTP_DATE_LEN + 1], want[64];
        time_t tt = (time_t)t;
        struct tm tm;
        int64_t back = -1;
        gmtime_r(&tt, &tm);
        strftime(want, sizeof(want), "%a, %d %b %Y %H:%M:%S GMT", &tm);
        lnt_http_date_format(t, out);
        bad += strcmp(out, want) != 0;
        bad += lnt_http_date_parse(lnt_str_c(out), &back) != 0 || back != t;
        strftime(want, sizeof(want), "%a %b %e %H:%M:%S %Y", &tm);
        bad += lnt_http_date_parse(lnt_str_c(want), &back) != 0 || back != t;
    }
    ok(bad == 0 && n > 60000, "%ld dates up to the year 2500", n);
}

int
main(void)
{
    char out[LNT_HTTP_DATE_LEN + 1];
    lnt_http_date_format(784111777, out);
    is_str(out, "Sun, 06 Nov 1994 08:49:37 GMT", "written");
    parsed("Sun, 06 Nov 1994 08:49:37 GMT", 784111777);
    parsed("Sunday, 06-Nov-94 08:49:37 GMT", 784111777);
    parsed("Sun Nov  6 08:49:37 1994", 784111777);
    parsed("Wed, 01 Jan 2070 00:00:00 GMT", 3155760000);
    parsed("Wednesday, 01-Jan-69 00:00:00 GMT", 3124224000);
    parsed("Thu, 01 Jan 1970 00:00:00 GMT", 0);
    parsed("Thu, 29 Feb 2024 23:59:60 GMT", 1709251200);
    parsed("", -1);
    parsed("0", -1);
    parsed("Sun, 06 Nov 1994 08:49:37", -1);
    parsed("Sun, 06 Nov 1994 08:49:37 UTC", -1);
    parsed("Sun, 06 Nov 1994 08:49:37 GMT ", -1);
    parsed("Sun, 6 Nov 1994 08:49:37 GMT", -1);
    parsed("Sun, 06 nov 1994 08:49:37 GMT", -1);
    parsed("Sun, 32 Nov 1994 08:49:37 GMT", -1);
    parsed("Sun, 06 Nov 1994 24:49:37 GMT", -1);
    parsed("Sun, 06 Nov 1994 08:60:37 GMT", -1);
    parsed("Sun, 00 Nov 1994 08:49:37 GMT", -1);
    parsed("Mittwoch, 06 Nov 1994 08:49:37 GMT", -1);
    test_range();
    return done_testing();
}
