# A server that is process 1 of a container, or was started by process 1, and
# one that systemd runs as Type=simple: all ends when the old master does, so an
# upgrade is refused.  Signals, reloads and orphans are as everywhere.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(PF_UNIX SOCK_DGRAM pack_sockaddr_un);
use Test::More;

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 2s

%%LISTEN_echo%%
INI

# How a pid namespace is made here; empty when that is not permitted.
my @UNSHARE = grep {
    my ($exit) = run_command(@$_, 'true');
    $exit == 0;
} map { ['unshare', @$_, '--pid', '--fork', '--kill-child', '--mount-proc'] }
    [], ['--user', '--map-current-user'];
my @container = @UNSHARE ? @{ $UNSHARE[0] } : ();
my $why = 'unshare(1) cannot make a pid namespace here, as this user';

sub server
{
    my ($front, %o) = @_;
    return Test::Linnet->new(config => $config, front => $front,
        copy_binary => 1, %o);
}

# No way to ask for an upgrade does any harm, and each says why it is refused.
sub refuses
{
    my ($t, @reasons) = @_;
    my $c = $t->connect('echo');
    my $pid = $t->status->{pid};
    my $pidfile = slurp($t->path('run/linnet.pid'));
    for my $how (['ctl', 'upgrade'], ['-s', 'upgrade']) {
        my ($exit, $out, $err) = $t->run(@$how);
        is($exit, 1, "@$how: exit 1");
        like($err, $_, '... with the reason') for @reasons;
        is($out, '', '... nothing on standard output');
    }
    $t->log_mark;
    $t->signal('USR2');
    $t->log_like(qr/\[error\].*upgrade refused: .*$_/,
        'USR2: the reason is in the log') for @reasons;
    $t->log_unlike(qr/upgrading: starting/, '... nothing was started');
    is($t->status->{pid}, $pid, '... the same master');
    is(slurp($t->path('run/linnet.pid')), $pidfile, '... the pidfile');
    ok(!-e $t->path('run/linnet.pid.old'), '... was never renamed');
    ok($c->echoes, '... a client is served');
    is(($t->ctl('reload'))[0], 0, 'a reload works');
    ok($c->echoes, '... and keeps the client');
    return;
}

# An upgrade is done, and the client kept.
sub upgrades
{
    my ($t) = @_;
    my $c = $t->connect('echo');
    my $old = $t->status->{pid};
    my ($exit, $out, $err) = $t->ctl('upgrade');
    is($exit, 0, 'an upgrade works') or diag $err;
    ok(wait_for(sub {
        my $s = $t->status or return;
        $s->{pid} != $old && 3 == $t->processes;
    }, 15, 'the new master alone'), '... a new master serves alone');
    ok($c->echoes, '... a client noticed nothing');
    return;
}

SKIP: {
    skip $why, 1 if !@container;
    subtest 'process 1' => sub {
        my $t = server(\@container)->start;
        is($t->status->{pid}, 1, 'the master is process 1');
        refuses($t, qr/process 1/, qr/reload/);

        # Not even one that has to wait is accepted.
        my ($slow) = grep { $t->title($_) =~ /worker/ } $t->processes;
        kill STOP => $slow;
        is(($t->ctl('reload'))[0], 0, 'a reload; a worker takes its time');
        my ($exit, undef, $err) = $t->ctl('upgrade');
        is($exit, 1, 'an upgrade behind it is refused at once');
        like($err, qr/process 1/, '... with the same reason');
        kill CONT => $slow;
        is($t->stop('TERM'), 0, 'TERM ends it');
        $t->finish;
    };
}

SKIP: {
    skip $why, 1 if !@container;
    subtest 'signals to process 1' => sub {
        for my $name (qw(TERM INT QUIT)) {
            my $t = server(\@container)->start;
            $t->signal('HUP');
            ok($t->wait_ready(10, 2, 2), 'HUP reloads');
            is($t->stop($name), 0, "$name ends it with 0");
            $t->finish;
        }
    };
}

