/*
 * Listening sockets across generations.
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

static struct lnt_socket *
find(const struct lnt_sockets *s, const struct lnt_addr *addr)
{
    for (size_t i = 0; s && i < s->n; i++)
        if (lnt_addr_equal(&s->v[i].addr, addr))
            return &s->v[i];
    return NULL;
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

static int
open_one(const struct lnt_listen *l, const struct lnt_addr *addr,
         const struct lnt_sockets *old, struct lnt_strbuf *errors)
{
    const struct lnt_socket *same = find(old, addr);
    if (same)
        return same->fd;
    int fd = lnt_socket_listen(addr, (int)l->conf->backlog, (mode_t)l->mode);
    if (fd < 0) {
        char text[LNT_ADDR_TEXT];
        lnt_strbuf_addf(errors, "%s:%u: [listen %s]: cannot listen on %s: %s\n",
                        l->section->file, l->section->line, l->section->name,
                        lnt_addr_format(addr, text, sizeof(text)),
                        strerror(errno));
        return -1;
    }
    inherit(fd, addr, l);
    return fd;
}

int
lnt_sockets_open(struct lnt_sockets *s, const struct lnt_config *config,
                 const struct lnt_sockets *old, struct lnt_strbuf *errors)
{
    bool ok = true;
    *s = (struct lnt_sockets){0};
    for (size_t i = 0; i < config->nlistens; i++) {
        const struct lnt_listen *l = &config->listens[i];
        for (size_t k = 0; k < l->conf->address.n; k++) {
            const struct lnt_addr *addr = &l->conf->address.v[k];
            int fd = open_one(l, addr, old, errors);
            if (fd < 0) {
                ok = false;
                continue;
            }
            lnt_sockets_add(s, addr, fd);
            s->v[s->n - 1].listen = l;
        }
    }
    if (ok)
        return 0;
    lnt_sockets_close(s, old, true);
    return -1;
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
