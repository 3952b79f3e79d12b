/*
 * A filter between a socket and a protocol, such as TLS.  A listener's endpoint
 * names one; its connections then have one each, for as long as they live,
 * whatever protocols they change to.  Protocols and applications see plain
 * bytes only.
 *
 * The core reads and writes the socket, keeps what a filter has not consumed
 * and what the kernel has not taken, and never filters a byte twice.  A filter
 * turns bytes into other bytes and nothing else: its functions call those below
 * and no other of net/.  It is not given plain bytes to send before it is ready
 * (the handshake is over); until then they wait.
 */
#ifndef LNT_NET_FILTER_H
#define LNT_NET_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/str.h"

struct lnt_filtered;
struct lnt_strbuf;

enum {
    /* Raw input that a filter may leave for later, a record that is not whole;
       more of it ends the connection. */
    LNT_FILTER_RAW_MAX = 32 * 1024,
    /* Output of its own that waits for the socket. */
    LNT_FILTER_OWN_MAX = 64 * 1024,
};

/* Raw bytes from the socket, to be turned into plain ones where they lie. */
struct lnt_filter_input {
    uint8_t *p;
    size_t n;
    size_t used;  /* set by input(): what it has consumed; the rest comes again
                     with more behind it */
    size_t plain; /* and how many plain bytes now begin at p: at most used */
    bool eof;     /* the peer sends no more */
};

enum lnt_filter_verdict {
    LNT_FILTER_GO_ON,
    LNT_FILTER_END,  /* the peer has said in the filter's way that nothing more
                        comes */
    LNT_FILTER_FAIL, /* what comes is no good: after the plain bytes that are
                        given along, and with the filter's own output so far (an
                        alert), the connection ends */
};

/* All but name, input and output may be NULL. */
struct lnt_filter {
    const char *name; /* in connections that move: keep it */
    /* Others that it may become, when those move, too; NULL at the end. */
    const struct lnt_filter *const *becomes;
    size_t state_size; /* zeroed, one a connection */

    /* A connection was accepted; conf is the endpoint's filter_conf.  0, or -1:
       it is closed. */
    int (*open)(struct lnt_filtered *f, const void *conf);
    /* Consumes what it can.  The one that it has become gets the rest. */
    enum lnt_filter_verdict (*input)(struct lnt_filtered *f,
                                     struct lnt_filter_input *in);
    /* Appends to raw what n pieces of plain bytes, one behind the other, are on
       the wire; only once it is ready.  0, or -1: the connection is cut. */
    int (*output)(struct lnt_filtered *f, const struct lnt_str *pieces,
                  size_t n, struct lnt_strbuf *raw);
    /* Nothing is sent behind this: appends its last words.  Not called when the
       connection is cut, has failed, or was never ready. */
    void (*finish)(struct lnt_filtered *f, struct lnt_strbuf *raw);
    /*
     * For a connection that moves, as of protocols (net/module.h).  Raw input
     * that it left and raw output are carried by the core.  Nobody writes or
     * reads in the connection between freeze and thaw, and of the two processes
     * only one goes on behind it, see lnt_move_go.
     */
    int (*freeze)(const struct lnt_filtered *f, struct lnt_strbuf *out);
    int (*thaw)(struct lnt_filtered *f, const void *conf, struct lnt_str state);
    /* The last call, exactly one for each open, thaw or become; state is freed
       behind it. */
    void (*close)(struct lnt_filtered *f);
};

/* ---- for filters ---- */

void *lnt_filter_state(const struct lnt_filtered *f);
/* Plain bytes may be sent from now on, and no deadline of the handshake counts
   any more. */
void lnt_filter_ready(struct lnt_filtered *f);
bool lnt_filter_is_ready(const struct lnt_filtered *f);
/* Sends raw bytes of its own, behind what is filtered already; from open() and
   input() only. */
void lnt_filter_send(struct lnt_filtered *f, const void *p, size_t n);
/*
 * From here on the connection has that filter: the old one is closed.  Returns
 * the new state, zeroed, for the caller to fill.  From input() only.
 */
void *lnt_filter_become(struct lnt_filtered *f, const struct lnt_filter *to);

#endif
