# Operations of the hub that complete later, as in a cluster: what clients of the
# chat see of it.  A test module holds them in a worker until they are released.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

plan skip_all => 'operations are held in debug builds alone'
    if !$ENV{LINNET_DEBUG};

my $config = <<'INI';
[server]
workers          = 1
shutdown_timeout = 20s
load_module      = %%MODULE_hold%%

[limits]
rooms_created_per_session = 2

[listen hold]
address  = 127.0.0.1:%%PORT_hold%%
protocol = line
app      = hold

%%LISTEN_lines%%

%%LISTEN_web%%

%%ROUTE_chat%%

%%ROUTE_events%%

[route api]
listen  = web
path    = /api/
handler = chat_api
INI

my $t = Test::Linnet->new(config => $config)->start;
my $hold = $t->connect('hold');

sub order
{
    my ($text) = @_;
    $hold->write("$text\n");
    return $hold->line(10) // 'no answer';
}

# As soon as n more are under way, they are over.
sub release
{
    my ($n, $what) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $got = 0;
    wait_for(sub { $got += order('release ' . ($n - $got)); $got >= $n }, 10,
        $what // 'released');
    return is($got, $n, $what // "$n released");
}

sub client { return $t->websocket('web', '/chat') }

sub joined
{
    my ($nick, $room) = @_;
    my $c = client();
    $c->send_json({ type => 'join', room => $room // 'lobby', nick => $nick });
    ok($c->json_like({ type => 'joined' }), "$nick is there");
    return $c;
}

# The types and ids of the next n messages.
sub answers
{
    my ($c, $n) = @_;
    return join ' ', map {
        my $m = $c->json(10) // { type => 'nothing' };
        $m->{type} . (defined $m->{id} ? ":$m->{id}" : '')
    } 1 .. $n;
}

subtest 'acks come when it is over, in order' => sub {
    my ($ann, $bob) = (joined('ann'), joined('bob'));
    ok($ann->json_like({ type => 'presence', nick => 'bob' }), 'bob is seen');
    order('hold');
    $ann->send_json({ type => 'message', room => 'lobby', text => "t$_",
        id => $_ }) for 1 .. 3;
    $ann->send_json({ type => 'who', room => 'lobby', id => 4 });
    release(1);
    is(answers($ann, 2), 'ack:1 message', 'the first, and what it says');
    release(2);
    is(join(' ', sort split / /, answers($ann, 5)),
        'ack:2 ack:3 message message who:4', 'then the others');
    my @texts = map { $bob->json_like({ type => 'message' })->{text} } 1 .. 3;
    is("@texts", 't1 t2 t3', 'the others hear it in order');
    order('go');
    $_->close for $ann, $bob;
};

subtest 'requests in one go come out as if each had waited' => sub {
    order('hold');
    my $ann = client();
    $ann->send_json({ type => 'join', room => 'lobby', nick => 'ann', id => 1 });
    $ann->send_json({ type => 'message', room => 'lobby', text => 'hi', id => 2 });
    $ann->send_json({ type => 'who', room => 'lobby', id => 3 });
    $ann->send_json({ type => 'nick', nick => 'anna', id => 4 });
    $ann->send_json({ type => 'leave', room => 'lobby', id => 5 });
    $ann->send_json({ type => 'message', room => 'lobby', text => 'x', id => 6 });
    my @got;
    for my $wanted (['a nick'], ['the room', 'joined:1'],
        ['the message', 'ack:2', 'who:3'],
        ['another nick', 'nick:4', 'left:5', 'error:6'])
    {
        my ($what, @answers) = @$wanted;
        release(1, $what);
        push @got, @answers;
    }
    my $all = '';
    for (1 .. 20) {
        last if $all =~ /error:6/;
        $all .= answers($ann, 1) . ' ';
    }
    $all =~ s/(message|presence) //g;
    is($all, join(' ', @got) . ' ', 'each is answered in its turn');
    order('go');
    $ann->close;
};

subtest 'refusals that come later' => sub {
    my ($ann, $eve, $guest) = (client(), client(), client());
    order('hold');
    $ann->send_json({ type => 'join', room => 'lobby', nick => 'ann', id => 1 });
    release(1, 'her nick');
    $eve->send_json({ type => 'join', room => 'lobby', nick => 'ann', id => 2 });
    release(2, 'her room, and the same nick');
    ok($ann->json_like({ type => 'joined', id => 1 }), 'the first has it');
    is($eve->json(10)->{code}, 'nick_taken', 'the second does not');
    $guest->send_json({ type => 'join', room => 'lobby', id => 3 });
    release(2, 'a guest');
    like($guest->json_like({ type => 'joined' })->{nick}, qr/^guest-\d+$/,
        'has a nick of its own');

    order('go');
    $ann->send_json({ type => 'join', room => 'new-1', id => 4 });
    $ann->send_json({ type => 'join', room => 'new-2', id => 5 });
    ok($ann->json_like({ type => 'joined', id => 5 }), 'two rooms are made');
    order('hold');
    $ann->send_json({ type => 'join', room => 'new-3', id => 6 });
    release(1, 'a third');
    is($ann->json_like({ id => 6 })->{code}, 'too_many_rooms', 'is too many');

    $ann->send_json({ type => 'message', room => 'lobby', text => 'x',
        id => 100 + $_ }) for 1 .. 70;
    my @full = map { $ann->json(10) } 1 .. 6;
    is(join(' ', map { "$_->{id} $_->{code}" } @full),
        join(' ', map { "$_ rate_limited" } 165 .. 170),
        'those that are too many are refused at once');
    release(64);
    my %acked;
    while (keys %acked < 64 && (my $m = $ann->json(10))) {
        $acked{ $m->{id} } = 1 if $m->{type} eq 'ack';
    }
    is(scalar(keys %acked), 64, 'all others are acknowledged');
    order('go');
    $_->close for $ann, $eve, $guest;
};

subtest 'people' => sub {
    my $ann = $t->connect('lines');
    $ann->line(10);
    order('hold');
    $ann->write("/join lobby ann\nhello\n/msg ann psst\n/quit\n");
    release(2, 'nick and room');
    release(2, 'what she says, and to herself');
    my $text = $ann->read_all(10);
    like($text, qr/^\* you are ann in lobby\n/m, 'joined');
    like($text, qr/^-> \*ann\* psst\n/m, 'told');
    ok($ann->closed(10), 'and gone, when it was her turn');
    order('go');
};

subtest 'who speaks and goes is heard, and then has gone' => sub {
    my ($ann, $bob) = (joined('ann'), joined('bob'));
    order('hold');
    $ann->send_json({ type => 'message', room => 'lobby', text => 'bye' });
    $ann->send_json({ type => 'nick', nick => 'anna' });
    $ann->close;
    wait_for(sub { ($t->workers)[0]{connections} == 2 }, 10, 'she has gone');
    release(1);
    is($bob->json_like({ type => 'message' })->{text}, 'bye', 'heard');
    is($bob->json_like({ type => 'presence' })->{event}, 'leave', 'gone');
    order('go');
    my $again = joined('ann');
    $_->close for $bob, $again;

    order('hold');
    my $eve = client();
    $eve->send_json({ type => 'join', room => 'lobby', nick => 'eve' });
    ok(wait_for(sub { order('held') == 1 }, 10, 'asked'), 'another comes');
    $eve->close;
    order('go');
    $eve = joined('eve');
    $eve->close;
};

subtest 'event streams' => sub {
    order('hold');
    my $ann = client();
    my $s = $t->events('web', '/events?room=lobby&room=den');
    release(1, 'the first room');
    $ann->send_json({ type => 'join', room => 'lobby', nick => 'ann' });
    release(1, 'the second room');
    my ($one, $two) = ($s->event(10), $s->event(10));
    is("$one->{json}{room} $two->{json}{room}", 'lobby den', 'told in order');
    ok(!defined $one->{id} && $two->{id}, 'only the last has an id');
    release(2, 'somebody comes');
    my $e = $s->event(10);
    is("$e->{json}{event} $e->{json}{nick}", 'join ann', 'and is seen, once');
    order('go');
    $ann->close;
    $s->close;
};

subtest 'from elsewhere' => sub {
    my $ann = joined('ann');
    order('hold');
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        my ($exit, $out) = $t->ctl('publish', 'lobby', 'from outside');
        require POSIX;
        POSIX::_exit($exit == 0 && $out =~ /\d/ ? 0 : 1);
    }
    release(1, 'ctl publish');
    waitpid $pid, 0;
    is($?, 0, 'it is told when it is over');
    is($ann->json_like({ type => 'message' })->{text}, 'from outside', 'heard');

    my $api = $t->connect('web');
    $api->write("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
            . "Content-Type: application/json\r\nContent-Length: 41\r\n\r\n"
            . '{"room":"lobby","text":"over HTTP","x":1}');
    my $gone = $t->connect('web');
    $gone->write("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
            . "Content-Type: application/json\r\nContent-Length: 40\r\n\r\n"
            . '{"room":"lobby","text":"and gone","x":1}');
    ok(wait_for(sub { order('held') == 2 }, 10, 'two requests'), 'HTTP');
    $gone->close;
    release(2);
    my $r = $api->http_response;
    is($r->{status}, 200, 'it is answered when it is over');
    like($r->{body}, qr/^\{"result":\{"epoch":\d+,"seq":\d+\}\}/, 'with its place');
    is($ann->json_like({ type => 'message' })->{text}, $_, "$_ is heard")
        for 'over HTTP', 'and gone';
    order('go');
    $ann->close;
};

subtest 'a worker that ends waits for it' => sub {
    my ($ann, $bob) = (joined('ann'), joined('bob'));
    my ($before) = $t->worker_pids;
    order('hold');
    $ann->send_json({ type => 'message', room => 'lobby', text => 'on the way',
        id => 9 });
    ok(wait_for(sub { order('held') == 1 }, 10, 'asked'), 'under way');
    $t->signal('HUP');
    ok(wait_for(sub { my ($w) = grep { $_->{pid} != $before } $t->workers;
            $w && $w->{connections} == 1 }, 20, 'bob has moved'),
        'who has nothing under way moves');
    is(order('held'), 1, 'the old worker is still there');
    release(1);
    ok($ann->json_like({ type => 'ack', id => 9 }), 'it is acknowledged');
    is($bob->json_like({ type => 'message' })->{text}, 'on the way', 'heard');
    ok(wait_for(sub { my @w = $t->workers;
            @w == 1 && $w[0]{pid} != $before && $w[0]{connections} == 2 }, 30,
            'ann has moved'), 'then she moves as well');
    $ann->send_json({ type => 'message', room => 'lobby', text => 'there',
        id => 10 });
    my @texts;
    while (my $m = $ann->json(10)) {
        push @texts, $m->{text} if $m->{type} eq 'message';
        last if $m->{type} eq 'message' && $m->{text} eq 'there';
    }
    is("@texts", 'on the way there', 'with everything, once');
    $_->close for $ann, $bob;
};

$t->finish;
done_testing();
