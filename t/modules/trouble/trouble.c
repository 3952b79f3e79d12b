/*
 * A module that makes trouble, for the tests of what a server survives: its
 * workers fail, crash or hang when they start, as a file says (a file, so that
 * it can change without a reload), or crash when a client asks for it.  The
 * application also tells a client which worker it is on, and writes to the
 * log what it is told to.
 *
 *   [trouble]
 *   file   = run/trouble     ; ok | fail | crash | hang; ok when not there
 *   starts = run/starts      ; each start of a worker adds a line
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "net/module.h"

struct trouble_conf {
    const char *file, *starts;
};

static const struct lnt_directive trouble_directives[] = {
    {.name = "file",
     .type = LNT_TYPE_PATH,
     .offset = offsetof(struct trouble_conf, file),
     .help = "what a worker does when it starts: ok, fail, crash or hang"},
    {.name = "starts",
     .type = LNT_TYPE_PATH,
     .offset = offsetof(struct trouble_conf, starts),
     .help = "gets a line for each start of a worker"},
    {.name = NULL},
};

static const struct lnt_directive_set trouble_set = {
    .owner = "trouble",
    .size = sizeof(struct trouble_conf),
    .directives = trouble_directives,
};

static const struct lnt_section_kind trouble_sections[] = {
    {.kind = "trouble", .help = "what goes wrong", .set = &trouble_set},
    {.kind = NULL},
};

static int
trouble_configure(struct lnt_module_setup *setup)
{
    struct lnt_section *s = lnt_section_find(setup->sections, "trouble");

    setup->conf = lnt_section_data(s, &trouble_set);
    return 0;
}

static void
count_start(const char *path)
{
    FILE *f = path != NULL ? fopen(path, "ae") : NULL;

    if (f == NULL)
        return;
    fprintf(f, "%ld\n", (long)getpid());
    fclose(f);
}

/* The first word of the file; "ok" when there is none. */
static void
what_to_do(const char *path, char *word, size_t size)
{
    FILE *f = path != NULL ? fopen(path, "re") : NULL;

    snprintf(word, size, "ok");
    if (f == NULL)
        return;
    if (fgets(word, (int)size, f) != NULL)
        word[strcspn(word, " \r\n")] = '\0';
    fclose(f);
}

static int
trouble_start(struct lnt_module_ctx *m, struct lnt_strbuf *why)
{
    const struct trouble_conf *conf = m->conf;
    char word[16];

    count_start(conf->starts);
    what_to_do(conf->file, word, sizeof(word));
    if (strcmp(word, "crash") == 0)
        abort();
    while (strcmp(word, "hang") == 0)
        pause();
    if (strcmp(word, "fail") == 0) {
        lnt_strbuf_addf(why, "trouble was asked to fail");
        return -1;
    }
    return 0;
}

static void
trouble_broadcast(struct lnt_module_ctx *m, struct lnt_str data)
{
    (void)m;
    lnt_log_notice("trouble heard: %.*s", (int)data.n, data.p);
}

static bool
begins(struct lnt_str text, const char *with)
{
    size_t n = strlen(with);

    return text.n >= n && memcmp(text.p, with, n) == 0;
}

static lnt_verdict
trouble_message(struct lnt_session *s, const struct lnt_message *m)
{
    char answer[32];

    if (begins(m->data, "pid")) {
        int n = snprintf(answer, sizeof(answer), "%ld", (long)getpid());
        lnt_session_send(s, LNT_TEXT, answer, (size_t)n);
    } else if (begins(m->data, "log ")) {
        lnt_log_notice("trouble says: %.*s;", (int)(m->data.n - 4),
                       m->data.p + 4);
        lnt_session_send(s, LNT_TEXT, "logged", 6);
    } else if (begins(m->data, "crash")) {
        abort();
    } else if (begins(m->data, "close")) {
        return 4500;
    } else {
        lnt_session_send(s, LNT_TEXT, "what?", 5);
    }
    return LNT_GO_ON;
}

static const struct lnt_app trouble_app = {
    .message = trouble_message,
};

const struct lnt_module lnt_module_trouble = {
    LNT_MODULE_HEAD,
    .name = "trouble",
    .help = "makes trouble, for tests",
    .sections = trouble_sections,
    .app = &trouble_app,
    .configure = trouble_configure,
    .worker_start = trouble_start,
    .on_broadcast = trouble_broadcast,
};
