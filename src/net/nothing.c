/*
 * Freeze and thaw for protocols that have nothing of their own to carry.  A
 * later release may carry something: that is taken as if it were not there,
 * unless it says that it is needed.
 */
#include "net/session.h"

#include "core/pack.h"

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
    struct lnt_pack_version v;
    (void)s;
    return state.n == 0 || lnt_unpack_version(&state, 0, &v) ? 0 : -1;
}
