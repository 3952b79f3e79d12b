/*
 * What a line of the access log is made of.  Text between variables becomes
 * items of its own; in an object the keys, colons and quotes do.
 */
#include "modules/http/access_format.h"

#include <string.h>

#include "core/arena.h"
#include "core/strbuf.h"

static const struct known {
    const char *name;
    enum lnt_http_var var;
    bool number;
} known[] = {
    {"remote_addr", LNT_HTTP_VAR_REMOTE_ADDR, false},
    {"remote_port", LNT_HTTP_VAR_REMOTE_PORT, true},
    {"time_local", LNT_HTTP_VAR_TIME_LOCAL, false},
    {"time_iso8601", LNT_HTTP_VAR_TIME_ISO8601, false},
    {"msec", LNT_HTTP_VAR_MSEC, true},
    {"request", LNT_HTTP_VAR_REQUEST, false},
    {"method", LNT_HTTP_VAR_METHOD, false},
    {"uri", LNT_HTTP_VAR_URI, false},
    {"request_uri", LNT_HTTP_VAR_REQUEST_URI, false},
    {"args", LNT_HTTP_VAR_ARGS, false},
    {"protocol", LNT_HTTP_VAR_PROTOCOL, false},
    {"host", LNT_HTTP_VAR_HOST, false},
    {"status", LNT_HTTP_VAR_STATUS, true},
    {"bytes_sent", LNT_HTTP_VAR_BYTES_SENT, true},
    {"body_bytes_sent", LNT_HTTP_VAR_BODY_BYTES_SENT, true},
    {"request_time", LNT_HTTP_VAR_REQUEST_TIME, true},
    {"route", LNT_HTTP_VAR_ROUTE, false},
    {"listen", LNT_HTTP_VAR_LISTEN, false},
    {"worker", LNT_HTTP_VAR_WORKER, true},
    {"pid", LNT_HTTP_VAR_PID, true},
    {"connection", LNT_HTTP_VAR_CONNECTION, true},
    {"connection_requests", LNT_HTTP_VAR_CONNECTION_REQUESTS, true},
    /* As nginx calls them. */
    {"request_method", LNT_HTTP_VAR_METHOD, false},
    {"query_string", LNT_HTTP_VAR_ARGS, false},
    {"document_uri", LNT_HTTP_VAR_URI, false},
    {"server_protocol", LNT_HTTP_VAR_PROTOCOL, false},
};
enum { KNOWN = sizeof(known) / sizeof(known[0]) };

/* nginx has $remote_user for the second of the two hyphens. */
static const char combined[] =
    "$remote_addr - - [$time_local] \"$request\" $status $body_bytes_sent "
    "\"$http_referer\" \"$http_user_agent\"";

/* The object that is written when nobody says what is to be in it. */
static const struct {
    const char *key;
    enum lnt_http_var var;
    const char *header;
    bool number;
} usual[] = {
    {"time", LNT_HTTP_VAR_MSEC, NULL, true},
    {"peer", LNT_HTTP_VAR_REMOTE_ADDR, NULL, false},
    {"connection", LNT_HTTP_VAR_CONNECTION, NULL, true},
    {"method", LNT_HTTP_VAR_METHOD, NULL, false},
    {"target", LNT_HTTP_VAR_REQUEST_URI, NULL, false},
    {"host", LNT_HTTP_VAR_AUTHORITY, NULL, false},
    {"version", LNT_HTTP_VAR_VERSION, NULL, false},
    {"status", LNT_HTTP_VAR_STATUS, NULL, true},
    {"bytes", LNT_HTTP_VAR_BODY_BYTES_SENT, NULL, true},
    {"request_time", LNT_HTTP_VAR_REQUEST_TIME, NULL, true},
    {"referer", LNT_HTTP_VAR_HEADER, "referer", false},
    {"user_agent", LNT_HTTP_VAR_HEADER, "user-agent", false},
    {"route", LNT_HTTP_VAR_ROUTE, NULL, false},
    {"worker", LNT_HTTP_VAR_WORKER, NULL, true},
};

struct compiler {
    struct lnt_arena *arena;
    struct lnt_http_access_format *f;
    size_t cap;
    struct lnt_strbuf *why;
    struct lnt_strbuf keys; /* of an object so far, each in two blanks */
};

static void
add_item(struct compiler *c, enum lnt_http_var var, struct lnt_str text)
{
    struct lnt_http_access_format *f = c->f;
    if (f->n == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 16;
        struct lnt_http_access_item *items =
            lnt_arena_alloc(c->arena, c->cap * sizeof(*items));
        if (f->n > 0)
            memcpy(items, f->items, f->n * sizeof(*items));
        f->items = items;
    }
    f->items[f->n++] = (struct lnt_http_access_item){var, text};
}

static void
add_text(struct compiler *c, const char *p, size_t n)
{
    if (n > 0)
        add_item(c, LNT_HTTP_VAR_TEXT,
                 lnt_str(lnt_arena_strndup(c->arena, p, n), n));
}

/* ,"key":VALUE or ,"key":"VALUE" */
static void
add_member(struct compiler *c, struct lnt_str key, enum lnt_http_var var,
           struct lnt_str header, bool number)
{
    const char *end = number ? "" : "\"";
    const char *text =
        lnt_arena_printf(c->arena, "%s\"%.*s\":%s", c->f->n > 0 ? "," : "{",
                         LNT_STR_ARG(key), end);
    add_text(c, text, strlen(text));
    add_item(c, var, header);
    add_text(c, end, strlen(end));
}

/* ---- variables ---- */

