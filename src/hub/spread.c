/*
 * What stands before the data of a message to several rooms: a counted head
 * (core/pack.h), to whose end later releases append.
 *
 *   name of the room in whose order it stands
 *   how many rooms hear it, and how many of these do not
 *   a number for each of them, put in when the message gets its place in the log
 *   their names
 *   how many sessions do not hear it; their ids
 */
#include "hub/spread.h"

#include <string.h>

#include "core/pack.h"
#include "hub/hub.h"
#include "hub/subs.h"

static void
pack_names(struct lnt_strbuf *out, const struct lnt_str *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        lnt_pack_str(out, names[i]);
}

void
lnt_spread_pack(struct lnt_strbuf *out, struct lnt_str room,
                const struct lnt_audience *to)
{
    size_t head = lnt_pack_begin(out);

    lnt_pack_str(out, room);
    lnt_pack_u32(out, (uint32_t)to->nrooms);
    lnt_pack_u32(out, (uint32_t)to->nexcept_rooms);
    for (size_t i = 0; i < to->nrooms + to->nexcept_rooms; i++)
        lnt_pack_u32(out, 0);
    pack_names(out, to->rooms, to->nrooms);
    pack_names(out, to->except_rooms, to->nexcept_rooms);
    lnt_pack_u32(out, (uint32_t)to->nexcept);
    for (size_t i = 0; i < to->nexcept; i++)
        lnt_pack_u64(out, to->except[i]);
    lnt_pack_end(out, head); /* new fields: before this */
}

/* Cuts n elements of that size off. */
static bool
take(struct lnt_str *in, uint32_t n, size_t size, struct lnt_str *out)
{
    if (n > in->n / size)
        return false;
    *out = lnt_str(in->p, n * size);
    *in = lnt_str(in->p + out->n, in->n - out->n);
    return true;
}

static bool
take_names(struct lnt_str *in, uint32_t n, struct lnt_str *out)
{
    const char *first = in->p;
    struct lnt_str name;

    for (uint32_t i = 0; i < n; i++) {
        if (!lnt_unpack_str(in, &name))
            return false;
    }
    *out = lnt_str(first, (size_t)(in->p - first));
    return true;
}

bool
lnt_spread_unpack(struct lnt_str data, struct lnt_spread *s)
{
    uint32_t rooms, except_rooms, except;
    struct lnt_str head;

    if (!lnt_unpack_part(&data, &head) ||
        !lnt_unpack_str(&head, &s->room_name) ||
        !lnt_unpack_u32(&head, &rooms) ||
        !lnt_unpack_u32(&head, &except_rooms) ||
        !take(&head, rooms, sizeof(uint32_t), &s->rooms) ||
        !take(&head, except_rooms, sizeof(uint32_t), &s->except_rooms))
        return false;
    if (!take_names(&head, rooms, &s->names) ||
        !take_names(&head, except_rooms, &s->except_names))
        return false;
    if (!lnt_unpack_u32(&head, &except) ||
        !take(&head, except, sizeof(uint64_t), &s->except))
        return false;
    s->data = data;
    return true;
}

uint32_t
lnt_spread_room(struct lnt_str numbers, size_t i)
{
    uint32_t room;

    memcpy(&room, numbers.p + i * sizeof(room), sizeof(room));
    return room;
}

uint64_t
lnt_spread_session(struct lnt_str ids, size_t i)
{
    uint64_t id;

    memcpy(&id, ids.p + i * sizeof(id), sizeof(id));
    return id;
}

struct lnt_str
lnt_spread_name(struct lnt_str *names)
{
    struct lnt_str name = {0};

    (void)lnt_unpack_str(names, &name);
    return name;
}

static const struct lnt_sub *
first_in(struct lnt_str names, const struct lnt_sub *subs)
{
    while (names.n > 0) {
        struct lnt_str name = lnt_spread_name(&names);

        for (const struct lnt_sub *sub = subs; sub; sub = sub->next) {
            const struct lnt_hub_room *r = sub->group->room;

            if (lnt_str_eq(lnt_str(r->name, r->name_n), name))
                return sub;
        }
    }
    return NULL;
}

const struct lnt_sub *
lnt_spread_reaches(const struct lnt_spread *s, const struct lnt_sub *subs,
                   uint64_t id, uint64_t old_id)
{
    for (size_t i = 0; i < lnt_spread_sessions(s->except); i++) {
        uint64_t except = lnt_spread_session(s->except, i);

        if (except == id || (old_id != 0 && except == old_id))
            return NULL;
    }
    if (first_in(s->except_names, subs))
        return NULL;
    return first_in(s->names, subs);
}
