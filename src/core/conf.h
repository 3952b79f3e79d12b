/*
 * Typed configuration: directive tables turn ini entries into const structs.
 *
 * A kind of section ([listen], [chat]...) is served by one or more sets; a set
 * is a table of directives over one C struct.  A module may add a set to a
 * kind that another one owns (websocket adds "compression" to [route]).  From
 * the same tables come parsing, -t errors, -T output and the reference manual.
 */
#ifndef LNT_CORE_CONF_H
#define LNT_CORE_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/ini.h"
#include "os/socket.h"

struct lnt_arena;
struct lnt_regex;
struct lnt_strbuf;

enum lnt_type { /* field in the struct:                           */
                LNT_TYPE_FLAG, /* bool                                           */
                LNT_TYPE_INT, /* int64_t                                        */
                LNT_TYPE_SIZE, /* uint64_t, bytes                                */
                LNT_TYPE_DURATION, /* uint64_t, milliseconds                         */
                LNT_TYPE_RATE, /* uint64_t, events a second times 1000           */
                LNT_TYPE_ENUM, /* int64_t, one of values                         */
                LNT_TYPE_STRING, /* const char *, NULL when empty                  */
                LNT_TYPE_PATH, /* the same; relative paths start at the prefix   */
                LNT_TYPE_LIST, /* struct lnt_strings; key may repeat             */
                LNT_TYPE_PATHS, /* the same, paths                                */
                LNT_TYPE_REGEX, /* struct lnt_regex *, NULL when empty            */
                LNT_TYPE_REGEXES, /* struct lnt_regexes; key may repeat             */
                LNT_TYPE_ADDRESS, /* struct lnt_addr; len 0 when empty              */
                LNT_TYPE_ADDRESSES, /* struct lnt_addrs; key may repeat               */
};

struct lnt_strings {
    const char **v;
    size_t n;
};
struct lnt_regexes {
    struct lnt_regex **v;
    size_t n;
};
struct lnt_addrs {
    struct lnt_addr *v;
    size_t n;
};

struct lnt_enum_value {
    const char *name;
    int64_t value;
};

struct lnt_directive {
    const char *name;
    enum lnt_type type;
    size_t offset;    /* offsetof the field */
    const char *def;  /* default as a user would write it; NULL: empty */
    int64_t min, max; /* bounds of numbers; both 0: any not negative */
    const struct lnt_enum_value *values; /* ENUM, and names that SIZE, INT,
                            DURATION or RATE take beside numbers ("auto",
                            "off"), and texts a PATH or PATHS keeps as they
                            are ("stderr"; with ":" at the end all that
                            begin so: "builtin:"); ends with a NULL name */
    bool required;
    bool secret;      /* -T does not show it */
    const char *help; /* one line */
};

/* Ends with a directive whose name is NULL.  At most 64 directives. */
struct lnt_directive_set {
    const char *owner; /* "core" or the module's name; for the reference */
    size_t size;       /* of the struct; allocated zeroed */
    const struct lnt_directive *directives;
};

struct lnt_section_kind {
    const char *kind;
    bool named; /* [kind NAME], any number of times; else once at most */
    const char *help;
    const struct lnt_directive_set *set;
};

/* A set added to somebody's kind. */
struct lnt_section_extension {
    const char *kind;
    const struct lnt_directive_set *set;
};

/* One section as configured, defaults filled in. */
struct lnt_section {
    const struct lnt_section_kind *kind;
    const char *name; /* "" when the kind is not named */
    const char *file; /* NULL when the section was not written */
    unsigned line;
    struct lnt_section *next; /* of any kind, in order of the text */
    struct lnt_block *blocks; /* one a set */
};

struct lnt_block {
    const struct lnt_directive_set *set;
    void *data;     /* the struct */
    uint64_t given; /* bit i: directive i was written */
    const struct lnt_origin {
        const char *file; /* NULL: default */
        unsigned line;
    } * origins; /* one a directive */
    struct lnt_block *next;
    uint64_t varies; /* bit i: directive i was inherited from several blocks */
    bool inherited;
};

/* The tables that are known: filled before lnt_conf_build. */
struct lnt_schema;
struct lnt_schema *lnt_schema_new(struct lnt_arena *a);
void lnt_schema_kind(struct lnt_schema *s, const struct lnt_section_kind *k);
/* May come before its kind.  -1 when a key would exist twice in the kind; the
   message is in *why (arena). */
int lnt_schema_extend(struct lnt_schema *s,
                      const struct lnt_section_extension *e, const char **why);

/*
 * Builds all sections.  Kinds that are not named exist always, with their
 * defaults.  Unknown sections and keys (with the nearest known one), repeated
 * keys that are no lists, values out of type or bounds and missing required
 * keys go to the report, each with its place.  only: build this kind alone
 * and say nothing of others (NULL: all).
 */
struct lnt_section *lnt_conf_build(struct lnt_arena *a,
                                   const struct lnt_schema *s,
                                   const struct lnt_ini_section *ini,
                                   const char *only, const char *prefix,
                                   struct lnt_report *report);

/* First of a kind at or behind s; NULL. */
struct lnt_section *lnt_section_find(struct lnt_section *s, const char *kind);
/* The one with that name; NULL. */
struct lnt_section *lnt_section_named(struct lnt_section *s, const char *kind,
                                      const char *name);
/* The struct of a set in a section; NULL when the set is not part of it. */
void *lnt_section_data(const struct lnt_section *s,
                       const struct lnt_directive_set *set);
const struct lnt_block *lnt_section_block(const struct lnt_section *s,
                                          const struct lnt_directive_set *set);
/* The field of a key of that type, of whatever set has it (*of, may be NULL,
   says which); NULL when none has. */
const void *lnt_section_value(const struct lnt_section *s, const char *key,
                              enum lnt_type type,
                              const struct lnt_directive_set **of);
/* The same for a string: its text; NULL, too, when it is not given. */
const char *lnt_section_text(const struct lnt_section *s, const char *key,
                             const struct lnt_directive_set **of);
/* The place of one directive, for messages; the section's if not given. */
struct lnt_origin lnt_section_origin(const struct lnt_section *s,
                                     const struct lnt_directive_set *set,
                                     const char *key);
/* That of the value with index i of a key that may repeat. */
struct lnt_origin lnt_section_origin_at(const struct lnt_section *s,
                                        const struct lnt_directive_set *set,
                                        const char *key, size_t i);
/*
 * The set's struct with the fields that were given in b and those of the same
 * set's block from for the others (limits of a listener from [limits]).  The
 * first time b itself takes them over; a route on several listeners has one
 * struct for each.
 */
void *lnt_block_inherit(struct lnt_arena *a, struct lnt_block *b,
                        const struct lnt_block *from);

/* -T: every section with effective values and "; file:line" or "; default". */
void lnt_conf_print(const struct lnt_section *s, struct lnt_strbuf *out);
/* The reference manual in Markdown, from the tables. */
void lnt_schema_reference(const struct lnt_schema *s, struct lnt_strbuf *out);

#endif
