# What rooms remember: history, coming back, both under load, over the end of
# workers, reloads and upgrades; and what operators set and publish.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Chat qw(ask say_all);
use Test::Linnet::Driver;

my $config = <<'INI';
[server]
workers          = 4
zone_size        = 16m
shutdown_timeout = 3s

[limits]
send_queue    = 64m
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

%%ROUTE_chat%%

%%LISTEN_lines%%

[chat]
history = 100

[room lobby]
topic = Welcome

[room slow]
slow_mode = 1h
INI

my $t  = Test::Linnet->new(config => $config, copy_binary => 1)->start;
sub web { return $t->websocket('web', '/chat') }

sub join_room
{
    my ($w, $room, %more) = @_;
    return ask($w, type => 'join', room => $room, %more);
}

sub texts { return [map { $_->{text} } @{ $_[0] // [] }] }

# The texts of a room's history, as one who comes is told.
sub told
{
    my ($room) = @_;
    my $w = web();
    my $m = join_room($w, $room);
    $w->close;
    return texts($m->{history});
}

my ($ann, $bob) = (web(), web());

subtest 'joined tells the past' => sub {
    my $m = join_room($ann, 'lobby', nick => 'ann');
    is_deeply($m->{history}, [], 'nothing yet');
    say_all($ann, 'lobby', 1 .. 120);
    $m = join_room($bob, 'lobby', nick => 'bob');
    is_deeply(texts($m->{history}), [map { "$_" } 21 .. 120], 'the last 100');
    my $first = $m->{history}[0];
    like(delete $first->{time}, qr/^\d+\.\d+$/, 'with a time');
    is_deeply($first, { type => 'message', room => 'lobby', from => 'ann',
            text => 21, seq => $first->{seq} }, 'as they were told');
    ok(!grep({ $_->{seq} >= $m->{seq} } @{ $m->{history} }),
        'all before the join');
    say_all($ann, 'lobby', 121);
    is($bob->json_like({ type => 'message' })->{text}, 121,
        'and what is said next is next');

    my $page = ask($bob, type => 'history', room => 'lobby', limit => 10,
        before => $first->{seq} + 20);
    my @seqs = map { $_->{seq} } @{ $page->{messages} };
    is($page->{type}, 'history', 'a page');
    is(scalar @seqs, 10, 'of ten');
    is($seqs[9], $first->{seq} + 19, 'right before');
    ok($page->{more}, 'and there are more');
    $page = ask($bob, type => 'history', room => 'lobby', limit => 10,
        before => $seqs[0]);
    is(scalar @{ $page->{messages} }, 9, 'to the first that is kept');
    ok(!$page->{more}, 'and no more');
};

subtest 'coming back' => sub {
    my $seq = say_all($ann, 'lobby', 'a');
    my $epoch = $t->status->{epoch};
    say_all($ann, 'lobby', 'b', 'c');
    my $w = web();
    my $m = join_room($w, 'lobby', since => { epoch => $epoch, seq => $seq });
    ok($m->{recovered}, 'recovered');
    is_deeply(texts($m->{history}), ['b', 'c'], 'exactly what was missed');
    $w->close;
    $w = web();
    $m = join_room($w, 'lobby', since => { epoch => $epoch, seq => $m->{seq} });
    ok($m->{recovered}, 'recovered');
    is_deeply($m->{history}, [], 'nothing was missed');
    $w->close;
    $w = web();
    $m = join_room($w, 'lobby',
        since => { epoch => $epoch + 1, seq => $seq });
    ok(!$m->{recovered}, 'not from another epoch');
    is(scalar @{ $m->{history} }, 100, 'but with the ordinary history');
    $w->close;
    $w = web();
    $m = join_room($w, 'lobby',
        since => { epoch => $epoch, seq => $seq + 1000000 });
    ok(!$m->{recovered}, 'not from the future');
    $w->close;
    say_all($ann, 'lobby', map { "d$_" } 1 .. 300);
    $w = web();
    $m = join_room($w, 'lobby', since => { epoch => $epoch, seq => $seq });
    ok($m->{recovered}, 'more than the history, as long as the log has it');
    is(scalar @{ $m->{history} }, 302, 'all of it');
    $w->close;
};

subtest 'people' => sub {
    my $c = $t->connect('lines');
    $c->write("/join lobby cy\n");
    ok($c->read_until("* the last 10 messages:\n"), 'the last ten');
    is($c->line, "<ann> d$_", "message $_") for 291 .. 300;
    $c->write("/history 3\n");
    is($c->line, '* the last 3 messages:', '/history');
    is($c->line, "<ann> d$_", "message $_") for 298 .. 300;
    $c->write("/quit\n");
    ok($c->closed, 'goes');
};

subtest 'publish' => sub {
    like($t->ctl_ok('publish', 'lobby', 'from "above"'), qr/^seq \d+$/,
        'tells the seq');
    for my $w ($ann, $bob) {
        my $m = $w->json_like({ type => 'message', text => 'from "above"' });
        is($m->{from}, 'server', 'heard on every worker');
    }
    $t->ctl_ok('publish', 'slow', 'to nobody');
    is_deeply(told('slow'), ['to nobody'],
        'a room of the configuration is there from the start');
    $t->ctl_ok('publish', 'fresh', 'to nobody, too');
    is_deeply(told('fresh'), ['to nobody, too'], 'others as soon as needed');
    my ($exit, undef, $err) = $t->ctl('publish', 'No Room', 'x');
    is($exit, 1, 'not into rooms that cannot be');
    like($err, qr/bad_room: names of rooms match/, 'and is told so');
    ($exit, undef, $err) = $t->ctl('publish', 'lobby', 'x' x 5000);
    is($exit, 1, 'no text that is too long');
    like($err, qr/too_long/, 'and is told so');
};

subtest 'the message of the day' => sub {
    $t->ctl_ok('set', 'chat:motd', "Be kind, and brief: ü");
    for my $w ($ann, $bob) {
        my $m = $w->json_like({ type => 'notice' });
        is($m->{text}, 'Be kind, and brief: ü', 'told to all who are in');
    }
    my $w = web();
    is(join_room($w, 'lobby')->{motd}, 'Be kind, and brief: ü', 'and at joining');
    ok(!exists join_room($w, 'fresh')->{motd}, 'once');
    $w->close;
    my $c = $t->connect('lines');
    $c->write("/join fresh\n");
    ok($c->read_until(qr/^\* Be kind, and brief: \xc3\xbc\n/m),
        'to people, too');
    $c->close;
    $t->ctl_ok('unset', 'chat:motd');
    $w = web();
    ok(!exists join_room($w, 'lobby')->{motd}, 'unset');
    $w->close;
};

subtest 'slow mode' => sub {
    my @say = (type => 'message', room => 'lobby', text => 'x');
    is(ask($ann, @say)->{type}, 'ack', 'as fast as one likes') for 1, 2;
    $t->ctl_ok('set', 'chat:slow_mode:lobby', '3600');
    for my $w ($ann, $bob) {
        is(ask($w, @say)->{type}, 'ack', 'one message');
        my $m = ask($w, @say);
        is($m->{code}, 'rate_limited', 'and no other');
        ok($m->{retry_after} > 3500 && $m->{retry_after} <= 3600,
            'for so long') or diag $m->{retry_after};
    }
    my $w = web();
    is(join_room($w, 'lobby')->{slow_mode}, 3600, 'joined tells it');
    $w->close;
    $t->ctl_ok('set', 'chat:slow_mode:lobby', '0.001');
    ok(wait_for(sub { (ask($_[0] // $ann, @say)->{type} // '') eq 'ack' }, 5,
        'a message'), 'faster at once');
    $t->ctl_ok('unset', 'chat:slow_mode:lobby');
    is(ask($ann, @say)->{type}, 'ack', 'unset') for 1, 2;
    $w = web();
    is(join_room($w, 'slow')->{slow_mode}, 3600, 'one from the configuration');
    my @there = (type => 'message', room => 'slow', text => 'x');
    is(ask($w, @there)->{type}, 'ack', 'one message');
    is(ask($w, @there)->{code}, 'rate_limited', 'and no other');
    $t->ctl_ok('set', 'chat:slow_mode:slow', '0');
    is(ask($w, @there)->{type}, 'ack', 'unless it is set to none') for 1, 2;
    $w->close;
};

subtest 'who says what of sessions' => sub {
    join_room($ann, 'dev');
    my $out = $t->ctl_ok('conns');
    like($out, qr/ann in lobby, dev$/m, 'ann is described');
    like($out, qr/bob in lobby$/m, 'bob, too');
};

subtest 'a quiet room beside a noisy one' => sub {
    my $epoch = $t->status->{epoch};
    my ($quiet, $noisy) = (web(), web());
    join_room($quiet, 'quiet');
    my $seq = say_all($quiet, 'quiet', 'first');
    say_all($quiet, 'quiet', map { "q$_" } 1 .. 50);
    $quiet->close;
    join_room($noisy, 'noisy', nick => 'noise');
    my $before = say_all($noisy, 'noisy', 'start');
    $noisy->close;

    # More than the log has.
    $noisy = web();
    join_room($noisy, 'noisy');
    my $text = 'n' x 4000;
    for my $i (1 .. 3000) {
        $noisy->send_json({ type => 'message', room => 'noisy',
            text => $text, $i % 100 ? () : (id => "n$i") });
        next if $i % 100;
        $noisy->json_like({ id => "n$i" });
        $noisy->{skipped} = [];
    }
    $noisy->close;

    my $w = web();
    my $m = join_room($w, 'quiet', since => { epoch => $epoch, seq => $seq });
    ok($m->{recovered}, 'the quiet one has it all');
    is_deeply(texts($m->{history}), [map { "q$_" } 1 .. 50], 'as it was');
    $m = join_room($w, 'noisy', since => { epoch => $epoch, seq => $before });
    ok(!$m->{recovered}, 'the noisy one says that some is gone');
    my $n = @{ $m->{history} };
    cmp_ok($n, '>=', 6, "and has $n messages, those it was promised");
    cmp_ok($n * 4000, '<', 256 * 1024, 'no more than one answer may have');
    $w->close;
};

subtest 'workers come and go' => sub {
    say_all($ann, 'lobby', map { "w$_" } 1 .. 99);
    say_all($ann, 'dev', 'stays');
    my $last = say_all($ann, 'lobby', 'w100');
    my $epoch = $t->status->{epoch};
    my $check = sub {
        my ($name) = @_;
        is_deeply(told('lobby'), [map { "w$_" } 1 .. 100], $name);
        is_deeply(told('dev'), ['stays'], '... a room nobody is in, too');
        my $w = web();
        my $m = join_room($w, 'lobby',
            since => { epoch => $epoch, seq => $last });
        ok($m->{recovered}, '... and one can come back');
        $w->close;
    };
    $check->('before');
    $t->allow_alert(qr/signal 9/);
    kill KILL => $t->worker_pids;
    ok($t->wait_ready(20, 4), 'all workers are killed');
    $check->('after they were killed');
    my ($exit, undef, $err) = $t->reload($config =~ s/= 4$/= 2/mr);
    is($exit, 0, 'fewer workers') or diag $err;
    ok($t->wait_ready(20, 2), 'two');
    $check->('after a reload');
    ($exit, undef, $err) = $t->ctl('upgrade');
    is($exit, 0, 'an upgrade') or diag $err;
    $check->('after the upgrade');
    my $stays = web();
    join_room($stays, 'den');
    say_all($stays, 'den', 1 .. 9);
    ($exit, undef, $err) = $t->reload($config =~ s/history = 100/history = 3/r);
    is($exit, 0, 'less history') or diag $err;
    is_deeply(told('lobby'), [map { "w$_" } 98 .. 100], 'less is told');
    ok(wait_for(sub { ($t->ctl('rooms'))[1] =~ /^den +1 +3$/m }, 10, 'less'),
        'less is kept where nobody comes, too');
};

subtest 'one who cannot move does not bring the old history back' => sub {
    my $with = sub {
        my ($history, $more) = @_;
        return $config =~ s/= 4$/= 1/mr =~ s/= 100/= $history/r . $more;
    };
    my $t = Test::Linnet->new(config => $with->(3, <<'INI'))->start;

[listen old]
address  = 127.0.0.1:%%PORT_old%%
protocol = line
app      = chat
INI
    my $stays = $t->websocket('web', '/chat');
    join_room($stays, 'lobby');
    my $c = $t->connect('old');
    $c->write("/join lobby\nhere\n");
    ok($c->read_until(qr/> here\n/), 'two are in a room');
    my ($exit, undef, $err) = $t->reload($with->(100, ''));
    is($exit, 0, 'more history, and no listener of the one') or diag $err;
    ok($c->closed(10), 'it ends');
    say_all($stays, 'lobby', 1 .. 9);
    like(($t->ctl('rooms'))[1], qr/^lobby +1 +10$/m, 'more is kept');
    $t->finish;
};

$t->finish;

my $why = Test::Linnet::Driver->missing(repo_top());

sub late
{
    my ($server, @args) = @_;
    return Test::Linnet::Driver->start(repo_top() . '/t/node/late.js',
        'ws://127.0.0.1:' . $server->port('web') . '/chat', @args);
}

subtest 'one of 100 is away for 5 s while 1,000 messages pass' => sub {
    plan skip_all => $why if $why;
    $t = Test::Linnet->new(config => $config)->start;
    my $e = late($t, 'lobby', 'drop', 100, 1000, 5)->wait_event('dropped', 60);
    ok($e, 'the driver ends') or diag $t->evidence;
    ok($e->{recovered}, 'recovered');
    is($e->{missed}, 0, 'it has each');
    is($e->{twice}, 0, '... once');
    is($e->{backward}, 0, '... in order');
    is($e->{foreign}, 0, '... and nothing else');
    is($e->{later}, 2, 'and hears what is said next');
    is($e->{members}, 100, 'among 100');
    $t->finish;
};

subtest 'coming and going while two speak at full speed' => sub {
    plan skip_all => $why if $why;
    $t = Test::Linnet->new(config => $config)->start;
    my $race = late($t, 'lobby', 'race', 6);
    ok($race->wait_event('joined', 30), 'one listens');
    my @speakers = map { late($t, 'lobby', 'speak', 8, 5) } 1 .. 2;
    my ($said, $last) = (0, 0);
    for my $d (@speakers) {
        ok($d->wait_event('joined', 30), 'one is there to speak');
    }
    $_->say('go') for @speakers;
    for my $d (@speakers) {
        my $e = $d->wait_event('spoken', 60);
        ok($e, 'one has spoken');
        $said += $e->{acknowledged} // 0;
        $last = $e->{seq} if $e && $e->{seq} > $last;
        $d->finish;
    }
    $race->say($last);
    my $e = $race->wait_event('raced', 60);
    ok($e, 'the race ends') or diag $t->evidence;
    is($e->{heard}, $said, "the listener heard all $said messages");
    cmp_ok($e->{visits}, '>', 20, "$e->{visits} came");
    is($e->{wrong}, 0, '... and had history and events without a seam');
    cmp_ok($e->{returns}, '>', 20, "$e->{returns} came back");
    cmp_ok($e->{recovered}, '>', 5, "... $e->{recovered} of them recovered");
    is($e->{unlike}, 0, '... and these had exactly what they had missed');
    cmp_ok($e->{pages}, '>', 20, "$e->{pages} pages of history were read");
    is($e->{torn}, 0, '... each what was said right before');
    diag explain $e->{examples} if @{ $e->{examples} };
    $race->finish;
    $t->finish;
};

subtest 'a zone that is too small' => sub {
    my $bad = Test::Linnet->new(config => <<'INI');
[server]
zone_size = 1m

%%LISTEN_lines%%

[chat]
history = 5000

[room lobby]
topic = one

[room den]
topic = two
INI
    my ($exit, undef, $err) = $bad->run('-t');
    is($exit, 78, 'exit status 78');
    my @lines = split /\n/, slurp($bad->conf_path);
    my ($at) = grep { $lines[$_ - 1] =~ /^history / } 1 .. @lines;
    like($err, qr/:$at: the 2 rooms .* are promised 3753k of history/,
        'what is promised, and where');
    my ($size) = $err =~ /zone_size = (\d+m) would be enough/;
    ok($size, 'what would be enough') or diag $err;
    my ($ok) = $bad->run('-t', '-o', "server.zone_size=$size");
    is($ok, 0, 'and is');
    $bad->finish;
};

done_testing;
