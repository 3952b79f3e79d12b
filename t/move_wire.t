# What is half-done on a connection when it moves: messages in fragments, frames
# cut anywhere, windows of compression, output that a slow reader has not taken,
# heads and lines that are not whole.  Clients finish what they had begun after
# a reload, an upgrade, another number of workers and a drain, on the same
# connections.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Deflate;

my $FRAME = 'Test::Linnet::WebSocket';
use constant { CONT => 0, TEXT => 1, BINARY => 2 };

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 10s

[limits]
ping_interval     = 0
idle_timeout      = 0
handshake_timeout = 0
message_size      = 256k

[listen raw]
address = 127.0.0.1:%%PORT_raw%%
app     = echo

[listen lines]
address  = 127.0.0.1:%%PORT_lines%%
protocol = line
app      = echo

%%LISTEN_web%%

%%ROUTE_echo%%

[route zipped]
listen          = web
path            = /zipped
protocol        = websocket
app             = echo
compression     = 32k
compression_min = 1

%%ROUTE_page%%
INI

my $page = join '', map { "line $_ of a page\n" } 1 .. 300;

# ---- clients ----
#
# Each is {name, before, after}: before leaves something half-done, after ends
# it and says whether all came as it must.  n counts the changes.

my $text = 'wir mögen Brötchen und Käse, '; # these bytes are UTF-8
sub words { return join '', map { "$text$_[0].$_ " } 1 .. $_[1] }

sub ws_client
{
    my ($t, $name, $before, $after) = @_;
    my $w = $t->websocket('web', '/echo');
    return { name => $name, before => sub { $before->($w, @_) },
        after => sub { $after->($w, @_) } };
}

