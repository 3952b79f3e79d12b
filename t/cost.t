# What a message costs on its way from one worker to others: system calls of
# the publisher, and CPU of everybody, to 1, 2, 4 and 8 workers.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

sub server
{
    my ($workers) = @_;
    return Test::Linnet->new(config => <<"INI")->start;
[server]
workers          = $workers
shutdown_timeout = 2s
load_module      = %%MODULE_cost%%

[listen cost]
address  = 127.0.0.1:%%PORT_cost%%
protocol = line
app      = cost
INI
}

# A connection to each worker: pairs of pid and connection.
sub one_on_each
{
    my ($t) = @_;
    my $n = $t->workers;
    my (%by, @others);
    wait_for(
        sub {
            push @others, my $c = $t->connect('cost');
            $c->write("where\n");
            $by{ $c->line(5) } //= $c;
            return keys %by == $n;
        },
        15,
        "connections to $n workers"
    ) or die 'not all workers take connections';
    return map { [$_, $by{$_}] } sort { $a <=> $b } keys %by;
}

sub listens
{
    my ($c, $room) = @_;
    $c->write("listen $room\n");
    return ($c->line(5) // '') eq 'listening';
}

# Calls of the process by name while the code runs; undef when it cannot be
# traced, with the reason in $@.
sub traced
{
    my ($t, $pid, $code) = @_;
    my $out = $t->path('strace.out');
    unlink $out;
    my $strace = fork // die $!;
    if (!$strace) {
        open STDERR, '>', $t->path('strace.err');
        no warnings 'exec';
        exec 'strace', '-qq', '-c', '-p', $pid, '-o', $out;
        POSIX::_exit(127);
    }
    my $attached = wait_for(
        sub {
            return 'gone' if waitpid($strace, POSIX::WNOHANG()) == $strace;
            return slurp("/proc/$pid/status") =~ /^TracerPid:\s+$strace\b/m;
        },
        5,
        'strace to attach'
    );
    if (!$attached || $attached eq 'gone') {
        kill KILL => $strace;
        waitpid $strace, 0;
        $@ = 'strace cannot attach here: ' . slurp($t->path('strace.err'));
        return;
    }
    $code->();
    kill INT => $strace;
    waitpid $strace, 0;
    my %calls;
    for (split /\n/, slurp($out)) {
        my @f = split;
        next unless @f >= 5 && $f[3] =~ /^\d+$/ && $f[0] =~ /^[\d.]+$/;
        $calls{ $f[-1] } = $f[3] if $f[-1] ne 'total';
    }
    return \%calls;
}

# "write 1.00, recvfrom 1.00": calls of each of n messages.
sub per_message
{
    my ($calls, $n) = @_;
    return join ', ', map { sprintf '%s %.2f', $_, $calls->{$_} / $n }
        sort { $calls->{$b} <=> $calls->{$a} || $a cmp $b } keys %$calls;
}

sub sum
{
    my $sum = 0;
    $sum += $_ for @_;
    return $sum;
}

subtest 'system calls of a publisher' => sub {
    plan skip_all => 'no strace here'
        if system 'command -v strace >/dev/null';
    my $t = server(2);
    my ($here, $there) = one_on_each($t);
    my ($pid, $c) = @$here;
    my $listener = $there->[1];
    ok(listens($listener, 'lobby'), 'a listener on the other worker');

    # Nobody listens where it is published, and the other worker sleeps: it
    # has just told its listener of the last one.
    my ($n, $heard) = (300, 0);
    my $calls = traced($t, $pid, sub {
        for my $i (1 .. $n) {
            $c->write("post lobby number $i\n");
            $heard++ if ($listener->line(5) // '') eq "number $i";
        }
    });
    if (!$calls) {
        my $why = $@;
        $t->finish;
        plan skip_all => $why;
    }
    is($heard, $n, "$n messages, one by one");
    note 'to one that sleeps, each: ', per_message($calls, $n);
    my %rest = %$calls;
    delete $rest{epoll_wait};
    cmp_ok(sum(values %rest), '<=', 2 * $n + 6,
        'two system calls each: to receive it, and to wake the other worker')
        or diag per_message($calls, $n);
    cmp_ok($rest{recvfrom} // $rest{recvmsg} // 0, '>=', $n, '... received');
    cmp_ok($rest{write} // 0, '<=', $n, '... woken no more than once');
    cmp_ok($rest{write} // 0, '>=', $n / 2, '... and woken most times');

    # The other worker is awake, in the middle of something.
    my $busy = 1000 * time_factor();
    $t->log_mark;
    $listener->write("busy $busy\n");
    $t->log_like(qr/cost is busy/, 'the other worker is busy');
    my ($m, $acked) = (50, 0);
    $calls = traced($t, $pid, sub {
        for my $i (1 .. $m) {
            $c->write("say lobby more $i\n");
            $acked++ if ($c->line(5) // '') eq 'ok';
        }
    });
    my $still = $t->log_text !~ /cost is idle/;
    is($acked, $m, "$m messages meanwhile");
    SKIP: {
        skip 'it was not busy for long enough', 2 unless $still;
        note 'to one that is awake, each: ', per_message($calls, $m);
        is($calls->{write} // 0, 0, 'nothing is spent on waking it');
        delete @$calls{qw(epoll_wait)};
        cmp_ok(sum(values %$calls), '<=', 2 * $m + 6,
            'two system calls each: to receive it, and to say so');
    }
    $heard = grep { ($listener->line(10) // '') eq "more $_" } 1 .. $m;
    is($heard, $m, 'it finds them all when it looks');

    # Many in one go.
    my $k = 500;
    $calls = traced($t, $pid, sub {
        $c->write(join '', map { "post lobby part $_\n" } 1 .. $k);
        $heard = grep { ($listener->line(10) // '') eq "part $_" } 1 .. $k;
    });
    is($heard, $k, "$k messages at once");
    note "$k at once, each: ", per_message($calls, $k);
    cmp_ok(sum(values %$calls), '<', $k / 5,
        'far less than one system call each');
    $t->finish;
};

# ---- fan-out -------------------------------------------------------------

# Seconds of CPU, to the nanosecond.
sub cpu
{
    my ($pid) = @_;
    my ($ns) = slurp("/proc/$pid/schedstat") =~ /^(\d+)/;
    return defined $ns ? $ns / 1e9 : proc_cpu($pid);
}

# CPU that n messages of one worker take there, and of each of the others, in
# microseconds a message; undef when not all are heard.
sub measure
{
    my ($n, $from, $to, $code) = @_;
    my @pids = ($from->[0], map { $_->[0] } @$to);
    my @before = map { cpu($_) } @pids;
    my $heard = $code->();
    return if $heard != $n * @$to;
    my @used = map { (cpu($pids[$_]) - $before[$_]) * 1e6 / $n } 0 .. $#pids;
    my $publisher = shift @used;
    return ($publisher, sum(@used) / @used);
}

# The lines of a connection that are as expected.
sub heard
{
    my ($c, @expected) = @_;
    return scalar grep { ($c->line(20) // '') eq $_ } @expected;
}

subtest 'fan-out' => sub {
    for my $n (1, 2, 4, 8) {
        my $t = server($n + 1);
        my ($from, @to) = one_on_each($t);
        is(scalar(grep { listens($_->[1], 'lobby') } @to), $n,
            "a listener on each of $n workers");
        my $text = 'x' x 64;

        # Each alone, to workers that sleep.
        my $count = 400;
        my ($publisher, $other) = measure($count, $from, \@to, sub {
            my $all = 0;
            for my $i (1 .. $count) {
                $from->[1]->write("post lobby $text\n");
                $all += heard($_->[1], $text) for @to;
            }
            return $all;
        });
        ok(defined $publisher, "$count messages, one by one, to $n workers");
        note sprintf 'one by one, to %d: %.1f us of the publisher, %.1f us of '
            . 'each other worker', $n, $publisher, $other
            if defined $publisher;

        # As many as the publisher can read at once.
        my ($runs, $run) = (40, 100);
        ($publisher, $other) = measure($runs * $run, $from, \@to, sub {
            my $all = 0;
            for my $i (1 .. $runs) {
                $from->[1]->write("post lobby $text\n" x $run);
                $all += heard($_->[1], ($text) x $run) for @to;
            }
            return $all;
        });
        ok(defined $publisher, $runs * $run . ' in runs');
        note sprintf 'in runs of %d, to %d: %.2f us of the publisher, '
            . '%.2f us of each other worker', $run, $n, $publisher, $other
            if defined $publisher;
        $t->finish;
    }
};

done_testing;
