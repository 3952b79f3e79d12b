# The opening handshake of RFC 6455 (section 4.2), on raw sockets: every refusal
# with its status and what it says, what must not make a difference, and what
# comes behind the handshake in the same packet.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;

my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers = 1

[limits]
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

[route health]
listen  = web
path    = /healthz
handler = status

%%ROUTE_echo%%

[route sub]
listen      = web
path        = /sub
protocol    = websocket
app         = echo
subprotocol = v2.test
subprotocol = v1.test

[route list]
listen   = web
path     = /list
protocol = websocket
app      = echo
origin   = ^https?://localhost(:\d+)?$
origin   = ^https://([a-z0-9-]+\.)*example\.org$

[route null]
listen   = web
path     = /null
protocol = websocket
app      = echo
origin   = ^null$
INI

my $WS = 'Test::Linnet::WebSocket';
my ($worker) = $t->worker_pids;
my $key = 'dGhlIHNhbXBsZSBub25jZQ==';
my $accept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

# A handshake as a text: what is given replaces the usual header, undef leaves
# it out, a list repeats it.
sub handshake
{
    my ($line, %change) = @_;
    my %h = (
        'Host'                  => 'localhost',
        'Upgrade'               => 'websocket',
        'Connection'            => 'Upgrade',
        'Sec-WebSocket-Key'     => $key,
        'Sec-WebSocket-Version' => 13,
        %change,
    );
    my $text = "$line\r\n";
    for my $name (sort keys %h) {
        my @values = ref $h{$name} ? @{ $h{$name} } : $h{$name};
        $text .= "$name: $_\r\n" for grep { defined } @values;
    }
    return "$text\r\n";
}

sub answer
{
    my ($bytes, $s) = @_;
    $s //= $t->connect('web');
    $s->write($bytes);
    my $r = $s->http_response(timeout => 5)
        // { status => 0, headers => {}, body => '' };
    $r->{stream} = $s;
    return $r;
}

my $get = 'GET /echo HTTP/1.1';
my ($U, $C, $K, $V) =
    qw(Upgrade Connection Sec-WebSocket-Key Sec-WebSocket-Version);

