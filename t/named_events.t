# Events with names, over a protocol and in applications of tests
# (t/modules/toy, t/modules/gate), with real clients: calls and answers, rooms
# over several workers, a reload and an upgrade with calls that are open,
# admission over each protocol, and what is refused while the configuration is
# loaded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP;
use Test::More;

use Test::Linnet;
use Test::Linnet::WebSocket;

my $head = <<'INI';
[server]
workers     = 2
load_module = %%MODULE_toy%%
load_module = %%MODULE_gate%%
load_module = %%MODULE_tally%%

[limits]
open_calls        = 3
handshake_timeout = 3s
INI

my $t = Test::Linnet->new(config => $head . <<'INI')->start;

[listen toy]
address  = 127.0.0.1:%%PORT_toy%%
protocol = toy
app      = toy

[listen gate]
address  = 127.0.0.1:%%PORT_gate%%
protocol = toy
app      = gate

[listen slow]
address  = 127.0.0.1:%%PORT_slow%%
protocol = line
app      = gate

[listen closed]
address  = 127.0.0.1:%%PORT_closed%%
protocol = line
app      = gate

[listen tally]
address  = 127.0.0.1:%%PORT_tally%%
protocol = toy
app      = tally

%%LISTEN_web%%

[route gate]
listen   = web
path     = /gate
protocol = websocket
app      = gate
INI

sub says
{
    my ($c, $value) = @_;
    $c->write(encode_json($value) . "\n");
    return;
}

sub hears
{
    my ($c) = @_;
    my $line = $c->line(10);
    return defined $line ? decode_json($line) : 'nothing';
}

