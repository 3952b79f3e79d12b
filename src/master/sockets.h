/*
 * The listening sockets of a generation.  Those whose address stays are
 * carried over from one generation to the next, open.
 */
#ifndef LNT_MASTER_SOCKETS_H
#define LNT_MASTER_SOCKETS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "os/socket.h"

struct lnt_config;
struct lnt_listen;
struct lnt_strbuf;

struct lnt_socket {
    struct lnt_addr addr;
    int fd;
    const struct lnt_listen *listen; /* NULL: inherited, not used yet */
    size_t i;                        /* which of its addresses */
    bool waits; /* bound, and listens when the generation takes over */
    dev_t dev;  /* the file of a unix socket, to know it again; ino 0: it has */
    ino_t ino;  /* none */
};

struct lnt_sockets {
    struct lnt_socket *v;
    size_t n;
};

/*
 * Opens what config listens on; addresses that old has are shared with it, and
 * their sockets stay as they are until lnt_sockets_settle; only a unix socket
 * whose file was removed is opened anew.  Those that overlap with one of old
 * wait for lnt_sockets_listen.  All problems are appended to errors, a line
 * each; -1 then, with nothing new left open.
 */
int lnt_sockets_open(struct lnt_sockets *s, const struct lnt_config *config,
                     const struct lnt_sockets *old, struct lnt_strbuf *errors);
/* Those that wait for it listen from now on: the last thing that can fail
   before the generation takes over.  -1 with a line in errors. */
int lnt_sockets_listen(struct lnt_sockets *s, struct lnt_strbuf *errors);
/* They are s's from now on: those that it shares become what its configuration
   wants. */
void lnt_sockets_settle(const struct lnt_sockets *s);
/* Closes those of s that keep does not share (keep NULL: all); their unix
   socket files, as long as they are theirs, go too when unlink_files is set.
   Frees s's memory. */
void lnt_sockets_close(struct lnt_sockets *s, const struct lnt_sockets *keep,
                       bool unlink_files);
/* Adds one that another process handed over. */
void lnt_sockets_add(struct lnt_sockets *s, const struct lnt_addr *addr,
                     int fd);

#endif
