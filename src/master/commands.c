/*
 * Commands of operators.  Those that change the server are asked for here and
 * begun in master.c.
 */
#include "master/commands.h"

#include <string.h>

#include "core/log.h"
#include "core/strbuf.h"
#include "core/units.h"
#include "master/broadcast.h"
#include "master/logs.h"
#include "master/master.h"
#include "master/moves.h"
#include "master/requests.h"
#include "master/status.h"
#include "master/values.h"
#include "master/waiters.h"

static void
set_level(struct lnt_master *m, const char *word, struct lnt_waiter *w)
{
    int level = 0;
    while (lnt_level_names[level] && strcmp(lnt_level_names[level], word) != 0)
        level++;
    if (lnt_level_names[level])
        lnt_logs_level(m, (enum lnt_level)level, w);
    else
        w->done(w, false,
                "log-level takes debug, info, notice, warn, error or alert");
}

static void
change_workers(struct lnt_master *m, const char *number, struct lnt_waiter *w)
{
    struct lnt_change c = {.kind = LNT_CHANGE_RELOAD};
    const char *why;
    if (lnt_parse_int(lnt_str_c(number), &c.workers, &why) < 0 || c.workers < 1)
        w->done(w, false, "workers takes a number from 1");
    else
        lnt_changes_ask(m, &c, w);
}

static void
end(struct lnt_master *m, bool at_once, struct lnt_waiter *w)
{
    struct lnt_change c = {.kind = LNT_CHANGE_END, .at_once = at_once};
    lnt_changes_ask(m, &c, w);
}

static bool
change_value(struct lnt_master *m, struct lnt_str key,
             const struct lnt_str *value, struct lnt_strbuf *out)
{
    uint64_t version;
    bool ok = lnt_values_change(m, key, value, &version, out);
    if (ok)
        lnt_strbuf_adds(out, value ? "set" : "unset");
    return ok;
}

static bool
broadcast(struct lnt_master *m, struct lnt_str text, struct lnt_strbuf *out)
{
    bool ok = lnt_broadcast(m, LNT_STR(""), text, out);
    if (ok)
        lnt_strbuf_adds(out, "sent to all workers");
    return ok;
}

static bool
drain(struct lnt_master *m, struct lnt_str slot, struct lnt_strbuf *out)
{
    bool ok = lnt_moves_drain(m, slot, out);
    if (ok)
        lnt_strbuf_adds(out, "its connections move to the others");
    return ok;
}

/* What is done, or known, at once: whether it is, with the text of the answer.
   first and second are the words behind the command. */
static bool
run_now(struct lnt_master *m, enum lnt_command command, struct lnt_str first,
        struct lnt_str second, struct lnt_strbuf *out)
{
    switch (command) {
    case LNT_COMMAND_STATUS:
        if (first.n)
            lnt_status_json(m, out);
        else
            lnt_status_text(m, out);
        return true;
    case LNT_COMMAND_ROOMS:
        return lnt_status_rooms(m, out);
    case LNT_COMMAND_ZONE:
        return lnt_status_zone(m, out);
    case LNT_COMMAND_VALUES:
        lnt_values_list(m, out);
        return true;
    case LNT_COMMAND_GET:
        return lnt_values_show(m, first, out);
    case LNT_COMMAND_SET:
        return change_value(m, first, &second, out);
    case LNT_COMMAND_UNSET:
        return change_value(m, first, NULL, out);
    case LNT_COMMAND_BROADCAST:
        return broadcast(m, first, out);
    case LNT_COMMAND_DRAIN:
        return drain(m, first, out);
    case LNT_COMMAND_RELOAD:
    case LNT_COMMAND_REOPEN:
    case LNT_COMMAND_QUIT:
    case LNT_COMMAND_STOP:
    case LNT_COMMAND_UPGRADE:
    case LNT_COMMAND_LOG_LEVEL:
    case LNT_COMMAND_CONNS:
    case LNT_COMMAND_KICK:
    case LNT_COMMAND_PUBLISH:
    case LNT_COMMAND_WORKERS:
    case LNT_COMMANDS:
        break;
    }
    return false;
}

static void
answer_now(struct lnt_master *m, enum lnt_command command,
           const char *const *words, size_t n, struct lnt_waiter *w)
{
    struct lnt_strbuf out = LNT_STRBUF_INIT;
    bool ok = run_now(m, command, lnt_str_c(n > 1 ? words[1] : ""),
                      lnt_str_c(n > 2 ? words[2] : ""), &out);
    w->done(w, ok, out.n ? out.p : "");
    lnt_strbuf_release(&out);
}

void
lnt_commands_run(struct lnt_master *m, enum lnt_command command,
                 const char *const *words, size_t n, struct lnt_waiter *w)
{
    switch (command) {
    case LNT_COMMAND_RELOAD:
        lnt_changes_ask(m, &(struct lnt_change){.kind = LNT_CHANGE_RELOAD}, w);
        return;
    case LNT_COMMAND_WORKERS:
        change_workers(m, words[1], w);
        return;
    case LNT_COMMAND_UPGRADE:
        lnt_changes_ask(m,
                        &(struct lnt_change){.kind = LNT_CHANGE_UPGRADE,
                                             .new_zone = n == 2},
                        w);
        return;
    case LNT_COMMAND_QUIT:
    case LNT_COMMAND_STOP:
        end(m, command == LNT_COMMAND_STOP, w);
        return;
    case LNT_COMMAND_REOPEN:
        lnt_logs_reopen(m, w);
        return;
    case LNT_COMMAND_LOG_LEVEL:
        set_level(m, words[1], w);
        return;
    case LNT_COMMAND_CONNS:
        lnt_master_conns(m, w);
        return;
    case LNT_COMMAND_KICK:
        lnt_master_kick(m, lnt_str_c(words[1]), w);
        return;
    case LNT_COMMAND_PUBLISH:
        lnt_master_publish(m, lnt_str_c(words[1]), lnt_str_c(words[2]), w);
        return;
    case LNT_COMMAND_STATUS:
    case LNT_COMMAND_BROADCAST:
    case LNT_COMMAND_ROOMS:
    case LNT_COMMAND_GET:
    case LNT_COMMAND_SET:
    case LNT_COMMAND_UNSET:
    case LNT_COMMAND_VALUES:
    case LNT_COMMAND_ZONE:
    case LNT_COMMAND_DRAIN:
    case LNT_COMMANDS:
        answer_now(m, command, words, n, w);
        return;
    }
}
