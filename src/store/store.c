/*
 * The store's file: schema, statements, and what SQLite's errors mean.  What is
 * written when is left to mirror.c.
 *
 * WAL: a commit appends, readers are never in the way, and whoever is killed at
 * any time leaves a file that is whole.  Each commit is synced to the disk.
 */
#include "store/store.h"

#include "auto_config.h"

#ifdef LNT_HAVE_SQLITE /* else store_none.c */

#include <fcntl.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "core/strbuf.h"
#include "os/file.h"

enum {
    FORMAT = 1,         /* user_version */
    MARK = 0x6c6e6574,  /* application_id: "lnet" */
    BUSY_TIME = 1000,   /* ms for others that have it locked */
    LOG_SIZE = 8 << 20, /* bytes the WAL keeps when it is empty */
};

static const char schema[] =
    "CREATE TABLE server ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " epoch INTEGER NOT NULL,"
    " seq INTEGER NOT NULL,"
    " whole INTEGER NOT NULL);"
    "CREATE TABLE room ("
    " id INTEGER PRIMARY KEY,"
    " app INTEGER NOT NULL,"
    " name TEXT NOT NULL,"
    " keep_count INTEGER NOT NULL,"
    " keep_age INTEGER NOT NULL,"
    " keep_bytes INTEGER NOT NULL,"
    " lost INTEGER NOT NULL,"
    " parked INTEGER NOT NULL,"
    " creator INTEGER NOT NULL DEFAULT 0,"
    " configured INTEGER NOT NULL DEFAULT 0,"
    " UNIQUE (app, name));"
    "CREATE TABLE message ("
    " room INTEGER NOT NULL,"
    " seq INTEGER NOT NULL,"
    " time INTEGER NOT NULL," /* microseconds since 1970 */
    " kind INTEGER NOT NULL,"
    " flags INTEGER NOT NULL,"
    " data BLOB NOT NULL,"
    " PRIMARY KEY (room, seq)) WITHOUT ROWID;";

/* Of stores of an earlier version, which do not have them. */
static const char new_columns[] =
    "ALTER TABLE room ADD COLUMN creator INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE room ADD COLUMN configured INTEGER NOT NULL DEFAULT 0;";

enum statement {
    BEGIN,
    BEGIN_READING,
    COMMIT,
    GET_HEAD,
    SET_HEAD,
    GET_ROOMS,
    NEW_ROOM,
    SET_ROOM,
    GET_MESSAGES,
    PUT_MESSAGE,
    PRUNE,
    LIMIT,
    FORGET,
    GET_FIRST,
    DROP_ROOM,
    STATEMENTS
};

static const char *const texts[STATEMENTS] = {
    [BEGIN] = "BEGIN IMMEDIATE",
    [BEGIN_READING] = "BEGIN",
    [COMMIT] = "COMMIT",
    [GET_HEAD] = "SELECT epoch, seq, whole FROM server",
    [SET_HEAD] = "REPLACE INTO server (id, epoch, seq, whole)"
                 " VALUES (1, ?1, ?2, ?3)",
    [GET_ROOMS] = "SELECT id, app, name, keep_count, keep_age, keep_bytes,"
                  " lost, parked, first, last, messages, newest, oldest,"
                  " creator, configured"
                  " FROM room LEFT JOIN (SELECT room, min(seq) AS first,"
                  " max(seq) AS last, count(*) AS messages,"
                  " min(time) AS oldest, max(time) AS newest"
                  " FROM message GROUP BY room)"
                  " ON room = id ORDER BY configured, parked,"
                  " CASE parked WHEN 0 THEN last ELSE -last END",
    [NEW_ROOM] = "INSERT INTO room (app, name, keep_count, keep_age,"
                 " keep_bytes, lost, parked, creator, configured)"
                 " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?9, ?10)",
    [SET_ROOM] = "UPDATE room SET keep_count = ?3, keep_age = ?4,"
                 " keep_bytes = ?5, lost = ?6, parked = ?7, creator = ?9,"
                 " configured = ?10 WHERE id = ?8",
    [GET_MESSAGES] = "SELECT seq, time, kind, flags, data FROM message"
                     " WHERE room = ?1 ORDER BY seq",
    [PUT_MESSAGE] = "REPLACE INTO message (room, seq, time, kind, flags, data)"
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    [PRUNE] = "DELETE FROM message WHERE room = ?1 AND seq < ?2",
    [LIMIT] = "DELETE FROM message WHERE room = ?1 AND seq <= (SELECT seq"
              " FROM message WHERE room = ?1 ORDER BY seq DESC"
              " LIMIT 1 OFFSET ?2)",
    [FORGET] = "DELETE FROM message WHERE room = ?1 AND time < ?2",
    [GET_FIRST] = "SELECT seq, time FROM message WHERE room = ?1"
                  " ORDER BY seq LIMIT 1",
    [DROP_ROOM] = "DELETE FROM room WHERE id = ?1",
};

