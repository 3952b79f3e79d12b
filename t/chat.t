# The chat over several workers: every request and every refusal, programs on
# WebSockets and people on lines in one room, and what the others see.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use Encode qw(decode encode);
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Chat qw(ask);

my $config = <<'INI';
[server]
workers          = 3
shutdown_timeout = 3s

[limits]
idle_timeout = 0

%%LISTEN_web%%

%%ROUTE_chat%%

[listen lines]
address      = 127.0.0.1:%%PORT_lines%%
protocol     = line
app          = chat
message_size = 200

[listen bytes]
address = 127.0.0.1:%%PORT_bytes%%
app     = chat

[chat]
text_size         = 100
rooms_per_session = 3
presence_limit    = 6

[room lobby]
topic = Welcome
INI

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

my $t  = Test::Linnet->new(config => $config)->start;
my $id = 100;

# A client on a worker that is not among those given, and that worker's pid.
sub elsewhere
{
    my ($make, @taken) = @_;
    my @others;
    for (1 .. 60) {
        my $before = $t->spread;
        my $client = $make->();
        my $now    = $t->spread;
        my ($pid) = grep { $now->{$_} > ($before->{$_} // 0) } keys %$now;
        if ($pid && !grep { $_ == $pid } @taken) {
            gone($_) for @others;
            return ($client, $pid);
        }
        push @others, $client;
    }
    die "no client on a worker other than @taken";
}

# Closes a client and waits until its worker has noticed.
sub gone
{
    my ($client) = @_;
    my $n = $t->status->{connections};
    $client->close;
    wait_for(sub { $t->status->{connections} < $n }, 10, 'the end of a client')
        or die 'a client does not go';
    return;
}

sub web { return $t->websocket('web', '/chat') }

sub person
{
    my $c = $t->connect('lines');
    like($c->line, qr/^\* welcome;/, 'a person is greeted');
    return $c;
}

# The code of a refusal; an answer that is none, as text.
sub refusal
{
    my $m = ask(@_);
    return ($m->{message} // '') ne '' ? $m->{code} : 'no message'
        if ($m->{type} // '') eq 'error';
    return $m->{type} // 'nothing';
}

# Nothing is on its way to this client: a ping is what comes next.
sub quiet
{
    my ($w, $name) = @_;
    $w->send_json({ type => 'ping', id => ++$id });
    return is_deeply($w->json, { type => 'pong', id => $id }, $name);
}

# Whatever was said in the room before is behind this client.
sub settle
{
    my ($from, $room, @clients) = @_;
    my $text = 'settle ' . ++$id;
    ask($from, type => 'message', room => $room, text => $text);
    for my $c ($from, @clients) {
        my $got = $c->isa('Test::Linnet::WebSocket')
            ? $c->json_like({ type => 'message', text => $text })
            : $c->read_until(qr/> $text\n/);
        ok($got, 'settled') unless $got;
    }
    return;
}

my ($ann, $ann_pid) = elsewhere(\&web);
my ($bob, $bob_pid) = elsewhere(\&web, $ann_pid);
my ($cy) = elsewhere(\&person, $ann_pid, $bob_pid);
my $epoch = $t->status->{epoch};

subtest 'join' => sub {
    my $first = ask($ann, type => 'join', room => 'lobby', nick => 'ann');
    my $seq = $first->{seq};
    like($seq, qr/^\d+$/, 'seq');
    is_deeply($first,
        { type => 'joined', room => 'lobby', nick => 'ann', epoch => $epoch,
          seq => $seq, recovered => JSON::PP::false, topic => 'Welcome',
          members => ['ann'], history => [] },
        'joined');
    quiet($ann, 'one does not see oneself come');
    my $second = ask($bob, type => 'join', room => 'lobby', nick => 'bob',
        since => { epoch => $epoch, seq => $seq });
    is($second->{seq}, $seq + 1, 'one order over the workers');
    is($second->{epoch}, $epoch, 'one epoch');
    is_deeply($second->{members}, ['ann', 'bob'], 'both are there');
    is_deeply($ann->json,
        { type => 'presence', room => 'lobby', event => 'join',
          nick => 'bob', seq => $seq + 1 },
        'seen on the other worker');
    $cy->write("/join lobby cy\n");
    is($cy->line, '* you are cy in lobby', 'a person joins');
    is($cy->line, '* topic: Welcome', 'reads the topic');
    is($cy->line, '* here: ann, bob, cy (3)', 'and who is there');
    is($_->json->{nick}, 'cy', 'seen by all') for $ann, $bob;
};

subtest 'join: refused' => sub {
    is(refusal($ann, type => 'join'), 'bad_request', 'no room');
    is(refusal($ann, type => 'join', room => ['x']), 'bad_request', 'no text');
    is(refusal($ann, type => 'join', room => 'Lobby'), 'bad_room', 'capital');
    is(refusal($ann, type => 'join', room => "lobby\n"), 'bad_room', 'newline');
    is(refusal($ann, type => 'join', room => ''), 'bad_room', 'empty');
    is(refusal($ann, type => 'join', room => 'lobby'), 'already_joined',
        'twice');
    is(refusal($ann, type => 'join', room => 'x', since => 5), 'bad_request',
        'since');
    my $w = web();
    is(refusal($w, type => 'join', room => 'lobby', nick => 'bob'),
        'nick_taken', 'a nick of another worker');
    is(refusal($w, type => 'join', room => 'lobby', nick => 'a b'),
        'bad_nick', 'a blank');
    is(refusal($w, type => 'join', room => 'lobby', nick => 'x' x 33),
        'bad_nick', 'too long');
    is(ask($w, type => 'join', room => "r$_")->{type}, 'joined', "room $_")
        for 1 .. 3;
    is(refusal($w, type => 'join', room => 'r4'), 'too_many_rooms',
        'one too many');
    is(ask($w, type => 'leave', room => 'r2')->{type}, 'left', 'one left');
    my $joined = ask($w, type => 'join', room => 'r4', nick => 'other');
    like($joined->{nick}, qr/^guest-\d+$/, 'a guest keeps its nick');
    gone($w);
    quiet($ann, 'nobody noticed');
};

subtest 'message' => sub {
    $ann->send_json({ type => 'message', room => 'lobby',
        text => "grüß \"dich\"\x{1f600}", id => 'x1' });
    my $ack = $ann->json;
    my $seq = $ack->{seq};
    is_deeply($ack, { type => 'ack', id => 'x1', seq => $seq }, 'ack first');
    for my $w ($ann, $bob) {
        my $m = $w->json;
        my $time = delete $m->{time};
        ok(abs($time - time) < 60, 'the time of day');
        is_deeply($m,
            { type => 'message', room => 'lobby', seq => $seq, from => 'ann',
              text => "grüß \"dich\"\x{1f600}" },
            'to all, the sender too');
    }
    is(decode('UTF-8', $cy->line), "<ann> grüß \"dich\"\x{1f600}",
        'and to people');
    $bob->send_json({ type => 'message', room => 'lobby', text => 'no id' });
    is($bob->json->{type}, 'message', 'no ack without id');
    is($ann->json->{text}, 'no id', 'but it was said');
    is($cy->line, '<bob> no id', 'to all');
    is(refusal($ann, type => 'message', room => 'lobby'), 'bad_request',
        'no text');
    is(refusal($ann, type => 'message', room => 'lobby', text => ''),
        'bad_request', 'an empty one');
    is(refusal($ann, type => 'message', text => 'x'), 'bad_request',
        'no room');
    is(refusal($ann, type => 'message', room => 'den', text => 'x'),
        'not_joined', 'not joined');
    is(refusal($ann, type => 'message', room => 'DEN', text => 'x'),
        'bad_room', 'no room of that name');
    is(refusal($ann, type => 'message', room => 'lobby', text => 'ä' x 51),
        'too_long', 'too long');
    is(ask($ann, type => 'message', room => 'lobby', text => 'ä' x 50)->{type},
        'ack', 'as long as allowed');
    settle($ann, 'lobby', $bob, $cy);
};

subtest 'nick, who' => sub {
    is_deeply(ask($bob, type => 'nick', nick => 'ＢOB-李'),
        { type => 'nick', nick => 'ＢOB-李' }, 'another nick');
    my $m = $ann->json;
    delete $m->{seq};
    is_deeply($m, { type => 'presence', room => 'lobby', event => 'nick',
            nick => 'ＢOB-李', from => 'bob' }, 'seen by others');
    is(decode('UTF-8', $cy->line), '* bob is now ＢOB-李', 'and people');
    is(refusal($bob, type => 'nick', nick => 'ann'), 'nick_taken', 'taken');
    is(refusal($bob, type => 'nick', nick => "a\x{7f}"), 'bad_nick', 'bad');
    is(refusal($bob, type => 'nick'), 'bad_request', 'missing');
    is_deeply(ask($ann, type => 'who', room => 'lobby'),
        { type => 'who', room => 'lobby', count => 3,
          members => ['ann', 'ＢOB-李', 'cy'] }, 'who');
    is(refusal($ann, type => 'who', room => 'den'), 'not_joined', 'elsewhere');
    is(ask($bob, type => 'nick', nick => 'bob')->{nick}, 'bob', 'back');
    is($cy->line, encode('UTF-8', '* ＢOB-李 is now bob'), 'seen');
    settle($ann, 'lobby', $bob, $cy);
};

subtest 'direct, typing, ping, history' => sub {
    my $ack = ask($ann, type => 'direct', to => 'bob', text => 'psst');
    is($ack->{type}, 'ack', 'direct is acknowledged');
    my $m = $bob->json;
    like(delete $m->{time}, qr/^\d+\.\d+$/, 'a time');
    is_deeply($m, { type => 'direct', from => 'ann', to => 'bob',
            text => 'psst' }, 'and arrives on another worker');
    is(ask($ann, type => 'direct', to => 'cy', text => "a\nb")->{type}, 'ack',
        'to a person');
    is($cy->line, '*ann* a', 'who reads it');
    is($cy->line, '*ann* b', 'line by line');
    is(refusal($ann, type => 'direct', to => 'nobody', text => 'x'),
        'no_such_nick', 'nobody');
    is(refusal($ann, type => 'direct', to => 'bob'), 'bad_request', 'no text');
    is(refusal($ann, type => 'direct', text => 'x'), 'bad_request',
        'no receiver');
    my $w = web();
    is(refusal($w, type => 'direct', to => 'bob', text => 'x'), 'not_joined',
        'no nick to speak from');
    is(ask($w, type => 'nick', nick => 'dan')->{type}, 'nick', 'a nick alone');
    is(ask($w, type => 'direct', to => 'bob', text => 'x')->{type}, 'ack',
        'will do');
    is($bob->json->{from}, 'dan', 'and is told');
    gone($w);

    is(ask($ann, type => 'typing', room => 'lobby')->{type}, 'ack', 'typing');
    is_deeply($bob->json, { type => 'typing', room => 'lobby',
            nick => 'ann' }, 'others see it');
    quiet($ann, 'the one who types does not');
    is(refusal($ann, type => 'typing', room => 'den'), 'not_joined',
        'elsewhere');
    is(refusal($ann, type => 'history', room => 'den'), 'not_joined',
        'no history of rooms one is not in');
    is(refusal($ann, type => 'history', room => 'lobby', limit => -1),
        'bad_request', 'nor of less than nothing');
};

subtest 'what is no request' => sub {
    my %bad = (
        'no JSON'        => ['bad_json',     'hello'],
        'nothing'        => ['bad_json',     ''],
        'an array'       => ['bad_json',     '[{"type":"ping"}]'],
        'a key twice'    => ['bad_json',     '{"type":"ping","type":"ping"}'],
        'a NUL'          => ['bad_json',     '{"type":"ping","a":"\u0000"}'],
        'deep'           => ['bad_json',     '[' x 20000],
        'no type'        => ['bad_request',  '{}'],
        'type 7'         => ['bad_request',  '{"type":7}'],
        'an object id'   => ['bad_request',  '{"type":"ping","id":{}}'],
        'a type unknown' => ['unknown_type', '{"type":"Join"}'],
    );
    for my $name (sort keys %bad) {
        my ($code, $text) = @{ $bad{$name} };
        $ann->send_text($text);
        is(($ann->json // {})->{code}, $code, "$name: $code");
    }
    quiet($ann, 'and the connection lives on');
};

subtest 'leave' => sub {
    is_deeply(ask($bob, type => 'leave', room => 'lobby'),
        { type => 'left', room => 'lobby' }, 'left');
    is($ann->json->{event}, 'leave', 'seen by others');
    is($cy->line, '* bob left', 'and people');
    is(refusal($bob, type => 'leave', room => 'lobby'), 'not_joined', 'twice');
    is(refusal($bob, type => 'message', room => 'lobby', text => 'x'),
        'not_joined', 'and may not speak there');
    settle($ann, 'lobby', $cy);
    quiet($bob, 'hears nothing any more');
    ask($bob, type => 'join', room => 'lobby');
    is($ann->json->{nick}, 'bob', 'comes back under the same nick');
    is($cy->line, '* bob joined', 'seen');
    gone($bob);
    is($ann->json->{event}, 'leave', 'the end of a connection is leaving');
    is($cy->line, '* bob left', 'seen');
    $bob = web();
    is(ask($bob, type => 'join', room => 'lobby', nick => 'bob')->{nick},
        'bob', 'and its nick is free again');
    is($cy->line, '* bob joined', 'seen');
    settle($ann, 'lobby', $bob, $cy);
};

subtest 'people' => sub {
    my $said = sub {
        my ($line, @wanted) = @_;
        $cy->write("$line\n");
        is($cy->line, $_, "$line") for @wanted;
    };
    $said->('/who', '* here: ann, cy, bob (3)');
    $said->("hi\tall\r", "<cy> hi\tall");
    $said->('//me', '<cy> /me');
    $said->("\xff\xfb\x1f\x1b[31mred\x07", '<cy> [31mred');
    $said->("\xc3(", '! that line is not UTF-8 and was left out; '
            . 'set your terminal to UTF-8');
    $said->('/nick ann', '! ann is taken by another');
    $said->('/nick cyd', '* you are cyd now', '* cy is now cyd');
    $said->('/msg ann hello there', '-> *ann* hello there');
    is($ann->json_like({ type => 'direct' })->{text}, 'hello there',
        'a direct message');
    $said->('/msg nobody x', '! nobody has that nick');
    $said->('/join den', '* you are cyd in den; its lines begin with [den]',
        '* here: cyd (1)');
    $said->('in here', '[den] <cyd> in here');
    $said->('/rooms', '* you speak in den, and hear lobby');
    $said->('/leave', '* you left den; you speak in lobby now');
    $said->('/history 1', '* the last message:', '<cy> [31mred');
    $said->('/history -1', '! /history N, a number of messages');
    $said->('/dance', '! no such command; /help lists them all');
    $said->('x' x 101, '! a text has at most 100 bytes, this one has 101');
    $ann->send_json({ type => 'message', room => 'lobby',
        text => "one\n<bob> two\x{1b}[2J\x{9b}\x{202e}" });
    is($cy->line, '<ann> one', 'every line bears its speaker');
    is($cy->line, '<ann> <bob> two[2J', 'and nothing steers the terminal');
    $cy->write("un");
    settle($ann, 'lobby', $cy);
    $cy->write("finished");
    settle($ann, 'lobby', $cy);
    $cy->write(" line\nnext\n");
    is($cy->line, '<cyd> unfinished line', 'a line that comes in pieces');
    is($cy->line, '<cyd> next', 'and the next');
    $cy->write('/quit');
    $cy->shutdown_write;
    is($cy->line, '* goodbye', 'the end of the stream ends a line');
    ok($cy->closed, 'closed');
    ok($ann->json_like({ event => 'leave', nick => 'cyd' }), 'seen');

    my $long = person();
    $long->write('x' x 202);
    is($long->line, '! that line is longer than 200 bytes; goodbye',
        'a line without an end');
    ok($long->closed, 'is cut');
    my $half = person();
    $half->write("/join lobby half\nlast words");
    $half->shutdown_write;
    ok($half->closed, 'a half-closed connection is closed');
    is($ann->json_like({ type => 'message', from => 'half' })->{text},
        'last words', 'after its last words');
    ok($ann->json_like({ event => 'leave', nick => 'half' }), 'left');
};

subtest 'requests over raw bytes' => sub {
    my $c = $t->connect('bytes');
    $c->write('{"type":"ping","id":1.5}');
    is($c->read_exact(24), '{"type":"pong","id":1.5}', 'one read, one request');
    gone($c);
};

subtest 'a large room' => sub {
    my @crowd = map { web() } 1 .. 8;
    my @joined = map { ask($_, type => 'join', room => 'hall') } @crowd;
    is(scalar @{ $joined[5]{members} }, 6, 'as many as presence_limit: a list');
    ok(!exists $joined[5]{count}, 'and no number');
    is_deeply($joined[7]{members}, [], 'more: no list');
    is($joined[7]{count}, 8, 'but a number');
    my $who = ask($crowd[0], type => 'who', room => 'hall');
    is($who->{count}, 8, 'for who, too');
    is_deeply($who->{members}, [], 'no list');
    settle($crowd[7], 'hall', @crowd[0 .. 6]);
    my @seen = grep { $_->{type} eq 'presence' } @{ $crowd[0]{skipped} };
    is(scalar @seen, 5, 'those who came to a large room were not told');
    $crowd[0]{skipped} = [];
    gone($_) for @crowd[2 .. 7];
    is_deeply(ask($crowd[0], type => 'who', room => 'hall')->{members},
        [map { $_->{nick} } @joined[0, 1]], 'a list again when it is small');
    settle($crowd[1], 'hall', $crowd[0]);
    @seen = grep { $_->{type} eq 'presence' } @{ $crowd[0]{skipped} };
    is_deeply([sort map { "$_->{event} $_->{nick}" } @seen],
        [sort map { "leave $_->{nick}" } @joined[4 .. 7]],
        'and those who leave a small room are told');
    gone($_) for @crowd[0, 1];
};

subtest 'a word from above' => sub {
    my $c = person();
    my ($exit, undef, $err) = $t->ctl('broadcast', 'back at "five"');
    is($exit, 0, 'broadcast') or diag $err;
    is_deeply($_->json_like({ type => 'notice' }),
        { type => 'notice', text => 'back at "five"' }, 'to all workers')
        for $ann, $bob;
    is($c->line, '* back at "five"', 'and to people in no room');
    gone($c);
};

subtest 'a worker is killed' => sub {
    $t->allow_alert(qr/signal 9/);
    my $home = $ann_pid;
    my ($eve, $pid) = elsewhere(\&web, $home);
    ask($eve, type => 'join', room => 'lobby', nick => 'eve');
    settle($ann, 'lobby', $eve);
    kill KILL => $pid;
    my $m = $ann->json_like({ event => 'leave', nick => 'eve' }, 5);
    ok($m, 'its members leave, and that is seen');
    ok($t->wait_ready(10, 3), 'three workers again');
    my $w = web();
    is(ask($w, type => 'join', room => 'lobby', nick => 'eve')->{nick}, 'eve',
        'no nick stays taken');
    gone($w);
};

subtest 'the server goes' => sub {
    my $c = person();
    $c->write("/join lobby zoe\n");
    ok($ann->json_like({ event => 'join', nick => 'zoe' }), 'all are there');
    $t->signal('QUIT');
    is($ann->wait_close, 1001, 'programs are told by 1001');
    $ann->close;
    ok(defined $c->read_until(qr/\* server is going away\n/),
        'people by a line');
    ok($c->closed, 'closed');
    is($t->wait_exit(10), 0, 'and it went');
};

$t->finish;

subtest 'errors in the configuration' => sub {
    my $bad = Test::Linnet->new(config => <<'INI');
%%LISTEN_lines%%

[chat]
room_name = ^[a-c]+$
txt_size  = 5

[room abc]
topic = fine

[room xyz]
topic = not fine
INI
    my ($exit, $out, $err) = $bad->run('-t');
    is($exit, 78, 'exit status 78');
    my @lines = split /\n/, slurp($bad->conf_path);
    my ($key) = grep { $lines[$_ - 1] =~ /^txt_size/ } 1 .. @lines;
    my ($room) = grep { $lines[$_ - 1] =~ /^\[room xyz/ } 1 .. @lines;
    like($err, qr/:$key: unknown key "txt_size".*text_size/,
        'a misspelt key');
    like($err, qr/:$room: "xyz" is no name for a room/,
        'a room whose name no room may have, in the same breath');
    unlike($err, qr/abc"/, 'and that one alone');
    $bad->finish;
};

done_testing;
