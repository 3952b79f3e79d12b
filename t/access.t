# The access log: lines of one's own making, as text and as JSON, with nothing
# in them that a client could forge; answers that take long and WebSockets,
# whose lines come at their end; the targets that are no files.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Socket;
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

sub config
{
    my ($log, %o) = @_;
    my $workers = $o{workers} // 1;
    return <<"INI";
[server]
workers = $workers

[log]
error = logs/error.log
level = info
$log

[limits]
handshake_timeout = 1s

[listen web]
address  = 127.0.0.1:%%PORT_web%%
address  = unix:%%UNIX_web%%
protocol = http
handshake_timeout = 60s

[listen hasty]
address  = 127.0.0.1:%%PORT_hasty%%
protocol = http

[route page]
listen  = web
listen  = hasty
path    = /
handler = static
root    = www

%%ROUTE_echo%%

[route metrics]
listen  = web
path    = /metrics
handler = status

[route api]
listen  = web
path    = /api/
handler = chat_api

[http]
body_timeout = 1s
INI
}

my $SIZE = 3_000_000;
my $HUGE = 256 << 20;

sub server
{
    my ($log, %o) = @_;
    my $t = Test::Linnet->new(
        config => config($log, %o),
        files  => { 'www/a.txt' => "text\n", 'www/large' => 'x' x $SIZE },
    );
    # More than any socket takes at once; takes no room on the disk.
    open my $huge, '>', $t->path('www/huge') or die $!;
    truncate $huge, $HUGE or die $!;
    close $huge;
    return $t->start;
}

# The one line that fits, when it is there.
sub line_like
{
    my ($t, $re) = @_;
    my $line;
    wait_for(
        sub {
            ($line) = grep { /$re/ } split /\n/, slurp($t->path('logs/access.log'));
        },
        5,
        "$re in the access log"
    );
    return $line // '';
}