struct lnt_store {
    sqlite3 *db;
    char *path;
    sqlite3_stmt *statements[STATEMENTS]; /* prepared when first used */
};

/* ---- errors ---- */

#define CURE                                                                   \
    "; put a copy of it in its place, or move it away to go on without its "   \
    "history"

static const char *
reason(sqlite3 *db, int code)
{
    int error = db ? sqlite3_system_errno(db) : 0;

    switch (code & 0xff) {
    case SQLITE_FULL:
        return "the disk is full";
    case SQLITE_READONLY:
        return "it may not be written";
    case SQLITE_NOTADB:
        return "that is no database; move it away, or name another file";
    case SQLITE_CORRUPT:
        return "it is damaged" CURE;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another program has it locked";
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
        if (error)
            return strerror(error);
        break;
    }
    return db ? sqlite3_errmsg(db) : sqlite3_errstr(code);
}

static int
refuse(const struct lnt_store *s, struct lnt_strbuf *why, const char *text)
{
    lnt_strbuf_addf(why, "store %s: %s", s->path, text);
    return -1;
}

static int
fail(const struct lnt_store *s, struct lnt_strbuf *why, const char *doing)
{
    int code = s->db ? sqlite3_errcode(s->db) : SQLITE_NOMEM;

    lnt_strbuf_addf(why, "store %s: cannot %s: %s", s->path, doing,
                    reason(s->db, code));
    return -1;
}

int
lnt_store_damaged(const struct lnt_store *s, const char *how,
                  struct lnt_strbuf *why)
{
    lnt_strbuf_addf(why, "store %s: it is damaged: %s" CURE, s->path, how);
    return -1;
}

/* ---- statements ---- */

static sqlite3_stmt *
statement(struct lnt_store *s, enum statement n)
{
    if (!s->statements[n] &&
        sqlite3_prepare_v2(s->db, texts[n], -1, &s->statements[n], NULL) !=
            SQLITE_OK)
        return NULL;
    return s->statements[n];
}

/* Parameters are numbered from 1. */
static void
bind(sqlite3_stmt *q, int n, uint64_t value)
{
    (void)sqlite3_bind_int64(q, n, (sqlite3_int64)value);
}

static uint64_t
column(sqlite3_stmt *q, int n)
{
    return (uint64_t)sqlite3_column_int64(q, n);
}

static struct lnt_str
column_bytes(sqlite3_stmt *q, int n)
{
    const void *p = sqlite3_column_blob(q, n);

    return p ? lnt_str(p, (size_t)sqlite3_column_bytes(q, n)) : LNT_STR("");
}

/* Runs one that has no rows. */
static int
run(struct lnt_store *s, sqlite3_stmt *q, const char *doing,
    struct lnt_strbuf *why)
{
    int code, result = 0;

