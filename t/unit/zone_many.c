/*
 * The zone under many processes: nothing is lost or out of order, doorbells
 * wake whoever sleeps, slow readers notice, and processes killed anywhere
 * leave a sound zone behind.
 */
#include "t/lib/zone_check.h"
#include "t/unit/zone_help.h"

#include <poll.h>
#include <signal.h>
#include <time.h>

#include "core/log.h"
#include "os/memory.h"

enum {
    WRITERS = 3,
    READERS = 3,
    DEADLINE = 120, /* s; only reached when something hangs */
};

static int bells[LNT_CELLS];

struct payload {
    uint32_t writer, number, len;
};

static void
ring_sleepers(struct lnt_zone *z, int self)
{
    uint8_t cells[LNT_CELLS];
    size_t n = lnt_zone_sleepers(z, self, cells);

    for (size_t i = 0; i < n; i++)
        lnt_eventfd_ring(bells[cells[i]]);
}

/* ---- one log, many writers, many readers ---- */

struct job {
    uint32_t number; /* of the writer, or the reader's cell */
    uint32_t records;
    unsigned burst; /* records between two looks for sleepers */
    bool laps;      /* readers may miss some */
};

static int
write_records(struct lnt_zone *z, void *arg)
{
    const struct job *j = arg;
    char data[1200];
    struct payload p = {.writer = j->number};
    struct lnt_event e = {.app = 1, .room = LNT_ROOM_NONE, .kind = KIND};

    alarm(DEADLINE);
    for (p.number = 0; p.number < j->records; p.number++) {
        p.len = (uint32_t)sizeof(p) +
                (p.number * 2654435761u >> 8) % (p.number % 50 ? 100 : 1000);
        memset(data, (int)('a' + (p.number + p.writer) % 26), p.len);
        memcpy(data, &p, sizeof(p));
        e.data = lnt_str(data, p.len);
        if (lnt_zone_publish(z, &e) < 0)
            return 1;
        if (p.number % j->burst == 0)
            ring_sleepers(z, -1);
    }
    ring_sleepers(z, -1);
    return 0;
}

static bool
is_intact(const struct lnt_event *e, struct payload *p)
{
    if (e->data.n < sizeof(*p))
        return false;
    memcpy(p, e->data.p, sizeof(*p));
    if (p->writer >= WRITERS || p->len != e->data.n)
        return false;
    for (size_t i = sizeof(*p); i < e->data.n; i++) {
        if (e->data.p[i] != (char)('a' + (p->number + p->writer) % 26))
            return false;
    }
    return true;
}

/* Sleeps until rung; false when something came before. */
static bool
sleep_until_rung(struct lnt_zone *z, uint32_t cell, const struct lnt_cursor *c)
{
    struct lnt_cell *me = lnt_zone_cell(z, cell);
    struct pollfd fd = {.fd = bells[cell], .events = POLLIN};

    __atomic_store_n(&me->asleep, 1, __ATOMIC_SEQ_CST);
    if (lnt_zone_pending(z, c)) {
        __atomic_store_n(&me->asleep, 0, __ATOMIC_SEQ_CST);
        return false;
    }
    poll(&fd, 1, -1);
    lnt_eventfd_clear(bells[cell]);
    return true;
}

/* Reads until every writer's last record was seen. */
static int
read_records(struct lnt_zone *z, void *arg)
{
    const struct job *j = arg;
    struct lnt_cursor c = {.position = 0};
    struct lnt_event e;
    uint32_t next[WRITERS] = {0}, done = 0;
    uint64_t seq = 0, gaps = 0;
    struct payload p;

    alarm(DEADLINE);
    /* All started before the first record. */
    c.position = lnt_zone_cell(z, j->number)->position;
    while (done < WRITERS) {
        switch (lnt_zone_read(z, &c, &e)) {
        case LNT_READ_NONE:
            sleep_until_rung(z, j->number, &c);
            break;
        case LNT_READ_LAPPED:
            gaps++;
            seq = 0;
            break;
        case LNT_READ_ONE:
            if (!is_intact(&e, &p) || (seq && e.seq != seq + 1))
                return 2;
            if (p.number < next[p.writer] ||
                (p.number > next[p.writer] && gaps == 0))
                return 3;
            seq = e.seq;
            next[p.writer] = p.number + 1;
            done += next[p.writer] == j->records;
            break;
        }
        /* Who was lapped at the end does not see everybody's last. */
        if (gaps && lnt_zone_head(z) == (uint64_t)WRITERS * j->records &&
            !lnt_zone_pending(z, &c))
            break;
    }
    free(c.scratch);
    lnt_count_add(&lnt_zone_cell(z, j->number)->stats, LNT_C_LAPPED, gaps);
    return gaps && !j->laps ? 4 : 0;
}

static pid_t
start(int (*fn)(struct lnt_zone *z, void *arg), struct lnt_zone *z, void *arg)
{
    pid_t pid = fork();

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0)
        _exit(fn(z, arg));
    return pid;
}

