/*
 * How a log line looks.  Works on the memory it is given and no other;
 * writing it somewhere is left to log.c.
 */
#include "core/log_line.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

const char *const lnt_level_names[] = {
    "debug", "info", "notice", "warn", "error", "alert", NULL,
};

/* A line being filled; what does not fit is left out as a whole. */
struct line {
    char *p;
    size_t n, room;
};

enum escape { ESCAPE_TEXT, ESCAPE_JSON };

static void add(struct line *l, const char *p, size_t n);
static void add_head(struct line *l, const struct lnt_log_fields *f);
static void add_who(struct line *l, const struct lnt_log_fields *f);
static void add_text(struct line *l, const struct lnt_log_fields *f,
                     enum escape how, size_t tail);
static size_t escape_one(char out[16], const char *p, size_t n, enum escape how,
                         size_t *used);
static size_t utf8_length(const unsigned char *p, size_t n);

size_t
lnt_log_line_text(char *line, const struct lnt_log_fields *f)
{
    struct line l = {.p = line, .room = LNT_LOG_LINE};

    add_head(&l, f);
    add_who(&l, f);
    add_text(&l, f, ESCAPE_TEXT, 1);
    add(&l, "\n", 1);
    return l.n;
}

size_t
lnt_log_line_syslog(char *line, const struct lnt_log_fields *f)
{
    struct line l = {.p = line, .room = LNT_LOG_LINE};

    /* syslog adds the time and the pid itself */
    add(&l, "[", 1);
    add(&l, lnt_level_names[f->level], strlen(lnt_level_names[f->level]));
    add(&l, "] ", 2);
    add_who(&l, f);
    add_text(&l, f, ESCAPE_TEXT, 0);
    return l.n;
}

size_t
lnt_log_line_short(char *line, const struct lnt_log_fields *f)
{
    struct line l = {.p = line, .room = LNT_LOG_LINE};

    add(&l, "linnet: [", 9);
    add(&l, lnt_level_names[f->level], strlen(lnt_level_names[f->level]));
    add(&l, "] ", 2);
    add_text(&l, f, ESCAPE_TEXT, 1);
    add(&l, "\n", 1);
    return l.n;
}

size_t
lnt_log_line_json(char *line, const struct lnt_log_fields *f)
{
    struct line l = {.p = line, .room = LNT_LOG_LINE};
    time_t t = (time_t)(f->time_us / 1000000);
    struct tm tm = {0};
    char head[160];

    gmtime_r(&t, &tm);
    size_t n =
        strftime(head, sizeof(head), "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(head + n, sizeof(head) - n,
                          ".%03uZ\",\"level\":\"%s\",\"pid\":%d,\"slot\":",
                          (unsigned)(f->time_us / 1000 % 1000),
                          lnt_level_names[f->level], (int)f->pid);
    if (f->slot < 0)
        n += (size_t)snprintf(head + n, sizeof(head) - n, "null");
    else
        n += (size_t)snprintf(head + n, sizeof(head) - n, "%d", f->slot);
    if (f->conn)
        n += (size_t)snprintf(head + n, sizeof(head) - n, ",\"conn\":%llu",
                              (unsigned long long)f->conn);
    add(&l, head, n);
    add(&l, ",\"message\":\"", 12);
    add_text(&l, f, ESCAPE_JSON, 3);
    add(&l, "\"}\n", 3);
    return l.n;
}

static void
add(struct line *l, const char *p, size_t n)
{
    if (n > l->room - l->n)
        return;
    memcpy(l->p + l->n, p, n);
    l->n += n;
}

/* "2026/11/21 22:02:52 [notice] 1234", local time */
static void
add_head(struct line *l, const struct lnt_log_fields *f)
{
    time_t t = (time_t)(f->time_us / 1000000);
    struct tm tm = {0};
    char head[96];

    localtime_r(&t, &tm);
    size_t n = strftime(head, sizeof(head), "%Y/%m/%d %H:%M:%S", &tm);
    n += (size_t)snprintf(head + n, sizeof(head) - n, " [%s] %d",
                          lnt_level_names[f->level], (int)f->pid);
    add(l, head, n);
}

/* "#0 *15: ", "#-: " */
static void
add_who(struct line *l, const struct lnt_log_fields *f)
{
    char who[64];
    int n;

    if (f->slot < 0)
        n = snprintf(who, sizeof(who), "#-");
    else
        n = snprintf(who, sizeof(who), "#%d", f->slot);
    if (f->conn)
        n += snprintf(who + n, sizeof(who) - (size_t)n, " *%llu",
                      (unsigned long long)f->conn);
    add(l, who, (size_t)n);
    add(l, ": ", 2);
}

/* Leaves room for "..." when not all fits, and for the tail in any case. */
static void
add_text(struct line *l, const struct lnt_log_fields *f, enum escape how,
         size_t tail)
{
    size_t end = l->room - tail, fits = l->n, at = 0;

    while (at < f->n) {
        char out[16];
        size_t used;
        size_t n = escape_one(out, f->text + at, f->n - at, how, &used);

        if (l->n + n > end)
            break;
        memcpy(l->p + l->n, out, n);
        l->n += n;
        at += used;
        if (l->n + 3 <= end)
            fits = l->n;
    }
    if (at < f->n || f->more) {
        l->n = fits;
        add(l, "...", 3);
    }
}

/* The next character of p as it is to be written; *used of it are taken. */
static size_t
escape_one(char out[16], const char *p, size_t n, enum escape how, size_t *used)
{
    const unsigned char *u = (const unsigned char *)p;
    size_t len = utf8_length(u, n);
    /* the C1 controls are two bytes in UTF-8, and obeyed by terminals */
    bool control = u[0] < 0x20 || u[0] == 0x7f ||
                   (len == 2 && u[0] == 0xc2 && u[1] < 0xa0);

    *used = len ? len : 1;
    if (len && !control) {
        if (how == ESCAPE_JSON && (u[0] == '"' || u[0] == '\\')) {
            out[0] = '\\';
            out[1] = p[0];
            return 2;
        }
        memcpy(out, p, len);
        return len;
    }
    if (how == ESCAPE_JSON)
        /* U+FFFD stands for what is not UTF-8 */
        return (size_t)snprintf(out, 16, "\\u%04x",
                                !len       ? 0xfffdU
                                : len == 2 ? u[1]
                                           : u[0]);
    if (u[0] == '\n' || u[0] == '\r' || u[0] == '\t') {
        out[0] = '\\';
        out[1] = u[0] == '\n' ? 'n' : u[0] == '\r' ? 'r' : 't';
        return 2;
    }
    size_t m = 0;
    for (size_t i = 0; i < *used; i++)
        m += (size_t)snprintf(out + m, 16 - m, "\\x%02x", u[i]);
    return m;
}

/* Length of the well-formed character p starts with (RFC 3629); 0 if none.
   On its own here because the log stands below everything else. */
static size_t
utf8_length(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80   ? 1
                 : p[0] < 0xc2 ? 0
                 : p[0] < 0xe0 ? 2
                 : p[0] < 0xf0 ? 3
                 : p[0] < 0xf5 ? 4
                               : 0;

    if (len == 0 || len > n)
        return 0;
    for (size_t i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}