    if (!q)
        return fail(s, why, doing);
    code = sqlite3_step(q);
    if (code != SQLITE_DONE && code != SQLITE_ROW)
        result = fail(s, why, doing);
    (void)sqlite3_reset(q);
    return result;
}

static int
exec(struct lnt_store *s, const char *text, const char *doing,
     struct lnt_strbuf *why)
{
    if (sqlite3_exec(s->db, text, NULL, NULL, NULL) == SQLITE_OK)
        return 0;
    return fail(s, why, doing);
}

/* The first value that it gives; a number, or a text into the buffer. */
static int
ask(struct lnt_store *s, const char *text, int64_t *number,
    struct lnt_strbuf *answer, struct lnt_strbuf *why)
{
    sqlite3_stmt *q = NULL;
    int result = 0;

    if (sqlite3_prepare_v2(s->db, text, -1, &q, NULL) != SQLITE_OK ||
        sqlite3_step(q) != SQLITE_ROW)
        result = fail(s, why, "read it");
    else if (number)
        *number = sqlite3_column_int64(q, 0);
    else
        lnt_strbuf_add_str(answer, column_bytes(q, 0));
    (void)sqlite3_finalize(q);
    return result;
}

/* ---- opening ---- */

static uint32_t
number_at(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 |
           p[3];
}

int
lnt_store_look(const char *path, struct lnt_strbuf *why)
{
    /* As SQLite's description of its file format has it. */
    enum { HEAD = 100, USER_VERSION = 60, APPLICATION_ID = 68 };
    static const char magic[] = "SQLite format 3";
    unsigned char head[HEAD] = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    ssize_t n = fd >= 0 ? read(fd, head, sizeof(head)) : 0;

    lnt_file_close(fd);
    if (n <= 0)
        return 0;
    if (memcmp(head, magic, sizeof(magic)) != 0) {
        lnt_strbuf_addf(why, "store %s: that is no database; name another file",
                        path);
        return -1;
    }
    /* 0: what was written first is still in the file beside it. */
    uint32_t mark = number_at(head + APPLICATION_ID);
    uint32_t format = number_at(head + USER_VERSION);
    if (mark != 0 && mark != MARK) {
        lnt_strbuf_addf(why,
                        "store %s: that is a database of another program; name "
                        "another file",
                        path);
        return -1;
    }
    if (mark == 0 || format == FORMAT)
        return 0;
    lnt_strbuf_addf(why, "store %s: it has format %u, this linnet knows %d",
                    path, (unsigned)format, FORMAT);
    return -1;
}

static int
make_tables(struct lnt_store *s, struct lnt_strbuf *why)
{
    static const char doing[] = "make its tables";
    char *marks = sqlite3_mprintf("PRAGMA application_id = %d;"
                                  "PRAGMA user_version = %d;",
                                  MARK, FORMAT);
    int result = -1;

    if (exec(s, "BEGIN IMMEDIATE", doing, why) == 0 &&
        exec(s, schema, doing, why) == 0 && exec(s, marks, doing, why) == 0 &&
        exec(s, "COMMIT", doing, why) == 0)
        result = 0;
    sqlite3_free(marks);
    return result;
}

/* That it is a store of ours, or nothing yet. */
static int
check_kind(struct lnt_store *s, bool *fresh, struct lnt_strbuf *why)
{
    int64_t mark, format, tables;

    if (ask(s, "PRAGMA application_id", &mark, NULL, why) < 0 ||
        ask(s, "PRAGMA user_version", &format, NULL, why) < 0 ||
        ask(s, "SELECT count(*) FROM sqlite_master", &tables, NULL, why) < 0)
        return -1;
    *fresh = mark == 0 && format == 0 && tables == 0;
    if (*fresh)
        return 0;
    if (mark != MARK)
        return refuse(s, why,
                      "that is a database of another program; name "
                      "another file");
    if (format == FORMAT)
        return 0;
    lnt_strbuf_addf(why,
                    "store %s: it has format %" PRId64
                    ", this linnet knows %d; use the linnet that wrote it, or "
                    "name another file",
                    s->path, format, FORMAT);
    return -1;
}

