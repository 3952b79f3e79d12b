/* LINK: modules/chat/chat_words.c core/utf8.c core/str.c core/mem.c core/log.c
   core/log_line.c os/clock.c os/file.c -ljansson */
/*
 * The quick reader of messages against jansson: what it reads is what jansson
 * reads, word for word, and nothing that jansson refuses.
 */
#include <jansson.h>

#include "core/mem.h"
#include "modules/chat/chat.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same_text(const json_t *object, const char *key, struct lnt_str got)
{
    const json_t *value = json_object_get(object, key);

    if (!json_is_string(value) ||
        !lnt_str_eq(got, lnt_str(json_string_value(value),
                                 json_string_length(value))))
        abort();
}

/* An id is kept as it is written. */
static void
same_id(const json_t *object, struct lnt_str got)
{
    const json_t *id = json_object_get(object, "id");

    if (!got.p || !id) {
        if (got.p || id)
            abort();
        return;
    }
    if (json_is_string(id)) {
        if (got.n < 2 || got.p[0] != '"' || got.p[got.n - 1] != '"')
            abort();
        same_text(object, "id", lnt_str(got.p + 1, got.n - 2));
        return;
    }
    char text[64];
    size_t n = json_dumpb(id, text, sizeof(text), JSON_ENCODE_ANY);
    if (!json_is_integer(id) || !lnt_str_eq(got, lnt_str(text, n)))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct chat_words words;
    /* In memory of just its size, so that reading beyond it is seen. */
    char *copy = lnt_malloc(size ? size : 1);

    if (size > 0)
        memcpy(copy, data, size);
    if (chat_words_read(&words, lnt_str(copy, size))) {
        json_t *object = json_loadb(copy, size, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(object))
            abort();
        same_text(object, "type", LNT_STR("message"));
        same_text(object, "room", words.room);
        same_text(object, "text", words.text);
        same_id(object, words.id);
        if (json_object_size(object) != (words.id.p ? 4u : 3u))
            abort();
        json_decref(object);
    }
    free(copy);
    return 0;
}