sub enters
{
    my ($listener, $auth) = @_;
    my $c = $t->connect($listener);
    says($c, ['auth', $auth // { name => 'ann' }]);
    is_deeply(hears($c), ['ok'], "let in at $listener");
    return $c;
}

# Which process a client is served by.
sub served_by
{
    my ($c) = @_;
    says($c, ['ev', 'who', [], 0]);
    return hears($c)->[2][1];
}

subtest 'calls' => sub {
    my $c = enters('toy');
    says($c, ['ev', 'echo', [1, { a => 2 }], 7]);
    is_deeply(hears($c), ['reply', 7, [1, { a => 2 }]], 'answered at once');
    says($c, ['ev', 'later', [60000], 8]);
    says($c, ['ev', 'twice', [], 9]);
    is_deeply(hears($c), ['reply', 9, [1]], 'another is answered meanwhile');
    is_deeply(hears($c), ['ev', 'twice', [JSON::PP::false]], '... once');
    says($c, ['ev', 'flush', []]);
    is_deeply(hears($c), ['reply', 8, ['late', 0]], 'then the first');
    is_deeply(hears($c), ['ev', 'flushed', [1]], '... with success');

    says($c, ['ev', 'ask', [20000]]);
    my $question = hears($c);
    is_deeply([@$question[0 .. 2]], ['ev', 'question', ['?']], 'asked');
    says($c, ['answer', $question->[3], ['!']]);
    is_deeply(hears($c), ['ev', 'answered', ['!']], 'and heard');
    says($c, ['ev', 'ask', [20]]);
    hears($c);
    is_deeply(hears($c), ['ev', 'unanswered', []], 'or not in time');

    says($c, ['ev', 'later', [0], $_]) for 1 .. 4;
    is_deeply(hears($c), ['bye', 1008, 'too many calls wait for their answers'],
        'more than open_calls end it');
    ok($c->closed(10), 'closed');

    is($t->counter('replies_total'), 3, 'answers are counted');
    is($t->counter('replies_refused_total'), 1, '... and those too many');
    is($t->counter('calls_expired_total'), 1, '... and what came to nothing');
    is($t->counter('calls_refused_total'), 1, '... and calls too many');
    is($t->counter('named_events_in_total'), 10, '... and events');
};

# Whatever breaks a line ends one client and no more.
subtest 'malformed' => sub {
    for my $line ('x', '[]', '["ev"]', '["ev","echo",{}]', '["ev",1,[]]',
        '["ev","echo",[1,]]', "[\"ev\",\"\xff\",[]]", '["ev","echo",[],-1]',
        '["answer",99999999999999999999,[]]', '["auth",1]') {
        my $c = enters('toy');
        $c->write("$line\n");
        like($c->line(10), qr/^\["bye",1002,/, "refused: $line" =~
            s/[^ -~]/?/gr);
        $c->close;
    }
    my $c = enters('toy');
    says($c, ['answer', 5, []]);
    says($c, ['ev', 'nobody knows this', [], 1]);
    says($c, ['ev', 'echo', ['still'], 2]);
    is_deeply(hears($c), ['reply', 2, ['still']],
        'an unknown event, and an answer that nobody asked for, are ignored');
    $c->close;
};

subtest 'rooms' => sub {
    my @c = map { enters('toy') } 1 .. 12;
    my %workers = map { served_by($_) => 1 } @c;
    diag('all clients are on one worker') if keys %workers < 2;
    says($c[0], ['ev', 'say', [1, 'two'], undef, ['bytes']]);
    my $wrong = grep {
        encode_json(hears($_)) ne '["ev","said",[1,"two"],null,["bytes"]]'
    } @c;
    is($wrong, 0, 'an event with arguments and attachments comes to all');
    $_->close for @c;
};

subtest 'plain messages' => sub {
    my $c = enters('gate', 'good');
    is_deeply(hears($c), ['ev', 'message', ['welcome "good"']],
        'a message is an event "message"');
    says($c, ['ev', 'message', ["\x{e4}"]]);
    is_deeply(hears($c), ['ev', 'message', ["\x{e4}"]], '... and back');
    $c->close;
};

# docs/modules.md shows this application.
subtest 'the example' => sub {
    my ($ann, $bob) = map { enters('tally', { name => $_ }) } qw(ann bob);
    says($ann, ['ev', 'vote', ['yes'], 1]);
    is_deeply(hears($ann), ['reply', 1, ['thank you']], 'a vote is answered');
    is_deeply(hears($_), ['ev', 'voted', ['yes']], '... and seen by all')
        for $ann, $bob;
    my $c = $t->connect('tally');
    says($c, ['ev', 'vote', ['no']]);
    like($c->line(10), qr/^\["bye",1002,/, 'not by those who say nothing first');
    $_->close for $ann, $bob;
};

sub moves
{
    my ($how, @command) = @_;
    my $c = enters('toy');
    my $before = served_by($c);
    says($c, ['ev', 'later', [0], 21]);
    says($c, ['ev', 'ask', [60000]]);
    my $question = hears($c);
    my ($exit, $out, $err) = $t->ctl(@command);
    is($exit, 0, $how) or diag $out . $err;
    ok(wait_for(sub { served_by($c) != $before }, 20, 'the move'),
        'another process serves');
    says($c, ['answer', $question->[3], [1]]);
    is_deeply(hears($c), ['ev', 'answered', [1]],
        'the answer to its question is heard');
    says($c, ['ev', 'flush', []]);
    is_deeply(hears($c), ['reply', 21, ['late', 0]],
        'what was put off is answered');
    is_deeply(hears($c), ['ev', 'flushed', [1]], '... once');
    says($c, ['ev', 'say', ['moved']]);
    is_deeply(hears($c), ['ev', 'said', ['moved']], 'its room goes along');
    $c->close;
    return;
}

subtest 'reload'  => sub { moves('a reload', 'reload') };
subtest 'upgrade' => sub { moves('an upgrade', 'upgrade') };

subtest 'admission' => sub {
    my $c = $t->connect('toy');
    says($c, ['auth', { refuse => 1 }]);
    is_deeply(hears($c), ['no', 'you "refuse" yourself'], 'refused, with why');
    says($c, ['auth', { name => 'bob' }]);
    is_deeply(hears($c), ['ok'], 'let in at the second try');
    says($c, ['ev', 'who', [], 1]);
    is_deeply(hears($c)->[2][0], { name => 'bob' }, 'as who it said it was');
    $c->close;

    $c = $t->connect('slow');
    $c->write("early\n");
    is($c->line(10), 'welcome listen slow', 'line: let in later');
    is($c->line(10), 'early', '... and what came before is not lost');
    $c->close;
    $c = $t->connect('closed');
    is($c->line(10), '* not on the list', 'line: refused');
    ok($c->closed(10), '... closed');

    my $ws = Test::Linnet::WebSocket->connect(stream => $t->connect('web'),
        path => '/gate?slow');
    is($ws->message(10), 'welcome slow', 'WebSocket: let in later');
    $ws->close;
    $ws = Test::Linnet::WebSocket->connect(stream => $t->connect('web'),
        path => '/gate?wait');
    $ws->wait_close(10);
    is($ws->close_code, 1008, 'WebSocket: refused later');
    is($ws->close_reason, 'come back tomorrow', '... with why');
    for my $case (['/gate', 401], ['/gate?x', 403]) {
        my ($path, $status) = @$case;
        my $try = Test::Linnet::WebSocket->try_connect(
            stream => $t->connect('web'), path => $path);
        is($try->response->{status}, $status, "$path: $status");
        like($try->response->{body}, qr/not on the list/, '... with why');
    }
    is($t->counter('not_admitted_total'), 5, 'refusals are counted');
};

# With the line of its configuration.
subtest 'refused' => sub {
    for my $ini (
        "[listen x]\naddress = 127.0.0.1:1\nprotocol = line\napp = toy\n",
        "[listen w]\naddress = 127.0.0.1:1\nprotocol = http\n\n[route x]\n"
            . "listen = w\npath = /\nprotocol = websocket\napp = toy\n",
    ) {
        my $bad = Test::Linnet->new(config => "$head\n$ini");
        my ($exit, undef, $err) = $bad->run('-t');
        is($exit, 78, 'an application of events over a protocol without');
        my $what = 'app toy takes events with names, which protocol';
        like($err,
            qr/server\.ini:\d+: \[\w+ x\]: $what \w+ does not have; toy does/,
            '... says what and which protocol');
        my ($at) = $err =~ /server\.ini:(\d+): /;
        my @lines = split /\n/, slurp($bad->conf_path);
        is($lines[$at - 1], 'app = toy', '... and where');
        $bad->finish;
    }
};

is($t->stop, 0, 'stops');
$t->finish;
done_testing;
