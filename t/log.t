# The log: targets, format, levels, reopening after it was moved.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

sub config
{
    my ($log) = @_;
    return <<"INI";
[server]
workers     = 2
load_module = %%MODULE_trouble%%

[log]
$log

[listen trouble]
address  = 127.0.0.1:%%PORT_trouble%%
protocol = line
app      = trouble
INI
}

# One client that has a line logged, and knows by the answer that it was.
sub say_it
{
    my ($t, $text) = @_;
    my $c = $t->connect('trouble');
    $c->write("log $text\n");
    return ($c->line(5) // '') eq 'logged';
}

# The files that a process has open below the prefix's logs.
sub log_files
{
    my ($t, $pid) = @_;
    my %seen;
    for my $fd (glob "/proc/$pid/fd/*") {
        my $to = readlink $fd or next;
        $seen{$to} = 1 if index($to, $t->path('logs/')) == 0;
    }
    return sort keys %seen;
}

for my $how (['SIGUSR1', sub { $_[0]->signal('USR1') }],
    ['ctl reopen', sub { is(($_[0]->ctl('reopen'))[0], 0, 'exit 0') }],
    ['-s reopen', sub { is(($_[0]->run('-s', 'reopen'))[0], 0, 'exit 0') }]) {
    my ($name, $reopen) = @$how;
    subtest "$name after the log was moved" => sub {
        my $t = Test::Linnet->new(
            config => config("error = logs/error.log\nlevel = notice"))->start;
        my ($new, $old) = ($t->log_path, $t->path('logs/error.log.1'));
        ok(say_it($t, 'before'), 'a line before');
        rename $new, $old or die $!;
        ok(say_it($t, 'between'), 'a line after moving');
        like(slurp($old), qr/trouble says: between;/,
            '... still goes to the old file');
        $reopen->($t);
        my @pids = $t->processes;
        is(scalar @pids, 3, 'master and workers');
        for my $pid (@pids) {
            my $does = sub { "@{[log_files($t, $pid)]}" eq $new };
            # A command ends when it is done; a signal is only taken.
            ok($name =~ /reopen/ ? $does->()
                    : wait_for($does, 5, "$pid to write to the new file"),
                'process ' . $t->title($pid) . ' writes to the new file');
        }
        my $size = -s $old;
        ok(say_it($t, "after $_"), 'a line afterwards') for 1 .. 8;
        is(scalar(() = slurp($new) =~ /trouble says: after \d;/g), 8,
            '... all are in the new file');
        is(-s $old, $size, 'nothing goes to the old one');
        $t->finish;
    };
}

subtest 'done means done everywhere' => sub {
    my $t = Test::Linnet->new(
        config => config("error = logs/error.log\nlevel = notice"))->start;
    my ($stopped) = $t->worker_pids;
    for my $words (['reopen'], ['log-level', 'info']) {
        kill STOP => $stopped;
        ok(wait_for(sub { slurp("/proc/$stopped/stat") =~ /\) T / }, 5,
                'a stop'),
            "@$words: a worker stands still");
        my $pid = $t->ctl_background(@$words);
        # Whoever asks later is answered first.
        is(($t->ctl('get', 'nothing'))[0], 1, '... the master serves others')
            for 1 .. 3;
        is(waitpid($pid, POSIX::WNOHANG()), 0, '... the command waits');
        kill CONT => $stopped;
        waitpid $pid, 0;
        is($? >> 8, 0, '... until that one has done it, too');
    }
    $t->finish;
};

