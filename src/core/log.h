/*
 * The log: six verbs, one line each, one write(2) a line.  The sink and its
 * context are process-wide; the server's master opens it, forked workers
 * inherit it.  Nobody waits for it: what it does not take now is held back, as
 * far as there is room, and lines that are lost are counted and reported when
 * it takes bytes again.
 *
 *   2026/11/21 22:02:52 [notice] 1234#0 *15: text
 *
 * pid, worker slot ("#-" in the master), and the connection when one is being
 * served.  With format = json the same fields as one object a line.
 */
#ifndef LNT_CORE_LOG_H
#define LNT_CORE_LOG_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_outlet;

enum lnt_level {
    LNT_DEBUG,
    LNT_INFO,
    LNT_NOTICE,
    LNT_WARN,
    LNT_ERROR,
    LNT_ALERT,
};

extern const char *const lnt_level_names[]; /* in order, ends with NULL */

/*
 * target: "stderr", "syslog", "off" or a path.  A path is opened for
 * appending.  Returns 0, or -1 with errno; the old sink stays then.
 */
int lnt_log_open(const char *target, bool json);
/* Uses fd (owned from now on) for the error log from now on. */
void lnt_log_take(int fd);
int lnt_log_fd(void);     /* of a file sink, else -1 */
int lnt_log_socket(void); /* of the system log, else -1 */
/* Opens the current path again (after rotation).  0, or -1 with errno. */
int lnt_log_reopen(void);
void lnt_log_level(enum lnt_level level);
/* Keeps a copy of everything at error and above on stderr, too; for start.
   Also to be called when stderr has become another file. */
void lnt_log_stderr_too(bool on);
void lnt_log_slot(int slot);      /* -1: master */
void lnt_log_conn(uint64_t conn); /* 0: none being served */

void lnt_log_write(enum lnt_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
bool lnt_log_wants(enum lnt_level level);

/* Where lines of this process that were lost (disk full, nobody reads ...) are
   counted from now on, atomically: many processes may count in one place.
   NULL: nowhere.  Not touched again after the next call. */
void lnt_log_count(uint64_t *counter);

/* For those who can tell when the log takes bytes again: where it writes to,
   and to be called then. */
const struct lnt_outlet *lnt_log_outlet(void);
void lnt_log_flush(void);
/* In a new process: what is held back is the parent's to write. */
void lnt_log_forked(void);
/* The process ends: lines that are still held back count as lost. */
void lnt_log_end(void);

#define lnt_log_at(level, ...)                                                 \
    do {                                                                       \
        if (lnt_log_wants(level))                                              \
            lnt_log_write(level, __VA_ARGS__);                                 \
    } while (0)
#define lnt_log_debug(...) lnt_log_at(LNT_DEBUG, __VA_ARGS__)
#define lnt_log_info(...) lnt_log_at(LNT_INFO, __VA_ARGS__)
#define lnt_log_notice(...) lnt_log_at(LNT_NOTICE, __VA_ARGS__)
#define lnt_log_warn(...) lnt_log_at(LNT_WARN, __VA_ARGS__)
#define lnt_log_error(...) lnt_log_at(LNT_ERROR, __VA_ARGS__)
#define lnt_log_alert(...) lnt_log_at(LNT_ALERT, __VA_ARGS__)

/*
 * Assertions stay on in production: for our own mistakes only.  Logs an alert
 * and aborts.
 */
_Noreturn void lnt_assert_fail(const char *expr, const char *file, int line);
#define lnt_assert(expr)                                                       \
    ((expr) ? (void)0 : lnt_assert_fail(#expr, __FILE__, __LINE__))

#endif
