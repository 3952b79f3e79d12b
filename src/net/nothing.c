/*
 * Freeze and thaw for protocols that have nothing of their own to carry.
 */
#include "net/session.h"

int
lnt_session_freeze_nothing(struct lnt_session *s, struct lnt_strbuf *out)
{
    (void)s;
    (void)out;
    return 0;
}

int
lnt_session_thaw_nothing(struct lnt_session *s, struct lnt_str state)
{
    (void)s;
    return state.n ? -1 : 0;
}
