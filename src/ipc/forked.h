/*
 * What all processes have that the master forks (workers, the store's process):
 * a loop, the channel to the master, signals, a doorbell, the log.  Each of them
 * is a main function that takes a struct lnt_start and returns the exit status.
 */
#ifndef LNT_IPC_FORKED_H
#define LNT_IPC_FORKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "event/flusher.h"
#include "event/loop.h"
#include "ipc/channel.h"

struct lnt_cell;
struct lnt_config;
struct lnt_endpoint;
struct lnt_server_info;
struct lnt_strbuf;
struct lnt_zone;

struct lnt_start_socket {
    int fd; /* listening; this process's copy */
    const struct lnt_endpoint *endpoint;
};

/* What the master gives; all of it is there until the process ends. */
struct lnt_start {
    const struct lnt_config *config;
    const struct lnt_server_info *info; /* as the master knows it */
    struct lnt_zone *zone;
    const int *doorbells; /* LNT_CELLS eventfds */
    int channel;          /* our end */
    unsigned slot, cell;
    uint32_t incarnation, generation;

    /* for a worker: */
    uint32_t before_cell, before_incarnation; /* of the one that had this slot
                                                 and died; incarnation 0:
                                                 nobody */
    const struct lnt_start_socket *sockets;
    size_t nsockets;
    uint32_t siblings; /* workers of this generation, this one included */

    /* for the store's process: */
    bool load;   /* the zone is new: what the store has goes into it */
    bool wait;   /* another process of ours may still be writing: READY does
                    not wait for the end of that one */
    bool strict; /* what cannot be written is an error now, not one that may
                    pass */
};

/* Embedded in its owner, like a watch. */
struct lnt_forked {
    struct lnt_loop *loop;
    struct lnt_channel channel;
    struct lnt_watch signals, doorbell;
    void (*signal)(struct lnt_forked *p, int number);
    struct lnt_flusher flusher; /* of the log; to be checked every turn */
    struct lnt_cell *cell;
    int status; /* to exit with */
};

/*
 * signal hears of SIGTERM, SIGQUIT and what a terminal sends to its whole group.
 * The doorbell only wakes: it is not read, each ring is told once.  false
 * (logged): the process cannot run; nothing is open then.
 */
bool lnt_forked_open(struct lnt_forked *p, const struct lnt_start *s,
                     const struct lnt_channel_handler *handler,
                     void (*signal)(struct lnt_forked *p, int number));
/* Begins to hear signals and the doorbell.  0, or -1 with why. */
int lnt_forked_watch(struct lnt_forked *p, struct lnt_strbuf *why);
/* Tells the master that this process is set up; 0, or -1 with errno. */
int lnt_forked_ready(struct lnt_forked *p);
/* Tells the master why it cannot start, and stops the loop. */
void lnt_forked_fail(struct lnt_forked *p, const struct lnt_strbuf *why);
/* The master has said START: errors go to the log alone from here on. */
void lnt_forked_started(void);
/* The level of the log that a LEVEL frame has. */
void lnt_forked_level(const struct lnt_frame *f);
/* Until the loop is stopped. */
void lnt_forked_run(struct lnt_forked *p);
/* Closes what is open; returns the exit status. */
int lnt_forked_close(struct lnt_forked *p);

#endif
