# Who is there: the truth on every worker within a second of a worker's death,
# under load; no nick stays taken.  LINNET_KILLS=50 makes it long.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(max sum0);
use Test::More;

use Test::Linnet;
use Test::Linnet::Driver;

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;

my $rounds  = $ENV{LINNET_KILLS} || 6;
my $clients = 60;
alarm 0 if $rounds > 20; # the breaks between a worker's deaths get longer

my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers = 4

%%LISTEN_web%%

%%ROUTE_chat%%

[room hall]
topic = Everybody
INI
$t->allow_alert(qr/signal 9/);

my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/presence.js',
    'ws://127.0.0.1:' . $t->port('web') . '/chat', $clients, 3);
ok($d->wait_event('joined', 30), "$clients are there") or die $t->evidence;

my (@lost, @left, @told, @back, $said);
for my $round (1 .. $rounds) {
    # One that has somebody to lose; a new one may not have yet.
    my @some = grep { $_->{connections} > 0 } $t->workers;
    my $victim = $some[rand @some]{pid};
    kill KILL => $victim;
    $d->say('killed');
    my $e = $d->wait_event('round', 40) or last;
    push @lost, $e->{lost};
    push @left, $e->{left};
    push @told, $e->{left_at};
    push @back, $e->{back};
    $said = $e->{said};
    is($e->{wrong}, '', "round $round: $e->{lost} went and came back");
    is_deeply($e->{silent}, [], '... every request was answered');
    is($e->{taken}, 0, '... and found their nicks free');
    ok($t->wait_ready(40, 4), '... four workers again') or last;
}
is(scalar @left, $rounds, "$rounds workers were killed");
my $limit = 1000 * time_factor();
cmp_ok(max(@left), '<', $limit, "who was the truth after @left ms");
cmp_ok(max(@told), '<', $limit, "those who left were seen leaving");
cmp_ok(max(@back), '<', $limit, "all was well again after @back ms");
cmp_ok(sum0(@lost), '>=', $rounds, 'each had members');
cmp_ok($said, '>', 100, "$said messages were said meanwhile");
is($d->finish, 0, 'the driver ends');

my $out;
ok(
    wait_for(
        sub {
            (undef, $out) = $t->ctl('zone');
            return $out =~ /^users +0 of/m;
        },
        10,
        'none'
    ),
    'no nick is left over'
) or diag $out;
like($out, qr/^history/m, 'the zone is looked at');
$t->finish;
done_testing;
