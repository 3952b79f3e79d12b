# Processes are killed while 300 connections move: an old worker, a new one, or
# the master.  A connection lives on, everything once and in order, or it was
# lost with the process that had it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;
use Test::Linnet::Driver;

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;

use constant { CLIENTS => 300, ROOMS => 6 };
skip_without_files(2 * CLIENTS);

# In a build with --with-debug a move takes its time: 2 ms a connection.
local $ENV{LINNET_TEST_MOVE_PAUSE} = 2;

my $rounds = $ENV{LINNET_CRASH_ROUNDS} || 4;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 3s

[limits]
connections = 4096

%%LISTEN_web%%

%%ROUTE_chat%%
INI

sub crowd
{
    my ($t, $name) = @_;
    my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/moving.js',
        'ws://127.0.0.1:' . $t->port('web') . '/chat', CLIENTS, ROOMS, 150,
        $name);
    $d->wait_event('joined', 60) or diag $t->evidence;
    return $d;
}

sub children
{
    my ($pid) = @_;
    return split ' ', slurp("/proc/$pid/task/$pid/children") // '';
}

# Waits for the next line of that kind behind offset in the log, as closely as
# can be: what is killed then is killed in the middle of it.
sub await_log
{
    my ($t, $offset, $like) = @_;
    my $end = time + 20;
    open my $fh, '<', $t->log_path or die $!;
    while (time < $end) {
        seek $fh, $offset, 0;
        local $/;
        return 1 if (<$fh> // '') =~ $like;
        sleep 0.0005;
    }
    return;
}

# Reloads (or upgrades) and kills whom $victim names; tells how many were
# connected to whom before.
sub strike
{
    my ($t, $what, $delay, $victim) = @_;
    my $master = $t->master_pid;
    my %had = map { $_->{pid} => $_->{connections} } $t->workers;
    my $offset = -s $t->log_path;
    my $pid = $t->ctl_background($what);
    my $seen = await_log($t, $offset, qr/draining \d+ connections: /);
    sleep $delay;
    my $killed = $victim->($master, \%had);
    my $did = $killed && kill(KILL => $killed);
    waitpid $pid, 0;
    return ($seen, $did ? $had{$killed} : undef, $did);
}

# What must be true in any case.
sub check
{
    my ($t, $d, $most, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $d->say('report');
    my $e = $d->wait_event('report', 40) // {};
    my $lost = CLIENTS - ($e->{clients} // 0);
    my %wrong = map { $_ => $e->{$_} } grep { $e->{$_} // 1 }
        qw(missing twice backward disagree lost unanswered);
    is_deeply(\%wrong, {},
        "$name: $lost lost, the others have everything once, in order")
        or diag explain $e;
    cmp_ok($lost, '<=', $most, "... not more than the victim had ($most)")
        or diag explain $e;
    is_deeply($e->{errors}, [], '... no error answer') or diag explain $e;
    return $lost;
}

# How many are connected; -1 when nobody tells.
sub connected
{
    my ($t) = @_;
    my $s = $t->status // return -1;
    return $s->{connections};
}

sub check_return
{
    my ($t, $d) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    $t->wait_ready(20, 2);
    wait_for(sub { $t->processes == 3 }, 15, 'three processes')
        or diag $t->evidence;
    is(scalar(my @p = $t->processes), 3, '... no process is left over');
    $d->say('return');
    my $e = $d->wait_event('returned', 30) // {};
    is($e->{wrong}, 0, '... all come again under their nicks, nobody else')
        or diag explain $e;
    is_deeply($e->{errors}, [], '... no nick is taken') or diag explain $e;
    # One that is being moved for the balance is in two for a moment.
    my ($h, @two);
    wait_for(
        sub {
            $h = $t->holders('web');
            @two = grep { @$_ != 1 } values %$h;
            return keys %$h == CLIENTS && !@two;
        }, 15, 'each connection to be in one process');
    is_deeply([scalar(keys %$h), scalar @two], [CLIENTS, 0],
        '... each connection is in one process') or diag explain \@two;
    ok(wait_for(sub { connected($t) == CLIENTS }, 15,
            'all to be counted'), '... as many are counted');
    return;
}

# Before: how long a move takes here, from which the moments are drawn.
sub duration
{
    my ($t) = @_;
    my $offset = -s $t->log_path;
    my @old = $t->worker_pids;
    my $pid = $t->ctl_background('reload');
    await_log($t, $offset, qr/draining \d+ connections: /);
    my $begin = time;
    sleep 0.001 while time < $begin + 10 && grep { proc_alive($_) } @old;
    my $took = time - $begin;
    waitpid $pid, 0;
    return $took;
}

sub moment { return $_[0] * rand }

my %victims = (
    'an old worker' => sub {
        my ($master, $had) = @_;
        my @there = grep { $had->{$_} } children($master);
        return $there[rand @there];
    },
    'a new worker' => sub {
        my ($master, $had) = @_;
        my @new = grep { !defined $had->{$_} } children($master);
        return $new[rand @new];
    },
);

for my $who (sort keys %victims) {
    subtest "$who is killed" => sub {
        my $t = Test::Linnet->new(config => $config)->start;
        $t->allow_alert(qr/signal 9/);
        my $d = crowd($t, 'room');
        my $took = duration($t);
        note sprintf 'a move takes %.0f ms', 1000 * $took;
        my $total = 0;
        for my $round (1 .. $rounds) {
            $d->say('go');
            my $delay = moment($took);
            my ($seen, $most, $did) = strike($t, 'reload', $delay,
                $victims{$who});
            ok($seen, "round $round: a move began");
            note 'too late: it has ended' unless $did;
            # A new one may have all, from both.
            $most = !$did ? 0 : $most // CLIENTS;
            $total += check($t, $d, $most,
                sprintf 'killed after %.1f ms', 1000 * $delay);
            check_return($t, $d);
        }
        note "$total were lost in $rounds rounds";
        $d->finish;
        ok(wait_for(sub { connected($t) == 0 }, 10, 'none'),
            'all are gone in the end');
        is_deeply($t->holders('web'), {}, '... and their descriptors');
        $t->finish;
    };
}

subtest 'the master is killed' => sub {
    for my $round (1 .. $rounds) {
        my $t = Test::Linnet->new(config => $config)->start;
        my $d = crowd($t, 'room');
        my $took = duration($t);
        $d->say('go');
        my $delay = moment($took);
        my ($seen) = strike($t, $round % 2 ? 'reload' : 'upgrade', $delay,
            sub { $_[0] });
        ok($seen, "round $round: a move began");
        $d->say('report');
        my $e = $d->wait_event('report', 40) // {};
        my %wrong = map { $_ => $e->{$_} } grep { $e->{$_} // 1 }
            qw(missing twice backward disagree);
        is_deeply(\%wrong, {}, sprintf '... killed after %.1f ms: nothing '
            . 'missing, twice or out of order', 1000 * $delay)
            or diag explain $e;
        is_deeply([grep { $_ != 1001 && $_ != 1012 }
                keys %{ $e->{closed} }], [], '... who was cut off was told')
            or diag explain $e;
        $t->reap;
        if (wait_for(sub { !$t->processes || $t->status }, 20, 'an end')
            && $t->processes) {
            # The upgrade was through: the new master serves.
            check_return($t, $d);
        } else {
            is_deeply($t->holders('web'), {}, '... all descriptors are gone');
        }
        $d->finish;
        if (!$t->processes) {
            $t->start;
            is($t->wait_status->{connections}, 0, '... and it starts again');
        }
        $t->finish;
    }
};

done_testing;
