#include "core/ini.h"

#include <sys/stat.h>

#include "core/arena.h"
#include "core/strbuf.h"
#include "t/unit/tap.h"
#include "t/unit/tmp.h"

static struct lnt_arena *arena;
static struct lnt_report report;

/* Paths without our folder in front, so that they can be compared. */
static void
add_short(struct lnt_strbuf *b, const char *text)
{
    size_t n = strlen(tmp_dir());
    const char *at;

    while ((at = strstr(text, tmp_dir()))) {
        lnt_strbuf_add(b, text, (size_t)(at - text));
        text = at + n + (at[n] == '/');
    }
    lnt_strbuf_adds(b, text);
}

/* What was read, as one text: [kind name]line{key=value@file:line,...} and the
   errors, each behind "!". */
static char *
dump(const struct lnt_ini_section *s)
{
    struct lnt_strbuf b = LNT_STRBUF_INIT;

    for (; s; s = s->next) {
        lnt_strbuf_addf(&b, "[%s%s%s]%u{", s->kind, *s->name ? " " : "",
                        s->name, s->line);
        for (const struct lnt_ini_entry *e = s->entries; e; e = e->next) {
            lnt_strbuf_addf(&b, "%s=%s@", e->key, e->value ? e->value : "?");
            add_short(&b, e->file);
            lnt_strbuf_addf(&b, ":%u%s", e->line, e->next ? "," : "");
        }
        lnt_strbuf_addc(&b, '}');
    }
    for (const struct lnt_report_line *l = report.first; l; l = l->next) {
        lnt_strbuf_addc(&b, '!');
        add_short(&b, l->text);
    }
    return lnt_strbuf_detach(&b);
}

static char *
load_with(const char *path, const char *const *overrides, size_t n)
{
    lnt_arena_free(arena);
    arena = lnt_arena_new();
    lnt_report_init(&report, arena);
    return dump(lnt_ini_load(arena, path, overrides, n, &report));
}

static char *
load_text(const char *text, size_t n)
{
    return load_with(tmp_write("a.ini", text, n), NULL, 0);
}

static void
expect(const char *name, const char *text, const char *wanted)
{
    char *got = load_text(text, strlen(text));

    is_str(got, wanted, "%s", name);
    free(got);
}

static void
syntax(void)
{
    expect("nothing", "", "");
    expect("an empty section", "[a]", "[a]1{}");
    expect("entries", "[a]\nx = 1\n\ny=2\n", "[a]1{x=1@a.ini:2,y=2@a.ini:4}");
    expect("no line break at the end", "[a]\nx = 1", "[a]1{x=1@a.ini:2}");
    expect("sections with names", "[a b]\nx=1\n[a c]\n[d]\ny=2\n",
           "[a b]1{x=1@a.ini:2}[a c]3{}[d]4{y=2@a.ini:5}");
    expect("blanks everywhere", "  [ a \t b ] \n \t x \t = \t 1 2 \t \n",
           "[a b]1{x=1 2@a.ini:2}");
    expect("indented lines are lines", "[a]\nx = 1\n  y = 2\n\tz = 3\n",
           "[a]1{x=1@a.ini:2,y=2@a.ini:3,z=3@a.ini:4}");
    expect("comments",
           "; c\n# c\n[a] ; c\n;x = 0\n  # y\nx = 1 ; c\ny=2;3\n"
           "z = a#b # c\n",
           "[a]3{x=1@a.ini:6,y=2;3@a.ini:7,z=a#b # c@a.ini:8}");
    expect("comments that look like sections", "[a]\n;[b]\nx=1\n# [c] ;\n",
           "[a]1{x=1@a.ini:3}");
    expect("an empty value", "[a]\nx =\ny= ; c\nz = ;c\n",
           "[a]1{x=@a.ini:2,y=@a.ini:3,z=@a.ini:4}");
    expect("= and : in values", "[a]\nx = a=b:c=d\ny==\n",
           "[a]1{x=a=b:c=d@a.ini:2,y==@a.ini:3}");
    expect("repeated keys", "[a]\nx=1\nx=2\n", "[a]1{x=1@a.ini:2,x=2@a.ini:3}");
    expect("CRLF", "[a]\r\nx = 1\r\n\r\ny = 2\r\n",
           "[a]1{x=1@a.ini:2,y=2@a.ini:4}");
    expect("a byte order mark", "\xef\xbb\xbf[a]\nx = \xc3\xa4\n",
           "[a]1{x=\xc3\xa4@a.ini:2}");
    expect("a mark and an entry at once", "\xef\xbb\xbfx = 1",
           "!a.ini:1: an entry before the first section; begin with [server] "
           "or another one");
    expect("quotes are nothing special", "[a]\nx = \"b ;c\"\n",
           "[a]1{x=\"b@a.ini:2}");
    expect("a name with signs", "[a b-c_d.e/f:g]\n", "[a b-c_d.e/f:g]1{}");
    expect("a name in UTF-8", "[a \xc3\xa4]\n", "[a \xc3\xa4]1{}");
    expect("a tab in a value", "[a]\nx = 1\t2\n", "[a]1{x=1\t2@a.ini:2}");
}

