# One room over four workers: 200 real clients, everything received once and
# in one order by everybody; then with a worker killed in the middle.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Driver;

my $config = <<'INI';
[server]
workers          = 4
shutdown_timeout = 2s

[listen web]
address  = 127.0.0.1:%%PORT_web%%
protocol = http

[route chat]
listen   = web
path     = /chat
protocol = websocket
app      = chat

[listen lines]
address  = 127.0.0.1:%%PORT_lines%%
protocol = line
app      = chat
INI

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;

sub crowd
{
    my ($t, $room) = @_;
    my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/fanout.js',
        'ws://127.0.0.1:' . $t->port('web') . '/chat', 200, 20, $room);
    ok($d->wait_event('joined', 60), '200 clients join');
    return $d;
}

# What the crowd says at the end; when it never gets there, what it has then.
sub outcome
{
    my ($t, $d) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $e = $d->wait_event('done', 60);
    if (!ok($e, 'they are through')) {
        diag $t->evidence;
        $d->say('report');
        $e = $d->wait_event('done', 20) // {};
    }
    return $e;
}

sub spread
{
    my ($t) = @_;
    return { map { $_->{pid} => $_->{connections} } $t->workers };
}

subtest 'every client receives all 4,000' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $d = crowd($t, 'lobby');
    my $n = spread($t);
    is(scalar(grep { $_ >= 20 } values %$n), 4,
        "they sit on all four workers (@{[values %$n]})");
    $d->say('go');
    my $e = outcome($t, $d);
    is($e->{clients}, 200, 'all are still there');
    is($e->{acked}, 4000, '4,000 messages were acknowledged');
    is($e->{missing}, 0, 'everybody received all of them');
    is($e->{twice}, 0, '... none twice');
    is($e->{same}, 200, '... all in one same order');
    is($e->{backward}, 0, '... with growing seq');
    is($e->{texts}, 4000, '... and nothing else');
    is($e->{foreign}, 0, '... that nobody said');
    is_deeply($e->{errors}, [], 'no error answer');
    $d->finish;
    $t->finish;
};

subtest 'a worker is killed in the middle' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    $t->allow_alert(qr/signal 9/);
    my $d = crowd($t, 'lobby');
    my $n = spread($t);
    is(scalar(grep { $_ >= 20 } values %$n), 4,
        "they sit on all four workers (@{[values %$n]})")
        or diag $t->evidence;
    my ($victim) = sort { $n->{$a} <=> $n->{$b} } keys %$n;
    $d->say('go');
    ok($d->wait_event('half', 120), 'half of the messages are through');
    kill KILL => $victim;
    my $e = outcome($t, $d);
    is($e->{clients}, 200 - $n->{$victim},
        "only its own $n->{$victim} clients were cut off");
    is_deeply($e->{closed}, { 1006 => $n->{$victim} }, '... hard');
    is($e->{missing}, 0,
        'the others received all that anybody had acknowledged');
    cmp_ok($e->{acked}, '>=', 20 * $e->{clients},
        "... $e->{acked} messages, all of their own among them");
    is($e->{twice}, 0, '... none twice');
    is($e->{same}, $e->{clients}, '... all in one same order');
    is($e->{backward}, 0, '... with growing seq');
    is($e->{foreign}, 0, '... and nothing that nobody said');
    is_deeply($e->{errors}, [], 'no error answer');
    $d->finish;
    ok($t->wait_ready(10, 4), 'four workers again');
    ok(wait_for(sub { $t->status->{connections} == 0 }, 10, 'none'),
        'nobody is left');

    # The room works on, and has forgotten the dead.
    my $w = $t->websocket('web', '/chat');
    $w->send_json({ type => 'join', room => 'lobby', nick => 'last', id => 1 });
    my $joined = $w->json_like({ type => 'joined' });
    is_deeply($joined->{members}, ['last'], 'the room is empty but for us')
        if $joined->{members};
    $w->send_json({ type => 'message', room => 'lobby', text => 'alone?',
        id => 2 });
    is($w->json_like({ type => 'message' })->{text}, 'alone?', 'and works');
    $w->close;
    $t->finish;
};

subtest 'WebSocket and line, on every pair of workers' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my (@web, @line);
    for my $n (1 .. 12) {
        my $w = $t->websocket('web', '/chat');
        $w->send_json({ type => 'join', room => 'mixed', nick => "web$n",
            id => 'j' });
        ok($w->json_like({ type => 'joined' }), "web$n joins") if $n == 1;
        push @web, $w;
        my $l = $t->connect('lines');
        $l->write("/nick line$n\n/join mixed\n");
        push @line, $l;
    }
    is(scalar(grep { $_ > 0 } values %{ spread($t) }), 4,
        'clients on all four workers');
    # A member's own word comes back to it: then it has joined.
    for my $i (0 .. 11) {
        $line[$i]->write("ready $i\n");
        ok(defined $line[$i]->read_until(qr/<line\d+> ready $i\r?\n/),
            'line' . ($i + 1) . ' is in');
    }
    $web[3]->send_json({ type => 'message', room => 'mixed',
        text => 'from the web', id => 1 });
    my $heard = grep {
        my $m = $_->json_like({ type => 'message', text => 'from the web' });
        $m && $m->{from} eq 'web4';
    } @web;
    is($heard, 12, 'a WebSocket speaks: all WebSockets hear it');
    $heard = grep { defined $_->read_until(qr/<web4> from the web\r?\n/) }
        @line;
    is($heard, 12, '... and all lines');
    $line[7]->write("from a line\n");
    $heard = grep {
        my $m = $_->json_like({ type => 'message', text => 'from a line' });
        $m && $m->{from} eq 'line8';
    } @web;
    is($heard, 12, 'a line speaks: all WebSockets hear it');
    $heard = grep { defined $_->read_until(qr/<line8> from a line\r?\n/) }
        @line;
    is($heard, 12, '... and all lines');
    $t->finish;
};

done_testing;
