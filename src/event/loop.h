/*
 * The event loop: epoll watches, timers, and what happens between two waits.
 *
 * A turn is: wait, run the callbacks of ready watches, run due timers, run the
 * turn hook, free what was deferred.  Single-threaded; everything is called
 * from lnt_loop_run.
 */
#ifndef LNT_EVENT_LOOP_H
#define LNT_EVENT_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

struct lnt_loop;

/*
 * A watched descriptor, embedded in its owner.  Level-triggered, unless it is
 * added with EPOLLET.  The owner must keep the memory until the turn has ended
 * in which it was removed: free it with lnt_loop_free.
 */
struct lnt_watch {
    int fd;          /* -1 when not watched */
    uint32_t events; /* what epoll has been told */
    void (*fn)(struct lnt_watch *w, uint32_t events);
};

/* A timer, embedded in its owner; zeroed means idle. */
struct lnt_timer {
    void (*fn)(struct lnt_timer *t);
    uint32_t pos; /* place in the heap + 1, 0 idle */
};

struct lnt_loop *lnt_loop_new(void); /* NULL with errno */
void lnt_loop_destroy(struct lnt_loop *l);

/* Runs turns until lnt_loop_stop, which may have been called before.  Returns
   0, or -1 with errno. */
int lnt_loop_run(struct lnt_loop *l);
void lnt_loop_stop(struct lnt_loop *l);

/* Milliseconds, monotonic, as of the start of this turn. */
uint64_t lnt_loop_now(const struct lnt_loop *l);

/* w->fd and w->fn are set by the caller.  0, or -1 with errno. */
int lnt_watch_add(struct lnt_loop *l, struct lnt_watch *w, uint32_t events);
/* No system call when events is what epoll already knows. */
int lnt_watch_set(struct lnt_loop *l, struct lnt_watch *w, uint32_t events);
/* Forgets the watch and sets fd to -1; does not close it.  Returns the fd. */
int lnt_watch_del(struct lnt_loop *l, struct lnt_watch *w);
/* The same without telling epoll, for a descriptor about to be closed of
   which no duplicate exists in this or another process. */
int lnt_watch_forget(struct lnt_watch *w);

/* At the absolute time ms (lnt_loop_now + delay); moves a timer that runs. */
void lnt_timer_at(struct lnt_loop *l, struct lnt_timer *t, uint64_t ms);
void lnt_timer_stop(struct lnt_loop *l, struct lnt_timer *t);
/* When a timer that runs is due. */
uint64_t lnt_timer_due(const struct lnt_loop *l, const struct lnt_timer *t);
static inline bool
lnt_timer_active(const struct lnt_timer *t)
{
    return t->pos != 0;
}

/* Frees p (malloc'd) when this turn has ended. */
void lnt_loop_free(struct lnt_loop *l, void *p);

/*
 * The hook between work and sleep.
 *   turn    after all callbacks; true: do not sleep, there is more to do
 *   sleep   about to wait without bound; false: do not sleep after all
 *   wake    back from such a wait
 */
struct lnt_loop_hook {
    bool (*turn)(void *arg);
    bool (*sleep)(void *arg);
    void (*wake)(void *arg);
    void *arg;
};
void lnt_loop_set_hook(struct lnt_loop *l, const struct lnt_loop_hook *hook);

#endif
