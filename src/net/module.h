/*
 * The module API.  A module is one const descriptor:
 *
 *     const struct lnt_module lnt_module_echo = {
 *         LNT_MODULE_HEAD,
 *         .name = "echo",
 *         .app = &echo_app,
 *     };
 *
 * exported as lnt_module_NAME, with a folder NAME and a file "config" in it
 * for configure.  See docs/modules.md.
 */
#ifndef LNT_NET_MODULE_H
#define LNT_NET_MODULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/conf.h"
#include "core/str.h"
#include "core/strbuf.h"
#include "net/named.h"
#include "net/session.h"

struct lnt_event;
struct lnt_http_handler;
struct lnt_server_info;

enum { LNT_MODULE_ABI = 3 };
#define LNT_MODULE_HEAD                                                        \
    .abi = LNT_MODULE_ABI, .struct_size = sizeof(struct lnt_module)

/* Bytes from the peer.  p[-LNT_INPUT_ROOM] .. p[-1] may be overwritten. */
enum { LNT_INPUT_ROOM = 16 };
struct lnt_input {
    uint8_t *p; /* may be changed in place */
    size_t n;
    size_t used; /* set by data(): what it has consumed */
    bool eof;    /* the peer will send no more */
};

/* Which deadline has passed. */
enum lnt_timeout { LNT_TIMEOUT_HANDSHAKE, LNT_TIMEOUT_IDLE, LNT_TIMEOUT_OWN };

/*
 * A protocol turns bytes into messages and back.  All but data and send may be
 * NULL.
 */
struct lnt_protocol {
    size_t state_size; /* zeroed, one a session */
    bool human;        /* people type and read here */
    bool bare;         /* works without an app (http) */

    lnt_verdict (*open)(struct lnt_session *s);
    /*
     * Handles what it can of in, sets in->used.  What it leaves is kept and
     * comes again with more behind it; at the latest at message_size plus
     * 64 KiB it must have consumed something, else the core closes with 1009.
     * With eof set (n may be 0) it is called a last time.
     */
    lnt_verdict (*data)(struct lnt_session *s, struct lnt_input *in);
    /* Sends one message to this session (lnt_session_write...). */
    void (*send)(struct lnt_session *s, enum lnt_message_type type,
                 const void *p, size_t n);
    /*
     * One message framed for every session of the same variant; a new buffer,
     * or NULL when sessions of this variant must be sent to one by one.
     * messages = 1 is set by the caller.
     */
    struct lnt_buf *(*encode)(struct lnt_module_ctx *m, unsigned variant,
                              enum lnt_message_type type, struct lnt_str data);
    /* Appends to an encoded buffer instead, for runs of messages; returns
       where it is now.  NULL function: runs are queued buffer by buffer. */
    struct lnt_buf *(*append)(struct lnt_module_ctx *m, unsigned variant,
                              struct lnt_buf *b, enum lnt_message_type type,
                              struct lnt_str data);
    /* The output queue went empty in this turn: a body sent in pieces goes on
       here. */
    void (*drained)(struct lnt_session *s);
    /* What encodings this session shares with others (negotiated options). */
    unsigned (*variant)(const struct lnt_session *s);
    /* The peer was silent for ping_interval. */
    void (*ping)(struct lnt_session *s);
    /* A deadline passed; the core closes afterwards (LNT_TIMEOUT_OWN: the
       verdict decides). */
    lnt_verdict (*timeout)(struct lnt_session *s, enum lnt_timeout which);
    /* Says goodbye (a close frame ...).  Returns true when the protocol will
       call lnt_session_finish itself (after the peer's answer); the core
       bounds that by 5 s.  NULL or false: the core finishes. */
    bool (*goodbye)(struct lnt_session *s, int code, const char *reason);
    /* The worker drains: return true when the session can end right now (idle
       keep-alive); otherwise goodbye(1001) follows, whose bound is then the
       worker's own. */
    bool (*drain)(struct lnt_session *s);
    /*
     * A session that moves to another process, perhaps one of another release.
     * freeze appends what it is (core/pack.h has the rules); 0, or -1: not now.
     * thaw is called instead of open, for a session with nothing but that; 0,
     * or -1 with errno: ENOTSUP, it needs a newer reader (as told by
     * lnt_unpack_version); ENOENT, it refers to what is gone; anything else, it
     * cannot be read.
     */
    int (*freeze)(struct lnt_session *s, struct lnt_strbuf *out);
    int (*thaw)(struct lnt_session *s, struct lnt_str state);
    /* The session ends; the last call, exactly one for each open. */
    void (*close)(struct lnt_session *s);

