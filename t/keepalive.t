# Peers that are there, and peers that only seem to be: pings do not come in a
# burst, who vanishes is found, what is not acknowledged is not kept for ever.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers = 2

[limits]
ping_interval = %%INTERVAL%%
ping_timeout  = %%TIMEOUT%%
idle_timeout  = %%IDLE%%

[listen web]
address  = %%HOST%%:%%PORT_web%%
protocol = http

%%ROUTE_echo%%

[listen lines]
address  = %%HOST%%:%%PORT_lines%%
protocol = line
app      = chat

[listen raw]
address      = %%HOST%%:%%PORT_raw%%
app          = echo
idle_timeout = 5s

[listen admin]
address  = unix:%%UNIX_admin%%
app      = echo
INI

sub server
{
    my (%o) = @_;
    my $text = $config;
    $text =~ s/%%INTERVAL%%/$o{interval}/;
    $text =~ s/%%TIMEOUT%%/$o{timeout}/;
    $text =~ s/%%IDLE%%/$o{idle}/;
    my $host = $o{host} // '127.0.0.1';
    $text =~ s/%%HOST%%/$host/g;
    return Test::Linnet->new(config => $text)->start;
}

# Opens n WebSockets and notes when each is pinged for the first and the second
# time, in seconds since its handshake and since its pong.
sub pings
{
    my ($t, $n, $longest) = @_;
    my @w = map { $t->websocket('web', '/echo') } 1 .. $n;
    my $begin = time;
    my (@first, @second, %at);
    my %by_fd = map { fileno($_->stream->handle) => $_ } @w;
    while (@second < $n && time - $begin < $longest) {
        my $r = '';
        vec($r, $_, 1) = 1 for keys %by_fd;
        select($r, undef, undef, 0.5) > 0 or next;
        for my $fd (grep { vec $r, $_, 1 } keys %by_fd) {
            my $w = $by_fd{$fd};
            my $f = $w->frame(1);
            if (!$f || $f->{op} != 9) {
                fail('a ping, and nothing else');
                return;
            }
            $w->send_frame(10, $f->{payload});
            if (defined $at{$fd}) {
                push @second, time - $at{$fd};
                delete $by_fd{$fd};
            } else {
                push @first, time - $begin;
                $at{$fd} = time;
            }
        }
    }
    $_->stream->close for @w;
    return (\@first, \@second);
}

# The most of them that fall into any tenth of the time.
sub crowd
{
    my ($span, @at) = @_;
    @at = sort { $a <=> $b } @at;
    my ($most, $from) = (0, 0);
    for my $to (0 .. $#at) {
        $from++ while $at[$to] - $at[$from] > $span / 10;
        $most = $to - $from + 1 if $to - $from + 1 > $most;
    }
    return $most;
}

subtest 'pings are spread' => sub {
    my $n = $ENV{TEST_KEEPALIVE_CLIENTS} || 200;
    my $interval = 4 * time_factor();
    my $t = server(interval => "${interval}s", timeout => '60s', idle => 0);
    my ($first, $second) = pings($t, $n, 4 * $interval);
    is(scalar @$first, $n, "each of $n that came at once is pinged");
    is(scalar @$second, $n, '... and again');
    my @sorted = sort { $a <=> $b } @$first;
    # Half of the interval is what they are spread over; evenly, a tenth of the
    # interval has a fifth of them.
    my $most = crowd($interval, @$first);
    cmp_ok($most, '<', 0.7 * $n, "a tenth of the time has $most at most");
    cmp_ok($sorted[-1] - $sorted[0], '>', 0.3 * $interval,
        sprintf '... the first after %.2f s, the last after %.2f',
        @sorted[0, -1]);
    my ($shortest) = sort { $a <=> $b } @$second;
    cmp_ok($shortest, '>', 0.45 * $interval,
        '... and none before half of the interval');
    $t->finish;
};

subtest 'a client that never answers' => sub {
    my $t = server(interval => '1s', timeout => '1s', idle => 0);
    my @w = map { $t->websocket('web', '/echo') } 1 .. 10;
    my (@took, @pinged);
    my $begin = time;
    for my $w (@w) {
        my $f = $w->frame(20);
        is($f->{op}, 9, 'a ping comes');
    }
    for my $w (@w) {
        is($w->wait_close(20), 1001, '... and then 1001');
        ok($w->stream->closed(5), '... and the end');
    }
    # At most the interval, the timeout and a fifth of it.
    cmp_ok(time - $begin, '<', 2.2 * time_factor() + 5, '... in time');
    is($t->status->{counters}{ping_timeouts_total}, 10, 'all are counted');
    ok(wait_for(sub { $t->status->{connections} == 0 }, 5, 'none'),
        'and nothing is left of them');
    $t->finish;
};

# The network that a test made goes, however the test ends.
my ($end, $owner) = (undef, $$);
END { $end->() if $end && $$ == $owner }