static int
wait_for(pid_t pid)
{
    int status;

    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void
test_stream(size_t size, uint32_t records, unsigned burst, bool laps)
{
    struct lnt_zone *z = new_zone(size);
    pid_t readers[READERS], writers[WRITERS];
    struct lnt_zone_usage u;

    for (unsigned i = 0; i < READERS; i++) {
        struct job j = {.records = records, .laps = laps};

        j.number = (uint32_t)lnt_zone_cell_take(z, i, 1);
        readers[i] = start(read_records, z, &j);
    }
    for (unsigned i = 0; i < WRITERS; i++) {
        struct job j = {.number = i, .records = records, .burst = burst};

        writers[i] = start(write_records, z, &j);
    }
    for (unsigned i = 0; i < WRITERS; i++)
        is_int(wait_for(writers[i]), 0, "writer %u", i);
    for (unsigned i = 0; i < READERS; i++)
        is_int(wait_for(readers[i]), 0, "reader %u (2 torn, 3 lost, 4 lapped)",
               i);
    if (laps) {
        uint64_t n = 0;

        for (unsigned i = 0; i < READERS; i++)
            n += lnt_zone_cell(z, i)->stats.counters[LNT_C_LAPPED];
        diag("lapped %llu times", (unsigned long long)n);
    }
    lnt_zone_usage(z, &u);
    is_int(u.published, (uint64_t)WRITERS * records, "all were published");
    is_sound(z, "afterwards");
    lnt_zone_close(z);
}

/* ---- killed anywhere ---- */

enum { ROUNDS = 40, WORKERS = 4, NICKS = 60 };

struct worker {
    unsigned cell;
    unsigned seed;
};

static unsigned
draw(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245 + 12345;
    return (*seed >> 16) % below;
}

/* Comes, goes, speaks, takes other names, for ever. */
static int
live(struct lnt_zone *z, void *arg)
{
    struct worker *w = arg;
    uint32_t user[8] = {0}, member;
    struct lnt_room_info info;
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    char nick[LNT_NICK_MAX], room[16], text[700];

    alarm(DEADLINE);
    memset(text, 't', sizeof(text));
    while (z) {
        unsigned i = draw(&w->seed, 8);

        snprintf(nick, sizeof(nick), "nick-%u", draw(&w->seed, NICKS));
        snprintf(room, sizeof(room), "room-%u", draw(&w->seed, 5));
        text[draw(&w->seed, sizeof(text))] = '\0';
        if (!user[i]) {
            if (lnt_zone_user_add(z, lnt_str_c(nick), w->cell, i + 1,
                                  &user[i]) < 0)
                user[i] = 0;
            continue;
        }
        switch (draw(&w->seed, 6)) {
        case 0:
            lnt_zone_user_remove(z, user[i], 10);
            user[i] = 0;
            break;
        case 1:
            lnt_zone_user_rename(z, user[i], lnt_str_c(nick), 10);
            break;
        case 2:
            lnt_zone_hold(z, 1, lnt_str_c(room), w->cell, &member, &info);
            lnt_zone_keep(z, info.room,
                          &(struct lnt_keep){draw(&w->seed, 30), 0, 5000});
            publish(z, info.room, LNT_EVENT_HISTORY, text, NULL);
            lnt_zone_unhold(z, member);
            break;
        case 3:
            if (server_join(z, 1, lnt_str_c(room), user[i], i + 1, 10, &member,
                            &info) == 0 &&
                draw(&w->seed, 2))
                lnt_zone_leave(z, member, i + 1, 10);
            break;
        default:
            if (lnt_zone_room_find(z, 1, lnt_str_c(room), &info) == 0) {
                publish(z, info.room, LNT_EVENT_HISTORY, text, NULL);
                lnt_strbuf_clear(&out);
                lnt_zone_history(z, info.room, UINT64_MAX, 10, &out);
            }
        }
        text[strlen(text)] = 't';
    }
    return 0;
}

static void
test_deaths(void)
{
    struct lnt_zone *z = new_zone(LNT_ZONE_MIN_SIZE);
    pid_t pids[WORKERS];
    struct worker w[WORKERS];
    struct lnt_zone_usage u;
    unsigned seed = 4711, repairs = 0;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    bool good = true;

    for (unsigned i = 0; i < WORKERS; i++) {
        w[i].cell = (unsigned)lnt_zone_cell_take(z, i, 1);
        w[i].seed = i;
        pids[i] = start(live, z, &w[i]);
    }
    for (unsigned round = 0; round < ROUNDS && good; round++) {
        struct timespec ts = {.tv_nsec = 1000 * (long)draw(&seed, 9000)};
        unsigned i = draw(&seed, WORKERS);

        /* The moment of death is the point here, not a thing to wait for. */
        nanosleep(&ts, NULL);
        kill(pids[i], SIGKILL);
        good = wait_for(pids[i]) == -SIGKILL;
        lnt_zone_cell_release(z, w[i].cell,
                              lnt_zone_cell(z, w[i].cell)->incarnation);
        good = good && lnt_zone_check(z, &why);
        w[i].cell = (unsigned)lnt_zone_cell_take(z, i, 1);
        w[i].seed = 1000 + round;
        pids[i] = start(live, z, &w[i]);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        kill(pids[i], SIGKILL);
        good = wait_for(pids[i]) == -SIGKILL && good;
        lnt_zone_cell_release(z, w[i].cell,
                              lnt_zone_cell(z, w[i].cell)->incarnation);
    }
    lnt_zone_usage(z, &u);
    repairs = (unsigned)u.repairs;
    ok(good, "%u killed, %u of them with the lock, %llu records", ROUNDS,
       repairs, (unsigned long long)u.published);
    if (why.n)
        diag("%s", why.p);
    is_sound(z, "after all");
    is_int(u.users + u.members, 0, "nobody is left");
    lnt_strbuf_release(&why);
    lnt_zone_close(z);
}

int
main(void)
{
    alarm(DEADLINE);
    lnt_log_level(LNT_ERROR);
    for (unsigned i = 0; i < LNT_CELLS; i++)
        bells[i] = lnt_eventfd_create();
    diag("everything is read");
    test_stream(64u << 20, 50000, 1, false);
    test_stream(64u << 20, 50000, 32, false);
    diag("a small log, faster than readers");
    test_stream(LNT_ZONE_MIN_SIZE, 50000, 64, true);
    diag("deaths");
    test_deaths();
    return done_testing();
}
