/*
 * What static files hang on: conditions, ranges, types, and that a path never
 * leads out of the folder.
 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "modules/http/http.h"
#include "modules/static/beneath.h"
#include "modules/static/mime.h"
#include "modules/static/precondition.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

#define OLD "Sun, 06 Nov 1994 08:49:36 GMT"
#define NOW "Sun, 06 Nov 1994 08:49:37 GMT"
#define NEW "Sun, 06 Nov 1994 08:49:38 GMT"

static struct lnt_http_request r;
static const struct lnt_static_version version = {{"\"abc\"", 5}, 784111777};
static const struct lnt_static_version undated = {{"\"abc\"", 5}, -1};

static void
headers(const char *const *h)
{
    r.nheaders = 0;
    for (; *h; h += 2, r.nheaders++) {
        r.headers[r.nheaders].name = lnt_str_c(h[0]);
        r.headers[r.nheaders].value = lnt_str_c(h[1]);
    }
}
#define HEADERS(...) headers((const char *const[]){__VA_ARGS__, NULL})

static int
condition(const char *name, const char *value)
{
    HEADERS(name, value);
    return lnt_static_precondition(&r, &version);
}

static void
test_conditions(void)
{
    is_int(condition("X", "y"), 0, "none");
    is_int(condition("If-None-Match", "\"abc\""), 304, "the same tag");
    is_int(condition("if-none-match", "W/\"abc\""), 304, "a weak one");
    is_int(condition("If-None-Match", "\"x\", \"abc\""), 304, "in a list");
    is_int(condition("If-None-Match", "\"x\",W/\"y\" ,\"abc\""), 304,
           "in a list with blanks");
    is_int(condition("If-None-Match", "*"), 304, "any");
    is_int(condition("If-None-Match", "\"ab\""), 0, "another");
    is_int(condition("If-None-Match", "\"a,\\\"abc\""), 0, "a comma inside");
    is_int(condition("If-None-Match", "abc"), 0, "no tag at all");
    is_int(condition("If-None-Match", "\"abc"), 0, "half a tag");
    is_int(condition("If-None-Match", ""), 0, "nothing");
    is_int(condition("If-Match", "\"abc\""), 0, "If-Match: the same");
    is_int(condition("If-Match", "*"), 0, "If-Match: any");
    is_int(condition("If-Match", "W/\"abc\""), 412, "If-Match: weak");
    is_int(condition("If-Match", "\"x\""), 412, "If-Match: another");
    is_int(condition("If-Modified-Since", NOW), 304, "not modified since");
    is_int(condition("If-Modified-Since", NEW), 304, "nor since later");
    is_int(condition("If-Modified-Since", OLD), 0, "modified since");
    is_int(condition("If-Modified-Since", "yesterday"), 0, "no date");
    is_int(condition("If-Unmodified-Since", NOW), 0, "unmodified since");
    is_int(condition("If-Unmodified-Since", OLD), 412, "not unmodified");
    HEADERS("If-None-Match", "\"x\"", "If-Modified-Since", NEW);
    is_int(lnt_static_precondition(&r, &version), 0, "tags count before dates");
    HEADERS("If-Match", "\"abc\"", "If-Unmodified-Since", OLD);
    is_int(lnt_static_precondition(&r, &version), 0, "there, too");
    HEADERS("If-None-Match", "\"x\"", "If-None-Match", "\"abc\"");
    is_int(lnt_static_precondition(&r, &version), 304, "in two headers");
    HEADERS("If-Modified-Since", NOW);
    is_int(lnt_static_precondition(&r, &undated), 0, "nothing without a date");
}

/* "offset+n", "whole" or "none". */
static const char *
range(const char *value, uint64_t size)
{
    static char out[64];
    uint64_t offset = 0, n = 0;
    HEADERS("Range", value);
    switch (lnt_static_range(&r, &version, size, &offset, &n)) {
    case LNT_STATIC_PART:
        snprintf(out, sizeof(out), "%llu+%llu", (unsigned long long)offset,
                 (unsigned long long)n);
        return out;
    case LNT_STATIC_OUT_OF_RANGE:
        return "none";
    case LNT_STATIC_WHOLE:
        break;
    }
    return "whole";
}

static void
test_ranges(void)
{
    static const struct {
        const char *value, *wanted;
        uint64_t size;
    } cases[] = {
        {"bytes=0-0", "0+1", 10},
        {"bytes=0-9", "0+10", 10},
        {"bytes=0-", "0+10", 10},
        {"bytes=9-", "9+1", 10},
        {"bytes=3-5", "3+3", 10},
        {"bytes=3-99", "3+7", 10},
        {"Bytes=3-5", "3+3", 10},
        {"bytes= 3-5 ", "3+3", 10},
        {"bytes=-1", "9+1", 10},
        {"bytes=-10", "0+10", 10},
        {"bytes=-99", "0+10", 10},
        {"bytes=10-", "none", 10},
        {"bytes=10-11", "none", 10},
        {"bytes=-0", "none", 10},
        {"bytes=0-", "none", 0},
        {"bytes=-1", "none", 0},
        {"bytes=5-3", "whole", 10},
        {"bytes=", "whole", 10},
        {"bytes=-", "whole", 10},
        {"bytes=a-b", "whole", 10},
        {"bytes=1", "whole", 10},
        {"bytes=1-2,4-5", "whole", 10},
        {"bytes=1-2x", "whole", 10},
        {"bytes=--1", "whole", 10},
        {"bytes=99999999999999999999-", "whole", 10},
        {"bytes=0-99999999999999999999", "whole", 10},
        {"bytes=0-999999999999999999", "0+10", 10},
        {"chars=0-1", "whole", 10},
        {"", "whole", 10},
    };
    r.method = LNT_HTTP_GET;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        is_str(range(cases[i].value, cases[i].size), cases[i].wanted,
               "\"%s\" of %llu", cases[i].value,
               (unsigned long long)cases[i].size);
    static const struct {
        const char *value;
        enum lnt_static_range wanted;
    } ifs[] = {
        {"\"abc\"", LNT_STATIC_PART},    {"\"x\"", LNT_STATIC_WHOLE},
        {"W/\"abc\"", LNT_STATIC_WHOLE}, {NOW, LNT_STATIC_PART},
        {NEW, LNT_STATIC_WHOLE},         {OLD, LNT_STATIC_WHOLE},
        {"x", LNT_STATIC_WHOLE},
    };
    for (size_t i = 0; i < sizeof(ifs) / sizeof(ifs[0]); i++) {
        uint64_t offset, n;
        HEADERS("Range", "bytes=0-1", "If-Range", ifs[i].value);
        is_int(lnt_static_range(&r, &version, 10, &offset, &n), ifs[i].wanted,
               "If-Range: %s", ifs[i].value);
    }
    r.method = LNT_HTTP_HEAD;
    is_str(range("bytes=0-1", 10), "whole", "not for HEAD");
}