    /*
     * Events with names.  A protocol that has emit has them, and gives its
     * clients' events to lnt_session_call; its encode and append then get
     * messages of type LNT_NAMED, too, whose data is an event as lnt_named_add
     * writes it (it can be read: that was looked at).  Its send and encode for
     * LNT_TEXT make an event "message" of a plain message, whose one argument
     * is a string.
     */
    /* Sends an event; with ask, which is not 0, the client is to answer, which
       the protocol gives to lnt_session_answer with that number. */
    void (*emit)(struct lnt_session *s, const struct lnt_named *e,
                 uint32_t ask);
    /* Sends the answer to the call of that tag. */
    void (*reply)(struct lnt_session *s, uint64_t tag,
                  const struct lnt_named *answer);
    /*
     * The application has decided about an admission that it had put off:
     * lnt_session_ready is next, or to tell the client why not.  NULL: to be
     * used where lnt_session_ready was called right away; the core waits with
     * input and closes with 1008 and why when that is the answer.
     */
    lnt_verdict (*admitted)(struct lnt_session *s, bool yes, const char *why);
    /* Of a session without a connection (net/detached.h): something is queued,
       and there is a transport to take it. */
    void (*queued)(struct lnt_session *s);
    /* It was to be handed over (net/handover.h), and is not: it is still here,
       or here again by thaw.  Its unread input comes to data() next. */
    void (*stays)(struct lnt_session *s, const char *why);
};

/*
 * What a client asks for of whom nothing else will come: its protocol only
 * sends (sse).  The rooms are all different and UTF-8; at least one.
 */
enum { LNT_INTEREST_MAX = 32 };
struct lnt_interest {
    const struct lnt_str *rooms;
    size_t nrooms; /* at most LNT_INTEREST_MAX */
    bool resumes;  /* it was here before, and has everything up to here: */
    uint64_t epoch, seq;
    uint64_t limit; /* how much of the past others get, at most */
    /* To be called around what is told at the beginning, all in one go: before
       it with true, behind it with false. */
    void (*telling)(struct lnt_session *s, bool begins);
};

/* An application turns messages into actions.  Any may be NULL. */
struct lnt_app {
    size_t state_size; /* zeroed, one a session */
    unsigned formats;  /* how many renderings events have; 0 is 1 */
    lnt_verdict (*open)(struct lnt_session *s);
    lnt_verdict (*message)(struct lnt_session *s, const struct lnt_message *m);
    /*
     * Renders an event from the log for subscribers of one format, once for
     * all of them; appends to out.  false: nothing for them.
     */
    bool (*event)(struct lnt_module_ctx *m, const struct lnt_event *e,
                  unsigned format, struct lnt_strbuf *out);
    /* The same for an event meant for one session. */
    bool (*direct)(struct lnt_session *s, const struct lnt_event *e,
                   struct lnt_strbuf *out);
    /* Whether a session may listen to that; false with a text in why.  Without
       the two functions such protocols do not take the application. */
    bool (*may_listen)(struct lnt_module_ctx *m, const struct lnt_interest *l,
                       struct lnt_strbuf *why);
    /* Behind open: subscribes s, and tells it what was said before; now or
       later, as the hub completes it. */
    lnt_verdict (*listen)(struct lnt_session *s, const struct lnt_interest *l);
    /* The log was overwritten before this worker could read it; s has lost
       events of the rooms it is in. */
    void (*gap)(struct lnt_session *s);
    /* Appends what ctl conns shows of the session, as in "ann in lobby". */
    void (*describe)(const struct lnt_session *s, struct lnt_strbuf *out);
    void (*drain)(struct lnt_session *s);
    /* As those of a protocol; a freeze that fails is tried again soon. */
    int (*freeze)(struct lnt_session *s, struct lnt_strbuf *out);
    int (*thaw)(struct lnt_session *s, struct lnt_str state);
    /* The last call; exactly one for each open, and for each admission that
       open did not follow, unless admit itself refused. */
    void (*close)(struct lnt_session *s);

