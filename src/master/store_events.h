/*
 * What the master does when the store's process gets ready, fails or ends.
 */
#ifndef LNT_MASTER_STORE_EVENTS_H
#define LNT_MASTER_STORE_EVENTS_H

#include "master/keepers.h"

extern const struct lnt_keeper_events lnt_store_events;

#endif
