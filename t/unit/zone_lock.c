/*
 * The lock of the zone for a process that must not wait: who holds it, what it
 * can still do, and that nothing is lost by doing the rest later.
 */
#include <signal.h>

#include "os/clock.h"
#include "t/unit/zone_help.h"
#include "zone/map.h"

enum { PATIENCE = 100, SLACK = 5000 };

/* A process that takes the lock and keeps it, half-way through a change. */
static pid_t
hold(struct lnt_zone *z)
{
    int fds[2];
    char c;
    pid_t pid;

    if (pipe(fds) < 0 || (pid = fork()) < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0) {
        lnt_zone_set_patience(z, 0);
        lnt_zone_lock(z);
        if (write(fds[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(fds[1]);
    if (read(fds[0], &c, 1) != 1)
        fail("the other process has the lock");
    close(fds[0]);
    return pid;
}

static void
end(pid_t pid)
{
    kill(pid, SIGKILL);
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        ;
}

static void
count(void *arg, const struct lnt_room_info *info)
{
    (void)info;
    ++*(unsigned *)arg;
}

int
main(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    struct lnt_zone_usage u;
    struct lnt_room_info info;
    uint64_t turn, before, sums[LNT_COUNTERS];
    unsigned rooms = 0;
    int cell = lnt_zone_cell_take(z, 0, 1);
    uint32_t incarnation = lnt_zone_cell(z, (unsigned)cell)->incarnation;
    pid_t pid;

    lnt_count(&lnt_zone_cell(z, (unsigned)cell)->stats, LNT_C_MESSAGES_IN);
    join(z, "hall", add_user(z, "ann", (unsigned)cell, 1), &info);
    is_int(lnt_zone_holder(z, &before), 0, "nobody holds the lock");
    lnt_zone_lock(z);
    is_int(lnt_zone_holder(z, &turn), getpid(), "this process holds it");
    ok(turn != before, "each turn has a number of its own");
    lnt_zone_unlock(z);
    is_int(lnt_zone_holder(z, &before), 0, "nobody again");
    is_int((long long)before, (long long)turn, "the number stays");

    pid = hold(z);
    is_int(lnt_zone_holder(z, &turn), pid, "another one holds it");
    lnt_zone_set_patience(z, PATIENCE);
    before = lnt_clock_ms();
    errno = 0;
    is_int(lnt_zone_cell_release(z, (unsigned)cell, incarnation), -1,
           "a cell cannot be released");
    is_int(errno, EBUSY, "... it says why");
    ok(lnt_clock_ms() - before >= PATIENCE, "... it has waited");
    ok(lnt_clock_ms() - before < PATIENCE + SLACK, "... not for long");
    before = lnt_clock_ms();
    for (int i = 0; i < 1000; i++)
        lnt_zone_sweep(z);
    is_int(lnt_zone_cell_take(z, 1, 1), -1, "nor one be taken");
    is_int(errno, EBUSY, "... it says why");
    is_int(lnt_zone_usage(z, &u), -1, "what is in use is not told");
    is_int(lnt_zone_rooms(z, 0, count, &rooms), -1, "nor which rooms");
    is_int(lnt_zone_probe(z), -1, "the lock cannot be had");
    ok(lnt_clock_ms() - before < SLACK,
       "it does not wait again for the same holder");
    lnt_zone_counters(z, sums);
    is_int((long long)sums[LNT_C_MESSAGES_IN], 1, "counters can be read");

    end(pid);
    is_int(lnt_zone_holder(z, &turn), 0, "a dead process holds nothing");
    is_int(lnt_zone_probe(z), 0, "now the lock can be had");
    is_int(lnt_zone_usage(z, &u), 0, "what is in use is told");
    is_int((long long)u.repairs, 1, "... the zone was repaired");
    is_int((long long)u.users, 1, "... the user is still there");
    is_int(lnt_zone_cell_release(z, (unsigned)cell, incarnation), 0,
           "the cell can be released now");
    is_int(lnt_zone_usage(z, &u), 0, "once more");
    is_int((long long)u.users, 0, "... the user is gone");
    is_int(lnt_zone_cell_take(z, 1, 1), cell, "the cell can be taken");
    lnt_zone_set_patience(z, 0);
    is_sound(z, "at the end");
    lnt_zone_close(z);
    return done_testing();
}
