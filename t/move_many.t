# Many members of many rooms talk while the server is reloaded and upgraded:
# nobody is disconnected, everything comes once and in order, and how long it
# takes is told.  LINNET_MOVE_CLIENTS=5000 is the large one.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;
use Test::Linnet::Driver;

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;

my $clients = $ENV{LINNET_MOVE_CLIENTS} || 600;
my $large = $clients >= 5000;
my ($reloads, $upgrades, $rooms, $rate) =
    $large ? (10, 3, 50, 200) : (4, 2, 12, 100);

sub config
{
    my ($workers) = @_;
    return <<"INI";
[server]
workers          = $workers
shutdown_timeout = 30s

[limits]
connections = 65536

[listen web]
address  = 127.0.0.1:%%PORT_web%%
protocol = http

[route chat]
listen   = web
path     = /chat
protocol = websocket
app      = chat
INI
}

my $t = Test::Linnet->new(config => config(2))->start;

# Two of them, each with half of the rooms.
my @d = map {
    Test::Linnet::Driver->start(repo_top() . '/t/node/moving.js',
        'ws://127.0.0.1:' . $t->port('web') . '/chat', $clients / 2,
        $rooms / 2, $rate / 2, $_)
} 'a', 'b';
ok($_->wait_event('joined', 120), 'half of the clients join') for @d;

# How the same is without any of it.
my %calm;
$_->say('go') for @d;
sleep 3;
$_->say('report') for @d;
$calm{$_} = $_->wait_event('report', 60) // {} for @d;

$_->say('go') for @d;
my $begin = time;
my @workers = (2, 4, 1, 3);
my $changes = 0;
my $every = int($reloads / $upgrades);
for my $i (1 .. $reloads) {
    sleep 0.5; # of talk
    $changes += ($t->reload(config($workers[$i % @workers])))[0] == 0;
    $changes += ($t->ctl('upgrade'))[0] == 0
        if $i % $every == 0 && $i / $every <= $upgrades;
}
my $took = time - $begin;
is($changes, $reloads + $upgrades,
    "$reloads reloads and $upgrades upgrades with 1 to 4 workers");
$_->say('report') for @d;
for my $d (@d) {
    my $e = $d->wait_event('report', 60) // {};
    is($e->{clients}, $clients / 2, 'nobody was disconnected')
        or diag explain $e;
    is_deeply($e->{closed}, {}, '... for whatever reason');
    cmp_ok($e->{sent} // 0, '>', 0, '... who all the while talked');
    is($e->{acked}, $e->{sent}, '... every message was acknowledged');
    is($e->{$_}, 0, "... $_") for qw(lost missing twice backward disagree);
    is_deeply($e->{errors}, [], '... no error answer');
    for my $of ([calm => $calm{$d}], [moving => $e]) {
        my ($when, $r) = @$of;
        diag sprintf '%d clients, %d rooms, %s: %d messages, %d deliveries; '
            . 'ms: p50 %s, p99 %s, max %s, p99 of the longest %s',
            $clients / 2, $rooms / 2, $when,
            map { $_ // '?' } @$r{qw(sent deliveries p50 p99 max pause99)};
    }
}
diag sprintf '%d changes took %.1f s', $changes, $took;
$_->finish for @d;
$t->finish;

done_testing;