static void
syntax_errors(void)
{
    expect("no =", "[a]\nhello\nx = 1\n",
           "[a]1{x=1@a.ini:3}!a.ini:2: expected name = value");
    expect(": is not =", "[a]\nx: 1\nx:y = 2\n",
           "[a]1{}!a.ini:2: expected name = value!a.ini:3: expected name = "
           "value");
    expect("= in a comment only", "[a]\nx ; = 1\n",
           "[a]1{}!a.ini:2: expected name = value");
    const char *name_error =
        "expected name = value, where a name has letters, digits, \"_\", "
        "\"-\" and \".\" only";
    char wanted[512];
    snprintf(wanted, sizeof(wanted),
             "[a]1{z=3@a.ini:5}!a.ini:2: %s!a.ini:3: %s!a.ini:4: %s",
             name_error, name_error, name_error);
    expect("bad names", "[a]\n= 1\nx y = 2\nx\xc3\xa4 = 1\nz=3\n", wanted);
    expect("before a section", "x = 1\n\n[a]\n",
           "[a]3{}!a.ini:1: an entry before the first section; begin with "
           "[server] or another one");
    expect("all errors, not the first", "[a\nx\n[b]\ny\n[c] z\nw=1\n",
           "[b]3{}!a.ini:1: \"[\" without \"]\"; expected [kind] or [kind "
           "name]!a.ini:2: expected name = value!a.ini:4: expected name = "
           "value!a.ini:5: expected nothing behind [c] on its line");
    const char *header_error =
        "expected [kind] or [kind name], where a kind has letters, digits, "
        "\"_\" and \"-\", and a name no blanks";
    snprintf(wanted, sizeof(wanted),
             "!a.ini:1: []: %s!a.ini:2: [a b c]: %s!a.ini:3: [a.b]: %s"
             "!a.ini:4: [a b[]: %s",
             header_error, header_error, header_error, header_error);
    expect("bad headers", "[]\n[a b c]\n[a.b]\n[a b[]\n", wanted);
    expect("a section twice", "[a b]\nx=1\n[a]\n[a b]\nx=2\n[a]\n[c]\ny=1\n",
           "[a b]1{x=1@a.ini:2}[a]3{}[c]7{y=1@a.ini:8}"
           "!a.ini:4: [a b] stands here again; the first one is at a.ini:1"
           "!a.ini:6: [a] stands here again; the first one is at a.ini:3");
    expect("a bad section hides what is in it", "[a\nx = ${NOPE}\n[b]\n",
           "[b]3{}!a.ini:1: \"[\" without \"]\"; expected [kind] or [kind "
           "name]");
    expect("a control character", "[a]\nx = a\x01z\n",
           "[a]1{x=?@a.ini:2}!a.ini:2: \"x\": the value has a control "
           "character (0x01); it must be one line of text");
    expect("a lone CR", "[a]\nx = a\rb\n",
           "[a]1{x=?@a.ini:2}!a.ini:2: \"x\": the value has a control "
           "character (0x0d); it must be one line of text");
    expect("not UTF-8", "[a]\nx = \xe4\n; \xe4 in a comment is fine\n",
           "[a]1{x=?@a.ini:2}!a.ini:2: \"x\": the value is not UTF-8");
    expect("errors quote no control characters", "[\x1b[31m]\n",
           "!a.ini:1: [?[31m]: expected [kind] or [kind name], where a kind "
           "has letters, digits, \"_\" and \"-\", and a name no blanks");

    expect("nor what is no UTF-8", "[\xe4/]\n",
           "!a.ini:1: [?/]: expected [kind] or [kind name], where a kind "
           "has letters, digits, \"_\" and \"-\", and a name no blanks");

    char *got = load_text("[a]\nx=\0001\ny=1\n", 13);
    is_str(got,
           "[a]1{}!a.ini:2: a NUL byte: this is not a text file in UTF-8; "
           "the rest of it is not read",
           "a NUL byte");
    free(got);
    got = load_text("\xff\xfe[\0a\0]\0", 8);
    ok(strstr(got, "!a.ini:1: a NUL byte"), "UTF-16");
    free(got);
    is_int(report.errors, 1, "said once");
}

