/*
 * Typed configuration under arbitrary files.  What is read without an error is
 * printed as -T does, and that must read back without an error and print the
 * same values.
 */
#include "core/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/strbuf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct all {
    bool flag;
    int64_t number, choice;
    uint64_t size, duration, rate, cache;
    const char *text, *path;
    struct lnt_strings list, paths;
    struct lnt_regex *match;
    struct lnt_regexes origins;
    struct lnt_addr admin;
    struct lnt_addrs addresses;
};

static const struct lnt_enum_value names[] = {
    {"auto", -1}, {"off", 0}, {"own", 7}, {NULL, 0}};
static const struct lnt_enum_value paths[] = {
    {"off", 0}, {"builtin:", 0}, {NULL, 0}};

#define KEY(name, type, field, def, min, max, values)                          \
    {                                                                          \
        name, type, offsetof(struct all, field), def, min, max, values, false, \
            false, ""                                                          \
    }
static const struct lnt_directive keys[] = {
    KEY("f", LNT_TYPE_FLAG, flag, "on", 0, 0, NULL),
    KEY("n", LNT_TYPE_INT, number, NULL, -100, 100, names),
    KEY("e", LNT_TYPE_ENUM, choice, "auto", 0, 0, names),
    KEY("s", LNT_TYPE_SIZE, size, "64k", 0, 0, NULL),
    KEY("d", LNT_TYPE_DURATION, duration, NULL, 5, INT64_MAX, NULL),
    KEY("r", LNT_TYPE_RATE, rate, "20/s", 0, 0, NULL),
    KEY("c", LNT_TYPE_SIZE, cache, "own", 4096, 262144, names),
    KEY("t", LNT_TYPE_STRING, text, NULL, 0, 0, NULL),
    KEY("p", LNT_TYPE_PATH, path, "x", 0, 0, paths),
    KEY("l", LNT_TYPE_LIST, list, "y", 0, 0, NULL),
    KEY("q", LNT_TYPE_PATHS, paths, NULL, 0, 0, paths),
    KEY("m", LNT_TYPE_REGEX, match, "^", 0, 0, NULL),
    KEY("o", LNT_TYPE_REGEXES, origins, NULL, 0, 0, NULL),
    KEY("a", LNT_TYPE_ADDRESS, admin, NULL, 0, 0, NULL),
    KEY("b", LNT_TYPE_ADDRESSES, addresses, "80", 0, 0, NULL),
    {NULL, 0, 0, NULL, 0, 0, NULL, false, false, NULL},
};
static const struct lnt_directive_set set = {"fuzz", sizeof(struct all), keys};
static const struct lnt_section_kind one = {"one", false, "", &set};
static const struct lnt_section_kind many = {"many", true, "", &set};

static struct lnt_section *
build(struct lnt_arena *a, const char *path, struct lnt_report *report)
{
    struct lnt_schema *schema = lnt_schema_new(a);

    lnt_report_init(report, a);
    lnt_schema_kind(schema, &one);
    lnt_schema_kind(schema, &many);
    return lnt_conf_build(a, schema, lnt_ini_load(a, path, NULL, 0, report),
                          NULL, "/prefix", report);
}

/* In a file for as long as fn needs it. */
static struct lnt_section *
build_text(struct lnt_arena *a, const void *text, size_t n,
           struct lnt_report *report)
{
    char path[64];
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    if (fd < 0 || write(fd, text, n) != (ssize_t)n)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    struct lnt_section *s = build(a, path, report);
    close(fd);
    return s;
}

/* Without places; sets *too_long when a line says that it is. */
static void
print(const struct lnt_section *s, struct lnt_strbuf *out, bool *too_long)
{
    struct lnt_strbuf whole = LNT_STRBUF_INIT;

    lnt_conf_print(s, &whole);
    for (const char *p = whole.p; p && *p;) {
        size_t n = strcspn(p, "\n");
        const char *comment = memmem(p, n, " ; ", 3);

        *too_long = *too_long || *p == ';';
        lnt_strbuf_add(out, p, comment ? (size_t)(comment - p) : n);
        while (out->n && out->p[out->n - 1] == ' ')
            out->n--;
        lnt_strbuf_addc(out, '\n');
        p += n + (p[n] == '\n');
    }
    lnt_strbuf_release(&whole);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lnt_arena *a = lnt_arena_new(), *b = lnt_arena_new();
    struct lnt_report report;
    struct lnt_strbuf first = LNT_STRBUF_INIT, second = LNT_STRBUF_INIT;
    bool too_long = false;

    /* Patterns that a match takes long for are not the point here, but long
       ones take PCRE2 long to compile. */
    if (size > 4096 || memmem(data, size, "include", 7))
        goto out;
    lnt_log_open("off", false);
    setenv("LNT_FUZZ", " ;value $${of} ${x} ; ", 1);
    struct lnt_section *s = build_text(a, data, size, &report);
    if (report.errors)
        goto out;
    print(s, &first, &too_long);
    if (too_long)
        goto out;
    s = build_text(b, first.p, first.n, &report);
    if (report.errors) {
        fprintf(stderr, "%s\n%s", report.first->text, first.p);
        abort();
    }
    print(s, &second, &too_long);
    if (strcmp(first.p, second.p) != 0) {
        fprintf(stderr, "%s\n---\n%s", first.p, second.p);
        abort();
    }
out:
    lnt_strbuf_release(&first);
    lnt_strbuf_release(&second);
    lnt_arena_free(a);
    lnt_arena_free(b);
    return 0;
}
