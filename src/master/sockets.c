/*
 * Listening sockets across generations.
 *
 * An address that overlaps with one of the old generation (127.0.0.1:80 and
 * 80) is bound beside it, with SO_REUSEPORT on both, and listens only when the
 * new generation is about to take over: a socket for one address gets
 * connections before one for all does, and nobody would accept them yet.
 * SO_REUSEPORT stays on: the kernel remembers for the port that it was.  Only
 * processes of the master's own user can make use of it.
 */
#include "master/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/config.h"
#include "config/place.h"
#include "core/conf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "net/endpoint.h"
#include "net/limits.h"

/* A unix socket is its file, however its path is spelt. */
static struct lnt_socket *
find(const struct lnt_sockets *s, const struct lnt_addr *addr)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (lnt_addr_equal(&s->v[i].addr, addr))
            return &s->v[i];
    for (size_t i = 0; s && i < s->n && lnt_addr_is_unix(addr); i++)
        if (lnt_addr_overlaps(&s->v[i].addr, addr))
            return &s->v[i];
    return NULL;
}

/* Whether some of s overlap with addr; they let it be bound beside them. */
static bool
share_port(const struct lnt_sockets *s, const struct lnt_addr *addr)
{
    bool any = false;
    for (size_t i = 0; s && i < s->n && !lnt_addr_is_unix(addr); i++) {
        if (!lnt_addr_overlaps(&s->v[i].addr, addr))
            continue;
        any = true;
        (void)lnt_socket_share(s->v[i].fd); /* if it cannot, bind says so */
    }
    return any;
}

static int
stat_file(const struct lnt_addr *addr, struct stat *st)
{
    struct sockaddr_un un;
    memcpy(&un, &addr->ss, sizeof(un));
    return lstat(un.sun_path, st);
}

/* Whether it is a unix socket, and still that of its file. */
static bool
has_file(const struct lnt_socket *k)
{
    struct stat st;
    return lnt_addr_is_unix(&k->addr) && k->ino != 0 &&
           stat_file(&k->addr, &st) == 0 && st.st_dev == k->dev &&
           st.st_ino == k->ino;
}

void
lnt_sockets_add(struct lnt_sockets *s, const struct lnt_addr *addr, int fd)
{
    struct stat st;
    s->v = lnt_realloc(s->v, (s->n + 1) * sizeof(s->v[0]));
    struct lnt_socket *k = &s->v[s->n++];
    *k = (struct lnt_socket){.addr = *addr, .fd = fd};
    if (lnt_addr_is_unix(addr) && stat_file(addr, &st) == 0) {
        k->dev = st.st_dev;
        k->ino = st.st_ino;
    }
}

/* What is set here, accepted connections inherit. */
static void
inherit(int fd, const struct lnt_addr *addr, const struct lnt_listen *l)
{
    if (lnt_addr_is_unix(addr))
        return;
    lnt_socket_nodelay(fd);
    lnt_socket_user_timeout(fd, lnt_limits_unacked(l->endpoint->limits));
}

static void
cannot_listen(const struct lnt_listen *l, size_t i, struct lnt_strbuf *errors)
{
    int error = errno;
    char text[LNT_ADDR_TEXT];
    const struct lnt_addr *addr = &l->conf->address.v[i];
    lnt_place_add_origin(&l->from[i], errors);
    lnt_strbuf_addf(errors, ": [listen %s]: cannot listen on %s: %s\n",
                    l->section->name, lnt_addr_format(addr, text, sizeof(text)),
                    strerror(error));
}

/* The file of a unix socket was gone: fd listens at a new one, or is -1 with
   errno.  Which of the two is used.  Failing is no reason to refuse a reload: it
   is no worse than it was. */
