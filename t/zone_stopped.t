# A process that is stopped while it holds the lock of the shared memory: the
# master answers and ends all the same, the process is killed after lock_timeout
# and what it left is repaired.  One that is stopped elsewhere, or with the whole
# machine, is left alone.
#
# LINNET_STOPS: how often a worker is stopped at random under load, 50.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Socket qw(sockaddr_in);
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;
use Test::Linnet::Chat qw(ask);

my $STOPS = $ENV{LINNET_STOPS} || 50;
my $KILLS = 5; # of these, at the most

plan skip_all => 'this build has no steps to be stopped at (--with-debug)'
    if slurp(Test::Linnet->binary) !~ /LINNET_TEST_ZONE_STOP\0/;

# Ours, so that any of them may be traced.
my $user = getpwuid $>;
my $config = <<"INI";
[server]
workers          = 2
user             = $user
shutdown_timeout = 2s
rebalance        = off
lock_timeout     = %%LIMIT%%
%%STORE%%

%%LISTEN_web%%

%%ROUTE_chat%%
INI

sub server
{
    my ($limit, $store, %o) = @_;
    my $text = $config =~ s/%%LIMIT%%/$limit/r =~ s/%%STORE%%/$store \/\/ ''/er;
    my $t = Test::Linnet->new(config => $text, %o);
    $t->{env}{LINNET_TEST_ZONE_STOP} = $t->path('run/stop');
    return $t->start;
}

sub state_of
{
    my ($pid) = @_;
    my ($state) = slurp("/proc/$pid/stat") =~ /\)\s+(\S)/;
    return $state // '';
}

sub enter
{
    my ($t, $nick) = @_;
    my $w = $t->websocket('web', '/chat');
    is(ask($w, type => 'join', room => 'hall', nick => $nick)->{type},
        'joined', "$nick joins");
    return $w;
}

# The worker of a client, by the port that it comes from: its slot and pid.
sub worker_of
{
    my ($t, $client) = @_;
    my ($port) = sockaddr_in(getsockname $client->stream->handle);
    my (undef, $out) = $t->ctl('conns');
    my ($slot) = $out =~ /^\s*\d+\s+(\d+)\s.*[:.]$port\b/m or die $out;
    my ($w) = grep { $_->{slot} == $slot } $t->workers;
    return ($slot, $w->{pid});
}

# A client on each of the two workers: ann's is the one that is to be stopped.
sub two_clients
{
    my ($t) = @_;
    my $ann = enter($t, 'ann');
    my ($slot, $pid) = worker_of($t, $ann);
    for my $n (1 .. 100) {
        my $bob = $t->websocket('web', '/chat');
        if ((worker_of($t, $bob))[0] != $slot) {
            is(ask($bob, type => 'join', room => 'hall', nick => 'bob')
                    ->{type}, 'joined', 'bob joins on the other worker');
            return ($ann, $bob, $slot, $pid);
        }
        $bob->close;
    }
    die "no connection comes to the other worker\n" . $t->evidence;
}

# The process stops at its n-th step from now in the zone.
sub stop_at
{
    my ($t, $pid, $n) = @_;
    spew($t->path('run/stop.new'), "$pid $n\n");
    chmod 0666, $t->path('run/stop.new');
    rename $t->path('run/stop.new'), $t->path('run/stop') or die $!;
    return;
}

sub wait_stopped
{
    my ($pid) = @_;
    return wait_for(sub { state_of($pid) eq 'T' }, 10, "pid $pid stopped");
}

sub gone { my ($pid) = @_; return wait_for(sub { !proc_alive($pid) }, 20,
    "the end of pid $pid") }

