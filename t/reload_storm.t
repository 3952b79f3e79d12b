# A hundred SIGHUPs: what comes while one reload goes on is one more, there are
# never more than two generations of workers, the last configuration is in
# force in the end, and clients notice nothing.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

use constant { WORKERS => 2, SIGNALS => 100, CLIENTS => 40 };

sub config
{
    my ($workers) = @_;
    return <<"INI";
[server]
workers          = $workers
shutdown_timeout = 10s
[limits]
ping_interval = 0
idle_timeout  = 0
[listen raw]
address = 127.0.0.1:%%PORT_raw%%
app     = echo
%%LISTEN_web%%
%%ROUTE_echo%%
INI
}

my $t = Test::Linnet->new(config => config(WORKERS))->start;
my @raw = map { $t->connect('raw') } 1 .. CLIENTS / 2;
my @ws = map { $t->websocket('web', '/echo') } 1 .. CLIENTS / 2;
my $master = $t->master_pid;
my ($most, $generations, $n, $wrong) = (0, 0, 0, 0);

# How many processes and generations there are.
sub look
{
    my @children = split ' ', slurp("/proc/$master/task/$master/children");
    my @living = grep { proc_alive($_) } @children;
    $most = @living if @living > $most;
    return;
}

sub ask
{
    my %seen = map { $_->{generation} => 1 } @{ $t->status->{workers} };
    $generations = keys %seen if keys %seen > $generations;
    return;
}

sub talk
{
    $n++;
    $_->write("raw $n\n") for @raw;
    $_->send_text("text $n") for @ws;
    for (@raw) {
        $wrong++ if ($_->line(20) // '') ne "raw $n";
    }
    for (@ws) {
        $wrong++ if ($_->message(20) // '') ne "text $n";
    }
    return;
}

sub reloads { return scalar(() = $t->log_text =~ /reloading the config/g) }

# Until the reload of the last signal is through.
sub calm
{
    my ($workers) = @_;
    return wait_for(sub {
        look();
        my @w = @{ $t->status->{workers} };
        my @old = split ' ', slurp("/proc/$master/task/$master/children");
        return @w == $workers && @old == $workers
            && !grep { $_->{state} ne 'ready' } @w;
    }, 60, 'calm');
}

subtest 'at once' => sub {
    $t->log_mark;
    for my $i (1 .. SIGNALS) {
        $t->write_config(config(3)) if $i == SIGNALS;
        kill HUP => $master;
        look() if $i % 10 == 0;
    }
    ok(calm(3), 'the last configuration is in force') or diag $t->evidence;
    my $reloads = reloads();
    cmp_ok($reloads, '<', SIGNALS / 2, "they were $reloads reloads");
    talk();
};

subtest 'one after the other, while clients talk' => sub {
    $t->log_mark;
    for my $i (1 .. SIGNALS) {
        $t->write_config(config(WORKERS)) if $i == SIGNALS;
        kill HUP => $master;
        look();
        talk() if $i % 5 == 0;
        ask() if $i % 10 == 0;
        sleep 0.005;
    }
    ok(calm(WORKERS), 'the last configuration is in force')
        or diag $t->evidence;
    talk();
    note reloads() . ' reloads';
};

# Each generation is complete before the one before it is told to go: with
# three workers at most, and these with two or three that follow.
cmp_ok($most, '<=', 6, "never more than two generations: $most workers");
cmp_ok($generations, '<=', 2, '... as the status has it');
is($wrong, 0, 'everything was answered once');
is($t->status->{connections}, CLIENTS, 'and nobody was disconnected');
$t->finish;

done_testing;
