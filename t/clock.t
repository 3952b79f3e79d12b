# The clock is set, by an hour either way, while clients are connected: nobody
# is timed out, nothing stops.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my ($library) = grep { -f } map { glob }
    qw(/usr/lib/*/faketime/libfaketime.so.1
    /usr/lib*/faketime/libfaketime.so.1 /usr/lib/faketime/libfaketime.so.1);
plan skip_all => 'libfaketime is not installed (auto/deps test)'
    if !$library;
plan skip_all => 'a sanitizer wants to be loaded before any other library'
    if $ENV{LINNET_SANITIZE};

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 5s

[limits]
ping_interval = 1s
idle_timeout  = 60s

%%LISTEN_web%%

%%ROUTE_chat%%

[listen echo]
address      = 127.0.0.1:%%PORT_echo%%
app          = echo
idle_timeout = 60s
INI

my $t = Test::Linnet->new(
    config => $config,
    env    => {
        LD_PRELOAD              => $library,
        FAKETIME_NO_CACHE       => 1,
        FAKETIME_DONT_RESET     => 1,
        DONT_FAKE_MONOTONIC     => 1, # as a clock that is set
        FAKETIME_TIMESTAMP_FILE => 'clock',
    },
    files => { clock => "+0s\n" },
);
$t->start;

my $ann = $t->websocket('web', '/chat');
$ann->send_json({ type => 'join', room => 'lobby', nick => 'ann', id => 1 });
ok($ann->json_like({ type => 'joined' }), 'ann is in');
my $echo = $t->connect('echo');
my @pids = sort $t->worker_pids;

# What the server says the time is, by a message's stamp.
sub server_time
{
    my ($text) = @_;
    $ann->send_json({ type => 'message', room => 'lobby', text => $text });
    my $m = $ann->json_like({ type => 'message', text => $text });
    return $m ? $m->{time} : 0;
}

my $seq = 0;
for my $by (3600, -3600, 0) {
    my $name = sprintf 'the clock is off by %+d s', $by;
    my $uptime = $t->status->{uptime};
    spew($t->path('clock'), sprintf "%+ds\n", $by);
    my $off = server_time("off by $by") - time;
    cmp_ok(abs($off - $by), '<', 60, "$name: it was set");
    my $begin = time;
    my $pings = 0;
    while ($pings < 3 && time - $begin < 20 * time_factor()) {
        my $f = $ann->frame(5) or last;
        next if $f->{op} != 9;
        $pings++;
        $ann->send_frame(10, $f->{payload});
    }
    is($pings, 3, '... pings come at their time');
    cmp_ok(time - $begin, '<', 10 * time_factor(), '... not faster or slower');
    $echo->write('hi');
    is($echo->read_exact(2), 'hi', '... nobody was cut off');
    my $now = $t->status;
    cmp_ok($now->{uptime} - $uptime, '<', 120,
        "... the server is up for $now->{uptime} s");
    cmp_ok($now->{uptime}, '>=', $uptime, '... not less than before');
    is_deeply([sort $t->worker_pids], \@pids, '... no worker was replaced');
    is(($t->ctl('reload'))[0], 0, '... a reload works');
    @pids = sort $t->worker_pids;
    ok(server_time("after $by"), '... and the connection has moved');
}

$_->close for $ann, $echo;
$t->finish;
done_testing;
