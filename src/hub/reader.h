/*
 * A worker's place in the log.  Private to the hub.
 */
#ifndef LNT_HUB_READER_H
#define LNT_HUB_READER_H

#include <stdbool.h>
#include <stdint.h>

#include "zone/zone.h"

struct lnt_fanout;
struct lnt_subs;
struct lnt_unwake;

struct lnt_reader {
    struct lnt_zone *zone;
    struct lnt_stats *stats;
    struct lnt_cell *cell;
    struct lnt_subs *subs;
    struct lnt_fanout *fanout;
    struct lnt_unwake *unwake;
    unsigned cell_index;
    struct lnt_cursor cursor;
    struct lnt_ahead ahead;
    uint64_t warn_again; /* ms; not before */
};

/* From the head of the log on; all the rest of r is set. */
void lnt_reader_init(struct lnt_reader *r);
void lnt_reader_release(struct lnt_reader *r);

/* Reads a bounded part of the log and queues it for the subscribers. */
void lnt_reader_turn(struct lnt_reader *r);
/* Sessions have moved here: what is in the log by now concerns them, too, and the
   zone said so of the worker that they come from. */
void lnt_reader_moved(struct lnt_reader *r);
/* Passes over what concerns nobody here: up to something that does, which
   lnt_reader_turn will read.  Queues nothing. */
void lnt_reader_pass(struct lnt_reader *r);

#endif