/* Lines of every length around what inih takes. */
static void
long_lines(void)
{
    char text[1200], *got;
    size_t longest = 0;
    bool whole = true, told = true, counted = true;

    for (size_t n = 10; n < 1000; n++) {
        char value[1100], message[64];

        memset(value, 'v', n);
        value[n] = '\0';
        int total =
            snprintf(text, sizeof(text), "[a]\nkey = %s\nlast = 1\n", value);
        got = load_text(text, (size_t)total);
        snprintf(message, sizeof(message), "!a.ini:2: the line has %zu bytes",
                 n + 6);
        bool taken = strstr(got, value) != NULL;
        if (taken)
            longest = n + 6;
        whole = whole && (taken || strstr(got, "key=?@a.ini:2"));
        told = told && (taken ? !report.errors : strstr(got, message) != NULL);
        counted = counted && strstr(got, "last=1@a.ini:3");
        free(got);
    }
    ok(whole, "a line is taken whole or not at all");
    ok(told, "and its bytes are told");
    ok(counted, "the line behind it has its number");
    ok(longest >= 190, "up to %zu bytes", longest);

    struct lnt_strbuf b = LNT_STRBUF_INIT;
    lnt_strbuf_adds(&b, ";");
    for (int i = 0; i < 100; i++)
        lnt_strbuf_adds(&b, " long = 12345");
    lnt_strbuf_adds(&b, "\n[a]");
    for (int i = 0; i < 300; i++)
        lnt_strbuf_adds(&b, " ");
    lnt_strbuf_adds(&b, "\n");
    for (int i = 0; i < 300; i++)
        lnt_strbuf_adds(&b, " ");
    lnt_strbuf_adds(&b, "x = 1 ;");
    for (int i = 0; i < 300; i++)
        lnt_strbuf_adds(&b, " y = 2");
    expect("comments and blanks may be as long as they like", b.p,
           "[a]2{x=1@a.ini:3}");
    lnt_strbuf_release(&b);

    memset(text, 'n', sizeof(text));
    memcpy(text, "[a ", 3);
    strcpy(text + 3 + 46, "]\nx=1\n");
    got = load_text(text, strlen(text));
    ok(strstr(got, "{x=1@a.ini:2}") && !report.errors, "a header of 48 bytes");
    free(got);
    strcpy(text + 3 + 46, "n]\nx=1\n");
    got = load_text(text, strlen(text));
    is_str(got, "!a.ini:1: the section's name has 49 bytes, at most 48 fit",
           "one of 49");
    free(got);
}

