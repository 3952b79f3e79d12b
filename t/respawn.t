# Workers that die: a new one soon, with backoff when it goes on; nobody else
# notices.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 2s
load_module      = %%MODULE_trouble%%

[trouble]
file   = run/trouble
starts = run/starts

%%LISTEN_echo%%

[listen trouble]
address  = 127.0.0.1:%%PORT_trouble%%
protocol = line
app      = trouble
INI

sub server
{
    my $t = Test::Linnet->new(config => $config);
    spew($t->path('run/starts'), '');
    chmod 0666, $t->path('run/starts');
    return $t;
}

sub starts { return scalar split /\n/, slurp($_[0]->path('run/starts')) }

# Line connections until each worker has n; by pid.
sub connections
{
    my ($t, $n) = @_;
    my %by;
    my $workers = $t->workers;
    wait_for(
        sub {
            my $c = $t->connect('trouble');
            $c->write("pid\n");
            my $pid = $c->line // die 'no answer';
            push @{ $by{$pid} }, $c;
            return keys %by == $workers && !grep { @$_ < $n } values %by;
        },
        15,
        "$n clients of each"
    ) or die $t->evidence;
    return \%by;
}

sub answers
{
    my ($c, $pid) = @_;
    $c->write("pid\n") or return;
    return ($c->line(5) // '') eq $pid;
}

subtest 'kill -9 of each worker in turn' => sub {
    my $t = server()->start;
    $t->allow_alert(qr/signal 9/);
    my %before = map { $_->{slot} => $_ } @{ $t->status->{workers} };
    my $generation = $t->status->{generation};
    for my $slot (0, 1) {
        my $by = connections($t, 3);
        my $victim = $before{$slot}{pid};
        my ($other) = grep { $_ != $victim } keys %$by;
        my $begin = time;
        kill KILL => $victim;
        ok(wait_for(
                sub {
                    my ($w) = grep { $_->{slot} == $slot }
                        @{ $t->status->{workers} };
                    $w->{state} eq 'ready' && $w->{pid} != $victim;
                },
                5,
                'the new worker'
            ),
            "slot $slot: a new worker");
        cmp_ok(time - $begin, '<', 1 * time_factor(), '... in under a second');
        is(scalar(grep { !$_->closed(5) } @{ $by->{$victim} }), 0,
            '... its clients are cut off');
        is(scalar(grep { !answers($_, $other) } @{ $by->{$other} }), 0,
            '... those of the other noticed nothing');
        my ($w) = grep { $_->{slot} == $slot } @{ $t->status->{workers} };
        is($w->{restarts}, 1, '... restarts are counted');
        isnt($w->{incarnation}, $before{$slot}{incarnation},
            '... a new incarnation');
        is($w->{generation}, $generation, '... of the same generation');
        is($w->{connections}, 0, '... without connections');
        is($t->status->{generation}, $generation, '... generation unchanged');
    }
    my $by = connections($t, 1);
    is(scalar keys %$by, 2, 'both new ones serve');
    $t->finish;
};

subtest 'a client that makes a worker crash' => sub {
    my $t = server()->start;
    $t->allow_alert(qr/signal 6|SIGABRT/);
    my $by = connections($t, 2);
    my ($one, $two) = keys %$by;
    $by->{$one}[0]->write("crash\n");
    ok($by->{$one}[0]->closed(5), 'it is cut off');
    is(scalar(grep { !answers($_, $two) } @{ $by->{$two} }), 0,
        'clients of the other worker noticed nothing');
    $t->log_like(qr/\b$one\b.*(signal 6|SIGABRT)/, 'the log tells who and why');
    ok($t->wait_ready(5, 2), 'a new worker is there');
    is($t->status->{connections}, scalar @{ $by->{$two} },
        'connections are counted right after it');
    $t->finish;
};

subtest 'a worker that crashes at each start does not spin' => sub {
    my $t = server()->start;
    $t->allow_alert(qr/signal 6|SIGABRT|signal 9/);
    my $by = connections($t, 1);
    my ($victim, $other) = keys %$by;
    spew($t->path('run/trouble'), "crash\n");
    my $before = starts($t);
    my $cpu = proc_cpu($t->{pid});
    my $begin = time;
    kill KILL => $victim;
    ok(wait_for(sub { $t->workers('backoff') == 1 }, 5, 'state backoff'),
        'the status says backoff');
    wait_for(sub { time - $begin >= 5 }, 10, 'five seconds');
    my $n = starts($t) - $before;
    cmp_ok($n, '>=', 4, "$n starts in the first 5 seconds: it is tried again");
    cmp_ok($n, '<=', 12, '... but not more than 12 times');
    cmp_ok(proc_cpu($t->{pid}) - $cpu, '<', 1 * time_factor(),
        'the master took less than 20 % of a CPU');
    ok(answers($by->{$other}[0], $other), 'the other worker serves');
    my ($w) = $t->workers('backoff');
    cmp_ok($w->{restarts}, '>=', 4, 'restarts are counted') if $w;

    my ($exit, $out, $err) = $t->ctl('reload');
    is($exit, 1, 'a reload fails meanwhile');
    like($err, qr/signal 6|SIGABRT/, '... with the reason');
    ok(answers($by->{$other}[0], $other), '... and the other worker is kept');

    unlink $t->path('run/trouble');
    ok($t->wait_ready(8, 2), 'repaired: the worker comes back by itself');
    $t->finish;
};

subtest 'a worker that fails at each start' => sub {
    my $t = server()->start;
    $t->allow_alert(qr/signal 9/);
    spew($t->path('run/trouble'), "fail\n");
    my ($victim) = $t->worker_pids;
    kill KILL => $victim;
    ok(wait_for(sub { $t->workers('backoff') == 1 }, 5, 'state backoff'),
        'the status says backoff');
    $t->log_like(qr/trouble was asked to fail/, 'the log has the reason');
    my ($exit, $out, $err) = $t->ctl('stop');
    is($exit, 0, 'stop works in that state') or diag $err;
    is($t->wait_exit(5), 0, '... the master ended with 0');
    $t->finish;
};

# Some programs that start others do.
subtest 'a server that was started with SIGCHLD ignored' => sub {
    my $t = server();
    $t->allow_alert(qr/signal 9/);
    {
        local $SIG{CHLD} = 'IGNORE';
        $t->spawn;
    }
    $t->wait_ready(20) or die $t->evidence;
    my ($victim) = $t->worker_pids;
    kill KILL => $victim;
    ok(wait_for(
            sub {
                my @now = $t->worker_pids;
                return @now == 2 && !grep { $_ == $victim } @now;
            },
            5, 'another worker'
        ),
        'the worker that died is replaced'
    );
    is(($t->ctl('stop'))[0], 0, 'stop');
    is($t->wait_exit(5), 0, '... and it ends');
    $t->finish;
};

subtest 'the first start, with workers that fail' => sub {
    my $t = server();
    spew($t->path('run/trouble'), "fail\n");
    for my $args ([], ['-d']) {
        my ($exit, $out, $err) = $t->run({ timeout => 20 }, @$args);
        is($exit, 1, "exit 1 (@$args)");
        like($err, qr/trouble was asked to fail/, '... with the reason');
        # A detached one says how it went and then ends.
        ok(wait_for(sub { !$t->processes }, @$args ? 3 : 0, 'nobody'),
            '... and no process left');
        ok(!-e $t->path('run/control.sock'), '... nor a socket');
    }
    $t->finish;
};

subtest 'the first start, with workers that crash' => sub {
    my $t = server();
    $t->allow_alert(qr/signal 6|SIGABRT/);
    spew($t->path('run/trouble'), "crash\n");
    my $begin = time;
    $t->spawn;
    ok(wait_for(sub { -S $t->path('run/control.sock')
                && $t->workers('backoff') == 2 }, 5, 'state backoff'),
        'it is there, and says backoff');
    wait_for(sub { time - $begin >= 5 }, 10, 'five seconds');
    my $n = starts($t);
    cmp_ok($n, '>=', 8, "$n starts of two workers in the first 5 seconds");
    cmp_ok($n, '<=', 24, '... but not more than 12 each');
    unlink $t->path('run/trouble');
    ok($t->wait_ready(10, 2), 'repaired: they come up by themselves');
    is($t->stop, 0, 'stopped');

    # Whoever waits for a detached one is not kept waiting for ever.
    spew($t->path('run/trouble'), "crash\n");
    my ($exit, $out, $err) = $t->run({ timeout => 20 }, '-d');
    is($exit, 1, '-d: exit 1');
    like($err, qr/signal 6|SIGABRT/, '... with the reason');
    ok(wait_for(sub { !$t->processes }, 5, 'nobody'), '... nobody left');
    $t->finish;
};

subtest 'fork fails' => sub {
    plan skip_all => 'no prlimit' if system 'command -v prlimit >/dev/null';
    my @as = $> ? () : (user => 'nobody');
    my $t = Test::Linnet->new(config => $config, @as);
    spew($t->path('run/starts'), '');
    chmod 0666, $t->path('run/starts');
    $t->start;
    $t->allow_alert(qr/signal 9/);
    # The limit counts all processes of the user; one is always too few.
    my $limit = sub {
        my ($n) = @_;
        my ($exit, undef, $err) = run_command({@as}, 'prlimit',
            "--pid=$t->{pid}", "--nproc=$n:");
        return $exit == 0 ? '' : "prlimit: $err";
    };
    my $why = $limit->(1);
    if ($why) {
        $t->finish;
        plan skip_all => $why;
    }
    my ($victim, $other) = $t->worker_pids;
    kill KILL => $victim;
    $t->log_like(qr/cannot start worker \d: .*again in \d+ ms/,
        'the log says so, and that it will be tried again');
    is(scalar $t->workers('backoff'), 1, 'state backoff');
    my $c = $t->connect('echo');
    $c->write('x');
    is($c->read_exact(1), 'x', 'the other worker serves');
    my ($exit, $out, $err) = $t->ctl('reload');
    is($exit, 1, 'a reload fails');
    like($err, qr/cannot start a? ?worker.*: /, '... with the reason');
    is(($t->worker_pids)[0], $other, '... and the other worker is kept');
    is($limit->(10_000), '', 'the limit is lifted');
    ok($t->wait_ready(10, 2), 'the worker comes back by itself');
    is(($t->ctl('reload'))[0], 0, 'a reload works');
    $t->finish;
};

subtest 'both workers die at once, again and again' => sub {
    my $t = server()->start;
    $t->allow_alert(qr/signal 9/);
    my $s = $t->status;
    for my $round (1 .. 5) {
        kill KILL => $t->worker_pids;
        ok($t->wait_ready(10, 2), "round $round: both are back");
        my $c = $t->connect('echo');
        $c->write('x');
        is($c->read_exact(1, 2), 'x', '... and serve');
    }
    my $now = $t->status;
    is($now->{pid}, $s->{pid}, 'the same master');
    is($now->{epoch}, $s->{epoch}, 'the same epoch: the zone lived on');
    is($now->{generation}, $s->{generation}, 'the same generation');
    $t->finish;
};

subtest 'a worker that is stopped, not dead' => sub {
    my $t = server()->start;
    my $by = connections($t, 1);
    my ($stopped, $other) = keys %$by;
    kill STOP => $stopped;
    my $served = 0;
    my @late;
    for (1 .. 20) {
        my $c = $t->connect('trouble');
        $c->write("pid\n");
        my $pid = $c->line(1) // '';
        $pid eq $other ? $served++ : push @late, $c;
    }
    cmp_ok($served, '>=', 1, "$served of 20 new clients are served meanwhile");
    is($served + @late, 20, '... no other worker answers');
    ok(answers($by->{$other}[0], $other), 'the old ones, too');
    my ($exit) = $t->ctl('status');
    is($exit, 0, 'the control socket answers');
    kill CONT => $stopped;
    is(scalar(grep { !defined $_->line(5) } @late), 0,
        'after SIGCONT nobody was forgotten');
    ok(answers($by->{$stopped}[0], $stopped), 'it goes on where it was');
    $t->finish;
};

done_testing;
