# Rooms as server-sent events: what comes, coming back, streams that move, who
# may listen, and clients that are slow or gone.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

sub config
{
    my ($limits, $more) = @_;
    $limits //= 'send_queue = 64m';
    return <<"INI" . ($more // '');
[server]
workers          = 2
shutdown_timeout = 10s

[limits]
$limits

[listen web]
address  = 127.0.0.1:%%PORT_web%%
protocol = http

[listen local]
address  = unix:%%UNIX_local%%
protocol = http

[listen lines]
address  = 127.0.0.1:%%PORT_lines%%
protocol = line
app      = chat
idle_timeout = 0

[route chat]
listen   = web
path     = /chat
protocol = websocket
app      = chat

[route events]
listen   = web
listen   = local
path     = /events
protocol = sse
app      = chat
retry    = 200ms

[route open]
listen   = web
path     = /open
protocol = sse
app      = chat
origin   = ^https://(www\\.)?example\\.org\$
retry    = 0

[route api]
listen  = web
path    = /api/
handler = chat_api

[route metrics]
listen  = web
path    = /metrics
handler = status

[chat]
history = 50
rooms_per_session = 4

[room lobby]
topic = Welcome
INI
}

my $JSON = JSON::PP->new->utf8->canonical;

# Says something; its seq.
sub publish
{
    my ($t, $room, $text) = @_;
    my ($exit, $out, $err) = $t->ctl('publish', $room, $text);
    diag $err if $exit;
    return $out =~ /(\d+)/ ? $1 : undef;
}

# The texts of a history, or of messages.
sub texts { return [map { $_->{text} } @_] }

my $t = Test::Linnet->new(config => config())->start;

subtest 'a room' => sub {
    publish($t, 'lobby', "before $_") for 1, 2;
    my $e = $t->events('web', '/events?room=lobby');
    is($e->headers->{'content-type'}, 'text/event-stream', 'a stream of events');
    is($e->headers->{'cache-control'}, 'no-cache', 'which is not cached');
    is($e->headers->{connection}, 'close', 'and ends with its connection');
    ok(!exists $e->headers->{'content-length'}, 'no length');
    my $j = $e->event;
    is($j->{name}, 'joined', 'first comes joined');
    my $json = $j->{json};
    is($j->{id}, "$json->{epoch}:$json->{seq}", '... with an id');
    is_deeply(texts(@{ $json->{history} }), ['before 1', 'before 2'],
        '... and the past');
    is_deeply([@$json{qw(room topic members)}], ['lobby', 'Welcome', []],
        '... and the room');
    ok(!$json->{recovered}, '... nothing was recovered');
    ok(!exists $json->{nick}, '... and nobody has a nick');
    cmp_ok($e->retry, '>=', 200, 'retry');
    cmp_ok($e->retry, '<', 300, '... and not much more');

    my $w = $t->websocket('web', '/chat');
    $w->send_json({ type => 'join', room => 'lobby', nick => 'ann', id => 1 });
    my $joined = $w->json_like({ type => 'joined' });
    is_deeply($joined->{members}, ['ann'], 'who listens is no member');
    my $p = $e->event;
    is_deeply([$p->{name}, @{ $p->{json} }{qw(event nick)}],
        [qw(presence join ann)], 'but sees members come');
    $w->send_json({ type => 'message', room => 'lobby', id => 2,
        text => "grüß\ndich \x{1f426}" });
    my $m = $e->event;
    my $same = $w->json_like({ type => 'message' });
    is($m->{name}, 'message', 'a message');
    is($JSON->encode($m->{json}), $JSON->encode($same),
        '... with what a WebSocket gets');
    is($m->{id}, "$json->{epoch}:$same->{seq}", '... its id');
    $w->send_json({ type => 'typing', room => 'lobby' });
    my $typing = $e->event;
    is($typing->{name}, 'typing', 'typing');
    ok(!exists $typing->{id}, '... has no id');
    $t->ctl('broadcast', 'to all');
    is($e->wait_event('notice')->{json}{text}, 'to all', 'a notice');
    $w->close;
    is($e->wait_event('presence')->{json}{event}, 'leave', 'ann leaves');

    my (undef, $out) = $t->ctl('conns');
    like($out, qr/^ *(\d+) .*route events .* listens to lobby$/m, 'ctl conns');
    my ($id) = $out =~ /^ *(\d+) .*route events/m;
    my (undef, $rooms) = $t->ctl('rooms');
    like($rooms, qr/lobby\s+0\b/, 'ctl rooms: no members');
    like($t->http_get('web', '/metrics')->{body},
        qr/^linnet_event_streams_total\{.*\} 1$/m, 'metrics');
    is(($t->ctl('kick', $id))[0], 0, 'kicked');
    my $close = $e->wait_event('close');
    is($close->{json}{code}, 4500, 'is told to go');
    ok(!exists $close->{id}, '... without an id');
    ok($e->closed, 'and the stream ends');
};

subtest 'several rooms' => sub {
    publish($t, $_, "in $_") for qw(a b c);
    my $e = $t->events('web',
        '/events?x=%zz&room=a&room=%62&room=a&room=c&limit=1');
    my @j = map { $e->event } 1 .. 3;
    is_deeply([map { "$_->{name} $_->{json}{room}" } @j],
        ['joined a', 'joined b', 'joined c'], 'each is joined, once');
    is_deeply([map { exists $_->{id} } @j], ['', '', 1],
        'an id has what everything was told with');
    is_deeply([map { texts(@{ $_->{json}{history} }) } @j],
        [['in a'], ['in b'], ['in c']], 'each with its past');
    my $id = $e->last_id;
    publish($t, $_, "more in $_") for qw(c a b d);
    is_deeply([map { $e->event->{json}{text} } 1 .. 3],
        ['more in c', 'more in a', 'more in b'], 'in one order');
    $e->close;
    $e = $t->events('web', '/events?room=a&room=b&room=c',
        'Last-Event-ID' => $id);
    is_deeply([map { [@{ $_->{json} }{qw(room recovered)},
            @{ texts(@{ $_->{json}{history} }) }] } map { $e->event } 1 .. 3],
        [map { [$_, JSON::PP::true, "more in $_"] } qw(a b c)],
        'one id for all of them');
};

subtest 'coming back' => sub {
    my $e = $t->events('web', '/events?room=back');
    publish($t, 'back', "one $_") for 1 .. 3;
    $e->event for 1 .. 4;
    my $id = $e->last_id;
    $e->close;
    publish($t, 'back', "two $_") for 1 .. 3;
    my @ways = (
        ['/events?room=back', 'Last-Event-ID' => $id],
        ["/events?room=back&since=$id"],
        ['/events?since=' . $id =~ s/:/%3A/r . '&room=back'],
        ['/events?room=back&since=1:1', 'Last-Event-ID' => $id],
    );
    for my $way (@ways) {
        my $j = $t->events('web', @$way)->event->{json};
        ok($j->{recovered}, "@$way: recovered");
        is_deeply(texts(@{ $j->{history} }), ['two 1', 'two 2', 'two 3'],
            '... exactly what was missed');
    }
    my ($epoch, $seq) = split /:/, $id;
    my $other = $epoch + 1;
    for my $gone ("$other:$seq", "$epoch:99999999", 'nonsense', '-1:2',
        '99999999999999999999999:1') {
        my $s = $t->events('web', '/events?room=back', 'Last-Event-ID' => $gone);
        my $gap = $s->event;
        is_deeply([$gap->{name}, $gap->{json}{room}], ['gap', 'back'],
            "$gone: a gap");
        ok(!exists $gap->{id}, '... without an id');
        my $j = $s->event->{json};
        ok(!$j->{recovered}, '... nothing recovered');
        is(@{ $j->{history} }, 6, '... but the past that others get');
    }
    publish($t, 'back', "far $_") for 1 .. 5;
    is($t->events('web', "/events?room=back&since=$id")->event->{json}
            {recovered}, JSON::PP::true, 'what limit says is for others');
};

subtest 'refusals' => sub {
    my @bad = (
        ['/events', 'no room'],
        ['/events?', 'no query'],
        ['/events?Room=lobby', 'another name'],
        ['/events?room=', 'an empty room'],
        ['/events?room', 'no value'],
        ['/events?room=lob%by', 'a bad %'],
        ['/events?room=lob%2', 'half a %'],
        ['/events?room=%ff', 'no UTF-8'],
        ['/events?room=Not+A+Room', 'a bad name'],
        ['/events?room=lobby%00', 'a NUL'],
        ['/events?room=' . 'x' x 65, 'a long name'],
        ['/events?room=' . 'x' x 5000, 'a very long name'],
        ['/events?room=lobby&since=1', 'half a since'],
        ['/events?room=lobby&since=1:x', 'a bad since'],
        ['/events?room=lobby&since=99999999999999999999:1', 'a huge since'],
        ['/events?room=lobby&limit=-1', 'a bad limit'],
        ['/events?' . join('&', map { "room=r$_" } 1 .. 5),
            'more than rooms_per_session'],
        ['/events?' . join('&', map { "room=r$_" } 1 .. 40), 'very many rooms'],
    );
    for my $row (@bad) {
        my $r = $t->http_get('web', $row->[0]);
        is($r->{status}, 400, "$row->[1]: 400") or diag $r->{body};
    }
    my $r = $t->http_get('web', '/events?room=X', Accept => 'application/json');
    is($JSON->decode($r->{body})->{error}{code}, 'bad_request',
        'as JSON for those who want it');
    for my $method (qw(HEAD POST PUT DELETE PATCH)) {
        my $s = $t->connect('web');
        $s->write("$method /events?room=lobby HTTP/1.1\r\nHost: x\r\n"
                . "Connection: close\r\n\r\n");
        my $r = $s->http_response(head => $method eq 'HEAD');
        is("$r->{status} $r->{headers}{allow}", '405 GET, OPTIONS', $method);
    }
    my $s = $t->connect('web');
    $s->write("GET /events?room=lobby HTTP/1.1\r\nHost: x\r\n"
            . "Content-Length: 1\r\n\r\nx");
    is($s->http_response->{status}, 413, 'a body');
    $s = $t->connect('web');
    $s->write("GET /events?room=lobby HTTP/1.0\r\n\r\n");
    like($s->read_until("\n\n") // '', qr{^HTTP/1\.1 200 }, 'HTTP/1.0 will do');
    $s->write("GET / HTTP/1.1\r\n" x 1000);
    publish($t, 'lobby', 'still there');
    ok($s->read_until('still there'), 'what comes behind is not looked at');
    $s->close;
    my (undef, $out);
    ok(wait_for(sub { (undef, $out) = $t->ctl('conns');
        $out !~ /listens to/ }, 10, 'nobody to listen'), 'who is gone is gone');
};

subtest 'pages of other hosts' => sub {
    my $get = sub {
        my ($path, $origin, $method) = @_;
        my $s = $t->connect('web');
        $s->write(($method // 'GET') . " $path?room=lobby HTTP/1.1\r\n"
                . "Host: here.example\r\nOrigin: $origin\r\n\r\n");
        my $head = $s->read_until("\r\n\r\n");
        return ($head =~ m{^HTTP/1\.1 (\d+)}, $head);
    };
    my ($status, $head) = $get->('/open', 'https://www.example.org');
    is($status, 200, 'one that may');
    like($head, qr{^Access-Control-Allow-Origin: https://www\.example\.org\r}m,
        '... is told so');
    like($head, qr/^Vary: Origin\r/m, '... and caches, too');
    ($status, $head) = $get->('/open', 'https://www.example.org.evil.example');
    is($status, 403, 'one that may not');
    unlike($head, qr/Access-Control/, '... is told nothing else');
    is(($get->('/events', 'http://elsewhere.example'))[0], 403,
        'without patterns no other host');
    is(($get->('/events', 'http://here.example'))[0], 200, '... but the same');
    ($status, $head) = $get->('/open', 'https://example.org', 'OPTIONS');
    is($status, 204, 'what a script asks first');
    like($head, qr/^Access-Control-Allow-Headers: Last-Event-ID/m,
        '... with the header it may send');
    like($head, qr/^Access-Control-Allow-Methods: GET\r/m, '... and GET');
    is(($get->('/open', 'https://evil.example', 'OPTIONS'))[0], 403,
        '... if it may at all');
};

subtest 'what -t says' => sub {
    $t->write_config(config() . "[listen x]\naddress = %%PORT_x%%\n"
            . "protocol = sse\napp = chat\n");
    my ($exit, $out, $err) = $t->run('-t');
    is($exit, 78, 'protocol = sse of a listener is refused');
    like($err, qr/server\.ini:\d+: a stream of events begins as a request/,
        '... and why');
    $t->write_config(config() . "[route x]\nlisten = web\npath = /x\n"
            . "protocol = sse\napp = echo\n");
    ($exit, $out, $err) = $t->run('-t');
    is($exit, 78, 'and so is app = echo');
    like($err, qr/server\.ini:\d+: \[route x\]: app echo has nothing that/,
        '... and why');
    $t->write_config(config());
};

# Somebody who speaks without a pause, in a process of his own, until stopped;
# then how much he said.
sub start_speaker
{
    my ($room) = @_;
    pipe my $stop_r, my $stop_w or die "pipe: $!";
    pipe my $told_r, my $told_w or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $stop_w;
        close $told_r;
        my $c = $t->connect('lines');
        $c->write("/join $room speaker\n");
        my $n = 0;
        my $bits = '';
        vec($bits, fileno $stop_r, 1) = 1;
        while (!select my $ready = $bits, undef, undef, 0.001) {
            $n++;
            $c->write("$n\n") && $c->read_until(qr/^<speaker> $n\n/m, 60)
                or last;
        }
        syswrite $told_w, "$n\n";
        POSIX::_exit(0);
    }
    close $stop_r;
    close $told_w;
    return { pid => $pid, stop => $stop_w, told => $told_r };
}

sub stop_speaker
{
    my ($s) = @_;
    close $s->{stop};
    my $n = readline $s->{told};
    waitpid $s->{pid}, 0;
    return 0 + $n;
}

# The messages of a stream up to that number, and how often it broke.
sub hear
{
    my ($e, $last) = @_;
    my @heard;
    while (!@heard || $heard[-1] < $last) {
        my $m = $e->wait_event('message', {}, 30) or last;
        push @heard, $m->{json}{text};
    }
    return @heard;
}

subtest 'streams move' => sub {
    my @streams = map { $t->events('web', '/events?room=move') } 1 .. 8;
    push @streams, map { $t->events('web', '/open?room=move&room=still') } 1, 2;
    my $speaker = start_speaker('move');
    $_->wait_event('message') for @streams;
    is(($t->reload)[0], 0, 'a reload');
    is(($t->ctl('workers', 3))[0], 0, 'three workers');
    is(($t->ctl('upgrade'))[0], 0, 'a new binary');
    is(($t->ctl('workers', 1))[0], 0, 'one worker');
    is(($t->reload)[0], 0, 'and another reload');
    my $n = stop_speaker($speaker);
    cmp_ok($n, '>', 10, "$n messages meanwhile");
    my $good = 0;
    for my $e (@streams) {
        my @heard = (1, hear($e, $n));
        $good++ if "@heard" eq join ' ', 1 .. $n;
    }
    is($good, @streams, 'every stream has all of them, once and in order');
    cmp_ok($t->metric('moved_in_total'), '>=', 10, 'they moved');
    is($t->metric('event_streams_total') > 0, '', 'and none was opened anew');
    my ($epoch) = split /:/, $streams[0]->last_id;
    my $j = $t->events('web', '/events?room=move',
        'Last-Event-ID' => $streams[0]->last_id)->event->{json};
    ok($j->{recovered}, 'an id from before goes on');
    is_deeply($j->{history}, [], '... where it was');
};

subtest 'a worker dies' => sub {
    is(($t->ctl('workers', 2))[0], 0, 'two workers');
    $t->allow_alert(qr/signal 9/);
    my $e = $t->events('web', '/events?room=crash');
    publish($t, 'crash', $_) for 1 .. 3;
    my @heard = hear($e, 3);
    my (undef, $out) = $t->ctl('conns');
    my ($slot) = $out =~ /^ *\d+ +(\d+) .*listens to crash$/m;
    my ($worker) = grep { $_->{slot} == $slot } $t->workers;
    kill KILL => $worker->{pid};
    ok($e->closed, 'the stream breaks');
    publish($t, 'crash', $_) for 4 .. 6;
    $e = $t->events('web', '/events?room=crash',
        'Last-Event-ID' => $e->last_id);
    my $j = $e->event->{json};
    ok($j->{recovered}, 'recovered');
    push @heard, @{ texts(@{ $j->{history} }) };
    publish($t, 'crash', $_) for 7, 8;
    push @heard, hear($e, 8);
    is("@heard", '1 2 3 4 5 6 7 8', 'all of them, once and in order');
    ok(wait_for(sub { scalar(my @w = $t->workers) == 2 }, 20, 'two workers'),
        'another worker is there');
};

subtest 'a route that goes' => sub {
    my $e = $t->events('web', '/events?room=lobby');
    $e->event;
    is(($t->reload(config() =~ s/^\[route events\].*?\n\n//msr))[0], 0,
        'a reload without it');
    my $close = $e->wait_event('close');
    is($close->{json}{code}, 1001, 'is told');
    ok($e->closed, 'and the stream ends');
    is(($t->reload(config()))[0], 0, 'it is back');
};

$t->finish;

# Says so many large things on a connection of its own.
sub flood
{
    my ($s, $n) = @_;
    my $body = $JSON->encode({ room => 'flood', text => 'x' x 4000 });
    for (1 .. $n) {
        $s->write("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
                . "Content-Type: application/json\r\n"
                . 'Content-Length: ' . length($body) . "\r\n\r\n$body");
        $s->http_response or return;
    }
    return 1;
}

subtest 'who is silent, and who is gone' => sub {
    my $t = Test::Linnet->new(config => config(
        "ping_interval = 200ms\nidle_timeout = 1s\nsend_queue = 64m"))->start;
    my $e = $t->events('web', '/events?room=lobby');
    $e->event;
    my $begin = time;
    while (time - $begin < 2.5) {
        $e->wait_comment or last;
    }
    cmp_ok($e->comments, '>', 5, 'comments keep it alive');
    publish($t, 'lobby', 'hello');
    is($e->event->{json}{text}, 'hello', '... beyond idle_timeout');

    # One that reads nothing: what cannot be sent does not move.  The kernel or
    # we give it up, whoever sees it first.
    my $gone = Test::Linnet::Events->connect(path => '/events?room=flood',
        stream => $t->connect('web', rcvbuf => 4096));
    my $s = $t->connect('web');
    like(($t->ctl('conns'))[1], qr/listens to flood$/m, 'one that takes none');
    ok(wait_for(sub {
        flood($s, 10);
        return ($t->ctl('conns'))[1] !~ /listens to flood$/m;
    }, 60, 'gone'), '... is given up');
    $e->close;
    $t->finish;
};

# Nobody is closed for what he is told at once, however much there is.
subtest 'several rooms with much to tell' => sub {
    my $t = Test::Linnet->new(config => config('send_queue = 64k'))->start;
    my @rooms = qw(a b c d);
    for my $room (@rooms) {
        publish($t, $room, "$room $_ " . 'x' x 3000) for 1 .. 20;
    }
    my $e = $t->events('web', '/events?' . join '&', map { "room=$_" } @rooms);
    my @joined = map { $e->event // () } @rooms;
    is_deeply([map { $_->{json}{room} } @joined], \@rooms, 'each is joined');
    for my $j (@joined) {
        my $room = $j->{json}{room};
        like($j->{json}{history}[-1]{text}, qr/^$room 20 /,
            "$room: with the last that was said");
    }
    publish($t, $_, "more in $_") for @rooms;
    is_deeply([map { ($e->event // {})->{json}{text} } @rooms],
        [map { "more in $_" } @rooms], 'and goes on');
    $t->finish;
};

subtest 'a reader that is slow, and reads' => sub {
    my $idle = 4 * time_factor();
    my $t = Test::Linnet->new(config => config(
        "ping_interval = 200ms\nidle_timeout = ${idle}s\nsend_queue = 64m"))->start;
    # What it reads is less than waits; over a unix socket the kernel has little.
    my $c = $t->connect('unix:local');
    $c->write("GET /events?room=flood HTTP/1.1\r\nHost: x\r\n\r\n");
    ok($c->read_until(qr/^event: joined$/m), 'listens');
    flood($t->connect('web'), 1000);
    my ($begin, $got) = (time, 0);
    while ((my $since = time - $begin) < 1.8 * $idle) {
        while ($got < $since * 1_000_000 / $idle) {
            $got += sysread($c->handle, my $piece, 16384) || last;
        }
        sleep 0.02;
    }
    publish($t, 'flood', 'the end');
    ok($c->read_until('the end', 60), 'gets everything');
    is($t->metric('idle_timeouts_total'), 0, 'and is not taken for gone');
    $t->finish;
};

subtest 'readers that are too slow' => sub {
    for my $policy (qw(close drop)) {
        my $t = Test::Linnet->new(config => config("send_queue = 64k\n"
            . "send_queue_policy = $policy"))->start;
        my $name = $policy eq 'close' ? 'slow_readers_closed_total'
                                      : 'slow_messages_dropped_total';
        my $e = Test::Linnet::Events->connect(path => '/events?room=flood',
            stream => $t->connect('web', rcvbuf => 4096));
        my $s = $t->connect('web');
        ok(wait_for(sub {
            flood($s, 50);
            return $t->metric($name) > 0;
        }, 30, $name), "$policy: $name");
        # What the last answer was has been sent, but maybe not yet counted.
        ok(wait_for(sub { $t->metric('send_queue_bytes') <= 64 * 1024 }, 5,
            'no more than send_queue'), '... no more than that waits');
        if ($policy eq 'close') {
            ok($e->closed(20), '... closed');
        } else {
            ok($e->wait_event('message'), '... it goes on when it reads');
        }
        $t->finish;
    }
};

done_testing;
