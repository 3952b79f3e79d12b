# What operators see and do while the server runs: connections, rooms, the
# zone; closing a connection, saying something, setting a value.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Socket qw(unpack_sockaddr_in);
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 2s
zone_size        = 8m

[limits]
send_queue = 4m

[listen echo]
address = 127.0.0.1:%%PORT_echo%%
address = unix:%%UNIX_echo%%
app     = echo

%%LISTEN_lines%%

%%LISTEN_web%%

%%ROUTE_chat%%

[chat]
history = 50
INI

sub server { return Test::Linnet->new(config => $config)->start }

sub short
{
    return join ' ', map { length > 40 ? substr($_, 0, 40) . '...' : $_ } @_;
}

# A member over lines, and one over WebSocket.
sub liner
{
    my ($t, $nick, $room) = @_;
    my $c = $t->connect('lines');
    $c->write("/nick $nick\n/join $room\n");
    $c->read_until(qr/you are \Q$nick\E in \Q$room\E\r?\n/)
        or die "$nick cannot join: " . $c->pending;
    return $c;
}

sub webber
{
    my ($t, $nick, @rooms) = @_;
    my $w = $t->websocket('web', '/chat');
    for my $room (@rooms) {
        $w->send_json({ type => 'join', room => $room, nick => $nick });
        $w->json_like({ type => 'joined', room => $room })
            or die "$nick cannot join $room";
    }
    return $w;
}

# What ctl conns lists, as hashes.
sub conns
{
    my ($t) = @_;
    my ($exit, $out, $err) = $t->ctl('conns');
    my ($head, @lines) = split /\n/, $out;
    my @names = qw(id worker endpoint peer age queue what);
    return map {
        my %c;
        @c{@names} = /^\s*(\d+)\s+(\d+)\s+((?:listen|route)\ \S+)\s+(\S+)
            \s+(\d+)\s+(\d+)\s\s(.*)$/x or diag "no line of conns: $_";
        \%c;
    } @lines;
}

sub conn_of
{
    my ($t, $nick) = @_;
    my ($c) = grep { $_->{what} =~ /^\Q$nick\E\b/ } conns($t);
    return $c // {};
}

sub peer
{
    my ($c) = @_;
    my ($port) = unpack_sockaddr_in(getsockname $c->handle);
    return "127.0.0.1:$port";
}

# Whether both workers have some of the connections that this makes.
sub on_both
{
    my ($t, $make) = @_;
    my @made;
    for (1 .. 100) {
        push @made, $make->($_);
        return @made unless grep { !$_->{connections} } $t->workers;
    }
    die 'one worker takes all';
}

subtest 'words' => sub {
    my $t = server();
    for my $words (['kick'], ['kick', 1, 2], ['publish', 'lobby'], ['set', 'k'],
        ['get'], ['get', 'a', 'b'], ['unset'], ['conns', 'all'],
        ['rooms', 'all'], ['zone', 'all'], ['values', 'all']) {
        my ($exit, $out, $err) = $t->ctl(@$words);
        is($exit, 2, "ctl @$words: usage");
        like($err, qr/usage: linnet ctl $words->[0]/, '... which is told');
    }
    my ($exit, $out, $err) = $t->ctl('pubish', 'lobby', 'hi');
    is($exit, 2, 'a word misspelled');
    like($err, qr/did you mean "publish"/, '... and what may have been meant');
    $t->ctl_refused(qr/the command is too long/, 'publish', 'lobby',
        "\x01" x 100_000);
    is(scalar $t->workers, 2, 'the server is well');
    $t->finish;
};

