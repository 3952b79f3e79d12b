/*
 * Values that both pages show.
 */
#include "modules/status/values.h"

#include "net/module.h"
#include "net/server_info.h"
#include "os/clock.h"

uint64_t
lnt_status_uptime(const struct lnt_module_ctx *m)
{
    return (lnt_clock_ms() - m->server->started_ms) / 1000;
}
