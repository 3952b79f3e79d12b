# permessage-deflate as RFC 7692 has it: what is agreed on, what is compressed
# and what is not, what a client may not send, memory; and other people's
# clients on all kinds of terms.  The details have cases of their own in
# t/unit/ws_offers.c, ws_deflate.c and ws_compress.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Compress::Raw::Zlib;
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Driver;

my @sizes = qw(4k 8k 16k 32k 64k 128k 256k);
my $config = <<'INI';
[server]
workers          = 1
shutdown_timeout = 5s

[limits]
message_size  = 256k
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

[route off]
listen   = web
path     = /off
protocol = websocket
app      = echo

[route metrics]
listen  = web
path    = /metrics
handler = status

[route low]
listen          = web
path            = /low
protocol        = websocket
app             = echo
compression     = shared
compression_min = 20
message_size    = 64k
INI
$config .= <<"INI" for 'shared', @sizes;
[route $_]
listen      = web
path        = /$_
protocol    = websocket
app         = echo
compression = $_

INI
$config .= <<"INI" for 'off', 'shared', '4k';
[route chat_$_]
listen      = web
path        = /chat/$_
protocol    = websocket
app         = chat
compression = $_

INI

my $t = Test::Linnet->new(config => $config)->start;
my ($worker) = $t->worker_pids;

sub chromium { return 'permessage-deflate; client_max_window_bits' }

sub extensions
{
    my ($path, $offer) = @_;
    my $w = $t->websocket('web', $path, extensions => $offer);
    my $got = $w->response->{headers}{'sec-websocket-extensions'};
    $w->stream->close;
    return $got;
}

