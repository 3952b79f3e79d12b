# Many members of many rooms talk while the server is reloaded and upgraded and
# its workers become more and fewer: nobody is disconnected, everything comes
# once and in order, and how long it takes is told.
#
# With LINNET_MOVE_CLIENTS=10000 it is the large one, with the load generator of
# the benchmark (t/bench/README.md); LINNET_MOVE_ROOMS, LINNET_MOVE_PUBLISHERS,
# LINNET_MOVE_RATE, LINNET_MOVE_RELOADS and LINNET_MOVE_UPGRADES change the rest.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;
use Test::Linnet::Driver;

my $large = $ENV{LINNET_MOVE_CLIENTS};
my $tool = ($ENV{LINNET_BUILD} // repo_top() . '/objs') . '/bench/load';
my $why = $large ? (-x $tool ? undef : "$tool is not built: make unit")
    : Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;

my @workers = (2, 4, 1, 3);

sub config
{
    my ($workers) = @_;
    return <<"INI";
[server]
workers          = $workers
shutdown_timeout = 30s

[limits]
connections = 65536

%%LISTEN_web%%

%%ROUTE_chat%%
INI
}

sub small
{
    skip_without_files(700);
    my ($clients, $reloads, $upgrades, $rooms, $rate) = (600, 4, 2, 12, 100);
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
    return;
}

# ---- the large one ----

sub told
{
    my ($r, $what) = @_;
    return join '; ', map {
        my $f = $r->{$_} // {};
        sprintf '%s p50 %s, p99 %s, max %s', $_,
            map { $_ // '?' } @$f{qw(p50_ms p99_ms max_ms)};
    } @$what;
}

# The next line of the load generator, which tells windows as they end.
sub heard
{
    my ($d, $timeout) = @_;
    my $line = $d->line($timeout * time_factor()) // return;
    return eval { JSON::PP::decode_json($line) } // {error => $line};
}

# Ends a window and begins the next one; what was measured is told.
sub window
{
    my ($d, $name, $kind) = @_;
    $d->say($kind) if $kind;
    $d->finish_input if !$kind;
    my $w = heard($d, 30) // return;
    diag sprintf '%-18s %.1f s, %6d deliveries/s; ms: %s; client late %s',
        $name, $w->{seconds}, $w->{deliveries} / ($w->{seconds} || 1),
        told($w, ['delivery', 'pause']), $w->{late_ms};
    return;
}

sub large
{
    my ($clients) = @_;
    my %n = (rooms => $clients >= 20 ? int($clients / 20) : 1,
        publishers => 100, rate => 1000, reloads => 50, upgrades => 10);
    $n{$_} = $ENV{'LINNET_MOVE_' . uc} // $n{$_} for keys %n;
    alarm((300 + 15 * ($n{reloads} + $n{upgrades})) * time_factor());

    my $t = Test::Linnet->new(config => config(2))->start;
    my $d = Test::Linnet::Driver->launch($tool, 'rooms', '--port',
        $t->port('web'), '--path', '/chat', '--clients', $clients,
        '--time', 3600, '--limit', 7200,
        map { ("--$_", $n{$_}) } qw(rooms publishers rate));
    my $e = heard($d, 120);
    is(($e // {})->{event}, 'ready', "$clients clients join") or return;

    my $begin = time;
    my ($changes, $upgrades) = (0, 0);
    my $every = int($n{reloads} / ($n{upgrades} || 1)) || 1;
    my $change = sub {
        my ($name, $what) = @_;
        # How it is without: the machine may be slower now than it was before.
        sleep 1;
        window($d, 'nothing moves', 'move');
        $changes += ($what->())[0] == 0;
        sleep 1; # of talk, while they move
        window($d, $name, 'calm');
    };
    for my $i (1 .. $n{reloads}) {
        my $workers = $workers[$i % @workers];
        $change->("reload, $workers workers",
            sub { $t->reload(config($workers)) });
        next if $i % $every != 0 || $upgrades == $n{upgrades};
        $upgrades++;
        $change->('upgrade', sub { $t->ctl('upgrade') });
    }
    my $took = time - $begin;
    window($d, 'the last second');
    my $r = heard($d, 60) // {};
    is($d->finish(60), 0, 'nobody is disconnected, everything came once and '
        . 'in order') or diag explain $r;
    is($changes, $n{reloads} + $upgrades,
        "$n{reloads} reloads and $upgrades upgrades with 1 to 4 workers");
    is($r->{open}, $clients + $n{publishers}, 'all are still there');
    is($r->{$_}, 0, "... $_") for qw(lost twice out_of_order unanswered wrong
        errors);
    cmp_ok($r->{published} // 0, '>', 0, 'they have talked all the while');
    diag sprintf '%d clients, %d rooms, %d publishers: %d messages, '
        . '%d deliveries; %d changes took %.1f s; this client at most %s ms '
        . 'late',
        $clients, $n{rooms}, $n{publishers}, $r->{published} // 0,
        $r->{deliveries} // 0, $changes, $took, $r->{late_ms} // '?';
    diag sprintf '%-5s ms: %s', $_,
        told($r->{$_} // {}, ['delivery', 'pause', 'longest'])
        for 'calm', 'move';
    $t->finish;
    return;
}

$large ? large($large) : small();

done_testing;
