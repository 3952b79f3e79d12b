/*
 * Who counts connections by address, over all workers of the server: handed
 * down by the process floor, where the hub's zone is known.
 */
#ifndef LNT_NET_PEERS_H
#define LNT_NET_PEERS_H

#include <stdbool.h>
#include <stdint.h>

struct lnt_network;

struct lnt_peers {
    /* Whether connections are counted: some endpoint has a limit. */
    bool wanted;
    /* One more from there, unless there are max already (0: no limit); its
       number, or 0 with errno: EUSERS there are max, ENOSPC no room to count
       it. */
    uint32_t (*enter)(void *arg, const struct lnt_network *net, uint64_t max);
    void (*leave)(void *arg, uint32_t number);
    /* How many there are from where this one is. */
    uint64_t (*count)(void *arg, uint32_t number);
    /* What it is called from worker to worker, and its number in the one that
       it came to; 0: it is not counted any more. */
    uint64_t (*name)(void *arg, uint32_t number);
    uint32_t (*take)(void *arg, uint64_t name);
    void *arg;
};

#endif