subtest 'conns' => sub {
    my $t = server();
    my $out = $t->ctl_ok('conns');
    like($out, qr/^\s+id\s+worker\s+endpoint\s+peer
        \s+age\(s\)\s+queue\(b\)\s*\n\z/x, 'nobody: only what the columns are');
    my $ann = liner($t, 'ann', 'lobby');
    my $bob = webber($t, 'bob', 'lobby', 'quiet');
    my $echo = $t->connect('echo');
    $echo->write('x');
    is($echo->read_exact(1), 'x', 'one that echoes');
    my $unix = $t->connect('unix:echo');
    $unix->write('x');
    is($unix->read_exact(1), 'x', 'one over a unix socket');
    my $half = $t->connect('web');
    $half->write("GET /ch");
    ok(wait_for(sub { conns($t) == 5 }, 5, 'five'), 'five connections');

    my @c = conns($t);
    my %by = map { $_->{endpoint} => $_ } @c;
    is($by{'listen lines'}{peer}, peer($ann), 'where it comes from');
    is($by{'listen lines'}{what}, 'ann in lobby', '... who it is');
    my ($chat) = grep { $_->{what} =~ /bob/ } @c;
    is($chat->{what}, 'bob in lobby, quiet', 'one in two rooms');
    is($chat->{peer}, peer($bob->stream), '... from there');
    ok((grep { $_->{peer} eq peer($half) && $_->{what} eq '' } @c),
        'one that has not said what it wants');
    is(scalar(grep { $_->{endpoint} eq 'listen echo' } @c), 2,
        'those who only echo');
    is(scalar(grep { $_->{id} =~ /^\d+$/ && $_->{worker} =~ /^[01]$/
                && $_->{age} =~ /^\d$/ && $_->{queue} eq '0' } @c),
        5, 'each with an id, its worker, its age, and nothing in its queue');
    my %id = map { $_->{id} => 1 } @c;
    is(scalar keys %id, 5, 'no id twice');

    # Somebody who does not read.
    my $more = sub { # until every buffer on the way is full
        my $n = 0;
        while ($n < 200 && defined syswrite $echo->handle, 'x' x 65536) { $n++ }
        return scalar grep { $_->{queue} > 0 } conns($t);
    };
    ok(wait_for($more, 10, 'a queue'),
        'what waits for one that does not read is shown');
    $_->close for $ann, $echo, $unix, $half;
    ok(wait_for(sub { conns($t) == 1 }, 5, 'one'), 'who goes is not shown');
    $t->finish;
};

subtest 'many' => sub {
    skip_without_files(1600);
    my $t = server();
    my @many = map { $t->connect('lines') } 1 .. 1500;
    ok(wait_for(sub { $t->status->{connections} == 1500 }, 20, '1,500'),
        '1,500 connections');
    my @c = conns($t);
    is(scalar @c, 1500, 'all of them are listed');
    my %id = map { $_->{id} => 1 } @c;
    is(scalar keys %id, 1500, '... once');
    my %peer = map { $_->{peer} => 1 } @c;
    is(scalar(grep { !$peer{ peer($_) } } @many), 0, '... each as itself');
    $t->finish;
};

subtest 'a worker that does not answer' => sub {
    my $t = server();
    $t->allow_alert(qr/signal 9/);
    my @ann = on_both($t, sub { liner($t, "ann$_[0]", 'lobby') });
    my ($victim) = grep { $_->{slot} == 1 } $t->workers;
    kill STOP => $victim->{pid};
    # By hand, so that it is known to be under way when ctl has its answer.
    my $asker = Test::Linnet::Stream->connect(
        path => $t->path('run/control.sock'));
    $asker->write(qq(["conns"]\n));
    is(($t->ctl('status'))[0], 0, 'others are answered while it waits');
    is(($t->ctl('zone'))[0], 0, '... with the zone, too');
    ok($asker->silent(0.2), 'conns waits for the worker');
    my $begin = time;
    kill KILL => $victim->{pid};
    my $got = eval { JSON::PP->new->decode($asker->read_all(10))->{text} };
    cmp_ok(time - $begin, '<', 2 * time_factor(), '... until that has ended');
    like($got, qr/^worker 1: the worker has ended$/m, '... which is told');
    like($got, qr/ann\d+ in lobby/, '... among what the others say');
    $t->finish;
};

