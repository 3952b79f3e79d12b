# WebSocket as RFC 6455 has it: every way to break the rules, the ends of a
# connection, memory that peers cannot spend; and other people's clients.  The
# handshake has its cases in t/websocket_handshake.t, the parser in
# t/unit/ws_*.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Driver;

my $config = <<'INI';
[server]
workers          = 1
shutdown_timeout = 5s

[limits]
message_size  = 256k
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

%%ROUTE_echo%%

[route sub]
listen      = web
path        = /sub
protocol    = websocket
app         = echo
subprotocol = v2.test
subprotocol = v1.test

[route big]
listen       = web
path         = /big
protocol     = websocket
app          = echo
message_size = 16m
send_queue   = 64m

[route small]
listen       = web
path         = /small
protocol     = websocket
app          = echo
message_size = 100

[route pinged]
listen        = web
path          = /pinged
protocol      = websocket
app           = echo
ping_interval = 300ms
idle_timeout  = 1s
INI

my $t = Test::Linnet->new(config => $config)->start;
my $WS = 'Test::Linnet::WebSocket';
my ($worker) = $t->worker_pids;

sub frame { return $WS->frame_bytes(@_) }

subtest 'configuration' => sub {
    my $bad = Test::Linnet->new(config => <<'INI');
[server]
workers = 1

[listen plain]
address  = 127.0.0.1:%%PORT_plain%%
protocol = websocket
app      = echo

%%LISTEN_web%%

[route a]
listen      = web
path        = /a
protocol    = websocket
app         = echo
subprotocol = two words
compression = 2k
origin      = (
INI
    my ($exit, $out, $err) = $bad->run('-t');
    is($exit, 78, 'what is wrong is found by -t');
    my $all = $out . $err;
    like($all, qr/:6: .*protocol = http here/,
        'a listener without http says what to write');
    like($all, qr/:18: "two words" is no name/, 'a bad subprotocol');
    like($all, qr/:19: .*4k to 256k, or off or shared/, 'a bad compression');
    like($all, qr/:20: .*PCRE2/, 'a bad origin');
    $bad->finish;
};

# What a client may not send, and the code that says so.
subtest 'rules broken' => sub {
    my @rows = ([1002, 'not masked', frame(1, 'hi', mask => '0')]);
    push @rows, [1002, "reserved bits $_", frame(1, 'hi', rsv => $_)]
        for 1 .. 7;
    push @rows, [1002, "opcode $_", frame($_, 'hi')] for 3 .. 7, 11 .. 15;
    push @rows,
        [1002, 'a ping in fragments', frame(9, 'hi', fin => 0)],
        [1002, 'a ping of 126 bytes', frame(9, 'x' x 126)],
        [1002, 'a ping with a 64-bit length', frame(9, 'x', width => 64)],
        [1002, 'continuation of nothing', frame(0, 'hi')],
        [1002, 'text inside a message',
            frame(1, 'a', fin => 0) . frame(1, 'b')],
        [1002, 'close of one byte', frame(8, 'x')],
        (map { [1002, "close with $_", frame(8, pack 'n', $_)] }
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
            65535),
        [1007, 'close with a bad reason', frame(8, "\x03\xe8\xff")],
        [1007, 'text that is not UTF-8', frame(1, "a\xc0\xafb")],
        [1007, 'a surrogate', frame(1, "\xed\xa0\x80")],
        [1007, 'a cut character', frame(1, "abc\xf0\x9f\x98")],
        [1007, '... at the end of fragments',
            frame(1, "abc\xf0", fin => 0) . frame(0, "\x9f\x98")],
        [1007, 'the first bad byte of an unfinished frame',
            substr frame(1, "abc\xf4\x90" . 'x' x 100), 0, 20],
        [1007, '... of a large one',
            substr frame(1, "abc\xf4\x90" . 'x' x 100_000), 0, 20],
        [1009, 'a length over message_size',
            substr frame(2, '', length => 262_145, width => 64), 0, 10],
        [1009, 'a length of 2^62',
            substr frame(2, '', length => 1 << 62, width => 64), 0, 10],
        [1002, 'the top bit of 64', "\x82\xff\x80"],
        [1009, 'fragments over message_size',
            frame(2, 'x' x 262_144, fin => 0)
            . substr frame(0, 'x', fin => 1), 0, 2];
    for my $row (@rows) {
        my ($code, $name, $bytes) = @$row;
        my $w = $t->websocket('web', '/echo');
        $w->send_text('before');
        is($w->message, 'before', "$name: fine before");
        $w->stream->write($bytes);
        is($w->wait_close(5), $code, "... $code");
        ok($w->stream->closed(5), '... and closed');
    }
    is_deeply([$t->worker_pids], [$worker], 'the worker lives');
};

subtest 'the ends of a connection' => sub {
    for my $code (1000 .. 1003, 1007 .. 1014, 3000, 3999, 4000, 4999) {
        my $w = $t->websocket('web', '/echo');
        is($w->close($code, 'because'), $code, "close with $code");
    }
    my $w = $t->websocket('web', '/echo');
    $w->send_frame(8, '');
    my $f = $w->frame;
    is($f->{op}, 8, 'close without a code');
    is($f->{payload}, '', '... is answered without one');
    my $begin = time;
    ok($w->stream->closed(5), '... and closed');
    cmp_ok(time - $begin, '<', time_factor(), '... at once');

    $w = $t->websocket('web', '/echo');
    $w->stream->write(frame(1, 'last') . frame(8, pack 'n', 1000)
            . frame(1, 'too late') . frame(9, 'too late'));
    is($w->message, 'last', 'a message before the close comes back');
    is($w->wait_close, 1000, '... then the close');
    ok($w->stream->closed(5), '... and nothing else');
    is($w->stream->pending, '', '... nothing');

    $w = $t->websocket('web', '/echo');
    $w->send_text('half');
    $w->stream->shutdown_write;
    is($w->message, 'half', 'a peer that shuts its side gets its answer');
    $begin = time;
    ok($w->stream->closed(6), '... and is closed');
    cmp_ok(time - $begin, '<', 5 * time_factor(), '... within 5 s');

    for (1 .. 50) {
        my $r = $t->websocket('web', '/echo');
        $r->stream->write(substr frame(1, 'x' x 1000), 0, 500);
        $r->stream->close(1);
    }
    $w = $t->websocket('web', '/echo');
    $w->send_text('still here');
    is($w->message, 'still here', '50 resets in the middle of frames');
};

subtest 'sizes' => sub {
    my $w = $t->websocket('web', '/small');
    $w->send_text('x' x 100);
    is($w->message, 'x' x 100, 'message_size of a route: so much');
    $w->send_text('x' x 101);
    is($w->wait_close, 1009, '... and no more');

    $w = $t->websocket('web', '/big');
    for my $n (70_000, 1 << 20, 16 << 20) {
        my $data = pack 'N*', map { $_ * 2654435761 & 0xffffffff }
            1 .. $n / 4;
        $w->send_binary($data);
        my $got = $w->message(30);
        ok(defined $got && $got eq $data, "$n bytes");
    }
    my $text = 'x' x (4 << 20);
    for my $size (64, 1024, 65_536) {
        my $n = (4 << 20) / $size;
        my $bytes = frame(1, 'x' x $size, fin => 0, mask => 'abcd')
            . frame(0, 'x' x $size, fin => 0, mask => 'abcd') x ($n - 1)
            . frame(0, '');
        $w->stream->write($bytes, 60);
        my $got = $w->message(30);
        ok(defined $got && $got eq $text,
            ($n + 1) . " fragments of $size bytes");
    }
    is($w->close(1000), 1000, 'closed');
};

subtest 'memory' => sub {
    # A first round, so that what is measured is not the allocator's warm-up.
    my $fragments = frame(1, '', fin => 0, mask => 'abcd')
        . frame(0, '', fin => 0, mask => 'abcd') x 99_999;
    for my $round (1, 2) {
        my $rss = proc_rss($worker);
        my $w = $t->websocket('web', '/echo');
        $w->stream->write($fragments, 60);
        $w->ping('there');
        is($w->frame->{payload}, 'there', '100,000 empty fragments');
        cmp_ok(proc_rss($worker) - $rss, '<', 8 << 20, '... under 8 MB')
            if !$ENV{LINNET_SANITIZE};
        $w->send_frame(0, 'end');
        is($w->message, 'end', '... are one message');
    }
    my @claims = map {
        $t->websocket('web', '/big',
            early => substr frame(2, '', length => 16 << 20, width => 64),
            0, 14)
    } 1 .. 100;
    my $w = $t->websocket('web', '/echo');
    $w->ping('there');
    $w->frame;
    my $rss = proc_rss($worker);
    $_->stream->write('x' x 1000) for @claims;
    $w->ping('there');
    is($w->frame->{payload}, 'there', '100 claim 16 MB and send 1 KB');
    cmp_ok(proc_rss($worker) - $rss, '<', 8 << 20, '... under 8 MB')
        if !$ENV{LINNET_SANITIZE};
    $_->stream->close(1) for @claims;
};

subtest 'pings' => sub {
    my $w = $t->websocket('web', '/echo');
    my $pings = join '', map { frame(9, "ping $_") } 1 .. 1000;
    $w->stream->write($pings);
    is(scalar(grep { ($w->frame // {})->{payload} ne "ping $_" } 1 .. 1000),
        0, '1,000 pings, 1,000 pongs in order');
    $w->send_frame(10, 'nobody asked');
    $w->send_text('x');
    is($w->message, 'x', 'a pong that nobody asked for');

    # A flood from one who does not read.
    my $rss = proc_rss($worker);
    my $s = $t->connect('web', rcvbuf => 4096);
    my $flood = $WS->connect(stream => $s, path => '/echo');
    my $h = $s->handle;
    my $bytes = frame(9, 'x' x 125, mask => 'abcd') x 500;
    my ($sent, $stuck, $end) = (0, 0, time + 3 * time_factor());
    while ($sent < 64 << 20 && time < $end && $stuck < 20) {
        my $n = syswrite $h, $bytes;
        if (defined $n) {
            $sent += $n;
            $bytes = substr($bytes, $n) . substr($bytes, 0, $n);
            $stuck = 0;
            next;
        }
        my $ready = '';
        vec($ready, fileno $h, 1) = 1;
        $stuck++ if !select undef, $ready, undef, 0.05;
    }
    cmp_ok($sent, '>', 100_000, "a flood of $sent bytes");
    cmp_ok(proc_rss($worker) - $rss, '<', 4 << 20, '... costs no memory')
        if !$ENV{LINNET_SANITIZE};
    $w->send_text('others');
    is($w->message, 'others', '... and others are served');
    $s->close(1);

    $w = $t->websocket('web', '/pinged');
    my $f = $w->frame(3);
    is($f->{op}, 9, 'the server pings who is silent');
    is($f->{payload}, '', '... with nothing in it');
    $w->send_frame(10, $f->{payload});
    for (1 .. 4) {
        $f = $w->frame(3) // last;
        $w->send_frame(10, $f->{payload});
    }
    is($f->{op}, 9, '... again and again while it answers');
    while ($f = $w->frame(3)) {
        last if $f->{op} == 8;
    }
    is($f->{op}, 8, 'who does not answer is closed');
    is(unpack('n', $f->{payload}), 1001, '... with 1001');
};

subtest 'python3-websockets' => sub {
    my $python = '/usr/bin/python3';
    plan skip_all => 'python3-websockets is not installed (auto/deps test)'
        if system("$python -c 'import websockets' 2>/dev/null") != 0;
    my ($exit, $out, $err) = run_command({ timeout => 120 }, $python,
        repo_top() . '/t/python/websocket.py',
        'ws://127.0.0.1:' . $t->port('web') . '/echo');
    is($exit, 0, 'the client ends') or diag $err;
    my $r = eval { JSON::PP->new->decode($out) } // {};
    is_deeply($r->{extensions}, [], 'it has to do without compression');
    is($r->{texts_wrong}, 0, 'texts');
    ok($r->{binary}, 'binary');
    is($r->{fragments}, 'in three fragments', 'fragments');
    ok($r->{many_fragments}, '1,000 fragments');
    ok($r->{pong}, 'ping and pong');
    ok($r->{in_order}, '2,000 messages in order');
    is($r->{code}, 4001, 'its close code is echoed');
    is($r->{default_code}, 1000, '... also its usual one');
    is($r->{many}, 50, '50 at once');
    is($r->{evil}, 403, 'a foreign origin');
};

subtest 'npm ws' => sub {
    my $why = Test::Linnet::Driver->missing(repo_top());
    plan skip_all => $why if $why;
    my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/websocket.js',
        'ws://127.0.0.1:' . $t->port('web'));
    my $r = $d->wait_event('done', 60) // {};
    is($r->{extensions}, '', 'it has to do without compression');
    is($r->{wrong}, 0, 'texts and binary');
    is($r->{pong}, 'between', 'a ping between fragments');
    is($r->{fragments}, 'in two', '... and the fragments');
    ok($r->{in_order}, '5,000 messages in order');
    is($r->{code}, 4321, 'its close code is echoed');
    is($r->{no_code}, 1005, 'a close without a code');
    is($r->{protocol}, 'v2.test', 'subprotocols');
    is($r->{origin}, 'status 403', 'a foreign origin');
    is($r->{nowhere}, 'status 404', 'a path that is not there');
    $d->finish;
};

subtest 'the server goes away' => sub {
    my @w = map { $t->websocket('web', '/echo') } 1 .. 20;
    my $inside = $t->websocket('web', '/echo');
    $inside->send_frame(1, 'unfinished', fin => 0);
    $inside->ping('x');
    $inside->frame;
    my $deaf = $t->websocket('web', '/echo');
    my $begin = time;
    $t->signal('QUIT');
    is(scalar(grep { $_->wait_close(5) == 1001 } @w), 20,
        'everybody is told 1001');
    is($inside->wait_close(5), 1001, '... also inside a message');
    for my $w (@w, $inside) {
        $w->send_frame(8, pack 'n', 1001);
    }
    is(scalar(grep { $_->stream->closed(5) } @w, $inside), 21,
        '... and closed when they have answered');
    is($t->wait_exit(10), 0, 'who does not answer does not keep it');
    cmp_ok(time - $begin, '<', 9 * time_factor(), '... for long');
};

$t->finish;
done_testing;
