# What signals do to the processes of a server: none that is not meant for it
# ends one.  And the limit that the kernel enforces by a signal, the one on the
# size of files, is like a full disk.

use strict;
use warnings;

use Config;
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 30s

%%HISTORY%%

%%LISTEN_echo%%

%%LISTEN_web%%

%%ROUTE_chat%%

[route metrics]
listen  = web
path    = /metrics
handler = status

[log]
error  = logs/error.log
access = logs/access.log
INI

my %number;
@number{ split ' ', $Config{sig_name} } = split ' ', $Config{sig_num};
my $has_store = do {
    my $t = Test::Linnet->new(config => $config
            =~ s/%%HISTORY%%/[history]\nstore = data\/h.db/r);
    my ($exit) = $t->run('-t', '-q');
    $t->finish;
    $exit == 0;
};

sub server
{
    my $history = $has_store
        ? "[history]\nstore = data/history.db\nsync = 50ms" : '';
    return Test::Linnet->new(config => $config =~ s/%%HISTORY%%/$history/r,
        @_);
}

# name => pid of all processes.
sub everybody
{
    my ($t) = @_;
    my $s = $t->status or return;
    my %pid = (master => $s->{pid});
    $pid{"worker $_->{slot}"} = $_->{pid} for @{ $s->{workers} };
    $pid{store} = $s->{store}{pid} if $s->{store};
    return %pid;
}

# Delivered: no signal of this number is pending any more.
sub delivered
{
    my ($pid, $n) = @_;
    my $text = slurp("/proc/$pid/status");
    my ($pending) = $text =~ /^ShdPnd:\s+([0-9a-f]+)/m or return 1;
    return !(substr(reverse(unpack 'B*', pack 'H*', $pending), $n - 1, 1));
}

# Those that end a process by default although nothing is wrong with it.
my @harmless = grep { defined $number{$_} }
    qw(ALRM VTALRM PROF IO POLL PWR STKFLT XFSZ XCPU PIPE URG);
my %name = map { $number{$_} => $_ } @harmless;
$name{$_} = "real-time $_" for POSIX::SIGRTMIN() .. POSIX::SIGRTMAX();

my %for = (
    master => {},
    worker => { map { $number{$_} => $_ } qw(HUP INT USR1 USR2 WINCH) },
    store  => {
        map { $number{$_} => $_ } qw(HUP INT TERM QUIT USR1 USR2 WINCH)
    },
);

