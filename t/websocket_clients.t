# Other people's WebSocket clients as they are, with compression and without,
# at the limits: messages of 16 MB and one byte more, every code that a close
# may have, and a server that goes away.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Driver;

my @ways = qw(off shared 64k);
my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 20s

[limits]
message_size  = 16m
send_queue    = 64m
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%
INI
$config .= <<"INI" for @ways;
[route $_]
listen      = web
path        = /$_
protocol    = websocket
app         = echo
compression = $_

INI

my $t = Test::Linnet->new(config => $config)->start;
my $top = repo_top();
my $url = 'ws://127.0.0.1:' . $t->port('web');
my @paths = map { "/$_" } @ways;
my @codes = (1000 .. 1003, 1007 .. 1014, 3000, 3999, 4000, 4999);

sub missing_python
{
    return if system("/usr/bin/python3 -c 'import websockets' 2>/dev/null")
        == 0;
    return 'python3-websockets is not installed (auto/deps test)';
}

my @clients = (
    ['npm ws', scalar Test::Linnet::Driver->missing($top), 1005,
        'node', "$top/t/node/websocket_limits.js"],
    ['python3-websockets', scalar missing_python(), 1000,
        '/usr/bin/python3', "$top/t/python/websocket_limits.py"],
);
my @waiting;

for my $client (@clients) {
    my ($name, $why, $usual, @command) = @$client;
    for my $compression (qw(off on)) {
        subtest "$name, compression $compression" => sub {
            plan skip_all => $why if $why;
            my $d = Test::Linnet::Driver->launch(@command, $url, $compression,
                @paths);
            for my $path (@paths) {
                my $r = $d->wait_event('row', 100) // {};
                is($r->{path}, $path, $path);
                is($r->{error}, undef, '... no error');
                my $got = ref $r->{extensions} ? join ',', @{ $r->{extensions} }
                    : $r->{extensions} // '';
                my $zipped = $compression eq 'on' && $path ne '/off';
                is($got, $zipped ? 'permessage-deflate' : '',
                    '... on these terms');
                is_deeply($r->{wrong}, [], '... all that it sent came back');
                is($r->{no_code}, $usual, '... its usual close');
                is_deeply($r->{codes}, { map { $_ => $_ } @codes },
                    '... every code is echoed');
                is($r->{too_big}, 1009, '... 1009 for a byte too many');
                is($r->{reason}, 'message too big', '... which says why');
            }
            ok($d->wait_event('waiting', 20), 'waits for the end');
            push @waiting, [$name, $d];
        };
    }
}

subtest 'the server goes away' => sub {
    plan skip_all => 'there are no clients' if !@waiting;
    $t->signal('QUIT');
    for my $one (@waiting) {
        my ($name, $d) = @$one;
        my $r = $d->wait_event('gone', 20) // {};
        is_deeply($r->{codes}, [(1001) x @paths], "$name is told 1001");
        $d->finish;
    }
    is($t->wait_exit(20), 0, 'and it has gone');
};

$t->finish;
done_testing;
