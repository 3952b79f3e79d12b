# Static files and builtin pages: what is served and how, conditions, ranges,
# links and names that must not lead anywhere, large files.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Compress::Gzip ();
use IO::Uncompress::Gunzip ();
use Socket qw(unpack_sockaddr_in);
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 1
shutdown_timeout = 10s

%%LISTEN_web%%

[listen local]
address  = unix:%%UNIX_local%%
protocol = http

[listen hasty]
address  = 127.0.0.1:%%PORT_hasty%%
protocol = http
idle_timeout = %%IDLE%%

[route files]
listen  = web
listen  = local
listen  = hasty
path    = /
handler = static
root    = www

[route kept]
listen  = web
path    = /kept/
handler = static
root    = www
index   = start.html
max_age = 1h
gzip    = off

[route page]
listen  = web
path    = /chat
handler = static
root    = builtin:chat
INI

my $idle = 2 * time_factor();
$config =~ s/%%IDLE%%/${idle}s/;

my $small = join '', map { "line $_ of a text that is worth compressing\n" } 1 .. 50;
my $t = Test::Linnet->new(
    config => $config,
    files  => {
        'www/index.html'     => "<p>hello</p>\n",
        'www/a.txt'          => "0123456789",
        'www/script.js'      => "x = 1\n",
        'www/noext'          => "n\n",
        'www/empty.txt'      => '',
        'www/small.txt'      => $small,
        'www/sub/index.html' => "sub\n",
        'www/sub/start.html' => "start\n",
        'www/none/x'         => 'x',
        'www/.secret'        => "secret\n",
        'www/.git/config'    => "secret\n",
        'www/sub/.hidden'    => "secret\n",
        'www/.well-known/ok' => "known\n",
        'www/a b+c%.txt'     => "odd\n",
        "www/caf\xc3\xa9"    => "coffee\n",
        'secret.txt'         => "secret\n",
    },
);
my $www = $t->path('www');
symlink 'a.txt', "$www/inner.txt";
symlink '../secret.txt', "$www/leak.txt";
symlink $t->path('secret.txt'), "$www/absolute.txt";
symlink '..', "$www/up";
symlink 'sub', "$www/inside";
system 'mkfifo', "$www/fifo";
mkdir "$www/odd" or die;
mkdir "$www/odd/index.html" or die;

# 40 MB that do not repeat.
sub make_big
{
    my ($path, $mb) = @_;
    open my $fh, '>:raw', $path or die;
    my $piece = join '', map { pack 'N', $_ * 2654435761 % 4294967296 } 1 .. 16384;
    print {$fh} pack('N', $_), substr $piece, 4 for 1 .. 16 * $mb;
    close $fh or die;
}
make_big("$www/big.bin", 40);
$t->start;

my $H = "Host: localhost\r\n";