# A client with streams of its own.
sub client
{
    my ($path, %o) = @_;
    my $w = $t->websocket('web', $path, extensions => $o{offer} // chromium());
    my $got = $w->response->{headers}{'sec-websocket-extensions'} // '';
    my ($out) = $got =~ /server_max_window_bits=(\d+)/;
    my ($in)  = $got =~ /client_max_window_bits=(\d+)/;
    $in = 9 if defined $in && $in == 8;
    my ($d) = Compress::Raw::Zlib::Deflate->new(-WindowBits => -($in // 15),
        -AppendOutput => 1);
    my ($i) = Compress::Raw::Zlib::Inflate->new(-WindowBits => -($out // 15),
        -AppendOutput => 1, -ConsumeInput => 1);
    return { w => $w, d => $d, i => $i, got => $got,
        in_fresh  => scalar $got =~ /client_no_context_takeover/,
        out_fresh => scalar $got =~ /server_no_context_takeover/ };
}

sub pack_text
{
    my ($c, $text) = @_;
    my $out = '';
    $c->{d}->deflate($text, $out);
    $c->{d}->flush($out, Z_SYNC_FLUSH);
    $c->{d}->deflateReset if $c->{in_fresh};
    return substr $out, 0, -4;
}

sub send_zipped
{
    my ($c, $text) = @_;
    return $c->{w}->send_frame(1, pack_text($c, $text), rsv => 4);
}

# The next message: its text, and whether it came compressed.
sub receive
{
    my ($c) = @_;
    my $f = $c->{w}->frame(10) or return ('nothing', 0);
    return ("op $f->{op}", 0) if $f->{op} != 1;
    return ($f->{payload}, 0) if !($f->{rsv} & 4);
    my $in = $f->{payload} . "\x00\x00\xff\xff";
    my $out = '';
    my $status = $c->{i}->inflate($in, $out);
    return ("inflate: $status", 1) if $status != Z_OK && $status != Z_BUF_ERROR;
    $c->{i}->inflateReset if $c->{out_fresh};
    return ($out, 1);
}

subtest 'configuration' => sub {
    my $bad = Test::Linnet->new(config => <<'INI');
%%LISTEN_web%%

[route a]
listen          = web
path            = /a
protocol        = websocket
app             = echo
compression     = 300k
compression_min = -1
INI
    my ($exit, $out, $err) = $bad->run('-t');
    is($exit, 78, 'what is wrong is found by -t');
    like($out . $err, qr/:\d+: .*compression.*4k to 256k, or off or shared/,
        'a budget too large');
    like($out . $err, qr/:\d+: .*compression_min/, 'a bad threshold');
    $bad->finish;
};

subtest 'what is agreed on' => sub {
    my $pmd = 'permessage-deflate';
    my $fresh = "$pmd; server_no_context_takeover; client_no_context_takeover";
    my @rows = (
        ['/off', chromium(), undef],
        ['/shared', undef, undef],
        ['/shared', chromium(), $fresh],
        ['/shared', $pmd, $fresh],
        ['/shared', "$pmd; server_max_window_bits=10",
            "$fresh; server_max_window_bits=10"],
        ['/shared', "$pmd; server_max_window_bits=8", undef],
        ['/shared', "$pmd; server_max_window_bits=8, $pmd", $fresh],
        ['/shared', "$pmd; what=ever, $pmd; server_max_window_bits=\"11\"",
            "$fresh; server_max_window_bits=11"],
        ['/shared', "$pmd; =, ;;;, \"", undef],
        ['/shared', 'x-webkit-deflate-frame', undef],
        ['/4k', chromium(), "$pmd; client_max_window_bits=10"],
        ['/4k', $pmd, "$pmd; client_no_context_takeover"],
        ['/16k', chromium(), "$pmd; client_max_window_bits=9"],
        ['/256k', chromium(), $pmd],
        ['/256k', $pmd, $pmd],
        ['/256k', "$pmd; client_max_window_bits=9; server_max_window_bits=9",
            "$pmd; server_max_window_bits=9; client_max_window_bits=9"],
    );
    for my $row (@rows) {
        my ($path, $offer, $want) = @$row;
        is(extensions($path, $offer), $want,
            "$path: " . ($offer // 'no offer'));
    }
};

subtest 'what is compressed' => sub {
    my $text = '{"type":"message","text":"' . 'hello everybody ' x 30 . '"}';
    for my $path ('/shared', map { "/$_" } @sizes) {
        my $c = client($path);
        my ($wrong, $plain) = (0, 0);
        for my $i (1 .. 200) {
            send_zipped($c, "$i $text");
            my ($got, $zipped) = receive($c);
            $wrong++ if $got ne "$i $text";
            $plain++ if !$zipped;
        }
        is($wrong, 0, "$path: 200 messages each way");
        is($plain, 0, '... all compressed');
        is($c->{w}->close(1000), 1000, '... closed');
    }
    my $c = client('/shared');
    $c->{w}->send_text('x' x 127);
    is_deeply([receive($c)], ['x' x 127, 0], '127 bytes go as they are');
    $c->{w}->send_text('x' x 128);
    is_deeply([receive($c)], ['x' x 128, 1], '128 are compressed');
    send_zipped($c, 'short');
    is_deeply([receive($c)], ['short', 0], 'short ones that came compressed');
    $c = client('/low');
    $c->{w}->send_text('y' x 20);
    is_deeply([receive($c)], ['y' x 20, 1], 'compression_min = 20');
    my $noise = join '', map { chr 33 + int rand 90 } 1 .. 100;
    $c->{w}->send_text(substr $noise, 0, 30);
    is_deeply([receive($c)], [substr($noise, 0, 30), 0],
        'what gets no shorter goes as it is');
    my $w = $t->websocket('web', '/shared');
    $w->send_text($text);
    is($w->message, $text, 'who has not asked gets nothing compressed');
};

subtest 'rules broken' => sub {
    my $hello = "\xf2\x48\xcd\xc9\xc9\x07\x00";
    my $WS = 'Test::Linnet::WebSocket';
    my $zip = sub { return $WS->frame_bytes(@_, rsv => 4) };
    my $bomb = do {
        my $d = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15,
            -AppendOutput => 1, -Level => 9);
        my $out = '';
        $d->deflate("\0" x (10 << 20), $out);
        $d->flush($out, Z_SYNC_FLUSH);
        substr $out, 0, -4;
    };
    my @rows = (
        [1002, 'compressed ping', $zip->(9, 'x')],
        [1002, 'compressed pong', $zip->(10, 'x')],
        [1002, 'compressed close', $zip->(8, "\x03\xe8")],
        [1002, 'compressed continuation',
            $zip->(1, "\xf2", fin => 0) . $zip->(0, substr $hello, 1)],
        [1002, 'bits 1 and 2', $WS->frame_bytes(1, $hello, rsv => 6)],
        [1002, 'bit 3', $WS->frame_bytes(1, $hello, rsv => 1)],
        [1007, 'a block that is none', $zip->(2, "\x07")],
        [1007, 'lengths that do not agree', $zip->(2, "\x00\x05\x00\x00\x00")],
        [1007, 'a cut stream', $zip->(2, substr $hello, 0, 4)],
        [1007, 'a reference to what was never there',
            $zip->(2, "\xf2\x00\x11\x00\x00")],
        [1007, 'text that is none, in a fragment',
            $zip->(1, "\x00\x04\x00\xfb\xffab\xff!", fin => 0)],
        [1009, 'a bomb', $zip->(2, $bomb)],
        [1009, 'a bomb in the first fragment', $zip->(1, $bomb, fin => 0)],
        [1009, 'half of a bomb', substr $zip->(1, $bomb), 0, 6000],
        [1009, 'a length of 2^62',
            substr $zip->(2, '', length => 1 << 62, width => 64), 0, 10],
    );
    for my $path ('/low', '/64k') {
        for my $row (@rows) {
            my ($code, $name, $bytes) = @$row;
            my $c = client($path);
            send_zipped($c, 'before');
            is((receive($c))[0], 'before', "$path, $name: fine before");
            # Where they may be referred to, they are.
            next if $path eq '/64k' && $name =~ /never there/;
            $c->{w}->stream->write($bytes);
            is($c->{w}->wait_close(5), $code, "... $code");
            ok($c->{w}->stream->closed(5), '... and closed');
        }
    }
    my $w = $t->websocket('web', '/off', extensions => chromium());
    $w->stream->write($zip->(1, $hello));
    is($w->wait_close(5), 1002, 'without an agreement: 1002');

    my $rss = proc_rss($worker);
    my @c = map { client('/low') } 1 .. 100;
    $_->{w}->stream->write($zip->(2, $bomb)) for @c;
    is(scalar(grep { ($_->{w}->wait_close(10) // 0) == 1009 } @c), 100,
        '100 bombs of 10 MB');
    cmp_ok(proc_rss($worker) - $rss, '<', 4 << 20, '... in less than 4 MB')
        if !$ENV{LINNET_SANITIZE};

    # Other ends than the usual.
    my $c = client('/64k');
    for my $payload ("\xf3\x48\xcd\xc9\xc9\x07\x00\x00",
        "\xf3\x48\xcd\xc9\xc9\x07\x00", "$hello\x00\x00\xff\xff",
        "\x00\x05\x00\xfa\xffHello\x00",
        "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00") {
        $c->{w}->send_frame(1, $payload, rsv => 4);
        is((receive($c))[0], 'Hello', 'Hello as ' . unpack 'H*', $payload);
    }
    $c->{w}->stream->write($zip->(1, "\xf2\x48", fin => 0)
            . $WS->frame_bytes(9, 'now')
            . $WS->frame_bytes(0, "\xcd\xc9\xc9\x07\x00"));
    is($c->{w}->frame->{payload}, 'now', 'a ping between fragments');
    is((receive($c))[0], 'Hello', '... and the message');
    is_deeply([$t->worker_pids], [$worker], 'the worker lives');
};

# A room of sessions on all kinds of terms: everybody gets every message, and
# those who share cost one compression.
subtest 'a room' => sub {
    my @members = (
        (map { client('/chat/shared') } 1 .. 30),
        (map { client('/chat/shared',
                    offer => 'permessage-deflate; server_max_window_bits=9') }
                1 .. 10),
        (map { client('/chat/4k') } 1 .. 5),
        (map { client('/chat/off') } 1 .. 10),
    );
    my $until = sub {
        my ($c, $type) = @_;
        for (1 .. 200) {
            my ($text) = receive($c);
            my $m = eval { JSON::PP->new->decode($text) } or return $text;
            return $m if $m->{type} eq $type;
        }
        return;
    };
    for my $c (@members) {
        $c->{w}->send_text('{"type":"join","room":"lobby"}');
        $until->($c, 'joined');
    }
    # So that all joins are told to all before counting.
    my $text = 'compress me ' x 30;
    my $first = $members[0];
    my $speak = sub {
        $first->{w}->send_text(JSON::PP->new->encode(
                { type => 'message', room => 'lobby', text => "$_[0] $text" }));
        return scalar grep {
            my $m = $until->($_, 'message');
            ref $m && $m->{text} eq "$_[0] $text";
        } @members;
    };
    is($speak->(0), 55, 'all 55 get a message');
    my $before = ($t->metric('compressed_messages_total') // -1);
    my $plain = ($t->metric('compression_bytes_in_total') // -1);
    my $zipped = ($t->metric('compression_bytes_out_total') // -1);
    is($speak->($_), 55, "... and message $_") for 1 .. 10;
    is(($t->metric('compressed_messages_total') // -1) - $before, 10 * (2 + 5),
        'compressed once for 30, once for 10, and for 5 one by one');
    $plain = ($t->metric('compression_bytes_in_total') // -1) - $plain;
    $zipped = ($t->metric('compression_bytes_out_total') // -1) - $zipped;
    cmp_ok($plain, '>', 70 * 360, "... $plain bytes");
    cmp_ok($zipped, '<', $plain / 3, "... to $zipped");
};

subtest 'memory' => sub {
    plan skip_all => 'sanitizers have memory of their own'
        if $ENV{LINNET_SANITIZE};
    my $text = '{"type":"message","text":"' . 'hello everybody ' x 30 . '"}';
    my $n = 300;
    skip_without_files($n + 100);
    # The first round warms up the allocator.
    for my $row (['/shared', 1], ['/shared', 1], ['/4k', 5], ['/16k', 24],
        ['/64k', 70]) {
        my ($path, $most) = @$row;
        my $rss = proc_rss($worker);
        my @c;
        for (1 .. $n) {
            my $c = client($path);
            for my $i (1 .. 3) {
                send_zipped($c, "$i $text");
                receive($c);
            }
            # Perl's own streams are large.
            push @c, $c->{w};
        }
        my $each = (proc_rss($worker) - $rss) / $n / 1024;
        cmp_ok($each, '<=', $most, sprintf '%s: %.1f KB each', $path, $each);
        $_->stream->close(1) for @c;
        wait_for(sub { ($t->workers)[0]{connections} < 10 }, 10, 'they go');
    }
};

my @echoes = map { "/$_" } 'shared', @sizes;

# A client's streams do not notice that those of the server have moved, not
# even in the middle of a message.
subtest 'moved by a reload' => sub {
    my $text = '{"type":"message","text":"' . 'hello everybody ' x 30 . '"}';
    my @c = map { my $path = $_; map { client($path) } 1 .. 5 } '/shared',
        map { "/$_" } @sizes;
    my $wrong = 0;
    my $check = sub {
        my ($c, $want) = @_;
        my ($got, $zipped) = receive($c);
        $wrong++ if $got ne $want || !$zipped;
    };
    for my $round (1 .. 3) {
        for my $i (1 .. 10) {
            send_zipped($_, "$round.$i $text $i") for @c;
            $check->($_, "$round.$i $text $i") for @c;
        }
        my $half = "$round halves $text";
        for my $c (@c) {
            my $payload = pack_text($c, $half);
            $c->{rest} = substr $payload, 9;
            $c->{w}->send_frame(1, substr($payload, 0, 9), rsv => 4, fin => 0);
            $c->{w}->ping('taken?');
        }
        is(scalar(grep { $_->{w}->frame->{op} == 10 } @c), scalar @c,
            'everybody is in the middle of a message');
        is(($t->reload)[0], 0, "reload $round");
        $_->{w}->send_frame(0, $_->{rest}) for @c;
        $check->($_, $half) for @c;
    }
    is($wrong, 0, 'all conversations go on');
    isnt(($t->worker_pids)[0], $worker, '... with another worker');
    ($worker) = $t->worker_pids;
};

subtest 'npm ws' => sub {
    my $why = Test::Linnet::Driver->missing(repo_top());
    plan skip_all => $why if $why;
    my $d = Test::Linnet::Driver->start(
        repo_top() . '/t/node/websocket_deflate.js',
        'ws://127.0.0.1:' . $t->port('web'), @echoes);
    my $r = $d->wait_event('done', 120) // { rows => [] };
    is(scalar @{ $r->{rows} }, 8 * @echoes, 'on all terms');
    for my $row (@{ $r->{rows} }) {
        my $name = "$row->{path} $row->{terms}";
        is($row->{error}, undef, "$name: fine");
        like($row->{extensions} // '', qr/^permessage-deflate/,
            '... compressed');
        is($row->{wrong}, 0, '... everything comes back');
        is($row->{code}, 1000, '... closed');
        cmp_ok($row->{bytes} // 0, '<', ($row->{plain} // 0) / 2,
            '... in half of the bytes');
    }
    $d->finish;
};

subtest 'python3-websockets' => sub {
    my $python = '/usr/bin/python3';
    plan skip_all => 'python3-websockets is not installed (auto/deps --tests)'
        if system("$python -c 'import websockets' 2>/dev/null") != 0;
    my ($exit, $out, $err) = run_command({ timeout => 120 }, $python,
        repo_top() . '/t/python/websocket_deflate.py',
        'ws://127.0.0.1:' . $t->port('web'), @echoes);
    is($exit, 0, 'the client ends') or diag $err;
    my $rows = eval { JSON::PP->new->decode($out) } // [];
    is(scalar @$rows, 6 * @echoes, 'on all terms');
    for my $row (@$rows) {
        my $name = "$row->{path} $row->{terms}";
        is($row->{error}, undef, "$name: fine");
        is_deeply($row->{names}, ['permessage-deflate'], '... compressed');
        is($row->{wrong}, 0, '... everything comes back');
        is($row->{code}, 1000, '... closed');
    }
};

subtest 'Chromium' => sub {
    my ($chromium) = grep { -x } map { my $d = $_;
        map { "$d/$_" } qw(chromium chromium-browser headless_shell) }
        split /:/, $ENV{PATH};
    my $why = Test::Linnet::Driver->missing(repo_top())
        // (-d repo_top() . '/t/node/node_modules/playwright-core' ? undef
            : 'npm playwright-core is not installed (auto/deps test)')
        // ($chromium ? undef : 'chromium is not installed (auto/deps test)');
    plan skip_all => $why if $why;
    my $d = Test::Linnet::Driver->start(
        repo_top() . '/t/node/browser_deflate.js',
        'http://127.0.0.1:' . $t->port('web'), $chromium, @echoes);
    my $r = $d->wait_event('done', 120) // { rows => [] };
    is(scalar @{ $r->{rows} }, scalar @echoes, 'all routes');
    for my $row (@{ $r->{rows} }) {
        is($row->{error}, undef, "$row->{path}: fine");
        like($row->{extensions} // '', qr/^permessage-deflate/,
            '... compressed');
        is($row->{wrong}, 0, '... everything comes back');
    }
    $d->finish;
};

is_deeply([$t->worker_pids], [$worker], 'no worker has died');
$t->finish;
done_testing;
