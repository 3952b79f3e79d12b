# One room over four workers: 200 real clients, everything received once and
# in one order by everybody; then with a worker killed in the middle.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use List::Util qw(sum0);
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Driver;

my $config = <<'INI';
[server]
workers          = 4
shutdown_timeout = 2s

%%LISTEN_web%%

%%ROUTE_chat%%

%%LISTEN_lines%%
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

# The spread of the 200, once none moves any more.  On a busy machine a worker
# that is late to wake finds its share taken, and is given it later.
sub settled
{
    my ($t) = @_;
    my ($last, $since, $n) = ('', 0);
    my $settled = wait_for(
        sub {
            $n = $t->spread;
            my $now = join ' ', map { "$_ $n->{$_}" } sort keys %$n;
            ($last, $since) = ($now, time) if $now ne $last;
            my @n = sort { $a <=> $b } values %$n;
            sum0(@n) == 200 && @n == 4 && $n[0] > 0 && $n[-1] <= 70
                && ($t->log_text !~ /gives \d+ connections/
                    || time - $since > 3 * time_factor());
        }, 60, '200 on four workers');
    ok($settled, "they sit on all four workers (@{[values %$n]})")
        or diag $t->evidence;
    return $n;
}

subtest 'every client receives all 4,000' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $d = crowd($t, 'lobby');
    settled($t);
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
    my $n = settled($t);
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
    my $used = 0;
    for my $n (1 .. 100) {
        # Twelve are enough, if none of the workers was late to wake.
        $used = grep { $_ > 0 } values %{ $t->spread } if $n > 12;
        last if $used == 4;
        my $w = $t->websocket('web', '/chat');
        $w->send_json({ type => 'join', room => 'mixed', nick => "web$n",
            id => 'j' });
        ok($w->json_like({ type => 'joined' }), "web$n joins") if $n == 1;
        push @web, $w;
        my $l = $t->connect('lines');
        $l->write("/nick line$n\n/join mixed\n");
        push @line, $l;
    }
    is($used, 4, 'clients on all four workers');
    # A member's own word comes back to it: then it has joined.
    for my $i (0 .. $#line) {
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
    is($heard, scalar @web, 'a WebSocket speaks: all WebSockets hear it');
    $heard = grep { defined $_->read_until(qr/<web4> from the web\r?\n/) }
        @line;
    is($heard, scalar @line, '... and all lines');
    $line[7]->write("from a line\n");
    $heard = grep {
        my $m = $_->json_like({ type => 'message', text => 'from a line' });
        $m && $m->{from} eq 'line8';
    } @web;
    is($heard, scalar @web, 'a line speaks: all WebSockets hear it');
    $heard = grep { defined $_->read_until(qr/<line8> from a line\r?\n/) }
        @line;
    is($heard, scalar @line, '... and all lines');
    $t->finish;
};

done_testing;