# One connection for all the small questions.
my $s = $t->connect('web');
sub ask
{
    my ($path, %h) = @_;
    my $method = delete $h{-method} // 'GET';
    $s->write("$method $path HTTP/1.1\r\n$H"
            . join('', map { "$_: $h{$_}\r\n" } sort keys %h) . "\r\n");
    my $r = $s->http_response(head => $method eq 'HEAD');
    if (!$r || ($r->{headers}{connection} // '') eq 'close') {
        $s = $t->connect('web');
    }
    return $r // { status => 'none', headers => {}, body => '' };
}

subtest 'files' => sub {
    my $r = ask('/');
    is("$r->{status} $r->{body}", "200 <p>hello</p>\n", 'the index');
    is($r->{headers}{'content-type'}, 'text/html; charset=utf-8', 'its type');
    like($r->{headers}{etag}, qr/^"[\w-]+"$/, 'its tag');
    ok($r->{headers}{'last-modified'}, 'its date');
    is($r->{headers}{'x-content-type-options'}, 'nosniff', 'no guessing');
    is($r->{headers}{'cache-control'}, 'no-cache', 'to be asked for again');
    is(ask('/script.js')->{headers}{'content-type'},
        'text/javascript; charset=utf-8', 'a script');
    is(ask('/noext')->{headers}{'content-type'}, 'application/octet-stream',
        'no extension');
    $r = ask('/empty.txt');
    is("$r->{status} $r->{headers}{'content-length'}", '200 0', 'an empty file');
    is(ask('/empty.txt')->{status}, 200, 'again');
    is(ask('/sub/')->{body}, "sub\n", 'the index of a folder');
    $r = ask('/sub?a=b');
    is("$r->{status} $r->{headers}{location}", '301 /sub/?a=b',
        'a folder without its slash');
    $r = ask('//sub');
    is("$r->{status} $r->{headers}{location}", '301 /sub/',
        'never to another host');
    is(ask('/none/')->{status}, 404, 'no index: nothing is listed');
    is(ask('/odd/')->{status}, 404, 'an index that is a folder');
    is(ask('/a.txt/')->{status}, 404, 'a file is no folder');
    is(ask('/a%20b+c%25.txt')->{body}, "odd\n", 'an odd name');
    is(ask('/caf%C3%A9')->{body}, "coffee\n", 'a name in UTF-8');
    is(ask('/sub/../a.txt')->{body}, '0123456789', 'dots are resolved');
    $r = ask('/a.txt', -method => 'HEAD');
    is("$r->{status} $r->{headers}{'content-length'}", '200 10', 'HEAD');
    is(ask('/none.txt', -method => 'HEAD')->{status}, 404, 'HEAD in vain');
    $r = ask('/a.txt', -method => 'PUT');
    is("$r->{status} $r->{headers}{allow}", '405 GET, HEAD, OPTIONS',
        'other methods');
    is(ask('/kept/sub/')->{body}, "start\n", 'another index');
    is(ask('/kept/a.txt')->{headers}{'cache-control'},
        'public, max-age=3600', 'max_age');
    is(ask('/kept')->{status}, 404, 'the route is a folder');
};

subtest 'what must not be reached' => sub {
    for my $path ('/.secret', '/.git/config', '/sub/.hidden', '/leak.txt',
        '/absolute.txt', '/up/secret.txt', '/up/www/a.txt', '/fifo',
        '/none.txt', '/a.txt/x', '/' . 'x' x 300)
    {
        is(ask($path)->{status}, 404, substr $path, 0, 40);
    }
    is(ask($_)->{status}, 400, $_)
        for '/../secret.txt', '/sub/../../secret.txt', '/%2e%2e/secret.txt',
        '/..%2fsecret.txt', '/a.txt%00', '/%5c..%5c%00';
    is(ask('/inner.txt')->{body}, '0123456789', 'a link that stays inside');
    is(ask('/inside/')->{body}, "sub\n", 'also of a folder');
    is(ask('/.well-known/ok')->{body}, "known\n", '.well-known is there');
    is(ask('/a.txt')->{body}, '0123456789', 'a file');
    unlink "$www/a.txt";
    symlink $t->path('secret.txt'), "$www/a.txt";
    is(ask('/a.txt')->{status}, 404,
        'that becomes a link to the outside after it was served');
    unlink "$www/a.txt";
    link $t->path('secret.txt'), "$www/a.txt";
    is(ask('/a.txt')->{body}, "secret\n", 'a hard link is a file');
    unlink "$www/a.txt";
    is(ask('/a.txt')->{status}, 404, 'that goes');
    spew("$www/a.txt", '0123456789');
    is(ask('/a.txt')->{body}, '0123456789', 'that comes again');
    spew("$www/a.txt", 'abcdefghij');
    is(ask('/a.txt')->{body}, 'abcdefghij', 'that changes');
    spew("$www/a.txt", '0123456789');
};

subtest 'conditions' => sub {
    for my $path ('/a.txt', '/big.bin', '/chat/') {
        my $r = ask($path, -method => 'HEAD');
        my ($etag, $date) = @{ $r->{headers} }{qw(etag last-modified)};
        $r = ask($path, 'If-None-Match' => qq{"x", W/$etag});
        is($r->{status}, 304, "$path: unchanged");
        is($r->{headers}{etag}, $etag, 'with its tag');
        is($r->{headers}{'content-length'}, undef, 'and without a length');
        is(ask($path, 'If-None-Match' => '"x"', -method => 'HEAD')->{status},
            200, 'another tag');
        is(ask($path, 'If-Match' => '"x"')->{status}, 412, 'If-Match');
        is(ask($path, 'If-Match' => $etag, -method => 'HEAD')->{status}, 200,
            'If-Match: it is');
        next unless $date;
        is(ask($path, 'If-Modified-Since' => $date)->{status}, 304,
            'not modified');
        is(ask($path, -method => 'HEAD',
                'If-Modified-Since' => 'Sun, 06 Nov 1994 08:49:37 GMT')
                ->{status}, 200, 'modified');
        is(ask($path, 'If-Unmodified-Since' => 'Sun, 06 Nov 1994 08:49:37 GMT')
                ->{status}, 412, 'If-Unmodified-Since');
    }
    my $later = time + 86400;
    utime $later, $later, "$www/script.js" or die $!;
    my $h = ask('/script.js')->{headers};
    ok($h->{etag} && !$h->{'last-modified'}, 'no date that is still to come');
};

subtest 'ranges' => sub {
    my $etag = ask('/a.txt')->{headers}{etag};
    my @cases = (
        ['bytes=2-4', 206, '234', 'bytes 2-4/10'],
        ['bytes=8-', 206, '89', 'bytes 8-9/10'],
        ['bytes=-3', 206, '789', 'bytes 7-9/10'],
        ['bytes=5-99', 206, '56789', 'bytes 5-9/10'],
        ['bytes=10-', 416, undef, 'bytes */10'],
        ['bytes=4-2', 200, '0123456789'],
        ['bytes=0-1,4-5', 200, '0123456789'],
        ['lines=1-2', 200, '0123456789'],
    );
    for my $case (@cases) {
        my ($range, $status, $body, $told) = @$case;
        my $r = ask('/a.txt', Range => $range);
        is($r->{status}, $status, $range);
        is($r->{body}, $body, 'the part') if defined $body;
        is($r->{headers}{'content-range'}, $told, 'where it is');
    }
    is(ask('/a.txt', Range => 'bytes=0-0', 'If-Range' => $etag)->{body}, '0',
        'If-Range');
    is(ask('/a.txt', Range => 'bytes=0-0', 'If-Range' => '"x"')->{status}, 200,
        'of another version');
    my $whole = ask('/chat/')->{body};
    my $r = ask('/chat/', Range => 'bytes=1-5');
    is("$r->{status} $r->{body}", '206 ' . substr($whole, 1, 5),
        'of a builtin page');
    is(ask('/chat/', Range => 'bytes=99999999-')->{status}, 416, 'too far');
    my $big = slurp("$www/big.bin");
    $r = ask('/big.bin', Range => 'bytes=1000001-30000000');
    ok($r->{status} eq 206
            && $r->{body} eq substr($big, 1000001, 29000000),
        '29 MB out of a large file');
};

subtest 'compressed' => sub {
    my $packed;
    IO::Compress::Gzip::gzip(\$small, \$packed);
    my $r = ask('/small.txt', 'Accept-Encoding' => 'gzip');
    is($r->{headers}{'content-encoding'}, undef, 'no .gz: as it is');
    is($r->{headers}{vary}, 'Accept-Encoding', 'but it may vary');
    spew("$www/small.txt.gz", $packed);
    for my $time (1, 2) {
        $r = ask('/small.txt', 'Accept-Encoding' => 'br, gzip;q=0.5');
        is($r->{headers}{'content-encoding'}, 'gzip', 'with a .gz beside it');
        is($r->{headers}{'content-type'}, 'text/plain; charset=utf-8',
            'the type is that of the text');
        ok($r->{body} eq $packed, 'it is sent');
    }
    my $etag = $r->{headers}{etag};
    is(ask('/small.txt')->{body}, $small, 'not to who does not take it');
    is(ask('/small.txt', 'Accept-Encoding' => 'gzip;q=0')->{body}, $small,
        'nor to who refuses it');
    isnt(ask('/small.txt')->{headers}{etag}, $etag, 'their tags differ');
    is(ask('/small.txt', 'Accept-Encoding' => 'gzip', Range => 'bytes=0-3')
            ->{body}, 'line', 'ranges are those of the text');
    is(ask('/kept/small.txt', 'Accept-Encoding' => 'gzip')->{body}, $small,
        'gzip = off');
    $r = ask('/small.txt.gz');
    is($r->{headers}{'content-type'}, 'application/gzip',
        'the .gz itself is another answer');
    is($r->{headers}{'content-encoding'}, undef, 'and not encoded');
    my $later = time + 10;
    utime $later, $later, "$www/small.txt.gz";
    ask('/small.txt.gz') for 1, 2;
    $r = ask('/small.txt', 'Accept-Encoding' => 'gzip');
    is("$r->{headers}{'content-type'} $r->{headers}{'content-encoding'}",
        'text/plain; charset=utf-8 gzip', 'whichever was asked for first');
    utime 1, 1, "$www/small.txt.gz";
    is(ask('/small.txt', 'Accept-Encoding' => 'gzip')->{body}, $small,
        'a .gz older than the text is not taken');
    $r = ask('/small.txt.gz');
    is($r->{headers}{'content-type'}, 'application/gzip', 'the .gz itself');
    $r = ask('/chat/', 'Accept-Encoding' => 'gzip, deflate');
    is($r->{headers}{'content-encoding'}, 'gzip', 'a builtin page');
    my $page;
    IO::Uncompress::Gunzip::gunzip(\$r->{body}, \$page);
    is($page, ask('/chat/')->{body}, 'is the same page');
    cmp_ok(length $r->{body}, '<', length($page) / 2, 'in less than half');
};

subtest 'builtin pages' => sub {
    my $r = ask('/chat');
    is("$r->{status} $r->{headers}{location}", '301 /chat/', 'slash');
    $r = ask('/chat/');
    is($r->{status}, 200, 'the page');
    like($r->{headers}{'content-security-policy'},
        qr/^default-src 'none'; .*frame-ancestors 'none'$/, 'a strict policy');
    unlike($r->{headers}{'content-security-policy'}, qr/unsafe|\*|http/,
        'without holes');
    is($r->{headers}{'referrer-policy'}, 'no-referrer', 'no referrer');
    is($r->{headers}{'cache-control'}, 'no-cache', 'asked for again');
    is(ask('/chat/none')->{status}, 404, 'nothing else');
    is(ask('/chat/', -method => 'HEAD')->{headers}{'content-length'},
        length $r->{body}, 'HEAD');
    my $date = $r->{headers}{date};
    ok(wait_for(sub { ($r = ask('/chat/'))->{headers}{date} ne $date }, 5,
            'another date'), 'the date goes on');
    ok($r->{body} eq ask('/chat/')->{body}, 'the page is the same');
};

subtest 'large files' => sub {
    my ($worker) = $t->worker_pids;
    my $size = -s "$www/big.bin";
    my $big  = slurp("$www/big.bin");
    my $fds  = fd_count($worker);
    ok(ask('/big.bin')->{body} eq $big, 'whole');
    my $r = ask('/a.txt');
    is($r->{body}, '0123456789', 'and the connection stays');

    my @slow = map { $t->connect('web', rcvbuf => 4096) } 1 .. 50;
    my $rss = proc_rss($worker);
    $_->write("GET /big.bin HTTP/1.1\r\n$H\r\nGET /a.txt HTTP/1.1\r\n$H\r\n")
        for @slow;
    ok(wait_for(sub { fd_count($worker) >= $fds + 2 * @slow }, 10, 'files'),
        'each has the file open');
    my $more = proc_rss($worker) - $rss;
    cmp_ok($more, '<', 50 * 400_000,
        sprintf '50 readers that do not read: %d KB more', $more / 1024);
    my $begin = time;
    is(ask('/a.txt')->{body}, '0123456789', 'others are served');
    cmp_ok(time - $begin, '<', 0.2 * time_factor(), 'at once');
    for my $c (@slow[0 .. 2]) {
        my $first = $c->http_response(timeout => 60);
        my $second = $c->http_response;
        ok($first->{body} eq $big && $second->{body} eq '0123456789',
            'one that reads at last gets everything, in order');
    }
    $_->close(1) for @slow;
    my $c = $t->connect('web');
    $c->write("GET /big.bin HTTP/1.1\r\n$H\r\nGET /a.txt HTTP/1.1\r\n$H\r\n");
    $c->shutdown_write;
    ok($c->http_response(timeout => 60)->{body} eq $big,
        'one that has shut its side gets it whole');
    is($c->http_response->{body}, '0123456789', 'and what else it asked for');
    ok($c->closed(5), 'then it is closed');
    $c = $t->connect('web');
    $c->write("GET /big.bin HTTP/1.1\r\n${H}Connection: close\r\n\r\n");
    ok($c->http_response(timeout => 60)->{body} eq $big, 'and close');
    ok($c->closed(5), 'is closed');
    ok(wait_for(sub { fd_count($worker) <= $fds }, 5, 'files are closed'),
        'no file is left open');

    $c = $t->connect('web', rcvbuf => 4096);
    $c->write("GET /big.bin HTTP/1.1\r\n$H\r\n");
    ok($c->fill(time + 5), 'half of it');
    truncate "$www/big.bin", 1000;
    $r = $c->http_response(timeout => 20);
    is($r, undef, 'a file that becomes shorter: the connection is cut');
    $t->log_like(qr/\[warn\].*unreadable/, 'and the log says so');
    make_big("$www/big.bin", 4);
    $c = $t->connect('web', rcvbuf => 4096);
    $c->write("GET /big.bin HTTP/1.1\r\n$H\r\n");
    ok($c->fill(time + 5), 'a download');
    is(($t->reload)[0], 0, 'a reload');
    ok($c->http_response(timeout => 20)->{body} eq slurp("$www/big.bin"),
        'it is finished by the old worker');
    $c->write("GET /big.bin HTTP/1.1\r\n$H\r\n");
    is($c->http_response(timeout => 20)->{status}, 200,
        'and the connection lives on');

    make_big("$www/big.bin", 8);
    $c = $t->connect('web');
    $c->write("GET /big.bin HTTP/1.1\r\n$H\r\nGET /a.txt HTTP/1.1\r\n$H\r\n");
    ok($c->fill(time + 5), 'a download');
    my ($port) = unpack_sockaddr_in(getsockname $c->handle);
    my ($id) = ($t->ctl('conns'))[1] =~ /^ *(\d+) .* 127\.0\.0\.1:$port /m;
    is(($t->ctl('kick', $id))[0], 0, 'is kicked');
    ok($c->http_response(timeout => 20)->{body} eq slurp("$www/big.bin"),
        'it gets the file that was on its way');
    ok($c->closed(20) && !length $c->pending, '... and nothing else');
};

subtest 'files of every size' => sub {
    my $big = slurp("$www/big.bin");
    my $u = $t->connect('unix:local');
    # What is kept, what is read, what the kernel sends, and both sides of it.
    for my $size (1, 16_384, 16_385, 32_768, 40_960, 40_961, 49_152, 300_000,
        2_000_003) {
        spew("$www/sized.bin", substr $big, 7, $size);
        for my $way (['TCP', sub { ask('/sized.bin') }],
            ['a unix socket', sub {
                $u->write("GET /sized.bin HTTP/1.1\r\n$H\r\n");
                return $u->http_response;
            }]) {
            my $r = $way->[1]->();
            ok($r->{body} eq substr($big, 7, $size), "$size bytes over $way->[0]");
        }
        is(ask('/sized.bin', -method => 'HEAD')->{headers}{'content-length'},
            $size, 'and by HEAD');
        next if $size < 3;
        my $end = $size - 2;
        my $r = ask('/sized.bin', Range => "bytes=1-$end");
        ok($r->{status} eq 206 && $r->{body} eq substr($big, 8, $size - 2),
            'all but the ends');
    }
    my $c = $t->connect('web');
    $c->write("GET /sized.bin HTTP/1.1\r\n$H\r\n" x 5);
    my $good = grep { $c->http_response->{body} eq substr $big, 7, 2_000_003 } 1 .. 5;
    is($good, 5, 'five in a row on one connection');
};

subtest 'a download that lasts longer than idle_timeout' => sub {
    # 20 MB/s of more than can be under way; takes no room on the disk.
    open my $huge, '>', "$www/huge.bin" or die $!;
    truncate $huge, 1 << 30 or die $!;
    close $huge;
    my $c = $t->connect('hasty');
    my ($begin, $got, $over) = (time, 0, 0);
    $c->write("GET /huge.bin HTTP/1.0\r\n\r\n");
    while (!$over && time - $begin < 2.2 * $idle) {
        while (!$over && $got < (time - $begin) * 20_000_000) {
            my $n = sysread $c->handle, my $piece, 65536;
            last if !defined $n && $!{EAGAIN};
            $over = !$n;
            $got += $n // 0;
        }
        select undef, undef, undef, 0.02;
    }
    ok(!$over, 'is not cut off') or diag sprintf '%d bytes, %.1f s', $got, time - $begin;
    $c->close;
    $c = $t->connect('hasty', rcvbuf => 4096);
    $begin = time;
    $c->write("GET /big.bin HTTP/1.0\r\n\r\n");
    my ($worker) = $t->worker_pids;
    my $fds = sub { scalar grep { (readlink($_) // '') =~ /big\.bin/ } glob "/proc/$worker/fd/*" };
    ok(wait_for(sub { $fds->() > 0 }, 5, 'the file'), 'one that is not read');
    ok(wait_for(sub { $fds->() == 0 }, 15, 'its end'), 'is');
    cmp_ok(time - $begin, '>=', 0.8 * $idle, '... when it was due');
};

subtest 'another folder of that name' => sub {
    spew($t->path('new/index.html'), "new\n");
    rename $www, "$www.old";
    rename $t->path('new'), $www;
    my $new = wait_for(sub { ask('/')->{body} eq "new\n" }, 5, 'the new one');
    ok($new, 'is noticed');
    rename $www, "$www.new";
    ok(wait_for(sub { ask('/')->{status} == 404 }, 5, 'nothing'), 'also none');
    $t->log_like(qr/\[error\].*cannot open folder.*www/, 'which is said');
    rename "$www.old", $www;
    ok(wait_for(sub { ask('/')->{status} == 200 }, 5, 'the old one'),
        'and one that comes back');
};

subtest 'configuration' => sub {
    my $try = sub {
        my ($lines, $re, $name) = @_;
        $t->write_config("[listen web]\naddress = 127.0.0.1:%%PORT_web%%\n"
                . "protocol = http\n[route a]\nlisten = web\npath = /\n"
                . "handler = static\n$lines");
        my ($exit, $out, $err) = $t->run('-t');
        is($exit, 78, $name);
        like("$out$err", $re, '... is said');
    };
    $try->('', qr/:6: .*needs a root/, 'no root');
    $try->("root = nowhere\n", qr/:10: .*there is no folder .*nowhere/,
        'no such folder');
    $try->("root = www/index.html\n", qr/not a folder/, 'a file');
    $try->("root = builtin:nothing\n", qr/no module nothing/, 'no module');
    $try->("root = builtin:echo\n", qr/no pages are part of module echo/,
        'a module without pages');
    $try->("root = www\nindex = a/b\n", qr/name of a file/, 'a bad index');
};

$t->finish;
done_testing;
