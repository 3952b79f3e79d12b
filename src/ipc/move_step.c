/*
 * What tests do to moves; see the header.  Nothing of it is in other builds.
 */
#include "ipc/move_step.h"

#ifdef LNT_DEBUG_BUILD

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

static const char *const names[] = {
#define X(name) #name,
    LNT_MOVE_STEPS(X)
#undef X
};

enum { STEPS = sizeof(names) / sizeof(names[0]) };

struct order {
    char what[8], which[16], who[8];
    long n;
};

/* What is asked for now; false: nothing. */
static bool
read_order(struct order *o)
{
    const char *path = getenv("LINNET_TEST_MOVE");
    FILE *f = path ? fopen(path, "re") : NULL;
    o->who[0] = '\0';
    if (!f)
        return false;
    int got = fscanf(f, "%7s %15s %ld %7s", o->what, o->which, &o->n, o->who);
    fclose(f);
    return got >= 3;
}

/* Whether it is ours to do. */
static bool
claim(void)
{
    return unlink(getenv("LINNET_TEST_MOVE")) == 0;
}

void
lnt_move_step(enum lnt_move_step step)
{
    static long counts[STEPS];
    struct order o;
    if (!read_order(&o))
        return;
    counts[step]++;
    if (strcmp(o.what, "kill") != 0 || strcasecmp(o.which, names[step]) != 0 ||
        counts[step] != o.n || !claim())
        return;
    bool parent = strcmp(o.who, "parent") == 0;
    (void)kill(parent ? getppid() : getpid(), SIGKILL);
}

void
lnt_move_spoil(struct lnt_str bytes)
{
    static long count;
    struct order o;
    if (!read_order(&o) || strcmp(o.what, "spoil") != 0)
        return;
    long at = strtol(o.which, NULL, 10);
    size_t i = at < 0 ? bytes.n - (size_t)-at : (size_t)at;
    if (i >= bytes.n || ++count != o.n || !claim())
        return;
    char *p = (char *)(uintptr_t)bytes.p; /* they are not const, really */
    p[i] = (char)~p[i];
}

#else

typedef int lnt_move_step_is_for_debug_builds;

#endif
