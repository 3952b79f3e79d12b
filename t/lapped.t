# A worker that stands still for three seconds while another one's client speaks
# at full speed: it catches up when the log still has everything, else it tells
# its clients that something is missing; nobody else is slowed by it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;
use Test::Linnet::Driver;

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;

my $config = <<'INI';
[server]
workers          = 3
zone_size        = %%SIZE%%
shutdown_timeout = 3s

[limits]
send_queue   = 32m
idle_timeout = 0

%%LISTEN_web%%

%%ROUTE_chat%%

[chat]
history = 100
INI

my $t;

# A driver in that mode on a worker that is not among those given.
sub elsewhere
{
    my ($taken, @args) = @_;
    my @others;
    for (1 .. 40) {
        my $before = $t->spread;
        my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/late.js',
            'ws://127.0.0.1:' . $t->port('web') . '/chat', 'room', @args);
        $d->wait_event('joined', 30) or die $t->evidence;
        my $now = $t->spread;
        my ($pid) = grep { $now->{$_} > $before->{$_} } keys %$now;
        if ($pid && !grep { $_ == $pid } @$taken) {
            $_->finish for @others;
            return ($d, $pid);
        }
        push @others, $d;
    }
    die "no client on a worker other than @$taken";
}

# messages_in or messages_out of a worker.
sub messages
{
    my ($which, $pid) = @_;
    my ($w) = grep { $_->{pid} == $pid } $t->workers;
    return $w->{"messages_$which"};
}

# What one heard that listens on a worker that stood still, and one elsewhere.
sub stand_still
{
    my ($size, $least, @speech) = @_;
    $t = Test::Linnet->new(config => $config =~ s/%%SIZE%%/$size/r)->start;
    my ($ear, $stopped) = elsewhere([], 'listen');
    my ($other) = elsewhere([$stopped], 'listen');
    my ($speaker, $speakers) =
        elsewhere([$stopped], 'speak', 16, 60 * time_factor(), @speech);
    my $memory = proc_own($stopped);

    $speaker->say('go');
    wait_for(sub { messages('out', $stopped) > 200 }, 10, 'speech')
        or die $t->evidence;
    kill STOP => $stopped;
    my $until = time + 3;
    my $last_call = $until + 60 * time_factor();
    my $enough = messages('in', $speakers) + $least;
    my $longest = 0;
    while (time < $until
        || (time < $last_call && messages('in', $speakers) < $enough)) {
        my $begin = time;
        my $w = $t->websocket('web', '/chat');
        $w->send_json({ type => 'ping', id => 1 });
        is(($w->json // {})->{type}, 'pong', 'a newcomer is served')
            or last;
        $longest = time - $begin if time - $begin > $longest;
        $w->close;
        sleep 0.2;
    }
    kill CONT => $stopped;
    my $more = messages('in', $speakers) + 2000;
    wait_for(sub { messages('in', $speakers) > $more }, 30, 'more speech')
        or die $t->evidence;
    $speaker->say('enough');
    # As long as the one stands still nobody waits for it; a busy machine may
    # have its own pauses.
    cmp_ok($longest, '<', 2, "... after $longest s at most");
    my $spoken = $speaker->wait_event('spoken', 60) or die $t->evidence;
    my $said = $spoken->{acknowledged};
    $_->say($spoken->{seq}) for $ear, $other;
    my $one = $ear->wait_event('heard', 60) or die $t->evidence;
    my $all = $other->wait_event('heard', 60) or die $t->evidence;
    is(scalar @{ $all->{seqs} }, $said, "others heard all $said messages");
    is_deeply($all->{gaps}, [], '... without a gap');
    cmp_ok($all->{pause}, '<', 2000,
        "... nor a pause of more than $all->{pause} ms");
    cmp_ok($one->{pause}, '>', 2000, 'the one did stand still');
    # A sanitizer keeps what is freed for a while, up to 256 MiB of it.
    my $most = ($ENV{LINNET_SANITIZE} ? 320 : 64) << 20;
    cmp_ok(proc_own($stopped) - $memory, '<', $most, '... and grew little');
    is($_->{code}, 0, 'nobody was closed') for $one, $all;
    ok(proc_alive($stopped), 'and nobody ended');
    $_->finish for $ear, $other, $speaker;
    return ($one, $all);
}

sub lapped
{
    my ($out) = (run_command($t->command('ctl', 'zone')))[1];
    return $out =~ /^lapped readers: (\d+)/m ? $1 : -1;
}

subtest 'a log that is long enough' => sub {
    my ($one, $all) = stand_still('256m', 0);
    is_deeply($one->{gaps}, [], 'it tells of no gap');
    ok("@{ $one->{seqs} }" eq "@{ $all->{seqs} }", 'and has caught up');
    is(lapped(), 0, 'nobody was lapped');
    $t->finish;
};

subtest 'a log that is too short' => sub {
    # What is said meanwhile is twice what the log holds; in one second less: a
    # steady pace, so that a busy machine does not lap the others.
    my ($one, $all) = stand_still('4m', 4000, 1000, 1500);
    cmp_ok(scalar @{ $one->{gaps} }, '>=', 1, 'it tells of the gap');
    cmp_ok(scalar @{ $one->{seqs} }, '<', scalar @{ $all->{seqs} },
        'which is one');
    my %heard = map { $_ => 1 } @{ $one->{seqs} };
    my @gaps = @{ $one->{gaps} };
    my $missing = 0;
    for my $seq (reverse @{ $all->{seqs} }) {
        next if $heard{$seq};
        # Everything that is missing lies before the seq of a gap, and behind
        # it comes everything.
        my ($gap) = grep { $_ >= $seq } @gaps;
        $missing++ if !defined $gap;
    }
    is($missing, 0, 'nothing is missing but what is told');
    my $sorted = join ' ', sort { $a <=> $b } @{ $one->{seqs} };
    is(join(' ', @{ $one->{seqs} }), $sorted, 'what is heard is in order');
    my ($page, $next) = @$one{qw(page next)};
    ok($page && @$page, 'history is there when the worker has caught up');
    my %place = map { $all->{seqs}[$_] => $_ } 0 .. $#{ $all->{seqs} };
    is(($place{$next} // 0) - $place{ $page->[-1] }, 1,
        '... and went up to what came next');
    cmp_ok(lapped(), '>=', 1, 'the zone counts it');
    $t->log_like(qr/the log was overwritten before this worker had read it/,
        'and the log says so');
    $t->finish;
};

done_testing;