static int
add_columns(struct lnt_store *s, struct lnt_strbuf *why)
{
    static const char doing[] = "add columns to its tables";
    int64_t n;

    if (ask(s,
            "SELECT count(*) FROM pragma_table_info('room')"
            " WHERE name = 'configured'",
            &n, NULL, why) < 0)
        return -1;
    if (n > 0)
        return 0;
    if (exec(s, "BEGIN IMMEDIATE", doing, why) < 0 ||
        exec(s, new_columns, doing, why) < 0)
        return -1;
    return exec(s, "COMMIT", doing, why);
}

static int
set_mode(struct lnt_store *s, struct lnt_strbuf *why)
{
    struct lnt_strbuf mode = LNT_STRBUF_INIT;
    char text[64];
    int result = ask(s, "PRAGMA journal_mode = WAL", NULL, &mode, why);

    if (result == 0 && strcmp(mode.p ? mode.p : "", "wal") != 0)
        result = refuse(s, why,
                        "its file system cannot share memory between "
                        "processes; name a file on a local one");
    lnt_strbuf_release(&mode);
    if (result < 0)
        return -1;
    (void)sqlite3_snprintf(sizeof(text), text,
                           "PRAGMA synchronous = FULL;"
                           "PRAGMA journal_size_limit = %d",
                           LOG_SIZE);
    return exec(s, text, "set it up", why);
}

/* Debug builds: the file that the variable names says how many pages there
   may be, as if the disk were full then. */
static void
limit_pages(struct lnt_store *s)
{
#ifdef LNT_DEBUG_BUILD
    const char *path = getenv("LINNET_TEST_STORE_PAGES");
    FILE *f = path ? fopen(path, "r") : NULL;
    char text[64];
    int pages = 0;

    if (f && fscanf(f, "%d", &pages) == 1 && pages > 0) {
        (void)sqlite3_snprintf(sizeof(text), text, "PRAGMA max_page_count=%d",
                               pages);
        (void)sqlite3_exec(s->db, text, NULL, NULL, NULL);
    }
    if (f)
        (void)fclose(f);
#else
    (void)s;
#endif
}

static int
open_file(struct lnt_store *s, struct lnt_strbuf *why)
{
    const int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
    bool fresh;

    if (sqlite3_open_v2(s->path, &s->db, flags, NULL) != SQLITE_OK)
        return fail(s, why, "open it");
    (void)sqlite3_busy_timeout(s->db, BUSY_TIME);
    if (check_kind(s, &fresh, why) < 0)
        return -1;
    /* SQLite is content with reading where it may not write. */
    if (sqlite3_db_readonly(s->db, "main") == 1)
        return refuse(s, why, "cannot open it: it may not be written");
    if (set_mode(s, why) < 0)
        return -1;
    limit_pages(s);
    return fresh ? make_tables(s, why) : add_columns(s, why);
}

struct lnt_store *
lnt_store_open(const char *path, struct lnt_strbuf *why)
{
    struct lnt_store *s = lnt_calloc(1, sizeof(*s));

    s->path = lnt_strdup(path);
    if (open_file(s, why) == 0)
        return s;
    lnt_store_close(s);
    return NULL;
}

void
lnt_store_close(struct lnt_store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < STATEMENTS; i++)
        (void)sqlite3_finalize(s->statements[i]);
    (void)sqlite3_close(s->db);
    free(s->path);
    free(s);
}

int
lnt_store_check(struct lnt_store *s, struct lnt_strbuf *why)
{
    struct lnt_strbuf answer = LNT_STRBUF_INIT;
    int result = ask(s, "PRAGMA quick_check(1)", NULL, &answer, why);

    if (result == 0 && strcmp(answer.p ? answer.p : "", "ok") != 0)
        result = lnt_store_damaged(s, answer.p ? answer.p : "?", why);
    lnt_strbuf_release(&answer);
    return result;
}