subtest 'a route with other limits' => sub {
    my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers = 1

[listen web]
address       = 127.0.0.1:%%PORT_web%%
protocol      = http
idle_timeout  = 1s
ping_interval = 0

[route echo]
listen       = web
path         = /echo
protocol     = websocket
app          = echo
idle_timeout = 0
message_size = 16m
INI
    my $w = $t->websocket('web', '/echo');
    my $size = 8 << 20;
    $w->send_text('x' x $size);
    ok(wait_for(sub { $t->status->{workers}[0]{send_queue} > 1 << 20 }, 10,
            'the echo'), 'one that does not read');
    for (1 .. 3) {
        my $c = $t->connect('web');
        $c->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        is($c->http_response->{status}, 404, 'another, at the listener');
        ok($c->closed(10), '... is closed for its silence');
    }
    is(length($w->message(20) // ''), $size, 'the one has all the time');
    $t->finish;
};

subtest 'a peer that vanishes' => sub {
    plan skip_all => 'not root, who alone may make network namespaces' if $>;
    my $name = sprintf 'lt%d', $$ % 100_000;
    my $have = grep { -x "$_/ip" } qw(/usr/sbin /sbin /usr/bin /bin);
    plan skip_all => 'no ip here' unless $have;
    local $ENV{PATH} = "$ENV{PATH}:/usr/sbin:/sbin";
    plan skip_all => 'no network namespaces here'
        if system("ip netns add $name 2>/dev/null") != 0;
    my $net = '198.18.' . ($$ % 250);
    my $made = system("ip link add ${name}a type veth peer name ${name}b"
            . " netns $name 2>/dev/null && ip addr add $net.1/30 dev ${name}a"
            . " && ip link set ${name}a up"
            . " && ip -n $name addr add $net.2/30 dev ${name}b"
            . " && ip -n $name link set ${name}b up") == 0;
    $end = sub {
        system("ip link del ${name}a 2>/dev/null");
        system("ip netns del $name 2>/dev/null");
    };
    if (!$made) {
        $end->();
        $end = undef;
        plan skip_all => 'no virtual interfaces here';
    }
    my $t = server(interval => '2s', timeout => '3s', idle => '8s',
        host => "$net.1");
    my $host = "$net.1";

    # A client in the namespace: opens WebSockets and says so; answers pings,
    # and says when each WebSocket has had three.
    pipe my $r, my $w or die $!;
    my $pid = fork // die $!;
    if (!$pid) {
        close $r;
        my $code = <<'PERL';
use lib "$ENV{T_LIB}";
use Test::Linnet::Stream;
use Test::Linnet::WebSocket;
my ($host, $web, $raw) = @ARGV;
my @w = map { Test::Linnet::WebSocket->connect(path => '/echo',
    stream => Test::Linnet::Stream->connect(host => $host, port => $web)) }
    1 .. 5;
my @r = map { Test::Linnet::Stream->connect(host => $host, port => $raw) }
    1 .. 3;
$_->write('hello') && $_->read_exact(5) for @r;
$| = 1;
print "open\n";
my (%answered, $told);
while (1) {
    for my $w (@w) {
        my $f = $w->frame(0.05) or next;
        next if $f->{op} != 9;
        $w->send_frame(10, $f->{payload});
        $answered{$w}++;
    }
    $_->write('x'), $_->read_exact(1) for @r;
    next if $told || grep({ $_ >= 3 } values %answered) < @w;
    print "answered\n";
    $told = 1;
}
PERL
        open STDOUT, '>&', $w or die $!;
        local $ENV{T_LIB} = "$FindBin::Bin/lib";
        exec('ip', 'netns', 'exec', $name, $^X, '-e', $code, $host,
            $t->port('web'), $t->port('raw')) or POSIX::_exit(1);
    }
    close $w;
    my $said = <$r> // '';
    is($said, "open\n", 'clients in another network are served');
    is($t->status->{connections}, 8, '... eight of them');
    $said = <$r> // '';
    is($said, "answered\n", '... each WebSocket has answered three pings');
    is($t->status->{connections}, 8, '... and all are there');
    my $begin = time;
    ok(system("ip -n $name link set ${name}b down") == 0, 'the link is cut');
    ok(wait_for(sub { $t->status->{connections} == 0 }, 15, 'none is left'),
        'all of them are found to be gone');
    my $took = time - $begin;
    cmp_ok($took, '<', (2 + 3) * 1.2 * time_factor() + 5,
        sprintf '... after %.2f s', $took);
    my $c = $t->status->{counters};
    is($c->{ping_timeouts_total}, 5, 'five by a ping');
    is($c->{idle_timeouts_total}, 3, '... three by their silence');
    # The kernel would go on for minutes to send what is not acknowledged.
    my $ports = join ' or ', map { 'sport = :' . $t->port($_) } qw(web raw);
    my $ss = sub { return `ss -Htn '( $ports )' 2>&1` };
    ok(wait_for(sub { $ss->() eq '' }, 12, 'no socket of theirs'),
        'nor does the kernel keep anything for them')
        or diag $ss->();
    kill KILL => $pid;
    waitpid $pid, 0;
    $end->();
    $end = undef;
    $t->finish;
};

done_testing;
