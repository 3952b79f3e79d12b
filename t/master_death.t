# SIGKILL of the master under load: the workers drain and go, by the shutdown
# timeout at the latest, and nothing is left.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 4
shutdown_timeout = 3s

%%LISTEN_echo%%

%%LISTEN_web%%

%%ROUTE_echo%%
INI

my $t = Test::Linnet->new(config => $config)->start;
my @polite = map { $t->websocket('web', '/echo') } 1 .. 20;
my @stubborn = map { $t->websocket('web', '/echo') } 1 .. 20;
my @idle = map { $t->connect('echo') } 1 .. 20;

# Load: processes that connect, echo and leave as fast as they can, until
# nobody answers.
my @load;
for (1 .. 2) {
    my $pid = fork // die $!;
    if (!$pid) {
        my $end = time + 60;
        while (time < $end) {
            my $c = Test::Linnet::Stream->try_connect(host => '127.0.0.1',
                port => $t->port('echo')) or last;
            for (1 .. 20) {
                $c->write('hello') && defined $c->read_exact(5, 2) or last;
            }
            $c->close;
        }
        POSIX::_exit(0);
    }
    push @load, $pid;
}
ok(wait_for(
        sub {
            my $n = 0;
            $n += $_->{messages_in} for $t->workers;
            $n > 1000;
        },
        10,
        'some load'
    ),
    'the load runs');

my @workers = $t->worker_pids;
my $begin = time;
kill KILL => $t->{pid};
is($t->wait_exit(5), 137, 'the master is killed');

my @codes = map { $_->wait_close(5) // 'none' } @polite;
is_deeply([grep { $_ ne '1001' } @codes], [], 'clients are told 1001');
$_->close(1001) for @polite;
@codes = map { $_->wait_close(5) // 'none' } @stubborn;
is_deeply([grep { $_ ne '1001' } @codes], [],
    '... and those who will not answer');

ok(wait_for(sub { !grep { proc_alive($_) } @workers }, 8, 'workers to go'),
    'every worker is gone');
cmp_ok(time - $begin, '<', 3 * time_factor() + 1.5, '... by shutdown_timeout');
is(scalar $t->processes, 0, 'no process is left');
ok($t->port_free($_), "port $_ is free") for qw(echo web);
is(scalar(grep { !$_->closed(2) } @idle, map { $_->stream } @stubborn), 0,
    'no client hangs on');
waitpid $_, 0 for @load;

$t->start;
my $c = $t->connect('echo');
$c->write('again');
is($c->read_exact(5), 'again', 'a new server starts on the same prefix');
$t->finish;

# Without a client there is nothing to wait for.
$t = Test::Linnet->new(config => $config)->start;
@workers = $t->worker_pids;
$begin = time;
kill KILL => $t->{pid};
$t->wait_exit(5);
ok(wait_for(sub { !grep { proc_alive($_) } @workers }, 5, 'workers to go'),
    'idle workers go');
cmp_ok(time - $begin, '<', 1.5 * time_factor(), '... at once');
$t->finish;

# A worker that was about to start must not outlive its master either.
$t = Test::Linnet->new(config => $config);
for my $nth (1 .. 5) {
    $t->spawn;
    wait_for(sub { $t->processes >= $nth || !$t->{pid} }, 5,
        "$nth processes");
    die "it ended\n" . $t->evidence unless $t->{pid};
    kill KILL => $t->{pid};
    $t->wait_exit(5);
    ok(wait_for(sub { !$t->processes }, 8, 'processes to go'),
        "killed at start with $nth processes there: none is left");
}
$t->finish;

done_testing;
