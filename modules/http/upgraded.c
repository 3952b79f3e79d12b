/*
 * Sessions that are another protocol's now.  Their lines are in a table beside
 * them, so that a session costs nothing for it where nothing is logged.
 */
#include "modules/http/upgraded.h"

#include <stdlib.h>
#include <string.h>

#include "core/map.h"
#include "core/mem.h"
#include "core/strbuf.h"
#include "modules/http/access.h"
#include "modules/http/exchange.h"
#include "modules/http/http.h"
#include "net/module.h"
#include "net/net.h"

struct entry {
    struct lnt_map_node node;
    struct lnt_http_line *line;
};

struct lnt_http_upgraded {
    struct lnt_map map; /* by session id */
};

struct lnt_http_upgraded *
lnt_http_upgraded_new(void)
{
    return lnt_calloc(1, sizeof(struct lnt_http_upgraded));
}

void
lnt_http_upgraded_free(struct lnt_http_upgraded *u)
{
    if (!u)
        return;
    LNT_MAP_EACH(&u->map, struct entry, e, node) {
        lnt_http_access_drop(e->line);
        free(e);
    }
    lnt_map_release(&u->map);
    free(u);
}

void
lnt_http_upgraded_add(struct lnt_http_upgraded *u, uint64_t id,
                      struct lnt_http_line *line)
{
    struct entry *e = lnt_malloc(sizeof(*e));
    e->line = line;
    lnt_map_add(&u->map, &e->node, lnt_map_number(id));
}

/* NULL when there is none. */
static struct entry *
find(const struct lnt_http_upgraded *u, uint64_t id)
{
    return LNT_MAP_FIND(&u->map, lnt_map_number(id), struct entry, node);
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
    struct entry *e = w ? find(w->upgraded, lnt_session_id(s)) : NULL;
    if (!e)
        return;
    lnt_map_remove(&w->upgraded->map, &e->node);
    if (lnt_session_moved(s))
        lnt_http_access_drop(e->line);
    else
        lnt_http_access_end(w->access, s, e->line, 0);
    free(e);
}

void
lnt_http_upgrade_freeze(struct lnt_session *s, struct lnt_strbuf *out)
{
    struct lnt_http_worker *w = logging_worker(s);
    const struct entry *e = w ? find(w->upgraded, lnt_session_id(s)) : NULL;
    if (e)
        lnt_http_access_pack(e->line, s, out);
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
