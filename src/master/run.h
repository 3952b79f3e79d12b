/*
 * The server: runs as master until it ends.
 */
#ifndef LNT_MASTER_RUN_H
#define LNT_MASTER_RUN_H

#include <stdbool.h>

struct lnt_config;
struct lnt_config_source;
struct lnt_server_info;

struct lnt_run_params {
    const struct lnt_config_source *source;
    struct lnt_server_info *info;
    struct lnt_config *config; /* loaded; owned from here on */
    const char *binary;        /* absolute path of this program */
    char **argv;
    bool detach;
};

/* Returns the exit status of the process. */
int lnt_server_run(const struct lnt_run_params *p);

#endif