subtest 'kick' => sub {
    my $t = server();
    my @ann = on_both($t, sub { liner($t, "ann$_[0]", 'lobby') });
    my $watcher = $ann[0];
    my %worker;
    for my $i (2 .. @ann) {
        my $c = conn_of($t, "ann$i");
        is($t->ctl_ok('kick', $c->{id}), "kicked\n", "ann$i is kicked");
        my $last = $ann[$i - 1]->read_all(5) // 'still there';
        like($last, qr/^\* kicked\r?\n\z/m, '... is told, and cut off');
        ok($watcher->read_until(qr/^\* ann$i left\r?\n/m), '... and leaves');
        $worker{ $c->{worker} }++;
        $t->ctl_refused(qr/there is no such connection/, 'kick', $c->{id});
    }
    my $bob = webber($t, 'bob', 'lobby');
    $t->ctl_ok('kick', conn_of($t, 'bob')->{id});
    is($bob->wait_close, 4500, 'a WebSocket is closed with 4500');
    is($bob->close_reason, 'kicked', '... and the reason');
    my $echo = $t->connect('echo');
    $echo->write('x');
    is($echo->read_exact(1), 'x', 'one without a goodbye');
    my ($c) = grep { $_->{endpoint} eq 'listen echo' } conns($t);
    $t->ctl_ok('kick', $c->{id});
    ok($echo->closed(5), '... is just closed');
    my $half = $t->connect('web');
    my $web = sub { grep { $_->{endpoint} eq 'listen web' } conns($t) };
    ok(wait_for($web, 5, 'it'), 'one that has said nothing');
    ($c) = $web->();
    $t->ctl_ok('kick', $c->{id});
    ok($half->closed(5), '... too');

    for my $id ('ann', '', '0', '-1', '1x', '99999999999999999999') {
        $t->ctl_refused(qr/kick takes an id, as shown by ctl conns/, 'kick',
            $id);
    }
    for my $id (1, 255, 256 * 1000, '9223372036854775807') {
        $t->ctl_refused(qr/there is no such connection/, 'kick', $id);
    }
    my $me = conn_of($t, 'ann1');
    is($me->{what}, 'ann1 in lobby', 'who was not kicked is still there');
    $t->finish;
};

subtest 'rooms, publish' => sub {
    my $t = server();
    my $none = $t->ctl_ok('rooms');
    like($none, qr/^room\s+members\s+history\n/, 'rooms: the columns');
    unlike($none, qr/^lobby/m, '... and no room that nobody is in');
    my @ann = on_both($t, sub { liner($t, "ann$_[0]", 'lobby') });
    my $bob = webber($t, 'bob', 'lobby', 'quiet');
    my $n = @ann + 1;
    like($t->ctl_ok('rooms'), qr/^lobby\s+$n\s+0$/m, "$n members");
    like($t->ctl_ok('rooms'), qr/^quiet\s+1\s+0$/m, 'and one in the other');

    my $out = $t->ctl_ok('publish', 'lobby', 'grüße an alle');
    like($out, qr/^seq (\d+)$/, 'publish tells the seq');
    my ($seq) = $out =~ /(\d+)/;
    my $got = $bob->json_like({ type => 'message', room => 'lobby' });
    is($got->{text}, "gr\x{fc}\x{df}e an alle", 'a WebSocket gets it');
    is($got->{from}, 'server', '... from the server');
    is($got->{seq}, $seq, '... with that seq');
    is(scalar(grep { $_->read_until(qr/^<server> grüße an alle\r?\n/m) } @ann),
        @ann, 'and everybody on both workers');
    like($t->ctl_ok('rooms'), qr/^lobby\s+$n\s+1$/m, 'it is in the history');

    for my $bad (['No Room', 'x'], ['lobby', ''], ['', 'x'],
        ['lobby', 'x' x 100_000]) {
        my ($exit, $o, $err) = $t->ctl('publish', @$bad);
        is($exit, 1, 'publish ' . short(@$bad) . ': refused');
        like($err, qr/^linnet: (\w+: .{5}|it is too long)/,
            '... with a code and a reason');
    }
    $ann[0]->write("still here\n");
    ok($bob->json_like({ type => 'message', text => 'still here' }),
        'the room goes on');
    $t->finish;
};

