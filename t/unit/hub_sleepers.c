/*
 * Workers, each a process that sleeps until its doorbell rings, while sessions
 * join, leave, listen, move from one to another and talk, and workers are
 * killed: nobody misses anything.
 *
 * It goes in rounds.  In the first half of a round everybody does something at
 * random.  In the second all sleep, without a time limit, and something is said
 * in one room after the other, and to one user after the other: all who are
 * concerned must wake up for it.  In the end the log says what each should have
 * read.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#include "core/log.h"
#include "os/clock.h"
#include "os/memory.h"
#include "t/lib/zone_check.h"
#include "t/unit/hub_world.h"
#include "zone/map.h"

enum {
    PROCS = 5,
    ROOMS = 9,
    PEOPLE = 12, /* sessions that come to one worker, at most */
    NICKS = 60,
    ROUNDS = 60,
    OPS = 150,        /* in one round, each */
    BOUND = 20000,    /* ms; what takes longer never comes */
    DEADLINE = 300,   /* s; only reached when something hangs */
    NUMBERS = 400000, /* of messages */
    STAYS = 60000,
};

/* Somebody of a worker was in a room: all from from to to is for it. */
struct stay {
    uint32_t room;
    uint64_t from, to; /* seqs; to UINT64_MAX: still is */
};

/* What goes through a pipe when a session moves; the pieces of its subs follow. */
struct parcel {
    uint64_t old_id;
    struct lnt_hub_point point;
    uint32_t user, len, rooms; /* bits */
    char bytes[ROOMS * 110];
};
_Static_assert(sizeof(struct parcel) <= PIPE_BUF, "written at once");

struct proc {
    pid_t pid;
    unsigned cell;
    uint32_t incarnation;
    uint32_t ready;        /* atomic, as all that follows */
    uint32_t half;         /* that it has seen */
    uint64_t done;         /* everything up to that seq was noted */
    struct parcel in_hand; /* user 0: none */
    uint32_t nstays;
    struct stay stays[STAYS];
    uint64_t seen[NUMBERS / 64];
};

static struct shared {
    uint32_t half;   /* of a round: even ones are the first */
    uint64_t number; /* last given out */
    struct proc procs[PROCS];
} * shared;

struct one {
    struct lnt_session *s; /* NULL none */
    uint32_t user;         /* 0: only listens */
    struct lnt_sub *sub[ROOMS];
    uint32_t stay[ROOMS];
};

static int pipes[PROCS][2], go[PROCS];

/* ---- of one worker ---- */

static struct proc *me;
static unsigned my_slot, seed;
static struct one all[SESSIONS];
static struct lnt_hub *hub;

static unsigned
draw(unsigned below)
{
    seed = seed * 1103515245 + 12345;
    return (seed >> 16) % below;
}

static uint64_t
next_number(void)
{
    return __atomic_add_fetch(&shared->number, 1, __ATOMIC_SEQ_CST);
}

static void
give_up(const char *why)
{
    fprintf(stderr, "worker %u: %s: %s\n", my_slot, why, strerror(errno));
    _exit(1);
}

static void
begin_stay(struct one *o, unsigned room, uint64_t from)
{
    uint32_t i = me->nstays;

    if (i == STAYS)
        give_up("too many stays");
    me->stays[i] = (struct stay){lnt_sub_room(o->sub[room]), from, UINT64_MAX};
    __atomic_store_n(&me->nstays, i + 1, __ATOMIC_SEQ_CST);
    o->stay[room] = i;
}

static void
end_stay(struct one *o, unsigned room, uint64_t to)
{
    __atomic_store_n(&me->stays[o->stay[room]].to, to, __ATOMIC_SEQ_CST);
    o->sub[room] = NULL;
}

/* "room-3:17", "@18". */
static void
note(struct lnt_session *s)
{
    char *save, *word;

    lnt_strbuf_addc(&s->got, '\0');
    for (word = strtok_r(s->got.p, " ", &save); word;
         word = strtok_r(NULL, " ", &save)) {
        const char *digits = *word == '@' ? word + 1 : strchr(word, ':');
        uint64_t n;

        if (*word == '+' || *word == '~' || !digits)
            continue;
        n = strtoull(digits + (*digits == ':'), NULL, 10);
        __atomic_or_fetch(&me->seen[n / 64], UINT64_C(1) << n % 64,
                          __ATOMIC_SEQ_CST);
    }
    lnt_strbuf_clear(&s->got);
}

