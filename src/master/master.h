/*
 * The master's state.  Children, channels and the control socket record what has
 * happened (child.h) and what is asked for (changes.h); master.c decides what to
 * do about it, once a turn of the loop.
 */
#ifndef LNT_MASTER_MASTER_H
#define LNT_MASTER_MASTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/config.h"
#include "event/flusher.h"
#include "event/loop.h"
#include "ipc/channel.h"
#include "ipc/dict.h"
#include "master/changes.h"
#include "master/child.h"
#include "master/helpers.h"
#include "master/lock_watch.h"
#include "master/run_files.h"
#include "master/sockets.h"
#include "net/server_info.h"
#include "os/process.h"

struct lnt_bringup;
struct lnt_control;
struct lnt_upgrade;
struct lnt_zone;

/* A second server knows us by it. */
#define LNT_MASTER_TITLE "linnet: master"

struct lnt_generation {
    struct lnt_config *config;
    uint32_t number;
    struct lnt_sockets sockets;
    struct lnt_slot *slots; /* of its workers */
    size_t nslots;
    int access_fd;
};

enum lnt_master_state {
    LNT_MASTER_STARTING, /* the first workers are not ready yet */
    LNT_MASTER_RUNNING,
    LNT_MASTER_IDLE,     /* workers drained away by WINCH */
    LNT_MASTER_QUITTING, /* waits for workers to drain */
    LNT_MASTER_STOPPING, /* waits for workers to end at once */
};

struct lnt_last_reload {
    bool any, ok;
    uint64_t time_us;
    char *error;
};

struct lnt_master {
    const struct lnt_config_source *source;
    struct lnt_server_info *info;
    const char *binary; /* absolute path of our own, as at start */
    char **argv;
    bool detached;

    struct lnt_loop *loop;
    struct lnt_watch signals;
    struct lnt_flusher flusher; /* of the log */
    enum lnt_master_state state;
    int exit_status;

    struct lnt_generation now;
    struct lnt_changes changes;
    struct lnt_bringup *bringup;  /* the next generation, or NULL */
    struct lnt_upgrade *upgrade;  /* going on, or NULL */
    struct lnt_upgrade *upgraded; /* over: the newer master waits for ours */
    struct lnt_last_reload last_reload;

    struct lnt_list children; /* see lnt_child_next */
    struct lnt_helper helpers[LNT_HELPERS];
    struct lnt_zone *zone;
    bool zone_is_new; /* made by this process */
    int *doorbells;   /* LNT_CELLS */
    struct lnt_dict dict;
    struct lnt_requests *requests; /* to children */
    struct lnt_timer sweep_timer;  /* the zone's housekeeping */
    struct lnt_timer level_timer;
    struct lnt_lock_watch lock; /* the zone's */

    struct lnt_control *control;
    struct lnt_channel *newer;     /* to the binary that is to take over */
    struct lnt_sockets inherited;  /* from an older binary */
    struct lnt_channel *older;     /* to it, until we serve */
    struct lnt_channel *neighbour; /* to the other master, while the older one
                                      has workers */
    uint32_t *older_givers;        /* incarnations of those that will give us */
    size_t nolder_givers;          /* their connections */
    struct lnt_run_files files;
    bool handed_over;   /* files and sockets belong to a newer one */
    bool received;      /* all that an older one handed over */
    char *zone_refused; /* why its zone is not kept; NULL: it is */
    enum lnt_bond bond; /* what would end with this process */
};

/* All children that have not ended, one after the other; NULL before the first
   one and after the last. */
static inline struct lnt_child *
lnt_child_next(const struct lnt_master *m, const struct lnt_child *c)
{
    struct lnt_list_node *next = c ? c->node.next : m->children.first;
    while (next &&
           LNT_OWNER(next, struct lnt_child, node)->state == LNT_CHILD_ENDED)
        next = next->next;
    return next ? LNT_OWNER(next, struct lnt_child, node) : NULL;
}

/* The same for workers alone. */
static inline struct lnt_child *
lnt_worker_next(const struct lnt_master *m, const struct lnt_child *c)
{
    struct lnt_child *next = lnt_child_next(m, c);
    while (next && next->kind != LNT_KIND_WORKER)
        next = lnt_child_next(m, next);
    return next;
}

#endif