subtest 'rotation under load loses no line' => sub {
    my $t = Test::Linnet->new(
        config => config("error = logs/error.log\nlevel = notice"))->start;
    my @writers;
    for my $w (1 .. 4) {
        my $pid = fork // die $!;
        if (!$pid) {
            my $c = $t->connect('trouble');
            my $n = 0;
            while ($n++ < 1500 || !-e $t->path('run/enough')) {
                $c->write("log $w.$n " . 'x' x ($n % 300) . "\n");
                ($c->line(20) // '') eq 'logged' or POSIX::_exit(1);
            }
            spew($t->path("run/lines.$w"), $n - 1);
            POSIX::_exit(0);
        }
        push @writers, $pid;
    }
    my $rotations = 0;
    my %left = map { $_ => 1 } @writers;
    my $failed = 0;
    while (%left) {
        rename $t->log_path, $t->path("logs/error.log.$rotations");
        $rotations++;
        my ($exit, $out, $err) = $t->ctl('reopen');
        is($exit, 0, 'reopened') or diag $err if $exit != 0;
        spew($t->path('run/enough'), '') if $rotations == 5;
        for my $pid (keys %left) {
            next if waitpid($pid, POSIX::WNOHANG()) == 0;
            $failed++ if $?;
            delete $left{$pid};
        }
    }
    is($failed, 0, 'every writer was answered');
    cmp_ok($rotations, '>=', 5, "$rotations rotations");
    my $lines = 0;
    $lines += slurp($t->path("run/lines.$_")) for 1 .. 4;
    my (%seen, @torn);
    for my $file (glob $t->path('logs/error.log*')) {
        for my $line (split /\n/, slurp($file)) {
            if ($line !~ s/^\d{4}\/\d\d\/\d\d [\d:]{8} \[\w+\] \d+#[-\d]//) {
                push @torn, $line;
            } elsif ($line =~ /^ \*\d+: trouble says: (\d+\.(\d+)) (x*);$/) {
                push @torn, $line if length $3 != $2 % 300;
                $seen{$1}++;
            }
        }
    }
    is(scalar keys %seen, $lines, "all $lines lines are there");
    is(scalar(grep { $_ != 1 } values %seen), 0, '... once each');
    is("@torn", '', '... none is torn');
    $t->finish;
};

subtest 'reopened in the middle of a reload' => sub {
    my $with = sub {
        return config("error = logs/$_[0].log\naccess = logs/access.log\n"
                . "level = notice") . "[trouble]\nfile = run/hold\n";
    };
    my $t = Test::Linnet->new(config => $with->('error'))->start;
    my $access = $t->path('logs/access.log');
    # New workers wait until they may read what they are to do.
    POSIX::mkfifo($t->path('run/hold'), 0644) or die $!;
    $t->write_config($with->('other'));
    $t->signal('HUP');
    ok(wait_for(sub { 2 == grep { 1 } $t->workers('starting') }, 10, 'both'),
        'a reload begins');
    rename $access, "$access.1" or die $!;
    $t->signal('USR1');
    ok(wait_for(sub { $t->log_text =~ /logs reopened/ }, 10, 'reopened'),
        'the logs are reopened');
    spew($t->path('run/hold'), "ok\nok\n");
    ok($t->wait_ready(10, 2, 2), 'the reload ends');
    my $want = join ' ', $access, $t->path('logs/other.log');
    for my $pid ($t->{pid}, $t->worker_pids) {
        ok(wait_for(sub { "@{[log_files($t, $pid)]}" eq $want }, 5, 'files'),
            "$pid writes to the new files")
            or diag join ' ', log_files($t, $pid);
    }
    $t->finish;
};

subtest 'reopened in the middle of an upgrade' => sub {
    my $t = Test::Linnet->new(copy_binary => 1,
        config => config("error = logs/error.log\naccess = logs/access.log\n"
                . "level = notice") . "[trouble]\nfile = run/hold\n")->start;
    my $old = $t->{pid};
    my @logs = map { $t->path("logs/$_.log") } qw(access error);
    POSIX::mkfifo($t->path('run/hold'), 0644) or die $!;
    $t->signal('USR2');
    ok(wait_for(sub { $t->processes == 6 }, 10, 'all'), 'an upgrade begins');
    rename $_, "$_.1" or die $! for @logs;
    is(($t->ctl('reopen'))[0], 0, 'the logs are reopened');
    spew($t->path('run/hold'), "ok\nok\n");
    ok(wait_for(sub {
        my $s = $t->status or return;
        return $s->{pid} != $old && !proc_alive($old);
    }, 15, 'the end'), 'the upgrade ends');
    for my $pid ($t->status->{pid}, $t->worker_pids) {
        ok(wait_for(sub { "@{[log_files($t, $pid)]}" eq "@logs" }, 5, 'files'),
            "$pid writes to the new files")
            or diag join ' ', log_files($t, $pid);
    }
    $t->finish;
};

subtest 'a log that cannot be reopened' => sub {
    my $t = Test::Linnet->new(
        config => config("error = logs/sub/error.log\nlevel = notice"),
        files => { 'logs/sub/.keep' => '' })->start;
    rename $t->path('logs/sub'), $t->path('logs/moved') or die $!;
    spew($t->path('logs/sub'), 'a file where a folder should be');
    my ($exit, $out, $err) = $t->ctl('reopen');
    is($exit, 1, 'exit 1');
    like($err, qr{logs/sub/error\.log.*Not a directory}i,
        '... with the reason');
    ok(say_it($t, 'still'), 'the server serves on');
    like(slurp($t->path('logs/moved/error.log')), qr/trouble says: still;/,
        '... and logs where it did');
    unlink $t->path('logs/sub');
    rename $t->path('logs/moved'), $t->path('logs/sub') or die $!;
    is(($t->ctl('reopen'))[0], 0, 'repaired: exit 0');
    $t->finish;
};

subtest 'stderr' => sub {
    my $t = Test::Linnet->new(config => config('error = stderr'))->start;
    ok(say_it($t, 'to stderr'), 'a line');
    like(slurp($t->path('stderr.txt')),
        qr/\[notice\] \d+#\d.*trouble says: to stderr;/, '... is on stderr');
    is(($t->ctl('reopen'))[0], 0, 'reopen has nothing to do');
    ok(!-e $t->log_path, 'no file');
    $t->finish;
};

subtest 'off' => sub {
    my $t = Test::Linnet->new(config => config('error = off'))->start;
    ok(say_it($t, 'to nobody'), 'a line');
    is(slurp($t->path('stderr.txt')), '', 'nothing on stderr');
    is(($t->ctl('reopen'))[0], 0, 'reopen has nothing to do');
    ok(!-e $t->log_path, 'no file');
    $t->finish;
};

# What goes wrong at the start is on stderr, too; nothing is after it.
subtest 'errors of those that serve' => sub {
    my $t = Test::Linnet->new(config => config(''),
        args => ['-o', 'server.open_files=64', '-o', 'server.workers=1']);
    $t->start;
    my @c = map { $t->connect('trouble') } 1 .. 64;
    $t->log_like(qr/\[error\].*cannot accept/, 'an error in the log');
    ok(
        wait_for(
            sub { $t->status->{counters}{refused_no_descriptor_total} },
            5, 'a refusal'
        ),
        'it has been told'
    );
    is(slurp($t->path('stderr.txt')), '', 'nothing on stderr');
    $t->finish;
};

subtest 'syslog' => sub {
    plan skip_all => 'only root can stand in for the system log' if $>;
    plan skip_all => 'this machine has a system log' if -e '/dev/log';
    socket my $log, PF_UNIX, SOCK_DGRAM, 0 or die $!;
    bind $log, pack_sockaddr_un('/dev/log')
        or plan skip_all => "cannot make /dev/log: $!";
    chmod 0666, '/dev/log';
    my $t = Test::Linnet->new(config => config('error = syslog'));
    my $ok = eval {
        $t->start;
        ok(say_it($t, 'to syslog'), 'a line');
        my $found;
        my $end = time + 5 * time_factor();
        while (!$found && time < $end) {
            my $r = '';
            vec($r, fileno $log, 1) = 1;
            select $r, undef, undef, 0.2 or next;
            recv $log, my $text, 8192, 0;
            $found = $text if $text =~ /trouble says: to syslog/;
        }
        like($found // '', qr/^<\d+>.*linnet/, '... is in the system log');
        my ($pri) = ($found // '') =~ /^<(\d+)>/;
        is(($pri // 0) & 7, 5, '... as a notice');
        is(slurp($t->path('stderr.txt')), '', 'nothing on stderr');
        1;
    };
    diag $@ unless $ok;
    close $log;
    unlink '/dev/log';
    ok(say_it($t, 'to nobody'), 'the system log going away harms nobody')
        if $ok;
    ok($ok, 'no error');
    $t->finish;
};

subtest 'a full disk' => sub {
    plan skip_all => 'no /dev/full' unless -c '/dev/full';
    my $t = Test::Linnet->new(config => config('error = /dev/full'))->start;
    ok(say_it($t, 'to a full disk') && say_it($t, 'again'),
        'it serves all the same');
    is(($t->ctl('reload'))[0], 0, '... and reloads');
    ok(say_it($t, 'once more'), '... and serves');
    $t->finish;
};

subtest 'json' => sub {
    my $t = Test::Linnet->new(
        config => config("error = logs/error.log\nformat = json"))->start;
    ok(say_it($t, qq{a "quoted" \\ \t word}), 'a line with special characters');
    ok(say_it($t, "\xff\xfe bytes"), 'a line that is no UTF-8');
    my @lines = split /\n/, slurp($t->log_path);
    my @objects = map {
        my $line = $_;
        eval { JSON::PP->new->utf8->decode($line) } // "$line: $@"
    } @lines;
    my @bad = grep { !ref } @objects;
    is("@bad", '', 'each line is an object');
    my ($it) = grep { ref && ($_->{message} // $_->{text} // $_->{msg} // '')
            =~ /trouble says/ } @objects;
    ok($it, 'the line is there') or diag @lines;
    is($it->{level}, 'notice', '... its level');
    like($it->{pid}, qr/^\d+$/, '... its process');
    ok(grep({ /trouble says: a "quoted" \\ \t word;/ } values %$it),
        '... its text');
    $t->finish;
};

subtest 'levels' => sub {
    my $t = Test::Linnet->new(
        config => config("error = logs/error.log\nlevel = warn"))->start;
    ok(say_it($t, 'a notice'), 'a notice');
    $t->log_unlike(qr/\[(notice|info|debug)\]/, 'is not logged at level warn');
    my ($exit) = $t->reload(config("error = logs/error.log\nlevel = notice"));
    is($exit, 0, 'reloaded with level notice');
    ok(say_it($t, 'another'), 'another');
    $t->log_like(qr/trouble says: another;/, '... is logged');
    ($exit) = $t->reload(config("error = logs/other.log\nlevel = notice"));
    is($exit, 0, 'reloaded with another file');
    ok(say_it($t, 'elsewhere'), 'a line');
    like(slurp($t->path('logs/other.log')), qr/trouble says: elsewhere;/,
        '... is there');
    $t->finish;
};

subtest 'ctl log-level' => sub {
    my $t = Test::Linnet->new(
        config => config("error = logs/error.log\nlevel = notice"))->start;
    my ($exit, $out, $err) = $t->ctl('log-level', 'warn');
    is($exit, 0, 'warn') or diag $err;
    # The command goes to the workers in order; by the next one it is there.
    is(($t->ctl('broadcast', 'quiet'))[0], 0, 'a broadcast');
    ok(say_it($t, 'unheard'), 'a notice');
    $t->log_unlike(qr/unheard/, 'is not logged');
    is(($t->ctl('log-level', 'notice'))[0], 0, 'notice');
    is(($t->ctl('broadcast', 'loud'))[0], 0, 'a broadcast');
    $t->log_like(qr/trouble heard: loud/, 'is logged');
    $t->log_unlike(qr/trouble heard: quiet/, '... unlike the first one');
    ok(say_it($t, 'heard'), 'a notice');
    $t->log_like(qr/trouble says: heard;/, 'is logged');
    ($exit, $out, $err) = $t->ctl('log-level', 'loud');
    isnt($exit, 0, 'an unknown level is refused');
    like($err, qr/debug.*notice.*alert/, '... with those known');
    $t->finish;
};

subtest 'debug breaks nothing' => sub {
    my $t = Test::Linnet->new(
        config => config("error = logs/error.log\nlevel = debug"))->start;
    ok(say_it($t, "line $_"), "line $_") for 1 .. 3;
    is(($t->ctl('reload'))[0], 0, 'reloaded');
    ok(say_it($t, 'after'), 'and another');
    $t->finish;
};

done_testing;