static void
read_all(void)
{
    static const struct lnt_session nobody;
    struct lnt_hub_point p;

    while (lnt_hub_turn(hub))
        ;
    for (unsigned i = 0; i < SESSIONS; i++)
        if (all[i].s && all[i].s->got.n)
            note(all[i].s);
    if (draw(4))
        return;
    (void)lnt_hub_point(hub, &nobody, NULL, &p);
    __atomic_store_n(&me->done, p.seq, __ATOMIC_SEQ_CST);
}

static struct one *
free_one(void)
{
    for (unsigned i = 0; i < SESSIONS - 2; i++)
        if (!all[i].s)
            return &all[i];
    return NULL;
}

static unsigned
people(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < SESSIONS; i++)
        n += all[i].s != NULL;
    return n;
}

static struct one *
any_one(void)
{
    for (unsigned i = draw(SESSIONS), n = 0; n < SESSIONS; n++, i++)
        if (all[i % SESSIONS].s)
            return &all[i % SESSIONS];
    return NULL;
}

static void
come(bool listener)
{
    struct one *o = people() < PEOPLE ? free_one() : NULL;
    char nick[16];

    if (!o)
        return;
    *o = (struct one){
        .s = session(0, draw(2) ? &nets[0].plain : &nets[0].appending)};
    snprintf(nick, sizeof(nick), "n%u", draw(NICKS));
    if (!listener && now_enter(hub, o->s, lnt_str_c(nick), &o->user) < 0) {
        o->s->id = 0;
        o->s = NULL;
    }
}

static void
join_room(struct one *o, unsigned room)
{
    struct lnt_room_info info;
    char name[16];

    snprintf(name, sizeof(name), "room-%u", room);
    o->sub[room] =
        o->user && draw(5)
            ? now_join(hub, o->s, o->user, lnt_str_c(name), 0, 1000, &info)
            : now_listen(hub, o->s, lnt_str_c(name), 0, &info);
    if (!o->sub[room])
        give_up("join");
    begin_stay(o, room, lnt_hub_next(hub, o->sub[room]));
}

static void
leave_room(struct one *o, unsigned room)
{
    struct lnt_sub *sub = o->sub[room];

    end_stay(o, room, lnt_hub_next(hub, sub) - 1);
    lnt_hub_leave(hub, sub, 1000);
}

static void
end_one(struct one *o)
{
    note(o->s);
    o->s->id = 0;
    o->s = NULL;
}

static void
depart(struct one *o)
{
    for (unsigned i = 0; i < ROOMS; i++)
        if (o->sub[i])
            leave_room(o, i);
    if (o->user)
        lnt_hub_exit(hub, o->s, o->user, 1000);
    end_one(o);
}

static void
speak(struct one *o, unsigned room)
{
    char data[24];

    snprintf(data, sizeof(data), "%llu", (unsigned long long)next_number());
    say(o->s, o->sub[room], 0, data);
}

/* What concerns nobody, and puts others far behind. */
static void
make_noise(void)
{
    static char text[1000];

    memset(text, 'x', sizeof(text));
    for (unsigned n = draw(8); n > 0; n--)
        if (now_post(hub, &nets[0].app, LNT_STR("noise"), NULL, NOTE, 0,
                     lnt_str(text, sizeof(text)), NULL, NULL) < 0)
            give_up("post");
}

/* ---- moving ---- */

static void
take(const struct parcel *p)
{
    struct one *o = free_one();
    struct lnt_str rest = lnt_str(p->bytes, p->len);
    struct lnt_sub *subs = NULL;

    if (!o)
        give_up("nowhere to put a session");
    *o = (struct one){.s = session(0, &nets[0].plain), .user = p->user};
    if (p->user && lnt_hub_adopt_user(hub, o->s, p->user, p->old_id) < 0) {
        o->s->id = 0;
        o->s = NULL;
        return; /* its worker was killed */
    }
    for (unsigned i = 0; i < ROOMS; i++) {
        if (!(p->rooms & 1u << i))
            continue;
        o->sub[i] = lnt_hub_adopt(hub, o->s, &rest);
        if (!o->sub[i])
            give_up("adopt");
        lnt_sub_link(o->sub[i], &subs);
    }
    if (lnt_hub_replay(hub, o->s, subs, p->old_id, &p->point) < 0)
        give_up("replay");
    note(o->s);
    for (unsigned i = 0; i < ROOMS; i++)
        if (o->sub[i])
            begin_stay(o, i, p->point.seq + 1);
}

