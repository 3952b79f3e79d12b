/*
 * The process title, as ps shows it: written over the memory in which the
 * kernel put arguments and environment.  What it says is left to callers.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/process.h"

/* The memory that may be written over; NULL before init. */
static char *area;
static size_t area_size;

static bool move_environ(void);

void
lnt_title_init(int argc, char **argv)
{
    char *end;

    if (area || argc < 1)
        return;
    /* Only as far as the strings follow each other without a gap. */
    end = argv[0];
    for (int i = 0; i < argc && argv[i] == end; i++)
        end += strlen(end) + 1;
    for (char **e = environ; e && *e && *e == end; e++)
        end += strlen(end) + 1;
    /* argv stays readable until the first title; arguments that are needed
       later have to be copied by whoever needs them. */
    if (!move_environ())
        return;
    area = argv[0];
    area_size = (size_t)(end - area);
}

void
lnt_title_set(const char *fmt, ...)
{
    va_list ap;

    if (!area)
        return;
    va_start(ap, fmt);
    int n = vsnprintf(area, area_size, fmt, ap);
    va_end(ap);
    if (n < 0)
        return;
    size_t len = (size_t)n < area_size ? (size_t)n : area_size - 1;
    memset(area + len, 0, area_size - len);
}

/* Copies the strings of the environment; false when memory ends. */
static bool
move_environ(void)
{
    size_t n = 0;

    while (environ && environ[n])
        n++;
    char **copy = calloc(n + 1, sizeof(*copy));
    if (!copy)
        return false;
    for (size_t i = 0; i < n; i++) {
        copy[i] = strdup(environ[i]);
        if (!copy[i]) {
            while (i-- > 0)
                free(copy[i]);
            free(copy);
            return false;
        }
    }
    environ = copy; /* and never freed: getenv has given out pointers */
    return true;
}
