# What HTTP refuses and what it does not, by raw sockets: bodies and their
# chunks, forms of the target, paths that try to leave the root, heads and
# bodies that come too slowly.  Whatever could be understood in two ways ends
# the connection, so that nothing behind it is taken for a request.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $t = Test::Linnet->new(
    config => <<'INI',
[server]
workers     = 1
load_module = %%MODULE_box%%

[log]
error  = logs/error.log
level  = info
access = logs/access.log

[http]
body_timeout = 1s
headers      = 20
head_size    = 4k
line_size    = 2k

[limits]
handshake_timeout = 60s

%%LISTEN_web%%

[listen hasty]
address  = 127.0.0.1:%%PORT_hasty%%
protocol = http
handshake_timeout = 1s

[route box]
listen  = web
listen  = hasty
path    = /box
handler = box

[route files]
listen  = web
path    = /
handler = static
root    = www

%%ROUTE_echo%%
INI
    files => {
        'www/a.txt'   => "text\n",
        'www/b/c.txt' => "below\n",
        'secret.txt'  => "secret\n",
    },
)->start;

my $H = "Host: localhost\r\n";
my $MARK = "GET /box/smuggled HTTP/1.1\r\n$H\r\n";

# Everything that comes back, with a request behind that must be answered only
# where the connection may stay.  One byte at a time, too.
sub ask
{
    my ($text, $piecewise) = @_;
    my $s = $t->connect('web');
    my $all = $text . $MARK;
    if ($piecewise) {
        $s->write($_) or last for split //, $all;
    } else {
        $s->write($all);
    }
    $s->shutdown_write;
    return $s->read_all(10);
}

# Status, whether the connection stays, name, request.
sub cases
{
    for my $case (@_) {
        my ($status, $stays, $name, $text) = @$case;
        for my $piecewise (0, 1) {
            my $got = ask($text, $piecewise);
            my ($is) = $got =~ m{^HTTP/1\.1 (\d+)};
            my $smuggled = $got =~ m{GET /box/smuggled} ? 1 : 0;
            is($is // 'none', $status,
                "$status: $name" . ($piecewise ? ', byte by byte' : ''))
                or diag $got;
            is($smuggled, $stays, $stays ? '... the connection stays'
                : '... nothing behind it is answered') or diag $got;
        }
    }
}

sub post
{
    my ($headers, $body) = @_;
    return "POST /box HTTP/1.1\r\n$H$headers\r\n$body";
}

sub chunked { return post("Transfer-Encoding: chunked\r\n", $_[0]) }

