# HTTP/1.1 by raw sockets: every refusal with its status, what stays open and
# what does not, requests in pieces and in rows, hosts and routes, deadlines,
# the access log.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 1
shutdown_timeout = 10s

[log]
error  = logs/error.log
level  = info
access = logs/access.log

[limits]
handshake_timeout = 1s
idle_timeout      = 2s

[listen web]
address = 127.0.0.1:%%PORT_web%%
address = unix:%%UNIX_web%%
protocol = http
handshake_timeout = 60s
idle_timeout      = 60s

[listen hasty]
address  = 127.0.0.1:%%PORT_hasty%%
protocol = http

[route page]
listen  = web
listen  = hasty
path    = /
handler = static
root    = www

[route chat]
listen   = web
path     = /echo
protocol = websocket
app      = echo

[route status]
listen  = web
match   = ^/(status|healthz)$
handler = status

[route other]
listen  = web
host    = ^other\.example$
path    = /
handler = static
root    = other
INI

my $t = Test::Linnet->new(
    config => $config,
    files  => {
        'www/index.html'   => "<p>hello</p>\n",
        'www/a.txt'        => "text\n",
        'www/long.txt'     => 'x' x 30000,
        'other/index.html' => "other\n",
        'other/a.txt'      => "other text\n",
    },
)->start;

my $H = "Host: localhost\r\n";