static void
move(struct one *o, unsigned to)
{
    struct parcel p = {.old_id = o->s->id, .user = o->user};
    struct lnt_strbuf bytes = LNT_STRBUF_INIT;
    struct lnt_sub *subs = NULL;

    for (unsigned i = 0; i < ROOMS; i++)
        if (o->sub[i])
            lnt_sub_link(o->sub[i], &subs);
    if (!lnt_hub_point(hub, o->s, subs, &p.point))
        return;
    for (unsigned i = 0; i < ROOMS; i++) {
        struct lnt_sub *sub = o->sub[i];

        if (!sub)
            continue;
        p.rooms |= 1u << i;
        lnt_sub_freeze(hub, sub, &bytes);
        end_stay(o, i, p.point.seq);
        lnt_hub_forget(hub, sub);
    }
    lnt_assert(bytes.n <= sizeof(p.bytes));
    if (bytes.n > 0)
        memcpy(p.bytes, bytes.p, bytes.n);
    p.len = (uint32_t)bytes.n;
    lnt_strbuf_release(&bytes);
    end_one(o);
    if (write(pipes[to][1], &p, sizeof(p)) != (ssize_t)sizeof(p))
        take(&p); /* back */
}

static void
take_parcels(void)
{
    struct parcel *p = &me->in_hand;

    while (read(pipes[my_slot][0], p, sizeof(*p)) == (ssize_t)sizeof(*p)) {
        take(p);
        p->user = 0;
    }
}

/* ---- a life ---- */

static void
do_something(void)
{
    struct one *o = any_one();
    unsigned what = draw(100), room = draw(ROOMS);

    if (draw(10) == 0)
        make_noise();
    if (!o || what < 8) {
        come(draw(4) == 0);
    } else if (what < 10 || people() > 2 * PEOPLE) {
        depart(o);
    } else if (what < 22) {
        move(o, draw(PROCS));
    } else if (!o->sub[room]) {
        join_room(o, room);
    } else if (what < 45) {
        leave_room(o, room);
    } else {
        speak(o, room);
    }
}

/* timeout: ms, -1 until something comes. */
static void
sleep_a_while(int timeout)
{
    struct pollfd fds[] = {{.fd = bells[me->cell], .events = POLLIN},
                           {.fd = pipes[my_slot][0], .events = POLLIN},
                           {.fd = go[my_slot], .events = POLLIN}};

    if (!lnt_hub_sleep(hub))
        return;
    (void)poll(fds, 3, timeout);
    lnt_hub_wake(hub);
    lnt_eventfd_clear(bells[me->cell]);
    lnt_eventfd_clear(go[my_slot]);
}

static void
set_up(unsigned slot, unsigned spawned)
{
    alarm(DEADLINE);
    my_slot = slot;
    me = &shared->procs[slot];
    seed = spawned;
    start_worker(&nets[0]);
    hub = nets[0].hub;
    me->cell = nets[0].cell;
    me->incarnation = lnt_zone_cell(zone, me->cell)->incarnation;
    /* No id of a session that a killed worker had. */
    for (unsigned i = 0; i < spawned * 1000; i++)
        session(0, &nets[0].plain)->id = 0;
    __atomic_store_n(&me->ready, 1, __ATOMIC_SEQ_CST);
}

static void
live(unsigned slot, unsigned spawned)
{
    unsigned ops = OPS;

    set_up(slot, spawned);
    for (;;) {
        uint32_t half = __atomic_load_n(&shared->half, __ATOMIC_SEQ_CST);

        if (half != me->half)
            ops = OPS;
        __atomic_store_n(&me->half, half, __ATOMIC_SEQ_CST);
        take_parcels();
        read_all();
        if (half % 2) {
            sleep_a_while(-1);
        } else if (ops > 0 && draw(4)) {
            ops--;
            do_something();
        } else {
            sleep_a_while(ops > 0 ? (int)draw(3) : -1);
        }
    }
}

/* ---- of the one who looks on ---- */

/* Of each number: where it was said, and when. */
static struct {
    uint32_t room;
    uint64_t seq;
} said[NUMBERS];
static unsigned kills;

static void
ring_all(void)
{
    uint8_t cells[LNT_CELLS];
    size_t n = lnt_zone_sleepers(zone, -1, cells);

    for (size_t i = 0; i < n; i++)
        lnt_eventfd_ring(bells[cells[i]]);
}

static void
spawn(unsigned slot)
{
    static unsigned spawned;
    struct proc *p = &shared->procs[slot];
    const struct timespec nap = {0, 100000};

    p->ready = 0;
    spawned++;
    pid_t pid = fork();
    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0)
        live(slot, spawned);
    p->pid = pid;
    while (!__atomic_load_n(&p->ready, __ATOMIC_SEQ_CST))
        nanosleep(&nap, NULL);
}

