# Sessions without a connection: polled over connections that come to any
# worker, they get every message once and in order, whatever becomes of
# workers; and they are bounded.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use POSIX ();
use Errno ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

sub server
{
    my ($workers, $limits, %o) = @_;
    return Test::Linnet->new(config => <<"INI", %o)->start;
[server]
workers          = $workers
shutdown_timeout = 10s
load_module      = %%MODULE_poll%%

[limits]
handshake_timeout = 0
$limits

[listen poll]
address  = 127.0.0.1:%%PORT_poll%%
protocol = poll
app      = chat

[listen lines]
address  = 127.0.0.1:%%PORT_lines%%
protocol = line
app      = chat
INI
}

sub says
{
    my ($c, $command, $timeout) = @_;
    $c->write("$command\n") or return 'gone';
    return $c->line($timeout // 30) // 'no answer';
}

# One poll: the events in it; or what was said instead.
sub take_poll
{
    my ($c, $timeout) = @_;
    my $got = $c->line($timeout // 30) // return 'no answer';
    my ($n) = $got =~ /^got (\d+)$/ or return $got;
    return [ map { JSON::PP::decode_json($c->line(30) // '{}') } 1 .. $n ];
}

sub poll
{
    my ($c, $sid, $timeout) = @_;
    $c->write("poll $sid\n") or return 'gone';
    return take_poll($c, $timeout);
}

# {sid, c, next}: in the room, and what came before is read.
sub client
{
    my ($t, $nick) = @_;
    my $c = $t->connect('poll');
    my ($sid) = says($c, 'open') =~ /^sid (\S+)$/ or return;
    my $k = { t => $t, c => $c, sid => $sid, next => 0, nick => $nick };
    return unless says($c, qq(send $sid {"type":"join","room":"r",)
            . qq("nick":"$nick"})) eq 'ok';
    return $k;
}

# Reads on until the message with that number; whether all came once and in
# order.  Polls come over a new connection now and then, to any worker.
sub read_to
{
    my ($k, $last) = @_;
    while ($k->{next} <= $last) {
        $k->{c} = $k->{t}->connect('poll') if rand() < 0.3 || $k->{c}{eof};
        my $got = poll($k->{c}, $k->{sid});
        return "$k->{nick}: $got" unless ref $got;
        for my $e (@$got) {
            next if ($e->{type} // '') ne 'message';
            return "$k->{nick}: $e->{text} instead of $k->{next}"
                if $e->{text} ne $k->{next};
            $k->{next}++;
        }
    }
    return '';
}

# Somebody with a connection who talks.
sub talker
{
    my ($t) = @_;
    my $c = $t->connect('lines');
    $c->write("/nick talker\n/join r\n");
    $c->line(10);
    return $c;
}

sub sessions
{
    my ($t) = @_;
    my $n = 0;
    $n += $_->{detached} for @{ ($t->status // {})->{workers} // [] };
    return $n;
}

subtest 'one client' => sub {
    my $t = server(1, '');
    my $c = $t->connect('poll');
    my ($sid) = says($c, 'open') =~ /^sid (\S+)$/;
    ok($sid, 'a session begins');
    is(says($c, qq(send $sid {"type":"join","room":"r","nick":"ann"})), 'ok',
        'it says something');
    my $got = poll($c, $sid);
    ok(ref $got && grep({ $_->{type} eq 'joined' } @$got), 'it is answered')
        or diag explain $got;
    my $b = $t->connect('lines');
    $b->write("/nick bob\n/join r\n");
    $c->write("poll $sid\n");
    $got = take_poll($c);
    ok(ref $got && $got->[0]{type}, 'a poll that waits is answered');
    $b->write("one\ntwo\nthree\n");
    wait_for(sub { ($t->ctl('conns'))[1] =~ /\(127\.0\.0\.1:\d+\).*ann/ }, 10,
        'ctl conns');
    like(($t->ctl('conns'))[1], qr/\(127\.0\.0\.1:\d+\) .* ann in r/,
        'ctl conns shows it with its last address');
    my @texts;
    while (@texts < 3) {
        $got = poll($c, $sid);
        last unless ref $got;
        push @texts, map { $_->{text} } grep { $_->{type} eq 'message' } @$got;
    }
    is("@texts", 'one two three', 'what was said between two polls');
    is(sessions($t), 1, 'counted');
    is($t->status->{connections}, 2, 'and not among connections');
    $c->write("poll $sid\n");
    my ($id) = ($t->ctl('conns'))[1] =~ /^ *(\d+) .* ann in r/m;
    is(($t->ctl('kick', $id))[0], 0, 'it is kicked');
    is($c->line(10), "unknown $sid", 'which the one who polls hears');
    is(says($c, "poll $sid"), "unknown $sid", 'and the next');
    is(sessions($t), 0, 'it is gone');
    is(says($c, 'poll nobody'), 'unknown nobody', 'one that never was');
    is($t->stop, 0, 'stops');
    $t->finish;
};

subtest 'bounds' => sub {
    my $t = server(1, "detached = 5\ndetached_per_ip = 3\n"
        . "detached_timeout = 2s\nsend_queue = 4k\n");
    my $c = $t->connect('poll');
    my @sid;
    push @sid, (says($c, 'open') =~ /^sid (\S+)$/)[0] for 1 .. 3;
    is(scalar(grep { $_ } @sid), 3, 'three of one address');
    is(says($c, 'open'), 'no ' . &Errno::EUSERS, 'no fourth');
    my @polls;
    for my $sid (@sid) {
        push @polls, my $p = $t->connect('poll');
        $p->write("poll $sid\n");
    }
    # Those that are polled do not count.
    wait_for(sub { push @sid, says($c, 'open') =~ /^sid (\S+)$/; @sid == 5 },
        10, 'two more');
    is(scalar @sid, 5, 'when these are polled there may be more');
    is(says($c, 'open'), 'no ' . &Errno::EAGAIN, 'up to what a worker has');
    wait_for(sub { sessions($t) == 3 }, 20, 'they expire');
    is(sessions($t), 3, 'those that nobody polls end');
    is(says($c, "poll $sid[4]"), "unknown $sid[4]", 'and are not known');
    my $n = $t->status->{counters};
    is($n->{detached_total}, 5, 'counted: begun');
    cmp_ok($n->{detached_refused_total}, '>=', 2, 'refused') or diag explain $n;
    is($n->{detached_expired_total}, 2, 'expired');
    $_->close for @polls;
    wait_for(sub { sessions($t) == 0 }, 20, 'all expire');
    is(sessions($t), 0, 'whoever went without a word is missed, too');

    my $k = client($t, 'ann');
    my $talker = talker($t);
    $talker->write('x' x 500 . "\n") for 1 .. 30;
    wait_for(sub { sessions($t) == 0 }, 10, 'too much is queued');
    is(says($c, "poll $k->{sid}"), "unknown $k->{sid}", 'too much: it ends');
    is($t->status->{counters}{slow_readers_closed_total}, 1, 'counted');
    is($t->stop, 0, 'stops');
    $t->finish;
};

# As behind a proxy: what each costs does not grow with how many there are.
subtest 'many of one address' => sub {
    my $n = 60_000;
    my $t = server(1, "detached_per_ip = 0\nsend_queue = 4m");
    my $c = $t->connect('poll');
    my $said = 0;
    for (1 .. $n / 1000) {
        $c->write("open\n" x 1000);
        $said += ($c->line(30) // '') =~ /^sid / for 1 .. 1000;
    }
    is($said, $n, 'they begin');
    is(sessions($t), $n, 'and are there');
    is(($t->ctl('stop'))[0], 0, 'the server is to end at once');
    $t->wait_exit(20);
    unlike($t->log_text, qr/did not end in time/, 'its worker has done so');
    $t->finish;
};

subtest 'what is too much is dropped' => sub {
    my $t = server(1, "send_queue = 4k\nsend_queue_policy = drop\n");
    my $k = client($t, 'ann');
    my $talker = talker($t);
    $talker->write('x' x 500 . "\n") for 1 .. 30;
    wait_for(sub { $t->status->{counters}{slow_messages_dropped_total} > 10 },
        10, 'dropped');
    my $got = poll($k->{c}, $k->{sid});
    cmp_ok(scalar @$got, '>=', 2, 'what fits is there');
    is(sessions($t), 1, 'and so is the session');
    is($t->stop, 0, 'stops');
    $t->finish;
};

# Everybody reads everything while something happens.
sub all_read
{
    my ($t, $talker, $k, $said, $what, $do) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $pid = fork // die $!;
    if (!$pid) {
        open STDOUT, '>', '/dev/null';
        open STDERR, '>', '/dev/null';
        $do->();
        POSIX::_exit(0);
    }
    my @wrong;
    my $end = time + 60 * time_factor();
    my $over = 0;
    for (my $calm = 0; time < $end && $calm < 2 && !@wrong; $calm += $over) {
        $talker->write($$said++ . "\n") for 1 .. 5;
        for my $one (@$k) {
            my $wrong = read_to($one, $$said - 1);
            push @wrong, $wrong if $wrong;
        }
        $over ||= waitpid($pid, POSIX::WNOHANG()) == $pid;
    }
    waitpid $pid, 0 unless $over;
    is_deeply(\@wrong, [], "$what: everybody gets everything once, in order");
    is(sessions($t), scalar @$k, '... and nobody is lost');
    return;
}

subtest 'workers come and go' => sub {
    my $t = server(3, '', copy_binary => 1);
    my $talker = talker($t);
    my @k = map { client($t, "n$_") } 1 .. 20;
    is(scalar @k, 20, 'twenty poll');
    my $said = 0;
    all_read($t, $talker, \@k, \$said, 'nothing happens', sub { });
    all_read($t, $talker, \@k, \$said, "drain of worker $_",
        sub { $t->ctl('drain', $_) })
        for 0 .. 2;
    all_read($t, $talker, \@k, \$said, "reload $_", sub { $t->ctl('reload') })
        for 1 .. 3;
    my $old = $t->status->{pid};
    all_read($t, $talker, \@k, \$said, 'upgrade', sub { $t->ctl('upgrade') });
    wait_for(sub { $t->reap; ($t->status // {})->{pid} // $old != $old }, 20,
        'upgraded');
    all_read($t, $talker, \@k, \$said, 'after that', sub { });
    isnt($t->status->{pid}, $old, 'there is a new master');
    is($t->stop, 0, 'stops');
    $t->finish;
};

done_testing;
