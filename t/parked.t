# HTTP requests whose answer is put off: until something happens, the deadline,
# the client's end, a move or the server's end.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

sub config
{
    my ($more) = @_;
    return <<"INI" . ($more // '');
[server]
workers          = 1
shutdown_timeout = 10s
load_module      = %%MODULE_parked%%

[log]
access = logs/access.log

[listen web]
address  = 127.0.0.1:%%PORT_web%%
protocol = http
idle_timeout = 1s

[route parked]
listen   = web
path     = /parked/
protocol = parked
app      = echo

[route metrics]
listen   = web
path     = /metrics
handler  = status
INI
}

sub request
{
    my ($method, $target, $body) = @_;
    my $length = defined $body ? 'Content-Length: ' . length($body) . "\r\n"
                               : '';
    return "$method $target HTTP/1.1\r\nHost: x\r\n$length\r\n"
        . ($body // '');
}

# One request on a connection of its own.
sub ask
{
    my ($t, @request) = @_;
    my $c = $t->connect('web');
    $c->write(request(@request));
    my $r = $c->http_response;
    $c->close;
    return $r ? $r->{body} : 'no answer';
}

sub count { return ask($_[0], GET => '/parked/count') }

sub park
{
    my ($t, $target) = @_;
    my ($before) = count($t) =~ /^(\d+)/;
    my $c = $t->connect('web');
    $c->write(request(GET => "/parked/park?$target"));
    my $wanted = $before + 1;
    wait_for(sub { count($t) =~ /^$wanted waiting/ }, 10, "$target waits");
    return $c;
}

sub body
{
    my ($c) = @_;
    my $r = $c->http_response;
    return $r ? "$r->{status} $r->{body}" : 'no answer';
}

my $t = Test::Linnet->new(config => config())->start;

subtest 'until somebody says something' => sub {
    my @c = map { park($t, 'news') } 1 .. 3;
    my $other = park($t, 'other');
    like(ask($t, GET => '/metrics'), qr/^linnet_http_parked\{.*\} 4$/m,
        'four wait, as the metrics say');
    is(ask($t, POST => '/parked/say?news', 'hello'), '3 told', 'three are told');
    is(body($_), '200 hello', 'it is the answer') for @c;
    is(ask($t, POST => '/parked/say?news', 'hello'), '0 told', 'once');
    $c[0]->write(request(GET => '/parked/park?news'));
    wait_for(sub { count($t) =~ /^2 waiting/ }, 10, 'it asks again');
    is(ask($t, POST => '/parked/say?news', 'again'), '1 told', 'keep-alive');
    is(body($c[0]), '200 again', 'and is told again');
    is(ask($t, POST => '/parked/say?other', ''), '1 told', 'the other one');
    is(body($other), '200 ', 'with an empty answer');
    like(ask($t, GET => '/metrics'), qr/^linnet_http_parked\{.*\} 0$/m,
        'nobody waits');
};

subtest 'what comes behind waits' => sub {
    my $c = $t->connect('web');
    $c->write(request(GET => '/parked/count')
            . request(GET => '/parked/park?one')
            . request(GET => '/parked/park?two')
            . request(HEAD => '/parked/count')
            . request(GET => '/parked/none'));
    like(body($c), qr/^200 \d+ waiting/, 'what is before is answered');
    wait_for(sub { count($t) =~ /^1 waiting/ }, 10, 'one waits');
    is(ask($t, POST => '/parked/say?two', 'b'), '0 told',
        'the second is not looked at');
    # More than sockets hold: it stays where it is.
    my $more = request(GET => '/parked/count') x 20;
    my $sent = 0;
    $c->handle->blocking(0);
    while ($sent < 40_000_000) {
        my $n = syswrite $c->handle, $more;
        last if !defined $n;
        $sent += $n;
        last if $n < length $more;
    }
    $c->handle->blocking(1);
    cmp_ok($sent, '<', 40_000_000, "not everything is read: $sent bytes");
    is(ask($t, POST => '/parked/say?one', 'a'), '1 told', 'the first is told');
    is(body($c), '200 a', 'and answered');
    wait_for(sub { count($t) =~ /^1 waiting/ }, 10, 'the second waits');
    is(ask($t, POST => '/parked/say?two', 'b'), '1 told', 'and is told');
    is(body($c), '200 b', 'and answered');
    like($c->read_until("\r\n\r\n"), qr/^HTTP\/1.1 200 .*Content-Length: \d/s,
        'then the HEAD');
    like(body($c), qr/^200 \d/, 'then what is behind');
    $c->close;
};

subtest 'a deadline' => sub {
    my $begin = time;
    my $c = $t->connect('web');
    $c->write(request(GET => '/parked/park?never&ms=1500'));
    is(body($c), '200 deadline', 'the handler answers');
    cmp_ok(time - $begin, '>=', 1.4, 'in time, and idle_timeout is shorter');
    $c->write(request(GET => '/parked/count'));
    like(body($c), qr/^200 0 waiting/, 'and it goes on');
    $c->write("GET /parked/park?never&ms=1 HTTP/1.0\r\n\r\n");
    is(body($c), '200 deadline', 'HTTP/1.0');
    ok($c->closed, 'ends with its answer');
};

subtest 'clients that go' => sub {
    my ($gone) = count($t) =~ /(\d+) gone/;
    my $c = park($t, 'close');
    $c->close;
    $gone++;
    ok(wait_for(sub { count($t) =~ /^0 waiting.* $gone gone/ }, 10, 'gone'),
        'one that closes is noticed');
    $c = park($t, 'shutdown');
    $c->shutdown_write;
    $gone++;
    ok(wait_for(sub { count($t) =~ /^0 waiting.* $gone gone/ }, 10, 'gone'),
        'one that shuts its side, too');
    ok($c->closed, 'and is closed');
    $c = $t->connect('web');
    $c->write(request(GET => '/parked/park?behind')
            . request(GET => '/parked/count'));
    wait_for(sub { count($t) =~ /^1 waiting/ }, 10, 'waits');
    $c->close;
    $gone++;
    ok(wait_for(sub { count($t) =~ /^0 waiting.* $gone gone/ }, 10, 'gone'),
        'one with unread requests');
    ok(wait_for(sub {
        slurp($t->path('logs/access.log')) =~ /park\?shutdown .* 499 0 /;
    }, 10, 'access log'), 'the access log says so');
};

SKIP: {
    my ($exit) = run_command('curl', '--version');
    skip 'no curl', 1 if $exit != 0;
    subtest 'curl' => sub {
        my $url = 'http://127.0.0.1:' . $t->port('web') . '/parked';
        my ($rc, $out) = run_command('curl', '-sS', "$url/park?curl&ms=300",
            '--next', '-sS', "$url/park?curl&ms=1");
        is("$rc $out", '0 deadlinedeadline', 'two answers, one connection');
        ($rc, $out) =
            run_command('curl', '-sS', '-m', '0.5', "$url/park?curl");
        is($rc, 28, 'one that gives up');
        ok(wait_for(sub { count($t) =~ /^0 waiting/ }, 10, 'gone'),
            'is noticed');
    };
}

subtest 'an upgrade, later' => sub {
    my $c = park($t, 'up&up');
    $c->write('bytes behind');
    is(ask($t, POST => '/parked/say?up', ''), '1 told', 'it is upgraded');
    is($c->read_until("\r\n\r\n"), "HTTP/1.1 101 Up\r\n\r\n", 'it is told');
    is($c->read_exact(12), 'bytes behind', 'what is behind gets there');
    $c->write('and more');
    is($c->read_exact(8), 'and more', 'and what follows');
    $c->close;
};

subtest 'a reload' => sub {
    my $c = park($t, 'moves');
    my $up = park($t, 'moves&up');
    my $stays = park($t, 'stays&stay');
    $c->write(request(GET => '/parked/count'));
    my ($pid) = $t->worker_pids;
    is(($t->reload)[0], 0, 'reloaded');
    ok(wait_for(sub { count($t) =~ /^2 waiting, 0 due, 0 gone/ }, 20, 'moved'),
        'two have moved');
    is(body($stays), '200 end', 'one that cannot move is answered');
    ok($stays->closed, 'and ends');
    is(ask($t, POST => '/parked/say?moves', 'there'), '2 told', 'they are told');
    is(body($c), '200 there', 'one is answered there');
    like(body($c), qr/^200 0 waiting/, 'and what was behind it');
    is($up->read_until("\r\n\r\n"), "HTTP/1.1 101 Up\r\n\r\n",
        'the other is upgraded');
    isnt(($t->worker_pids)[0], $pid, 'it is another worker');
};

subtest 'the end' => sub {
    my $c = park($t, 'end');
    $t->signal('QUIT');
    my $r = $c->http_response;
    is($r->{body}, 'end', 'the server ends: it is answered');
    ok($c->closed, 'and closed');
    is($t->wait_exit(20), 0, 'the server ends in time');
};

$t->finish;
done_testing();