# The bytes of a frame cut: so many before the move.
sub cut_client
{
    my ($t, $name, $payload, $cut) = @_;
    my $rest;
    return ws_client($t, $name,
        sub {
            my ($w) = @_;
            my $bytes = $FRAME->frame_bytes(TEXT, $payload);
            $w->stream->write(substr $bytes, 0, $cut);
            $rest = substr $bytes, $cut;
        },
        sub {
            my ($w) = @_;
            $w->stream->write($rest);
            return ($w->message // '') eq $payload;
        });
}

sub fragments
{
    my ($t) = @_;
    return ws_client($t, 'a message in fragments',
        sub {
            my ($w, $n) = @_;
            $w->send_frame(TEXT, "one $n, ", fin => 0);
            $w->send_frame(CONT, substr("K\xc3\xa4se", 0, 2), fin => 0);
            $w->ping("ping $n");
        },
        sub {
            my ($w, $n) = @_;
            $w->send_frame(CONT, substr("K\xc3\xa4se", 2), fin => 0);
            $w->send_frame(CONT, '', fin => 1);
            my $got = $w->message // '';
            return $got eq "one $n, K\xc3\xa4se"
                && ($w->{pongs}[-1] // '') eq "ping $n";
        });
}

sub zipped
{
    my ($t) = @_;
    my $w = $t->websocket('web', '/zipped',
        extensions => 'permessage-deflate; client_max_window_bits');
    my $c = Test::Linnet::Deflate->new($w);
    my ($half, $whole, @plain, @packed);
    return {
        name => 'windows on both sides',
        before => sub {
            my ($n) = @_;
            # What is said later is in both windows already.
            $c->send(TEXT, words($n, 30));
            my ($op, $data, $zip) = $c->receive;
            push @plain, $data eq words($n, 30) && $zip;
            # And one that is cut in a fragment.
            $whole = words($n, 31);
            my $z = $c->pack($whole);
            $w->send_frame(TEXT, substr($z, 0, 5), fin => 0, rsv => 4);
            $half = substr $z, 5;
        },
        after => sub {
            my ($n) = @_;
            $w->send_frame(CONT, $half);
            my ($op, $data, $zip) = $c->receive;
            return if $op ne TEXT || $data ne $whole || !$zip;
            my $again = words($n, 32);
            $c->send(TEXT, $again);
            my $f = $w->frame or return;
            # It is small because the window came along.
            return if length $f->{payload} > length($again) / 8;
            my $out = '';
            $c->{i}->inflate(my $in = "$f->{payload}\0\0\xff\xff", $out);
            return $out eq $again && !grep { !$_ } @plain;
        },
    };
}

# Writes until the server has output that nobody takes, and reads nothing.
sub slow
{
    my ($t, $name, $open, $piece, $answer) = @_;
    my $s = $open->();
    my ($owed, $rest);
    return {
        name => $name,
        slow => 1,
        before => sub {
            my ($n) = @_;
            ($owed, $rest) = ('', '');
            my ($i, $queued) = (0, queued($t));
            my $end = time + 60 * time_factor();
            until (queued($t) > $queued) {
                die 'cannot be stuffed' if time > $end;
                for (1 .. 8) {
                    if (!length $rest) {
                        $rest = $piece->("$n." . $i);
                        $owed .= $answer->("$n." . $i++);
                    }
                    my $got = syswrite $s->handle, $rest;
                    last if !$got;
                    substr($rest, 0, $got) = '';
                }
            }
        },
        after => sub {
            my $end = time + 60 * time_factor();
            $s->write($rest) or return;
            $s->fill($end) while length $s->{in} < length $owed
                && !$s->{eof} && time < $end;
            my $same = $s->{in} eq $owed;
            diag sprintf '%s: %d bytes of %d', $name, length $s->{in},
                length $owed if !$same;
            $s->{in} = '';
            return $same;
        },
    };
}

# Bytes that wait in the workers because nobody takes them.
sub queued
{
    my ($t) = @_;
    my $sum = 0;
    $sum += $_->{send_queue} for $t->workers;
    return $sum;
}

sub http_get { return "GET $_[0] HTTP/1.1\r\nHost: localhost\r\n\r\n" }

sub http_ok
{
    my ($s) = @_;
    my $r = $s->http_response or return;
    return $r->{status} == 200 && $r->{body} eq $page
        && lc($r->{headers}{connection} // '') ne 'close';
}

sub http_client
{
    my ($t, $name, $requests, $cut) = @_;
    my $s = $t->connect('web');
    my $rest;
    return {
        name => $name,
        before => sub {
            my $bytes = http_get('/page.txt') x $requests;
            my $n = $cut ? length($bytes) - $cut : length $bytes;
            $s->write(substr $bytes, 0, $n);
            $rest = substr $bytes, $n;
        },
        after => sub {
            $s->write($rest);
            for (1 .. $requests) {
                http_ok($s) or return;
            }
            $s->write(http_get('/page.txt'));
            return http_ok($s);
        },
    };
}

# A handshake that is not whole: one each time.
sub handshake
{
    my ($t) = @_;
    my $s;
    return {
        name => 'half of a handshake',
        before => sub {
            $s = $t->connect('web');
            $s->write("GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: web");
        },
        after => sub {
            my ($n) = @_;
            $s->write("socket\r\nConnection: Upgrade\r\n"
                . "Sec-WebSocket-Version: 13\r\n"
                . "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
                . $FRAME->frame_bytes(TEXT, "hello $n"));
            my $r = $s->http_response or return;
            my $want = "\x81" . chr(length "hello $n") . "hello $n";
            return $r->{status} == 101
                && ($s->read_exact(length $want) // '') eq $want;
        },
    };
}

sub lines
{
    my ($t, $name, $port, $cut) = @_;
    my $s = $t->connect($port);
    my $line = "eine Zeile mit K\xc3\xa4se\n";
    my $raw = $port eq 'raw';
    my $begun = substr $line, 0, $cut;
    return {
        name => $name,
        before => sub {
            $s->write("a line\n$begun");
        },
        after => sub {
            $s->write(substr $line, $cut);
            my $want = "a line\n$line";
            return ($s->read_exact(length $want) // '') eq $want;
        },
    };
}

sub clients
{
    my ($t) = @_;
    return (
        cut_client($t, 'a head of which one byte is there', 'short', 1),
        cut_client($t, 'a head cut in its length', 'x' x 300, 3),
        cut_client($t, 'a head cut in a length of 8 bytes', 'y' x 70000, 7),
        cut_client($t, 'a head cut in its mask', 'x' x 300, 6),
        cut_client($t, 'a head without its payload', 'some text', 6),
        cut_client($t, 'a payload cut in the middle', $text x 10, 50),
        cut_client($t, 'a long payload cut in the middle', 'z' x 200000,
            100000),
        fragments($t),
        zipped($t),
        http_client($t, 'HTTP between requests', 1, 0),
        http_client($t, 'HTTP in the middle of a head', 1, 20),
        http_client($t, 'HTTP in the last line end', 1, 1),
        http_client($t, 'requests behind each other', 20, 0),
        http_client($t, 'requests behind each other, the last not whole', 20,
            25),
        handshake($t),
        lines($t, 'half a line', 'lines', 8),
        lines($t, 'half a line, in the middle of a character', 'lines',
            length "eine Zeile mit K\xc3"),
        lines($t, 'bytes without an end', 'raw', 9),
    );
}

sub slow_clients
{
    my ($t) = @_;
    return (
        slow($t, 'a WebSocket that does not read',
            sub {
                my $s = $t->connect('web', rcvbuf => 4096);
                Test::Linnet::WebSocket->connect(stream => $s,
                    path => '/echo');
                return $s;
            },
            sub { $FRAME->frame_bytes(BINARY, "$_[0] " x 20000) },
            sub {
                my $data = "$_[0] " x 20000;
                return "\x82" . (length $data < 65536
                    ? "\x7e" . pack('n', length $data)
                    : "\x7f" . pack('Q>', length $data)) . $data;
            }),
        slow($t, 'plain TCP that does not read',
            sub { $t->connect('raw', rcvbuf => 4096) },
            sub { "$_[0] " x 20000 }, sub { "$_[0] " x 20000 }),
    );
}

# ---- changes ----

# All that are ready, n of them, and nobody else.
sub settled
{
    my ($t, $n) = @_;
    return wait_for(sub {
        my $s = $t->status or return;
        my @w = @{ $s->{workers} };
        return @w == $n && !grep { $_->{state} ne 'ready' } @w;
    }, 20, "$n workers");
}

sub drain_all
{
    my ($t) = @_;
    for my $slot (0 .. 1) {
        my ($w) = grep { $_->{slot} == $slot } $t->workers;
        return 1 if ($t->ctl('drain', $slot))[0];
        wait_for(sub { !proc_alive($w->{pid}) }, 20, 'the old one') or return 1;
        settled($t, 2) or return 1;
    }
    return 0;
}

my @changes = (
    ['a reload', 2, sub { ($_[0]->reload)[0] }],
    ['a new binary', 2, sub { ($_[0]->ctl('upgrade'))[0] }],
    ['four workers', 4, sub { ($_[0]->ctl('workers', 4))[0] }],
    ['one worker', 1, sub { ($_[0]->ctl('workers', 1))[0] }],
    ['two workers', 2, sub { ($_[0]->ctl('workers', 2))[0] }],
    ['both drained', 2, \&drain_all],
);

sub play
{
    my ($make, @which) = @_;
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
        files => { 'www/page.txt' => $page })->start;
    my @c = $make->($t);
    my $n = 0;
    for my $change (@which) {
        my ($name, $workers, $do) = @$change;
        $n++;
        $_->{before}->($n) for @c;
        my @old = $t->worker_pids;
        is($do->($t), 0, "$name: done");
        ok(settled($t, $workers), "... $workers workers")
            or diag $t->evidence;
        ok(wait_for(sub { !grep { proc_alive($_) } @old }, 20, 'old ones'),
            '... whoever had one of them is gone');
        ok($_->{after}->($n), "... $_->{name}") for @c;
    }
    $t->finish;
    return;
}

subtest 'what is half-done' => sub { play(\&clients, @changes) };

# Their output takes its time, so each has fewer moves.
subtest 'slow readers' => sub { play(\&slow_clients, @changes[0, 1, 5]) };

done_testing;
