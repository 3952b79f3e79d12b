/*
 * Files of a folder.  Nothing is listed, nothing whose name begins with a dot
 * is there (but .well-known), nothing outside of the folder is reached.
 */
#include "modules/static/static.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "modules/http/date.h"
#include "modules/static/beneath.h"
#include "modules/static/cache.h"
#include "modules/static/mime.h"
#include "modules/static/precondition.h"
#include "modules/static/redirect.h"
#include "os/clock.h"
#include "os/file.h"

enum {
    ROOT_TIME = 1000,  /* ms after which another folder under that name is
                          noticed */
    QUIET_TIME = 1000, /* ms between two log lines about what is refused */
};

/* A file on its way to an answer. */
struct file {
    int fd;                                 /* -1 when it is cached */
    const struct lnt_static_cached *cached; /* NULL when it is open */
    struct stat st;
    bool packed; /* the .gz beside what was asked for */
    char etag[LNT_STATIC_ETAG];
};

/* ---- the folder ---- */

static bool
is_same_folder(const struct lnt_static_site *site)
{
    struct stat now, then;
    return stat(site->route->root, &now) == 0 &&
           fstat(site->root, &then) == 0 && now.st_ino == then.st_ino &&
           now.st_dev == then.st_dev;
}

/* The folder as it is now: a link that points elsewhere since the last look
   is followed. */
static bool
open_root(struct lnt_static_worker *w, struct lnt_static_site *site,
          uint64_t now)
{
    if (site->root >= 0 && now < site->root_until)
        return true;
    site->root_until = now + ROOT_TIME;
    if (site->root >= 0 && is_same_folder(site))
        return true;
    if (site->root >= 0) {
        lnt_static_cache_drop(w->cache, site->root);
        lnt_file_close(site->root);
    }
    site->root = lnt_static_open_root(site->route->root);
    /* Why it may not, the refusal says. */
    if (site->root < 0 && errno != EACCES)
        lnt_log_error("static: cannot open folder %s: %s", site->route->root,
                      strerror(errno));
    return site->root >= 0;
}

static bool
is_hidden(const char *path)
{
    for (const char *p = path; p; p = strchr(p, '/')) {
        if (*p == '/')
            p++;
        bool known = p == path && strncmp(p, ".well-known", 11) == 0 &&
                     (p[11] == '/' || p[11] == '\0');
        if (*p == '.' && !known)
            return true;
    }
    return false;
}

/* ---- finding ---- */

static void
make_etag(struct file *f)
{
    unsigned long long ns =
        (unsigned long long)f->st.st_mtim.tv_sec * 1000000000ull +
        (unsigned long long)f->st.st_mtim.tv_nsec;
    snprintf(f->etag, sizeof(f->etag), "\"%llx-%llx%s\"",
             (unsigned long long)f->st.st_size, ns, f->packed ? "-gz" : "");
}

/* w->path, from the cache if that may be, or opened; false with errno. */
static bool
find_file(struct lnt_static_worker *w, const struct lnt_static_site *site,
          bool packed, bool cached, struct file *f)
{
    f->packed = packed;
    f->fd = -1;
    f->cached =
        cached ? lnt_static_cache_find(w->cache, site->root, w->path.p, packed)
               : NULL;
    if (f->cached) {
        f->st = f->cached->st;
        memcpy(f->etag, f->cached->etag, sizeof(f->etag));
        return true;
    }
    f->fd = lnt_static_open(site->root, w->path.p);
    if (f->fd < 0)
        return false;
    if (fstat(f->fd, &f->st) < 0) {
        lnt_file_close(f->fd);
        return false;
    }
    make_etag(f);
    return true;
}

/* Takes the compressed copy that lies beside the file, unless it is older. */
static void
find_packed(struct lnt_static_worker *w, const struct lnt_static_site *site,
            struct file *f)
{
    struct file p;
    size_t n = w->path.n;
    lnt_strbuf_adds(&w->path, ".gz");
    bool found = find_file(w, site, true, true, &p);
    if (found && S_ISREG(p.st.st_mode) && p.st.st_mtime >= f->st.st_mtime) {
        lnt_file_close(f->fd);
        *f = p;
        return;
    }
    if (found)
        lnt_file_close(p.fd);
    w->path.n = n;
    w->path.p[n] = '\0';
}

