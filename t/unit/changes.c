/*
 * The queue of changes: what is refused in which state, what becomes one, and
 * that whoever asks hears once.
 */
#include "master/changes.h"

#include "core/log.h"
#include "master/master.h"
#include "master/waiters.h"
#include "t/unit/tap.h"

enum { WAITERS = 8 };

static struct lnt_waiter waiters[WAITERS];
static struct {
    int calls;
    bool ok;
    char text[256];
} told[WAITERS];
static struct lnt_master m;

static void
on_done(struct lnt_waiter *w, bool ok, const char *text)
{
    size_t i = (size_t)(w - waiters);
    told[i].calls++;
    told[i].ok = ok;
    snprintf(told[i].text, sizeof(told[i].text), "%s", text);
}

static void
begin(enum lnt_master_state state)
{
    m = (struct lnt_master){.state = state};
    memset(told, 0, sizeof(told));
    for (int i = 0; i < WAITERS; i++)
        waiters[i] = (struct lnt_waiter){.done = on_done};
}

static void
ask(enum lnt_change_kind kind, int i)
{
    lnt_changes_ask(&m, &(struct lnt_change){.kind = kind}, &waiters[i]);
}

/* The oldest one that waits goes on from here. */
static void
go_on(enum lnt_change_kind kind)
{
    m.changes.now = lnt_changes_take(&m, kind);
    ok(m.changes.now && m.changes.now->kind == kind, "it goes on");
}

static void
is_told(int i, bool good, const char *text)
{
    is_int(told[i].calls, 1, "told once");
    ok(told[i].ok == good, "and how it went");
    is_str(told[i].text, text, "%s", text);
}

static const char *
refusal(enum lnt_change_kind kind)
{
    const char *why =
        lnt_changes_refusal(&m, &(struct lnt_change){.kind = kind});
    return why ? why : "";
}