/* A parcel that it had taken off its pipe, but not yet as its own: whoever gave
   it would have it back (src/worker/mover.c). */
static void
drop_parcel(struct proc *p)
{
    uint32_t user = p->in_hand.user;

    if (user && lnt_user_at(zone, user)->state == LNT_NODE_USED &&
        lnt_user_at(zone, user)->session == p->in_hand.old_id)
        lnt_zone_user_remove(zone, user, 1000);
    p->in_hand.user = 0;
}

static void
kill_one(unsigned slot)
{
    struct proc *p = &shared->procs[slot];
    int status;

    kill(p->pid, SIGKILL);
    while (waitpid(p->pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!WIFSIGNALED(status))
        fail("worker %u had ended by itself", slot);
    for (uint32_t i = 0; i < p->nstays; i++) {
        struct stay *s = &p->stays[i];

        if (s->to == UINT64_MAX)
            s->to = p->done >= s->from ? p->done : s->from - 1;
    }
    drop_parcel(p);
    lnt_zone_cell_release(zone, p->cell, p->incarnation);
    ring_all();
    kills++;
}

static bool
has_settled(const struct proc *p, unsigned slot)
{
    int waiting = 0;

    return __atomic_load_n(&p->half, __ATOMIC_SEQ_CST) == shared->half &&
           ioctl(pipes[slot][0], FIONREAD, &waiting) == 0 && waiting == 0 &&
           __atomic_load_n(&lnt_zone_cell(zone, p->cell)->asleep,
                           __ATOMIC_SEQ_CST);
}

/* The next half of the round; back when all sleep, if it is the second. */
static bool
next_half(void)
{
    const struct timespec nap = {0, 100000};
    uint64_t until = lnt_clock_ms() + BOUND;

    __atomic_add_fetch(&shared->half, 1, __ATOMIC_SEQ_CST);
    for (unsigned i = 0; i < PROCS; i++)
        lnt_eventfd_ring(go[i]);
    for (unsigned i = 0; shared->half % 2 && i < PROCS;) {
        if (has_settled(&shared->procs[i], i))
            i++;
        else if (lnt_clock_ms() > until)
            return false;
        else
            nanosleep(&nap, NULL);
    }
    return true;
}

static bool
has_seen(const struct proc *p, uint64_t n)
{
    return __atomic_load_n(&p->seen[n / 64], __ATOMIC_SEQ_CST) & UINT64_C(1)
                                                                     << n % 64;
}

static bool
sees(const struct proc *p, uint64_t n)
{
    const struct timespec nap = {0, 50000};
    uint64_t until = lnt_clock_ms() + BOUND;

    while (!has_seen(p, n)) {
        if (lnt_clock_ms() > until)
            return false;
        nanosleep(&nap, NULL);
    }
    return true;
}

static bool
is_in(const struct proc *p, uint32_t room)
{
    for (uint32_t i = p->nstays; i-- > 0;)
        if (p->stays[i].room == room && p->stays[i].to == UINT64_MAX)
            return true;
    return false;
}

static uint64_t
say_number(struct lnt_event *e)
{
    static char data[24];
    uint64_t n = next_number();

    snprintf(data, sizeof(data), "%llu", (unsigned long long)n);
    e->app = lnt_zone_app_id("app");
    e->kind = NOTE;
    e->data = lnt_str_c(data);
    if (lnt_zone_publish(zone, e) < 0)
        fail("publish: %s", strerror(errno));
    ring_all();
    return n;
}

/* One message in each room; false: somebody did not wake up for it. */
static bool
wake_rooms(unsigned *woken)
{
    for (unsigned i = 0; i < ROOMS; i++) {
        struct lnt_room_info info;
        char name[16];

        snprintf(name, sizeof(name), "room-%u", i);
        if (lnt_zone_room_find(zone, lnt_zone_app_id("app"), lnt_str_c(name),
                               &info) < 0)
            continue;
        uint64_t n = say_number(&(struct lnt_event){.room = info.room});
        for (unsigned k = 0; k < PROCS; k++) {
            if (!is_in(&shared->procs[k], info.room))
                continue;
            ++*woken;
            if (sees(&shared->procs[k], n))
                continue;
            diag("worker %u sleeps, and room %s has said something", k, name);
            return false;
        }
    }
    return true;
}

/* And one to each user. */
static bool
wake_users(unsigned *woken)
{
    for (unsigned i = 0; i < NICKS; i++) {
        char nick[16];

        snprintf(nick, sizeof(nick), "n%u", i);
        uint64_t session = lnt_zone_user_find(zone, lnt_str_c(nick));
        if (!session)
            continue;
        uint64_t n = say_number(&(struct lnt_event){
            .room = LNT_ROOM_NONE,
            .target = session,
            .flags = LNT_EVENT_DIRECT,
        });
        for (unsigned k = 0; k < PROCS; k++) {
            const struct proc *p = &shared->procs[k];

            if (p->cell != (session & ((1u << LNT_ID_CELL_BITS) - 1)))
                continue;
            ++*woken;
            if (sees(p, n))
                continue;
            diag("worker %u sleeps, and %s is meant", k, nick);
            return false;
        }
    }
    return true;
}

static void
read_whole_log(struct lnt_cursor *c)
{
    struct lnt_event e;

    while (lnt_zone_read(zone, c, &e) == LNT_READ_ONE) {
        char text[24] = "";

        if (e.kind != NOTE || e.data.n >= sizeof(text))
            continue;
        memcpy(text, e.data.p, e.data.n);
        uint64_t n = strtoull(text, NULL, 10);
        said[n].room = e.room;
        said[n].seq = e.seq;
    }
    free(c->scratch);
}

/* How many messages a worker should have seen, and how many of them not. */
static void
check_stays(const struct proc *p, uint64_t *wanted, uint64_t *missed)
{
    for (uint64_t n = 1; n <= shared->number; n++) {
        bool is_for_it = false;

        for (uint32_t i = 0; said[n].seq && i < p->nstays && !is_for_it; i++) {
            const struct stay *s = &p->stays[i];

            is_for_it = s->room == said[n].room && s->from <= said[n].seq &&
                        said[n].seq <= s->to;
        }
        *wanted += is_for_it;
        *missed += is_for_it && !has_seen(p, n);
    }
}

static void
check_all(struct lnt_cursor *c)
{
    uint64_t wanted = 0, missed = 0;

    read_whole_log(c);
    for (unsigned i = 0; i < PROCS; i++) {
        kill_one(i);
        check_stays(&shared->procs[i], &wanted, &missed);
    }
    ok(missed == 0 && wanted > 1000,
       "nobody missed anything (%llu of %llu did)", (unsigned long long)missed,
       (unsigned long long)wanted);
}

static bool
play_round(unsigned round, unsigned *woken)
{
    const struct timespec moment = {0, 1000 * (long)draw(30000)};
    struct lnt_strbuf why = LNT_STRBUF_INIT;

    if (round > 0)
        (void)next_half();
    /* The moment of death is the point, not something to wait for. */
    nanosleep(&moment, NULL);
    if (round % 2) {
        unsigned slot = draw(PROCS);

        kill_one(slot);
        spawn(slot);
    }
    if (!next_half()) {
        diag("round %u: somebody does not come to rest", round);
        return false;
    }
    bool good = lnt_zone_check(zone, &why);
    if (!good)
        diag("round %u: %s", round, why.p);
    lnt_strbuf_release(&why);
    return good && wake_rooms(woken) && wake_users(woken);
}

static void
make_all(void)
{
    for (unsigned i = 0; i < LNT_CELLS; i++)
        bells[i] = lnt_eventfd_create();
    for (unsigned i = 0; i < PROCS; i++) {
        go[i] = lnt_eventfd_create();
        if (pipe2(pipes[i], O_NONBLOCK | O_CLOEXEC) < 0 || go[i] < 0)
            exit(1);
    }
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        exit(1);
    zone = new_zone(64u << 20);
}

int
main(void)
{
    struct lnt_cursor c;
    unsigned woken = 0, round = 0;

    alarm(DEADLINE);
    lnt_log_level(LNT_ERROR);
    make_all();
    lnt_zone_cursor_init(zone, &c);
    for (unsigned i = 0; i < PROCS; i++)
        spawn(i);
    seed = 4711;
    while (round < ROUNDS && play_round(round, &woken))
        round++;
    is_int(round, ROUNDS, "in each round everybody woke up");
    ok(woken > ROUNDS * PROCS, "%u times", woken);
    ok(lnt_zone_maintained(zone, LNT_ZONE_F_WAKERS),
       "and not because all were rung");
    check_all(&c);
    is_sound(zone, "afterwards");
    lnt_zone_close(zone);
    return done_testing();
}
