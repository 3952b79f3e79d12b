package Test::Linnet::Builds;

# What older and newer releases than the sources could be like, as changes for
# Test::Linnet::Variant: the newer one uses every way in which releases may differ
# and keep one zone.  What its new fields say follows from others, or is
# 0 when another release has written the rest.  It looks at that wherever it
# reads them, so a release that spoils what it does not know is found out.

use strict;
use warnings;

use Test::Linnet::Variant;

use constant {
    BARE  => '99.0.1',
    OLDER => '99.0.3',
    NEWER => '99.2.0',
    GIVEN_UP => 8, # counters
};

# Maintains no derived state.
sub bare
{
    my ($folder) = @_;
    return Test::Linnet::Variant->build(name => 'bare', version => BARE,
        folder => $folder, changes => [_checked(), _nothing_derived()]);
}

sub older
{
    my ($folder) = @_;
    return Test::Linnet::Variant->build(name => 'older', version => OLDER,
        folder => $folder, changes => [_checked()]);
}

sub newer
{
    my ($folder) = @_;
    return Test::Linnet::Variant->build(name => 'newer', version => NEWER,
        folder => $folder, changes => [_checked(), _marks(), _counters(),
            _rooms(), _members(), _users(), _cells(), _records(),
            _capacities(), _limits(), _sessions(), _handed()]);
}