static int
made_again(const struct lnt_listen *l, const struct lnt_addr *addr, int fd,
           int old)
{
    int error = errno;
    char text[LNT_ADDR_TEXT];
    (void)lnt_addr_format(addr, text, sizeof(text));
    if (fd < 0) {
        lnt_log_error("[listen %s]: the file of %s is gone and cannot be made "
                      "again: %s",
                      l->section->name, text, strerror(error));
        return old;
    }
    lnt_log_notice("[listen %s]: the file of %s was gone and has been made "
                   "again",
                   l->section->name, text);
    return fd;
}

/* false after a message. */
static bool
open_one(struct lnt_sockets *s, const struct lnt_listen *l, size_t i,
         const struct lnt_sockets *old, struct lnt_strbuf *errors)
{
    const struct lnt_addr *addr = &l->conf->address.v[i];
    const struct lnt_socket *same = find(old, addr);
    bool gone = same && lnt_addr_is_unix(addr) && !has_file(same);
    bool beside = !same && share_port(old, addr);
    int fd = same && !gone ? same->fd
             : beside      ? lnt_socket_bind_beside(addr)
                           : lnt_socket_listen(addr, (int)l->conf->backlog,
                                               (mode_t)l->mode);
    if (gone)
        fd = made_again(l, addr, fd, same->fd);
    if (fd < 0) {
        cannot_listen(l, i, errors);
        return false;
    }
    if (!same)
        inherit(fd, addr, l);
    lnt_sockets_add(s, addr, fd);
    struct lnt_socket *k = &s->v[s->n - 1];
    k->listen = l;
    k->i = i;
    k->waits = beside;
    /* The file of one that is shared is that of the first day: what lies there
       now may be another's. */
    if (same && same->fd == fd) {
        k->dev = same->dev;
        k->ino = same->ino;
    }
    return true;
}

int
lnt_sockets_open(struct lnt_sockets *s, const struct lnt_config *config,
                 const struct lnt_sockets *old, struct lnt_strbuf *errors)
{
    bool ok = true;
    *s = (struct lnt_sockets){0};
    for (size_t i = 0; i < config->nlistens; i++) {
        const struct lnt_listen *l = &config->listens[i];
        for (size_t k = 0; k < l->conf->address.n; k++)
            ok = open_one(s, l, k, old, errors) && ok;
    }
    if (ok)
        return 0;
    lnt_sockets_close(s, old, true);
    return -1;
}

int
lnt_sockets_listen(struct lnt_sockets *s, struct lnt_strbuf *errors)
{
    for (size_t i = 0; i < s->n; i++) {
        struct lnt_socket *k = &s->v[i];
        if (!k->waits)
            continue;
        if (listen(k->fd, (int)k->listen->conf->backlog) < 0) {
            cannot_listen(k->listen, k->i, errors);
            return -1;
        }
        k->waits = false;
    }
    return 0;
}

void
lnt_sockets_settle(const struct lnt_sockets *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const struct lnt_socket *k = &s->v[i];
        (void)listen(k->fd, (int)k->listen->conf->backlog);
        if (has_file(k) &&
            lnt_socket_chmod(&k->addr, (mode_t)k->listen->mode) < 0) {
            char text[LNT_ADDR_TEXT];
            lnt_log_warn("cannot set the mode of %s: %s",
                         lnt_addr_format(&k->addr, text, sizeof(text)),
                         strerror(errno));
        }
        inherit(k->fd, &k->addr, k->listen);
    }
}

void
lnt_sockets_close(struct lnt_sockets *s, const struct lnt_sockets *keep,
                  bool unlink_files)
{
    for (size_t i = 0; i < s->n; i++) {
        struct lnt_socket *k = &s->v[i];
        const struct lnt_socket *kept = find(keep, &k->addr);
        if (kept && kept->fd == k->fd)
            continue;
        /* While it is open, no other file can have its number. */
        bool there = unlink_files && has_file(k);
        close(k->fd);
        if (there) {
            struct sockaddr_un un;
            memcpy(&un, &k->addr.ss, sizeof(un));
            (void)unlink(un.sun_path);
        }
    }
    free(s->v);
    *s = (struct lnt_sockets){0};
}
