# Live connections move: through reloads, with another number of workers, and
# to another binary.  Nobody is disconnected, nothing is lost or doubled.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Driver;

sub config
{
    my ($workers, $more) = @_;
    return <<"INI" . ($more // '');
[server]
workers          = $workers
shutdown_timeout = 10s

[listen web]
address  = 127.0.0.1:%%PORT_web%%
protocol = http

[route chat]
listen   = web
path     = /chat
protocol = websocket
app      = chat

[route echo]
listen   = web
path     = /echo
protocol = websocket
app      = echo

[listen lines]
address  = 127.0.0.1:%%PORT_lines%%
protocol = line
app      = chat
idle_timeout = 0

[listen raw]
address  = 127.0.0.1:%%PORT_raw%%
app      = echo
INI
}

subtest 'every kind of connection lives on' => sub {
    my $t = Test::Linnet->new(config => config(2))->start;
    my $ws = $t->websocket('web', '/echo');
    my $chat = $t->websocket('web', '/chat');
    my $line = $t->connect('lines');
    my $raw = $t->connect('raw');
    $chat->send_json({ type => 'join', room => 'lobby', nick => 'ann', id => 1 });
    ok($chat->json_like({ type => 'joined' }), 'ann is in the lobby');
    $line->write("/join lobby bob\nhello\n");
    ok($line->read_until(qr/^<bob> hello$/m), 'so is bob');
    $line->write('half a li'); # and the rest after the move
    my @steps = (
        ['a reload', sub { ($t->reload)[0] }],
        ['four workers', sub { ($t->reload(config(4)))[0] }],
        ['one worker', sub { ($t->reload(config(1)))[0] }],
        ['a new binary', sub { ($t->ctl('upgrade'))[0] }],
        ['and three workers', sub { ($t->reload(config(3)))[0] }],
    );
    my $n = 0;
    for my $step (@steps) {
        my ($name, $do) = @$step;
        $n++;
        is($do->(), 0, "$name: done");
        $ws->send_text("echo $n");
        is($ws->message, "echo $n", '... the WebSocket echoes');
        $raw->write("raw $n\n");
        ok($raw->read_until(qr/^raw $n$/m), '... plain TCP, too');
        $line->write($n == 1 ? "ne\n" : "line $n\n");
        my $text = $n == 1 ? 'half a line' : "line $n";
        is($chat->json_like({ type => 'message', from => 'bob',
            text => $text })->{room}, 'lobby', "... bob says \"$text\"");
        $chat->send_json({ type => 'message', room => 'lobby',
            text => "to $n", id => $n });
        ok($line->read_until(qr/^<ann> to $n$/m), '... and hears ann');
        $chat->send_json({ type => 'direct', to => 'bob', text => "psst $n" });
        ok($line->read_until(qr/psst $n$/m), '... also in private');
        $chat->send_json({ type => 'who', room => 'lobby', id => "who $n" });
        is_deeply([sort @{$chat->json_like({ id => "who $n" })->{members}}],
            ['ann', 'bob'], '... and both are members, once');
    }
    ok(wait_for(sub { scalar(my @w = $t->workers) == 3 }, 10, 'old ones go'),
        'the old workers are gone');
    is($t->status->{connections}, 4, 'four connections');
    $t->finish;
};

subtest 'a crowd that talks all the while' => sub {
    my $why = Test::Linnet::Driver->missing(repo_top());
    plan skip_all => $why if $why;
    my $t = Test::Linnet->new(config => config(2))->start;
    my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/fanout.js',
        'ws://127.0.0.1:' . $t->port('web') . '/chat', 100, 40, 'lobby');
    ok($d->wait_event('joined', 60), '100 clients join');
    $d->say('go');
    my @workers = (4, 1, 3, 2);
    my $changes = 0;
    for (1 .. 3) {
        for my $workers (@workers) {
            $changes += ($t->reload(config($workers)))[0] == 0;
        }
        $changes += ($t->ctl('upgrade'))[0] == 0;
    }
    is($changes, 15, '12 reloads and 3 upgrades');
    my $e = $d->wait_event('done', 120);
    if (!$e) {
        diag $t->evidence;
        $d->say('report');
        $e = $d->wait_event('done', 20) // {};
    }
    is($e->{clients}, 100, 'nobody was disconnected');
    is_deeply($e->{closed}, {}, '... for whatever reason');
    is($e->{acked}, 4000, 'all messages were acknowledged');
    is($e->{missing}, 0, 'everybody received all of them');
    is($e->{twice}, 0, '... none twice');
    is($e->{same}, 100, '... all in one same order');
    is($e->{backward}, 0, '... with growing seq');
    is_deeply($e->{errors}, [], 'no error answer');
    $d->finish;
    $t->finish;
};

subtest 'what cannot move ends politely' => sub {
    my $t = Test::Linnet->new(config => config(2))->start;
    my $ws = $t->websocket('web', '/echo');
    my $config = config(2);
    $config =~ s/^\[route echo\].*?\n\n//ms;
    is(($t->reload($config))[0], 0, 'a reload without its route');
    $ws->wait_close(10);
    is($ws->close_code, 1001, 'it is told to go');
    $t->finish;
};

