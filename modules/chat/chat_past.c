/*
 * The past of a room, for those who come later: the last messages before some
 * place, or all behind another.  The zone keeps them; what one answer may have
 * of them, and their order in it, is decided here.
 *
 * Where the past ends the subscription begins (lnt_room_info.next), so nothing
 * is told twice and nothing is left out.
 */
#include "modules/chat/chat.h"

#include "hub/hub.h"
#include "net/limits.h"
#include "net/module.h"

enum {
    ANSWER_BYTES = 224 * 1024, /* of messages: with all the rest of an answer
                                  this stays below 256 KiB */
    ANSWER_SURE = 16 * 1024,   /* what is left for each that comes behind it */
    MISSED_MAX = 4096,         /* messages; more would not fit anyway */
    CHUNK = 32,                /* messages read at once, at most */
    CHUNK_BYTES = 256 * 1024,
    SCRATCH_KEEP = 512 * 1024, /* more is given back */
};

/* A message in c->past. */
struct piece {
    size_t at, n;
};

static struct lnt_hub *
hub_of(const struct lnt_session *s)
{
    return lnt_session_app(s)->hub;
}

/* Several answers may be asked for at once: none takes more than half of what
   the session's queue has left, so that no reader is closed for asking.  Where
   it is known how many follow, each of them has its part. */
static size_t
room_in_answer(const struct lnt_session *s, const struct chat_past *p)
{
    uint64_t most = lnt_session_limits(s)->send_queue;
    uint64_t queued = lnt_session_queued(s) + p->told;
    uint64_t left = most > queued ? most - queued : 0;
    uint64_t sure = (uint64_t)p->others * ANSWER_SURE;
    uint64_t part = left / ((uint64_t)p->others + 1);

    if (left > sure && left - sure > part)
        part = left - sure;
    return part / 2 < ANSWER_BYTES ? part / 2 : ANSWER_BYTES;
}

static void
add_separator(struct lnt_strbuf *out, unsigned format)
{
    lnt_strbuf_addc(out, format == CHAT_FORMAT_JSON ? ',' : '\n');
}

static void
give_back(struct lnt_strbuf *b)
{
    if (b->cap > SCRATCH_KEEP)
        lnt_strbuf_release(b);
}

/* ---- the last ones ---- */

/* Renders one more; false when it is too much. */
static bool
take_piece(struct lnt_session *s, struct chat_past *p,
           const struct lnt_event *e, size_t room)
{
    struct chat *c = chat_of(s);
    struct piece piece = {.at = c->past.n};

    if (!chat_event(lnt_session_app(s), e, p->format, &c->past)) {
        c->past.n = piece.at;
        return true;
    }
    if (p->count > 0 && c->past.n + p->count > room) {
        c->past.n = piece.at;
        return false;
    }
    piece.n = c->past.n - piece.at;
    lnt_strbuf_add(&c->pieces, &piece, sizeof(piece));
    p->count++;
    return true;
}

/* Takes the last n messages before *before, the last one first, and moves
   *before to the oldest of them.  false: that was all, or all that fits. */
static bool
take_chunk(struct lnt_session *s, struct chat_past *p, uint64_t *before,
           unsigned n, size_t room)
{
    struct chat *c = chat_of(s);
    struct lnt_event events[CHUNK];
    struct lnt_str rest;
    unsigned got = 0;

    lnt_strbuf_clear(&c->kept);
    (void)lnt_hub_history(hub_of(s), p->sub, *before, n, &c->kept);
    rest = lnt_strbuf_str(&c->kept);
    while (got < n && lnt_hub_past_next(p->sub, &rest, &events[got]))
        got++;
    for (unsigned i = got; i-- > 0;) {
        if (p->count == p->limit || !take_piece(s, p, &events[i], room)) {
            p->more = true;
            return false;
        }
        *before = events[i].seq;
    }
    return got == n;
}

/* How many to read at once: of large messages few. */
static unsigned
chunk_size(const struct lnt_session *s)
{
    uint64_t n = CHUNK_BYTES / chat_conf_of(s)->text_size;

    return n < 1 ? 1 : n < CHUNK ? (unsigned)n : CHUNK;
}

void
chat_past_add(struct lnt_session *s, struct chat_past *p,
              struct lnt_strbuf *out)
{
    struct chat *c = chat_of(s);
    size_t room = room_in_answer(s, p);
    uint64_t before = p->before;
    unsigned n = chunk_size(s);
    const struct piece *pieces;

    p->count = 0;
    p->more = false;
    lnt_strbuf_clear(&c->past);
    lnt_strbuf_clear(&c->pieces);
    /* One more than asked for tells whether there are more. */
    while (take_chunk(s, p, &before,
                      p->limit - p->count < n ? p->limit - p->count + 1 : n,
                      room))
        ;
    pieces = (const void *)c->pieces.p;
    for (unsigned i = p->count; i-- > 0;) {
        lnt_strbuf_add(out, c->past.p + pieces[i].at, pieces[i].n);
        if (i > 0)
            add_separator(out, p->format);
    }
    give_back(&c->kept);
    give_back(&c->past);
}

/* ---- what was missed ---- */

bool
chat_past_since(struct lnt_session *s, struct chat_past *p, uint64_t since,
                struct lnt_strbuf *out)
{
    struct chat *c = chat_of(s);
    size_t room = room_in_answer(s, p), start = out->n;
    struct lnt_str rest;
    struct lnt_event e;
    bool whole;

    p->count = 0;
    p->more = false;
    lnt_strbuf_clear(&c->kept);
    whole = lnt_hub_since(hub_of(s), p->sub, since, p->before, MISSED_MAX,
                          &c->kept, &p->count);
    rest = lnt_strbuf_str(&c->kept);
    while (whole && lnt_hub_past_next(p->sub, &rest, &e)) {
        size_t at = out->n;

        if (at > start)
            add_separator(out, p->format);
        if (!chat_event(lnt_session_app(s), &e, p->format, out))
            out->n = at;
        whole = out->n - start <= room;
    }
    if (!whole) {
        out->n = start;
        p->count = 0;
    }
    give_back(&c->kept);
    return whole;
}
