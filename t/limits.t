# Every limit, provoked: what the client sees, and which counters say so.
# docs/operating.md has the same as a table.  What is not here: connections_per_ip
# over workers and reloads (per_ip.t), the pace of pings (keepalive.t), what is
# in a full queue (slow_reader.t), bodies (t/unit/http_conn.c).

use strict;
use warnings;

use Compress::Raw::Zlib;
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers = 1

[limits]
handshake_timeout = 1s
message_size      = 1000
ping_interval     = 0
idle_timeout      = 60s

[http]
line_size          = 300
head_size          = 600
headers            = 8
keepalive_requests = 3

%%LISTEN_web%%

[route echo]
listen      = web
path        = /echo
protocol    = websocket
app         = echo
compression = shared

[route rate]
listen       = web
path         = /rate
protocol     = websocket
app          = echo
message_rate = 5/s

[route idle]
listen       = web
path         = /idle
protocol     = websocket
app          = echo
idle_timeout = 700ms

[route calm]
listen        = web
path          = /calm
protocol      = websocket
app           = echo
ping_interval = 400ms
ping_timeout  = 10s

[route ping]
listen        = web
path          = /ping
protocol      = websocket
app           = echo
ping_interval = 400ms
ping_timeout  = 600ms

[route status]
listen  = web
path    = /status
handler = status

[listen lines]
address  = 127.0.0.1:%%PORT_lines%%
protocol = line
app      = echo

[listen fast]
address      = 127.0.0.1:%%PORT_fast%%
protocol     = line
app          = echo
message_rate = 20000/s

[listen patient]
address           = 127.0.0.1:%%PORT_patient%%
protocol          = http
handshake_timeout = 0
idle_timeout      = 700ms

[listen few]
address     = 127.0.0.1:%%PORT_few%%
app         = echo
connections = 3

[listen one]
address            = 127.0.0.1:%%PORT_one%%
app                = echo
connections_per_ip = 1

[listen slow]
address    = 127.0.0.1:%%PORT_slow%%
protocol   = line
app        = echo
send_queue = 16k
INI

my $t = Test::Linnet->new(config => $config)->start;

# What the code changes of the named counters, and that it changes none that
# speak of other limits.
my @causes = qw(refused_total refused_connections_total refused_per_ip_total
    refused_no_descriptor_total handshake_timeouts_total idle_timeouts_total
    ping_timeouts_total http_body_timeouts_total http_heads_too_big_total
    http_bodies_too_big_total http_keepalive_ended_total
    messages_too_big_total inflated_too_big_total rate_limited_total
    slow_readers_closed_total slow_messages_dropped_total
    protocol_errors_total close_sent_1001_total close_sent_1002_total
    close_sent_1007_total close_sent_1008_total close_sent_1009_total);

sub counted
{
    my ($want, $name, $code) = @_;
    my $before = $t->status->{counters};
    $code->();
    my %want = ((map { $_ => 0 } @causes), %$want);
    my %got;
    wait_for(
        sub {
            my $now = $t->status->{counters};
            %got = map { $_ => $now->{$_} - $before->{$_} } keys %want;
            return !grep { $got{$_} != $want{$_} } keys %want;
        },
        5,
        "the counters: $name"
    );
    for my $h (\%got, \%want) {
        delete $h->{$_} for grep { !$h->{$_} } keys %$h;
    }
    return is_deeply(\%got, \%want, "$name: counted");
}

sub refused
{
    my ($to) = @_;
    my $s = $t->connect($to);
    $s->write('x');
    return $s->closed(5) && !length $s->pending;
}

