/*
 * Faults, for tests: where a process dies or stops in the middle of a change.
 */
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "zone/map.h"

/* The file has one line: the process that is to stop, and at which step from
   now; taking the lock is one, too. */
static void
stop_if_asked(struct lnt_zone *z)
{
    FILE *f = fopen(z->stop_file, "re");
    long pid, n;
    int got;

    if (!f)
        return;
    got = fscanf(f, "%ld %ld", &pid, &n);
    fclose(f);
    if (got != 2 || pid != (long)getpid() || ++z->stop_steps != (uint64_t)n)
        return;
    z->stop_steps = 0;
    if (unlink(z->stop_file) == 0)
        kill(getpid(), SIGSTOP);
}

/* LINNET_TEST_ZONE_KILL=n: a process dies at its n-th step.
   LINNET_TEST_ZONE_STOP=file: see above. */
void
lnt_zone_step(struct lnt_zone *z)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    z->steps++;
    if (z->steps == z->die_at)
        kill(getpid(), SIGKILL);
    if (z->stop_file)
        stop_if_asked(z);
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}