static void
variables(void)
{
    char value[300];

    setenv("LNT_T", "val", 1);
    setenv("LNT_EMPTY", "", 1);
    unsetenv("LNT_NONE");
    tmp_write("secret", "s3cret\n", 7);
    tmp_write("two", "a\nb\n", 4);
    expect("from the environment",
           "[a]\nx = ${LNT_T}\ny = <${LNT_T}-${LNT_T}>\nz = ${LNT_EMPTY}\n",
           "[a]1{x=val@a.ini:2,y=<val-val>@a.ini:3,z=@a.ini:4}");
    expect("defaults",
           "[a]\nx = ${LNT_T:-d}\ny = ${LNT_NONE:-d e}\nz = ${LNT_EMPTY:-d}\n"
           "w = ${LNT_NONE:-}\n",
           "[a]1{x=val@a.ini:2,y=d e@a.ini:3,z=d@a.ini:4,w=@a.ini:5}");
    expect("a file", "[a]\nx = <${file:secret}>\n", "[a]1{x=<s3cret>@a.ini:2}");
    snprintf(value, sizeof(value), "[a]\nx = ${file:%s}\n", tmp_path("secret"));
    expect("by its whole path", value, "[a]1{x=s3cret@a.ini:2}");
    expect("what is meant as it stands",
           "[a]\nx = $${LNT_T}\ny = ^a$\nz = $1 $ $$ $$$${b}\nv = $$${c}\n",
           "[a]1{x=${LNT_T}@a.ini:2,y=^a$@a.ini:3,z=$1 $ $$ $$${b}@a.ini:4,"
           "v=$${c}@a.ini:5}");
    expect("text that would be cut", "[a]\nx = a ${:-;}b\ny = ${:- }a${:- }\n",
           "[a]1{x=a ;b@a.ini:2,y= a @a.ini:3}");
    setenv("LNT_T", "a ;b", 1);
    expect("values are not read again", "[a]\nx = ${LNT_T}\n",
           "[a]1{x=a ;b@a.ini:2}");
    setenv("LNT_T", "a\nb", 1);
    expect("errors",
           "[a]\nx = ${LNT_NONE}\ny = ${LNT_T}\nz = ${file:two}\n"
           "w = ${file:none}\nv = ${\nu = ${1x}\nt = ${}\ns = ${file:}\n",
           "[a]1{x=?@a.ini:2,y=?@a.ini:3,z=?@a.ini:4,w=?@a.ini:5,v=?@a.ini:6,"
           "u=?@a.ini:7,t=?@a.ini:8,s=?@a.ini:9}"
           "!a.ini:2: \"x\": the environment has no LNT_NONE; set it, or "
           "write ${LNT_NONE:-default}"
           "!a.ini:3: \"y\": the value has a control character (0x0a); it "
           "must be one line of text"
           "!a.ini:4: \"z\": the value has a control character (0x0a); it "
           "must be one line of text"
           "!a.ini:5: \"w\": cannot read none: No such file or directory"
           "!a.ini:6: \"v\": \"${\" without \"}\"; write \"$${\" for a "
           "\"${\" that is meant as it stands"
           "!a.ini:7: \"u\": ${1x}: expected ${NAME}, ${NAME:-default} or "
           "${file:/path}; write \"$${\" for a \"${\" that is meant as it "
           "stands"
           "!a.ini:8: \"t\": ${}: expected ${NAME}, ${NAME:-default} or "
           "${file:/path}; write \"$${\" for a \"${\" that is meant as it "
           "stands"
           "!a.ini:9: \"s\": ${file:}: expected ${NAME}, ${NAME:-default} or "
           "${file:/path}; write \"$${\" for a \"${\" that is meant as it "
           "stands");
    char *big = calloc(1, 70000);
    memset(big, 'x', 70000);
    tmp_write("big", big, 70000);
    free(big);
    expect("a file too large", "[a]\nx = ${file:big}\n",
           "[a]1{x=?@a.ini:2}!a.ini:2: \"x\": cannot read big: it has more "
           "than 64k");
    tmp_write("nul", "a\0b", 3);
    expect("a file with a NUL", "[a]\nx = ${file:nul}\n",
           "[a]1{x=?@a.ini:2}!a.ini:2: \"x\": the value has a control "
           "character (0x00); it must be one line of text");
}

