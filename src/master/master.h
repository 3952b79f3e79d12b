/*
 * The master's state.  Private to proc/: child.c spawns and reaps, bringup.c
 * starts generations, control.c and status.c talk to operators, upgrade.c
 * hands over to another binary, run_files.c marks run_dir as ours, master.c
 * holds them together.
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
#include "master/keepers.h"
#include "master/lock_watch.h"
#include "master/run_files.h"
#include "master/sockets.h"
#include "net/server_info.h"
#include "os/process.h"

struct lnt_child;
struct lnt_master;
struct lnt_strbuf;
struct lnt_zone;

/* A second server knows us by it. */
#define LNT_MASTER_TITLE "linnet: master"

/* Somebody who waits for a command to be done. */
struct lnt_asker {
    struct lnt_asker *next;
    /* text: what to tell; the asker is gone afterwards. */
    void (*done)(struct lnt_asker *a, bool ok, const char *text);
};

/* A place for a worker of the current generation. */
struct lnt_slot {
    struct lnt_master *m;
    unsigned number;
    struct lnt_child *child; /* NULL: waits to be spawned again */
    unsigned restarts;
    uint32_t last_cell, last_incarnation; /* of the child that died */
    uint64_t delay; /* ms before the next spawn; 0: healthy */
    struct lnt_timer timer;
};

struct lnt_generation {
    struct lnt_config *config;
    uint32_t number;
    struct lnt_sockets sockets;
    struct lnt_slot *slots;
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

/* What children report; set by master.c. */
struct lnt_child_events {
    void (*ready)(struct lnt_master *m, struct lnt_child *c);
    /* It cannot start, for this reason; it ends by itself. */
    void (*failed)(struct lnt_master *m, struct lnt_child *c, const char *why);
    /* It has ended; freed after the call. */
    void (*ended)(struct lnt_master *m, struct lnt_child *c, int status);
    void (*frame)(struct lnt_master *m, struct lnt_child *c,
                  const struct lnt_frame *f);
};

/* What the control socket may ask; set by master.c. */
struct lnt_commands {
    void (*reload)(struct lnt_master *m, struct lnt_asker *a);
    void (*upgrade)(struct lnt_master *m, bool new_zone, struct lnt_asker *a);
    void (*workers)(struct lnt_master *m, const char *number,
                    struct lnt_asker *a);
    void (*end)(struct lnt_master *m, bool at_once, struct lnt_asker *a);
    /* Something has ended that other changes may wait for. */
    void (*settled)(struct lnt_master *m);
    void (*reopen)(struct lnt_master *m, struct lnt_asker *a);
    void (*level)(struct lnt_master *m, int level, struct lnt_asker *a);
    /* These are done at once: true, or false with why. */
    bool (*broadcast)(struct lnt_master *m, struct lnt_str module,
                      struct lnt_str text, struct lnt_strbuf *why);
    bool (*drain)(struct lnt_master *m, const char *slot,
                  struct lnt_strbuf *why);
    bool (*set)(struct lnt_master *m, struct lnt_str key,
                const struct lnt_str *value, struct lnt_strbuf *why);
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
    struct lnt_bringup *bringup; /* the next generation, or NULL */
    bool reload_again;           /* asked for while one was going on */
    struct lnt_asker *reload_askers;
    bool reopen_again;  /* when that, or an upgrade, is over: the new ones have
                           files, too */
    bool upgrade_again; /* the same for an upgrade */
    bool upgrade_new_zone; /* which may make a new zone */
    struct lnt_asker *upgrade_askers;
    struct lnt_upgrade *upgraded; /* over: the newer master waits for ours */
    struct lnt_last_reload last_reload;

    struct lnt_child *children; /* all alive */
    struct lnt_zone *zone;
    bool zone_is_new;           /* made by this process */
    struct lnt_keepers keepers; /* of the store */
    int *doorbells;             /* LNT_CELLS */
    struct lnt_dict dict;
    struct lnt_requests *requests; /* to workers */
    struct lnt_timer sweep_timer;  /* the zone's housekeeping */
    struct lnt_timer level_timer;
    struct lnt_lock_watch lock; /* the zone's */
    int64_t workers; /* what ctl workers said, for the next load; 0 none */
    struct lnt_asker *end_askers;

    struct lnt_control *control;
    struct lnt_upgrade *upgrade;   /* going on, or NULL */
    struct lnt_channel *newer;     /* to the binary that is to take over */
    pid_t newer_pid;               /* its process, until it has taken over */
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

    const struct lnt_child_events *events;
    const struct lnt_keeper_events *keeper_events;
    const struct lnt_commands *commands;
};

#endif