subtest 'refused' => sub {
    my $no_upgrade = qr/needs "Upgrade: websocket"/;
    my $no_connection = qr/needs "Connection: Upgrade"/;
    my $no_key = qr/needs one Sec-WebSocket-Key: 16 bytes in base64/;
    my @rows = (
        [400, 'no Upgrade', $no_upgrade, $U => undef],
        [400, 'an empty Upgrade', $no_upgrade, $U => ''],
        [400, 'Upgrade to something else', $no_upgrade, $U => 'h2c'],
        [400, 'Upgrade to something longer', $no_upgrade, $U => 'websockets'],
        [400, 'Upgrade without Connection', $no_connection, $C => undef],
        [400, 'Connection without upgrade', $no_connection,
            $C => 'keep-alive'],
        [400, 'Connection with something like it', $no_connection,
            $C => 'keep-alive, upgrades'],
        [400, 'no key', $no_key, $K => undef],
        [400, 'an empty key', $no_key, $K => ''],
        [400, 'a key of 15 bytes', $no_key, $K => 'dGhlIHNhbXBsZSBub25j'],
        [400, 'a key of 17 bytes', $no_key, $K => 'dGhlIHNhbXBsZSBub25jZWU='],
        [400, 'a key without its padding', $no_key,
            $K => 'dGhlIHNhbXBsZSBub25jZQ'],
        [400, 'a key that is not base64', $no_key,
            $K => 'dGhlIHNhbXBsZSBub25j!!=='],
        [400, 'padding in the middle', $no_key,
            $K => 'dGhlIHNh==BsZSBub25jZQ=='],
        [400, 'two keys', $no_key, $K => [$key, $key]],
        [400, 'two keys in one', $no_key, $K => "$key, $key"],
        [400, 'no version', qr/Sec-WebSocket-Version is missing/, $V => undef],
        [400, 'two versions', qr/was given twice/, $V => [13, 13]],
        (map { [426, "version $_", qr/Only version 13/, $V => $_] }
            0, 8, 12, 14, '013', 130, '13, 8', '13.0', ''),
        [403, 'another origin', qr/origin may not/,
            Origin => 'http://evil.example'],
        [413, 'a body', qr/no body is taken here/, 'Content-Length' => 5],
        [413, 'a body in chunks', qr/no body is taken here/,
            'Transfer-Encoding' => 'chunked'],
        [400, 'a length that is none', qr/Content-Length is not a number/,
            'Content-Length' => '5x'],
        [400, 'no Host', qr/need a Host/, Host => undef],
        [400, 'two Hosts', qr/more than one Host/,
            Host => ['localhost', 'localhost']],
    );
    for my $row (@rows) {
        my ($status, $name, $why, %change) = @$row;
        my $r = answer(handshake($get, %change));
        is($r->{status}, $status, "$status: $name");
        like($r->{body}, $why, '... and why');
        is($r->{headers}{'sec-websocket-accept'}, undef, '... not accepted')
            if $status == 400;
        next unless $status == 426;
        is($r->{headers}{'sec-websocket-version'}, 13, '... and says 13');
        like($r->{headers}{upgrade} // '', qr/^websocket$/, '... and to what');
        like($r->{headers}{connection} // '', qr/\bupgrade\b/i,
            '... to the next hop alone');
    }
    my $r = answer(handshake('GET /echo HTTP/1.0'));
    is($r->{status}, 400, '400: HTTP/1.0');
    like($r->{body}, qr/needs HTTP\/1\.1/, '... and why');
    for my $method (qw(POST PUT DELETE PATCH OPTIONS)) {
        $r = answer(handshake("$method /echo HTTP/1.1",
                'Content-Length' => 0));
        is($r->{status}, 405, "405: $method");
        is($r->{headers}{allow} // '', 'GET', '... and says GET');
    }
    $r = answer(handshake('GET /nowhere HTTP/1.1'));
    is($r->{status}, 404, '404: no such path');
    is(answer(handshake('GET /echoes HTTP/1.1'))->{status}, 404,
        '404: a longer name');
    is(answer(handshake('BREW /echo HTTP/1.1'))->{status}, 501,
        '501: a method that nobody knows');
};

subtest 'taken' => sub {
    my @rows = (
        ['as it should be'],
        ['Upgrade in other case', $U => 'WebSocket'],
        ['a list of upgrades', $U => 'h2c, websocket'],
        ['Connection in other case', $C => 'UPGRADE'],
        ['Connection as a list', $C => 'keep-alive, Upgrade'],
        ['two headers Connection', $C => ['keep-alive', 'upgrade']],
        ['blanks around values', $V => "  13 \t", $K => " \t$key "],
        ['a length of 0', 'Content-Length' => 0],
        ['headers that nobody knows', 'Sec-WebSocket-Draft' => 76],
        ['a request with a query', _line => 'GET /echo?room=1&x=%20 HTTP/1.1'],
        ['an absolute target', _line => 'GET http://localhost/echo HTTP/1.1'],
    );
    for my $row (@rows) {
        my ($name, %change) = @$row;
        my $line = delete $change{_line} // $get;
        my $r = answer(handshake($line, %change));
        is($r->{status}, 101, "101: $name");
        is($r->{headers}{'sec-websocket-accept'}, $accept,
            '... with the answer to the key');
    }
    my $r = answer(handshake($get));
    like($r->{raw_head}, qr/^HTTP\/1\.1 101 Switching Protocols\r\n/,
        'the status line');
    is($r->{headers}{upgrade}, 'websocket', 'Upgrade');
    is($r->{headers}{connection}, 'Upgrade', 'Connection');
    is($r->{headers}{$_}, undef, "no $_")
        for qw(sec-websocket-extensions sec-websocket-protocol content-length
            transfer-encoding);
};

subtest 'origins' => sub {
    my %same = (
        'http://localhost'              => 101,
        'https://localhost'             => 101,
        'HTTP://LOCALHOST'              => 101,
        'http://localhost:80'           => 101,
        'http://localhost:3000'         => 403,
        'http://localhost.evil.example' => 403,
        'http://evil-localhost'         => 403,
        'http://localhost@evil.example' => 403,
        'http://localhost/'             => 403,
        'ftp://localhost'               => 403,
        'localhost'                     => 403,
        'null'                          => 403,
        ''                              => 403,
        'http://localhost http://a.org' => 403,
    );
    for my $origin (sort keys %same) {
        is(answer(handshake($get, Origin => $origin))->{status},
            $same{$origin}, "same host, \"$origin\": $same{$origin}");
    }
    is(answer(handshake($get, Origin => [('http://localhost') x 2]))->{status},
        403, 'two origins: 403');
    is(answer(handshake($get, Host => 'localhost:8080',
                Origin => 'http://localhost:8080'))->{status}, 101,
        'the port of the Host: 101');
    is(answer(handshake($get, Host => 'localhost:8080',
                Origin => 'http://localhost'))->{status}, 403,
        'not that port: 403');

    my %list = (
        'http://localhost'                 => 101,
        'http://localhost:3000'            => 101,
        'HTTPS://LocalHost'                => 101,
        'https://example.org'              => 101,
        'https://EXAMPLE.org'              => 101,
        'https://a.b.example.org'          => 101,
        'http://example.org'               => 403,
        'https://example.org.evil.example' => 403,
        'https://evilexample.org'          => 403,
        'https://example.orgx'             => 403,
        'https://example.org:444'          => 403,
        'http://localhost.evil.example'    => 403,
        'http://localhost:3000.evil.org'   => 403,
        'null'                             => 403,
        ''                                 => 403,
    );
    for my $origin (sort keys %list) {
        is(answer(handshake('GET /list HTTP/1.1', Origin => $origin))
                ->{status}, $list{$origin},
            "a list, \"$origin\": $list{$origin}");
    }
    is(answer(handshake('GET /list HTTP/1.1'))->{status}, 101,
        'no origin, no browser: 101');
    is(answer(handshake('GET /null HTTP/1.1', Origin => 'null'))->{status},
        101, 'null where a pattern says so: 101');
    is(answer(handshake('GET /null HTTP/1.1', Origin => 'nullx'))->{status},
        403, '... and only that: 403');
};

subtest 'subprotocols' => sub {
    my $P = 'Sec-WebSocket-Protocol';
    for my $row (['v1.test', 'v1.test'], ['v1.test, v2.test', 'v2.test'],
        ['other,v1.test', 'v1.test'], [['other', 'v1.test'], 'v1.test'],
        [', v1.test ,,', 'v1.test'], ['V1.test', undef], ['other', undef],
        ['', undef], [undef, undef]) {
        my ($offer, $want) = @$row;
        my $name = ref $offer ? join ' and ', @$offer : $offer // 'nothing';
        my $r = answer(handshake('GET /sub HTTP/1.1', $P => $offer));
        is($r->{status}, 101, "offered \"$name\"");
        is($r->{headers}{ lc $P }, $want, '... ' . ($want // 'none'));
    }
    for my $offer ('a b', 'v1.test; q=1', 'v1.test, "v2.test"', "v1\x01") {
        my $r = answer(handshake('GET /sub HTTP/1.1', $P => $offer));
        is($r->{status}, 400, 'a list that is none: 400');
    }
    is(answer(handshake($get, $P => 'v1.test'))->{headers}{ lc $P }, undef,
        'none is configured, none is answered');
    # A list of many names is read once, not again and again.
    my $long = join ',', map { "p$_" } 1 .. 1000;
    my $r = answer(handshake('GET /sub HTTP/1.1', $P => "$long,v1.test"));
    is($r->{headers}{ lc $P }, 'v1.test', '1,000 others in front');
};

subtest 'in pieces, and with frames behind' => sub {
    my $hi = $WS->frame_bytes(1, 'early');
    my $s = $t->connect('web');
    $s->write($_) for split //, handshake($get) . $hi;
    is($s->http_response->{status}, 101, 'byte by byte');
    is($s->read_exact(7), "\x81\x05early", '... and a frame in bytes');

    my $r = answer(handshake($get) . $hi . $WS->frame_bytes(9, 'ping'));
    is($r->{status}, 101, 'frames in the packet of the handshake');
    is($r->{stream}->read_exact(13), "\x81\x05early\x8a\x04ping",
        '... are answered');
    my $many = join '', map { $WS->frame_bytes(1, "early $_") } 1 .. 500;
    for my $cut (1, 2, 5, 6, 7, 12, 13) {
        my $w = $t->websocket('web', '/echo', early => substr $many, 0, $cut);
        $w->stream->write(substr $many, $cut);
        is(scalar(grep { ($w->message // '') ne "early $_" } 1 .. 500), 0,
            "500 messages, cut behind byte $cut of the first");
    }
    my $w = $t->websocket('web', '/echo',
        early => $WS->frame_bytes(8, pack 'n', 1000));
    is($w->wait_close, 1000, 'a close in the packet of the handshake');
    $w = $t->websocket('web', '/echo',
        early => $WS->frame_bytes(1, 'x', mask => '0'));
    is($w->wait_close, 1002, 'what is wrong there is refused');
};

# What stands behind a request that was no good handshake is not taken for
# frames, and who was refused may do better.
subtest 'after a refusal' => sub {
    my $r = answer(handshake($get, $V => 8));
    is($r->{status}, 426, 'refused');
    is(answer(handshake($get), $r->{stream})->{status}, 101,
        '... and taken on the same connection');
    my $w = bless { s => $r->{stream} }, $WS;
    $w->send_text('hi');
    is($w->message, 'hi', '... which works');

    my $hi = $WS->frame_bytes(1, 'hi', mask => "\0\0\0\0");
    $r = answer(handshake($get, $K => undef) . $hi);
    is($r->{status}, 400, 'refused, with a frame behind');
    my $rest = $r->{stream}->read_all(5) // 'not closed';
    like($rest, qr/^(?:HTTP\/1\.1 400 |$)/, '... that gets no echo');

    $r = answer(handshake('GET /healthz HTTP/1.1')
            . "GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n");
    is($r->{status}, 200, 'no WebSocket there: just a request');
    is($r->{headers}{upgrade}, undef, '... that is not upgraded');
    is($r->{stream}->http_response->{status}, 404,
        '... and so is what follows');
};

is_deeply([$t->worker_pids], [$worker], 'the worker lives');
$t->finish;
done_testing;