static void
includes(void)
{
    mkdir(tmp_path("conf.d"), 0755);
    mkdir(tmp_path("conf.d/[x]"), 0755);
    tmp_write("conf.d/1.ini", "[one]\na = 1\n", 12);
    tmp_write("conf.d/2.ini", "[two]\nb = 2\n", 12);
    tmp_write("conf.d/[x]/3.ini", "[server]\ninclude = *4.ini\n", 26);
    tmp_write("conf.d/[x]/4.ini", "[four]\n", 7);
    expect("a file", "[server]\ninclude = conf.d/2.ini\nw = 1\n[b]\nx = 1\n",
           "[server]1{w=1@a.ini:3}[two]1{b=2@conf.d/2.ini:2}"
           "[b]4{x=1@a.ini:5}");
    expect("a pattern", "[server]\ninclude = conf.d/*.ini\n",
           "[server]1{}[one]1{a=1@conf.d/1.ini:2}[two]1{b=2@conf.d/2.ini:2}");
    expect("a pattern without a match, nothing",
           "[server]\ninclude = none/*.ini\ninclude =\n", "[server]1{}");
    expect("in a folder whose name looks like a pattern",
           "[server]\ninclude = conf.d/\\[x\\]/3.ini\n",
           "[server]1{}[four]1{}");
    expect("include elsewhere is a key like any other",
           "[a]\ninclude = conf.d/1.ini\n",
           "[a]1{include=conf.d/1.ini@a.ini:2}");
    expect("errors",
           "[server]\ninclude = none.ini\ninclude = conf.d\n"
           "include = a.ini\ninclude = ${LNT_NONE}\n",
           "[server]1{}!a.ini:2: cannot include none.ini: No such file or "
           "directory!a.ini:3: cannot include conf.d: Is a directory"
           "!a.ini:4: a.ini would include itself; remove one of the includes"
           "!a.ini:5: \"include\": the environment has no LNT_NONE; set it, "
           "or write ${LNT_NONE:-default}");
    tmp_write("b.ini", "[server]\ninclude = a.ini\n", 25);
    expect("in a circle", "[server]\ninclude = b.ini\n",
           "[server]1{}!b.ini:2: a.ini would include itself; remove one of "
           "the includes");
    tmp_write("b.ini", "[server]\nx = 2\n", 15);
    expect("[server] in an included file", "[server]\nx = 1\ninclude = b.ini\n",
           "[server]1{x=1@a.ini:2}!b.ini:1: [server] stands here again; the "
           "first one is at a.ini:1");
    tmp_write("b.ini", "[server]\n", 9);
    expect("an empty one", "[server]\ninclude = b.ini\n",
           "[server]1{}!b.ini:1: [server] stands here again; the first one "
           "is at a.ini:1");
    tmp_write("b.ini", "[x]\nbad\n", 8);
    expect("errors in an included file", "[server]\ninclude = b.ini\nalso\n",
           "[server]1{}[x]1{}!b.ini:2: expected name = value!a.ini:3: "
           "expected name = value");
    for (int i = 0; i < 20; i++) {
        char name[32], text[64];

        snprintf(name, sizeof(name), "d%d.ini", i);
        int n = snprintf(text, sizeof(text), "[server]\ninclude = d%d.ini\n",
                         i + 1);
        tmp_write(name, text, (size_t)n);
    }
    tmp_write("d16.ini", "[deep]\n", 7);
    expect("16 deep", "[server]\ninclude = d1.ini\n", "[server]1{}[deep]1{}");
    tmp_write("d16.ini", "[server]\ninclude = d17.ini\n", 27);
    expect("deeper", "[server]\ninclude = d1.ini\n",
           "[server]1{}!d16.ini:2: cannot include d17.ini: files include "
           "each other more than 16 deep");
}

