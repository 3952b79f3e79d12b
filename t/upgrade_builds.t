# Upgrades and downgrades between releases that really differ: counters, fields
# of what lies in the zone, capacities, what sessions take along.  Clients are
# connected all along and talk: nobody is disconnected, nothing is lost or
# doubled, history is whole.  What differs is in Test::Linnet::Builds.

use strict;
use warnings;

use File::Temp ();
use FindBin;
use JSON::PP ();
use List::Util qw(min);
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Chat qw(ask);
use Test::Linnet::Builds;
use Test::Linnet::Driver;
use Test::Linnet::Variant;

use constant {
    WORKERS => 3,
    CLIENTS => 40,    # members of rooms
    ROOMS   => 4,
    LISTENERS => 3,   # to each of two further rooms
    PERSONS => 2,     # ann, who is a program, and carol
    RATE    => 100,   # messages a second by either
    FEW     => 20,    # messages an upgrade in a room that keeps them all
    HISTORY => 120,
    PAUSE   => 5,     # ms between two connections that move
    SOON    => 0.25,  # s, for a message to come while nothing else happens
    DEPTH   => 4,     # steps into a change at which a process is killed
};

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;
chdir "$FindBin::Bin/.." or die "chdir: $!";
$why = Test::Linnet::Variant->missing;
plan skip_all => $why if $why;

my $folder = File::Temp::tempdir(CLEANUP => 1);
my %binary = (
    bare => Test::Linnet::Builds::bare($folder),
    older => Test::Linnet::Builds::older($folder),
    newer => Test::Linnet::Builds::newer($folder),
);
my %version = (
    bare => Test::Linnet::Builds::BARE,
    older => Test::Linnet::Builds::OLDER,
    newer => Test::Linnet::Builds::NEWER,
);
my $can_stop = slurp($binary{older}) =~ /LINNET_TEST_ZONE_STOP\0/;

