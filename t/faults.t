# What goes wrong around a server: processes that stop or die in the worst
# moment, signals by the hundred, peers that trickle, half-close or vanish.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 2s
zone_size        = 1m

[limits]
send_queue = 8m

%%LISTEN_echo%%

[listen web]
address           = 127.0.0.1:%%PORT_web%%
protocol          = http
handshake_timeout = 1s

%%ROUTE_chat%%

%%ROUTE_echo%%

%%ROUTE_page%%
INI

sub server
{
    return Test::Linnet->new(config => $config,
        files => { 'www/index.html' => "hello\n" })->start;
}

# A member of the room, and the pid of the worker it is on.
sub member
{
    my ($t, $nick) = @_;
    my %before = map { $_->{pid} => $_->{connections} } $t->workers;
    my $w = $t->websocket('web', '/chat');
    $w->send_json({ type => 'join', room => 'lobby', nick => $nick,
        id => 1 });
    $w->json_like({ type => 'joined' }) or die "$nick cannot join";
    my ($pid) = grep { $_ } map { $_->{pid} }
        grep { $_->{connections} > $before{ $_->{pid} } } $t->workers;
    return ($w, $pid);
}

subtest 'a worker sleeps while the others talk' => sub {
    my $t = server();
    my ($speaker, $here) = member($t, 'speaker');
    my ($same, $other, @all);
    for my $n (1 .. 20) {
        my ($w, $pid) = member($t, "listener$n");
        push @all, $w;
        $same //= $w if $pid == $here;
        $other //= [$w, $pid] if $pid != $here;
        last if $same && $other;
    }
    ok($same && $other, 'listeners on both workers') or return;
    my ($late, $asleep) = @$other;
    my $rss = proc_rss($t->{pid});
    kill STOP => $asleep;

    # More than the log can hold: 6,000 messages of 400 bytes.
    my $n = 6000;
    my ($acked, $heard, $last, $wrong) = (0, 0, 0, 0);
    for my $i (1 .. $n) {
        $speaker->send_json({ type => 'message', room => 'lobby',
            text => "$i " . 'x' x 400, id => $i });
        next if $i % 200;
        while ($acked < $i) {
            my $m = $speaker->json(20) or last;
            $acked++ if $m->{type} eq 'ack';
        }
        while ($heard < $i) {
            my $m = $same->json(20) or last;
            next if $m->{type} ne 'message';
            $wrong++ if $m->{seq} <= $last || $m->{text} !~ /^@{[++$heard]} /;
            $last = $m->{seq};
        }
    }
    is($acked, $n, 'all was said');
    is($heard, $n, 'who is on the other worker heard it all');
    is($wrong, 0, '... in order');
    cmp_ok(proc_rss($t->{pid}) - $rss, '<', 4_000_000,
        'the master does not keep it for the sleeper');
    is(($t->ctl('status'))[0], 0, '... and answers');

    # What is said before it has looked around may be part of the gap.
    kill CONT => $asleep;
    my ($seq, $gap, $got, $back) = (0, 0, 0, 0);
    my $end;
    for my $try (1 .. 20) {
        $speaker->send_json({ type => 'message', room => 'lobby',
            text => 'the end', id => 'end' });
        while (my $m = $late->json(0.5)) {
            next if $m->{type} !~ /^(gap|message)$/;
            $back++ if $m->{seq} <= $seq;
            $seq = $m->{seq};
            $m->{type} eq 'gap' ? $gap++ : $got++;
            $end = ($m->{text} // '') eq 'the end' and last;
        }
        last if $end;
    }
    ok($end, 'the sleeper goes on')
        or diag "$got messages, $gap gaps; closed with "
        . ($late->close_code // ($late->stream->{eof} ? 'eof' : 'nothing')),
        "\n", $t->evidence;
    is($back, 0, '... nothing twice, nothing out of order');
    ok($got > $n || $gap,
        "... and says plainly that there is a gap ($got messages, $gap gaps)");
    $t->log_like(qr/overwritten|lapped/, '... and so does the log')
        if $gap;
    is(scalar $t->workers, 2, 'both workers are there');
    $t->finish;
};

subtest 'signals by the hundred' => sub {
    my $t = server();
    my @pids = $t->worker_pids;
    for my $n (1 .. 200) {
        $t->signal(qw(HUP USR1 HUP CHLD)[$n % 4]);
        my $c = Test::Linnet::Stream->try_connect(host => '127.0.0.1',
            port => $t->port('echo'));
        ok(0, "connect: $!") unless $c;
    }
    ok(wait_for(
            sub {
                my $s = $t->status or return;
                my @w = @{ $s->{workers} };
                @w == 2 && $s->{generation} > 1
                    && !grep { $_->{state} ne 'ready' } @w;
            },
            15,
            'calm'
        ),
        'two workers of a later generation');
    ok(wait_for(sub { !grep { proc_alive($_) } @pids }, 10, 'the old'),
        'the first workers are gone');
    ok(wait_for(sub { $t->processes == 3 }, 10, 'three processes'),
        'three processes in the end');
    my $fds = fd_count($t->{pid});
    is(($t->ctl('reload'))[0], 0, 'it reloads') for 1 .. 5;
    ok(wait_for(sub { $t->processes == 3 }, 10, 'three processes'),
        '... down to three processes');
    ok(wait_for(sub { fd_count($t->{pid}) <= $fds }, 5, 'descriptors'),
        'the master has as many descriptors as before');
    my $c = $t->connect('echo');
    $c->write('x');
    is($c->read_exact(1), 'x', 'it serves');
    $t->finish;
};

subtest 'TERM in the middle of a reload' => sub {
    my $t = server();
    for my $round (1 .. 4) {
        $t->start if $round > 1;
        $t->signal('HUP');
        is($t->stop($round % 2 ? 'TERM' : 'QUIT'), 0, "round $round: exit 0");
        is(scalar $t->processes, 0, '... nothing left');
    }
    $t->finish;
};

subtest 'the master is killed in the middle of a reload' => sub {
    my $t = server();
    for my $round (1 .. 8) {
        $t->start if $round > 1;
        $t->signal('HUP');
        sleep 0.002 * $round; # another moment each time
        kill KILL => $t->{pid};
        is($t->wait_exit(5), 137, "round $round: killed");
        ok(wait_for(sub { !$t->processes }, 6, 'everybody to go'),
            '... old and new workers go');
    }
    $t->finish;
};

subtest 'heads that trickle' => sub {
    my $t = server();
    my $begin = time;
    my @slow = map { $t->connect('web') } 1 .. 100;
    my @head = split //, "GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " . 'y' x 500;
    my $quick = 0;
    my @took;
    # A byte on each of them every 100 ms; meanwhile somebody else asks.
    for my $byte (@head) {
        my $alive = 0;
        for my $s (@slow) {
            next if $s->{eof};
            $s->write($byte);
            $s->fill(0);
            $alive++ if !$s->{eof};
        }
        last if !$alive;
        last if time - $begin > 8 * time_factor();
        my $asked = time;
        my $r = $t->http_get('web', '/');
        $quick++ if $r && $r->{status} == 200;
        my $took = time - $asked;
        push @took, $took;
        select undef, undef, undef, 0.1 - $took if $took < 0.1;
    }
    my $took = time - $begin;
    is(scalar(grep { !$_->closed(1) } @slow), 0, 'each of them is cut off');
    cmp_ok($took, '<', 1 * time_factor() + 2,
        sprintf '... at the total deadline (%.1f s)', $took);
    cmp_ok($quick, '>=', 5, "$quick others were answered meanwhile");
    # The median: a busy machine has pauses of its own.
    @took = sort { $a <=> $b } @took;
    cmp_ok($took[@took / 2], '<', 0.05 * time_factor(),
        sprintf '... most of them within %.1f ms', 1000 * $took[@took / 2]);
    cmp_ok($took[-1], '<', time_factor(),
        sprintf '... all within %.1f ms', 1000 * $took[-1]);
    $t->finish;
};

subtest 'half-close' => sub {
    my $t = server();
    my $h = $t->connect('web');
    $h->write("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    $h->shutdown_write;
    my $r = $h->http_response;
    is($r->{status}, 200, 'HTTP: the request is answered') if ok($r, 'answer');
    ok($h->closed(5), '... and then the connection closed');
    $h = $t->connect('web');
    $h->write("GET / HT");
    $h->shutdown_write;
    ok($h->closed(5), 'HTTP: half a request: closed');
    my $w = $t->websocket('web', '/echo');
    $w->send_text('last words');
    $w->stream->shutdown_write;
    is($w->message, 'last words', 'WebSocket: what was said is answered');
    ok($w->stream->closed(5), '... and then the connection closed');
    my $e = $t->connect('echo');
    $e->shutdown_write;
    ok($e->closed(5), 'raw, nothing said: closed');
    ok(wait_for(sub { $t->status->{connections} == 0 }, 10, 'none'),
        'nobody is left');
    $t->finish;
};

subtest 'resets in every state' => sub {
    my $t = server();
    my @pids = $t->worker_pids;
    my $fds = fd_count($pids[0]) + fd_count($pids[1]);
    my @how = (
        sub { $t->connect('web') },
        sub { my $s = $t->connect('web'); $s->write("GET /ch"); $s },
        sub { $t->websocket('web', '/echo')->stream },
        sub { (member($t, "gone$_[0]"))[0]->stream },
        sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_frame(1, 'x' x 10, length => 20);
            $w->stream;
        },
        sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_binary('x' x 50_000) for 1 .. 3;
            $w->stream;
        },
        sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_frame(8, pack 'n', 1000);
            $w->stream;
        },
    );
    for my $n (1 .. 30) {
        $_->($n)->close(1) for @how;
    }
    ok(wait_for(sub { $t->status->{connections} == 0 }, 10, 'none'),
        'nobody is left');
    is_deeply([$t->worker_pids], \@pids, 'the same workers');
    is(fd_count($pids[0]) + fd_count($pids[1]), $fds, 'no descriptor leaked');
    my ($w) = member($t, 'after');
    $w->send_json({ type => 'who', room => 'lobby', id => 2 });
    my $who = $w->json_like({ id => 2 });
    is_deeply($who->{members}, ['after'], 'the room knows who is gone')
        or diag explain $who;
    $t->finish;
};

done_testing;
