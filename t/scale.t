# Masses: 20,000 idle WebSockets in two workers, from several processes; half
# a million echoes at depth 16.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Driver;

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 30s

[limits]
connections   = 65536
idle_timeout  = 10m
ping_interval = 5m

%%LISTEN_web%%

%%ROUTE_echo%%
INI

my $dir = repo_top() . '/t/node';

subtest '500,000 echoes at depth 16' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $begin = time;
    my $d = Test::Linnet::Driver->start("$dir/echo.js",
        'ws://127.0.0.1:' . $t->port('web') . '/echo', 100, 16, 500_000, 128);
    my $e = $d->wait_event('done', 120);
    ok($e, 'the driver ends') or diag $t->evidence;
    is($e->{messages}, 500_000, '500,000 came back');
    is($e->{wrong}, 0, '... without a lost or reordered byte');
    is($e->{closed}, 0, '... and nobody was cut off');
    diag sprintf 'in %.1f s', time - $begin;
    $d->finish;
    my $s = $t->status;
    my ($in, $out) = (0, 0);
    for my $w (@{ $s->{workers} }) {
        $in += $w->{messages_in};
        $out += $w->{messages_out};
    }
    is($in, 500_000, 'the workers counted as many in');
    is($out, 500_000, '... and out');
    $t->finish;
};

subtest '20,000 idle WebSockets in 2 workers' => sub {
    skip_without_files(11_000);
    my $t = Test::Linnet->new(config => $config)->start;
    my @pids = $t->worker_pids;
    my $rss = 0;
    $rss += proc_rss($_) for @pids;
    my $begin = time;
    my @d = map {
        Test::Linnet::Driver->start("$dir/idle.js",
            'ws://127.0.0.1:' . $t->port('web') . '/echo', 5000,
            "127.0.0.1$_")
    } 1 .. 4;
    my $open = 0;
    for my $d (@d) {
        my $e = $d->wait_event('open', 120) or last;
        $open += $e->{count};
        diag "$e->{failed} failed" if $e->{failed};
    }
    is($open, 20_000, '20,000 are open');
    diag sprintf 'in %.1f s', time - $begin;
    my $s = $t->status;
    is($s->{connections}, 20_000, 'the status says so, too');
    my @n = map { $_->{connections} } @{ $s->{workers} };
    my ($most) = sort { $b <=> $a } @n;
    cmp_ok($most, '<=', 12_500, "evenly spread (@n)");
    my $now = 0;
    $now += proc_rss($_) for @pids;
    diag sprintf '%d bytes resident for each', ($now - $rss) / 20_000;
    cmp_ok(($now - $rss) / 20_000, '<', 2000, 'under 2,000 bytes for each')
        if !$ENV{LINNET_SANITIZE};

    $_->say('speak') for @d;
    my ($spoken, $wrong, $lost) = (0, 0, 0);
    for my $d (@d) {
        my $e = $d->wait_event('spoken', 60) or last;
        $spoken += $e->{count};
        $wrong += $e->{wrong};
        $lost += $e->{lost};
    }
    is($spoken, 20_000, 'each of them is answered');
    is($wrong, 0, '... with its own words');
    is($lost, 0, '... and none was cut off');
    my $c = $t->websocket('web', '/echo');
    $begin = time;
    $c->send_text('me too');
    is($c->message, 'me too', 'one more is served');
    cmp_ok(time - $begin, '<', 1 * time_factor(), '... in under a second');
    is($c->close(1000), 1000, '... and leaves');

    my ($exit, $out, $err) = $t->ctl('quit');
    is($exit, 0, 'quit') or diag $err;
    my %codes;
    for my $d (@d) {
        $d->say('watch');
        my $e = $d->wait_event('closed', 30) or next;
        $codes{$_} += $e->{codes}{$_} for keys %{ $e->{codes} };
    }
    is_deeply(\%codes, { 1001 => 20_000 }, 'all were told 1001');
    is($t->wait_exit(5), 0, 'the master ended with 0');
    $_->finish for @d;
    $t->finish;
};

done_testing;
