/*
 * The master's privileges end in its children.
 */
#include "config/privileges.h"

#include <unistd.h>

#include "config/config.h"
#include "core/strbuf.h"
#include "os/file.h"
#include "os/process.h"

int
lnt_privileges_drop(const struct lnt_server_conf *conf, struct lnt_strbuf *why)
{
    const char *text = NULL;
    if (geteuid() != 0 || !conf->user)
        return 0;
    if (lnt_process_drop(conf->user, conf->group, &text) < 0) {
        lnt_strbuf_addf(why, "cannot become user \"%s\": %s", conf->user, text);
        return -1;
    }
    (void)lnt_process_dumpable();
    return 0;
}

void
lnt_privileges_explain(const char *path, int want, struct lnt_strbuf *why)
{
    struct lnt_barrier b;
    char user[64], text[LNT_BARRIER_TEXT];
    if (lnt_file_barrier(path, want, &b) <= 0)
        return;
    lnt_process_user_name(user, sizeof(user));
    lnt_file_barrier_text(&b, user, text);
    lnt_strbuf_addf(why, ": %s", text);
}
