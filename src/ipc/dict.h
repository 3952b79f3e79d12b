/*
 * The dict: shared values.  The master orders changes and stores them; every
 * worker holds a replica, so reading is local.  For configuration-sized data:
 * capped in size and number.
 */
#ifndef LNT_IPC_DICT_H
#define LNT_IPC_DICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/map.h"
#include "core/str.h"

struct lnt_strbuf;

enum {
    LNT_DICT_KEY_MAX = 128, /* bytes: letters, digits, . _ : / - */
    LNT_DICT_VALUE_MAX = 32 * 1024,
    LNT_DICT_KEYS_MAX = 4096,
    LNT_DICT_SIZE_MAX = 4 << 20, /* keys and values together */
};

struct lnt_dict {
    struct lnt_map map; /* by key */
    size_t size;        /* bytes of keys and values */
    uint64_t version;   /* of the last change, 0 none yet */
};

struct lnt_dict_entry {
    struct lnt_map_node node;
    uint64_t version; /* of its last change */
    struct lnt_str key, value;
    char bytes[];
};

void lnt_dict_init(struct lnt_dict *d);
void lnt_dict_release(struct lnt_dict *d);

/* The entry, valid until the key is changed; NULL. */
const struct lnt_dict_entry *lnt_dict_get(const struct lnt_dict *d,
                                          struct lnt_str key);
/*
 * Whether the change is allowed (value NULL: unset); else false with a text in
 * why that says what the limit is.
 */
bool lnt_dict_check(const struct lnt_dict *d, struct lnt_str key,
                    const struct lnt_str *value, struct lnt_strbuf *why);
/* Makes a change that was checked, or that comes from the master. */
void lnt_dict_apply(struct lnt_dict *d, struct lnt_str key,
                    const struct lnt_str *value, uint64_t version);
/* All entries, sorted by key; the array (map.n of them) is the caller's to free. */
const struct lnt_dict_entry **lnt_dict_sorted(const struct lnt_dict *d);

/*
 * A change as it travels (VALUE frames, SET requests): version, whether there
 * is a value, key, NUL, value.
 */
void lnt_dict_encode(struct lnt_strbuf *out, struct lnt_str key,
                     const struct lnt_str *value, uint64_t version);
struct lnt_dict_change {
    uint64_t version;
    struct lnt_str key, value;
    bool unset;
};
/* 0, or -1 when the bytes are no change. */
int lnt_dict_decode(struct lnt_str bytes, struct lnt_dict_change *c);

#endif
