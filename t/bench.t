# The benchmark's load generator, against linnet and against the least that a
# server can do.  It checks every answer, so this is also a test of linnet:
# what many clients say at once comes back right, and reaches all subscribers
# on all workers once and in order.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;

use Test::Linnet;

my $tools = ($ENV{LINNET_BUILD} // repo_top() . '/objs') . '/bench';
plan skip_all => "$tools is not built: make unit" if !-x "$tools/load";

my $config = <<"INI";
[server]
workers     = 2
load_module = $tools/fanout.so

[listen web]
address  = 127.0.0.1:%%PORT_web%%
protocol = http

[route echo]
listen   = web
path     = /echo
protocol = websocket
app      = echo

[route fanout]
listen   = web
path     = /fanout
protocol = websocket
app      = fanout

[route deflate]
listen      = web
path        = /deflate
protocol    = websocket
app         = fanout
compression = shared

[route status]
listen  = web
path    = /healthz
handler = status
INI

# What it says of a short run, and its exit status.  A busy machine may bring
# nothing to an end in that time: then the next is longer.
sub load
{
    my ($work, $port, @options) = @_;
    my ($got, $status);
    for my $time (0.4, 2, 10) {
        ($status, my ($out, $err)) = run_command("$tools/load", $work, '--port',
            $port, '--time', $time, '--warm-up', '0.1', @options);
        $got = eval { JSON::PP::decode_json($out) } // {why => $out . $err};
        last if $status != 0 || ($got->{counted} // 1) > 0;
    }
    return ($got, $status);
}

sub is_good
{
    my ($name, $got, $status) = @_;
    ok($status == 0 && $got->{ok} && $got->{counted} > 0, $name)
        or diag explain $got;
    return $got;
}

subtest 'linnet' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $port = $t->port('web');
    my @pid = ('--pid', $t->master_pid);
    my $got = is_good('echoes', load('echo', $port, '--path', '/echo', @pid));
    is($got->{processes}, 3, 'the master and both workers are measured');
    cmp_ok($got->{cpu_ref}, '>', 0, 'CPU in units of the reference');
    is_good('many under way', load('echo', $port, '--path', '/echo',
            '--depth', 16, '--size', 16384));
    is_good('at a rate', load('echo', $port, '--path', '/echo', '--rate', 500));
    $got = is_good('fan-out', load('fanout', $port, '--path', '/fanout',
            '--clients', 100, '--publishers', 3, '--rate', 400, '--burst', 4));
    is_deeply([@$got{qw(lost twice out_of_order)}], [0, 0, 0],
        'every delivery once and in order');
    is_good('the same with deflate', load('fanout', $port, '--path',
            '/deflate', '--publishers', 2, '--rate', 100, '--size', 2000,
            '--deflate'));
    is_good('connections that come and go',
        load('churn', $port, '--path', '/echo'));
    is_good('requests', load('http', $port, '--path', '/healthz'));
    ($got) = load('idle', $port, '--path', '/echo', '--clients', 500, @pid);
    ok($got->{ok} && defined $got->{pss_each}, 'memory') or diag explain $got;
    $t->finish;
};

subtest 'the least' => sub {
    my $port = free_port();
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        exec "$tools/least", $port or POSIX::_exit(127);
    }
    ok(wait_for(sub {
            Test::Linnet::Stream->try_connect(host => '127.0.0.1',
                port => $port) }, 5, 'the least'), 'it answers');
    is_good('echoes', load('echo', $port, '--path', '/echo', '--depth', 16));
    is_good('fan-out', load('fanout', $port, '--path', '/sub',
            '--publish-path', '/pub', '--rate', 200));
    is_good('connections that come and go', load('churn', $port));
    is_good('requests', load('http', $port, '--path', '/page'));
    my ($got, $status) = load('fanout', $port, '--path', '/echo', '--rate', 20,
        '--clients', 10);
    ok($status == 1 && !$got->{ok} && $got->{lost} > 0,
        'what does not arrive is told');
    kill TERM => $pid;
    waitpid $pid, 0;
};

subtest 'what cannot be measured' => sub {
    my ($got, $status) = load('echo', free_port());
    ok($status == 1 && !$got->{ok} && $got->{why} =~ /refused/,
        'nobody listens');
    for my $wrong (['echo', '--depth', 0], ['dance'], ['fanout'],
        ['echo', '--colour', 'red']) {
        ($got, $status) = load($wrong->[0], 1, @$wrong[1 .. $#$wrong]);
        is($status, 2, "usage: @$wrong");
    }
};

done_testing;