static void
test_types(void)
{
    is_str(lnt_static_mime("a.html"), "text/html; charset=utf-8", "a.html");
    is_str(lnt_static_mime("x/a.JS"), "text/javascript; charset=utf-8",
           "x/a.JS");
    is_str(lnt_static_mime("a.tar.gz"), "application/gzip", "a.tar.gz");
    is_str(lnt_static_mime("a"), "application/octet-stream", "a");
    is_str(lnt_static_mime("a.b/c"), "application/octet-stream", "a.b/c");
    is_str(lnt_static_mime("a."), "application/octet-stream", "a.");
    ok(lnt_static_mime_is_text("image/svg+xml") &&
           !lnt_static_mime_is_text("image/png"),
       "what is worth compressing");
}

static int (*open_beneath)(int root, const char *path) = lnt_static_open;

static const char *
opens(int root, const char *path)
{
    static char text[16];
    int fd = open_beneath(root, path);
    if (fd < 0)
        return strerror(errno);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static void
test_beneath(void)
{
    tmp_write("outside", "out", 3);
    mkdir(tmp_path("root"), 0755);
    mkdir(tmp_path("root/sub"), 0755);
    mkdir(tmp_path("elsewhere"), 0755);
    tmp_write("root/file", "in", 2);
    tmp_write("root/sub/file", "sub", 3);
    tmp_write("elsewhere/file", "else", 4);
    ok(symlink("file", tmp_path("root/inner")) == 0 &&
           symlink("../file", tmp_path("root/sub/up")) == 0 &&
           symlink("../outside", tmp_path("root/leak")) == 0 &&
           symlink(tmp_path("outside"), tmp_path("root/absolute")) == 0 &&
           symlink("../elsewhere", tmp_path("root/folder")) == 0 &&
           symlink("loop", tmp_path("root/loop")) == 0 &&
           mkfifo(tmp_path("root/fifo"), 0644) == 0,
       "a folder with links that lead everywhere");
    int root = lnt_static_open_root(tmp_path("root"));
    is_str(opens(root, "file"), "in", "a file");
    is_str(opens(root, "sub/file"), "sub", "below");
    is_str(opens(root, "inner"), "in", "a link that stays inside");
    is_str(opens(root, "sub/up"), "in", "upwards, but inside");
    is_str(opens(root, "leak"), strerror(EXDEV), "a link that leads out");
    is_str(opens(root, "absolute"), strerror(EXDEV), "an absolute one");
    is_str(opens(root, "folder/file"), strerror(EXDEV), "a folder's");
    is_str(opens(root, "../outside"), strerror(EXDEV), "..");
    is_str(opens(root, "sub/../../outside"), strerror(EXDEV), ".. behind");
    is_str(opens(root, tmp_path("outside")), strerror(EXDEV),
           "an absolute path");
    is_str(opens(root, "loop"), strerror(ELOOP), "a loop");
    is_str(opens(root, "none"), strerror(ENOENT), "nothing");
    is_str(opens(root, "file/x"), strerror(ENOTDIR), "below a file");
    is_str(opens(root, "file/"), strerror(ENOTDIR), "a file with a slash");
    is_str(opens(root, "fifo"), "", "a fifo does not block");
    open_beneath = lnt_static_open_walking;
    is_str(opens(root, "file"), "in", "walking: a file");
    is_str(opens(root, "sub/file"), "sub", "below");
    is_str(opens(root, "inner"), strerror(ELOOP), "no link");
    is_str(opens(root, "folder/file"), strerror(ENOTDIR), "no linked folder");
    is_str(opens(root, "../outside"), strerror(EXDEV), "..");
    is_str(opens(root, "sub/.."), strerror(EXDEV), ".. behind");
    is_str(opens(root, tmp_path("outside")), strerror(ENOENT),
           "an absolute path");
    is_str(opens(root, "none/x"), strerror(ENOENT), "nothing");
    is_str(opens(root, "file/x"), strerror(ENOTDIR), "below a file");
    is_str(opens(root, "file/"), strerror(ENOTDIR), "a file with a slash");
    close(root);
    is_int(lnt_static_open_root(tmp_path("outside")), -1, "a file is no root");
}

int
main(void)
{
    test_conditions();
    test_ranges();
    test_types();
    test_beneath();
    return done_testing();
}