subtest 'lines' => sub {
    cases(
        [400, 0, 'CR alone in a value', "GET /box HTTP/1.1\r\n${H}A: b\rc\r\n\r\n"],
        [400, 0, 'CR alone in the target', "GET /box\r HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'CR alone as a line end', "GET /box HTTP/1.1\r${H}\r\n"],
        [400, 0, 'LF alone', "GET /box HTTP/1.1\r\nHost: a\n\r\n"],
        [400, 0, 'CR CR LF', "GET /box HTTP/1.1\r\r\n$H\r\n"],
        [400, 0, 'a folded line', "GET /box HTTP/1.1\r\n${H}A: b\r\n c\r\n\r\n"],
        [400, 0, '... with a tab', "GET /box HTTP/1.1\r\n${H}A: b\r\n\tc\r\n\r\n"],
        [400, 0, '... as the first', "GET /box HTTP/1.1\r\n A: b\r\n$H\r\n"],
        [400, 0, 'a blank before the colon', "GET /box HTTP/1.1\r\n${H}A : b\r\n\r\n"],
        [400, 0, 'a header without name', "GET /box HTTP/1.1\r\n${H}: b\r\n\r\n"],
        [400, 0, 'two blanks', "GET  /box HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'a blank behind', "GET /box HTTP/1.1 \r\n$H\r\n"],
        [400, 0, 'a tab for a blank', "GET\t/box HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'a version in small letters', "GET /box http/1.1\r\n$H\r\n"],
        [400, 0, 'a version of two digits', "GET /box HTTP/1.10\r\n$H\r\n"],
        [400, 0, 'HTTP/0.9', "GET /box\r\n\r\n"],
        [505, 0, 'HTTP/2.0', "GET /box HTTP/2.0\r\n$H\r\n"],
        [505, 0, 'HTTP/0.9 in full', "GET /box HTTP/0.9\r\n$H\r\n"],
        [200, 1, 'HTTP/1.2 is 1.1 and more', "GET /box HTTP/1.2\r\n$H\r\n"],
        [400, 0, 'no Host', "GET /box HTTP/1.1\r\n\r\n"],
        [400, 0, 'two Hosts that differ', "GET /box HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"],
        [400, 0, 'two Hosts that do not', "GET /box HTTP/1.1\r\n$H$H\r\n"],
        [400, 0, 'a Host with a path', "GET /box HTTP/1.1\r\nHost: a/b\r\n\r\n"],
        [400, 0, 'a Host with a user', "GET /box HTTP/1.1\r\nHost: u\@a\r\n\r\n"],
        [400, 0, 'a list of Hosts', "GET /box HTTP/1.1\r\nHost: a, b\r\n\r\n"],
        [400, 0, 'a port that is none', "GET /box HTTP/1.1\r\nHost: a:b\r\n\r\n"],
        [501, 1, 'an unknown method', "BREW /box HTTP/1.1\r\n$H\r\n"],
        [501, 1, 'a method in small letters', "get /box HTTP/1.1\r\n$H\r\n"],
        [405, 1, 'one that is known elsewhere', "DELETE /box HTTP/1.1\r\n$H\r\n"],
        [405, 1, 'OPTIONS where WebSockets begin', "OPTIONS /echo HTTP/1.1\r\n$H\r\n"],
        [405, 1, 'HEAD there', "HEAD /echo HTTP/1.1\r\n$H\r\n"],
        [405, 1, 'POST there', "POST /echo HTTP/1.1\r\n${H}Content-Length: 0\r\n\r\n"],
        [417, 0, 'another expectation', "GET /box HTTP/1.1\r\n${H}Expect: 200-ok\r\n\r\n"],
        [417, 0, 'two at once',
            post("Expect: 100-continue, x\r\nContent-Length: 1\r\n", 'a')],
    );
};

subtest 'sizes' => sub {
    my $some = sub { join '', map { "A$_: b\r\n" } 1 .. $_[0] };
    cases(
        [200, 1, '20 headers', "GET /box HTTP/1.1\r\n$H" . $some->(19) . "\r\n"],
        [431, 0, '21 headers', "GET /box HTTP/1.1\r\n$H" . $some->(20) . "\r\n"],
        [431, 0, 'one that is too long',
            "GET /box HTTP/1.1\r\n${H}A: " . 'b' x 4096 . "\r\n\r\n"],
        [431, 0, 'many that are', "GET /box HTTP/1.1\r\n$H"
                . join('', map { "A$_: " . 'b' x 500 . "\r\n" } 1 .. 10) . "\r\n"],
        [200, 1, 'a line of 2 KB',
            'GET /box?' . 'a' x (2048 - 18) . " HTTP/1.1\r\n$H\r\n"],
        [414, 0, 'and one byte more',
            'GET /box?' . 'a' x (2048 - 17) . " HTTP/1.1\r\n$H\r\n"],
    );
};

subtest 'bodies' => sub {
    my $size = 'Content-Length';
    cases(
        [200, 1, 'one', post("$size: 5\r\n", 'hello')],
        [200, 1, 'an empty one', post("$size: 0\r\n", '')],
        [200, 1, '1000 bytes', post("$size: 1000\r\n", 'a' x 1000)],
        [413, 0, '1001 bytes', post("$size: 1001\r\n", 'a' x 1001)],
        [413, 0, 'more than there is', post("$size: 18446744073709551615\r\n", 'a')],
        [400, 0, '2^64', post("$size: 18446744073709551616\r\n", 'a')],
        [400, 0, 'two lengths', post("$size: 1\r\n$size: 2\r\n", 'a')],
        [400, 0, 'the same twice', post("$size: 1\r\n$size: 1\r\n", 'a')],
        [400, 0, 'a list', post("$size: 1, 1\r\n", 'a')],
        [400, 0, 'a sign', post("$size: +1\r\n", 'a')],
        [400, 0, 'less than nothing', post("$size: -1\r\n", 'a')],
        [400, 0, 'in hexadecimal', post("$size: 0x1\r\n", 'a')],
        [400, 0, 'a blank in it', post("$size: 1 1\r\n", 'a' x 11)],
        [400, 0, 'no number', post("$size:\r\n", 'a')],
        [400, 0, 'length and chunks',
            post("$size: 3\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n")],
        [400, 0, 'chunks and length',
            post("Transfer-Encoding: chunked\r\n$size: 3\r\n", "0\r\n\r\n")],
        [400, 0, 'chunks in HTTP/1.0',
            "POST /box HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        [501, 0, 'gzip', post("Transfer-Encoding: gzip\r\n", '')],
        [501, 0, 'gzip, chunked', post("Transfer-Encoding: gzip, chunked\r\n", '')],
        [501, 0, 'identity', post("Transfer-Encoding: identity\r\n", '')],
        [501, 0, 'what looks alike', post("Transfer-Encoding: xchunked\r\n", '')],
        [501, 0, '... with a control character',
            post("Transfer-Encoding: chunked;x\r\n", "0\r\n\r\n")],
        [400, 0, 'chunked twice', post("Transfer-Encoding: chunked, chunked\r\n", '')],
        [400, 0, '... in two headers',
            post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", '')],
        [400, 0, 'no coding', post("Transfer-Encoding: \r\n", "0\r\n\r\n")],
    );
    like(ask(post("$size: 5\r\n", 'hello')), qr/POST \/box \[localhost\] \[hello\]/,
        'what is taken is taken whole');
};

subtest 'chunks' => sub {
    cases(
        [200, 1, 'two', chunked("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")],
        [200, 1, 'an extension', chunked("3;a=b\r\nabc\r\n0\r\n\r\n")],
        [200, 1, 'a trailer', chunked("3\r\nabc\r\n0\r\nA: b\r\n\r\n")],
        [200, 1, 'zeros in front', chunked("0003\r\nabc\r\n00\r\n\r\n")],
        [400, 0, 'no size', chunked("\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'a size that is none', chunked("g\r\nabc\r\n0\r\n\r\n")],
        [400, 0, '0x', chunked("0x3\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'a sign', chunked("+3\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'less than nothing', chunked("-3\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'a blank in front', chunked(" 3\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'a blank behind', chunked("3 \r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'LF alone behind the size', chunked("3\nabc\r\n0\r\n\r\n")],
        [400, 0, 'CR alone behind it', chunked("3\rabc\r\n0\r\n\r\n")],
        [400, 0, 'LF alone in an extension', chunked("3;a\nabc\r\n0\r\n\r\n")],
        [400, 0, 'CR alone in one', chunked("3;a\rb\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'NUL in one', chunked("3;\0\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'shorter than said', chunked("4\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'longer than said', chunked("2\r\nabc\r\n0\r\n\r\n")],
        [400, 0, 'LF alone behind one', chunked("3\r\nabc\n0\r\n\r\n")],
        [400, 0, 'LF alone at the end', chunked("3\r\nabc\r\n0\r\n\n")],
        [400, 0, 'a trailer that is none', chunked("0\r\nA b\r\n\r\n")],
        [400, 0, '... with a blank before the colon', chunked("0\r\nA : b\r\n\r\n")],
        [400, 0, '... that is folded', chunked("0\r\nA: b\r\n c\r\n\r\n")],
        [400, 0, '... with CR alone', chunked("0\r\nA: b\rc\r\n\r\n")],
        [413, 0, 'more than is taken', chunked("3e9\r\n" . 'a' x 1001 . "\r\n0\r\n\r\n")],
        [413, 0, '... in pieces', chunked(("64\r\n" . 'a' x 100 . "\r\n") x 11 . "0\r\n\r\n")],
        [413, 0, 'a size of 2^64', chunked("10000000000000000\r\na\r\n0\r\n\r\n")],
        [413, 0, 'a size that wraps', chunked("10000000000000003\r\nabc\r\n0\r\n\r\n")],
    );
    # Longer than the piecewise ones need to be.
    for my $case (['a line that is too long', '3;' . 'a' x 9000 . "\r\nabc\r\n0\r\n\r\n"],
        ['many that are', ('1;' . 'a' x 1000 . "\r\nb\r\n") x 10 . "0\r\n\r\n"],
        ['trailers without end', "0\r\n" . "A: b\r\n" x 3000 . "\r\n"]) {
        my $got = ask(chunked($case->[1]));
        like($got, qr{^HTTP/1\.1 431 }, "431: $case->[0]");
        unlike($got, qr/smuggled/, '... nothing behind it is answered');
    }
    like(ask(chunked("3\r\nabc\r\n2;x\r\nde\r\n0\r\n\r\n")), qr/\[abcde\]/,
        'what is taken is taken whole');
};

subtest 'targets' => sub {
    cases(
        [200, 1, 'absolute', "GET http://a.example/box HTTP/1.1\r\n$H\r\n"],
        [200, 1, 'of TLS', "GET https://a.example:443/box HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'absolute, but no Host', "GET http://a.example/box HTTP/1.1\r\n\r\n"],
        [400, 1, 'absolute without host', "GET http:///box HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'with a user', "GET http://u\@a/box HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'another scheme', "GET file:///etc/passwd HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'an authority', "GET a.example:80 HTTP/1.1\r\n$H\r\n"],
        [501, 1, '... of CONNECT', "CONNECT a.example:80 HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'an asterisk', "GET * HTTP/1.1\r\n$H\r\n"],
        [204, 1, '... of OPTIONS', "OPTIONS * HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'an asterisk and more', "OPTIONS *a HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'no slash', "GET box HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'a fragment', "GET /box#a HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'a control character', "GET /box\x01 HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'what is not ASCII', "GET /b\xc3\xb6x HTTP/1.1\r\n$H\r\n"],
    );
    like(ask("GET http://A.example:80/box HTTP/1.1\r\n$H\r\n"),
        qr/GET \/box \[A\.example:80\]/, 'the host is that of the target');
};

subtest 'paths' => sub {
    my $get = sub { "GET $_[0] HTTP/1.1\r\n$H\r\n" };
    cases(
        (map { [400, 1, $_, $get->($_)] } '/..', '/../secret.txt',
            '/b/../../secret.txt', '/%2e%2e/secret.txt', '/%2E./secret.txt',
            '/.%2e/secret.txt', '/b/%2e%2e/%2e%2e/secret.txt',
            '/..%2fsecret.txt', '/b%2f..%2f..%2fsecret.txt', '/a.txt%00',
            '/%00', '/a%0d%0aB:c', '/a%7f', '/%', '/%2', '/%2g', '/%%32e',
            '/%c0%ae%c0%ae/secret.txt', '/%ff', '/%ed%a0%80'),
        (map { [404, 1, $_, $get->($_)] } '/..\\secret.txt',
            '/b\\..\\..\\secret.txt', '/%5c..%5csecret.txt',
            '/%252e%252e/secret.txt', '/%252e%252e%252fsecret.txt',
            '/...', '/.../secret.txt', '/..;/secret.txt', '/a.txt/', '/a.txt/..x',
            '/%e2%80%a5/secret.txt', '/~root', '/proc/self/environ'),
        (map { [200, 1, $_, $get->($_)] } '//a.txt', '///a.txt', '/./a.txt',
            '/b/../a.txt', '/b/./../a.txt', '/%61.txt', '/b//c.txt',
            '/b/%2e%2e/a.txt', '/a.txt?/../../x', '/box/../a.txt',
            '//b/..//a.txt'),
    );
    like(ask($get->('//evil.example/b/c.txt')), qr{^HTTP/1\.1 404 }, 'two slashes name no host');
    my $r = ask($get->('/b'));
    like($r, qr{^HTTP/1\.1 30\d .*^Location: /b/\r$}ms, 'a folder');
    $r = ask($get->('//b'));
    unlike($r, qr{^Location: //}m, 'no redirect leads to another host');
    for my $path ('/../secret.txt', '/%2e%2e/secret.txt', '/b/..%5c../secret.txt') {
        unlike(ask($get->($path)), qr/secret\n/, "$path: nothing of it");
    }
};

subtest 'too slow' => sub {
    my %slow = (
        'a head' => ['hasty', "GET /box HTTP/1.1\r\n$H", qr/the request head did not/],
        'a first line' => ['hasty', 'GET /bo', qr/the request head did not/],
        'a body' => ['web', post("Content-Length: 5\r\n", 'hel'), qr/the body did not/],
        'chunks' => ['web', chunked("3\r\nabc\r\n2\r\n"), qr/the body did not/],
        'a trailer' => ['web', chunked("0\r\nA: b"), qr/the body did not/],
        'one that was asked for' => ['web',
            post("Content-Length: 5\r\nExpect: 100-continue\r\n", ''), qr/the body did not/],
    );
    my $begin = time;
    my %s;
    for my $name (sort keys %slow) {
        $s{$name} = $t->connect($slow{$name}[0]);
        $s{$name}->write($slow{$name}[1]);
    }
    for my $name (sort keys %slow) {
        my $got = $s{$name}->read_all(10);
        like($got, qr{\AHTTP/1\.1\ 100\ Continue\r\n\r\n}, 'is asked for')
            if $slow{$name}[1] =~ /Expect/;
        like($got, qr{^HTTP/1\.1\ 408\ .*$slow{$name}[2]}ms, "408: $name");
        like($got, qr{^Connection: close\r$}m, '... and the end');
    }
    cmp_ok(time - $begin, '>=', 0.9, 'not before it is due');
    # A byte now and then changes nothing: the deadline is for the whole.
    my $s = $t->connect('web');
    $s->write(post("Content-Length: 1000\r\n", ''));
    $begin = time;
    while (!$s->{eof} && time - $begin < 20 * time_factor()) {
        $s->write('a') or last;
        $s->fill(time + 0.05);
    }
    like($s->pending, qr{^HTTP/1\.1 408 }, 'a body that trickles');
};

subtest 'a head in packets of a byte' => sub {
    # 4 KB, the most that is taken here; many more steps than bytes of work.
    my ($worker) = $t->worker_pids;
    my $head = "GET /box HTTP/1.1\r\n$H" . 'A: ' . 'b' x 4000 . "\r\n\r\n";
    my @s = map { $t->connect('web') } 1 .. 4;
    my $cpu = proc_cpu($worker);
    for my $c (split //, $head) {
        $_->write($c) for @s;
    }
    is($_->http_response->{status}, 200, 'is read') for @s;
    my $used = proc_cpu($worker) - $cpu;
    cmp_ok($used, '<', 2 * time_factor(), sprintf 'in %.2f s of CPU', $used);
};

$t->finish;
done_testing;
