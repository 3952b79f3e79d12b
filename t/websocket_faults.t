# What WebSocket peers can do to a worker: lengths that lie, fragments without
# end, storms of control frames, data that does not decompress, connections
# that vanish half way.  Each is refused or answered as RFC 6455 and RFC 7692
# have it, takes no more memory at its worst than is said here, and leaves
# nothing behind.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Deflate;

my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers     = 1
load_module = %%MODULE_trouble%%

[limits]
message_size  = 256k
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

%%ROUTE_echo%%

[route big]
listen       = web
path         = /big
protocol     = websocket
app          = echo
message_size = 16m

[route shared]
listen      = web
path        = /shared
protocol    = websocket
app         = echo
compression = shared

[route own]
listen      = web
path        = /own
protocol    = websocket
app         = echo
compression = 64k

[route trouble]
listen   = web
path     = /trouble
protocol = websocket
app      = trouble
INI

my $WS = 'Test::Linnet::WebSocket';
my ($worker) = $t->worker_pids;
my $M = 1 << 20;
my $MASK = "\x12\x34\x56\x78";

sub frame { return $WS->frame_bytes(@_) }

# Only what a length says.
sub head
{
    my ($op, $n, %o) = @_;
    my $bytes = frame($op, '', length => $n, width => 64, %o);
    return substr $bytes, 0, length($bytes) - 4;
}

sub open_one
{
    my ($path) = @_;
    return $t->websocket('web', $path,
        $path eq '/echo' || $path eq '/big'
        ? () : (extensions => 'permessage-deflate'));
}

sub is_served
{
    my ($name) = @_;
    my $w = $t->websocket('web', '/echo');
    $w->send_text('are you there');
    return is($w->message, 'are you there', $name);
}

# The largest that the worker has been since the last call.
sub peak
{
    my ($kb) = slurp("/proc/$worker/status") =~ /^VmHWM:\s+(\d+)/m;
    if (open my $fh, '>', "/proc/$worker/clear_refs") {
        print {$fh} "5\n";
        close $fh or return;
        return $kb * 1024;
    }
    return;
}

# What the worker takes when it has served one on each route.
my $base;

# Does it twice.  most: bytes over $base that it may take meanwhile; what it
# keeps of that may not grow.
sub fault
{
    my ($name, $most, $do) = @_;
    subtest $name => sub {
        $do->();
        wait_for(sub { ($t->workers)[0]{connections} == 0 }, 10, 'an end');
        my $fds = fd_count($worker);
        my $before = proc_rss($worker);
        $do->();
        my $peak = peak();
        if (!$ENV{LINNET_SANITIZE} && defined $peak) {
            cmp_ok($peak - $base, '<=', $most, sprintf
                    '... at a cost of %d KB', ($peak - $base) / 1024);
            ok(wait_for(sub { proc_rss($worker) < $before * 1.05 + $M },
                    5, 'memory'), '... that is paid back')
                or diag "$before bytes before, now " . proc_rss($worker);
        }
        ok(wait_for(sub { fd_count($worker) <= $fds }, 5, 'descriptors'),
            '... and no descriptor is left');
        is_served('... and others are served');
    };
    return;
}

for my $path (qw(/echo /big /shared /own)) {
    my $c = Test::Linnet::Deflate->new(open_one($path));
    $c->send(1, 'hello ' x 100);
    is(($c->receive(10))[1], 'hello ' x 100, "$path is there");
    $c->websocket->close(1000);
}
$base = proc_rss($worker);
peak();

# ---- refused at the head -------------------------------------------------

my @o = (fin => 0, mask => $MASK);
my $half = frame(2, 'x' x 131_072, @o);
my @heads = (
    [1002, 'not masked', "\x81\x02"],
    [1002, 'the top bit of a length', "\x82\xff\x80"],
    [1009, '2^62', head(2, 1 << 62)],
    [1009, '2^63 - 1', head(2, ~0 >> 1)],
    [1009, 'a text of 2^62', head(1, 1 << 62)],
    [1009, 'one byte over message_size', head(2, 262_145)],
    [1009, 'a fragment of 2^62', head(2, 1 << 62, fin => 0)],
    [1009, 'fragments that add up to more', $half
        . frame(0, 'x' x 131_072, @o) . substr frame(0, 'x'), 0, 2],
    [1009, 'fragments whose sum overflows',
        frame(2, 'x', fin => 0) . head(0, ~0 >> 1)],
    [1009, 'fragments of a byte, one too many',
        frame(2, 'x' x 262_044, @o) . frame(0, 'x', @o) x 100
        . substr frame(0, 'x'), 0, 2],
    [1002, 'a ping with a 64-bit length', "\x89\xff"],
    [1002, 'a close of 126 bytes', "\x88\xfe"],
);
my @zipped = (
    [1009, '2^62, compressed', head(2, 1 << 62, rsv => 4)],
    [1009, '2^63 - 1, compressed', head(1, ~0 >> 1, rsv => 4)],
    [1009, 'a second fragment of 2^62, compressed',
        frame(1, "\xf2", rsv => 4, fin => 0) . head(0, 1 << 62)],
    [1002, 'a compressed ping', "\xc9"],
    [1002, 'a compressed close', "\xc8"],
    [1002, 'a compressed continuation',
        frame(1, "\xf2", rsv => 4, fin => 0) . "\xc0"],
);

