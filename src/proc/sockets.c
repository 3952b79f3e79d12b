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
#include "proc/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/conf.h"
#include "core/log.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "net/endpoint.h"
#include "net/limits.h"
#include "proc/config.h"

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

void
lnt_sockets_add(struct lnt_sockets *s, const struct lnt_addr *addr, int fd)
{
    s->v = lnt_realloc(s->v, (s->n + 1) * sizeof(s->v[0]));
    s->v[s->n++] = (struct lnt_socket){.addr = *addr, .fd = fd};
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
    lnt_strbuf_adds(errors, l->from[i].file ? l->from[i].file : "");
    if (l->from[i].line)
        lnt_strbuf_addf(errors, ":%u", l->from[i].line);
    lnt_strbuf_addf(errors, ": [listen %s]: cannot listen on %s: %s\n",
                    l->section->name, lnt_addr_format(addr, text, sizeof(text)),
                    strerror(error));
}

/* false after a message. */
static bool
open_one(struct lnt_sockets *s, const struct lnt_listen *l, size_t i,
         const struct lnt_sockets *old, struct lnt_strbuf *errors)
{
    const struct lnt_addr *addr = &l->conf->address.v[i];
    const struct lnt_socket *same = find(old, addr);
    bool beside = !same && share_port(old, addr);
    int fd = same     ? same->fd
             : beside ? lnt_socket_bind_beside(addr)
                      : lnt_socket_listen(addr, (int)l->conf->backlog,
                                          (mode_t)l->mode);
    if (fd < 0) {
        cannot_listen(l, i, errors);
        return false;
    }
    if (!same)
        inherit(fd, addr, l);
    lnt_sockets_add(s, addr, fd);
    s->v[s->n - 1].listen = l;
    s->v[s->n - 1].i = i;
    s->v[s->n - 1].waits = beside;
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
        if (lnt_addr_is_unix(&k->addr) &&
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
        if (find(keep, &k->addr))
            continue;
        close(k->fd);
        if (unlink_files && lnt_addr_is_unix(&k->addr)) {
            struct sockaddr_un un;
            memcpy(&un, &k->addr.ss, sizeof(un));
            (void)unlink(un.sun_path);
        }
    }
    free(s->v);
    *s = (struct lnt_sockets){0};
}
