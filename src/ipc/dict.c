/*
 * Shared values: a hash table and the form in which its changes travel:
 *
 *   version (8 bytes), '=', key, NUL, value
 *   version,           '-', key, NUL        the key is unset
 *
 * The value is the rest and cannot grow by fields: what a later release has to
 * tell of it goes into a frame of its own.  Behind a key that is unset may be
 * anything.  Another sign is a change that we cannot make, and is refused.
 */
#include "ipc/dict.h"

#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/strbuf.h"

void
lnt_dict_init(struct lnt_dict *d)
{
    *d = (struct lnt_dict){0};
    lnt_map_seed(&d->map);
}

void
lnt_dict_release(struct lnt_dict *d)
{
    LNT_MAP_EACH(&d->map, struct lnt_dict_entry, e, node)
        free(e);
    lnt_map_release(&d->map);
    *d = (struct lnt_dict){0};
}

static struct lnt_dict_entry *
find(const struct lnt_dict *d, struct lnt_str key)
{
    struct lnt_map_node *node =
        lnt_map_find(&d->map, lnt_map_hash(&d->map, 0, key));

    for (; node; node = lnt_map_more(node)) {
        struct lnt_dict_entry *e = LNT_OWNER(node, struct lnt_dict_entry, node);
        if (lnt_str_eq(e->key, key))
            return e;
    }
    return NULL;
}

const struct lnt_dict_entry *
lnt_dict_get(const struct lnt_dict *d, struct lnt_str key)
{
    return find(d, key);
}

static bool
is_key(struct lnt_str key)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz"
                                  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789._:/-";
    if (key.n == 0 || key.n > LNT_DICT_KEY_MAX)
        return false;
    for (size_t i = 0; i < key.n; i++)
        if (key.p[i] == '\0' || !strchr(allowed, key.p[i]))
            return false;
    return true;
}

bool
lnt_dict_check(const struct lnt_dict *d, struct lnt_str key,
               const struct lnt_str *value, struct lnt_strbuf *why)
{
    const struct lnt_dict_entry *old = is_key(key) ? find(d, key) : NULL;
    size_t freed = old ? old->key.n + old->value.n : 0;
    if (!is_key(key))
        lnt_strbuf_addf(why, "a key has 1 to %d letters, digits and . _ : / -",
                        LNT_DICT_KEY_MAX);
    else if (!value)
        return true;
    else if (value->n > LNT_DICT_VALUE_MAX)
        lnt_strbuf_addf(why, "a value has at most %d bytes, this one %zu",
                        LNT_DICT_VALUE_MAX, value->n);
    else if (!old && d->map.n >= LNT_DICT_KEYS_MAX)
        lnt_strbuf_addf(why,
                        "there are %d values already, the most there "
                        "can be; unset some",
                        LNT_DICT_KEYS_MAX);
    else if (d->size - freed + key.n + value->n > LNT_DICT_SIZE_MAX)
        lnt_strbuf_addf(why,
                        "all values together have at most %d bytes; "
                        "unset some",
                        LNT_DICT_SIZE_MAX);
    else
        return true;
    return false;
}

void
lnt_dict_apply(struct lnt_dict *d, struct lnt_str key,
               const struct lnt_str *value, uint64_t version)
{
    struct lnt_dict_entry *old = find(d, key);
    if (old) {
        lnt_map_remove(&d->map, &old->node);
        d->size -= old->key.n + old->value.n;
    }
    if (value) {
        struct lnt_dict_entry *e =
            lnt_malloc(sizeof(*e) + key.n + value->n + 1);
        e->version = version;
        memcpy(e->bytes, key.p, key.n);
        memcpy(e->bytes + key.n, value->p, value->n);
        e->bytes[key.n + value->n] = '\0';
        e->key = lnt_str(e->bytes, key.n);
        e->value = lnt_str(e->bytes + key.n, value->n);
        lnt_map_add(&d->map, &e->node, lnt_map_hash(&d->map, 0, e->key));
        d->size += key.n + value->n;
    }
    free(old);
    d->version = version;
}

static int
compare(const void *a, const void *b)
{
    const struct lnt_dict_entry *const *x = a, *const *y = b;
    size_t n = (*x)->key.n < (*y)->key.n ? (*x)->key.n : (*y)->key.n;
    int c = memcmp((*x)->key.p, (*y)->key.p, n);
    return c ? c : ((*x)->key.n > (*y)->key.n) - ((*x)->key.n < (*y)->key.n);
}

const struct lnt_dict_entry **
lnt_dict_sorted(const struct lnt_dict *d)
{
    const struct lnt_dict_entry **v = lnt_calloc(d->map.n + 1, sizeof(*v));
    size_t n = 0;
    LNT_MAP_EACH(&d->map, const struct lnt_dict_entry, e, node)
        v[n++] = e;
    qsort(v, n, sizeof(*v), compare);
    return v;
}

void
lnt_dict_encode(struct lnt_strbuf *out, struct lnt_str key,
                const struct lnt_str *value, uint64_t version)
{
    lnt_strbuf_add(out, &version, sizeof(version));
    lnt_strbuf_addc(out, value ? '=' : '-');
    lnt_strbuf_add_str(out, key);
    lnt_strbuf_addc(out, '\0');
    if (value)
        lnt_strbuf_add_str(out, *value);
}

int
lnt_dict_decode(struct lnt_str b, struct lnt_dict_change *c)
{
    size_t head = sizeof(c->version) + 1;
    const char *end;
    if (b.n < head)
        return -1;
    memcpy(&c->version, b.p, sizeof(c->version));
    char op = b.p[head - 1];
    end = memchr(b.p + head, '\0', b.n - head);
    if ((op != '=' && op != '-') || !end)
        return -1;
    c->unset = op == '-';
    c->key = lnt_str(b.p + head, (size_t)(end - b.p) - head);
    c->value = lnt_str(end + 1, c->unset ? 0 : b.n - (size_t)(end + 1 - b.p));
    return 0;
}