sub request
{
    my ($t, $text, $to) = @_;
    my $s = $t->connect($to // 'web');
    $s->write($text);
    return $s->read_all(10);
}

my $HANDSHAKE =
      "GET /echo?room=1 HTTP/1.1\r\nHost: localhost\r\n"
    . "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    . "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nUser-Agent: socket\r\n\r\n";

sub frame
{
    my ($opcode, $text) = @_;
    return pack('CC', 0x80 | $opcode, 0x80 | length $text) . "\0\0\0\0$text";
}

subtest 'every variable' => sub {
    my @names = qw(remote_addr remote_port time_local time_iso8601 msec request
        method uri request_uri args protocol host status bytes_sent
        body_bytes_sent request_time route listen worker pid connection
        connection_requests http_user_agent http_x_some_thing http_none);
    my $t = server('access = logs/access.log' . "\n"
            . join('', map { "access_format = $_=<\$$_>\n" } @names)
            . 'access_format = cost=$$1 $${status}s');
    my $s = $t->connect('web');
    $s->write("GET /b/../a.txt?x=1&y HTTP/1.1\r\nHost: LocalHost:80\r\n"
            . "User-Agent: me\r\nX-Some-Thing: it\r\n\r\n");
    my $r = $s->http_response;
    is($r->{status}, 200, 'a request');
    my $line = line_like($t, qr/^remote_addr/);
    my %v = $line =~ /(\w+)=<([^>]*)>/g;
    is_deeply([sort keys %v], [sort @names], 'all are there') or diag $line;
    my ($port) = unpack_sockaddr_in(getsockname $s->handle);
    my ($worker) = $t->workers;
    my %expect = (
        remote_addr => '127.0.0.1', remote_port => $port,
        request => 'GET /b/../a.txt?x=1&y HTTP/1.1', method => 'GET',
        uri => '/a.txt', request_uri => '/b/../a.txt?x=1&y', args => 'x=1&y',
        protocol => 'HTTP/1.1', host => 'localhost', status => 200,
        body_bytes_sent => 5, route => 'page', listen => 'web',
        worker => 0, pid => $worker->{pid}, connection_requests => 1,
        http_user_agent => 'me', http_x_some_thing => 'it', http_none => '-',
    );
    is($v{$_}, $expect{$_}, "\$$_") for sort keys %expect;
    my $now = time;
    cmp_ok(abs($v{msec} - $now), '<', 60, '$msec');
    like($v{msec}, qr/^\d+\.\d{3}$/, '... in milliseconds');
    like($v{request_time}, qr/^\d+\.\d{3}$/, '$request_time');
    like($v{connection}, qr/^\d+$/, '$connection');
    my @gm = gmtime int $v{msec};
    my $stamp = sprintf '%04d-%02d-%02dT%02d:%02d:%02d+00:00', $gm[5] + 1900,
        $gm[4] + 1, @gm[3, 2, 1, 0];
    is($v{time_iso8601}, $stamp, '$time_iso8601');
    my $month = (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$gm[4]];
    is($v{time_local},
        sprintf('%02d/%s/%04d:%02d:%02d:%02d +0000', $gm[3], $month,
            $gm[5] + 1900, @gm[2, 1, 0]),
        '$time_local');
    like($line, qr/ cost=\$1 200s$/, 'a dollar, and a name in braces');

    my $u = request($t, "GET /none HTTP/1.0\r\nUser-Agent: local\r\n\r\n",
        'unix:web');
    my %w = line_like($t, qr/http_user_agent=<local>/) =~ /(\w+)=<([^>]*)>/g;
    is($w{bytes_sent}, length $u, '$bytes_sent counts the head');
    is($w{body_bytes_sent}, length($u =~ s/^.*?\r\n\r\n//sr),
        '$body_bytes_sent does not');
    is_deeply([@w{qw(remote_addr remote_port protocol host args)}],
        ['unix', 0, 'HTTP/1.0', '-', '-'], 'what there is not');
    request($t, "nonsense\r\n\r\n");
    %w = line_like($t, qr/request=<->/) =~ /(\w+)=<([^>]*)>/g;
    is_deeply([@w{qw(status uri request_uri protocol route)}],
        [400, '-', '-', '-', '-'], 'a request that cannot be read');
    my $slow = $t->connect('hasty');
    $slow->write("GET / HTTP/1.1\r\nUser-Agent: slow\r\n");
    is($slow->http_response->{status}, 408, 'half a head');
    %w = line_like($t, qr/status=<408>/) =~ /(\w+)=<([^>]*)>/g;
    cmp_ok($w{request_time}, '>=', 0.5, '... and how long it took');
    is($w{listen}, 'hasty', '... where');
    my $head = "POST /api/x HTTP/1.1\r\nHost: localhost\r\nUser-Agent: bodies\r\n";
    my %bad = (
        400 => "Transfer-Encoding: chunked\r\n\r\nnonsense\r\n",
        408 => "Content-Length: 10\r\n\r\nhalf",
        413 => "Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
    );
    for my $status (sort keys %bad) {
        like(request($t, "$head$bad{$status}"), qr{^HTTP/1\.1 $status },
            "a body that is none: $status");
        %w = line_like($t, qr/status=<$status>.*=<bodies>/) =~ /(\w+)=<([^>]*)>/g;
        is_deeply([@w{qw(request uri host route)}],
            ['POST /api/x HTTP/1.1', '/api/x', 'localhost', 'api'],
            '... of a request that was read');
    }
    $t->finish;
};

subtest 'nothing can be forged' => sub {
    my $format = 'access_format = [$request] [$args] [$http_x] [$host] end';
    my $t = server("access = logs/access.log\n$format");
    my @bytes = grep { !/[\0-\x08\x0a-\x1f\x7f]/ } map { chr } 0 .. 255;
    my $all = join '', @bytes;
    my $target = join '', grep { /[!"\$-~]/ } @bytes;
    my $n = 0;
    for my $text (
        "GET /$target HTTP/1.1\r\nHost: a\r\nX: $all\r\n",
        "GET /a?\"]%0d%0a[\\x0a HTTP/1.1\r\nHost: a\r\nX: \"] end \xc2\x85\x9b1m\r\n",
        "GET /\x1b[2J HTTP/1.1\r\nHost: a\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: \x0e\x0f\x10\r\n",
        "G\x0eT / HTTP/1.1\r\nHost: a\r\n",
    ) {
        request($t, "${text}Connection: close\r\n\r\n");
        $n++;
    }
    my $path = $t->path('logs/access.log');
    ok(wait_for(sub { (() = slurp($path) =~ /\n/g) == $n }, 5, 'the lines'),
        "$n requests, $n lines") or diag slurp($path);
    my $text = slurp($path);
    unlike($text, qr/[^\n -~]/, 'plain characters and line ends only');
    unlike($text, qr/"/, 'no quotation mark of a client\'s');
    is((() = $text =~ /\] end$/mg), $n, 'each ends as it should');
    my $escaped = $all =~ s/([^ -~]|["\\])/sprintf '\\x%02x', ord $1/ger;
    $escaped =~ s/^\\x09 | $//g; # blanks around a value are no part of it
    like($text, qr/\Q$escaped\E/, 'escaped as nginx does');
    my ($exit, undef, $err) = $t->reload(config("access = logs/access.log\n"
            . 'access_format = json $request $http_x'));
    is($exit, 0, 'as JSON') or diag $err;
    my $value = "\xc3\xa9\"\\\t\xc2\x9b\xe2\x82\xac";
    request($t, "GET /marker HTTP/1.1\r\nHost: a\r\nX: $value\r\n"
            . "Connection: close\r\n\r\n");
    my $line = line_like($t, qr/marker/);
    unlike($line, qr/[\x00-\x1f]|\xc2\x9b/, 'no control characters');
    my $o = eval { JSON::PP->new->utf8->decode($line) } // {};
    is($o->{http_x}, "\xe9\"\\\t\x9b\x{20ac}", 'text is kept');
    is($o->{request}, 'GET /marker HTTP/1.1', 'and the rest');
    request($t, "GET /bytes HTTP/1.1\r\nHost: a\r\nX: \xff\"\xfe\r\n"
            . "Connection: close\r\n\r\n");
    $o = eval { JSON::PP->new->utf8->decode(line_like($t, qr/bytes/)) } // {};
    is($o->{http_x}, '\\xff\\x22\\xfe', 'what is no text is escaped');
    $t->finish;
};

subtest 'objects' => sub {
    my $t = server("format = json\naccess = logs/access.log\n"
            . 'access_format = $remote_addr - "$method" $status $status '
            . '$request_time $http_user_agent $args');
    request($t, "GET /a.txt HTTP/1.1\r\nHost: a\r\nUser-Agent: x\r\n"
            . "Connection: close\r\n\r\n");
    my $line = line_like($t, qr/remote_addr/);
    like($line, qr/^\{"remote_addr":"127\.0\.0\.1","method":"GET",
        "status":200,"request_time":\d+\.\d{3},"http_user_agent":"x","args":""\}$/x,
        'each variable a key, once, numbers as numbers');
    is(($t->reload(config("access = logs/access.log\naccess_format = json")))[0],
        0, 'json');
    request($t, "GET /usual HTTP/1.0\r\n\r\n");
    my $o = eval { JSON::PP->new->utf8->decode(line_like($t, qr/usual/)) } // {};
    is_deeply([sort keys %$o], [sort qw(time peer connection method target host
            version status bytes request_time referer user_agent route worker)],
        'what there is in one of linnet\'s own');
    is_deeply([@$o{qw(method target version status route)}],
        ['GET', '/usual', '1.0', 404, 'page'], 'and its values');
    is(($t->reload(config("access = logs/access.log\naccess_format = combined")))[0],
        0, 'combined');
    request($t, "GET /plain HTTP/1.0\r\n\r\n");
    like(line_like($t, qr/plain/),
        qr{^127\.0\.0\.1 - - \[[^]]+\] "GET /plain HTTP/1\.0" 404 \d+ "-" "-"$},
        'the line of nginx');
    $t->finish;
};

my $ENDS = "access = logs/access.log\naccess_format = "
    . '$request_uri $status $bytes_sent $body_bytes_sent $request_time $pid';

subtest 'what takes long' => sub {
    my $t = server($ENDS);
    my $got = request($t, "GET /large HTTP/1.0\r\n\r\n");
    my @v = split / /, line_like($t, qr/^\/large/);
    is_deeply([@v[1 .. 3]], [200, length $got, $SIZE],
        'a large answer has its line when it is out');
    my $s = $t->connect('web');
    $s->write("GET /huge HTTP/1.1\r\nHost: a\r\n\r\n");
    ok(defined $s->read_exact(1000), 'one of which a piece is read');
    unlike(slurp($t->path('logs/access.log')), qr/huge/, 'no line yet');
    $s->close;
    @v = split / /, line_like($t, qr/^\/huge/);
    is($v[1], 200, 'a line when the client has gone');
    cmp_ok($v[3], '<', $HUGE, "... with what was sent: $v[3]");
    cmp_ok($v[2], '>', $v[3], '... and its head');
    $t->finish;
};

subtest 'WebSockets' => sub {
    my $t = server($ENDS);
    my $begin = time;
    my $s = $t->connect('web');
    $s->write($HANDSHAKE . frame(1, 'hello'));
    my $r = $s->http_response;
    is($r->{status}, 101, 'a session');
    is($s->read_exact(7), "\x81\x05hello", 'with an echo');
    my ($before) = $t->worker_pids;
    is(($t->reload)[0], 0, 'goes on in another worker');
    my $sent = 0;
    while (time - $begin < 0.5) {
        $s->write(frame(1, 'x' x 100));
        $s->read_exact(102);
        $sent++;
    }
    unlike(slurp($t->path('logs/access.log')), qr/echo/, 'no line while it lasts');
    my $lasted = time - $begin;
    $s->write(frame(8, "\x03\xe8"));
    is($s->read_exact(4), "\x88\x02\x03\xe8", 'and says goodbye');
    ok($s->closed(5), 'the end');
    my @v = split / /, line_like($t, qr/^\/echo/);
    is_deeply([@v[0, 1]], ['/echo?room=1', 101], 'its line');
    is($v[3], 7 + 102 * $sent + 4, '... with all bytes sent, by both workers');
    cmp_ok($v[2], '>', $v[3] + 100, '... and the head of the handshake');
    cmp_ok($v[4], '>=', $lasted - 0.1, '... and how long it lasted');
    isnt($v[5], $before, '... by the worker that saw its end');
    is((() = slurp($t->path('logs/access.log')) =~ /echo/g), 1, 'one line');

    my $u = $t->connect('unix:web');
    $u->write($HANDSHAKE =~ s/room=1/unix/r);
    is($u->http_response->{status}, 101, 'one over a unix socket');
    $u->close;
    is((split / /, line_like($t, qr/unix/))[3], 0, '... has a line, too');
    $s = $t->connect('web');
    $s->write($HANDSHAKE =~ s/room=1/last/r);
    is($s->http_response->{status}, 101, 'one that is there at the end');
    is($t->stop, 0, 'the server ends');
    like(slurp($t->path('logs/access.log')), qr/^\/echo\?last 101 /m,
        '... and it has its line');
    $t->finish;
};

subtest 'standard error' => sub {
    my $t = server("access = stderr\naccess_format = to \$uri");
    my $text = '';
    for my $path ('/before', '/after') {
        request($t, "GET $path HTTP/1.0\r\n\r\n");
        $text .= "to $path\n";
        ok(wait_for(sub { slurp($t->path('stderr.txt')) eq $text }, 5, 'the line'),
            'a line') or diag slurp($t->path('stderr.txt'));
        is(($t->ctl('reopen'))[0], 0, 'reopen');
    }
    $t->finish;
};

subtest 'a full disk' => sub {
    my $t = server('access = /dev/full');
    like(request($t, "GET /a.txt HTTP/1.0\r\n\r\n"), qr/text$/, "answer $_")
        for 1 .. 3;
    $t->log_like(qr/\[error\].* access log: No space left on device; \d+ lines lost/,
        'is told');
    my $lost = sub {
        $t->http_get('web', '/metrics')->{body} =~ /access_lost_total\{.*\} (\d+)/
            ? $1 : 0;
    };
    ok(wait_for(sub { $lost->() >= 3 }, 5, 'the counter'), 'and counted');
    is((() = $t->log_text =~ /access log:/g), 1, 'once a minute');
    $t->finish;
};

subtest 'the system log' => sub {
    plan skip_all => 'only root can stand in for the system log' if $>;
    plan skip_all => 'this machine has a system log' if -e '/dev/log';
    my $open = sub {
        socket my $log, PF_UNIX, SOCK_DGRAM, 0 or die $!;
        return bind($log, pack_sockaddr_un('/dev/log')) ? $log : undef;
    };
    my $get = sub {
        my ($log) = @_;
        my ($r, $text) = ('', '');
        vec($r, fileno $log, 1) = 1;
        select $r, undef, undef, 5 * time_factor() or return 'nothing';
        recv $log, $text, 65536, 0;
        return $text;
    };
    my $log = $open->() or plan skip_all => "cannot make /dev/log: $!";
    chmod 0666, '/dev/log';
    my $t = eval {
        my $t = server("access = syslog\naccess_format = \"\$uri\" \$status");
        request($t, "GET /a.txt HTTP/1.0\r\n\r\n");
        my ($pid) = $t->worker_pids;
        like($get->($log),
            qr{^<190>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d linnet\[$pid\]: "/a\.txt" 200\z},
            'a line as syslogd takes it');
        close $log;
        request($t, "GET /gone HTTP/1.0\r\n\r\n");
        $t->log_like(qr/access log: .*; 1 lines lost/, 'nobody listens');
        unlink '/dev/log';
        $log = $open->() or die $!;
        chmod 0666, '/dev/log';
        request($t, "GET /again HTTP/1.0\r\n\r\n");
        like($get->($log), qr{"/again" 404\z}, 'it is there again');
        is(($t->ctl('reopen'))[0], 0, 'reopen');
        $t;
    };
    my $why = $@;
    unlink '/dev/log';
    ok($t, 'no trouble') or diag $why;
    $t->finish if $t;
};

subtest 'formats that are none' => sub {
    my $t = Test::Linnet->new(config => config('access = logs/access.log'));
    for my $case (
        ['$statsu', qr/there is no variable "\$statsu"; did you mean "\$status"\?/],
        ['a $quite_other', qr/there is no variable "\$quite_other"; there are .*\$http_NAME.*\$status/],
        ['100$', qr/"\$" without the name of a variable; write "\$\$"/],
        ['$ status', qr/"\$" without the name/],
        ['$${status', qr/"\$" without the name/],
        ['json nothing', qr/no variable is named/],
    ) {
        my ($format, $re) = @$case;
        $t->write_config(config("access = logs/access.log\naccess_format = $format"));
        my ($exit, undef, $err) = $t->run('-t');
        is($exit, 78, "$format: refused");
        like($err, qr/server\.ini:8: access_format: $re/, '... and why');
    }
    $t->write_config(config("acess_format = combined"));
    my ($exit, undef, $err) = $t->run('-t');
    like($err, qr/did you mean "access_format"/, 'a misspelt key');
};

done_testing;
