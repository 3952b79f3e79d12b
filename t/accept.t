# Accepting: connections spread over the workers, limits, and what happens
# when the descriptors run out.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

sub config
{
    my ($workers, $limits) = @_;
    return <<"INI";
[server]
workers          = $workers
shutdown_timeout = 2s

[limits]
$limits

%%LISTEN_echo%%
INI
}

sub try_echo
{
    my ($t, $timeout) = @_;
    my $c = Test::Linnet::Stream->try_connect(host => '127.0.0.1',
        port => $t->port('echo')) or return;
    $c->write('hello') or return;
    my $got = $c->read_exact(5, $timeout // 5) // return;
    return $got eq 'hello' ? $c : undef;
}

# How the open connections lie, by slot.
sub spread
{
    my ($t) = @_;
    return map { $_->{connections} }
        sort { $a->{slot} <=> $b->{slot} } $t->workers;
}

# Connections that stay; how they lie.
sub crowd
{
    my ($n, $how, $stopped) = @_;
    my $t = Test::Linnet->new(config => config(4, ''))->start;
    my ($victim) = $t->worker_pids;
    kill STOP => $victim if $stopped;
    my @c;
    for my $n (1 .. $n) {
        my $c = $t->connect('echo');
        if ($how =~ /each/) {
            $c->write('x');
            $c->read_exact(1);
        }
        push @c, $c;
    }
    ok(wait_for(sub { $t->status->{connections} == $n }, 10, 'all'),
        "$how: all are accepted");
    my @n = sort { $b <=> $a } spread($t);
    kill CONT => $victim if $stopped;
    $t->finish;
    return @n;
}

# No worker has more than 1.25 times the mean.  All of it takes a tenth of a
# second: a busy machine may not let a worker run once in that time.
sub is_spread
{
    my ($mean, @crowd) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @n;
    for (1 .. 5) {
        @n = crowd(@crowd);
        last if $n[0] <= 1.25 * $mean;
        note "uneven: @n";
    }
    return cmp_ok($n[0], '<=', 1.25 * $mean,
        "... no worker has more than 1.25 times the mean (@n)");
}

my @hows = ('all at once', 'one after the other, each says something');

subtest '1,000 long-lived connections over 4 workers' => sub {
    skip_without_files(1100);
    is_spread(250, 1000, $_) for @hows;
};

subtest 'one of four stands still' => sub {
    skip_without_files(700);
    is_spread(200, 600, $_, 1) for @hows;
};

subtest 'a dead worker strands nobody' => sub {
    my $t = Test::Linnet->new(config => config(4, ''))->start;
    $t->allow_alert(qr/signal 9/);
    my ($victim) = $t->worker_pids;
    kill STOP => $victim;
    my @c = map { $t->connect('echo') } 1 .. 60;
    $_->write('hello') for @c;
    kill KILL => $victim;
    my $served = 0;
    my $cut = 0;
    for my $c (@c) {
        my $got = $c->read_exact(5, 5);
        defined $got ? $served++ : $c->closed(0) ? $cut++ : 0;
    }
    is($served + $cut, 60, 'every client is served or cut off, none hangs');
    cmp_ok($served, '>=', 45, "... most are served ($served of 60)");
    ok($t->wait_ready(5, 4), 'four workers again');
    $t->finish;
};

subtest 'connections: a limit for a worker' => sub {
    my $t = Test::Linnet->new(config => config(1, 'connections = 20'))->start;
    my @c = grep { defined } map { try_echo($t) } 1 .. 20;
    is(scalar @c, 20, '20 are served');
    my $more = eval { $t->connect('echo') };
    my $refused = !$more || !$more->write('x') || $more->closed(1)
        || !length $more->pending;
    ok($refused, 'one more is not');
    $more->close if $more;
    (shift @c)->close for 1 .. 5;
    ok(wait_for(sub { $t->status->{connections} <= 15 }, 5, 'to close'),
        'five leave');
    my @again = grep { defined } map { try_echo($t) } 1 .. 5;
    is(scalar @again, 5, '... five others are served');
    $t->finish;
};

subtest 'connections_per_ip' => sub {
    my $t = Test::Linnet->new(config => config(1,
            'connections_per_ip = 5'))->start;
    my @c = grep { defined } map { try_echo($t) } 1 .. 5;
    is(scalar @c, 5, 'five from one address are served');
    ok(!try_echo($t, 1), 'a sixth is not');
    my $other = Test::Linnet::Stream->connect(host => '127.0.0.1',
        port => $t->port('echo'), from => '127.0.0.9');
    $other->write('hello');
    is($other->read_exact(5, 5), 'hello', 'one from another address is');
    (pop @c)->close;
    ok(wait_for(sub { my $c = try_echo($t, 1) or return; push @c, $c; 1 }, 5,
            'a place'), 'when one has left, the next is served');
    $t->finish;
};

subtest 'descriptors run out' => sub {
    my @as = $> == 0 ? (user => 'nobody') : ();
    my $t = Test::Linnet->new(config => config(1, ''), ulimit => ['n 64'],
        @as)->start;
    my ($pid) = $t->worker_pids;
    my @c = map { $t->connect('echo') } 1 .. 200;
    my $served = 0;
    $_->write('hello') for @c;
    for my $c (@c[0 .. 9]) {
        $served++ if ($c->read_exact(5, 5) // '') eq 'hello';
    }
    is($served, 10, 'those who came first are served');
    # Whoever is beyond the limit waits or is turned away; either is fine, as
    # long as the worker neither spins nor dies.
    my ($cpu, $begin) = (proc_cpu($pid), time);
    wait_for(sub { time - $begin > 2 }, 10, 'two seconds');
    my $used = (proc_cpu($pid) - $cpu) / (time - $begin);
    cmp_ok($used, '<', 0.05 * time_factor(),
        sprintf 'CPU at the limit: %.1f %%', 100 * $used);
    is(($t->worker_pids)[0], $pid, 'the worker lives');
    my $s = $t->status;
    cmp_ok($s->{connections}, '<', 64, "... with $s->{connections} clients");
    $c[0]->write('again');
    is($c[0]->read_exact(5, 5), 'again', '... and serves them');
    is(($t->ctl('reopen'))[0], 0, '... reopens its logs');
    is(($t->ctl('reload'))[0], 0, '... is reloaded');
    $_->write('moved') for @c[0 .. 9];
    is(scalar(grep { ($_->read_exact(5, 5) // '') ne 'moved' } @c[0 .. 9]), 0,
        '... and its clients move');

    $_->close for @c;
    $begin = time;
    ok(wait_for(sub { try_echo($t, 1) }, 5, 'a new client'),
        'when they have left, a new client is served');
    cmp_ok(time - $begin, '<', 1 * time_factor(), '... in under a second');
    ok(wait_for(sub { $t->status->{connections} <= 1 }, 5, 'none'),
        'nothing leaks');
    is(($t->ctl('reload'))[0], 0, 'it reloads with few descriptors');
    $t->finish;
};

subtest 'the limit is lifted while clients wait' => sub {
    plan skip_all => 'no prlimit' if system 'command -v prlimit >/dev/null';
    skip_without_files(1024);
    # The limit of another process may be raised by its own user only.
    my $user = $> ? '' : 'user = root';
    my $t = Test::Linnet->new(config => config(1, '')
            =~ s/^workers/$user\nopen_files = 64\nworkers/mr,
        ulimit => ['Sn 64'])->start;
    my ($pid) = $t->worker_pids;
    my @c = map { $t->connect('echo') } 1 .. 120;
    $_->write('hello') for @c;
    is($c[0]->read_exact(5, 5), 'hello', 'the first is served');
    ok(wait_for(sub { fd_count($pid) >= 54 }, 5, 'the limit'),
        'the worker takes no more');
    cmp_ok(fd_count($pid), '<=', 56, '... because that is the limit');
    my $said = `prlimit --pid=$pid --nofile=1024: 2>&1`;
    if ($? != 0) {
        $t->finish;
        plan skip_all => "prlimit: $said";
    }
    my $begin = time;
    my $served = grep { ($_->read_exact(5, 2) // '') eq 'hello' }
        @c[1 .. $#c];
    my $cut = grep { $_->closed(0) } @c[1 .. $#c];
    cmp_ok(time - $begin, '<', 2 * time_factor(), 'soon');
    is($served + $cut, 119, 'all the others are served, or were turned away'
            . " ($served, $cut)");
    cmp_ok($served, '>', 10, '... some of them served');
    $t->finish;
};

subtest 'no descriptor is left for what the master sends' => sub {
    plan skip_all => 'no prlimit' if system 'command -v prlimit >/dev/null';
    skip_without_files(1024);
    my $user = $> ? '' : 'user = root';
    my $t = Test::Linnet->new(config => config(1, '')
            =~ s/^workers/$user\nworkers/mr)->start;
    my ($pid) = $t->worker_pids;
    my $c = try_echo($t);
    my $said = `prlimit --pid=$pid --nofile=8: 2>&1`;
    if ($? != 0) {
        $t->finish;
        plan skip_all => "prlimit: $said";
    }
    my ($exit, $out, $err) = $t->ctl('reopen');
    is($exit, 1, 'reopen fails');
    like($err, qr/worker 0: Too many open files/, '... with the reason');
    $c->write('again');
    is($c->read_exact(5, 5), 'again', 'the worker serves on');
    is(($t->worker_pids)[0], $pid, '... the same one');
    system "prlimit --pid=$pid --nofile=1024:";
    is(($t->ctl('reopen'))[0], 0, 'with more, it reopens');
    $c->write('again');
    is($c->read_exact(5, 5), 'again', '... and serves');
    $t->finish;
};

subtest 'accept4 fails' => sub {
    plan skip_all => 'no strace' if system 'command -v strace >/dev/null';
    for my $error (qw(ECONNABORTED EMFILE ENFILE ENOBUFS EPERM)) {
        my $t = Test::Linnet->new(config => config(1, ''))->start;
        my ($pid) = $t->worker_pids;
        my $strace = fork // die $!;
        if (!$strace) {
            open STDERR, '>', $t->path('strace.err');
            exec 'strace', '-qq', '-p', $pid, '-e', 'trace=accept4', '-e',
                "inject=accept4:error=$error:when=1..5", '-o',
                $t->path('strace.out') or POSIX::_exit(127);
        }
        my $attached = wait_for(
            sub { slurp("/proc/$pid/status") =~ /^TracerPid:\s+$strace\b/m },
            5, 'strace to attach');
        if (!$attached) {
            kill KILL => $strace;
            waitpid $strace, 0;
            $t->finish;
            plan skip_all => 'strace cannot attach here: '
                . slurp($t->path('strace.err'));
        }
        my @c = map { $t->connect('echo') } 1 .. 10;
        $_->write('hello') for @c;
        my $served = grep { ($_->read_exact(5, 5) // '') eq 'hello' } @c;
        # Without a descriptor left, a client may be turned away, not kept.
        my $cut = $error =~ /FILE/ ? grep({ $_->closed(0) } @c) : 0;
        is($served + $cut, 10, "$error, five times: nobody is left waiting"
                . " ($served served, $cut turned away)");
        cmp_ok($served, '>=', 5, '... most are served');
        kill TERM => $strace;
        waitpid $strace, 0;
        my $trace = slurp($t->path('strace.out'));
        like($trace, qr/$error.*INJECTED/, '... it did happen');
        my $calls = () = $trace =~ /accept4\(/g;
        cmp_ok($calls, '<', 200, "... without spinning ($calls calls)");
        is(($t->worker_pids)[0], $pid, '... the worker lives');
        $t->finish;
    }
};

# Sharing must not become waiting: with short visits the workers once handed
# the listener to and fro, two connections in 20 ms.
subtest 'short visits take two workers no longer than one' => sub {
    my %took;
    for my $workers (1, 2) {
        my $t = Test::Linnet->new(config => config($workers, ''))->start;
        my ($begin, $served) = (time, 0);
        for my $round (1 .. 30) {
            my @c = map { $t->connect('echo') } 1 .. 40;
            $_->write('hello') for @c;
            $served += ($_->read_exact(5, 5) // '') eq 'hello' for @c;
            $_->close for @c;
        }
        $took{$workers} = time - $begin;
        is($served, 1200, "$workers workers: all are served");
        $t->finish;
    }
    cmp_ok($took{2}, '<', 3 * $took{1} + 0.5,
        sprintf '... in %.2f s, and %.2f s with two', @took{1, 2});
};

subtest 'coming and going' => sub {
    my $t = Test::Linnet->new(config => config(2, ''))->start;
    my @pids = $t->worker_pids;
    my (@rss, @fds);
    for my $round (1 .. 3) {
        for my $n (1 .. 2000) {
            my $c = Test::Linnet::Stream->try_connect(host => '127.0.0.1',
                port => $t->port('echo')) or die "connect: $!";
            # A third says something, a third leaves by a reset.
            $c->write('x') if $n % 3 == 0;
            $c->close($n % 3 == 1);
        }
        # Some may still wait to be accepted when nobody is there.
        ok(wait_for(sub {
            my $s = $t->status;
            return $s->{connections} == 0
                && $s->{counters}{accepted_total} == 2000 * $round;
        }, 10, 'none'), "round $round: 2,000 came and went");
        push @rss, proc_rss($pids[0]) + proc_rss($pids[1]);
        push @fds, fd_count($pids[0]) + fd_count($pids[1]);
    }
    is_deeply([$t->worker_pids], \@pids, 'the same workers');
    is($fds[2], $fds[0],
        'as many descriptors after the last as after the first');
    cmp_ok($rss[2], '<=', $rss[1] * 1.05 * ($ENV{LINNET_SANITIZE} ? 1.5 : 1),
        'flat memory');
    $t->finish;
};

done_testing;
