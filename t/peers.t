# Peers that do worse than to leave: many slow ones, storms of resets, masses
# that come and go.  Nothing leaks, others are served meanwhile.  In the suite
# with small numbers; TEST_PEERS=10 makes them ten times larger, which is 500
# slow ones and 10,000 resets.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

my $times = $ENV{TEST_PEERS} || 1;
my $config = <<'INI';
[server]
workers = 2

[limits]
handshake_timeout = %%DEADLINE%%s

%%LISTEN_web%%

%%ROUTE_echo%%

%%ROUTE_chat%%

%%LISTEN_lines%%
INI

sub server
{
    my ($deadline) = @_;
    return Test::Linnet->new(
        config => $config =~ s/%%DEADLINE%%/$deadline/r)->start;
}

sub own_memory
{
    my $sum = 0;
    $sum += proc_own($_) // 0 for @_;
    return $sum;
}

sub descriptors
{
    my $n = 0;
    $n += fd_count($_) for @_;
    return $n;
}

sub wait_nobody
{
    my ($t) = @_;
    return ok(wait_for(sub { $t->status->{connections} == 0 }, 20, 'none'),
        'nobody is left');
}

# How long somebody is about an echo, from the connection on.
sub visit
{
    my ($t) = @_;
    my $begin = time;
    my $w = $t->websocket('web', '/echo');
    $w->send_text('quick');
    is($w->message, 'quick', 'somebody else is served') or return;
    my $took = time - $begin;
    $w->stream->close;
    return $took;
}

sub median { return (sort { $a <=> $b } @_)[@_ / 2] }

subtest 'a head at one byte a second' => sub {
    my $n = $times >= 10 ? 500 : 50 * $times;
    my $deadline = 3 * time_factor();
    my $t = server($deadline);
    # The machine has other work, too.
    my $alone = median(map { visit($t) } 1 .. 15);
    my $begin = time;
    my @slow = map { [$t->connect('web'), time] } 1 .. $n;
    my $head = "GET /echo HTTP/1.1\r\nHost: x\r\n";
    my (@cut, @took);
    for my $at (0 .. length($head) - 1) {
        my $byte = substr $head, $at, 1;
        for my $s (@slow) {
            $s->[0]->write($byte);
            $s->[0]->fill(0);
            push @cut, time - $s->[1] if $s->[0]{eof};
        }
        @slow = grep { !$_->[0]{eof} } @slow;
        last if !@slow || time - $begin > 3 * $deadline;
        # Others come while a second passes.
        my $until = $begin + $at + 1;
        while (time < $until) {
            push @took, visit($t) // last;
            sleep 0.05;
        }
    }
    is(scalar @cut, $n, "each of $n is cut off");
    my ($longest) = sort { $b <=> $a } @cut;
    cmp_ok($longest, '<', $deadline + 2 * time_factor() + 5,
        sprintf '... at the deadline for the whole (%.1f s)', $longest);
    my $typical = median(@took);
    cmp_ok($typical, '<', 0.1 * time_factor() + 5 * $alone,
        sprintf '... others were served in %.1f ms, without them in %.1f',
        1000 * $typical, 1000 * $alone);
    is($t->status->{counters}{handshake_timeouts_total}, $n, 'all counted');
    wait_nobody($t);
    $t->finish;
};

subtest 'storms of resets' => sub {
    my $n = 1000 * $times;
    my $t = server(10);
    my @pids = $t->worker_pids;
    my $big = 'x' x 30_000;
    my %how = (
        'during the handshake' => sub {
            my $s = $t->connect('web');
            $s->write("GET /chat HTTP/1.1\r\nHost: x\r\nUpgrade: webs");
            return $s;
        },
        'while sending' => sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_frame(2, $big, length => 60_000);
            return $w->stream;
        },
        'with answers under way' => sub {
            my $w = $t->websocket('web', '/echo');
            $w->send_binary($big);
            return $w->stream;
        },
        'while closing' => sub {
            my $w = $t->websocket('web', '/chat');
            $w->send_frame(8, pack 'n', 1000);
            return $w->stream;
        },
    );
    for my $name (sort keys %how) {
        my ($fds, $memory);
        # The first of each fill caches and pools.
        for my $round (1 .. 4) {
            $how{$name}->()->close('hard') for 1 .. $n / 16;
            ok(wait_for(sub { $t->status->{connections} == 0 }, 20, 'none'),
                "$name: nobody is left") or last;
            next if $round == 3;
            if ($round <= 2) {
                $fds = descriptors(@pids);
                $memory = own_memory(@pids);
                next;
            }
            is(descriptors(@pids), $fds, "$name: as many descriptors");
            # A page a connection would be lost long before this.
            cmp_ok(own_memory(@pids) - $memory, '<', $memory * 0.05 + (1 << 20),
                "$name: no more memory") unless $ENV{LINNET_SANITIZE};
        }
    }
    is_deeply([$t->worker_pids], \@pids, 'the same workers');
    $t->finish;
};

subtest 'masses that come and go' => sub {
    my $n = 1000 * $times;
    my $t = server(10);
    my @pids = $t->worker_pids;
    my (@memory, @fds);
    for my $round (1 .. 3) {
        for (1 .. $n / 100) {
            my @c = map { $t->connect($_ % 2 ? 'web' : 'lines') } 1 .. 100;
            $_->close for @c;
        }
        wait_nobody($t);
        push @memory, own_memory(@pids);
        push @fds, descriptors(@pids);
    }
    is($fds[2], $fds[0], "three times $n: as many descriptors");
    cmp_ok($memory[2] - $memory[0], '<', $memory[0] * 0.05 + (1 << 20),
        '... flat memory') unless $ENV{LINNET_SANITIZE};
    is_deeply([$t->worker_pids], \@pids, 'the same workers');
    $t->finish;
};

subtest 'half-close' => sub {
    my $t = server(10);
    my $ends = sub {
        my ($name, $s) = @_;
        my $begin = time;
        $s->shutdown_write;
        ok($s->closed(5), "$name: closed");
        cmp_ok(time - $begin, '<', 5 * time_factor(), '... within 5 s');
    };
    $ends->('a connection', $t->connect('web'));
    my $s = $t->connect('web');
    $s->write("GET /echo HTTP/1.1\r\n");
    $ends->('half a head', $s);
    my $w = $t->websocket('web', '/chat');
    $ends->('an open WebSocket', $w->stream);
    $w = $t->websocket('web', '/echo');
    $w->send_frame(1, 'x', length => 10);
    $ends->('half a frame', $w->stream);
    $w = $t->websocket('web', '/echo');
    $w->send_frame(8, pack 'n', 1000);
    $ends->('behind a close frame', $w->stream);
    $s = $t->connect('lines');
    $s->write('/join lob');
    $ends->('half a line', $s);
    wait_nobody($t);
    $t->finish;
};

done_testing;