bool
lnt_store_in_place(struct lnt_store *s)
{
    int moved = 0;

    return sqlite3_file_control(s->db, "main", SQLITE_FCNTL_HAS_MOVED,
                                &moved) != SQLITE_OK ||
           !moved;
}

/* ---- transactions and the head ---- */

int
lnt_store_begin(struct lnt_store *s, struct lnt_strbuf *why)
{
    return run(s, statement(s, BEGIN), "write it", why);
}

int
lnt_store_begin_reading(struct lnt_store *s, struct lnt_strbuf *why)
{
    return run(s, statement(s, BEGIN_READING), "read it", why);
}

int
lnt_store_commit(struct lnt_store *s, struct lnt_strbuf *why)
{
    return run(s, statement(s, COMMIT), "write it", why);
}

int
lnt_store_head(struct lnt_store *s, struct lnt_store_head *head,
               struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, GET_HEAD);
    int code = q ? sqlite3_step(q) : SQLITE_ERROR, result = 0;

    *head = (struct lnt_store_head){0};
    if (code == SQLITE_ROW)
        *head = (struct lnt_store_head){
            .epoch = column(q, 0),
            .seq = column(q, 1),
            .whole = column(q, 2) != 0,
        };
    else if (code != SQLITE_DONE)
        result = fail(s, why, "read it");
    (void)sqlite3_reset(q);
    return result;
}

int
lnt_store_set_head(struct lnt_store *s, const struct lnt_store_head *head,
                   struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, SET_HEAD);

    bind(q, 1, head->epoch);
    bind(q, 2, head->seq);
    bind(q, 3, head->whole);
    return run(s, q, "write it", why);
}

/* ---- reading ---- */

int
lnt_store_rooms(struct lnt_store *s, lnt_store_room_fn *fn, void *arg,
                struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, GET_ROOMS);
    int code = SQLITE_ERROR, result = 0;

    while (q && result == 0 && (code = sqlite3_step(q)) == SQLITE_ROW) {
        struct lnt_store_room r = {
            .id = sqlite3_column_int64(q, 0),
            .app = (uint32_t)column(q, 1),
            .name = column_bytes(q, 2),
            .keep = {.count = (uint32_t)column(q, 3),
                     .age_s = (uint32_t)column(q, 4),
                     .bytes = column(q, 5)},
            .lost = column(q, 6),
            .parked = column(q, 7) != 0,
            .first = column(q, 8),
            .last = column(q, 9),
            .messages = column(q, 10),
            .newest_us = column(q, 11),
            .oldest_us = column(q, 12),
            .creator = column(q, 13),
            .configured = column(q, 14) != 0,
        };

        result = fn(arg, &r, why);
    }
    if (result == 0 && code != SQLITE_DONE)
        result = fail(s, why, "read it");
    (void)sqlite3_reset(q);
    return result;
}

int
lnt_store_messages(struct lnt_store *s, int64_t room, lnt_store_message_fn *fn,
                   void *arg, struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, GET_MESSAGES);
    int code = SQLITE_ERROR, result = 0;

    bind(q, 1, (uint64_t)room);
    while (q && result == 0 && (code = sqlite3_step(q)) == SQLITE_ROW) {
        struct lnt_event e = {
            .seq = column(q, 0),
            .time_us = column(q, 1),
            .kind = (uint16_t)column(q, 2),
            .flags = (uint16_t)column(q, 3),
            .data = column_bytes(q, 4),
        };

        result = fn(arg, &e, why);
    }
    if (result == 0 && code != SQLITE_DONE)
        result = fail(s, why, "read it");
    (void)sqlite3_reset(q);
    return result;
}

