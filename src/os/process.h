/*
 * What a daemon does to its own process: signals through a descriptor,
 * privileges, limits, affinity, title, daemonizing, pidfile and folder locks,
 * sd_notify.
 */
#ifndef LNT_OS_PROCESS_H
#define LNT_OS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Blocks the n signals for this process, and no others, and returns a
 * non-blocking, close-on-exec signalfd that delivers them; -1 with errno.
 */
int lnt_signals_open(const int *signals, size_t n);

/* Next pending signal: number (and *sender when not NULL), 0 none, -1 error. */
int lnt_signals_read(int fd, pid_t *sender);

/* Unblocks everything and restores default actions; for before an exec. */
void lnt_signals_reset(void);

/*
 * Ignores the signals that end a process by default although nothing is wrong
 * with it: SIGPIPE, SIGXFSZ, SIGXCPU, timers, SIGIO, SIGPWR, the real-time
 * ones, SIGUSR1 and SIGUSR2; and SIGTTOU, which stops it.  Those of
 * lnt_signals_open, called later, are delivered all the same.
 */
void lnt_signals_ignore(void);
/* In a forked child: default actions, and the above ignored.  What the parent
   has blocked stays so until lnt_signals_open; nothing gets lost between. */
void lnt_signals_forked(void);

/*
 * Detaches: forks, new session, stdin/stdout to /dev/null.  The parent does
 * not return: it waits until the child calls lnt_daemon_ready, and exits with
 * the status given there (1 if the child ended before).  stderr stays open
 * until then.  Returns in the child: 0, or -1 with errno.
 */
int lnt_daemon_detach(void);
void lnt_daemon_ready(int status); /* no-op when not detached */
/* Whether the parent still waits; in processes forked meanwhile, for good. */
bool lnt_daemon_waited_for(void);
/* In those: stderr to /dev/null, or who reads it would wait for their end. */
void lnt_daemon_let_go(void);

/*
 * Changes to user and group by name (group NULL: the user's).  Supplementary
 * groups are those of the user.  0, or -1 with *why set to a static text and
 * errno.  Only for root.
 */
int lnt_process_drop(const char *user, const char *group, const char **why);
/* Looks the names up without changing anything. */
int lnt_process_user(const char *user, const char *group, uid_t *uid,
                     gid_t *gid, const char **why);

/* A user and all of that user's groups as numbers. */
struct lnt_identity {
    uid_t uid;
    gid_t gid;
    gid_t *groups;
    size_t ngroups;
};
/*
 * Looks a user up, with group (NULL: the user's own) as the first group.  The
 * user database may be on the network and hang: a child asks it, for ms at
 * most.  0, or -1: with *why, a static text, when there is no such user or
 * group, else with *why NULL and errno (ETIMEDOUT: no answer came).
 */
int lnt_process_identity(const char *user, const char *group, unsigned ms,
                         struct lnt_identity *id, const char **why);
void lnt_identity_release(struct lnt_identity *id);

/*
 * lnt_file_barrier for another user, of a path that is there, for a process
 * that may see all of it.  Owners, groups and modes decide; what has a list of
 * access rights (ACL) is taken as allowed.
 */
struct lnt_barrier;
int lnt_process_barrier(const struct lnt_identity *id, const char *path,
                        int want, struct lnt_barrier *b);
/* The user of a process, as /proc shows it; 0, or -1 with errno. */
int lnt_process_owner(pid_t pid, uid_t *uid);
/* "user NAME", or "user 4711" without one, for this process. */
void lnt_process_user_name(char *text, size_t n);

/* Sets RLIMIT_NOFILE's soft limit to n (raising the hard one where allowed);
   0 changes nothing.  Returns what is in force. */
uint64_t lnt_process_nofile(uint64_t n);
/* The cpus this process may use, and pinning to the n-th of them. */
unsigned lnt_process_cpus(void);
int lnt_process_pin(unsigned nth);
/* Core dumps and /proc stay possible after a change of user. */
int lnt_process_dumpable(void);

/* Whether pid runs; one that has ended and waits to be reaped does not. */
bool lnt_process_alive(pid_t pid);
/* A close-on-exec descriptor of that process, whoever gets its pid afterwards;
   it becomes readable when the process ends (at once if it has).  -1 with
   errno. */
int lnt_process_watch(pid_t pid);
/* Sends a signal through it; 0, or -1 with errno. */
int lnt_process_signal(int fd, int signal);

/* Resident memory of pid in bytes; 0 if it cannot be read. */
uint64_t lnt_process_rss(pid_t pid);
/* The letter that /proc shows for pid's state (R, S, D, T stopped, t traced and
   stopped, Z, ...); 0 if it cannot be read. */
char lnt_process_state(pid_t pid);
/* The beginning of a small file of pid under /proc (name: "stat"), as text;
   what does not fit is cut off.  Its length, or -1 with errno. */
ssize_t lnt_process_proc(pid_t pid, const char *name, char *text, size_t size);

/* Process title over argv and environ.  Call init once, first thing. */
void lnt_title_init(int argc, char **argv);
void lnt_title_set(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * Locks and writes the pidfile: opens path, takes an flock, writes the pid to
 * it only after that.  Returns the fd that holds the lock (keep it), or -1
 * with errno; EWOULDBLOCK means another process has it, whose pid is in
 * *other when it could be read.  The file appears whole, never half written.
 */
int lnt_pidfile_open(const char *path, pid_t *other);
/* Removes the file if it still is the one that fd holds; closes fd. */
void lnt_pidfile_close(int fd, const char *path);
/* Writes the file again if it is not the one that *fd holds, and *fd holds the
   new one then.  1 it was gone, 0 it is there, -1 with errno as above. */
int lnt_pidfile_restore(int *fd, const char *path, pid_t *other);

/*
 * Locks a folder.  Returns the fd that holds the lock, or -1 with errno;
 * EWOULDBLOCK means that another process has one.
 */
int lnt_dirlock_open(const char *path);
/* The same with a lock that was inherited as fd, which becomes close-on-exec;
   ESTALE when it is of another folder.  0, or -1 with errno. */
int lnt_dirlock_take(int fd, const char *path);
/* Whether the folder at path is the one that fd holds. */
bool lnt_dirlock_is(int fd, const char *path);
/* unlock: also in processes that have a copy of fd. */
void lnt_dirlock_close(int fd, bool unlock);
/* The process of that title, root's or our own user's, that has the folder
   open; 0 when there is none or it cannot be seen. */
pid_t lnt_dirlock_holder(const char *path, const char *title);

/*
 * What ends together with this process, so that no other process can take its
 * place.  To be asked at the start: a parent that ends is replaced by another.
 */
enum lnt_bond {
    LNT_BOND_NONE,    /* nothing, as far as can be seen */
    LNT_BOND_INIT,    /* it is process 1: the kernel ends the pid namespace */
    LNT_BOND_CHILD,   /* process 1 of a container started it and waits for it */
    LNT_BOND_SYSTEMD, /* systemd waits for it, and cannot be told of another */
};
enum lnt_bond lnt_process_bond(void);

/* sd_notify: sends state ("READY=1\n...") to $NOTIFY_SOCKET when set. */
void lnt_sd_notify(const char *state);

#endif
