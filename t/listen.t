# Listeners: IPv4, IPv6, unix sockets, a bare port, several addresses.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket;
use Test::More;

use Test::Linnet;

sub config
{
    my ($addresses) = @_;
    return "[server]\nworkers = 2\n\n[listen echo]\n"
        . join('', map { "address = $_\n" } @$addresses) . "app = echo\n";
}

my $probe;
my $v6 = socket($probe, PF_INET6, SOCK_STREAM, 0)
    && bind($probe, pack_sockaddr_in6(0, Socket::IN6ADDR_LOOPBACK()));

subtest 'unix socket' => sub {
    my $t = Test::Linnet->new(config => config(['unix:run/echo.sock']));
    $t->start;
    ok(-S $t->path('run/echo.sock'), 'a path relative to the prefix');
    is(sprintf('%o', (stat $t->path('run/echo.sock'))[2] & 07777), '666',
        'anybody may connect');
    ok($t->echoes('unix:echo'), 'serves');
    is(($t->ctl('reload'))[0], 0, 'reloaded');
    ok($t->echoes('unix:echo'), '... serves');
    my ($exit, $out, $err) = $t->reload(config(['unix:%%UNIX_other%%']));
    is($exit, 0, 'reloaded with another path') or diag $err;
    ok($t->echoes('unix:other'), '... serves there');
    ok(wait_for(sub { !-e $t->path('run/echo.sock') }, 5, 'the file to go'),
        '... the old file is gone');
    ($exit, $out, $err) = $t->reload(config(['unix:%%UNIX_other%%',
                'unix:%%UNIX_private%%']) . "mode = 600\n");
    is($exit, 0, 'mode = 600') or diag $err;
    is(sprintf('%o', (stat $t->path('run/private.sock'))[2] & 07777), '600',
        '... is the mode of a new one');
    is(sprintf('%o', (stat $t->path('run/other.sock'))[2] & 07777), '600',
        '... and of one that was there');
    kill KILL => $t->processes;
    $t->wait_exit(5);
    wait_for(sub { !$t->processes }, 5, 'all to be gone');
    ok(-S $t->path('run/other.sock'), 'killed: the file stays');
    $t->start;
    ok($t->echoes('unix:other'), '... and is taken over by the next');
    is($t->stop, 0, 'stopped');
    ok(!-e $t->path('run/other.sock'), '... the file is gone');

    my $other = Test::Linnet->new(
        config => config(["unix:" . $t->path('run/other.sock')]));
    $t->start;
    ($exit, $out, $err) = $other->run;
    is($exit, 1, 'another server on the same path is refused');
    like($err, qr{run/other\.sock.*in use}i, '... with the reason');
    ok($t->echoes('unix:other'), '... the first serves on');
    $other->finish;

    spew($t->path('run/file'), "precious\n");
    ($exit, $out, $err) = $t->reload(config(['unix:run/file']));
    is($exit, 1, 'a path where a file stands is refused');
    is(slurp($t->path('run/file')), "precious\n", '... the file is untouched');
    $t->finish;
};

subtest 'IPv6' => sub {
    plan skip_all => 'no IPv6 here' unless $v6;
    my $t = Test::Linnet->new(config => config(['[::1]:%%PORT_six%%']));
    $t->start;
    my $port = $t->port('six');
    ok($t->echoes(['::1', $port]), 'serves');
    ok(!$t->echoes(['127.0.0.1', $port]), 'on that address only');
    is(($t->ctl('reload'))[0], 0, 'reloaded');
    ok($t->echoes(['::1', $port]), '... serves');
    $t->finish;
};

subtest 'all addresses' => sub {
    my $t = Test::Linnet->new(config => config(['%%PORT_any%%']));
    $t->start;
    my $port = $t->port('any');
    ok($t->echoes(['127.0.0.1', $port]), 'a bare port: 127.0.0.1');
    ok($t->echoes(['127.0.0.77', $port]), '... any local address');
    my ($exit, $out, $err) = $t->reload(config(['0.0.0.0:%%PORT_zero%%']));
    is($exit, 0, '0.0.0.0') or diag $err;
    ok($t->echoes(['127.0.0.5', $t->port('zero')]), '... serves');
    if ($v6) {
        ($exit, $out, $err) = $t->reload(config(['[::]:%%PORT_colons%%']));
        is($exit, 0, '[::]') or diag $err;
        ok($t->echoes(['::1', $t->port('colons')]), '... serves ::1');
    }
    $t->finish;
};

subtest 'several addresses of one listener' => sub {
    my @all = ('127.0.0.1:%%PORT_a%%', '127.0.0.2:%%PORT_a%%',
        '127.0.0.1:%%PORT_b%%', 'unix:%%UNIX_c%%');
    my $t = Test::Linnet->new(config => config(\@all));
    $t->start;
    my @to = (['127.0.0.1', $t->port('a')], ['127.0.0.2', $t->port('a')],
        ['127.0.0.1', $t->port('b')], 'unix:c');
    for my $i (0 .. $#to) {
        ok($t->echoes($to[$i]), "address $all[$i]");
    }
    my ($exit, $out, $err) = $t->reload(config([@all[0, 3]]));
    is($exit, 0, 'two of them are taken away') or diag $err;
    ok($t->echoes($to[0]), '... the others serve');
    ok($t->echoes($to[3]), '... all of them');
    ok(wait_for(sub { !$t->echoes($to[2]) }, 5, 'it to go'),
        '... those do not');
    $t->finish;
};

subtest 'while the server quits' => sub {
    my $t = Test::Linnet->new(config => <<'INI');
[listen web]
address  = 127.0.0.1:%%PORT_x%%
address  = unix:%%UNIX_x%%
protocol = http
%%ROUTE_echo%%
INI
    $t->start;
    my $c = $t->websocket('x', '/echo'); # does not answer the goodbye
    $t->signal('QUIT');
    for my $to ('x', 'unix:x') {
        ok(wait_for(sub { !eval { $t->connect($to) } }, 5, 'a refusal'),
            "a new client is refused ($to)");
    }
    ok(!defined $t->reap, 'while the server waits for the other one');
    $c->stream->close;
    is($t->wait_exit(10), 0, 'it ends after that');
    $t->finish;
};

subtest 'an address that is not ours' => sub {
    my $t = Test::Linnet->new(config => config(['192.0.2.1:%%PORT_x%%']));
    my ($exit, $out, $err) = $t->run;
    is($exit, 1, 'exit 1');
    like($err, qr/192\.0\.2\.1:\d+.*assign/i, '... with the reason');
    $t->finish;
};

done_testing;