sub first_bytes
{
    my ($bytes, %o) = @_;
    my $s = $t->connect($o{to} // 'web');
    $s->write($bytes);
    return $s;
}

subtest 'connections' => sub {
    my @c = map { $t->connect('few') } 1 .. 3;
    wait_for(sub { $t->status->{connections} == 3 }, 5, 'three');
    counted({ refused_total => 2, refused_connections_total => 2 },
        'connections', sub {
            ok(refused('few'), 'a fourth is closed') for 1 .. 2;
        });
    $_->close for @c;
    wait_for(sub { $t->status->{connections} == 0 }, 5, 'none');
    my $c = $t->connect('one');
    $c->write('x');
    is($c->read_exact(1), 'x', 'one from an address is served');
    counted({ refused_total => 1, refused_per_ip_total => 1 },
        'connections_per_ip', sub {
            ok(refused('one'), 'another is closed');
        });
};

subtest 'no descriptors' => sub {
    my $few = Test::Linnet->new(ulimit => ['n 64'], config => <<'INI')->start;
[server]
workers = 1
%%LISTEN_echo%%
INI
    my @c = map { $few->connect('echo') } 1 .. 100;
    my $n = 0;
    ok(wait_for(sub {
            my $s = $few->status;
            $n = $s->{counters}{refused_no_descriptor_total};
            return $n >= 30 && $s->{connections} + $n == 100;
        }, 10, 'refusals'), 'connections without a descriptor are refused');
    my $now = $few->status;
    is($now->{counters}{refused_total}, $n, '... and all that are refused');
    is($now->{connections} + $n, 100, '... the others are served');
    my $closed = grep { $_->closed(0.1) } @c;
    is($closed, $n, "... $n see the end at once");
    $few->finish;
};

subtest 'handshake_timeout' => sub {
    counted({ handshake_timeouts_total => 3, close_sent_1001_total => 0 },
        'slow heads', sub {
            my $silent = $t->connect('web');
            my $head = first_bytes("GET /echo HTTP/1.1\r\nHost: x\r\n");
            my $second = first_bytes("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
            is($second->http_response->{status}, 404, 'a first request');
            $second->write("GET /none HTTP/1.1\r\n");
            ok($silent->closed(5), 'who says nothing is closed');
            is(length $silent->pending, 0, '... without a word');
            is($head->http_response->{status}, 408, 'half a head: 408');
            ok($head->closed(5), '... and the end');
            is($second->http_response->{status}, 408, 'half a second one, too');
            ok($second->closed(5), '... and the end');
        });
};

subtest 'heads and bodies' => sub {
    my $start = "GET /none HTTP/1.1\r\nHost: x\r\n";
    counted({ http_heads_too_big_total => 4 }, 'heads', sub {
        my $s = first_bytes('GET /' . 'x' x 400 . " HTTP/1.1\r\n");
        is($s->http_response->{status}, 414, 'line_size: 414');
        ok($s->closed(5), '... and the end');
        $s = first_bytes('GET /' . 'x' x 4000);
        is($s->http_response->{status}, 414, '... without an end, too');
        $s = first_bytes($start . 'X: ' . 'x' x 700 . "\r\n\r\n");
        is($s->http_response->{status}, 431, 'head_size: 431');
        ok($s->closed(5), '... and the end');
        $s = first_bytes($start . "X: 1\r\n" x 9 . "\r\n");
        is($s->http_response->{status}, 431, 'headers: 431');
        ok($s->closed(5), '... and the end');
    });
    counted({ http_bodies_too_big_total => 1 }, 'bodies', sub {
        my $s = first_bytes($start =~ s/none/status/r
                . "Content-Length: 5\r\n\r\nhello");
        is($s->http_response->{status}, 413, 'a body for nobody: 413');
    });
    counted({ http_keepalive_ended_total => 1 }, 'requests', sub {
        my $s = $t->connect('web');
        for my $n (1 .. 3) {
            $s->write("$start\r\n");
            my $r = $s->http_response;
            is($r->{headers}{connection} // '', $n == 3 ? 'close' : '',
                "request $n");
        }
        ok($s->closed(5), 'keepalive_requests: the end');
    });
};

subtest 'message_size' => sub {
    counted({ messages_too_big_total => 1, close_sent_1009_total => 1 },
        'websocket', sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_text('x' x 1000);
            is(length $w->message, 1000, 'as large as it may be');
            $w->send_frame(1, 'x' x 10, length => 1001);
            is($w->wait_close, 1009, 'one more: 1009, from the head alone');
        });
    counted({ messages_too_big_total => 1, close_sent_1009_total => 1 },
        'fragments', sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_frame(1, 'x' x 600, fin => 0);
            $w->send_frame(0, 'x' x 401, fin => 1);
            is($w->wait_close, 1009, 'in fragments: 1009');
        });
    counted({ messages_too_big_total => 1, inflated_too_big_total => 1,
            close_sent_1009_total => 1 }, 'compressed', sub {
            my $w = $t->websocket('web', '/echo',
                extensions => 'permessage-deflate');
            my $d = Compress::Raw::Zlib::Deflate->new(-WindowBits => -15,
                -AppendOutput => 1);
            my $zip = '';
            $d->deflate('x' x 100_000, $zip);
            $d->flush($zip, Z_SYNC_FLUSH);
            $w->send_frame(1, substr($zip, 0, -4), rsv => 4);
            is($w->wait_close, 1009, 'when it is decompressed: 1009');
        });
    counted({ messages_too_big_total => 1 }, 'lines', sub {
        my $s = first_bytes("short\n", to => 'lines');
        is($s->line, 'short', 'a line');
        $s->write('x' x 1100 . "\n");
        ok($s->closed(5), 'a longer one: the end');
    });
};