static void
unreadable(void)
{
    char *got = load_with(tmp_path("none.ini"), NULL, 0);

    is_str(got, "!none.ini: cannot read it: No such file or directory",
           "no file");
    free(got);
    got = load_with(tmp_path("conf.d"), NULL, 0);
    is_str(got, "!conf.d: cannot read it: Is a directory", "a folder");
    free(got);
    got = load_with("/dev/null", NULL, 0);
    is_str(got, "!/dev/null: cannot read it: it is not a regular file",
           "a device");
    free(got);
    FILE *f = fopen(tmp_path("huge.ini"), "w");
    fseek(f, 5 << 20, SEEK_SET);
    fputc('x', f);
    fclose(f);
    got = load_with(tmp_path("huge.ini"), NULL, 0);
    is_str(got, "!huge.ini: cannot read it: it has more than 4m", "huge");
    free(got);
}

static void
overrides(void)
{
    const char *path =
        tmp_write("a.ini", "[a]\nx = 1\nx = 2\ny = 3\n[b n.m]\nz = 4\n", 36);
    static const char *const good[] = {
        "a.x=new", "b n.m.z= ${:-}5 ;6 ", "c.w=1", "d q.w=", "a.y=7", "a.y=8",
    };
    char *got = load_with(path, good, 6);

    is_str(got,
           "[a]1{x=new@command line:0,y=7@command line:0,y=8@command line:0}"
           "[b n.m]5{z=5 ;6@command line:0}[c]0{w=1@command line:0}"
           "[d q]0{w=@command line:0}",
           "replaced and added");
    free(got);
    static const char *const bad[] = {
        "nonsense",        "a=1", ".x y=1", "a.=1",
        "a b c.x=1",       "=",   "",       "server.include=x",
        "a.x=${LNT_NONE}",
    };
    got = load_with(path, bad, 9);
#define EXPECTED ": expected section.key=value or \"section name.key=value\""
    is_str(got,
           "[a]1{y=3@a.ini:4,x=?@command line:0}[b n.m]5{z=4@a.ini:6}"
           "!command line: -o \"nonsense\"" EXPECTED
           "!command line: -o \"a=1\"" EXPECTED
           "!command line: -o \".x y=1\"" EXPECTED
           "!command line: -o \"a.=1\"" EXPECTED
           "!command line: -o \"a b c.x=1\"" EXPECTED
           "!command line: -o \"=\"" EXPECTED "!command line: -o \"\"" EXPECTED
           "!command line: -o \"server.include=x\": \"include\" works in "
           "files only"
           "!command line: \"x\": the environment has no LNT_NONE; set it, "
           "or write ${LNT_NONE:-default}",
           "refused");
    free(got);
}

/* A whole configuration cut off at every byte: no crash, and never an entry
   that was not there. */
static void
truncated(void)
{
    static const char text[] =
        "\xef\xbb\xbf; head\r\n[server]\r\nworkers = auto ; c\r\n"
        "[listen web]\naddress = 8080\n  x = ${:-a}$${b}\n[route a]\n"
        "match = ^/(?<r>[a-z]+)$\n#\n[";
    bool good = true;

    for (size_t n = 0; n < sizeof(text); n++) {
        char *got = load_text(text, n);

        good = good && strlen(got) < 2000;
        free(got);
    }
    ok(good, "cut off anywhere");
}

int
main(void)
{
    if (chdir(tmp_dir()) < 0)
        return 1;
    syntax();
    syntax_errors();
    long_lines();
    variables();
    includes();
    unreadable();
    overrides();
    truncated();
    lnt_arena_free(arena);
    return done_testing();
}
