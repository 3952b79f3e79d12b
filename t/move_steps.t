# A process is killed at each step of a move, and bytes are spoiled on their
# way: a connection has moved, or stays, or was lost with the process that had
# it at that step.  How many these are is known exactly.  LINNET_CRASH_ALL=1
# does all there are.

use strict;
use warnings;

BEGIN { $ENV{TEST_TIMEOUT} ||= $ENV{LINNET_CRASH_ALL} ? 1800 : 600 }

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use POSIX qw(WNOHANG);
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;
use Test::Linnet::Driver;

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;
plan skip_all => 'this build has no steps to be killed at (--with-debug)'
    if slurp(Test::Linnet->binary) !~ /LINNET_TEST_MOVE\0/;

use constant { RAW => 12, ECHO => 12, CHAT => 36 };
use constant ALL => RAW + ECHO + CHAT;

my $all = $ENV{LINNET_CRASH_ALL};

# One worker, so that there is one giver and one taker; ours, so that it may
# kill the master.
my $user = $> ? '' : 'user = root';
my $config = <<"INI";
[server]
workers          = 1
$user
shutdown_timeout = 5s

[limits]
ping_interval = 0
idle_timeout  = 0

[listen raw]
address = 127.0.0.1:%%PORT_raw%%
app     = echo

%%LISTEN_web%%

%%ROUTE_chat%%

%%ROUTE_echo%%
INI

# ---- clients ----

# {s: stream, ws: whether it is a WebSocket, sent: the answers that are owed}
sub client
{
    my ($t, $ws) = @_;
    my $s = $ws ? $t->websocket('web', '/echo')->stream : $t->connect('raw');
    return { s => $s, ws => $ws, owed => '', n => 0 };
}

sub speak
{
    my ($c) = @_;
    return if $c->{s}{eof};
    my $text = 'message ' . $c->{n}++ . "\n";
    $c->{owed} .= $c->{ws} ? "\x81" . chr(length $text) . $text : $text;
    $c->{s}->write($c->{ws}
        ? Test::Linnet::WebSocket->frame_bytes(1, $text) : $text);
    return;
}

# A close frame behind what is owed: its code.
sub goodbye
{
    my ($c) = @_;
    my ($got, $owed) = ($c->{s}{in}, $c->{owed});
    return if !$c->{ws} || $got !~ s/\x88([\x02-\x7d])(..)([^\x88]*)\z//s
        || length($3) + 2 != ord $1;
    # What it had not read any more is not answered.
    return if substr($owed, 0, length $got) ne $got;
    return unpack 'n', $2;
}

# Reads what is owed (ends: and to the end): lives, lost, the code it was told
# to go with, or what is wrong.
sub verdict
{
    my ($c, $ends) = @_;
    my $s = $c->{s};
    my $end = time + 20 * time_factor();
    while (($ends || length $s->{in} < length $c->{owed}) && !goodbye($c)
        && $s->fill($end)) { }
    my ($got, $code) = ($s->{in}, goodbye($c));
    my $same = substr($c->{owed}, 0, length $got) eq $got;
    if (!$s->{eof} && !$code) {
        return 'not all was answered' if length $got < length $c->{owed};
        return 'something else came' if $got ne $c->{owed};
        ($c->{owed}, $s->{in}) = ('', '');
        return 'lives';
    }
    $s->close;
    return $code ? $code : $same ? 'lost' : 'something else came';
}

# ---- a server with a crowd ----

sub crowd
{
    my ($t) = @_;
    my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/moving.js',
        'ws://127.0.0.1:' . $t->port('web') . '/chat', CHAT, 4, 100, 'room');
    my @c = map { client($t, $_ >= RAW) } 0 .. RAW + ECHO - 1;
    $d->wait_event('joined', 60) or diag $t->evidence;
    return { t => $t, d => $d, c => \@c };
}

sub start
{
    my %env = @_;
    my $order = File::Temp::tempdir(CLEANUP => 1) . '/order';
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
        env => { %env, LINNET_TEST_MOVE => $order })->start;
    $t->allow_alert(qr/signal 9/);
    my $w = crowd($t);
    $w->{order} = $order;
    return $w;
}

# Gives the order, reloads or upgrades, and has everybody talk until that is
# over; what became of whom: verdict => how many; and of those of the driver.
sub strike
{
    my ($w, $order, $change, $ends) = @_;
    my $t = $w->{t};
    spew("$w->{order}.new", "$order\n");
    rename "$w->{order}.new", $w->{order} or die $!;
    $w->{d}->say('go');
    my $pid = $t->ctl_background($change);
    my $end = time + 30 * time_factor();
    my ($over, $calm) = (0, 0);
    while (time < $end && (!$over || $calm < 3)) {
        speak($_) for @{ $w->{c} };
        $over ||= waitpid($pid, WNOHANG) == $pid;
        $calm++ if !-e $w->{order};
        sleep 0.01;
    }
    waitpid $pid, 0 unless $over;
    ok(!-e $w->{order}, "$order: done") or unlink $w->{order};
    my %became;
    $became{ $_->{was} = verdict($_, $ends) }++ for @{ $w->{c} };
    $w->{d}->say('report');
    my $e = $w->{d}->wait_event('report', 60) // {};
    $became{ $_ == 1006 ? 'lost' : $_ } += $e->{closed}{$_}
        for keys %{ $e->{closed} };
    $became{lives} += $e->{clients} // 0;
    return (\%became, $e);
}