subtest 'message_rate' => sub {
    counted({ rate_limited_total => 1, close_sent_1008_total => 1 }, 'rate',
        sub {
            my $w = $t->websocket('web', '/rate');
            $w->send_text("message $_") for 1 .. 40;
            my $n = 0;
            $n++ while defined $w->message;
            is($w->close_code, 1008, 'too many: 1008');
            cmp_ok($n, '>=', 5, "... after $n");
            cmp_ok($n, '<', 5 + 5 * 5 * time_factor(), '... at the rate');
        });
    counted({ rate_limited_total => 1 }, 'a high rate', sub {
        my $s = $t->connect('fast');
        $s->write("x\n");
        is($s->line, 'x', 'a first message');
        # For the worker all the others come in the same millisecond.
        my ($worker) = $t->worker_pids;
        kill STOP => $worker;
        $s->write("\n" x 40_000);
        kill CONT => $worker;
        my $got = $s->read_all(20);
        like($got, qr/^\n{20000,39999}\* too many messages\n\z/,
            'too many: the end, a second\'s worth after the beginning');
    });
};

subtest 'idle_timeout and ping_timeout' => sub {
    counted({ idle_timeouts_total => 1, close_sent_1001_total => 1 }, 'idle',
        sub {
            my $begin = time;
            my $w = $t->websocket('web', '/idle');
            is($w->wait_close, 1001, 'who is silent: 1001');
            cmp_ok(time - $begin, '>', 0.6, '... not before');
        });
    counted({ idle_timeouts_total => 2 }, 'idle, and no handshake_timeout',
        sub {
            my $silent = $t->connect('patient');
            my $head = $t->connect('patient');
            $head->write("GET / HTTP/1.1\r\n");
            ok($silent->closed(5), 'who has never said anything is closed');
            is(length $silent->pending, 0, '... without a word');
            is($head->http_response->{status}, 408, 'half a head: 408');
        });
    counted({ ping_timeouts_total => 1, close_sent_1001_total => 1 }, 'pings',
        sub {
            my $begin = time;
            my $w = $t->websocket('web', '/ping');
            my $f = $w->frame;
            is($f->{op}, 9, 'a ping comes');
            is($w->wait_close, 1001, 'who does not answer: 1001');
            # Half of ping_interval, at least, and ping_timeout.
            cmp_ok(time - $begin, '>', 0.75, '... not before');
            ok($w->stream->closed(2), '... and the end at once');
        });
    counted({}, 'one who answers', sub {
        my $w = $t->websocket('web', '/calm');
        for (1 .. 4) {
            my $f = $w->frame;
            is($f->{op}, 9, 'a ping comes');
            $w->send_frame(10, $f->{payload});
        }
        is($w->close(1000), 1000, 'and lives on');
    });
};

subtest 'send_queue' => sub {
    counted({ slow_readers_closed_total => 1 }, 'slow reader', sub {
        my $s = $t->connect('slow', rcvbuf => 4096);
        my $line = 'x' x 900 . "\n";
        my $end = time + 30 * time_factor();
        1 while $s->{sock} && time < $end && blind($s, $line x 16);
        ok($s->closed(20), 'who does not read is cut off');
    });
};

# Writes without reading; false when the peer is gone.
sub blind
{
    my ($s, $bytes) = @_;
    my $w = '';
    vec($w, fileno $s->handle, 1) = 1;
    select undef, $w, undef, 0.1;
    my $n = syswrite $s->handle, $bytes;
    return 1 if defined $n;
    return $!{EAGAIN};
}

subtest 'breaches' => sub {
    counted({ protocol_errors_total => 1, close_sent_1002_total => 1 },
        'unmasked', sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_frame(1, 'x', mask => 0);
            is($w->wait_close, 1002, 'a frame that is not masked: 1002');
        });
    counted({ protocol_errors_total => 1, close_sent_1007_total => 1 },
        'bad text', sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_frame(1, "\xff");
            is($w->wait_close, 1007, 'text that is not UTF-8: 1007');
        });
};

subtest 'where they are seen' => sub {
    my $json = JSON::PP::decode_json($t->http_get('web', '/status')->{body});
    my $ctl = $t->status->{counters};
    my @not = grep { !defined $json->{counters}{$_} || !defined $ctl->{$_} }
        @causes;
    is("@not", '', '/status and ctl status have them all');
    my $was = $ctl->{messages_too_big_total};
    my ($exit) = $t->reload;
    is($exit, 0, 'reload');
    wait_for(sub { !$t->workers('draining') }, 10, 'the old worker to end');
    is($t->status->{counters}{messages_too_big_total}, $was,
        'a reload does not set them back');
};

$t->finish;
done_testing;