sub get { return "GET $_[0] HTTP/1.1\r\n$H" . ($_[1] // '') . "\r\n" }

# A connection that a worker has accepted.
sub accepted
{
    my $before = $t->status->{connections};
    my $s = $t->connect('web');
    wait_for(sub { $t->status->{connections} > $before }, 5, 'accept');
    return $s;
}

# What the requests on one connection are answered with, as statuses.
sub statuses
{
    my ($s, $n, %o) = @_;
    my @got;
    for (1 .. $n) {
        my $r = $s->http_response(%o) or last;
        push @got, $r->{status};
    }
    return join ' ', @got;
}

subtest 'one after the other' => sub {
    my $s = $t->connect('web');
    $s->write(get('/'));
    my $r = $s->http_response;
    is($r->{status}, 200, 'a page');
    is($r->{version}, '1.1', 'in HTTP/1.1');
    is($r->{body}, "<p>hello</p>\n", 'its text');
    is($r->{headers}{'content-length'}, 13, 'its length');
    like($r->{headers}{date},
        qr/^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d \w{3} \d{4} [\d:]{8} GMT$/,
        'its date');
    is($r->{headers}{connection}, undef, 'the connection stays');
    $s->write(get('/none'));
    is($s->http_response->{status}, 404, 'also after an error');
    $s->write("HEAD /a.txt HTTP/1.1\r\n$H\r\n");
    $r = $s->http_response(head => 1);
    is($r->{status}, 200, 'HEAD');
    is($r->{headers}{'content-length'}, 5, 'tells the length');
    $s->write(get('/a.txt', "Connection: close\r\n"));
    $r = $s->http_response;
    is($r->{body}, "text\n", 'and sends nothing else');
    is($r->{headers}{connection}, 'close', 'close is answered');
    ok($s->closed(5), 'and done');
    is($s->pending, '', 'nothing more was said');

    $s = $t->connect('web');
    $s->write("GET /a.txt HTTP/1.0\r\n\r\n");
    $r = $s->http_response;
    is($r->{body}, "text\n", 'HTTP/1.0 without Host');
    ok($s->closed(5), 'is closed');
    $s = $t->connect('web');
    $s->write("GET /a.txt HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    $r = $s->http_response;
    is($r->{headers}{connection}, 'keep-alive', 'unless it asks');
    $s->write("GET /a.txt HTTP/1.0\r\n\r\n");
    is($s->http_response->{body}, "text\n", 'then it stays');

    my $u = $t->connect('unix:web');
    $u->write(get('/a.txt'));
    is($u->http_response->{body}, "text\n", 'over a unix socket');
};

subtest 'in a row' => sub {
    my $s = $t->connect('web');
    $s->write(get('/') . get('/none') . get('/a.txt') . get('/../x')
            . get('/status') . get('/'));
    is(statuses($s, 6), '200 404 200 400 200 200', 'six at once');
    $s = $t->connect('web');
    my $n = 20000;
    my $begin = time;
    $s->write(get('/a.txt') x $n);
    my $good = 0;
    for (1 .. $n) {
        my $r = $s->http_response or last;
        $good++ if $r->{status} == 200 && $r->{body} eq "text\n";
    }
    is($good, $n, sprintf '%d at once (%.1f s)', $n, time - $begin);
    $s->write("\r\n" . get('/') . "\r\n" . get('/'));
    is(statuses($s, 2), '200 200', 'an empty line before each');

    $s = $t->connect('web');
    $s->write(get('/', "Connection: close\r\n") . get('/a.txt'));
    like($s->read_all(5), qr{<p>hello</p>\n\z}, 'nothing behind the last');
};

subtest 'byte by byte' => sub {
    my $s = $t->connect('web');
    $s->write($_) for split //, get('/a.txt', "Accept: */*\r\n") . get('/');
    is(statuses($s, 2), '200 200', 'two requests');
    my $head = get('/a.txt', 'X: ' . 'y' x 16000 . "\r\n");
    my ($worker) = $t->worker_pids;
    my $cpu = proc_cpu($worker);
    $s->write($_) for split //, $head;
    is(statuses($s, 1), '200', 'a head of 16 KB');
    cmp_ok(proc_cpu($worker) - $cpu, '<', 1.5 * time_factor(),
        sprintf 'in %.2f s of CPU', proc_cpu($worker) - $cpu);
    my $w = $t->connect('web');
    my $upgrade = get('/echo',
              "Connection: Upgrade\r\nUpgrade: websocket\r\n"
            . "Sec-WebSocket-Version: 13\r\n"
            . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n")
        . "\x81\x85abcd" . ('hello' ^ 'abcda');
    $w->write($_) for split //, $upgrade;
    is($w->http_response->{status}, 101, 'an upgrade');
    is($w->read_exact(7), "\x81\x05hello",
        'and the frame that came behind it');
};

subtest 'refusals' => sub {
    # Each with the status, and whether the connection may stay.
    my $long = 'a' x 9000;
    my @cases = (
        [400, 0, 'no Host', "GET / HTTP/1.1\r\n\r\n"],
        [400, 0, 'two Hosts', "GET / HTTP/1.1\r\n$H$H\r\n"],
        [400, 0, 'a bad Host', "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"],
        [400, 0, 'LF alone', "GET / HTTP/1.1\nHost: a\n\n"],
        [400, 0, 'CR alone', "GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n"],
        [400, 0, 'folding', "GET / HTTP/1.1\r\n${H}A: b\r\n c\r\n\r\n"],
        [400, 0, 'a blank before the colon', "GET / HTTP/1.1\r\nHost : a\r\n\r\n"],
        [400, 0, 'no colon', "GET / HTTP/1.1\r\n${H}abc\r\n\r\n"],
        [400, 0, 'NUL in a header', "GET / HTTP/1.1\r\n${H}A: \0\r\n\r\n"],
        [400, 0, 'a bad method', "G(T / HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'no version', "GET /\r\n\r\n"],
        [400, 0, 'a bad version', "GET / HTTP/x.1\r\n$H\r\n"],
        [400, 0, 'a fragment', "GET /#a HTTP/1.1\r\n$H\r\n"],
        [400, 0, 'TLS', "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
        [400, 0, 'two lengths',
            "POST / HTTP/1.1\r\n${H}Content-Length: 1\r\nContent-Length: 1\r\n\r\na"],
        [400, 0, 'a list of lengths',
            "POST / HTTP/1.1\r\n${H}Content-Length: 1, 1\r\n\r\na"],
        [400, 0, 'a length with a sign',
            "POST / HTTP/1.1\r\n${H}Content-Length: +1\r\n\r\na"],
        [400, 0, 'a length out of range',
            "POST / HTTP/1.1\r\n${H}Content-Length: 99999999999999999999\r\n\r\n"],
        [400, 0, 'length and coding',
            "POST / HTTP/1.1\r\n${H}Content-Length: 1\r\n"
                . "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        [400, 0, 'chunked twice',
            "POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked, chunked\r\n\r\n"],
        [400, 0, 'chunked in HTTP/1.0',
            "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"],
        [501, 0, 'another coding',
            "POST / HTTP/1.1\r\n${H}Transfer-Encoding: gzip, chunked\r\n\r\n"],
        [417, 0, 'an unknown expectation',
            "GET / HTTP/1.1\r\n${H}Expect: more\r\n\r\n"],
        [505, 0, 'HTTP/2', "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
        [501, 0, 'a very long method', 'A' x 30 . " / HTTP/1.1\r\n$H\r\n"],
        [414, 0, 'a long line', "GET /$long HTTP/1.1\r\n$H\r\n"],
        [414, 0, '64 KB of target', 'GET /' . 'a' x 65536],
        [431, 0, '64 KB of header', "GET / HTTP/1.1\r\nX: " . 'a' x 65536],
        [431, 0, '2000 headers',
            "GET / HTTP/1.1\r\n$H" . join('', map { "a$_: b\r\n" } 1 .. 2000)],
        [431, 0, '101 headers',
            "GET / HTTP/1.1\r\n$H"
                . join('', map { "a$_: b\r\n" } 1 .. 100) . "\r\n"],
        [413, 0, 'a body', "GET / HTTP/1.1\r\n${H}Content-Length: 1\r\n\r\na"],
        [413, 0, 'a chunked body',
            "GET / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
        [413, 0, 'a body that waits to be asked for',
            "GET / HTTP/1.1\r\n${H}Content-Length: 1\r\nExpect: 100-continue\r\n\r\n"],
        [405, 0, 'a method with a body',
            "POST / HTTP/1.1\r\n${H}Content-Length: 1\r\n\r\na"],
        [400, 1, 'out of the root', "GET /../etc/passwd HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'in other words',
            "GET /a/%2e%2e/%2E./etc/passwd HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'an encoded slash', "GET /..%2fetc/passwd HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'an encoded NUL', "GET /a.txt%00.html HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'half an encoding', "GET /%4 HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'no UTF-8', "GET /%c0%af HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'another scheme', "GET ftp://a/ HTTP/1.1\r\n$H\r\n"],
        [400, 1, 'asterisk', "GET * HTTP/1.1\r\n$H\r\n"],
        [501, 1, 'an unknown method', "BREW / HTTP/1.1\r\n$H\r\n"],
        [501, 1, 'CONNECT', "CONNECT a:80 HTTP/1.1\r\n$H\r\n"],
        [501, 1, 'TRACE', "TRACE / HTTP/1.1\r\n$H\r\n"],
        [405, 1, 'a method of others', "DELETE / HTTP/1.1\r\n$H\r\n"],
        [404, 1, 'nothing there', "GET /none HTTP/1.1\r\n$H\r\n"],
    );
    for my $case (@cases) {
        my ($status, $stays, $name, $text) = @$case;
        my $s = $t->connect('web');
        $s->write($text);
        my $r = $s->http_response // { status => 'none', headers => {} };
        is($r->{status}, $status, "$status: $name");
        like($r->{body}, qr/^$status [A-Z].*: .+\n\z/, '... in words');
        my $closes = ($r->{headers}{connection} // '') eq 'close';
        if ($stays) {
            $s->write(get('/a.txt'));
            is(statuses($s, 1), '200', '... the connection stays');
        } else {
            ok($closes && $s->closed(5), '... the connection does not stay');
        }
    }
    my $s = $t->connect('web');
    $s->write("POST /none HTTP/1.1\r\n${H}Accept: application/json\r\n\r\n");
    my $r = $s->http_response;
    is($r->{status}, 405, 'for programs');
    is($r->{headers}{allow}, 'GET, HEAD, OPTIONS', 'what is allowed');
    is_deeply(JSON::PP->new->decode($r->{body}),
        { error => { code => 'method_not_allowed',
                message => 'the method is not allowed here' } }, 'as JSON');
    $s->write("OPTIONS / HTTP/1.1\r\n$H\r\nOPTIONS * HTTP/1.1\r\n$H\r\n");
    $r = $s->http_response;
    is("$r->{status} $r->{headers}{allow}", '204 GET, HEAD, OPTIONS', 'OPTIONS');
    is($s->http_response->{status}, 204, 'of the whole server');
};

subtest 'heads without end' => sub {
    for my $line ("X-Y: z\r\n", 'x', "\0", "\r", "a:b\r\n") {
        my $s = $t->connect('web');
        my $sent = 0;
        $s->write("GET / HTTP/1.1\r\n");
        while (!$s->{eof} && !length $s->pending && $sent < 1 << 24) {
            $s->write($line x 500) or last;
            $sent += 500 * length $line;
            $s->fill(time);
        }
        ok($sent < 1 << 24,
            sprintf '%s... is refused at %d KB', $line =~ s/[\r\n\0]/./gr,
            $sent / 1024);
        ok($s->closed(5), '... and cut');
    }
};

subtest 'hosts' => sub {
    is($t->http_get('web', '/a.txt', Host => 'Other.Example:99')->{body},
        "other text\n", 'a host of its own');
    is($t->http_get('web', '/a.txt', Host => 'x.other.example')->{body},
        "text\n", 'not one that looks alike');
    is($t->http_get('web', '/status', Host => 'other.example')->{status},
        404, 'its routes come before the others');
    my $s = $t->connect('web');
    $s->write("GET http://other.example/a.txt HTTP/1.1\r\n$H\r\n");
    is($s->http_response->{body}, "other text\n",
        'the host of the target counts before the header');
};

subtest 'deadlines' => sub {
    my $begin = time;
    my $silent = $t->connect('hasty');
    my $slow   = $t->connect('hasty');
    $slow->write("GET / HTTP/1.1\r\nX");
    my $r = $slow->http_response(timeout => 5);
    is($r->{status}, 408, 'half a head: 408');
    is($r->{headers}{connection}, 'close', 'and the end');
    ok($slow->closed(3), 'closed');
    is($silent->read_all(3), '', 'nothing at all: closed without a word');
    cmp_ok(time - $begin, '<', 2.5 * time_factor(), 'soon');
    my $s = $t->connect('hasty');
    $s->write(get('/') . 'GET /a.t');
    is(statuses($s, 1), '200', 'a request and a half');
    $r = $s->http_response(timeout => 5);
    is($r->{status}, 408, 'the half: 408');
    $s = $t->connect('hasty');
    $begin = time;
    $s->write(get('/'));
    is(statuses($s, 1), '200', 'a request');
    is($s->read_all(6), '', 'and then silence: closed without a word');
    cmp_ok(time - $begin, '>=', 1.9, 'after idle_timeout, not before');
};

subtest 'the access log' => sub {
    my $path = $t->path('logs/access.log');
    my $s = $t->connect('web');
    $s->write(get('/a.txt?q="x"',
        "Referer: http://a/\r\nUser-Agent: me \"\x1b[1m\\\xff\r\n"
        . "Connection: close\r\n") =~ s/\x1b/\t/r);
    ok($s->closed(5), 'a request');
    ok(wait_for(sub { slurp($path) =~ /me / }, 5, 'the line'), 'its line');
    my @lines = split /\n/, slurp($path);
    my ($line) = grep { / "me / } @lines;
    like($line, qr{
            ^127\.0\.0\.1[ ]-[ ]-[ ]
            \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d[ ]\+0000\][ ]
            "GET[ ]/a\.txt\?q=\\x22x\\x22[ ]HTTP/1\.1"[ ]200[ ]5[ ]
            "http://a/"[ ]"me[ ]\\x22\\x09\[1m\\x5c\\xff"$
        }x,
        'in the combined format, with nothing in it that could deceive');
    ok((grep { /^unix - - .* 200 5 / } @lines), 'a peer on a unix socket');
    ok((grep { /^127\.0\.0\.1 - - \[[^]]+\] "-" 400 / } @lines),
        'a request that cannot be read');
    rename $path, "$path.1";
    is(($t->ctl('reopen'))[0], 0, 'reopened');
    $t->http_get('web', '/healthz');
    ok(wait_for(sub { slurp($path) =~ m{GET /healthz} }, 5, 'the new file'),
        'a new file');
    my ($exit, undef, $err) = $t->reload($config =~ s/^access/format = json\naccess/mr);
    is($exit, 0, 'format = json') or diag $err;
    my $marker = "m$$";
    $t->http_get('web', "/$marker", 'User-Agent' => "\xff\"");
    ok(wait_for(sub { slurp($path) =~ /$marker/ }, 5, 'the line'), 'its line');
    my ($json) = grep { /^\{.*$marker/ } split /\n/, slurp($path);
    my $o = eval { JSON::PP->new->utf8->decode($json) } // {};
    is_deeply([@$o{qw(method target status version peer user_agent)}],
        ['GET', "/$marker", 404, '1.1', '127.0.0.1', '\\xff\\x22'],
        'one object a line') or diag $json;
};

subtest 'a reload' => sub {
    my $idle = $t->connect('web');
    $idle->write(get('/'));
    is(statuses($idle, 1), '200', 'an idle connection');
    my $half = accepted();
    $half->write("GET /a.txt HTTP/1.1\r\n");
    is(($t->reload)[0], 0, 'a reload');
    $idle->write(get('/a.txt'));
    is(statuses($idle, 1), '200', 'the idle one goes on');
    $half->write($_) for split //, "$H\r\n";
    is($half->http_response->{body}, "text\n", 'so does half a request');
    $half->write(get('/a.txt'));
    is(statuses($half, 1), '200', 'and the next');
};

subtest 'the end' => sub {
    my $idle = $t->connect('web');
    $idle->write(get('/'));
    is(statuses($idle, 1), '200', 'an idle connection');
    my $half = accepted();
    $half->write("GET /a.txt HTTP/1.1\r\n");
    my $fresh = accepted();
    my $many = accepted();
    # More than the kernel takes of the answers.
    $many->write(get('/long.txt') x 1000);
    $t->signal('QUIT');
    is($idle->read_all(5), '', 'the idle one is closed at once');
    $half->write("$H\r\n");
    my $r = $half->http_response;
    is($r->{body}, "text\n", 'half a request is still answered');
    is($r->{headers}{connection}, 'close', 'as the last');
    ok($half->closed(5), 'and closed');
    $fresh->write(get('/a.txt') x 2);
    like($fresh->read_all(5), qr{^HTTP/1\.1[ ]200[ ](?:(?!HTTP/).)*
            Connection:[ ]close (?:(?!HTTP/).)* \r\n\r\ntext\n\z}xs,
        'one that had said nothing may ask once');
    my ($answers, $last) = (0);
    while ($r = $many->http_response) {
        $answers++;
        $last = $r;
    }
    cmp_ok($answers, '<', 1000, 'one that asks for more than it takes: the end')
        or diag $answers;
    is($last->{headers}{connection}, 'close', '... is told by the last answer');
    is($t->wait_exit, 0, 'the server ends');
};

$t->finish;
done_testing;
