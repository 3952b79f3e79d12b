/*
 * Dates of HTTP: written in the one form, read in all three.  The C library's
 * functions are left out of it: they look at locales and time zones.
 */
#include "modules/http/date.h"

#include <stdbool.h>
#include <string.h>

static const char month_names[12][4] = {"Jan", "Feb", "Mar", "Apr",
                                        "May", "Jun", "Jul", "Aug",
                                        "Sep", "Oct", "Nov", "Dec"};
static const char day_names[7][4] = {"Sun", "Mon", "Tue", "Wed",
                                     "Thu", "Fri", "Sat"};

/* Days from 1970-01-01 to a day of the proleptic Gregorian calendar; years
   are taken to begin in March, which puts the leap day last. */
static int64_t
days_of(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year -
           719468;
}

static void
date_of(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t of_era = days - era * 146097;
    int64_t y =
        (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * y + y / 4 - y / 100);
    int64_t m = (5 * of_year + 2) / 153;
    *day = (int)(of_year - (153 * m + 2) / 5 + 1);
    *month = (int)(m < 10 ? m + 3 : m - 9);
    *year = y + era * 400 + (*month <= 2);
}

static char *
put_number(char *p, int64_t v, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        p[i] = (char)('0' + v % 10);
        v /= 10;
    }
    return p + digits;
}

static char *
put_name(char *p, const char *name)
{
    memcpy(p, name, 3);
    return p + 3;
}

/* What has four digits for its year. */
static int64_t
clamp_time(int64_t t)
{
    static const int64_t last = 253402300799; /* of the year 9999 */
    return t < 0 ? 0 : t > last ? last : t;
}

static char *
put_clock(char *p, int64_t rest)
{
    p = put_number(p, rest / 3600, 2);
    *p++ = ':';
    p = put_number(p, rest / 60 % 60, 2);
    *p++ = ':';
    return put_number(p, rest % 60, 2);
}

void
lnt_http_date_format(int64_t t, char out[LNT_HTTP_DATE_LEN + 1])
{
    t = clamp_time(t);
    int64_t days = t / 86400, rest = t % 86400, year = 0;
    int month = 0, day = 0;
    date_of(days, &year, &month, &day);
    char *p = put_name(out, day_names[(days + 4) % 7]);
    *p++ = ',';
    *p++ = ' ';
    p = put_number(p, day, 2);
    *p++ = ' ';
    p = put_name(p, month_names[month - 1]);
    *p++ = ' ';
    p = put_number(p, year, 4);
    *p++ = ' ';
    p = put_clock(p, rest);
    memcpy(p, " GMT", 5);
}

void
lnt_http_stamp_format(int64_t t, char out[LNT_HTTP_STAMP_LEN + 1])
{
    t = clamp_time(t);
    int64_t days = t / 86400, rest = t % 86400, year = 0;
    int month = 0, day = 0;
    date_of(days, &year, &month, &day);
    char *p = put_number(out, year, 4);
    *p++ = '-';
    p = put_number(p, month, 2);
    *p++ = '-';
    p = put_number(p, day, 2);
    *p++ = 'T';
    p = put_clock(p, rest);
    memcpy(p, "+00:00", 7);
}

/* ---- reading ---- */

struct date {
    int64_t year;
    int month, day, hour, minute, second;
};

static bool
take_number(struct lnt_str *s, size_t digits, int *v)
{
    if (s->n < digits)
        return false;
    *v = 0;
    for (size_t i = 0; i < digits; i++) {
        if (s->p[i] < '0' || s->p[i] > '9')
            return false;
        *v = *v * 10 + (s->p[i] - '0');
    }
    s->p += digits;
    s->n -= digits;
    return true;
}

static bool
take_text(struct lnt_str *s, const char *text)
{
    size_t n = strlen(text);
    if (s->n < n || memcmp(s->p, text, n) != 0)
        return false;
    s->p += n;
    s->n -= n;
    return true;
}

static bool
take_month(struct lnt_str *s, int *month)
{
    for (int i = 0; i < 12; i++)
        if (take_text(s, month_names[i])) {
            *month = i + 1;
            return true;
        }
    return false;
}

static bool
take_time(struct lnt_str *s, struct date *d)
{
    return take_number(s, 2, &d->hour) && take_text(s, ":") &&
           take_number(s, 2, &d->minute) && take_text(s, ":") &&
           take_number(s, 2, &d->second);
}

/* The name of a day, short or long, and what follows it. */
static bool
take_day_name(struct lnt_str *s, const char *behind)
{
    static const char *const rests[7] = {"day",   "day", "sday", "nesday",
                                         "rsday", "day", "urday"};
    for (int i = 0; i < 7; i++) {
        struct lnt_str t = *s;
        if (!take_text(&t, day_names[i]))
            continue;
        (void)take_text(&t, rests[i]);
        if (!take_text(&t, behind))
            return false;
        *s = t;
        return true;
    }
    return false;
}

/* Sun, 06 Nov 1994 08:49:37 GMT */
static bool
read_fixed(struct lnt_str s, struct date *d)
{
    int year = 0;
    bool good = take_day_name(&s, ", ") && take_number(&s, 2, &d->day) &&
                take_text(&s, " ") && take_month(&s, &d->month) &&
                take_text(&s, " ") && take_number(&s, 4, &year) &&
                take_text(&s, " ") && take_time(&s, d) &&
                take_text(&s, " GMT") && s.n == 0;
    d->year = year;
    return good;
}

/* Sunday, 06-Nov-94 08:49:37 GMT; two digits mean 1970 to 2069. */
static bool
read_rfc850(struct lnt_str s, struct date *d)
{
    int year = 0;
    bool good = take_day_name(&s, ", ") && take_number(&s, 2, &d->day) &&
                take_text(&s, "-") && take_month(&s, &d->month) &&
                take_text(&s, "-") && take_number(&s, 2, &year) &&
                take_text(&s, " ") && take_time(&s, d) &&
                take_text(&s, " GMT") && s.n == 0;
    d->year = year + (year < 70 ? 2000 : 1900);
    return good;
}

/* Sun Nov  6 08:49:37 1994 */
static bool
read_asctime(struct lnt_str s, struct date *d)
{
    int year = 0;
    bool good = take_day_name(&s, " ") && take_month(&s, &d->month) &&
                take_text(&s, " ");
    if (good && take_text(&s, " "))
        good = take_number(&s, 1, &d->day);
    else
        good = good && take_number(&s, 2, &d->day);
    good = good && take_text(&s, " ") && take_time(&s, d) &&
           take_text(&s, " ") && take_number(&s, 4, &year) && s.n == 0;
    d->year = year;
    return good;
}

int
lnt_http_date_parse(struct lnt_str s, int64_t *t)
{
    struct date d = {0};
    if (!read_fixed(s, &d) && !read_rfc850(s, &d) && !read_asctime(s, &d))
        return -1;
    if (d.day < 1 || d.day > 31 || d.hour > 23 || d.minute > 59 ||
        d.second > 60)
        return -1;
    *t = days_of(d.year, d.month, d.day) * 86400 + d.hour * 3600 +
         d.minute * 60 + d.second;
    return 0;
}
