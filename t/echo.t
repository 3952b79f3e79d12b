# echo over every protocol: raw TCP, lines, WebSocket; whole, in pieces, in
# masses; and peers that do not read, or leave in the middle.

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
workers          = 2
shutdown_timeout = 2s

[limits]
message_size = 64k
send_queue   = 1m

[listen raw]
address = 127.0.0.1:%%PORT_raw%%
app     = echo

[listen line]
address  = 127.0.0.1:%%PORT_line%%
protocol = line
app      = echo

%%LISTEN_web%%

%%ROUTE_echo%%

[listen drop]
address  = 127.0.0.1:%%PORT_drop%%
protocol = line
app      = echo
send_queue        = 64k
send_queue_policy = drop

[listen fast]
address           = 127.0.0.1:%%PORT_fast%%
app               = echo
idle_timeout      = 1s
INI

my $t = Test::Linnet->new(config => $config)->start;
srand 4711; # the same bytes in each run

sub noise { return join '', map { chr int rand 256 } 1 .. $_[0] }

subtest 'raw' => sub {
    my $c = $t->connect('raw');
    for my $n (1, 2, 100, 4095, 65536, 200_000) {
        my $data = noise($n);
        $c->write($data);
        is($c->read_exact($n), $data, "$n bytes");
    }
    for my $byte (split //, 'byte by byte') {
        $c->write($byte);
        is($c->read_exact(1), $byte, "'$byte'");
    }
    # Much more than any buffer: reads while it writes.
    my $big = noise(1 << 16) x 160;
    $c->write($big, 60);
    my $got = $c->read_exact(length $big, 60) // '';
    ok($got eq $big, '10 MB through it, each byte in its place');
    $c->write('the last words');
    $c->shutdown_write;
    is($c->read_all(5), 'the last words', 'half-closed: the rest comes back');

    my @c = map { $t->connect('raw') } 1 .. 50;
    my @data = map { noise(1000) } @c;
    for my $i (0 .. $#c) {
        $c[$i]->write($data[$i]);
    }
    is(scalar(grep { $c[$_]->read_exact(1000) ne $data[$_] } 0 .. $#c), 0,
        'fifty at once: to each its own');
};

subtest 'line' => sub {
    my $c = $t->connect('line');
    $c->write("one\n");
    is($c->line, 'one', 'a line');
    $c->write("two\r\nthree\nfour\r\n");
    is($c->line, 'two', 'CRLF');
    is($c->line, 'three', 'the next in the same packet');
    is($c->line, 'four', 'and another');
    $c->write("\n");
    $c->write("after an empty one\n");
    my $line = $c->line // 'nothing';
    $line = $c->line if $line eq '';
    is($line, 'after an empty one', 'an empty line does no harm');
    $c->write($_) for split //, "in pieces\n";
    is($c->line, 'in pieces', 'byte by byte');
    $c->write("gr\xc3\xbc\xc3\x9fe \xe2\x82\xac\n");
    is($c->line, "gr\xc3\xbc\xc3\x9fe \xe2\x82\xac", 'UTF-8');
    my $long = 'x' x 65_000;
    $c->write("$long\n");
    ok(($c->line // '') eq $long, 'a line just below the limit');
    my @many = map { "line $_ " . 'y' x ($_ % 500) } 1 .. 2000;
    $c->write(join('', map { "$_\n" } @many), 30);
    my @back = map { $c->line } @many;
    is_deeply(\@back, \@many, '2,000 lines in one go, in order');
    $c->write('without an end');
    $c->shutdown_write;
    my $rest = $c->read_all(5);
    like($rest // 'nothing', qr/^(without an end\r?\n)?$/,
        'a last line without an end is a line or is nothing');

    $c = $t->connect('line');
    $c->write('z' x 300_000, 5);
    ok($c->closed(5), 'a line over message_size: closed');
};

subtest 'websocket' => sub {
    my $w = $t->websocket('web', '/echo');
    for my $text ('', 'a', 'x' x 125, 'x' x 126, 'x' x 65_535, 'x' x 65_536,
        "gr\xc3\xbc\xc3\x9fe") {
        $w->send_text($text);
        my ($got, $op) = $w->message;
        ok(defined $got && $got eq $text, length($text) . ' bytes of text');
        is($op, 1, '... come as text');
    }
    my $data = noise(1000);
    $w->send_binary($data);
    my ($got, $op) = $w->message;
    is($got, $data, 'binary');
    is($op, 2, '... comes as binary');
    $w->send_frame(1, 'in ', fin => 0);
    $w->send_frame(0, 'three ', fin => 0);
    $w->ping('in between');
    $w->send_frame(0, 'parts');
    is($w->message, 'in three parts', 'fragments');
    is("@{ $w->{pongs} }", 'in between', '... with a ping between them');
    $w->stream->write($_) for split //, $w->frame_bytes(1, 'byte by byte');
    is($w->message, 'byte by byte', 'byte by byte');
    $w->stream->write(join '', map { $w->frame_bytes(1, "m$_") } 1 .. 3000);
    is(scalar(grep { ($w->message // '') ne "m$_" } 1 .. 3000), 0,
        '3,000 in one go, in order');
    is($w->close(1000, 'bye'), 1000, 'closed as asked');
    $w = $t->websocket('web', '/echo',
        early => Test::Linnet::WebSocket->frame_bytes(1, 'early'));
    is($w->message, 'early', 'a frame in the packet of the handshake');
    $w->send_frame(2, 'x' x 100, length => 1 << 40);
    is($w->wait_close, 1009, 'a frame over message_size: 1009');
};

subtest 'npm ws' => sub {
    my $why = Test::Linnet::Driver->missing(repo_top());
    plan skip_all => $why if $why;
    my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/echo.js',
        'ws://127.0.0.1:' . $t->port('web') . '/echo', 40, 16, 40_000, 2000);
    my $e = $d->wait_event('done', 60);
    ok($e, 'a driver of 40 clients ends');
    is($e->{messages}, 40_000, '40,000 messages came back');
    is($e->{wrong}, 0, '... each as it was sent, in order');
    is($e->{closed}, 0, '... and nobody was cut off');
    $d->finish;
};

subtest 'a peer that does not read' => sub {
    my @pids = $t->worker_pids;
    my $rss = 0;
    $rss += proc_rss($_) for @pids;
    my @c = map { $t->connect('raw', rcvbuf => 4096) } 1 .. 10;
    my $sent = 0;
    for my $c (@c) {
        # Without reading: until the server takes no more, or closes.
        my $h = $c->handle;
        for (1 .. 1000) {
            my $n = syswrite $h, 'x' x 65536;
            if (!defined $n) {
                my $w = '';
                vec($w, fileno $h, 1) = 1;
                last if !select undef, $w, undef, 0.05;
                last if !defined syswrite $h, 'x';
                next;
            }
            $sent += $n;
        }
    }
    my $now = 0;
    $now += proc_rss($_) for @pids;
    cmp_ok($now - $rss, '<', 10 * 3_000_000 * time_factor(),
        'memory is bounded by send_queue');
    is_deeply([$t->worker_pids], \@pids, 'the workers live');
    my $c = $t->connect('raw');
    $c->write('hi');
    is($c->read_exact(2), 'hi', 'others are served');
    $_->close(1) for @c;
};

sub dropped { return $t->status->{counters}{slow_messages_dropped_total} }

subtest 'a slow reader whose messages may be dropped' => sub {
    my $c = $t->connect('drop', rcvbuf => 4096);
    my $h = $c->handle;
    my ($said, $off, $all) = (0, 0, '');
    my $end = time + 60 * time_factor();
    while (time < $end) {
        if ($off == length $all) {
            # More than the kernel keeps: its buffers grow as it likes.
            last if $said >= 40_000 && dropped();
            ($all, $off) = (join('', map { sprintf "%07d%s\n", $_, 'x' x 93 }
                    $said + 1 .. $said + 10_000), 0);
            $said += 10_000;
        }
        my $w = '';
        vec($w, fileno $h, 1) = 1;
        select undef, $w, undef, 0.5;
        my $n = syswrite $h, $all, 65536, $off;
        $off += $n if $n;
        last if !defined $n && !$!{EAGAIN};
    }
    is($off, length $all, "$said lines are taken though no answer is read");
    my ($last, $wrong, $lines) = (0, 0, 0);
    while (defined(my $line = $c->line(2))) {
        $wrong++ unless $line =~ /^(\d{7})x{93}$/ && $1 > $last;
        $last = $1;
        $lines++;
    }
    is($wrong, 0, 'what was not dropped came whole and in order');
    cmp_ok($lines, '>', 100, "... $lines of them");
    is(dropped(), $said - $lines, '... the others were dropped');
    $c->write("fine again\n");
    is($c->line, 'fine again', 'and then it goes on');
};

subtest 'a peer that says nothing' => sub {
    my $begin = time;
    my $c = $t->connect('fast');
    ok($c->closed(5), 'idle_timeout = 1s: closed');
    my $took = time - $begin;
    cmp_ok($took, '>', 0.7, '... not before');
    cmp_ok($took, '<', 1.2 * time_factor() + 0.6, '... not much after');
    $c = $t->connect('fast');
    for (1 .. 4) {
        ok($c->silent(0.5), 'half a second of silence');
        $c->write('x');
        is($c->read_exact(1), 'x', '... and a word keep it open');
    }
};

subtest 'leaving in the middle' => sub {
    for my $n (1 .. 200) {
        my $c = $t->connect('raw');
        $c->write('x' x 5000);
        $c->close($n % 2);
        my $s = $t->connect('web');
        $s->write("GET /echo HTTP/1.1\r\nHost: x\r\nUpgr");
        $s->close($n % 2);
    }
    my $w = $t->websocket('web', '/echo');
    $w->send_frame(1, 'half', length => 1000);
    $w->stream->close(1);
    my $c = $t->connect('raw');
    $c->write('hi');
    is($c->read_exact(2), 'hi', 'the others are served');
    $c->close;
    ok(wait_for(sub { $t->status->{connections} == 0 }, 10, 'none'),
        'nobody is left');
};

$t->finish;
done_testing;