SKIP: {
    skip $why, 1 if !@container;
    subtest 'children that are not its own' => sub {
        # Children and orphans that end when there is a file run/go: by
        # themselves and by a signal.
        my $wait = 'while [ ! -e run/go ]; do sleep 0.05; done';
        my $t = server([@container, 'sh', '-c', "($wait; exit 3) &"
            . "($wait; kill -9 \$(exec sh -c 'echo \$PPID')) &"
            . "( ($wait; exit 4) & ) ; ( ($wait) & ) ; exec \"\$@\"", 'sh'])
            ->start;
        my $master = $t->master_pid;
        my $children = sub {
            split ' ', slurp("/proc/$master/task/$master/children");
        };
        ok(wait_for(sub { $children->() == 6 }, 10, 'six children'),
            'two workers and four others');
        my $c = $t->connect('echo');
        spew($t->path('run/go'), '');
        ok(wait_for(sub { $children->() == 2 }, 20, 'two children'),
            'the others are reaped');
        ok($c->echoes, '... a client noticed nothing');
        is(scalar $t->workers, 2, '... both workers are there');
        is($t->stop('QUIT'), 0, '... and it ends in order');
        $t->finish;
    };
}

SKIP: {
    skip $why, 1 if !@container;
    subtest 'process 1 does not detach' => sub {
        my $t = server(\@container)->start('-d');
        is($t->status->{pid}, 1, 'with -d the master is process 1');
        $t->log_like(qr/\[warn\].*process 1.*does not detach/,
            '... and says so');
        refuses($t, qr/process 1/);
        is($t->stop('TERM'), 0, 'TERM ends it');
        $t->finish;
    };
}

# What tini and docker run --init do: end as their child did.
my $INIT = 'my $p = fork // die; if (!$p) { exec @ARGV or die } '
    . '1 while waitpid(-1, 0) != $p; exit($? >> 8)';

SKIP: {
    skip $why, 1 if !@container;
    subtest 'a child of process 1, which waits for it' => sub {
        my $t = server([@container, $^X, '-e', $INIT])->start;
        isnt($t->status->{pid}, 1, 'the master is not process 1');
        refuses($t, qr/process 1 of the container/, qr/reload/);
        is($t->stop('TERM'), 0, 'TERM ends it');
        $t->finish;
    };
}

# Process 1 goes on as long as there is no file run/end.
my $STAYS = 'while [ ! -e run/end ]; do sleep 0.05; done';

SKIP: {
    skip $why, 1 if !@container;
    subtest 'detached, below a process 1 that stays' => sub {
        my $t = server([@container, 'sh', '-c', '"$@" -d; ' . $STAYS, 'sh'])
            ->start;
        upgrades($t);
        upgrades($t);
        is(($t->ctl('stop'))[0], 0, 'ctl stop');
        spew($t->path('run/end'), '');
        is($t->wait_exit(10), 0, 'process 1 ends');
        $t->finish;
    };
}

SKIP: {
    skip $why, 1 if !@container;
    subtest 'below a process 1 that wants to be told' => sub {
        my $t = server([@container, 'sh', '-c', '"$@" & ' . $STAYS, 'sh'],
            env => { NOTIFY_SOCKET => '/nobody/listens' })->start;
        upgrades($t);
        is(($t->ctl('stop'))[0], 0, 'ctl stop');
        spew($t->path('run/end'), '');
        is($t->wait_exit(10), 0, 'process 1 ends');
        $t->finish;
    };
}

# As systemd starts it: $SYSTEMD_EXEC_PID is the process it waits for.
my @SYSTEMD = ('sh', '-c', 'export SYSTEMD_EXEC_PID=$$; exec "$@"', 'sh');

subtest 'systemd, Type=simple' => sub {
    my $t = server(\@SYSTEMD)->start;
    refuses($t, qr/Type=notify/);
    is($t->stop('TERM'), 0, 'TERM ends it');
    $t->finish;
};

subtest 'systemd, Type=notify' => sub {
    my $t = server(\@SYSTEMD);
    $t->{env} = { NOTIFY_SOCKET => $t->path('run/notify') };
    socket(my $notify, PF_UNIX, SOCK_DGRAM, 0) or die "socket: $!";
    bind $notify, pack_sockaddr_un($t->path('run/notify')) or die "bind: $!";
    $t->start;
    upgrades($t);
    my $said = '';
    ok(wait_for(sub {
        recv $notify, my $text, 4096, Socket::MSG_DONTWAIT();
        $said .= ($text // '') . "\n";
        $said =~ /^MAINPID=(\d+)$/m && $1 == $t->status->{pid};
    }, 10, 'MAINPID'), 'systemd is told of the new master') or diag $said;
    $t->finish;
};

subtest 'systemd, Type=forking' => sub {
    my $t = server([@SYSTEMD[0, 1], "$SYSTEMD[2] -d", 'sh']);
    $t->spawn;
    is($t->wait_exit(20), 0, 'it detaches');
    ok($t->wait_ready(10), '... and serves');
    upgrades($t);
    is(($t->ctl('stop'))[0], 0, 'ctl stop');
    $t->finish;
};

done_testing;