subtest 'HTTP: how long, how often' => sub {
    my $t = Test::Linnet->new(config => config(1, <<'INI'))->start;

[limits]
handshake_timeout = 1s
idle_timeout      = 0

[http]
keepalive_requests = 3

[route page]
listen  = web
path    = /
handler = static
root    = builtin:chat
INI
    my $get = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    my @c = map { $t->connect('web') } 1 .. 2;
    for my $c (@c) {
        $c->write($get);
        is($c->http_response->{status}, 200, 'a client is answered');
    }
    $c[0]->write('GET / HT'); # and no more
    $c[1]->write($get);
    is($c[1]->http_response->{headers}{connection}, undef,
        'one has asked twice');
    is(($t->reload)[0], 0, 'a reload');
    $c[1]->write($get);
    is($c[1]->http_response->{headers}{connection}, 'close',
        'its third request is the last');
    is($c[0]->http_response(timeout => 10)->{status}, 408,
        'half a head has its time, and no more');
    $t->finish;
};

subtest 'an uneven load is levelled' => sub {
    skip_without_files(600);
    my $t = Test::Linnet->new(config => config(4))->start;
    $t->allow_alert(qr/signal 9/);
    my @raw = map { $t->connect('raw') } 1 .. 400;
    ok(wait_for(sub { $t->status->{connections} == 400 }, 10, 'all are in'),
        '400 connections');
    my ($keep, @others) = sort { $b->{connections} <=> $a->{connections} }
        $t->workers;
    kill KILL => map { $_->{pid} } @others;
    ok($t->wait_ready(20, 4), 'three of four workers died and are back');
    my $n = $keep->{connections};
    ok(wait_for(sub {
        my @c = sort { $a <=> $b } map { $_->{connections} } $t->workers;
        return $c[-1] <= 1.25 * $n / 4 + 8;
    }, 30, 'levelled'), "its $n connections are spread within 30 s");
    my $alive = 0;
    for my $c (@raw) {
        next if !$c->write("still here\n");
        $alive++ if $c->read_until(qr/still here\n/, 2);
        last if $alive == $n;
    }
    is($alive, $n, 'and all of them live');
    $t->finish;
};

subtest 'ctl workers, ctl drain' => sub {
    my $t = Test::Linnet->new(config => config(2))->start;
    my $ws = $t->websocket('web', '/echo');
    my ($exit, $out) = $t->ctl('workers', 3);
    is($exit, 0, 'ctl workers 3') or diag $out;
    ok($t->wait_ready(10, 3), 'three workers');
    $ws->send_text('one');
    is($ws->message, 'one', 'the connection lives on');
    is(($t->ctl('workers', 'many'))[0], 1, 'a number is wanted');
    is(($t->ctl('workers', 0))[0], 1, '... from 1');
    my ($holder) = grep { $_->{connections} } $t->workers;
    is(($t->ctl('drain', $holder->{slot}))[0], 0, 'ctl drain');
    ok(wait_for(sub {
        my ($w) = grep { $_->{connections} } $t->workers;
        return $w && $w->{slot} != $holder->{slot};
    }, 10, 'moved'), 'it is on another worker');
    $ws->send_text('two');
    is($ws->message, 'two', '... and lives on');
    ok(wait_for(sub {
        my ($w) = grep { $_->{slot} == $holder->{slot} } $t->workers;
        return $w && $w->{state} eq 'ready' && $w->{pid} != $holder->{pid};
    }, 10, 'fresh'), 'a fresh worker is in that slot');
    is(($t->ctl('drain', 7))[0], 1, 'there is no slot 7');
    is(($t->ctl('workers', 1))[0], 0, 'one worker');
    is(($t->ctl('drain', 0))[0], 1, 'it has nobody to give to');
    $ws->send_text('three');
    is($ws->message, 'three', 'the connection is still there');
    $t->finish;
};

# What has come to a worker goes on to the next, also what comes at the last.
subtest 'ctl drain of one slot after another' => sub {
    my $t = Test::Linnet->new(config => config(3))->start;
    my @lines = map { $t->connect('lines') } 1 .. 600;
    $lines[$_]->write("/join room-" . $_ % 20 . " n$_\n") for 0 .. $#lines;
    $_->read_until(qr/room-\d+.*\n/) for @lines;
    for my $slot ((0, 1, 2) x 5) {
        ok(wait_for(sub { ($t->ctl('drain', $slot))[0] == 0 }, 20, 'drain'),
            "ctl drain $slot");
    }
    ok(wait_for(sub { my @w = $t->status ? @{ $t->status->{workers} } : ();
            @w == 3 && !grep { $_->{state} ne 'ready' } @w }, 30, 'three'),
        'three fresh workers');
    is($t->status->{connections}, @lines, 'nobody was disconnected');
    $_->write("/who\n") for @lines;
    is(scalar(grep { !$_->read_until(qr/n\d+/) } @lines), 0,
        '... and all are answered');
    $t->finish;
};

subtest 'ctl drain, and who was to take them dies' => sub {
    my $t = Test::Linnet->new(config => config(2))->start;
    $t->allow_alert(qr/signal 9/);
    my ($giver, $taker) = $t->workers;
    kill STOP => $taker->{pid}; # so that it has none, and takes none
    my @ws = map { $t->websocket('web', '/echo') } 1 .. 5;
    is(($t->ctl('drain', $giver->{slot}))[0], 0, 'ctl drain');
    kill KILL => $taker->{pid};
    ok(wait_for(sub {
        my @w = $t->workers;
        return @w == 2 && !grep { $_->{pid} == $giver->{pid}
            || $_->{pid} == $taker->{pid} } @w;
    }, 20, 'both'), 'two fresh workers');
    for my $ws (@ws) {
        $ws->send_text('still here');
        is($ws->message, 'still here', 'a connection lives on');
    }
    $t->finish;
};

done_testing;