    /*
     * Events with names, over protocols that have them.  An application with
     * call and without message cannot be used over others.  One with message
     * and without call is given the events "message" whose one argument is a
     * string, as LNT_TEXT; it is given no others, and nobody answers them.
     */
    /* An event came; answered now with lnt_session_reply, later if
       lnt_session_reply_later was called, or else not at all. */
    lnt_verdict (*call)(struct lnt_session *s, const struct lnt_call *call);
    /* What lnt_session_ask asked for; answer NULL: none came in time. */
    lnt_verdict (*answer)(struct lnt_session *s, uint32_t number,
                          const struct lnt_named *answer);
    /* Instead of event and direct, for sessions whose protocol has named
       events: appends one with lnt_named_add.  NULL: event and direct count
       there, too. */
    bool (*event_named)(struct lnt_module_ctx *m, const struct lnt_event *e,
                        unsigned format, struct lnt_strbuf *out);
    bool (*direct_named)(struct lnt_session *s, const struct lnt_event *e,
                         struct lnt_strbuf *out);
    /*
     * Whether a client may be here, before open; NULL: everybody may.  It may
     * put plain data into the session's state, where open finds it; nothing can
     * be sent yet.  LNT_ADMIT_LATER: lnt_session_admitted tells, within
     * handshake_timeout.  LNT_REFUSE: why may have a text for the client.
     */
    enum lnt_admit (*admit)(struct lnt_session *s,
                            const struct lnt_credentials *credentials,
                            struct lnt_strbuf *why);
};

/* A file compiled into the binary (config: assets="..."). */
struct lnt_asset {
    const char *path; /* relative, "index.html" */
    const unsigned char *data;
    size_t size;
    const char *etag; /* quoted, a hash of the contents */
};

/* Passed to configure(): once per load of the configuration, in the master
   (and for -t); nothing may be opened or started here. */
struct lnt_module_setup {
    const struct lnt_module *module;
    struct lnt_arena *arena;        /* lives as long as the configuration */
    struct lnt_section *sections;   /* all, built */
    struct lnt_report *report;      /* problems go here */
    struct lnt_endpoint *endpoints; /* made so far, for lnt_endpoint_make */
    const struct lnt_server_info *server;
    const struct lnt_module *const *modules; /* all loaded, ends with NULL */
    const void *conf;         /* out: the module's configuration */
    const char *user, *group; /* whom workers will be; NULL: as this process,
                                 and that user's own group */
    const struct lnt_identity *identity; /* of that user, when it is known:
                                            os/process.h */
};

/* A module in a worker. */
struct lnt_module_ctx {
    const struct lnt_module *module;
    const void *conf; /* from configure */
    void *data;       /* the module's own, from worker_start */
    struct lnt_net *net;
    struct lnt_hub *hub; /* rooms and the log: hub/hub.h */
    const struct lnt_server_info *server;
};

/* Whoever waits for the answer to a request: plain bytes, to be copied when it is
   answered later. */
struct lnt_requester {
    void (*answer)(const struct lnt_requester *to, bool good,
                   struct lnt_str text);
    void *arg;
    uint64_t id;
};
static inline void
lnt_answer(const struct lnt_requester *to, bool good, struct lnt_str text)
{
    to->answer(to, good, text);
}

struct lnt_module {
    uint32_t abi;
    uint32_t struct_size;
    const char *name;
    const char *help;                               /* one line */
    const struct lnt_section_kind *sections;        /* ends with kind NULL */
    const struct lnt_section_extension *extensions; /* ends with kind NULL */
    const struct lnt_protocol *protocol;
    const struct lnt_app *app;
    const struct lnt_http_handler *handler; /* modules/http/http.h */
    const struct lnt_asset *assets;         /* ends with path NULL */

    /* 0, or -1 with problems in the report. */
    int (*configure)(struct lnt_module_setup *setup);
    /* In each worker before READY.  0, or -1 with a text in why. */
    int (*worker_start)(struct lnt_module_ctx *m, struct lnt_strbuf *why);
    void (*worker_stop)(struct lnt_module_ctx *m);
    /* A broadcast addressed to this module (or to all). */
    void (*on_broadcast)(struct lnt_module_ctx *m, struct lnt_str data);
    /* A shared value changed (data.p NULL: was unset). */
    void (*on_value)(struct lnt_module_ctx *m, struct lnt_str key,
                     struct lnt_str data);
    /* A request by another worker or the master (ctl publish), to be answered by
       lnt_answer exactly once, before this returns or later: good with the
       answer, or not with why. */
    void (*on_request)(struct lnt_module_ctx *m, struct lnt_str name,
                       struct lnt_str data, const struct lnt_requester *to);
    /* Appends ,"key":value pairs to the worker's status object. */
    void (*status)(struct lnt_module_ctx *m, struct lnt_strbuf *json);
    /* The logs were opened again (SIGUSR1, ctl reopen): a module with files of
       its own does the same; server->access_fd stands for the new file. */
    void (*on_reopen)(struct lnt_module_ctx *m);
};

/* The module of that name, or NULL. */
const struct lnt_module *
lnt_module_find(const struct lnt_module *const *modules, const char *name);

#endif