# Stops it with the lock: right after it has taken it, or n - 1 steps later.
sub stop_holding
{
    my ($t, $pid, $client, $n) = @_;
    stop_at($t, $pid, $n // 1);
    $client->send_json({ type => 'message', room => 'hall', text => 'last' });
    return wait_stopped($pid);
}

sub answers_in
{
    my ($t, @command) = @_;
    my $begin = time;
    my ($exit, $out, $err) = $t->run({ timeout => 5 }, 'ctl', @command);
    return ($exit, $out . $err, time - $begin);
}

sub members
{
    my ($w) = @_;
    return join ' ', sort @{ ask($w, type => 'who', room => 'hall')
            ->{members} // [] };
}

# What must be so once the holder is dead: everybody else goes on, and knows who
# is there.
sub goes_on
{
    my ($t, $bob, $pid) = @_;
    ok(gone($pid), 'the process is killed') or diag $t->evidence;
    is(ask($bob, type => 'message', room => 'hall', text => 'still here')
            ->{type}, 'ack', '... the others go on');
    ok(wait_for(sub { members($bob) eq 'bob' }, 10, 'ann left'),
        '... and know who is gone') or diag $t->evidence;
    ok($t->wait_ready(20, 2), '... a new worker takes its place');
    my ($exit, $out) = $t->ctl('zone');
    is($exit, 0, '... the zone can be read');
    like($out, qr/repairs: 1$/m, '... it was repaired');
    return;
}

subtest 'the master answers, the holder is killed, the zone repaired' => sub {
    my $t = server('2s');
    my ($ann, $bob, $slot, $pid) = two_clients($t);
    ok(stop_holding($t, $pid, $ann), 'a worker is stopped with the lock');
    my $begin = time;
    my ($exit, $text, $took) = answers_in($t, 'status');
    is($exit, 0, 'status answers') or diag $text;
    for my $what (qw(zone rooms)) {
        ($exit, $text, $took) = answers_in($t, $what);
        is($exit, 1, "$what is refused");
        like($text, qr/the\ zone\ is\ locked\ by\ worker\ $slot
            \ \(pid\ $pid\),\ which\ is\ stopped/x, '... with the reason');
    }
    like(wait_for(sub { my (undef, $out) = $t->ctl('status');
                $out =~ /^the zone is locked.*$/m ? $& : '' }, 5,
            'status to tell it') // '',
        qr/by worker $slot \(pid $pid\) for .*, which is stopped/,
        'status tells it');
    is($t->status->{zone_lock}{pid}, $pid, '... for programs, too');
    is(state_of($pid), 'T', 'it has its time');
    goes_on($t, $bob, $pid);
    cmp_ok(time - $begin, '>=', 1.8, '... not before lock_timeout');
    $t->expect_alert(qr/worker\ $slot\ \(pid\ $pid\)\ was\ stopped\ while\ it
        \ held\ the\ lock\ of\ the\ zone\ for\ 2.*s:\ killed/x);
    $t->expect_alert(qr/worker $slot \(pid $pid\) was killed by signal 9/);
    is($t->status->{zone_lock}, undef, 'nobody holds the lock any more');
    $t->finish;
};

subtest 'it stops in the middle of a change' => sub {
    my $t = server('200ms');
    $t->allow_alert(qr/signal 9|was stopped while/);
    for my $n (2 .. 7) {
        my ($ann, $bob, $slot, $pid) = two_clients($t);
        stop_at($t, $pid, $n);
        $ann->send_json({ type => 'join', room => "room-$n", id => 1 });
        ok(wait_stopped($pid), "stopped at step $n of a join");
        ok(gone($pid), '... it is killed');
        ok(wait_for(sub { members($bob) eq 'bob' }, 10, 'ann left'),
            '... and the zone is right');
        ok($t->wait_ready(20, 2), '... a new worker is there');
        my (undef, $rooms) = $t->ctl('rooms');
        unlike($rooms, qr/^room-$n\s+[1-9]/m, '... nobody is in that room');
        like($rooms, qr/^hall\s+1\s/m, '... and one in the other');
        $bob->close;
        ok(wait_for(sub { ($t->ctl('rooms'))[1] !~ /^hall\s+[1-9]/m }, 10,
                'bob left'), '... until that one leaves');
    }
    $t->finish;
};

# What it has published is out, and nobody who sleeps knows.
subtest 'who publishes is stopped, or dies, before it has woken anybody' => sub {
    my $t = server('60s');
    $t->allow_alert(qr/signal 9/);
    for my $how ('stopped', 'killed') {
        my ($ann, $bob, $slot, $pid) = two_clients($t);
        my ($found, $n) = (0, 0);
        while ($n++ < 60 && $found < 2) {
            my $text = "$how at step $n";
            stop_at($t, $pid, $n);
            $ann->send_json({ type => 'message', room => 'hall', text => $text });
            wait_stopped($pid) or last;
            my $free = ($t->ctl('zone'))[0] == 0;
            $found += $free;
            kill KILL => $pid if $found == 2 && $how eq 'killed';
            kill CONT => $pid if !$free;
            ok($bob->json_like({ type => 'message', text => $text }),
                $free ? "$text, behind the message: it is heard"
                    : "$text, which goes on");
            kill CONT => $pid;
        }
        is($found, 2, 'before it looks who sleeps, and before it rings');
        $_->close for $ann, $bob;
        ok($t->wait_ready(20, 2), 'all workers are there');
    }
    $t->finish;
};

for my $how (['TERM', 4], ['QUIT', 6], ['stop', 4]) {
    my ($name, $limit) = @$how;
    subtest "$name ends the server while the lock is held for ever" => sub {
        my $t = server('0');
        my ($ann, $bob, $slot, $pid) = two_clients($t);
        ok(stop_holding($t, $pid, $ann), 'a worker is stopped with the lock');
        # The other one waits for the lock.
        $bob->send_json({ type => 'message', room => 'hall', text => 'x' });
        my $begin = time;
        if ($name eq 'stop') {
            is(($t->ctl('stop'))[0], 0, 'ctl stop');
        } else {
            $t->signal($name);
        }
        is($t->wait_exit(20), 0, 'the master ends with 0')
            or diag $t->evidence;
        cmp_ok(time - $begin, '<', $limit * time_factor() + 2, '... soon');
        ok(wait_for(sub { !$t->processes }, 5, 'the end of all'),
            'nobody is left');
        $t->finish;
    };
}

for my $how (qw(reload upgrade)) {
    subtest "lock_timeout = 0 kills nobody, and ctl $how waits" => sub {
        my $t = server('0');
        my ($ann, $bob, $slot, $pid) = two_clients($t);
        ok(stop_holding($t, $pid, $ann), 'a worker is stopped with the lock');
        $t->log_like(qr/worker\ $slot\ \(pid\ $pid\)\ holds\ the\ lock.*is
            \ stopped;\ all\ others\ wait\ until\ it\ goes\ on/x,
            'the log tells it', 10);
        my $change = fork // die "fork: $!";
        if (!$change) {
            alarm 0;
            POSIX::_exit(($t->run({ timeout => 30 }, 'ctl', $how))[0]);
        }
        is((answers_in($t, 'status'))[0], 0, 'status answers') for 1 .. 10;
        is(waitpid($change, POSIX::WNOHANG()), 0, "the $how waits");
        is(state_of($pid), 'T', 'the holder is still there');
        kill CONT => $pid;
        waitpid $change, 0;
        is($?, 0, "... and the $how is done when it goes on")
            or diag $t->evidence;
        is(ask($bob, type => 'message', room => 'hall', text => 'x')->{type},
            'ack', 'everybody goes on');
        is(members($bob), 'ann bob', 'nobody was lost');
        $t->finish;
    };
}

subtest 'another worker dies while the lock is held' => sub {
    my $t = server('0');
    $t->expect_alert(qr/signal 9/);
    my ($ann, $bob, $slot, $pid) = two_clients($t);
    my ($other) = grep { $_ != $pid } $t->worker_pids;
    ok(stop_holding($t, $pid, $ann), 'a worker is stopped with the lock');
    kill KILL => $other;
    $t->log_like(qr/cannot start worker \d yet: the zone is locked by worker/,
        'the master sees it, and cannot start another one', 20);
    is((answers_in($t, 'status'))[0], 0, 'it answers') for 1 .. 3;
    kill CONT => $pid;
    ok(wait_for(sub { members($ann) eq 'ann' }, 10, 'bob left'),
        'what the dead one had is released when the lock is free');
    ok($t->wait_ready(20, 2), '... and a new one is there');
    like(($t->ctl('zone'))[1], qr/repairs: 0$/m, 'nothing was repaired');
    $t->finish;
};

subtest 'a worker that is stopped without the lock' => sub {
    my $t = server('200ms');
    my ($ann, $bob, $slot, $pid) = two_clients($t);
    kill STOP => $pid;
    ok(wait_stopped($pid), 'it is stopped');
    my $begin = time;
    while (time - $begin < 1.5) {
        is((answers_in($t, 'zone'))[0], 0, 'the zone can be read');
        is(ask($bob, type => 'message', room => 'hall', text => 'x')->{type},
            'ack', '... and the others go on');
    }
    kill CONT => $pid;
    is(ask($ann, type => 'message', room => 'hall', text => 'x')->{type},
        'ack', 'it is there again');
    $t->finish;
};

# Everybody stands still for longer than lock_timeout, and the holder longest.
subtest 'the whole server is suspended' => sub {
    my $t = server('3s');
    my ($ann, $bob, $slot, $pid) = two_clients($t);
    ok(stop_holding($t, $pid, $ann), 'a worker is stopped with the lock');
    $t->log_like(qr/holds the lock.*is stopped/, 'the master has begun to count',
        10);
    my @all = $t->processes;
    my ($master) = $t->master_pid;
    kill STOP => @all;
    wait_for(sub { !grep { state_of($_) ne 'T' } @all }, 10, 'all stopped');
    sleep 3.5; # longer than lock_timeout: this is what is tested
    kill CONT => $master;
    # It runs, and looks more than once.
    is((answers_in($t, 'status'))[0], 0, 'the master answers') for 1 .. 10;
    is(state_of($pid), 'T', 'the holder was not killed');
    kill CONT => grep { $_ != $master } @all;
    is(ask($bob, type => 'message', room => 'hall', text => 'x')->{type},
        'ack', 'everybody goes on');
    is(members($bob), 'ann bob', 'nobody was lost');
    is_deeply([sort grep { proc_alive($_) } @all], [sort @all],
        'nobody was killed');
    $t->log_unlike(qr/was stopped while|was killed/, '... as the log says');
    $t->finish;
};

# Suspended over and over, for less than lock_timeout each time.
subtest 'a machine that is suspended again and again' => sub {
    my $t = server('1s');
    my ($ann, $bob, $slot, $pid) = two_clients($t);
    ok(stop_holding($t, $pid, $ann), 'a worker is stopped with the lock');
    my @all = $t->processes;
    for (1 .. 4) {
        kill STOP => @all;
        wait_for(sub { !grep { state_of($_) ne 'T' } @all }, 10,
            'all stopped');
        sleep 0.7;
        kill CONT => $t->master_pid;
        is((answers_in($t, 'status'))[0], 0, 'the master answers');
    }
    is(state_of($pid), 'T', 'the holder was not killed');
    kill CONT => @all;
    is(ask($bob, type => 'message', room => 'hall', text => 'x')->{type},
        'ack', 'everybody goes on');
    is(members($bob), 'ann bob', 'nobody was lost');
    $t->finish;
};

# ptrace(2) by number: there is no gdb everywhere.
my %ptrace = (x86_64 => 101, aarch64 => 117);
use constant { PTRACE_ATTACH => 16, PTRACE_DETACH => 17, WALL => 0x40000000 };

subtest 'a debugger has the worker' => sub {
    my $number = $ptrace{ (POSIX::uname())[4] }
        or plan skip_all => 'the number of ptrace is not known here';
    my $t = server('1s');
    my ($ann, $bob, $slot, $pid) = two_clients($t);
    my ($other) = grep { $_ != $pid } $t->worker_pids;
    if (syscall($number, PTRACE_ATTACH, $other + 0, 0, 0) < 0) {
        my $why = "$!";
        undef $t;
        plan skip_all => "processes cannot be traced here: $why";
    }
    waitpid $other, WALL;
    is(state_of($other), 't', 'it is traced, without the lock');
    my $begin = time;
    while (time - $begin < 2) {
        is(ask($ann, type => 'message', room => 'hall', text => 'x')->{type},
            'ack', 'the others go on');
        sleep 0.1;
    }
    is(state_of($other), 't', '... and it is left alone');
    syscall($number, PTRACE_DETACH, $other + 0, 0, 0);
    ok(stop_holding($t, $pid, $ann), 'another one is stopped with the lock');
    is(syscall($number, PTRACE_ATTACH, $pid + 0, 0, 0), 0, '... and traced');
    my $got = waitpid $pid, WALL;
    $got = waitpid $pid, WALL if ($? & 0xff) != 0x7f;
    ok(wait_for(sub { waitpid($pid, WALL | POSIX::WNOHANG());
                !proc_alive($pid) }, 20, 'its end'), 'it is killed');
    goes_on($t, $bob, $pid);
    $t->allow_alert(qr/signal 9/);
    $t->expect_alert(qr/worker\ $slot\ \(pid\ $pid\)\ was\ stopped
        (\ by\ a\ debugger)?\ while\ it\ held/x);
    $t->finish;
};

subtest "the store's process" => sub {
    my $probe = Test::Linnet->new(config => "[listen e]\naddress = "
            . "127.0.0.1:%%PORT_e%%\napp = echo\n");
    my (undef, undef, $said) =
        $probe->run('-t', '-o', 'history.store=data/history.db');
    undef $probe;
    plan skip_all => 'built --without-sqlite' if $said =~ /without SQLite/;
    my $t = server('500ms', "[history]\nstore = data/history.db\nsync = 50ms");
    $t->allow_alert(qr/the store's process \(pid \d+\) was killed/);
    my $ann = enter($t, 'ann');
    my $pid = $t->status->{store}{pid};
    stop_at($t, $pid, 1);
    ask($ann, type => 'message', room => 'hall', text => 'one');
    ok(wait_stopped($pid), 'it is stopped with the lock');
    $t->expect_alert(
        qr/the store's process \(pid $pid\) was stopped while it held/);
    is(ask($ann, type => 'message', room => 'hall', text => 'two')->{type},
        'ack', 'everybody goes on when it is killed');
    my $seq = ask($ann, type => 'message', room => 'hall', text => 'three')
        ->{seq};
    ok(wait_for(sub { my $s = $t->status->{store};
                $s->{state} eq 'ready' && $s->{pid} != $pid
                    && $s->{seq} >= $seq }, 20, 'the store to go on'),
        'another one writes all that was said') or diag $t->evidence;
    is($t->stop, 0, 'the server ends');
    $t->start;
    $ann = $t->websocket('web', '/chat');
    my $joined = ask($ann, type => 'join', room => 'hall', nick => 'ann');
    is(join(' ', map { $_->{text} } @{ $joined->{history} }),
        'one two three', '... and nothing was lost');
    $t->finish;
};

# Clients move slowly to the new workers; one that is still there speaks, and its
# worker stops with the lock.  Whose is it to kill?  That of the master that
# started it, unless that one is stopped, too.
for my $case (['reload', 'an old worker at a reload'],
    ['upgrade', 'a worker of the old master at an upgrade'],
    ['upgrade', 'a worker of an old master that is stopped itself', 1])
{
    my ($how, $name, $other) = @$case;
    subtest $name => sub {
        local $ENV{LINNET_TEST_MOVE_PAUSE} = 150;
        my $t = server('500ms');
        $t->allow_alert(qr/signal 9/);
        my ($ann, $bob, $slot, $pid) = two_clients($t);
        my %client = (ann => $ann, bob => $bob,
            map { $_ => enter($t, $_) } map { "c$_" } 1 .. 20);
        my $master = $t->master_pid;
        my ($exit, $out, $err) = $t->ctl($how);
        is($exit, 0, "$how is done") or diag $err, $t->evidence;
        kill STOP => $master if $other;
        stop_at($t, $pid, 1);
        $_->send_json({ type => 'message', room => 'hall', text => 'x' })
            for values %client;
        ok(wait_stopped($pid), 'the old worker is stopped with the lock');
        my $begin = time;
        ok(wait_for(sub { state_of($pid) =~ /^Z?$/ }, 20, 'the end'),
            '... and killed') or diag $t->evidence;
        cmp_ok(time - $begin, '>=', 0.9, '... after twice the time')
            if $other;
        $t->expect_alert(qr/worker $slot \(pid $pid\) was stopped while/);
        kill CONT => $master if $other;
        ok(gone($master), 'the old master ends') if $how eq 'upgrade';
        is(scalar(my @w = $t->workers), 2, 'the new workers serve');
        my @there = grep { defined ask($client{$_}, type => 'message',
                room => 'hall', text => 'y')->{type} } sort keys %client;
        cmp_ok(scalar @there, '>=', 1, 'clients have moved');
        cmp_ok(scalar @there, '<', keys %client, '... others are lost');
        ok(wait_for(sub { members($client{ $there[0] }) eq "@there" }, 10,
                'who is there'), '... and all know who is there')
            or diag members($client{ $there[0] }), "\n@there";
        $t->finish;
    };
}

# What the zone says about processes of others is checked: those that are no
# workers of this configuration's user are left alone, and the log is told once.
subtest 'a worker of another user, of an old master that is stopped' => sub {
    plan skip_all => 'the test is not root' if $>;
    local $ENV{LINNET_TEST_MOVE_PAUSE} = 150;
    my $t = server('200ms');
    $t->allow_alert(qr/signal 9/);
    my ($ann, $bob, $slot, $pid) = two_clients($t);
    my @more = map { enter($t, "c$_") } 1 .. 20;
    my $master = $t->master_pid;
    $t->write_config(slurp($t->conf_path) =~ s/^user .*/user = nobody/mr);
    my ($exit, $out, $err) = $t->ctl('upgrade');
    is($exit, 0, 'an upgrade to another user') or diag $err;
    kill STOP => $master;
    stop_at($t, $pid, 1);
    $_->send_json({ type => 'message', room => 'hall', text => 'x' })
        for $ann, $bob, @more;
    ok(wait_stopped($pid), 'an old worker is stopped with the lock');
    $t->log_like(qr/\(pid\ $pid\)\ was\ stopped\ while.*cannot\ be\ killed
        :\ Operation\ not\ permitted/x, 'the new master does not kill it', 10);
    my $tries = time + 2.5;
    is((answers_in($t, 'status'))[0], 0, '... and answers') while time < $tries;
    is(state_of($pid), 'T', '... it is still there');
    is(scalar(() = $t->log_text =~ /cannot be killed/g), 1,
        '... the log has one line about that');
    kill CONT => $master;
    ok(wait_for(sub { state_of($pid) =~ /^Z?$/ }, 20, 'the end'),
        'its own master kills it');
    $t->expect_alert(qr/worker $slot \(pid $pid\) was stopped while/);
    ok(gone($master), 'the old master ends');
    $t->finish;
};

# It stops at the first thing that it does in the zone.
subtest 'a new master that has not taken over' => sub {
    my $t = server('500ms', '', copy_binary => 1);
    my $ann = enter($t, 'ann');
    my ($stop, $real) = ($t->path('run/stop'), $t->{original});
    $t->install_binary(<<"SH");
#!/bin/sh
echo "\$\$ 1" >$stop.new
mv $stop.new $stop
exec $real "\$@"
SH
    my $master = $t->status->{pid};
    my ($exit, $out, $err) = $t->ctl('upgrade');
    is($exit, 1, 'the upgrade fails') or diag $out, $t->evidence;
    like($err, qr/the new binary was killed by signal 9/, '... and says why');
    $t->expect_alert(
        qr/the other master \(pid \d+\) was stopped while it held the lock/);
    is($t->status->{pid}, $master, 'the old master goes on');
    is(ask($ann, type => 'message', room => 'hall', text => 'x')->{type},
        'ack', '... and so do its clients');
    $t->finish;
};

# A client that never pauses, in a process of its own; what it asks for are many
# short changes of the zone.
sub load
{
    my ($t, $n) = @_;
    my $pid = fork // die "fork: $!";
    return $pid if $pid;
    $SIG{$_} = 'DEFAULT' for qw(TERM INT);
    alarm 0;
    my $burst = join '', map {
        Test::Linnet::WebSocket->frame_bytes(1,
            qq({"type":"nick","nick":"load-$n-) . $_ % 2 . '"}')
            . Test::Linnet::WebSocket->frame_bytes(1,
            qq({"type":"message","room":"load-$n","text":") . 'x' x 500
                . '"}')
    } 1 .. 50;
    while (1) {
        my $w = eval { $t->websocket('web', '/chat') };
        if (!$w) {
            sleep 0.02;
            next;
        }
        $w->send_json({ type => 'join', room => "load-$n" });
        for (1 .. 50) {
            $w->stream->write($burst, 2) or last;
            $w->stream->fill(time);
            $w->stream->{in} = '';
            last if $w->stream->{eof};
        }
        $w->stream->close(1);
    }
    return;
}

subtest 'stopped at random under load' => sub {
    my $t = server('200ms');
    $t->allow_alert(qr/signal 9|was stopped while/);
    my @load = map { load($t, $_) } 1 .. 3;
    ok(wait_for(sub { my $s = $t->status;
                $s && $s->{workers}[0]{messages_in} > 100 }, 20, 'load'),
        'there is load');
    my ($held, $slowest, @wrong) = (0, 0);
    for my $n (1 .. $STOPS) {
        my @pids = $t->worker_pids;
        if (!@pids) {
            $t->wait_ready(20) or last;
            redo;
        }
        my $pid = $pids[rand @pids];
        kill STOP => $pid;
        my ($exit, $text, $took) = answers_in($t, 'status');
        push @wrong, "stop $n: status: $exit, $text" if $exit != 0;
        $slowest = $took if $took > $slowest;
        # If the lock can be had now, it is not this one that holds it.
        my ($free, $why) = answers_in($t, 'zone');
        my $holds = $free != 0 && $why =~ /pid $pid\), which is stopped/;
        # Not all of them die: the delay of a respawn grows.
        if ($holds && ++$held <= $KILLS) {
            push @wrong, "stop $n: $pid lives" if !gone($pid);
        } else {
            kill CONT => $pid;
        }
    }
    kill KILL => @load;
    waitpid $_, 0 for @load;
    is_deeply(\@wrong, [], "$STOPS stops, status answered each time");
    diag "stopped with the lock: $held of $STOPS" if $ENV{TEST_VERBOSE};
    cmp_ok($slowest, '<', 3 * time_factor(), '... soon');
    ok($t->wait_ready(30, 2), 'all workers are there');
    my $w = enter($t, 'ann');
    is(ask($w, type => 'message', room => 'hall', text => 'x')->{type}, 'ack',
        'the server serves');
    my ($pid) = $t->worker_pids;
    kill STOP => $pid;
    $t->signal('TERM');
    is($t->wait_exit(20), 0, 'TERM ends it while a worker is stopped');
    $t->finish;
};

done_testing;