# Whoever asks for the metrics has the whole zone checked, and is told which
# derived state is maintained.
sub _checked
{
    my $file = 'modules/status/metrics.c';
    return (
        ['t/lib/zone_check.c', before => qr/^bool\nlnt_zone_check\(/m, <<'C'],
uint64_t
lnt_zone_features(struct lnt_zone *z)
{
    return __atomic_load_n(&z->map->maintained, __ATOMIC_ACQUIRE);
}

C
        [$file, after => qr/^#include "core\/strbuf\.h"\n/m,
            qq{#include "core/log.h"\n#include "hub/state.h"\n} .
                qq{#include "t/lib/zone_check.h"\n}],
        [$file, before => qr/^    lnt_hub_usage\(h, &u\);\n/m, <<'C'],
    struct lnt_zone *z = h->zone;
    struct lnt_strbuf why = LNT_STRBUF_INIT;
    if (!lnt_zone_check(z, &why))
        lnt_log_alert("the zone is broken: %s", why.p);
    lnt_strbuf_release(&why);
    uint64_t lnt_zone_features(struct lnt_zone *z);
    add_gauge(out, "features", "Derived state.", lnt_zone_features(z));
C
    );
}

sub _nothing_derived
{
    my $wakers = 'src/zone/wakers.c';
    my $begin = sub { my ($name) = @_;
        return qr/^$name\((?:[^{}]*\n)\{\n/m };
    return (
        ['src/zone/map.h', instead =>
            qr/(?<=^    LNT_ZONE_FEATURES = )[^,]+(?=,)/m, '0'],
        (map { [$wakers, after => $begin->($_), "    if (1)\n        return;\n"] }
            qw(lnt_waker_add lnt_wakers_move lnt_wakers_clear lnt_waker_reads)),
        [$wakers, after => $begin->('lnt_wakers_concern'), <<'C'],
    lnt_wakers_all(z);
    if (1)
        return;
C
        ['src/zone/rebuild.c', after => $begin->('lnt_zone_unwake'),
            "    if (1)\n        return;\n"],
        ['src/zone/rebuild.c', after => $begin->('lnt_wakers_sweep'),
            "    if (1)\n        return 0;\n"],
    );
}

# A mark is right when it is 0, too: another release made what it stands in.
sub _marks
{
    return ['src/core/mem.h', before => qr/^#endif\n\z/m, <<'C'];
#include <stdbool.h>
#include <stdint.h>

static inline uint64_t
lnt_mark(uint64_t of)
{
    return (of + 1) * UINT64_C(0x9e3779b97f4a7c15) | 1;
}

static inline bool
lnt_marked(uint64_t mark, uint64_t of)
{
    return mark == 0 || mark == lnt_mark(of);
}

C
}

# In the middle of the list, with numbers behind some that were given up (so they
# lie behind what a cell is rounded up to, too).
sub _counters
{
    my @new = (
        [SPOKEN => 'spoken', 'Records put into rooms.'],
        [MARKS_KEPT => 'marks_kept', 'Chat sessions that came with a mark.'],
        [MARKS_NEW => 'marks_new', 'Chat sessions that came without one.'],
    );
    my $names = 'src/net/stats.c';
    return (
        ['src/net/stats.h', instead =>
            qr/^(    LNT_C_MESSAGES_IN = .*)^    LNT_COUNTERS = (\d+)/ms,
            sub {
                my ($list, $n) = @_;
                return join '',
                    (map { '    LNT_C_' . $new[$_][0] . ' = ' . ($n + GIVEN_UP + $_)
                            . ",\n" } 0 .. $#new),
                    $list, '    LNT_COUNTERS = ', $n + GIVEN_UP + @new;
            }],
        [$names, before => qr/^    \[LNT_C_MESSAGES_IN\] = "messages/m,
            join '', map { qq{    [LNT_C_$_->[0]] = "$_->[1]_total",\n} } @new],
        [$names, before => qr/^    \[LNT_C_MESSAGES_IN\] = "Messages/m,
            join '', map { qq{    [LNT_C_$_->[0]] = "$_->[2]",\n} } @new],
        ['src/hub/publish.c',
            after => qr/^    lnt_count\(h->stats, LNT_C_PUBLISHED\);\n/m, <<'C'],
    if (e->room != LNT_ROOM_NONE)
        lnt_count(h->stats, LNT_C_SPOKEN);
C
    );
}

# A room counts what is published in it, twice in one word; the metrics have the
# sum of all rooms.
sub _rooms
{
    return (
        ['src/zone/map.h', end => 'lnt_zone_room', <<'C'],
    uint64_t spoken; /* count, and above it what it is not */
C
        ['src/zone/log.c', after =>
            qr/^    lnt_ring_append\(z, room, e\);\n/m, <<'C'],
    if (room) {
        struct lnt_zone_room *r = lnt_room_at(z, room);
        uint32_t n = (uint32_t)r->spoken;
        lnt_assert(r->spoken == 0 || (uint32_t)~n == r->spoken >> 32);
        n++;
        r->spoken = (uint64_t)~n << 32 | n;
    }
C
        ['t/lib/zone_check.c', after =>
            qr/^check_room\(.*\n\{\n.*\n.*lnt_room_at\(z, i\);\n/m, <<'C'],
    if (r->spoken && (uint32_t)~(uint32_t)r->spoken != r->spoken >> 32)
        return bad(c, "room %u does not know what was said in it", i);
C
        ['t/lib/zone_check.c', before => qr/^bool\nlnt_zone_check\(/m, <<'C'],
uint64_t
lnt_zone_spoken(struct lnt_zone *z)
{
    uint64_t n = 0;
    lnt_zone_lock(z);
    for (uint32_t i = 1; i < z->map->parts.rooms.fresh; i++) {
        if (lnt_room_at(z, i)->state == LNT_NODE_USED)
            n += (uint32_t)lnt_room_at(z, i)->spoken;
    }
    lnt_zone_unlock(z);
    return n;
}

C
        ['modules/status/metrics.c', after =>
            qr/^    lnt_hub_usage\(h, &u\);\n/m, <<'C'],
    uint64_t lnt_zone_spoken(struct lnt_zone *z);
    add_gauge(out, "spoken", "Records in rooms.", lnt_zone_spoken(h->zone));
C
    );
}

sub _members
{
    return (
        ['src/zone/map.h', end => 'lnt_zone_member', <<'C'],
    uint32_t mark; /* of user and room */
C
        ['src/zone/map.h', instead =>
            qr/(LNT_MEMBER_KNOWN = offsetof\(struct lnt_zone_member, )\w+/,
            sub { "$_[0]mark" }],
        ['src/zone/steps.c', after => qr/^    m->room = room;\n/m, <<'C'],
    m->mark = (uint32_t)lnt_mark((uint64_t)user << 32 | room);
C
        ['src/zone/steps.c', after => qr/^#include "zone\/ring.h"\n/m,
            qq{#include "core/log.h"\n#include "core/mem.h"\n}],
        ['src/zone/steps.c', after =>
            qr/^lnt_member_leave\(.*\n.*\n\{\n.*lnt_member_at\(z, member\);\n/m,
            <<'C'],
    lnt_assert(m->mark == 0 ||
               m->mark == (uint32_t)lnt_mark((uint64_t)m->user << 32 | m->room));
C
        ['t/lib/zone_check.c', before =>
            qr/^        if \(lnt_member_state\(member\) != LNT_NODE_USED \|\| member->room != i/m,
            <<'C'],
        if (member->mark &&
            member->mark !=
                (uint32_t)lnt_mark((uint64_t)member->user << 32 | member->room))
            return bad(c, "member %u has the mark of another", m);
C
    );
}

sub _users
{
    return (
        ['src/zone/map.h', end => 'lnt_zone_user', <<'C'],
    uint64_t mark; /* of serial */
C
        ['src/zone/map.h', instead =>
            qr/(LNT_USER_KNOWN = offsetof\(struct lnt_zone_user, )\w+\) \+ \d+/,
            sub { "$_[0]mark) + 8" }],
        ['src/zone/users.c', after => qr/^    u->serial\+\+;\n/m, <<'C'],
    u->mark = lnt_mark(u->serial);
C
        ['src/zone/users.c', after => qr/^#include "core\/log.h"\n/m,
            qq{#include "core/mem.h"\n}],
        ['src/zone/users.c', before =>
            qr/^            u->session = session;\n/m, <<'C'],
            lnt_assert(lnt_marked(u->mark, u->serial));
C
        ['t/lib/zone_check.c', after =>
            qr/^check_user\(.*\n(?:.+\n)+/m, <<'C'],
    if (!lnt_marked(u->mark, u->serial))
        return bad(c, "user %u has the mark of another", i);
    if (!lnt_marked(cell->mark, cell->incarnation))
        return bad(c, "user %u: its cell has the mark of another", i);
C
    );
}

# In what was reserved within.
sub _cells
{
    return (
        ['src/zone/zone.h', instead =>
            qr/^    uint64_t reserved\[(\d+)\];\n(?=    struct lnt_stats)/m,
            sub { "    uint64_t mark; /* of incarnation */\n"
                . '    uint64_t reserved[' . ($_[0] - 1) . "];\n" }],
        ['src/zone/users.c', after => qr/^        c->slot = slot;\n/m, <<'C'],
        c->mark = lnt_mark(c->incarnation);
C
    );
}

# Longer heads.
sub _records
{
    return (
        ['src/zone/map.h', end => 'lnt_zone_record', <<'C'],
    uint64_t mark; /* of seq */
C
        ['src/zone/map.h', end => 'lnt_zone_kept', <<'C'],
    uint64_t mark; /* of seq */
C
        ['src/zone/ring.c', after => qr/^#include "core\/mem.h"\n/m,
            qq{#include "core/log.h"\n}],
        ['src/zone/ring.c', after => qr/^        \.seq = e->seq,\n/m, <<'C'],
        .mark = lnt_mark(e->seq),
C
        ['src/zone/ring.c', before => qr/^    c->seq = r\.seq;\n/m, <<'C'],
    lnt_assert(lnt_marked(r.mark, r.seq));
C
        ['src/zone/blocks.c', after => qr/^#include "zone\/pool.h"\n/m,
            qq{#include "core/mem.h"\n}],
        ['src/zone/blocks.c', after => qr/^        \.seq = e->seq,\n/m,
            <<'C'],
        .mark = lnt_mark(e->seq),
C
        ['t/lib/zone_check.c', before =>
            qr/^        if \(k->seq <= seq \|\| k->seq > z->map->seq/m, <<'C'],
        if (k->head >= LNT_KEPT_HEAD && !lnt_marked(k->mark, k->seq))
            return bad(c, "room %u: message %u has the mark of another", i, n);
C
        ['src/zone/history.c', after => qr/^#include "core\/log.h"\n/m,
            qq{#include "core/mem.h"\n}],
        ['src/zone/history.c', before => qr/^    \*e = \(struct lnt_event\)\{\n/m,
            "    lnt_assert(lnt_marked(k.mark, k.seq));\n"],
    );
}

# Of zones that it makes: more cells, nodes further apart, other shares.
sub _capacities
{
    my $file = 'src/zone/zone.c';
    my $more = sub { my ($n) = @_; return sub { $_[0] + $n } };
    return (
        [$file, instead => qr/(?<=^    CELLS = )(\d+)/m, $more->(32)],
        [$file, instead => qr/(?<=^    MEMBERS_PER_USER = )(\d+)/m, $more->(1)],
        [$file, instead => qr/(?<=^    PEERS_SHARE = )(\d+)/m, $more->(8)],
        map { [$file, instead => qr/(?<=^    $_->[0]_SIZE = )(\d+)/m,
            $more->($_->[1])] } [CELL => 512], [USER => 16], [ROOM => 64],
            [MEMBER => 8], [PEER => 8], [VISIT => 8], [CREATOR => 8],
    );
}

sub _limits
{
    my $file = 'src/net/limits.c';
    return (
        [$file, instead => qr/(\.offset = FIELD\(connections\),\n +\.def = )"65536"/,
            sub { qq{$_[0]"60000"} }],
        [$file, instead => '"64k"', '"80k"'],
    );
}

# A chat session has a mark from when it is opened, or comes without one, and
# takes it along: in the counted head of what travels, and at the end of it; each
# of its rooms has one, too.
sub _sessions
{
    my $move = 'modules/chat/chat_move.c';
    my $hub = 'src/hub/move.c';
    return (
        ['modules/chat/chat.h', end => 'chat_session', "    uint64_t mark;\n"],
        ['modules/chat/chat.h', instead =>
            qr/(_Static_assert\(sizeof\(struct chat_session\) <= )24/,
            sub { "${_[0]}32" }],
        ['modules/chat/chat.c', after =>
            qr/^chat_open\(.*\n\{\n.*chat_session\(s\);\n/m,
            "    chat->mark = lnt_mark(lnt_session_id(s));\n"],
        [$move, after => qr/^#include "core\/mem.h"\n/m, <<'C'],
#include "core/log.h"
#include "net/stats.h"
C
        [$move, after => qr/^pack_head\((?:.+\n|\n)+?(?=\}\n)/m,
            "    lnt_pack_u64(out, chat->mark);\n"],
        [$move, after => qr/^    chat_slow_freeze\(s, out\);\n/m,
            "    lnt_pack_u64(out, ~chat->mark);\n"],
        [$move, before => qr/^    if \(thaw_user\(s, &h\) < 0/m, <<'C'],
    uint64_t mark = 0, twin = 0;
    lnt_assert(!counted || lnt_unpack_late_u64(&part, &mark));
C
        [$move, before => qr/^    \/\* Which one is bare/m, <<'C'],
    lnt_assert(!counted || lnt_unpack_late_u64(&rest, &twin));
    lnt_assert(twin == (mark ? ~mark : 0));
    chat->mark = mark ? mark : lnt_mark(lnt_session_id(s));
    lnt_count(lnt_session_stats(s), mark ? LNT_C_MARKS_KEPT : LNT_C_MARKS_NEW);
C
        [$hub, before => qr/^#include "core\/pack.h"\n/m,
            qq{#include "core/log.h"\n#include "core/mem.h"\n}],
        [$hub, before => qr/^    lnt_pack_end\(out, piece\);/m,
            "    lnt_pack_u64(out, lnt_mark(r->app_id));\n"],
        [$hub, instead =>
            qr/^    return (lnt_hub_adopt_uncounted\(h, s, &piece\);\n)/m,
            sub { "    struct lnt_sub *sub = $_[0]" . <<'C' }],
    uint64_t mark;
    lnt_assert(lnt_unpack_late_u64(&piece, &mark) &&
               lnt_marked(mark, lnt_hub_app_id(s)));
    return sub;
C
    );
}

# A new thing that an old master hands to a new one.
sub _handed
{
    return ['src/master/upgrade.c', before =>
            qr/^    lnt_strbuf_adds\(&text, "end"\);\n/m, <<'C'];
    lnt_strbuf_adds(&text, "weather fine");
    if (rc == 0)
        rc = hand(u, &text, NULL, 0);
C
}

1;

__END__

=head1 NAME

Test::Linnet::Builds - releases that really differ

=head1 DESCRIPTION

C<bare($folder)>, C<older($folder)>, C<newer($folder)>: the paths of the
programs, built in that folder; C<BARE>, C<OLDER>, C<NEWER>: their versions.  See
L<Test::Linnet::Variant>.

=cut
