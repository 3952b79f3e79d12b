/*
 * The chat under arbitrary requests.  Input: lines; the first byte of each
 * chooses the session that sends the rest: a, b and c are programs, others are
 * people.  Whatever comes: every answer to a program is JSON, no line for a
 * person has a control character, and at the end nobody is left over.
 */
#include <jansson.h>
#include <stdio.h>

#include "core/utf8.h"
#include "t/unit/chat_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_answers(struct lnt_session *s)
{
    const char *text;

    while ((text = world_next(s))) {
        if (!lnt_utf8_valid(text, strlen(text)))
            abort();
        if (!s->human) {
            json_t *answer = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
            if (!json_is_string(json_object_get(answer, "type")))
                abort();
            json_decref(answer);
            continue;
        }
        for (const char *p = text; *p; p++) {
            if (((unsigned char)*p < 0x20 && *p != '\n' && *p != '\t') ||
                *p == 0x7f || (*p == '\xc2' && p[1] < '\xa0'))
                abort();
        }
    }
    lnt_strbuf_clear(&s->got);
    s->seen = 0;
}

/* Whoever is closed comes back at once. */
static void
one_line(struct lnt_session **sessions, const char *p, size_t n)
{
    unsigned which = (unsigned char)p[0] >= 'a' ? (unsigned char)p[0] - 'a'
                                                : 3 + (unsigned char)p[0];
    struct lnt_session **s = &sessions[which < 3 ? which : 3 + which % 2];
    bool human = (*s)->human;

    /* Protocols for people give text only. */
    if (human && !lnt_utf8_valid(p + 1, n - 1))
        return;
    if (world_send(*s, p + 1, n - 1) != LNT_GO_ON) {
        world_close(*s);
        *s = world_open(human);
    }
    for (int i = 0; i < 5; i++)
        check_answers(sessions[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lnt_session *sessions[5];
    const char *p = (const char *)data, *end = p + size;

    world_begin();
    world.conf.presence_limit = 3;
    for (int i = 0; i < 5; i++)
        sessions[i] = world_open(i >= 3);
    while (p < end) {
        const char *lf = memchr(p, '\n', (size_t)(end - p));
        size_t n = lf ? (size_t)(lf - p) : (size_t)(end - p);

        if (n > 0)
            one_line(sessions, p, n);
        p += n + 1;
    }
    world_end();
    for (int i = 0; i < WORLD_USERS; i++) {
        if (world.users[i].session)
            abort();
    }
    for (int i = 0; i < WORLD_ROOMS; i++) {
        if (world.rooms[i].members || world.rooms[i].subs)
            abort();
    }
    return 0;
}