/* Every state, as nobody else asks whether a change may begin. */
static void
test_states(void)
{
    static const struct {
        enum lnt_master_state state;
        const char *reload, *upgrade;
    } rows[] = {
        {LNT_MASTER_STARTING, "the server is still starting",
         "the server is still starting"},
        {LNT_MASTER_RUNNING, "", ""},
        {LNT_MASTER_IDLE, "",
         "the workers were told to end (WINCH); reload first"},
        {LNT_MASTER_QUITTING, "the server ends", "the server ends"},
        {LNT_MASTER_STOPPING, "the server ends", "the server ends"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin(rows[i].state);
        is_str(refusal(LNT_CHANGE_RELOAD), rows[i].reload, "reload, %zu", i);
        is_str(refusal(LNT_CHANGE_REPLACE), rows[i].reload, "drain, %zu", i);
        is_str(refusal(LNT_CHANGE_UPGRADE), rows[i].upgrade, "upgrade, %zu", i);
        is_str(refusal(LNT_CHANGE_END), "", "an end always, %zu", i);
        is_str(refusal(LNT_CHANGE_REOPEN), "", "and files, %zu", i);
        m.handed_over = true;
        is_str(refusal(LNT_CHANGE_RELOAD),
               "another process has taken over from this one", "handed over");
    }
    begin(LNT_MASTER_RUNNING);
    m.bond = LNT_BOND_INIT;
    ok(strstr(refusal(LNT_CHANGE_UPGRADE), "process 1"), "no upgrade as init");
    is_str(refusal(LNT_CHANGE_RELOAD), "", "but a reload");
}

static void
test_going_on(void)
{
    begin(LNT_MASTER_RUNNING);
    ask(LNT_CHANGE_RELOAD, 0);
    go_on(LNT_CHANGE_RELOAD);
    is_str(refusal(LNT_CHANGE_RELOAD), "", "one reload waits for another");
    is_str(refusal(LNT_CHANGE_UPGRADE),
           "a reload is going on; try again after it", "an upgrade does not");
    ask(LNT_CHANGE_UPGRADE, 1);
    is_told(1, false, "a reload is going on; try again after it");
    ask(LNT_CHANGE_RELOAD, 2);
    ask(LNT_CHANGE_RELOAD, 3);
    lnt_changes_done(&m, true, "reloaded");
    is_told(0, true, "reloaded");
    is_int(told[2].calls + told[3].calls, 0, "not those who came later");
    go_on(LNT_CHANGE_RELOAD);
    ok(!m.changes.waiting, "two that waited are one");
    lnt_changes_done(&m, false, "a worker failed");
    is_told(2, false, "a worker failed");
    is_told(3, false, "a worker failed");
    ask(LNT_CHANGE_UPGRADE, 4);
    go_on(LNT_CHANGE_UPGRADE);
    is_str(refusal(LNT_CHANGE_UPGRADE), "another upgrade is going on",
           "one at a time");
    is_str(refusal(LNT_CHANGE_RELOAD),
           "an upgrade is going on; try again after it", "nor a reload");
    is_str(refusal(LNT_CHANGE_REPLACE),
           "an upgrade is going on; try again after it", "nor a drain");
    lnt_changes_done(&m, true, "upgraded");
    is_told(4, true, "upgraded");
}

static void
test_merging(void)
{
    struct lnt_change three = {.kind = LNT_CHANGE_RELOAD, .workers = 3};
    struct lnt_change four = {.kind = LNT_CHANGE_RELOAD, .workers = 4};
    begin(LNT_MASTER_RUNNING);
    ask(LNT_CHANGE_RELOAD, 0);
    lnt_changes_ask(&m, &three, &waiters[1]);
    ask(LNT_CHANGE_RELOAD, 2);
    lnt_changes_ask(&m, &four, &waiters[3]);
    is_told(3, false,
            "another number of workers waits to take effect; try again after "
            "it");
    ask(LNT_CHANGE_REOPEN, 4);
    ok(lnt_changes_any(&m), "they wait");
    struct lnt_change *c = lnt_changes_take(&m, LNT_CHANGE_REOPEN);
    ok(c && !lnt_changes_take(&m, LNT_CHANGE_REOPEN), "one from the middle");
    free(c);
    go_on(LNT_CHANGE_RELOAD);
    is_int(m.changes.now->workers, 3, "with the number that was asked for");
    lnt_changes_ask(&m, &four, &waiters[5]);
    is_int(told[5].calls, 0, "behind it there may be another");
    lnt_changes_done(&m, true, "reloaded");
    is_int(told[0].calls + told[1].calls + told[2].calls, 3, "all are told");
    lnt_changes_cancel(&m, "the server ends");
    is_told(5, false, "the server ends");
    ok(!lnt_changes_any(&m), "nothing is left");
}

/* Behind an upgrade nobody here would do it. */
static void
test_behind_upgrade(void)
{
    begin(LNT_MASTER_RUNNING);
    ask(LNT_CHANGE_UPGRADE, 0);
    ask(LNT_CHANGE_RELOAD, 1);
    is_told(1, false, "an upgrade is going on; try again after it");
    lnt_changes_cancel(&m, "done");
    is_told(0, false, "done");
    ask(LNT_CHANGE_RELOAD, 2);
    ask(LNT_CHANGE_UPGRADE, 3);
    ask(LNT_CHANGE_RELOAD, 4);
    is_int(told[4].calls, 0, "one with the reload in front of it waits");
    go_on(LNT_CHANGE_RELOAD);
    ask(LNT_CHANGE_RELOAD, 5);
    is_told(5, false, "an upgrade is going on; try again after it");
    lnt_changes_done(&m, true, "reloaded");
    is_told(4, true, "reloaded");
    lnt_changes_cancel(&m, "done");
}

static void
test_gone(void)
{
    begin(LNT_MASTER_RUNNING);
    for (int i = 0; i < 4; i++)
        ask(LNT_CHANGE_RELOAD, i);
    ok(lnt_waiters_remove(&waiters[3]), "the last who asked goes");
    go_on(LNT_CHANGE_RELOAD);
    ok(lnt_waiters_remove(&waiters[1]), "one from the middle, meanwhile");
    ok(!lnt_waiters_remove(&waiters[1]), "once");
    lnt_changes_done(&m, true, "reloaded");
    is_told(0, true, "reloaded");
    is_told(2, true, "reloaded");
    is_int(told[1].calls + told[3].calls, 0, "the others are not told");
    ok(!lnt_waiters_remove(&waiters[0]), "who is told waits no more");
    ask(LNT_CHANGE_RELOAD, 4);
    ok(lnt_waiters_remove(&waiters[4]), "the only one goes");
    ok(lnt_changes_any(&m), "what was asked for is done all the same");
    lnt_changes_cancel(&m, "the server ends");
    is_int(told[4].calls, 0, "nobody is told");
}

static void
test_end(void)
{
    struct lnt_change at_once = {.kind = LNT_CHANGE_END, .at_once = true};
    begin(LNT_MASTER_RUNNING);
    ask(LNT_CHANGE_END, 0);
    ok(m.changes.end && !m.changes.end->at_once, "in peace");
    lnt_changes_ask(&m, &at_once, NULL);
    ok(m.changes.end->at_once, "at once, whoever said so");
    lnt_changes_cancel(&m, "the server ends");
    is_int(told[0].calls, 0, "nobody is told before the end");
    lnt_changes_release(&m);
    is_told(0, true, "ended");
}

int
main(void)
{
    lnt_log_open("off", false);
    test_states();
    test_going_on();
    test_merging();
    test_behind_upgrade();
    test_gone();
    test_end();
    return done_testing();
}
