/*
 * What a module may know of the server it runs in, and ask of it.
 */
#ifndef LNT_NET_SERVER_INFO_H
#define LNT_NET_SERVER_INFO_H

#include <stdbool.h>
#include <stdint.h>

#include "core/str.h"
#include "ipc/requests.h"

struct lnt_dict;

/* For lnt_server_request: the master itself. */
#define LNT_MASTER UINT32_MAX

struct lnt_server_info {
    const char *version;
    const char *prefix;  /* absolute folder, ends with / */
    uint64_t started_ms; /* the server's start, as lnt_clock_ms() */
    uint32_t generation; /* of the configuration, from 1 */
    uint32_t workers;    /* configured */
    int32_t master_pid;
    int slot;           /* of this worker, -1 in the master */
    int access_fd;      /* for the access log; -1: off.  The number stays when
                           the log is opened again (on_reopen) */
    bool access_syslog; /* it is a socket to the system log */
    bool access_json;

    /* For the functions below; NULL while the configuration is only tested. */
    struct lnt_channel *master;
    struct lnt_requests *requests;
    const struct lnt_dict *values;
};

/*
 * A small message for on_broadcast of the module of that name in every worker
 * (this one included), in one order for all.  0, or -1: EMSGSIZE over 32 KiB,
 * ENOBUFS when the channel is full.
 */
int lnt_server_broadcast(const struct lnt_server_info *s, const char *module,
                         struct lnt_str data);

/*
 * Shared values.  get reads this worker's replica: true with *value, valid until
 * control returns to the loop.  set (value NULL: unset) goes to the master, which
 * orders all changes; done (may be NULL) is called later with the version that
 * the change got, or 0 and why it was refused; by then this worker's replica has
 * it and on_value was called.  0, or -1 with errno when it could not be sent:
 * EINVAL a NUL in the key, EAGAIN 1024 requests and changes of this worker are
 * under way, EMSGSIZE far too large, ENOBUFS the channel is full.
 */
bool lnt_server_get(const struct lnt_server_info *s, struct lnt_str key,
                    struct lnt_str *value);
int lnt_server_set(const struct lnt_server_info *s, struct lnt_str key,
                   const struct lnt_str *value,
                   void (*done)(void *arg, uint64_t version, const char *why),
                   void *arg);

/*
 * Asks the module of that name in the worker of a cell (the low bits of a session
 * id name one) and calls reply exactly once, later: with the answer (16 MiB at
 * most), or with ok false and a text when it refuses, does not answer in time (a
 * minute at most) or dies; when this worker ends, before worker_stop.  0, or -1
 * with errno, as set, and no reply.
 * The master (cell LNT_MASTER, module "") answers "status" with the JSON of
 * "linnet ctl status --json", and "zone" and "rooms" with the text of these
 * commands.
 */
int lnt_server_request(const struct lnt_server_info *s, unsigned cell,
                       const char *module, const char *name,
                       struct lnt_str data, uint64_t timeout_ms,
                       lnt_reply_fn *reply, void *arg);

#endif
