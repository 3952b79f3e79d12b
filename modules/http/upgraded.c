/*
 * Sessions that are another protocol's now.  Their lines are in a table beside
 * them, so that a session costs nothing for it where nothing is logged.
 */
#include "modules/http/upgraded.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "modules/http/access.h"
#include "modules/http/exchange.h"
#include "modules/http/http.h"
#include "net/module.h"
#include "net/net.h"

enum { SLOTS_MIN = 64 };

struct entry {
    uint64_t id;
    struct lnt_http_line *line;
    struct entry *next;
};

struct lnt_http_upgraded {
    struct entry **slots;
    size_t cap; /* a power of two */
    size_t n;
};

static struct entry **
slot_of(const struct lnt_http_upgraded *u, uint64_t id)
{
    /* We gave the ids: nobody can make them collide. */
    return &u->slots[(id * 0x9e3779b97f4a7c15u >> 32) & (u->cap - 1)];
}

static void
grow(struct lnt_http_upgraded *u)
{
    struct lnt_http_upgraded old = *u;
    u->cap = old.cap ? old.cap * 2 : SLOTS_MIN;
    u->slots = lnt_calloc(u->cap, sizeof(u->slots[0]));
    for (size_t i = 0; i < old.cap; i++) {
        for (struct entry *e = old.slots[i], *next; e; e = next) {
            struct entry **slot = slot_of(u, e->id);
            next = e->next;
            e->next = *slot;
            *slot = e;
        }
    }
    free(old.slots);
}

struct lnt_http_upgraded *
lnt_http_upgraded_new(void)
{
    struct lnt_http_upgraded *u = lnt_calloc(1, sizeof(*u));
    grow(u);
    return u;
}

void
lnt_http_upgraded_free(struct lnt_http_upgraded *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < u->cap; i++) {
        for (struct entry *e = u->slots[i], *next; e; e = next) {
            next = e->next;
            lnt_http_access_drop(e->line);
            free(e);
        }
    }
    free(u->slots);
    free(u);
}

void
lnt_http_upgraded_add(struct lnt_http_upgraded *u, uint64_t id,
                      struct lnt_http_line *line)
{
    if (u->n == u->cap)
        grow(u);
    struct entry *e = lnt_malloc(sizeof(*e));
    struct entry **slot = slot_of(u, id);
    *e = (struct entry){.id = id, .line = line, .next = *slot};
    *slot = e;
    u->n++;
}

/* NULL when there is none. */
static struct lnt_http_line *
find_line(const struct lnt_http_upgraded *u, uint64_t id)
{
    const struct entry *e = *slot_of(u, id);
    while (e && e->id != id)
        e = e->next;
    return e ? e->line : NULL;
}

/* The same, and it is the caller's. */
static struct lnt_http_line *
take_line(struct lnt_http_upgraded *u, uint64_t id)
{
    struct entry **at = slot_of(u, id);
    while (*at && (*at)->id != id)
        at = &(*at)->next;
    struct entry *e = *at;
    if (!e)
        return NULL;
    struct lnt_http_line *line = e->line;
    *at = e->next;
    u->n--;
    free(e);
    return line;
}

/* ---- what the other protocols call ---- */

/* NULL when nothing is logged. */
static struct lnt_http_worker *
logging_worker(const struct lnt_session *s)
{
    struct lnt_module_ctx *m = lnt_net_find(lnt_session_net(s), "http");
    struct lnt_http_worker *w = m ? m->data : NULL;
    return w && w->upgraded ? w : NULL;
}

void
lnt_http_upgrade_ended(struct lnt_session *s)
{
    struct lnt_http_worker *w = logging_worker(s);
    struct lnt_http_line *line =
        w ? take_line(w->upgraded, lnt_session_id(s)) : NULL;
    if (!line)
        return;
    if (lnt_session_moved(s))
        lnt_http_access_drop(line);
    else
        lnt_http_access_end(w->access, s, line, 0);
}

void
lnt_http_upgrade_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    struct lnt_http_worker *w = logging_worker(s);
    struct lnt_http_line *line =
        w ? find_line(w->upgraded, lnt_session_id(s)) : NULL;
    if (line)
        lnt_http_access_pack(line, s, out);
}

int
lnt_http_upgrade_thaw(struct lnt_session *s, struct lnt_str state)
{
    struct lnt_http_worker *w = logging_worker(s);
    if (!w || state.n == 0)
        return 0;
    struct lnt_http_line *line = lnt_http_access_unpack(state, s);
    if (!line)
        return -1;
    lnt_http_upgraded_add(w->upgraded, lnt_session_id(s), line);
    return 0;
}
