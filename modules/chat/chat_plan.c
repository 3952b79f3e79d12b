/*
 * Whether the zone is large enough: the history that rooms are promised is
 * theirs alone, so it must be there for all rooms of the configuration, and
 * for at least one that has no section.  Said at -t, with the size that would
 * do, and not when the server is full of people.
 */
#include "modules/chat/chat.h"

#include <string.h>

#include "core/conf.h"
#include "core/units.h"
#include "hub/hub.h"
#include "net/module.h"

enum {
    BLOCK = 1024,    /* what a room has is rounded up to less than this */
    STEP = 1 << 20,  /* sizes that are suggested, and at least 1/64 more */
    GENERATIONS = 2, /* of workers at a reload: each holds every room */
};
#define SIZE_MAX_TRIED (UINT64_C(1) << 36)

struct need {
    uint64_t history, rooms, holds;
};

/* A number of [server], which belongs to the core. */
static uint64_t
server_value(struct lnt_section *sections, const char *key)
{
    const struct lnt_section *server = lnt_section_find(sections, "server");
    const struct lnt_block *b = server ? server->blocks : NULL;
    uint64_t value = 0;

    for (; b; b = b->next) {
        for (const struct lnt_directive *d = b->set->directives; d->name; d++) {
            if (strcmp(d->name, key) == 0)
                memcpy(&value, (const char *)b->data + d->offset,
                       sizeof(value));
        }
    }
    return value;
}

static bool
fits(uint64_t size, const struct need *need)
{
    struct lnt_zone_usage u;

    lnt_hub_plan(size, &u);
    /* Half of the nodes are for people. */
    return need->history <= u.history_bytes && need->rooms < u.rooms_max / 2 &&
           need->holds < u.members_max / 2;
}

/* The history that a zone has does not grow evenly with its size. */
static uint64_t
enough(uint64_t size, const struct need *need)
{
    size = (size + STEP - 1) / STEP * STEP;
    while (size < SIZE_MAX_TRIED && !fits(size, need))
        size += size / 64 > STEP ? size / 64 / STEP * STEP : STEP;
    return size;
}

/* As a number that people read: m, or k when it is small. */
static void
add_size(struct lnt_strbuf *out, uint64_t bytes, bool up)
{
    uint64_t unit = bytes < 10 * (UINT64_C(1) << 20) ? 1 << 10 : 1 << 20;

    lnt_format_size(out, (bytes + (up ? unit - 1 : 0)) / unit * unit);
}

static void
complain(const struct chat_conf *conf, const struct need *need, uint64_t size,
         struct lnt_strbuf *out)
{
    struct lnt_zone_usage u;

    lnt_hub_plan(size, &u);
    if (need->history > u.history_bytes) {
        if (conf->nrooms == 0)
            lnt_strbuf_adds(out, "a room is promised ");
        else
            lnt_strbuf_addf(out,
                            "the %zu room%s of this configuration and one "
                            "other are promised ",
                            conf->nrooms, conf->nrooms == 1 ? "" : "s");
        add_size(out, need->history, true);
        lnt_strbuf_adds(out, " of history (history_size = ");
        lnt_format_size(out, conf->keep.bytes);
        lnt_strbuf_adds(out, " each), and zone_size = ");
        lnt_format_size(out, size);
        lnt_strbuf_adds(out, " has ");
        add_size(out, u.history_bytes, false);
        lnt_strbuf_adds(out, " for it");
    } else {
        lnt_strbuf_addf(
            out, "%zu rooms are too many for zone_size = ", conf->nrooms);
        lnt_format_size(out, size);
    }
    size = enough(size, need);
    if (fits(size, need)) {
        lnt_strbuf_adds(out, "; zone_size = ");
        lnt_format_size(out, size);
        lnt_strbuf_adds(out, " would be enough");
    }
}

int
chat_plan(const struct lnt_module_setup *setup, const struct chat_conf *conf,
          struct lnt_origin at)
{
    uint64_t size = server_value(setup->sections, "zone_size");
    uint64_t workers = server_value(setup->sections, "workers");
    uint64_t each = conf->keep.count ? conf->keep.bytes + BLOCK : 0;
    const struct need need = {
        .history = each * (conf->nrooms + 1),
        .rooms = conf->nrooms,
        .holds = conf->nrooms * workers * GENERATIONS,
    };
    struct lnt_strbuf text = LNT_STRBUF_INIT;

    /* 0: not of this configuration, or wrong in itself. */
    if (size < LNT_ZONE_MIN_SIZE || fits(size, &need))
        return 0;
    complain(conf, &need, size, &text);
    lnt_report_add(setup->report, at.file, at.line, "%s", text.p);
    lnt_strbuf_release(&text);
    return -1;
}
