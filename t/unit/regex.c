#include "core/regex.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/strbuf.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

static struct lnt_arena *a;

static struct lnt_regex *
re(const char *pattern)
{
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    struct lnt_regex *r = lnt_regex_compile(a, pattern, &why);

    if (!r)
        diag("%s: %s", pattern, why.p);
    lnt_strbuf_release(&why);
    return r;
}

static bool
matches(const char *pattern, struct lnt_str s)
{
    return lnt_regex_match(re(pattern), s, NULL, NULL);
}

static void
matching(void)
{
    const char *local = "^https?://localhost(:\\d+)?$";

    ok(matches(local, LNT_STR("http://localhost:8080")), "an origin");
    ok(matches(local, LNT_STR("https://localhost")), "another");
    ok(!matches(local, LNT_STR("http://localhost.evil.org")), "a look-alike");
    ok(!matches(local, LNT_STR("http://localhost\n")),
       "$ is the very end, not before a line break");
    ok(matches("b", LNT_STR("abc")), "somewhere in the text");
    ok(matches("^$", lnt_str(NULL, 0)), "no text at all");
    ok(!matches("^\\d$", LNT_STR("\xd9\xa3")), "\\d is ASCII");
    ok(matches("^.$", LNT_STR("\xe2\x82\xac")), "a character is one");
    ok(!matches(".", LNT_STR("a\xff")), "what is not UTF-8 does not match");
    ok(matches("^a.b$", LNT_STR("a\0b")), "a NUL in the text");
    is_str(lnt_regex_pattern(re("^x+$")), "^x+$", "the pattern is kept");
}

static void
captures(void)
{
    struct lnt_regex *r = re("^/rooms/(?<room>[a-z]+)(?:/(\\d+))?(x)?");
    struct lnt_str c[LNT_CAPTURES_MAX];
    size_t n = 99;

    ok(lnt_regex_match(r, LNT_STR("/rooms/lobby!"), c, &n), "matches");
    is_int(n, 2, "the whole and one group");
    is_mem(c[0].p, c[0].n, "/rooms/lobby", 12, "the whole");
    is_mem(c[1].p, c[1].n, "lobby", 5, "the room");
    is_int(lnt_regex_group(r, "room"), 1, "by name");
    is_int(lnt_regex_group(r, "none"), -1, "no such name");
    ok(lnt_regex_match(r, LNT_STR("/rooms/bx"), c, &n), "again");
    n = 99;
    ok(!lnt_regex_match(r, LNT_STR("/other"), c, &n), "no match");
    is_int(n, 0, "no captures then");
    r = re("^(a)?(b)?c$");
    ok(lnt_regex_match(r, LNT_STR("bc"), c, &n), "with an unset group");
    ok(n == 3 && !c[1].p && c[2].n == 1, "which has no pointer");

    r = re("^(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)(.)");
    ok(lnt_regex_match(r, LNT_STR("abcdefghijklmnopqrstuvwxyz"), c, &n),
       "more groups than there is room for");
    is_int(n, LNT_CAPTURES_MAX, "as many as fit");
    is_mem(c[15].p, c[15].n, "o", 1, "the last of them");
    ok(lnt_regex_match(re("a\\Kb"), LNT_STR("ab"), c, &n) && c[0].n == 1,
       "a match whose start was moved");
    ok(lnt_regex_match(re("^"), lnt_str(NULL, 0), c, &n) && n == 1 && c[0].p,
       "an empty match has a pointer");
}

static void
errors(void)
{
    static const struct {
        const char *pattern, *wanted;
    } table[] = {
        {"(", "missing closing parenthesis"},
        {"a[", "missing terminating ]"},
        {"*", "quantifier does not follow"},
        {"\xff", "UTF-8"},
        {"\\C", "using \\C is disabled"},
        {"(?=ab\\K)", "\\K is not allowed"},
        {"(?<n>a)(?<n>b)", "two named subpatterns"},
    };

    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct lnt_strbuf why = LNT_STRBUF_INIT;

        ok(!lnt_regex_compile(a, table[i].pattern, &why), "refused %zu", i);
        if (!ok(why.p && strstr(why.p, table[i].wanted) &&
                    strstr(why.p, " at byte "),
                "and told why"))
            diag("%s", why.p);
        lnt_strbuf_release(&why);
    }
}

static double
seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void
limits(void)
{
    const char *log = tmp_path("regex.log");
    struct lnt_regex *r = re("^(a+)+$");
    char hostile[64];
    double start = seconds();

    lnt_log_open(log, false);
    memset(hostile, 'a', sizeof(hostile));
    hostile[sizeof(hostile) - 1] = '!';
    bool any = false;
    for (int i = 0; i < 100; i++)
        any = any ||
              lnt_regex_match(r, lnt_str(hostile, sizeof(hostile)), NULL, NULL);
    ok(!any, "a match that would take for ever is no match");
    ok(seconds() - start < 2, "and soon over: %.3f ms each",
       (seconds() - start) * 10);
    char *text = tmp_read(log);
    char *line = strstr(text, "pattern ^(a+)+$: gave up matching: match "
                              "limit exceeded");
    ok(line != NULL, "told in the log");
    ok(line && !strchr(strchr(line, '\n') + 1, '\n'), "once");
    free(text);
    lnt_log_open("stderr", false);

    /* recursion deeper than the stack of compiled patterns */
    size_t n = 200000;
    char *deep = malloc(2 * n);
    memset(deep, '(', n);
    memset(deep + n, ')', n);
    lnt_regex_match(re("^(\\((?1)*\\))$"), lnt_str(deep, 2 * n), NULL, NULL);
    pass("a deep one does not crash");
    free(deep);
}

/* Where memory cannot be written and executed. */
static int
without_jit_child(void)
{
    enum { SET_MDWE = 65, REFUSE_EXEC_GAIN = 1 }; /* since Linux 6.3 */
    const char *log = tmp_path("nojit.log");

    if (prctl(SET_MDWE, REFUSE_EXEC_GAIN, 0, 0, 0) < 0)
        return 77;
    lnt_log_open(log, false);
    lnt_log_level(LNT_INFO);
    bool yes = matches("^a+$", LNT_STR("aaa"));
    bool no = matches("^a+$", LNT_STR("aab"));
    char *text = tmp_read(log);
    char *line = strstr(text, "patterns are interpreted");
    bool once = line && !strstr(line + 1, "patterns are interpreted");
    free(text);
    return yes && !no ? (once ? 0 : 2) : 1;
}

static void
without_jit(void)
{
    int status;

    fflush(NULL);
    if (fork() == 0)
        _exit(without_jit_child());
    wait(&status);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip(1, "this kernel cannot refuse executable memory");
    else
        is_int(status, 0, "without machine code it matches all the same");
}

int
main(void)
{
    a = lnt_arena_new();
    without_jit(); /* before there is executable memory to be used again */
    matching();
    captures();
    errors();
    limits();
    lnt_arena_free(a);
    return done_testing();
}
