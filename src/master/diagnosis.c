/*
 * Diagnosis of a binary.  Its output comes through a pipe that is read all the
 * time and kept in part, so that no output, however long, stops it.
 */
#include "master/diagnosis.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/owner.h"
#include "core/strbuf.h"
#include "ipc/reasons.h"
#include "master/master.h"
#include "master/takeover.h"
#include "os/process.h"

enum {
    TEST_TIME = 5000, /* ms */
    KEPT = LNT_REASON_MAX,
    READS = 32, /* of 4 KiB: twice what a pipe holds */
};

struct lnt_diagnosis {
    struct lnt_master *m;
    lnt_diagnosis_fn *fn;
    void *arg;
    pid_t pid;                     /* 0: has ended */
    const struct lnt_child *child; /* of that pid */
    struct lnt_watch output;
    struct lnt_timer timer;
    struct lnt_strbuf kept;
    size_t more; /* bytes that were not kept */
};

/* The arguments that this server was started with, behind "-t". */
static char **
test_arguments(const struct lnt_master *m)
{
    static char test[] = "-t";
    size_t n = 0;
    while (m->argv[n])
        n++;
    char **argv = lnt_calloc(n + 2, sizeof(argv[0]));
    argv[0] = m->argv[0];
    argv[1] = test;
    for (size_t i = 1; i < n; i++)
        argv[i + 1] = m->argv[i];
    return argv;
}

_Noreturn static void
run_test(const struct lnt_master *m, int out)
{
    int null = open("/dev/null", O_RDWR);
    lnt_signals_reset();
    /* A group of its own: a script may have started others. */
    (void)setpgid(0, 0);
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv(LNT_TAKEOVER_ENV);
    if (null >= 0 && dup2(null, STDIN_FILENO) >= 0 &&
        dup2(out, STDOUT_FILENO) >= 0 && dup2(out, STDERR_FILENO) >= 0)
        execv(m->binary, test_arguments(m));
    _exit(127);
}

enum reading { MORE, NOTHING_NOW, ENDED };

static enum reading
read_some(struct lnt_diagnosis *d)
{
    char buf[4096];
    ssize_t n = read(d->output.fd, buf, sizeof(buf));
    if (n < 0)
        return errno == EINTR ? MORE : errno == EAGAIN ? NOTHING_NOW : ENDED;
    size_t room = KEPT - d->kept.n;
    size_t take = (size_t)n < room ? (size_t)n : room;
    lnt_strbuf_add(&d->kept, buf, take);
    d->more += (size_t)n - take;
    return n > 0 ? MORE : ENDED;
}

/* What is there by now, but no more than a pipe holds: others may go on
   writing to it. */
static enum reading
read_output(struct lnt_diagnosis *d)
{
    enum reading got = MORE;
    for (int i = 0; got == MORE && i < READS; i++)
        got = read_some(d);
    return got;
}

static void
on_output(struct lnt_watch *w, uint32_t events)
{
    struct lnt_diagnosis *d = LNT_OWNER(w, struct lnt_diagnosis, output);
    (void)events;
    if (read_output(d) == ENDED) /* SIGCHLD tells the rest */
        close(lnt_watch_del(d->m->loop, w));
}

static void
end(struct lnt_diagnosis *d)
{
    if (d->pid > 0) {
        (void)kill(-d->pid, SIGKILL);
        (void)kill(d->pid, SIGKILL); /* it may not have a group yet */
        d->pid = 0;
    }
    if (d->output.fd >= 0)
        close(lnt_watch_del(d->m->loop, &d->output));
    lnt_timer_stop(d->m->loop, &d->timer);
}

/* how: it "exited with status 1", or NULL when it did not end in time. */
static void
conclude(struct lnt_diagnosis *d, const char *how, bool good)
{
    struct lnt_strbuf text = LNT_STRBUF_INIT;
    end(d);
    if (good) {
        lnt_strbuf_adds(&text, "its own test (-t) finds nothing wrong");
    } else {
        lnt_strbuf_addf(&text, "its own test (-t) %s",
                        how ? how : "does not end");
        lnt_strbuf_adds(&text, d->kept.n ? " and says:\n" : " without a word");
        lnt_reason_add(&text, lnt_strbuf_str(&d->kept));
        if (d->more)
            lnt_strbuf_addf(&text, "\n(and %zu bytes more)", d->more);
    }
    d->fn(d->arg, good, text.p);
    lnt_strbuf_release(&text);
}

static void
on_timer(struct lnt_timer *t)
{
    struct lnt_diagnosis *d = LNT_OWNER(t, struct lnt_diagnosis, timer);
    if (d->child->state != LNT_CHILD_ENDED) /* else that is judged next */
        conclude(d, NULL, false);
}

struct lnt_diagnosis *
lnt_diagnosis_start(struct lnt_master *m, lnt_diagnosis_fn *fn, void *arg)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC) < 0)
        return NULL;
    struct lnt_diagnosis *d = lnt_calloc(1, sizeof(*d));
    d->m = m;
    d->fn = fn;
    d->arg = arg;
    d->timer.fn = on_timer;
    d->output.fd = fds[0];
    d->output.fn = on_output;
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) < 0 ||
        lnt_watch_add(m->loop, &d->output, EPOLLIN) < 0) {
        int error = errno;
        close(fds[0]);
        close(fds[1]);
        free(d);
        errno = error;
        return NULL;
    }
    d->pid = fork();
    if (d->pid == 0)
        run_test(m, fds[1]);
    int error = errno;
    close(fds[1]);
    if (d->pid < 0) {
        d->pid = 0;
        lnt_diagnosis_free(d);
        errno = error;
        return NULL;
    }
    d->child = lnt_child_add(m, LNT_KIND_TEST, d->pid);
    lnt_timer_at(m->loop, &d->timer, lnt_loop_now(m->loop) + TEST_TIME);
    return d;
}

void
lnt_diagnosis_ended(struct lnt_diagnosis *d, const struct lnt_child *c)
{
    char how[96];
    if (!d || d->pid != c->pid)
        return;
    d->pid = 0;
    /* What it has written is in the pipe; who else has that does not count. */
    if (d->output.fd >= 0)
        (void)read_output(d);
    conclude(d, lnt_child_how(c->status, how, sizeof(how)),
             WIFEXITED(c->status) && WEXITSTATUS(c->status) == 0);
}

void
lnt_diagnosis_free(struct lnt_diagnosis *d)
{
    if (!d)
        return;
    end(d);
    lnt_strbuf_release(&d->kept);
    lnt_loop_free(d->m->loop, d);
}
