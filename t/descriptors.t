# Started with standard input, output or error closed, in every combination:
# no socket, log or pidfile gets one of these numbers, so nothing is written
# to the wrong place, and every command still says the truth by its status.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;

use Test::Linnet;

my $config = <<'INI';
[server]
workers = 1

%%LISTEN_echo%%

[log]
error  = %%LOG%%
access = stderr
level  = debug
INI

my @sets = map {
    my $n = $_;
    [grep { $n >> $_ & 1 } 0 .. 2]
} 0 .. 7;

# Runs the command with these descriptors closed and the others on /dev/null:
# the exit status, or undef if it has not ended in time.
sub without
{
    my ($closed, $wait, @cmd) = @_;
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        for my $fd (0 .. 2) {
            my $null = POSIX::open('/dev/null', POSIX::O_RDWR());
            POSIX::dup2($null, $fd);
            POSIX::close($null) if $null > 2;
        }
        POSIX::close($_) for @$closed;
        no warnings 'exec';
        exec { $cmd[0] } @cmd;
        POSIX::_exit(127);
    }
    return $pid if !$wait;
    my $status;
    wait_for(sub { waitpid($pid, POSIX::WNOHANG()) == $pid
                ? defined($status = $?) : 0 }, 20, "@cmd[5 .. $#cmd]");
    return if !defined $status;
    return $status & 127 ? 128 + ($status & 127) : $status >> 8;
}

# What 0, 1 and 2 of a process lead to.
sub standard
{
    my ($pid) = @_;
    return map { readlink("/proc/$pid/fd/$_") // 'closed' } 0 .. 2;
}

sub serves
{
    my ($t, $how) = @_;
    ok($t->echoes, "$how: it serves");
    my $s = $t->status or return;
    is(slurp($t->path('run/linnet.pid')), "$s->{pid}\n",
        '... the pidfile has the pid and nothing else');
    for my $pid ($s->{pid}, $t->worker_pids) {
        is_deeply([standard($pid)], [('/dev/null') x 3],
            '... 0, 1 and 2 of ' . $t->title($pid) . ' are /dev/null');
    }
    return;
}

for my $closed (@sets) {
    my $name = @$closed ? "without @$closed" : 'with all three';
    subtest $name => sub {
        for my $log ('logs/error.log', 'stderr') {
            my $t = Test::Linnet->new(config => $config =~ s/%%LOG%%/$log/r);
            my @cmd = $t->command;
            is(without($closed, 1, @cmd, '-t'), 0, "-t: 0 (log: $log)");
            is(without($closed, 1, @cmd, '-T'), 0, '-T: 0');
            is(without($closed, 1, @cmd, '-o', 'server.workers=none', '-t'),
                78, '-t of a bad configuration: 78');
            is(without($closed, 1, @cmd, 'ctl', 'status'), 1,
                'ctl, and nobody is there: 1');

            $t->{pid} = without($closed, 0, @cmd);
            ok($t->wait_ready(20), 'in the foreground') or next;
            serves($t, 'foreground');
            is(without($closed, 1, @cmd, 'ctl', 'status'), 0, 'ctl status: 0');
            is(without($closed, 1, @cmd, 'ctl', 'get', 'nothing'), 1,
                'ctl get of what is not set: 1');
            is(without($closed, 1, @cmd, '-s', 'reload'), 0, '-s reload: 0');
            serves($t, 'reloaded');
            is(without($closed, 1, @cmd), 1, 'a second start: 1');
            serves($t, 'after that');
            is(without($closed, 1, @cmd, 'ctl', 'stop'), 0, 'ctl stop: 0');
            is($t->wait_exit(10), 0, 'the master ends with 0');

            is(without($closed, 1, @cmd, '-d'), 0, '-d: 0');
            serves($t, '-d');
            is(without($closed, 1, @cmd, '-d'), 1, '-d once more: 1');
            is(($t->ctl('stop'))[0], 0, 'stopped');
            wait_for(sub { !$t->processes }, 10, 'every process to end');
            ok(!-e $t->path('run/linnet.pid'), 'no pidfile is left');
            $t->finish;
        }
    };
}

subtest 'what is open stays as it is' => sub {
    my $t = Test::Linnet->new(
        config => $config =~ s{%%LOG%%}{logs/error.log}r)->start;
    my @of = standard($t->{pid});
    is($of[1], $t->path('stdout.txt'), 'standard output');
    is($of[2], $t->path('stderr.txt'), 'standard error');
    my ($exit, $out) = $t->ctl('status');
    like($out, qr/generation 1/, 'ctl prints to its own');
    $t->finish;
};

subtest 'the new binary of an upgrade' => sub {
    my $t = Test::Linnet->new(
        config => $config =~ s{%%LOG%%}{logs/error.log}r);
    # The old master has them, its successor is started without.
    $t->install_binary;
    $t->start;
    my $old = $t->status->{pid};
    my $real = $t->{original};
    $t->install_binary("#!/bin/sh\nexec '$real' \"\$@\" 0<&- 1>&- 2>&-\n");
    is(($t->ctl('upgrade'))[0], 0, 'upgraded');
    $t->wait_exit(10);
    isnt($t->status->{pid}, $old, 'another master');
    delete $t->{binary};
    serves($t, 'the new one');
    is(($t->ctl('stop'))[0], 0, 'stopped');
    wait_for(sub { !$t->processes }, 10, 'every process to end');
    $t->finish;
};

# A folder as root that has no /dev.
subtest 'no /dev/null' => sub {
    plan skip_all => 'only root may change the root' if $> != 0;
    my $t = Test::Linnet->new(
        config => $config =~ s{%%LOG%%}{logs/error.log}r);
    my $root = $t->path('root');
    mkdir $root or die $!;
    my %need = ($t->binary => 'linnet');
    for (`ldd '@{[$t->binary]}' 2>&1`) {
        $need{$1} = $1 if m{(/\S+) \(0x};
    }
    for my $from (sort keys %need) {
        my $to = "$root/$need{$from}";
        $to =~ m{^(.*)/};
        system('mkdir', '-p', $1) == 0 && system('cp', '-L', $from, $to) == 0
            or plan skip_all => "cannot copy $from";
    }
    my $run = sub {
        my (@closed) = @_;
        my $pid = fork // die $!;
        if (!$pid) {
            open STDERR, '>', $t->path('said') or die $!;
            POSIX::close($_) for @closed;
            $ENV{ASAN_OPTIONS} = 'detect_leaks=0'; # that needs /proc
            chroot $root or POSIX::_exit(126);
            no warnings 'exec';
            exec { '/linnet' } '/linnet', '-v';
            POSIX::_exit(127);
        }
        waitpid $pid, 0;
        return ($? & 127 ? 128 + ($? & 127) : $? >> 8, slurp($t->path('said')));
    };
    my ($exit, $said) = $run->();
    plan skip_all => "the program does not run there: $exit $said" if $exit;
    ($exit, $said) = $run->(0);
    is($exit, 1, 'standard input closed: 1');
    like($said, qr{^linnet: .*standard input .*/dev/null.*No such file}m,
        '... and the reason');
    ($exit, $said) = $run->(0 .. 2);
    is($exit, 1, 'all closed: 1');
    $t->finish;
};

done_testing;