/* Says what keeps us from a file, once a second. */
static void
log_barrier(struct lnt_static_worker *w, struct lnt_static_site *site,
            uint64_t now)
{
    struct lnt_strbuf path = LNT_STRBUF_INIT;
    struct lnt_barrier b;
    char text[LNT_BARRIER_TEXT];
    if (now < site->quiet_until)
        return;
    site->quiet_until = now + QUIET_TIME;
    lnt_strbuf_addf(&path, "%s/%s", site->route->root, w->path.p);
    if (lnt_file_barrier(path.p, R_OK, &b) > 0) {
        lnt_file_barrier_text(&b, "the user whom workers run as", text);
        lnt_log_warn("static: %s", text);
    }
    lnt_strbuf_release(&path);
}

static lnt_verdict
refuse(struct lnt_static_worker *w, struct lnt_static_site *site,
       struct lnt_http_request *r, int error)
{
    if (error == EACCES)
        log_barrier(w, site, lnt_session_now(r->session));
    switch (error) {
    case EACCES:
    case EPERM:
        return lnt_http_error(r, 403, NULL, "the server may not read it");
    case EMFILE:
    case ENFILE:
    case ENOMEM:
        lnt_log_error("static: cannot open a file: %s", strerror(error));
        return lnt_http_error(r, 503, "Retry-After: 1\r\n",
                              "the server is short of something");
    case EIO:
        lnt_log_error("static: cannot open a file: %s", strerror(error));
        return lnt_http_error(r, 500, NULL, "the file cannot be read");
    default:
        return lnt_http_error(r, 404, NULL, "there is no such file");
    }
}

/* ---- answering ---- */

static void
add_headers(struct lnt_strbuf *b, const struct lnt_static_site *site,
            const struct file *f)
{
    int64_t modified = f->st.st_mtime;
    lnt_strbuf_clear(b);
    lnt_strbuf_adds(b, "ETag: ");
    lnt_strbuf_adds(b, f->etag);
    lnt_strbuf_adds(b, "\r\n");
    /* Never later than the answer itself: RFC 9110, section 8.8.2.1. */
    if (modified <= (int64_t)(lnt_clock_wall_us() / 1000000)) {
        char date[LNT_HTTP_DATE_LEN + 1];
        lnt_http_date_format(modified, date);
        lnt_strbuf_adds(b, "Last-Modified: ");
        lnt_strbuf_add(b, date, LNT_HTTP_DATE_LEN);
        lnt_strbuf_adds(b, "\r\n");
    }
    lnt_strbuf_adds(b, site->route->cache_control);
    if (site->route->gzip)
        lnt_strbuf_adds(b, "Vary: Accept-Encoding\r\n");
}

static void
add_content_headers(struct lnt_strbuf *b, const struct file *f)
{
    lnt_strbuf_adds(b, f->packed ? "Content-Encoding: gzip\r\n"
                                 : "Accept-Ranges: bytes\r\n");
    lnt_strbuf_adds(b, "X-Content-Type-Options: nosniff\r\n");
}

static lnt_verdict
serve_range(struct lnt_static_worker *w, struct lnt_http_request *r,
            const char *type, const struct file *f, uint64_t offset, uint64_t n)
{
    lnt_strbuf_addf(&w->headers, "Content-Range: bytes %llu-%llu/%llu\r\n",
                    (unsigned long long)offset,
                    (unsigned long long)(offset + n - 1),
                    (unsigned long long)f->st.st_size);
    return lnt_http_respond_file(r, 206, type, w->headers.p, f->fd, offset, n);
}

static lnt_verdict
serve_no_range(struct lnt_static_worker *w, struct lnt_http_request *r,
               const struct file *f)
{
    lnt_file_close(f->fd);
    lnt_strbuf_clear(&w->headers);
    lnt_strbuf_addf(&w->headers, "Content-Range: bytes */%llu\r\n",
                    (unsigned long long)f->st.st_size);
    return lnt_http_error(r, 416, w->headers.p, "it is not so long");
}

/* A small file: the answer is made once and kept.  NULL when it cannot be
   read whole. */