subtest 'harmless ones' => sub {
    my $t = server()->start;
    my %pid = everybody($t);
    my $clients = $t->connect('echo');
    for my $who (sort keys %pid) {
        my %all = (%name, %{ $for{ $who =~ s/ .*//r } });
        my @dead;
        for my $n (sort { $a <=> $b } keys %all) {
            kill $n => $pid{$who} or push @dead, "$all{$n} (gone before)";
            wait_for(sub { delivered($pid{$who}, $n) }, 5, "$all{$n} taken");
            push @dead, $all{$n} if !proc_alive($pid{$who});
            last if @dead;
        }
        is("@dead", '', "$who survives " . keys(%all) . ' signals');
    }
    is_deeply({ everybody($t) }, \%pid, 'nobody was replaced');
    $clients->write('x');
    is($clients->read_exact(1), 'x', 'a client is served on');
    ok($t->echoes, 'so is another');
    is(($t->ctl('reload'))[0], 0, 'it reloads');
    $t->finish;
};

# From the first moment on: a process that was just forked takes them, too.
subtest 'to the whole group, while processes come and go' => sub {
    my $t = server()->start;
    my $group = $t->{pid}; # spawn() made it the leader
    my $parent = $$;
    my $pid = fork // die $!;
    if (!$pid) {
        $SIG{TERM} = sub { POSIX::_exit(0) };
        my @all = map { $number{$_} } qw(ALRM USR1 PROF IO);
        while (getppid == $parent) {
            kill -$_ => $group or last for @all;
            select undef, undef, undef, 0.0002;
        }
        POSIX::_exit(0);
    }
    is(scalar(grep { ($t->ctl('reload'))[0] != 0 } 1 .. 8), 0,
        'eight reloads are done');
    kill TERM => $pid;
    waitpid $pid, 0;
    ok($t->echoes, 'it serves');
    $t->log_unlike(qr/was killed by signal/, 'nobody was killed');
    $t->finish;
};

subtest 'started with signals ignored and blocked' => sub {
    my $t = server();
    {
        local @SIG{qw(TERM QUIT HUP CHLD ALRM)} = ('IGNORE') x 5;
        my $set = POSIX::SigSet->new(POSIX::SIGQUIT(), POSIX::SIGHUP());
        my $old = POSIX::SigSet->new;
        POSIX::sigprocmask(POSIX::SIG_BLOCK(), $set, $old);
        $t->spawn;
        POSIX::sigprocmask(POSIX::SIG_SETMASK(), $old);
    }
    ok($t->wait_ready(20), 'it starts');
    $t->signal('HUP');
    ok($t->wait_ready(10, 2, 2), 'HUP reloads');
    is($t->stop('QUIT'), 0, 'QUIT ends it');
    $t->finish;
};

subtest 'what is wrong with a process ends it' => sub {
    my $t = server()->start;
    $t->expect_alert(qr/worker \d \(pid \d+\) was killed by signal/);
    for my $signal (qw(SEGV ABRT SYS)) {
        my ($pid) = $t->worker_pids;
        kill $signal => $pid;
        ok(wait_for(sub { my @w = $t->worker_pids;
                    @w == 2 && !grep { $_ == $pid } @w }, 20, 'another'),
            "$signal: the worker is replaced");
    }
    unlink glob($t->path('core*')), glob($t->path('*/core*'));
    $t->finish;
};

# ---- the end of the store's process --------------------------------------

subtest 'the master is killed' => sub {
    plan skip_all => 'this build has no store' if !$has_store;
    my $t = server()->start;
    my %pid = everybody($t);
    my $begin = time;
    kill KILL => $pid{master};
    $t->wait_exit;
    my $gone = wait_for(sub { !proc_alive($pid{store}) && time }, 10,
        'the store');
    ok($gone, 'the process of the store ends');
    cmp_ok($gone - $begin, '<', 0.5 * time_factor(), '... with the last worker');

    # A worker that still has a client may have something to write.
    $t->start;
    my $w = $t->websocket('web', '/chat');
    $w->send_json({ type => 'join', room => 'lobby', id => 1 });
    $w->json_like({ id => 1 });
    %pid = everybody($t);
    kill KILL => $pid{master};
    $t->wait_exit;
    is($w->wait_close, 1001, 'a client is told to go');
    ok(proc_alive($pid{store}), '... the store waits for it');
    $w->close(1001);
    $begin = time;
    my @workers = map { $pid{$_} } grep { /worker/ } keys %pid;
    ok(wait_for(sub { !grep { proc_alive($_) } @workers }, 10, 'workers'),
        '... when it has gone, the workers end');
    ok(wait_for(sub { !proc_alive($pid{store}) }, 10, 'the store'),
        '... and the store');
    cmp_ok(time - $begin, '<', 1 * time_factor(), '... at once');
    $t->finish;
};

# ---- the size of files ---------------------------------------------------

# Standard error through a pipe, which has no such limit.
sub limited
{
    my ($t, $blocks) = @_;
    my $pid = open my $out, '-|';
    defined $pid or die $!;
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or die $!;
        $ENV{ASAN_OPTIONS} = 'exitcode=99';
        chdir $t->prefix;
        exec '/bin/sh', '-c', "ulimit -f $blocks; exec \"\$@\"", 'sh',
            $t->command or die $!;
    }
    local $/;
    my $said = <$out>;
    close $out;
    return ($? & 127 ? 128 + ($? & 127) : $? >> 8, $said);
}

subtest 'a start with ulimit -f' => sub {
    my $t = server();
    my ($exit, $said) = limited($t, 0);
    is($exit, 1, 'nothing may be written: exit 1');
    like($said, qr{cannot write \S+/run/linnet\.pid: File too large},
        '... with the reason');
    ($exit, $said) = limited($t, 100);
    is($exit, 1, 'less than the shared memory: exit 1');
    like($said, qr{shared memory.*File too large.*ulimit -f},
        '... with the reason');
    is(scalar $t->processes, 0, 'no process is left');
    ok(!-e $t->path("run/$_"), "no $_ is left")
        for qw(linnet.pid control.sock);
    $t->finish;
};

sub limit_all
{
    my ($t, $bytes, @pids) = @_;
    return scalar grep {
        system('prlimit', '--pid', $_, "--fsize=$bytes:unlimited") != 0
    } @pids;
}

subtest 'ulimit -f of a server that runs' => sub {
    plan skip_all => 'no prlimit here'
        if (run_command('sh', '-c', 'command -v prlimit'))[0] != 0;
    my ($hard) = slurp('/proc/self/limits') =~ /^Max file size\s+\S+\s+(\S+)/m;
    plan skip_all => 'the size of files is limited here'
        if ($hard // '') ne 'unlimited';
    # Who may set a limit of another user's process is a matter of its own.
    my $t = server(args => $> ? [] : ['-o', 'server.user=root'])->start;
    my %pid = everybody($t);
    my $w = $t->websocket('web', '/chat');
    my $seq;
    my $say = sub {
        my ($text, $id) = @_;
        $w->send_json({ type => 'message', room => 'lobby', text => $text,
                id => $id });
        return $seq = ($w->json_like({ id => $id }) // {})->{seq};
    };
    $w->send_json({ type => 'join', room => 'lobby', id => 'j' });
    ok($w->json_like({ id => 'j' }), 'a client is there');
    my $fetch = sub { $t->http_get('web', '/metrics')->{status} };
    # The logs are past the limit, standard error is not.
    my $limit = 4000;
    my ($error, $access) = map { $t->path("logs/$_.log") } qw(error access);
    $fetch->() while -s $access < $limit;
    $t->ctl('reopen') while -s $error < $limit - 20;
    $limit = (-s $error) + 30; # in the middle of a line
    $fetch->() while -s $access < $limit;

    is(limit_all($t, $limit, values %pid), 0, 'the limit is set');
    is(scalar(grep { $fetch->() != 200 } 1 .. 50), 0, '50 requests');
    is(($t->ctl('reopen'))[0], 0, 'a command with a line in the log') for 1 .. 3;
    ok(scalar(grep { $say->('x' x 500, "a$_") } 1 .. 20) == 20,
        '20 messages are taken');
    ok($t->echoes, 'it serves');
    if ($has_store) {
        ok(wait_for(sub { $t->status->{store}{state} eq 'failing' }, 10,
                'trouble'), 'the store cannot be written, and says so');
    }
    is_deeply({ everybody($t) }, \%pid, 'all processes are there');
    cmp_ok(-s $error, '<=', $limit, 'the log is not larger than that');
    my $told = () = slurp($t->path('stderr.txt')) =~ /cannot write to/g;
    is($told, 1, 'standard error tells of it, once');

    is(limit_all($t, 'unlimited', values %pid), 0, 'no limit any more');
    my $size = -s $access;
    is($fetch->(), 200, 'a request');
    ok(wait_for(sub { -s $access > $size }, 5, 'a line'),
        '... is in the access log');
    $t->log_mark;
    is(($t->ctl('reopen'))[0], 0, 'a command');
    $t->log_like(qr/\[notice\] \d+#-: logs reopened$/m, '... is in the log');
    if ($has_store) {
        ok(wait_for(sub { my $s = $t->status->{store};
                    $s->{state} eq 'ready' && $s->{seq} >= $seq }, 20,
                'the store'), 'the store has all that was said');
    }
    is_deeply({ everybody($t) }, \%pid, 'all processes are there still');
    $t->finish;
};

done_testing;
