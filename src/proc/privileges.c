/*
 * The master's privileges end in its children.
 */
#include "proc/privileges.h"

#include <unistd.h>

#include "core/strbuf.h"
#include "os/process.h"
#include "proc/config.h"

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