subtest 'zone' => sub {
    my $t = server();
    my @ann = on_both($t, sub { liner($t, "ann$_[0]", 'lobby') });
    my $look = sub {
        my $out = $t->ctl_ok('zone');
        my %z;
        $z{$1} = [$2, $3, $4]
            while $out =~ /^(\w+)\s+(\d+) of\s+(\d+)\s+(\d+) %$/mg;
        @z{qw(epoch size)} = $out =~ /^epoch (\d+), (\d+) bytes$/m;
        @z{qw(records seconds published kept)} = $out
            =~ /has\ (\d+)\ records\ of\ the\ last\ (\d+)\ s;
                \ (\d+)\ were\ published;\ history\ keeps\ (\d+)\ messages/x;
        @z{qw(lapped repairs)} =
            $out =~ /^lapped readers: (\d+), repairs: (\d+)$/m;
        return \%z;
    };
    my $z = $look->();
    cmp_ok($z->{size}, '>', 4_000_000, "a zone of $z->{size} bytes");
    cmp_ok($z->{epoch}, '>', 0, 'its epoch');
    for my $part (qw(log history promised users rooms members)) {
        my ($used, $of, $percent) = @{ $z->{$part} // [1, 0, 101] };
        ok($used <= $of && $percent <= 100 && $of > 0,
            "$part: $used of $of, $percent %");
    }
    is($z->{users}[0], scalar @ann, 'users are counted');
    is($z->{members}[0], scalar @ann, '... members');
    is($z->{rooms}[0], 1, '... and rooms');
    is($z->{lapped}, 0, 'nobody was lapped');
    is($z->{repairs}, 0, 'nothing was repaired');
    $t->ctl_ok('publish', 'lobby', "number $_") for 1 .. 5;
    my $y = $look->();
    is($y->{published} - $z->{published}, 5, 'what is published is counted');
    is($y->{kept} - $z->{kept}, 5, '... and what history keeps');
    cmp_ok($y->{log}[0], '>', $z->{log}[0], '... and fills the log');
    cmp_ok($y->{records}, '>=', 5, '... as records');
    cmp_ok($y->{history}[0], '>', $z->{history}[0], '... and the history');
    $_->close for @ann;
    ok(wait_for(sub { ($t->ctl('zone'))[1] =~ /^users\s+0 of/m }, 5, 'none'),
        'who goes is not counted');
    $t->finish;
};

subtest 'values of the server itself' => sub {
    my $t = server();
    is($t->ctl_ok('values'), "\n", 'none at first');
    my $ann = liner($t, 'ann', 'lobby');
    $t->ctl_ok('set', 'chat:motd', 'Cake at four.');
    is($t->ctl_ok('get', 'chat:motd'), "Cake at four.\n", 'set, and got');
    my $late = $t->connect('lines');
    $late->write("/nick late\n/join lobby\n");
    ok($late->read_until(qr/Cake at four\./), 'who joins reads it');
    $t->ctl_ok('unset', 'chat:motd');
    $t->ctl_refused(qr/chat:motd is not set/, 'get', 'chat:motd');
    $t->finish;
};

subtest 'while nobody serves' => sub {
    my $t = server();
    $t->ctl_ok('set', 'key', 'value');
    $t->signal('WINCH');
    ok(wait_for(sub { $t->processes == 1 }, 10, 'the workers to end'),
        'the workers have drained away');
    $t->ctl_refused(qr/no worker serves at the moment/, 'publish', 'lobby',
        'hi');
    $t->ctl_refused(qr/there is no such connection/, 'kick', 256);
    like($t->ctl_ok('conns'), qr/\A[^\n]*\n\z/, 'no connection');
    like($t->ctl_ok('rooms'), qr/^room/, 'the zone is still there');
    $t->ctl_ok('set', 'key', 'other');
    is($t->ctl_ok('get', 'key'), "other\n", 'values, too');
    $t->ctl_ok('reload');
    ok($t->wait_ready(10, 2), 'workers come back');
    $t->ctl_ok('publish', 'lobby', 'hi');
    $t->finish;
};

done_testing;
