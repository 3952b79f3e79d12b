/*
 * The store of a linnet that was configured --without-sqlite: there is none.
 * The configuration says so before anything here is called; what cannot be
 * opened is never used.
 */
#include "store/store.h"

#include "auto_config.h"

#ifndef LNT_HAVE_SQLITE

#include "core/strbuf.h"

static int
none(struct lnt_strbuf *why)
{
    lnt_strbuf_adds(why, "this linnet was built without SQLite");
    return -1;
}

int
lnt_store_look(const char *path, struct lnt_strbuf *why)
{
    (void)path;
    (void)why;
    return 0;
}

struct lnt_store *
lnt_store_open(const char *path, struct lnt_strbuf *why)
{
    lnt_strbuf_addf(why, "store %s: ", path);
    (void)none(why);
    return NULL;
}

void
lnt_store_close(struct lnt_store *s)
{
    (void)s;
}

int
lnt_store_check(struct lnt_store *s, struct lnt_strbuf *why)
{
    (void)s;
    return none(why);
}

int
lnt_store_damaged(const struct lnt_store *s, const char *how,
                  struct lnt_strbuf *why)
{
    (void)s;
    (void)how;
    return none(why);
}

bool
lnt_store_in_place(struct lnt_store *s)
{
    (void)s;
    return false;
}

int
lnt_store_begin(struct lnt_store *s, struct lnt_strbuf *why)
{
    (void)s;
    return none(why);
}

int
lnt_store_begin_reading(struct lnt_store *s, struct lnt_strbuf *why)
{
    (void)s;
    return none(why);
}

int
lnt_store_commit(struct lnt_store *s, struct lnt_strbuf *why)
{
    (void)s;
    return none(why);
}

int
lnt_store_head(struct lnt_store *s, struct lnt_store_head *head,
               struct lnt_strbuf *why)
{
    (void)s;
    *head = (struct lnt_store_head){0};
    return none(why);
}

int
lnt_store_set_head(struct lnt_store *s, const struct lnt_store_head *head,
                   struct lnt_strbuf *why)
{
    (void)s;
    (void)head;
    return none(why);
}

int
lnt_store_rooms(struct lnt_store *s, lnt_store_room_fn *fn, void *arg,
                struct lnt_strbuf *why)
{
    (void)s;
    (void)fn;
    (void)arg;
    return none(why);
}

int
lnt_store_messages(struct lnt_store *s, int64_t room, lnt_store_message_fn *fn,
                   void *arg, struct lnt_strbuf *why)
{
    (void)s;
    (void)room;
    (void)fn;
    (void)arg;
    return none(why);
}

int
lnt_store_put_room(struct lnt_store *s, struct lnt_store_room *r,
                   struct lnt_strbuf *why)
{
    (void)s;
    (void)r;
    return none(why);
}

int
lnt_store_put(struct lnt_store *s, int64_t room, const struct lnt_event *e,
              struct lnt_strbuf *why)
{
    (void)s;
    (void)room;
    (void)e;
    return none(why);
}

int
lnt_store_prune(struct lnt_store *s, int64_t room, uint64_t seq, uint64_t *n,
                struct lnt_strbuf *why)
{
    (void)s;
    (void)room;
    (void)seq;
    *n = 0;
    return none(why);
}

int
lnt_store_first(struct lnt_store *s, int64_t room, uint64_t *seq,
                uint64_t *time_us, struct lnt_strbuf *why)
{
    (void)s;
    (void)room;
    *seq = *time_us = 0;
    return none(why);
}

int
lnt_store_limit(struct lnt_store *s, int64_t room, uint64_t count, uint64_t *n,
                struct lnt_strbuf *why)
{
    (void)s;
    (void)room;
    (void)count;
    *n = 0;
    return none(why);
}

int
lnt_store_forget(struct lnt_store *s, int64_t room, uint64_t time_us,
                 uint64_t *n, struct lnt_strbuf *why)
{
    (void)s;
    (void)room;
    (void)time_us;
    *n = 0;
    return none(why);
}

int
lnt_store_drop(struct lnt_store *s, int64_t room, struct lnt_strbuf *why)
{
    (void)s;
    (void)room;
    return none(why);
}

int
lnt_store_cut(struct lnt_store *s, uint64_t seq, struct lnt_strbuf *why)
{
    (void)s;
    (void)seq;
    return none(why);
}

#endif