static struct lnt_http_prepared *
keep_answer(struct lnt_static_worker *w, const struct lnt_static_site *site,
            const char *type, const struct file *f)
{
    char text[LNT_STATIC_CACHED_MAX];
    size_t size = (size_t)f->st.st_size;
    if (pread(f->fd, text, size, 0) != (ssize_t)size)
        return NULL;
    struct lnt_http_prepared *answer =
        lnt_http_prepare(200, type, w->headers.p, lnt_str(text, size));
    lnt_static_cache_add(w->cache, site->root, w->path.p, f->packed, &f->st,
                         f->etag, answer);
    return answer;
}

static lnt_verdict
serve_whole(struct lnt_static_worker *w, const struct lnt_static_site *site,
            struct lnt_http_request *r, const char *type, const struct file *f)
{
    uint64_t size = (uint64_t)f->st.st_size;
    struct lnt_http_prepared *answer = NULL;
    if (size <= LNT_STATIC_CACHED_MAX && r->method == LNT_HTTP_GET)
        answer = keep_answer(w, site, type, f);
    if (!answer)
        return lnt_http_respond_file(r, 200, type, w->headers.p, f->fd, 0,
                                     size);
    lnt_file_close(f->fd);
    return lnt_http_respond_prepared(r, answer);
}

/* The type is that of the name without .gz.  The file is used up. */
static lnt_verdict
serve(struct lnt_static_worker *w, const struct lnt_static_site *site,
      struct lnt_http_request *r, const char *type, struct file *f)
{
    struct lnt_static_version v = {.etag = lnt_str_c(f->etag),
                                   .modified = f->st.st_mtime};
    int status = lnt_static_precondition(r, &v);
    if (status == 0 && f->cached)
        return lnt_http_respond_prepared(r, f->cached->answer);
    add_headers(&w->headers, site, f);
    if (status != 0) {
        lnt_file_close(f->fd);
        if (status == 304)
            return lnt_http_respond(r, 304, NULL, w->headers.p, lnt_str("", 0));
        return lnt_http_error(r, status, NULL, "it has changed");
    }
    add_content_headers(&w->headers, f);
    uint64_t offset, n;
    switch (f->packed ? LNT_STATIC_WHOLE
                      : lnt_static_range(r, &v, (uint64_t)f->st.st_size,
                                         &offset, &n)) {
    case LNT_STATIC_PART:
        return serve_range(w, r, type, f, offset, n);
    case LNT_STATIC_OUT_OF_RANGE:
        return serve_no_range(w, r, f);
    case LNT_STATIC_WHOLE:
        break;
    }
    return serve_whole(w, site, r, type, f);
}

/* The path below the root, with the index where a folder is meant; false when
   nothing of that name can be there. */
static bool
set_path(struct lnt_static_worker *w, const struct lnt_static_site *site,
         const struct lnt_http_request *r)
{
    struct lnt_strbuf *b = &w->path;
    lnt_strbuf_clear(b);
    lnt_strbuf_add_str(b, r->rest);
    if (b->n == 0 || b->p[b->n - 1] == '/')
        lnt_strbuf_adds(b, site->route->index);
    return !is_hidden(b->p);
}

lnt_verdict
lnt_static_serve_file(struct lnt_static_worker *w, struct lnt_static_site *site,
                      struct lnt_http_request *r)
{
    struct file f;
    bool ranged = lnt_http_header_get(r, "range").p != NULL;
    if (r->rest.n == 0 && r->path.p[r->path.n - 1] != '/')
        return lnt_static_redirect(r, &w->headers);
    if (!set_path(w, site, r))
        return refuse(w, site, r, ENOENT);
    if (!open_root(w, site, lnt_session_now(r->session)))
        return refuse(w, site, r, errno);
    if (!find_file(w, site, false, !ranged, &f))
        return refuse(w, site, r, errno);
    if (S_ISDIR(f.st.st_mode) && r->path.p[r->path.n - 1] != '/') {
        lnt_file_close(f.fd);
        return lnt_static_redirect(r, &w->headers);
    }
    if (!S_ISREG(f.st.st_mode)) {
        lnt_file_close(f.fd);
        return refuse(w, site, r, ENOENT);
    }
    const char *type = lnt_static_mime(w->path.p);
    if (site->route->gzip && !ranged && lnt_static_mime_is_text(type) &&
        lnt_http_takes_gzip(r))
        find_packed(w, site, &f);
    return serve(w, site, r, type, &f);
}