static bool
is_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c >= '0' && c <= '9') || c == '_';
}

static int
unknown(struct compiler *c, struct lnt_str name)
{
    const char *names[KNOWN + 3];
    char word[64];
    size_t n = name.n < sizeof(word) ? name.n : sizeof(word) - 1;
    memcpy(word, name.p, n);
    word[n] = '\0';
    for (size_t i = 0; i < KNOWN; i++)
        names[i] = known[i].name;
    names[KNOWN] = "http_user_agent";
    names[KNOWN + 1] = "http_referer";
    names[KNOWN + 2] = NULL;
    const char *near = lnt_str_nearest(word, names);
    lnt_strbuf_addf(c->why, "there is no variable \"$%s\"", word);
    if (near) {
        lnt_strbuf_addf(c->why, "; did you mean \"$%s\"?", near);
        return -1;
    }
    lnt_strbuf_adds(c->why, "; there are $http_NAME for any header");
    for (size_t i = 0; i < KNOWN; i++)
        lnt_strbuf_addf(c->why, ", $%s", known[i].name);
    return -1;
}

/* $http_user_agent is the header User-Agent. */
static struct lnt_str
header_name(struct compiler *c, struct lnt_str name)
{
    char *p = lnt_arena_strndup(c->arena, name.p + 5, name.n - 5);
    for (char *at = p; *at; at++)
        if (*at == '_')
            *at = '-';
    return lnt_str_c(p);
}

/* Whether the object has the key already; notes it. */
static bool
has_key(struct compiler *c, struct lnt_str key)
{
    struct lnt_strbuf word = LNT_STRBUF_INIT;
    lnt_strbuf_addf(&word, " %.*s ", LNT_STR_ARG(key));
    bool has = c->keys.n > 0 && strstr(c->keys.p, word.p);
    if (!has)
        lnt_strbuf_add_str(&c->keys, lnt_strbuf_str(&word));
    lnt_strbuf_release(&word);
    return has;
}

static int
add_variable(struct compiler *c, struct lnt_str name)
{
    struct lnt_str header = lnt_str("", 0);
    enum lnt_http_var var = LNT_HTTP_VAR_TEXT;
    bool number = false;
    if (name.n > 5 && memcmp(name.p, "http_", 5) == 0) {
        var = LNT_HTTP_VAR_HEADER;
        header = header_name(c, name);
    }
    for (size_t i = 0; i < KNOWN; i++) {
        if (!lnt_str_eq(lnt_str_c(known[i].name), name))
            continue;
        var = known[i].var;
        number = known[i].number;
    }
    if (var == LNT_HTTP_VAR_TEXT)
        return unknown(c, name);
    if (!c->f->json)
        add_item(c, var, header);
    else if (!has_key(c, name))
        add_member(c, name, var, header, number);
    return 0;
}

/* ---- the text ---- */

/* p is at a "$"; *end is where the text goes on. */
static int
read_variable(struct compiler *c, const char *p, const char **end)
{
    if (p[1] == '$') {
        *end = p + 2;
        if (!c->f->json)
            add_text(c, "$", 1);
        return 0;
    }
    bool braces = p[1] == '{';
    const char *name = p + 1 + braces, *stop = name;
    while (is_name_char(*stop))
        stop++;
    if (stop == name || (braces && *stop != '}')) {
        lnt_strbuf_adds(c->why, "\"$\" without the name of a variable; write "
                                "\"$$\" for a dollar");
        return -1;
    }
    *end = stop + braces;
    return add_variable(c, lnt_str(name, (size_t)(stop - name)));
}

static int
read_template(struct compiler *c, const char *text)
{
    for (const char *p = text; *p;) {
        const char *dollar = strchr(p, '$');
        size_t n = dollar ? (size_t)(dollar - p) : strlen(p);
        if (!c->f->json)
            add_text(c, p, n);
        p += n;
        if (*p && read_variable(c, p, &p) < 0)
            return -1;
    }
    return 0;
}

static void
add_usual(struct compiler *c)
{
    for (size_t i = 0; i < sizeof(usual) / sizeof(usual[0]); i++)
        add_member(c, lnt_str_c(usual[i].key), usual[i].var,
                   lnt_str_c(usual[i].header), usual[i].number);
}

static int
compile(struct compiler *c, const char *text)
{
    for (const char *p = text; p && *p; p++) {
        if ((unsigned char)*p < 0x20 && *p != '\t') {
            lnt_strbuf_adds(c->why, "control character in the line");
            return -1;
        }
    }
    if (text && strncmp(text, "json", 4) == 0 &&
        (text[4] == '\0' || text[4] == ' ')) {
        c->f->json = true;
        text = text[4] ? text + 5 : NULL;
    }
    if (text && strcmp(text, "combined") == 0)
        text = combined;
    if (!text && c->f->json)
        add_usual(c);
    else if (read_template(c, text ? text : combined) < 0)
        return -1;
    if (c->f->json && c->f->n == 0) {
        lnt_strbuf_adds(c->why, "no variable is named, an object of none "
                                "would be logged");
        return -1;
    }
    add_text(c, c->f->json ? "}\n" : "\n", c->f->json ? 2 : 1);
    return 0;
}

int
lnt_http_access_compile(struct lnt_arena *a, const char *text, bool json,
                        struct lnt_http_access_format *f,
                        struct lnt_strbuf *why)
{
    struct compiler c = {.arena = a, .f = f, .why = why};
    *f = (struct lnt_http_access_format){.json = json};
    int result = compile(&c, text);
    lnt_strbuf_release(&c.keys);
    return result;
}
