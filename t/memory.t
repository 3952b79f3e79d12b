# Memory ends: at the n-th allocation of any process, and for real.  Whoever
# has none ends and says so; the others serve on, another one takes its place,
# and nothing hangs or is left over.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
zone_size        = 1m
shutdown_timeout = 2s

[limits]
message_size = %%SIZE%%

%%LISTEN_echo%%

%%LISTEN_web%%

%%ROUTE_chat%%

[route status]
listen  = web
path    = /status
handler = status
INI

sub server
{
    my ($size, %o) = @_;
    my $t = Test::Linnet->new(config => $config =~ s/%%SIZE%%/$size/r,
        ulimit => [@{ $o{ulimit} // [] }, 'c 0'], env => $o{env});
    $t->allow_alert(qr/out of memory: \d+ bytes wanted; this process ends/);
    $t->allow_alert(qr/\bworker \d.*signal 6|SIGABRT/);
    return $t;
}

# What workers are used for; what of it fails does not matter here.
sub use_workers
{
    my ($t, $round) = @_;
    my @chatting;
    for my $n (1 .. 10) {
        last if $t->evidence =~ /out of memory/;
        my $w = eval { $t->websocket('web', '/chat') } or next;
        for my $message ({ type => 'join', room => 'r', nick => "n$n.$round" },
            { type => 'message', room => 'r', text => 'hello' },
            { type => 'who', room => 'r' }) {
            eval { $w->send_json($message); $w->json(1) } or last;
        }
        push @chatting, $w;
    }
    $t->echoes('echo', 2);
    eval { $t->http_get('web', '/status') };
    $_->close for @chatting;
    return;
}

sub use_master
{
    my ($t, $round) = @_;
    $t->ctl(@$_) for ['status'], ['conns'], ['set', 'key', $round],
        ['reload'];
    return;
}

# What became of a server in which the n-th allocation fails.
sub fate
{
    my ($n) = @_;
    my $t = server('64k', env => { LINNET_TEST_FAIL_MALLOC => $n });
    $t->spawn;
    my $master = $t->{pid};
    my $fate = wait_for(
        sub {
            # Not by asking the master, which would take memory.
            my $log = slurp($t->log_path);
            my $ends = () = $log =~ /out of memory/g;
            defined $t->reap                 ? 'did not start'
                : $log =~ /serves, generation 1/ ? 'serves'
                : $ends > 2                      ? 'tries on'
                :                                  '';
        }, 20, "a start without allocation $n"
    ) || 'hangs';
    if ($fate eq 'serves') {
        for my $round (1 .. 6) {
            $round < 4 ? use_workers($t, $round) : use_master($t, $round);
            last if defined $t->reap;
        }
        $fate =
              defined $t->reap                     ? 'the master ended'
            : $t->evidence =~ /out of memory/      ? 'a worker ended'
            :                                        'never noticed';
        if ($fate eq 'a worker ended') {
            # Its successor needs memory of the master, whose own n-th
            # allocation may be near by now.
            my $then = wait_for(
                sub {
                    defined $t->reap ? 'the master ended'
                        : $t->echoes('echo', 2) ? $fate
                        :              '';
                }, 10, 'an echo, or the end of the master');
            ok($then, "$n: ... and others serve, or the master ends, too");
            $fate = $then || 'nobody serves';
        }
    }
    if (!defined $t->reap) {
        my $exit = $t->stop('TERM', 10);
        # To stop takes memory, too.
        $fate = 'the master ended'
            if $exit && slurp($t->log_path) =~ /\b$master#\S+ out of memory/;
        is($exit, 0, "$n: $fate; TERM ends it") if $fate ne 'the master ended';
    }
    if ($fate =~ /did not start|master ended/) {
        isnt($t->reap, 0, "$n: $fate");
        like($t->evidence, qr/out of memory/, '... and it is said why');
        ok(wait_for(sub { !$t->processes }, 10, 'the end of all'),
            '... no process is left');
    }
    $t->finish("$n: nothing is left over");
    return $fate;
}

SKIP: {
    skip 'allocations fail on request only in builds with --with-debug', 1
        if ($ENV{LINNET_DEBUG} // 'yes') ne 'yes';
    subtest 'the n-th allocation fails' => sub {
        my ($n, %seen) = (1);
        for my $step (1 .. 30) {
            my $fate = fate($n);
            $seen{$fate}++;
            last if $fate eq 'never noticed';
            $n = $n < 4 ? $n + 1 : $n * 2;
        }
        note join ', ', map { "$seen{$_} $_" } sort keys %seen;
        ok($seen{$_}, "$_: seen") for 'did not start', 'never noticed';
        # One that dies takes the count to its successor, and the master needs
        # memory to start that.
        ok($seen{'a worker ended'} || $seen{'the master ended'},
            'one that ends at work: seen');
    };
}

subtest 'no memory is left' => sub {
    plan skip_all => 'a sanitizer needs all the address space there is'
        if $ENV{LINNET_SANITIZE};
    my $t = server('32m', ulimit => ['v 131072'])->start;
    my @pids = sort $t->worker_pids;
    my @greedy;
    # Messages that never end, until a worker cannot keep what there is of
    # them.
    my $head = pack('CCQ>N', 0x82, 0xff, 30 << 20, 0);
    my $piece = "\0" x 65536;
    my $fewer = wait_for(
        sub {
            if (@greedy < 40) {
                my $w = eval { $t->websocket('web', '/chat') };
                push @greedy, $w if $w && $w->stream->write($head);
            }
            for my $w (@greedy) {
                my $n = 0;
                1 while $n++ < 64
                    && defined syswrite $w->stream->handle, $piece; # EAGAIN
            }
            grep { !proc_alive($_) } @pids;
        }, 60, 'a worker without memory');
    ok($fewer, 'a worker runs out of memory');
    $t->log_like(qr/out of memory/, 'and says so');
    $_->stream->close for @greedy;
    ok($t->wait_ready(15, 2), 'another one takes its place');
    ok($t->echoes('echo', 2), 'and clients are served');
    is($t->master_pid, $t->{pid}, 'the master lives');
    $t->finish;
};

done_testing;