sub refuse_all
{
    my ($path, $n, @rows) = @_;
    for my $row (@rows) {
        my ($code, $name, $bytes) = @$row;
        my @w = map { open_one($path) } 1 .. $n;
        $_->stream->write($bytes) for @w;
        my @codes = map { $_->wait_close(10) // 'nothing' } @w;
        is_deeply(\@codes, [($code) x $n], "$path, $name: $code");
        is(scalar(grep { $_->stream->closed(5) } @w), $n, '... and closed');
    }
    return;
}

fault('lengths that lie', 8 * $M, sub { refuse_all('/echo', 10, @heads) });
fault('compressed ones', 4 * $M, sub {
    refuse_all('/shared', 10, @zipped);
    refuse_all('/own', 10, @zipped);
});

fault('100 claim 16 MB and send 1 KB', 4 * $M, sub {
    my @w = map { open_one('/big') } 1 .. 100;
    $_->stream->write(frame(2, '', length => 16 << 20, width => 64)
            . 'x' x 1000) for @w;
    is_served('they are waited for');
    $_->stream->close(1) for @w;
});

# ---- fragments -----------------------------------------------------------

sub fragments
{
    my ($path, $first, $piece, $end, $want) = @_;
    my $w = open_one($path);
    $w->stream->write($first . $piece x 99_999, 60);
    $w->ping('between');
    is(($w->frame(30) // {})->{payload}, 'between', "$path: 100,000 of them");
    $w->stream->write($end);
    is($w->message(30), $want, '... are one message');
    is($w->close(1000), 1000, '... closed');
    return;
}

fault('100,000 empty fragments', 4 * $M, sub {
    fragments('/echo', frame(1, '', @o), frame(0, '', @o), frame(0, 'end'),
        'end');
    for my $path ('/shared', '/own') {
        fragments($path, frame(1, '', @o, rsv => 4), frame(0, '', @o),
            frame(0, "\x4a\xcd\x4b\x01\x00"), 'end');
    }
});
fault('100,000 fragments of a byte', 4 * $M, sub {
    fragments('/echo', frame(1, 'x', @o), frame(0, 'x', @o), frame(0, ''),
        'x' x 100_000);
});
fault('fragments of a byte with pings between', 4 * $M, sub {
    my $w = open_one('/echo');
    my $piece = frame(0, 'x', @o) . frame(9, '', mask => $MASK);
    $w->stream->write(frame(1, 'x', @o) . $piece x 9_999 . frame(0, ''));
    my $pongs = 0;
    $pongs++ while $pongs < 9_999 && ($w->frame(30) // {})->{op} == 10;
    is($pongs, 9_999, 'every ping is answered');
    is($w->message(30), 'x' x 10_000, '... and the message');
});

# ---- control frames ------------------------------------------------------

fault('storms of control frames', 4 * $M, sub {
    my $w = open_one('/echo');
    $w->stream->write(frame(9, 'x' x 125, mask => $MASK) x 10_000, 60);
    my $pongs = 0;
    $pongs++ while $pongs < 10_000 && ($w->frame(30) // {})->{op} == 10;
    is($pongs, 10_000, '10,000 pings, 10,000 pongs');
    $w->stream->write(frame(10, 'x' x 125, mask => $MASK) x 50_000, 60);
    $w->send_text('still here');
    is($w->message(30), 'still here', '50,000 pongs, no answer');
    $w->stream->write(frame(8, pack('n', 1000), mask => $MASK) x 10_000, 60);
    is($w->wait_close(30), 1000, '10,000 closes, one answer');
    ok($w->stream->closed(5), '... and closed');
    is($w->stream->pending, '', '... nothing else');
});

# Sends without ever reading; how much was taken.
sub pour
{
    my ($bytes, $most, @w) = @_;
    my $end = time + 20 * time_factor();
    my %left = map { fileno $_->stream->handle => [$_->stream->handle, $most] }
        @w;
    while (%left && time < $end) {
        my $ready = '';
        vec($ready, $_, 1) = 1 for keys %left;
        next if select(undef, $ready, undef, 1) <= 0;
        for my $fd (grep { vec $ready, $_, 1 } keys %left) {
            my $one = $left{$fd};
            # A frame begins wherever the last packet ended.
            my $done = ($most - $one->[1]) % length $bytes;
            my $n = syswrite $one->[0], $bytes, length($bytes) - $done, $done;
            $one->[1] -= $n // 0;
            delete $left{$fd} if $one->[1] <= 0 || !defined $n && !$!{EAGAIN};
        }
    }
    return scalar keys %left;
}

fault('pings from ten who do not read', 4 * $M, sub {
    my @w = map { $WS->connect(path => '/echo',
            stream => $t->connect('web', rcvbuf => 4096)) } 1 .. 10;
    my $left = pour(frame(9, 'y' x 125, mask => $MASK) x 500, 2 * $M, @w);
    is($left, 0, '2 MB of pings from each are taken');
    is_served('others are served meanwhile');
    # The answers that did not fit were not owed, but for the last.
    my $w = $w[0];
    $w->ping('the last');
    my ($pongs, $f) = (0);
    while ($f = $w->frame(10)) {
        $pongs++;
        last if $f->{payload} eq 'the last';
    }
    is(($f // {})->{payload}, 'the last', "the last is answered, of $pongs");
    $_->stream->close(1) for @w;
});

# ---- compressed data -----------------------------------------------------

# What is no deflate, what ends otherwise than usual, and what is fine.
my $hello = "\xf2\x48\xcd\xc9\xc9\x07\x00";
my @deflate = (
    [1007, 'a block that is none', ["\x07"]],
    [1007, 'lengths that do not agree', ["\x00\x05\x00\x00\x00"]],
    [1007, 'a cut stream', [substr $hello, 0, 4]],
    [1007, 'a cut stream in fragments', [substr($hello, 0, 2), "\xcd", '']],
    [1007, 'one bit wrong in a table', ["\x04\xc0\x81\x08\xff\xff\xff"]],
    ['Hello', 'a last block', ["\xf3\x48\xcd\xc9\xc9\x07\x00\x00"]],
    ['Hello', 'a last block and no more', ["\xf3\x48\xcd\xc9\xc9\x07\x00"]],
    ['Hello', 'a last block, in fragments',
        ["\xf3\x48", "\xcd\xc9\xc9\x07", "\x00"]],
    ['Hello', 'with the tail', ["$hello\x00\x00\xff\xff"]],
    ['Hello', 'a stored block', ["\x00\x05\x00\xfa\xffHello\x00"]],
    ['HelloHello', 'more behind a last block',
        ["\xf3\x48\xcd\xc9\xc9\x07\x00$hello"]],
    ['', 'nothing', ["\x00"]],
);

fault('compressed data of all kinds', 4 * $M, sub {
    for my $row (map { ["/$_->[0]", @{ $_->[1] }] }
        map { my $row = $_; map { [$_, $row] } qw(shared own) } @deflate) {
        my ($path, $want, $name, $parts) = @$row;
        my @w = map { open_one($path) } 1 .. 10;
        my $last = $#$parts;
        my $bytes = join '', map { frame($_ ? 0 : 1, $parts->[$_],
                rsv => $_ ? 0 : 4, fin => $_ == $last) } 0 .. $last;
        $_->stream->write($bytes) for @w;
        my @got = map { $want eq '1007' ? $_->wait_close(10)
                : (Test::Linnet::Deflate->new($_)->receive(10))[1] } @w;
        is_deeply(\@got, [($want) x 10], "$path, $name: $want");
    }
});

# ---- vanishing -----------------------------------------------------------

fault('200 vanish half way', 8 * $M, sub {
    my $long = frame(1, 'x' x 5000, mask => $MASK);
    my @ways = (['/echo', "\x81"], ['/echo', substr $long, 0, 3],
        ['/echo', substr $long, 0, 2000], ['/echo', frame(1, 'abc', @o)],
        ['/echo', frame(1, 'x' x 40_000, @o)],
        ['/own', frame(1, substr($hello, 0, 3), @o, rsv => 4)],
        ['/shared', frame(1, substr($hello, 0, 3), @o, rsv => 4)],
        ['/own', substr frame(1, $hello, rsv => 4), 0, 9],
        ['/big', substr frame(2, '', length => 16 << 20, width => 64), 0, 12],
        ['/echo', frame(8, pack 'n', 1000)]);
    for my $way (@ways) {
        my ($path, $bytes) = @$way;
        my @w = map { open_one($path) } 1 .. 20;
        $_->stream->write($bytes) for @w;
        is_served("$path, " . length($bytes) . ' bytes');
        $_->stream->close(1) for @w;
    }
    ok(wait_for(sub { ($t->workers)[0]{connections} == 0 }, 10, 'an end'),
        'the worker has noticed');
});

subtest 'an application closes when half a frame is there' => sub {
    my $w = $t->websocket('web', '/trouble');
    # Without its first byte it would be the beginning of a long head.
    my $close = frame(8, pack('n', 4500), mask => "\xff\0\0\0");
    $w->stream->write(frame(1, 'close') . substr $close, 0, 1);
    is($w->wait_close, 4500, 'it says goodbye');
    my $begin = time;
    $w->stream->write(substr $close, 1);
    ok($w->stream->closed(20), 'the answer to it is understood');
    cmp_ok(time - $begin, '<', 4 * time_factor(), '... at once');
};

is_deeply([$t->worker_pids], [$worker], 'the worker lives');
$t->finish;
done_testing;