int
lnt_store_first(struct lnt_store *s, int64_t room, uint64_t *seq,
                uint64_t *time_us, struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, GET_FIRST);
    int code = SQLITE_ERROR, result = 0;

    *seq = *time_us = 0;
    bind(q, 1, (uint64_t)room);
    if (q)
        code = sqlite3_step(q);
    if (code == SQLITE_ROW) {
        *seq = column(q, 0);
        *time_us = column(q, 1);
    } else if (code != SQLITE_DONE) {
        result = fail(s, why, "read it");
    }
    (void)sqlite3_reset(q);
    return result;
}

/* ---- writing ---- */

int
lnt_store_put_room(struct lnt_store *s, struct lnt_store_room *r,
                   struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, r->id ? SET_ROOM : NEW_ROOM);

    if (!r->id) {
        bind(q, 1, r->app);
        (void)sqlite3_bind_text(q, 2, r->name.p, (int)r->name.n, SQLITE_STATIC);
    } else {
        bind(q, 8, (uint64_t)r->id);
    }
    bind(q, 3, r->keep.count);
    bind(q, 4, r->keep.age_s);
    bind(q, 5, r->keep.bytes);
    bind(q, 6, r->lost);
    bind(q, 7, r->parked);
    bind(q, 9, r->creator);
    bind(q, 10, r->configured);
    if (run(s, q, "write it", why) < 0)
        return -1;
    if (!r->id)
        r->id = sqlite3_last_insert_rowid(s->db);
    return 0;
}

int
lnt_store_put(struct lnt_store *s, int64_t room, const struct lnt_event *e,
              struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, PUT_MESSAGE);

    bind(q, 1, (uint64_t)room);
    bind(q, 2, e->seq);
    bind(q, 3, e->time_us);
    bind(q, 4, e->kind);
    bind(q, 5, e->flags);
    (void)sqlite3_bind_blob64(q, 6, e->data.n ? e->data.p : "", e->data.n,
                              SQLITE_STATIC);
    return run(s, q, "write it", why);
}

/* Removes messages of a room; *n: how many. */
static int
remove_messages(struct lnt_store *s, enum statement which, int64_t room,
                uint64_t value, uint64_t *n, struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, which);

    bind(q, 1, (uint64_t)room);
    bind(q, 2, value);
    if (run(s, q, "write it", why) < 0)
        return -1;
    *n = (uint64_t)sqlite3_changes(s->db);
    return 0;
}

int
lnt_store_prune(struct lnt_store *s, int64_t room, uint64_t seq, uint64_t *n,
                struct lnt_strbuf *why)
{
    return remove_messages(s, PRUNE, room, seq, n, why);
}

int
lnt_store_limit(struct lnt_store *s, int64_t room, uint64_t count, uint64_t *n,
                struct lnt_strbuf *why)
{
    return remove_messages(s, LIMIT, room, count, n, why);
}

int
lnt_store_forget(struct lnt_store *s, int64_t room, uint64_t time_us,
                 uint64_t *n, struct lnt_strbuf *why)
{
    return remove_messages(s, FORGET, room, time_us, n, why);
}

int
lnt_store_drop(struct lnt_store *s, int64_t room, struct lnt_strbuf *why)
{
    sqlite3_stmt *q = statement(s, DROP_ROOM);
    uint64_t n;

    bind(q, 1, (uint64_t)room);
    if (run(s, q, "write it", why) < 0)
        return -1;
    return lnt_store_prune(s, room, INT64_MAX, &n, why);
}

int
lnt_store_cut(struct lnt_store *s, uint64_t seq, struct lnt_strbuf *why)
{
    char text[192];

    (void)sqlite3_snprintf(sizeof(text), text,
                           "DELETE FROM message WHERE seq > %lld;"
                           "DELETE FROM room WHERE NOT EXISTS"
                           " (SELECT 1 FROM message WHERE room = id)",
                           (long long)seq);
    return exec(s, text, "write it", why);
}

#endif
