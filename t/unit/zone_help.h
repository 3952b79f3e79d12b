/*
 * What the tests of the zone have in common.
 */
#ifndef LNT_T_ZONE_HELP_H
#define LNT_T_ZONE_HELP_H

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/strbuf.h"
#include "t/lib/zone_check.h"
#include "t/unit/tap.h"
#include "zone/zone.h"

/* What AddressSanitizer keeps of freed memory is copied by every fork, and these
   programs fork thousands of times: a little of it is enough. */
#if defined(__SANITIZE_ADDRESS__)
const char *__asan_default_options(void);

const char *
__asan_default_options(void)
{
    return "quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}
#endif

enum { ANNOUNCE_MAX = 1000, KIND = LNT_EVENT_APP };

static inline struct lnt_zone *
new_zone(size_t size)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_zone *z = lnt_zone_create(size, &why);

    if (!z) {
        diag("%s", why.p);
        exit(1);
    }
    return z;
}

static inline bool
is_sound(struct lnt_zone *z, const char *name)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    bool sound = lnt_zone_check(z, &why);

    ok(sound, "sound: %s", name);
    if (!sound)
        diag("%s", why.p);
    lnt_strbuf_release(&why);
    return sound;
}

static inline uint32_t
add_user(struct lnt_zone *z, const char *nick, unsigned cell, uint64_t session)
{
    uint32_t user = 0;

    if (lnt_zone_user_add(z, lnt_str_c(nick), cell, session, &user) < 0)
        fail("user %s: %s", nick, strerror(errno));
    return user;
}

/* On behalf of the server. */
static inline int
server_join(struct lnt_zone *z, uint32_t app, struct lnt_str name,
            uint32_t user, uint64_t origin, unsigned quiet, uint32_t *member,
            struct lnt_room_info *info)
{
    const struct lnt_creator by = {.family = LNT_CREATOR_SERVER};

    return lnt_zone_join_by(z, app, name, &by, user, origin, quiet, member,
                            info);
}

static inline uint32_t
join(struct lnt_zone *z, const char *room, uint32_t user,
     struct lnt_room_info *info)
{
    uint32_t member = 0;

    if (server_join(z, 1, lnt_str_c(room), user, 7, ANNOUNCE_MAX, &member,
                    info) < 0)
        fail("join %s: %s", room, strerror(errno));
    return member;
}

/* 0 or errno. */
static inline int
publish(struct lnt_zone *z, uint32_t room, uint16_t flags, const char *text,
        uint64_t *seq)
{
    struct lnt_event e = {
        .app = 1,
        .room = room,
        .kind = KIND,
        .flags = flags,
        .data = lnt_str_c(text),
    };

    if (lnt_zone_publish(z, &e) < 0)
        return errno;
    if (seq)
        *seq = e.seq;
    return 0;
}

/* The nicks of a room, "ann bob". */
static inline const char *
who(struct lnt_zone *z, uint32_t room)
{
    static struct lnt_strbuf out;
    unsigned n;

    lnt_strbuf_clear(&out);
    n = lnt_zone_room_nicks(z, room, UINT32_MAX, &out);
    for (size_t i = 0; i < out.n; i++) {
        if (out.p[i] == '\0')
            out.p[i] = i + 1 < out.n ? ' ' : '\0';
    }
    return n ? out.p : "";
}

/* What fn does, in a child; its exit status, or -1 and the signal. */
static inline int
in_child(int (*fn)(struct lnt_zone *z, void *arg), struct lnt_zone *z,
         void *arg, int *sig)
{
    pid_t pid = fork();
    int status;

    if (pid < 0) {
        perror("fork");
        exit(1);
    }
    if (pid == 0)
        _exit(fn(z, arg));
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    *sig = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