# What must be true whoever was killed.  The lost messages of a sender that was
# lost itself are nobody's.
sub check_chat
{
    my ($e, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my %wrong = map { $_ => $e->{$_} } grep { $e->{$_} // 1 }
        qw(missing twice backward disagree unanswered lost);
    is_deeply(\%wrong, {}, "$name: everything once and in order")
        or diag explain $e;
    is_deeply($e->{errors}, [], '... no error answer') or diag explain $e;
    return;
}

# The lost ones come again; then all is as it was in the beginning.
sub check_return
{
    my ($w, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $t = $w->{t};
    $t->wait_ready(20, 1);
    wait_for(sub { $t->processes == 2 }, 20, 'two processes')
        or diag $t->evidence;
    my (undef, $out) = $t->ctl('conns');
    my $living = grep { $_->{was} eq 'lives' } @{ $w->{c} };
    $_ = $_->{was} eq 'lives' ? $_ : client($t, $_->{ws}) for @{ $w->{c} };
    $w->{d}->say('return');
    my $e = $w->{d}->wait_event('returned', 30) // {};
    is($e->{wrong}, 0, "$name: members are who is there") or diag explain $e;
    is_deeply($e->{errors}, [], '... no nick is taken') or diag explain $e;
    is($t->wait_status->{connections}, ALL, '... all are there again');
    (undef, $out) = $t->ctl('conns');
    is(scalar(() = $out =~ /^ *\d+ +\d+ +(?:listen|route) /mg), ALL,
        '... and listed') or diag $out;
    my %held = (%{ $t->holders('web') }, %{ $t->holders('raw') });
    is_deeply([scalar keys %held, scalar grep { @$_ != 1 } values %held],
        [ALL, 0], '... each in one process');
    my ($worker) = $t->worker_pids;
    return [fd_count($t->master_pid), fd_count($worker)];
}

sub check_fds
{
    my ($w, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $fds = check_return($w, $name);
    # What a control connection leaves for a moment is not counted.
    my $same = wait_for(sub {
        my ($worker) = $w->{t}->worker_pids;
        $fds = [fd_count($w->{t}->master_pid), fd_count($worker)];
        return "@$fds" eq "@{ $w->{fds} }";
    }, 5, 'descriptors');
    ok($same, '... with as many descriptors')
        or diag "master and worker: @$fds; before: @{ $w->{fds} }";
    return;
}

sub finish
{
    my ($w) = @_;
    $w->{d}->finish;
    $_->{s}->close for @{ $w->{c} };
    $w->{t}->finish;
    return;
}

# ---- a worker ----

# How many are lost when a worker ends at the n-th of a step, at least and at
# most.  They travel and are answered in batches, and a taker's are the giver's
# until those of the same batch are answered; one by one it is known exactly,
# but for the giver, who may have been further when an answer came.
sub lost_with
{
    my ($single, $step, $n) = @_;
    return [0, ALL - $n] if $step =~ /^(?:answered|given)$/;
    return [ALL - $n + 1, ALL] if $step eq 'freeze'; # some try again
    my $exactly = $step eq 'frozen' ? ALL - $n + 1
        : $step eq 'sent'           ? ALL - $n
        : $step eq 'taken'          ? $n
        :                             $n - 1; # arrived, thawed
    return [$exactly, $exactly] if $single;
    return
          $step eq 'frozen' ? [$exactly, ALL]
        : $step eq 'taken'  ? [$exactly, ALL]
        :                     [0, $exactly];
}

# Users of the dead on their way to somebody else are told to come again: how
# many may be.
sub told_with
{
    my ($single, $step, $n) = @_;
    return 0 if $step eq 'taken' || $single && $step eq 'arrived';
    return 1 if $single && $step eq 'thawed';
    my $most = $step eq 'arrived' ? $n - 1 : $step eq 'thawed' ? $n : CHAT;
    return $most < CHAT ? $most : CHAT;
}

my @giver = qw(freeze frozen sent answered given);
my @taker = qw(arrived thawed taken);

sub kill_worker
{
    my ($w, $change, $single, $step, $n) = @_;
    my ($became, $e) = strike($w, "kill $step $n self", $change);
    my $lost = delete $became->{lost} // 0;
    my $lives = delete $became->{lives} // 0;
    my $told = delete $became->{1012} // 0;
    my ($least, $most) = @{ lost_with($single, $step, $n) };
    ok($lost >= $least && $lost <= $most,
        "... $lost lost, as many as it had ($least to $most)");
    is($lives + $told + $lost, ALL, "... $lives live");
    my $may = told_with($single, $step, $n);
    cmp_ok($told, '<=', $may, "... $told told to come again");
    is_deeply($became, {}, '... nothing else') or diag explain $became;
    check_chat($e, "$step $n");
    check_fds($w, "$step $n");
    return;
}

for my $case ('reload, one by one', 'reload, in batches',
    $all ? ('upgrade, one by one', 'upgrade, in batches') : ()) {
    my ($change, $how) = split /, /, $case;
    my $single = $how eq 'one by one';
    subtest "$case: a worker is killed" => sub {
        my $w = start($single ? (LINNET_TEST_MOVE_PAUSE => 1) : ());
        # What a worker that has had one before it has open.
        is(($w->{t}->ctl($change))[0], 0, 'once without');
        $_->{was} = 'lives' for @{ $w->{c} };
        $w->{fds} = check_return($w, 'before');
        for my $step ($all || $single ? (@giver, @taker)
            : qw(sent arrived taken)) {
            for my $n ($all ? (1, 20, ALL) : $step eq 'taken' ? ALL : 20) {
                kill_worker($w, $change, $single, $step, $n);
            }
        }
        finish($w);
    };
}

# ---- bytes ----

subtest 'bytes that are not understood' => sub {
    my $w = start();
    my $t = $w->{t};
    $_->{was} = 'lives' for @{ $w->{c} };
    is(($t->ctl('reload'))[0], 0, 'once without');
    $w->{fds} = check_return($w, 'before');
    # Magic number, version, the version of linnet, and a counted head of 63
    # bytes for "route chat\nweb", "websocket" and "chat"; then 24 bytes of the
    # protocol.  Of a version, the half that says who may read it is spoiled: a
    # later one alone is no reason to refuse.
    my ($release) = ($t->run('-v'))[1] =~ /^linnet (\S+)/;
    my $head = 12 + length $release;
    my $protocol = $head + 4 + 63 + 4;
    for my $case (['the magic number', 0], ['the version', 6],
        ['a length', 11], ['the length of the head', $head + 3],
        ['the last length', -1],
        ['what the protocol wrote', $protocol + 2],
        ['what the application wrote', $protocol + 24 + 4 + 2]) {
        my ($what, $at) = @$case;
        $t->log_mark;
        my ($became, $e) = strike($w, "spoil $at 20", 'reload');
        my $lost = ($became->{lost} // 0) + ($became->{1012} // 0);
        is($became->{lives}, ALL - 1, "$what: one ends") or diag explain $became;
        is($lost, 1, '... told to come again, if there is a way to');
        my @lines = $t->log_text =~ /(cannot be taken over and ends: .*)/g;
        is(scalar @lines, 1, '... one line in the log') or diag "@lines";
        check_chat($e, $what);
        check_fds($w, $what);
    }
    finish($w);
};

# ---- the master ----

# Whatever it does, its workers tell everybody to go.
for my $case ('reload linked self', $all
        ? (map { "reload $_ parent" } @giver, @taker)
        : ('reload sent parent', 'reload taken parent'),
        $all ? (map { "upgrade $_ parent" } @taker)
        : 'upgrade arrived parent') {
    my ($change, $step, $who) = split / /, $case;
    my $n = $step eq 'linked' ? 1 : 20;
    subtest "$change: the master is killed: $step" => sub {
        my $w = start();
        my ($became, $e) = strike($w, "kill $step $n $who", $change, 'ends');
        my $raw = $became->{lost} // 0;
        is($raw, RAW, 'no WebSocket ends without a word');
        is(($became->{1001} // 0) + ($became->{1012} // 0), ECHO + CHAT,
            '... all are told to come again') or diag explain $became;
        my %wrong = map { $_ => $e->{$_} } grep { $e->{$_} // 1 }
            qw(missing twice backward disagree);
        is_deeply(\%wrong, {}, '... nothing twice or out of order')
            or diag explain $e;
        $w->{t}->reap;
        ok(wait_for(sub { !$w->{t}->processes }, 20, 'nobody'),
            '... no process is left over');
        $w->{d}->finish;
        unlink $w->{order};
        $w->{t}->start;
        is($w->{t}->wait_status->{connections}, 0, '... and it starts again');
        $w->{t}->finish;
    };
}

# One of the two masters of an upgrade: the other has it all.
for my $case ('linked self', $all ? (map { "$_ parent" } @giver)
    : 'sent parent') {
    my ($step, $who) = split / /, $case;
    my $n = $step eq 'linked' ? 1 : 20;
    my $which = $step eq 'linked' ? 'new' : 'old';
    subtest "upgrade: the $which master is killed: $step" => sub {
        my $w = start();
        my $old = $w->{t}->master_pid;
        my ($became, $e) = strike($w, "kill $step $n $who", 'upgrade');
        is_deeply($became, { lives => ALL }, 'nobody is lost')
            or diag explain $became;
        check_chat($e, $case);
        wait_for(sub { my $s = $w->{t}->status; $s && @{ $s->{workers} } == 1 },
            20, 'one worker');
        is($w->{t}->wait_status->{pid} == $old ? 'new' : 'old', $which,
            '... the other serves');
        check_return($w, $case);
        finish($w);
    };
}

done_testing;
