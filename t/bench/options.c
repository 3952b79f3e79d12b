/*
 * The command line of the load generator: one table, from which the parser and
 * the help are made.
 */
#include "t/bench/options.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "t/bench/bench.h"

enum type { TEXT, WHOLE, COUNT, BYTES, REAL, FLAG };

static const struct option {
    const char *name;
    enum type type;
    size_t offset;
    double min, max;
    const char *help;
} table[] = {
#define AT(field) offsetof(struct options, field)
    {"host", TEXT, AT(host), 0, 0, "address, in digits (127.0.0.1)"},
    {"port", WHOLE, AT(port), 1, 65535, "port"},
    {"path", TEXT, AT(path), 0, 0, "path of the requests (/)"},
    {"pid", WHOLE, AT(pid), 1, 1 << 30,
     "the server's first process; its whole tree is measured"},
    {"clients", COUNT, AT(clients), 0, 60000,
     "connections; in fanout: subscribers (100)"},
    {"publishers", COUNT, AT(publishers), 1, 1000, "fanout: publishers (1)"},
    {"rooms", COUNT, AT(rooms), 1, 10000, "rooms: how many (10)"},
    {"publish-path", TEXT, AT(publish_path), 0, 0, "their path (as --path)"},
    {"size", BYTES, AT(size), 16, 1 << 20, "bytes of payload (64)"},
    {"depth", COUNT, AT(depth), 1, 256,
     "messages under way on a connection (1)"},
    {"rate", REAL, AT(rate), 0, 1e7,
     "messages a second, of all or of each publisher (0: one answer, one "
     "message)"},
    {"burst", COUNT, AT(burst), 1, 256, "messages published at once (1)"},
    {"first", TEXT, AT(first), 0, 0, "first message of each connection"},
    {"publish-first", TEXT, AT(publish_first), 0, 0, "that of publishers"},
    {"publish-text", TEXT, AT(publish_text), 0, 0,
     "what is published; %p is the payload (%p)"},
    {"time", REAL, AT(seconds), 0.1, 3600, "seconds measured (2)"},
    {"warm-up", REAL, AT(warm_up), 0, 60, "seconds before that (0.5)"},
    {"limit", REAL, AT(limit), 1, 7200, "seconds in all, then it fails (60)"},
    {"binary", FLAG, AT(binary), 0, 0, "binary messages instead of text"},
    {"deflate", FLAG, AT(deflate), 0, 0,
     "offer permessage-deflate, and take nothing less"},
    {"strace", FLAG, AT(strace), 0, 0,
     "count system calls, too, in a second after the measured time"},
#undef AT
};
enum { OPTIONS = sizeof(table) / sizeof(*table) };

static void
help(const struct work *const *works)
{
    printf("usage: load WORK --port N [--pid N] ...\n\nWORK is one of\n");
    for (; *works; works++)
        printf("  %-14s %s\n", (*works)->name, (*works)->help);
    printf("\noptions\n");
    for (size_t i = 0; i < OPTIONS; i++)
        printf("  --%-12s %s\n", table[i].name, table[i].help);
    printf("\nOne line of JSON says what was measured; status 1: something "
           "was lost or wrong.\n");
}

static void
set_number(const struct option *t, void *to, const char *text)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || isnan(v) || v < t->min || v > t->max)
        usage_error("--%s %s: a number from %g to %g is expected", t->name,
                    text, t->min, t->max);
    switch (t->type) {
    case WHOLE:
        *(int *)to = (int)v;
        break;
    case COUNT:
        *(unsigned *)to = (unsigned)v;
        break;
    case BYTES:
        *(size_t *)to = (size_t)v;
        break;
    case REAL:
        *(double *)to = v;
        break;
    case TEXT:
    case FLAG:
        break;
    }
}

static const struct option *
find(const char *arg)
{
    for (size_t i = 0; i < OPTIONS; i++)
        if (strncmp(arg, "--", 2) == 0 && strcmp(arg + 2, table[i].name) == 0)
            return &table[i];
    usage_error("%s: there is no such option; load --help lists them", arg);
}

static void
check(struct options *o)
{
    if (!o->port)
        usage_error("--port is missing");
    if (!o->publish_path)
        o->publish_path = o->path;
    if (!strstr(o->publish_text, "%p"))
        usage_error("--publish-text needs a %%p for the payload");
    if (!o->clients && !o->work->publishers)
        usage_error("--clients 0 is for work with publishers");
    if (o->strace && !o->pid)
        usage_error("--strace needs --pid");
    if (o->work->needs_rate && o->rate <= 0)
        usage_error("%s needs --rate", o->work->name);
}

void
options_read(struct options *o, int argc, char **argv,
             const struct work *const *works)
{
    *o = (struct options){
        .host = "127.0.0.1",
        .path = "/",
        .publish_text = "%p",
        .clients = 100,
        .publishers = 1,
        .rooms = 10,
        .depth = 1,
        .burst = 1,
        .size = 64,
        .seconds = 2,
        .warm_up = 0.5,
        .limit = 60,
    };
    if (argc < 2 || strcmp(argv[1], "--help") == 0) {
        help(works);
        exit(argc < 2 ? 2 : 0);
    }
    for (; *works; works++)
        if (strcmp((*works)->name, argv[1]) == 0)
            o->work = *works;
    if (!o->work)
        usage_error("%s: there is no such work; load --help lists them",
                    argv[1]);
    for (int i = 2; i < argc; i++) {
        const struct option *t = find(argv[i]);
        void *to = (char *)o + t->offset;
        if (t->type == FLAG) {
            *(bool *)to = true;
            continue;
        }
        if (i + 1 == argc)
            usage_error("%s: a value is expected", argv[i]);
        if (t->type == TEXT)
            *(const char **)to = argv[++i];
        else
            set_number(t, to, argv[++i]);
    }
    check(o);
}
