/*
 * Lookups among modules.
 */
#include "net/module.h"

const struct lnt_module *
lnt_module_find(const struct lnt_module *const *modules, const char *name)
{
    for (; *modules; modules++)
        if (strcmp((*modules)->name, name) == 0)
            return *modules;
    return NULL;
}