my $config = <<"INI";
[server]
workers          = @{[WORKERS]}
user             = @{[getpwuid($>) // ""]}
shutdown_timeout = 5m
lock_timeout     = 60s
rebalance        = off

[limits]
ping_interval = 0

%%LISTEN_web%%

[http]
body_timeout = 5m

%%LISTEN_lines%%

%%ROUTE_chat%%

%%ROUTE_events%%

[route api]
listen  = web
path    = /api/
handler = chat_api

[route metrics]
listen  = web
path    = /metrics
handler = status

[chat]
history = @{[HISTORY]}
INI

my $JSON = JSON::PP->new->utf8;

# ---- the clients of a journey --------------------------------------------

# A server of that build, and everybody connected to it.
sub depart
{
    my ($build) = @_;
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
        binary => $binary{$build});
    # For builds with --with-debug.
    $t->{env}{LINNET_TEST_ZONE_STOP} = $t->path('run/stop');
    $t->{env}{LINNET_TEST_MOVE_PAUSE} = PAUSE;
    $t->start;
    is($t->status->{version}, $version{$build}, "a server of the $build build");
    my $web = '127.0.0.1:' . $t->port('web');
    my %j = (t => $t, build => $build, round => 0, heard => '');
    $j{crowd} = Test::Linnet::Driver->start(repo_top() . '/t/node/moving.js',
        "ws://$web/chat", CLIENTS, ROOMS, RATE, 'room');
    ok($j{crowd}->wait_event('joined', 60), CLIENTS . ' clients join');
    $j{programs} = Test::Linnet::Driver->start(
        repo_top() . '/t/node/publishing.js', "http://$web", LISTENERS, RATE,
        FEW, 'wire');
    ok($j{programs}->wait_event('joined', 60), 'programs listen');
    $j{ann} = $t->websocket('web', '/chat');
    ask($j{ann}, type => 'join', room => 'hall', nick => 'ann');
    $j{carol} = $t->connect('lines');
    $j{carol}->write("/join wire-few carol\n");
    ok($j{carol}->read_until(qr/carol/), 'a person is in a room');
    look(\%j);
    return \%j;
}

# What carol reads, until it matches.
sub carol_reads
{
    my ($j, $re) = @_;
    my $text = $j->{carol}->read_until($re) // return;
    $j->{heard} .= $text;
    return 1;
}

# The worker of a client, by its port.
sub slot_of
{
    my ($conns, $stream) = @_;
    my ($port) = Socket::sockaddr_in(getsockname $stream->handle);
    my ($slot) = $conns =~ /^\s*\d+\s+(\d+)\s.*[:.]$port\b/m;
    return $slot // die "no port $port in $conns";
}

# Both builds check the whole zone when they are asked for metrics.  What they
# have counted never goes back, whichever build has counted it.
sub look
{
    my ($j) = @_;
    my $body = $j->{t}->http_get('web', '/metrics')->{body};
    my %now = ($body =~ /^linnet_(\w+) (\d+)$/mg,
        %{ $j->{t}->status->{counters} });
    unlike($body, qr/null/, '... no metric without a name');
    my @back = grep { /_total$/ && ($j->{counted}{$_} // 0) > $now{$_} }
        sort keys %now;
    is_deeply(\@back, [], '... no counter has gone back');
    is(exists $now{spoken_total}, $j->{build} eq 'newer',
        '... the newer build, and it alone, has a new one');
    $j->{counted} = { %{ $j->{counted} // {} }, %now };
    return \%now;
}

# ---- one upgrade ---------------------------------------------------------

# A request that an old worker has read half of stays there and keeps it alive:
# processes of both builds use the zone meanwhile.
sub half_a_request
{
    my ($j) = @_;
    my $body = $JSON->encode({ room => 'hall', from => 'program',
        text => "half $j->{round}" });
    my $s = $j->{t}->connect('web');
    $s->write("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
            . "Content-Type: application/json\r\nExpect: 100-continue\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n");
    ok($s->read_until("100 Continue\r\n\r\n"), 'a request is half there');
    return sub {
        $s->write($body);
        my $r = $s->http_response // {};
        is($r->{status}, 200, '... the old worker takes the other half');
        ok($j->{ann}->json_like({ type => 'message', room => 'hall',
                text => "half $j->{round}" }),
            '... and a client of the new ones hears it');
    };
}

# A new worker dies in the middle of a change, of which nobody sees anything
# but its clients.  Tells how many these were.
sub kill_one
{
    my ($j) = @_;
    my $t = $j->{t};
    my $repairs = look($j)->{zone_repairs_total};
    my $conns = ($t->ctl('conns'))[1];
    my %spared = map { slot_of($conns, $_) => 1 }
        $j->{ann}->stream, $j->{carol};
    my ($victim) = grep { !$spared{ $_->{slot} } } $t->workers;
    my $had = () = $conns =~ /^\s*\d+\s+$victim->{slot}\s/mg;
    spew($t->path('run/stop.new'), "$victim->{pid} " . DEPTH . "\n");
    rename $t->path('run/stop.new'), $t->path('run/stop') or die "rename: $!";
    ok(wait_for(sub { slurp("/proc/$victim->{pid}/stat") =~ /\) T/ }, 20,
            'the worker to stop'), 'a worker stops in the middle of a change')
        or return 0;
    $t->allow_alert(qr/\(pid $victim->{pid}\) was killed by signal 9/);
    kill KILL => $victim->{pid};
    ok(wait_for(sub {
            my @ready = grep { $_->{state} eq 'ready' } $t->workers;
            @ready == WORKERS && !grep { $_->{pid} == $victim->{pid} } @ready;
        }, 20, 'another worker'), '... it is killed, and replaced');
    is(look($j)->{zone_repairs_total}, $repairs + 1, '... the zone is repaired');
    return $had;
}

sub upgrade
{
    my ($j, $to, %o) = @_;
    my $t = $j->{t};
    my $was = $t->status;
    my $before = $j->{counted};
    my $from = $j->{build};
    note "---- $from to $to";
    $j->{round}++;
    my $line = "a line $j->{round}";
    $j->{carol}->write(substr $line, 0, 4);
    $_->say('go') for $j->{crowd}, $j->{programs};
    my $rest = half_a_request($j);
    $t->{original} = $binary{$to};
    $t->install_binary;
    my ($exit, undef, $err) = $t->ctl('upgrade');
    is($exit, 0, "the $from build gives way to the $to one") or diag $err;
    $j->{build} = $to;
    my $now = $t->status;
    is($now->{version}, $version{$to}, '... it is that version');
    isnt($now->{pid}, $was->{pid}, '... in another process');
    is($now->{epoch}, $was->{epoch}, '... with the same zone');
    ok(wait_for(sub { $t->reap; $t->processes == 2 + WORKERS + 1 }, 30,
            'the old workers but one to end'), '... with one old worker');
    is(look($j)->{features} != 0, $from ne 'bare' && $to ne 'bare',
        '... derived state is used if both maintain it');
    my $lost = $o{kill} ? kill_one($j) : 0;
    $rest->();
    ok(wait_for(sub { $t->processes == 1 + WORKERS }, 30,
            'the old worker to end'), '... which is gone then');
    $j->{carol}->write(substr($line, 4) . "\n");
    ok(carol_reads($j, qr/^<carol> \Q$line\E\r?$/m),
        '... a line that was half there is said');
    check_crowd($j, $lost);
    check_programs($j, $lost);
    check_speed($j);
    check_derived($j, $to ne 'bare');
    look($j);
    check_counts($j, $before, $from eq 'newer') if $to eq 'newer';
    return;
}

# ---- what must be true ---------------------------------------------------

sub check_crowd
{
    my ($j, $lost) = @_;
    $j->{crowd}->say('report');
    my $e = $j->{crowd}->wait_event('report', 60) // {};
    cmp_ok($e->{clients} // 0, '>=', CLIENTS - $lost,
        '... nobody else was disconnected') or diag explain $e;
    cmp_ok($e->{acked} // 0, '>', 0, '... messages were acknowledged');
    my %wrong = map { $_ => $e->{$_} } grep { $e->{$_} // 1 }
        qw(lost missing twice backward disagree unanswered);
    is_deeply(\%wrong, {}, '... and came to all, once and in order')
        or diag explain $e;
    is_deeply($e->{errors}, [], '... no error answer');
    $j->{crowd}->say('return');
    $e = $j->{crowd}->wait_event('returned', 60) // {};
    is($e->{clients}, CLIENTS, '... all are there');
    is($e->{wrong}, 0, '... and rooms know their members') or diag explain $e;
    is_deeply($e->{errors}, [], '... no error answer');
    return;
}

sub check_programs
{
    my ($j, $lost) = @_;
    $j->{programs}->say('report');
    my $e = $j->{programs}->wait_event('report', 60) // {};
    cmp_ok($e->{said} // 0, '>', $j->{said} // 0, '... programs published');
    $j->{said} = $e->{said};
    $j->{unsure} += $e->{unsure} // 0;
    my %wrong = map { $_ => $e->{$_} } grep { $e->{$_} // 1 }
        qw(missing twice backward gaps);
    $wrong{unsure} = $e->{unsure} if !$lost && $e->{unsure};
    $wrong{ended} = $e->{ended} if $e->{ended} > $lost;
    $wrong{strange} = $e->{strange} if $e->{strange} > $j->{unsure};
    is_deeply(\%wrong, {},
        '... and who listens heard everything, once and in order')
        or diag explain $e;
    is_deeply($e->{failed}, [], '... no request was refused');
    return;
}

# What the newer build alone counts, and takes along when sessions move.
sub check_counts
{
    my ($j, $before, $kept) = @_;
    my $now = $j->{counted};
    my ($new, $old) = map { $now->{$_} - ($before->{$_} // 0) }
        qw(marks_new_total marks_kept_total);
    my $all = CLIENTS + PERSONS + 2 * LISTENERS;
    is_deeply([$new, $old], $kept ? [0, $all] : [$all, 0],
        '... sessions have ' . ($kept ? 'the marks' : 'no mark')
            . ' that they were given before');
    # A worker may die between the two.
    cmp_ok(abs($now->{spoken} - $now->{spoken_total}), '<=',
        $now->{zone_repairs_total}, '... rooms know what was said in them')
        or diag "$now->{spoken} and $now->{spoken_total}";
    return;
}

# Derived state is made again when the last process that does not maintain it is
# gone.
sub check_derived
{
    my ($j, $maintained) = @_;
    my $now = sub { return $j->{t}->http_get('web', '/metrics')->{body}
            =~ /^linnet_features [1-9]/m };
    if ($maintained && !$now->()) {
        ok(wait_for($now, 30, 'derived state'), '... it is made again');
        check_speed($j);
    }
    is(!!$now->(), !!$maintained, '... derived state is '
        . ($maintained ? '' : 'not ') . 'used');
    return;
}

# While nothing else happens workers sleep, and have to be woken.  The machine
# may be slow; it is not slow each time.
sub check_speed
{
    my ($j) = @_;
    my @ms = map {
        $j->{programs}->say('ask');
        ($j->{programs}->wait_event('heard') // {})->{ms} // 1e9;
    } 1 .. 5;
    cmp_ok(min(@ms), '<', SOON * 1000 * time_factor(),
        '... messages come at once')
        or diag "@ms";
    return;
}

# What is acknowledged is in the history, once and in order: all of what fits.
sub check_history
{
    my ($j) = @_;
    $j->{programs}->say('said');
    my $said = $j->{programs}->wait_event('said', 20);
    for my $which (qw(few many)) {
        my $room = "wire-$which";
        my @kept;
        ask($j->{ann}, type => 'join', room => $room);
        for (my $before; ;) {
            my $m = ask($j->{ann}, type => 'history', room => $room, limit => 50,
                $before ? (before => $before) : ())->{messages} // [];
            last if !@$m;
            unshift @kept, @$m;
            $before = $m->[0]{seq};
        }
        my @seqs = map { $_->{seq} } @kept;
        is_deeply(\@seqs, [sort { $a <=> $b } @seqs], "$room: in order");
        my @acked = @{ $said->{$which} };
        if ($which eq 'many') {
            is(scalar @kept, HISTORY, '... as many as are kept');
            @acked = grep { $_->[0] >= $seqs[0] } @acked;
        }
        my %acked = map { $_->[0] => 1 } @acked;
        my @there = map { [@$_{qw(seq text)}] } grep { $acked{ $_->{seq} } }
            @kept;
        is_deeply(\@there, \@acked, '... all that was acknowledged, once');
        my @other = grep { $_->{from} eq 'program' && !$acked{ $_->{seq} } }
            @kept;
        cmp_ok(scalar @other, '<=', $j->{unsure}, '... and nothing else');
        is(scalar(grep { $_->{from} eq 'carol' } @kept), $j->{round},
            '... with what a person said') if $which eq 'few';
    }
    return $said;
}

sub arrive
{
    my ($j) = @_;
    my $said = check_history($j);
    my ($last) = $said->{few}[-1][1];
    ok(carol_reads($j, qr/^<program> \Q$last\E\r?$/m), 'the last line comes');
    my %known = map { $_->[1] => 1 } @{ $said->{few} };
    my @lines = grep { $known{$_} } $j->{heard} =~ /^<program> (.*?)\r?$/mg;
    is_deeply(\@lines, [map { $_->[1] } @{ $said->{few} }],
        'the person read every line once, in order');
    $_->finish for $j->{crowd}, $j->{programs};
    $j->{t}->finish;
    return;
}

# ---- the journeys --------------------------------------------------------

subtest 'a zone that the older build made' => sub {
    my $j = depart('older');
    upgrade($j, 'newer');
    upgrade($j, 'older', kill => $can_stop);
    upgrade($j, 'newer');
    arrive($j);
};

subtest 'a zone that the newer build made' => sub {
    my $j = depart('newer');
    upgrade($j, 'bare', kill => $can_stop);
    upgrade($j, 'newer', kill => $can_stop);
    upgrade($j, 'newer');
    arrive($j);
};

done_testing;
