# The files of a running server.  Whichever of them is removed: no second server
# starts beside it, and a reload brings them back.

use strict;
use warnings;

use Fcntl qw(:flock);
use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(remove_tree);
use Socket ();
use Test::More;

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 2s

%%LISTEN_echo%%
INI

# A second start in the same folder that has nothing else in common with the
# first: (exit, what it said).
sub second
{
    my ($t, @how) = @_;
    my ($exit, $out, $err) = $t->run('-o',
        'listen echo.address=127.0.0.1:' . $t->port('second'),
        '-o', 'log.error=logs/second.log', @how);
    return ($exit, $err);
}

sub identity
{
    my ($path) = @_;
    my @st = lstat $path or return 'nothing';
    return "$st[0]:$st[1]";
}

sub restored
{
    my ($t, $pid, $how) = @_;
    ok(wait_for(sub { slurp($t->path('run/linnet.pid')) eq "$pid\n"
                && -S $t->path('run/control.sock') }, 5, 'the files'),
        "$how: pidfile and control socket are back");
    my @of = map { [(stat $t->path("run/$_"))[2, 4]] }
        qw(linnet.pid control.sock);
    is(sprintf('%04o', $of[0][0] & 07777),
        sprintf('%04o', 0644 & ~umask), '... mode of the pidfile');
    is(sprintf('%04o', $of[1][0] & 07777), '0660', '... of the socket');
    is("$of[0][1] $of[1][1]", "$> $>", '... and both are our own');
    is(($t->status // {})->{pid}, $pid, '... ctl reaches the server');
    return;
}

# How many descriptors of a process lead to the folder.
sub locks
{
    my ($t, $pid) = @_;
    my $folder = join ':', (stat $t->path('run'))[0, 1];
    return scalar grep { join(':', (stat)[0, 1]) eq $folder }
        glob "/proc/$pid/fd/*";
}

my @removals = (
    ['nothing'],
    ['the pidfile',        'linnet.pid'],
    ['the control socket', 'control.sock'],
    ['everything',         'linnet.pid', 'control.sock'],
);

subtest 'a second start' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    for (@removals) {
        my ($what, @files) = @$_;
        unlink $t->path("run/$_") for @files;
        my %before = map { $_ => identity($t->path("run/$_")) }
            qw(linnet.pid control.sock);
        for my $how ([], ['-d']) {
            my ($exit, $err) = second($t, @$how);
            is($exit, 1, "$what was removed: refused (@$how)");
            like($err, qr/another server \(pid $t->{pid}\)/, '... by its pid');
        }
        is(identity($t->path("run/$_")), $before{$_}, "... $_ is untouched")
            for sort keys %before;
        ok($t->echoes, '... the first serves on');
        $t->log_mark;
        kill HUP => $t->{pid} if @files;
        restored($t, $t->{pid}, 'HUP') if @files;
        for my $file (@files) {
            $t->log_like(qr{\[notice\].*\Q$file\E was gone and has been},
                "... the log tells of $file");
        }
        $t->log_unlike(qr/was gone/, '... the log is silent') if !@files;
    }
    is(($t->ctl('stop'))[0], 0, 'stopped');
    is($t->wait_exit, 0, 'exit 0');
    ok(!-e $t->path("run/$_"), "no $_ is left")
        for qw(linnet.pid control.sock);
    $t->finish;
};

# A supervisor starts the server again; the old master still drains.
subtest 'started again after an upgrade whose new master is killed' => sub {
    plan skip_all => 'connections move at once in this build (--with-debug)'
        if slurp(Test::Linnet->binary) !~ /LINNET_TEST_MOVE_PAUSE\0/;
    local $ENV{LINNET_TEST_MOVE_PAUSE} = 1500;
    my $t = Test::Linnet->new(config => $config
            =~ s/^workers.*/workers = 1/mr
            =~ s/^shutdown_timeout.*/shutdown_timeout = 60s/mr)->start;
    my $old = $t->{pid};
    my @clients = map { $t->connect('echo') } 1 .. 20;
    for my $c (@clients) {
        $c->write('x');
        $c->read_exact(1, 5);
    }
    is(($t->ctl('upgrade'))[0], 0, 'an upgrade');
    my $new = $t->master_pid;
    isnt($new, $old, '... to another master');
    is(locks($t, $new), 1, '... which has the lock');
    ok(wait_for(sub { locks($t, $old) == 0 }, 5, 'no lock'),
        '... and the old one has not') if proc_alive($old);
    my ($exit, $err) = second($t);
    is($exit, 1, 'a second start is refused');
    like($err, qr/another server \(pid $new\)/, '... by the new pid');
    ok(proc_alive($old), 'the old one drains');
    kill KILL => $new;
    wait_for(sub { !proc_alive($new) }, 5, 'its end');
    ($exit, undef, $err) = $t->run('-d');
    is($exit, 0, 'when the new one is killed a start works') or diag $err;
    ok(proc_alive($old), '... while the old one drains');
    ok($t->echoes, '... and it serves');
    kill TERM => $old;
    is($t->wait_exit, 0, 'the old one ends');
    is(slurp($t->path('run/linnet.pid')), ($t->status // {})->{pid} . "\n",
        '... the files are the third one\'s');
    is(($t->ctl('stop'))[0], 0, 'stopped');
    $t->finish;
};

# The lock of the folder is gone when ctl says that the server is.
subtest 'stopped and started at once' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    for (1 .. 4) {
        is(($t->ctl('stop'))[0], 0, 'stopped');
        delete $t->{pid};
        my ($exit, undef, $err) = $t->run('-d');
        is($exit, 0, '... and started') or diag $err;
    }
    is(($t->ctl('stop'))[0], 0, 'stopped');
    $t->finish;
};

subtest 'every kind of reload, also one that fails' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $lose = sub {
        unlink $t->path("run/$_") for @_;
        $t->log_mark;
    };
    $lose->('linnet.pid');
    is(($t->ctl('reload'))[0], 0, 'ctl reload');
    restored($t, $t->{pid}, 'ctl reload');
    $lose->('linnet.pid');
    is(($t->ctl('workers', 1))[0], 0, 'ctl workers');
    restored($t, $t->{pid}, 'ctl workers');
    $lose->('linnet.pid', 'control.sock');
    $t->write_config("$config\nnonsense = 1\n");
    kill HUP => $t->{pid};
    $t->log_like(qr/reload failed/, 'a configuration with errors');
    restored($t, $t->{pid}, 'a reload that fails');
    $t->write_config($config);
    $t->log_mark;
    is(($t->ctl('reload'))[0], 0, 'nothing is missing');
    $t->log_unlike(qr/was gone/, '... and nothing is made again');
    $t->finish;
};

subtest 'somebody waits in a socket whose file is removed' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $path = $t->path('run/control.sock');
    kill STOP => $t->{pid};
    my $early = Test::Linnet::Stream->connect(path => $path);
    $early->write(qq(["get","nothing"]\n));
    unlink $path;
    kill HUP => $t->{pid};
    kill CONT => $t->{pid};
    like($early->line(5) // 'nothing', qr/"ok":false/, 'it is answered');
    restored($t, $t->{pid}, 'HUP');
    $t->finish;
};

subtest 'the whole folder' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    remove_tree($t->path('run'));
    kill HUP => $t->{pid};
    restored($t, $t->{pid}, 'HUP');
    is(sprintf('%04o', (stat $t->path('run'))[2] & 07777),
        sprintf('%04o', 0755 & ~umask), 'mode of the folder');
    $t->log_like(qr/run_dir \S+ was gone and has been made again/,
        'the log tells of it');
    unlink $t->path("run/$_") for qw(linnet.pid control.sock);
    my ($exit, $err) = second($t);
    is($exit, 1, 'the new folder is locked, too');
    like($err, qr/\(pid $t->{pid}\)/, '... by its pid');
    kill HUP => $t->{pid};
    restored($t, $t->{pid}, 'HUP');
    $t->finish;
};

# Nothing is left that could tell a second server of the first.
subtest 'the whole folder, and another server takes the name' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    remove_tree($t->path('run'));
    my ($exit, $err) = second($t, '-d');
    is($exit, 0, 'another server starts') or diag $err;
    my $pid = $t->status->{pid};
    isnt($pid, $t->{pid}, '... and has the control socket');
    $t->log_mark;
    kill HUP => $t->{pid};
    $t->log_like(qr/\[error\].*another server \(pid $pid\)/,
        'a reload of the first leaves it alone, and says so');
    $t->log_like(qr/reloaded, generation 2/, '... and is done');
    is($t->status->{pid}, $pid, '... the socket is still that of the second');
    ok($t->echoes, '... the first serves on');
    kill TERM => $t->{pid};
    is($t->wait_exit, 0, 'the first ends');
    is(slurp($t->path('run/linnet.pid')), "$pid\n", '... the files stay');
    is(($t->ctl('stop'))[0], 0, 'the second, too');
    wait_for(sub { !$t->processes }, 10, 'every process to end');
    $t->finish;
};

subtest 'what a kill -9 leaves' => sub {
    for (@removals) {
        my ($what, @files) = @$_;
        my $t = Test::Linnet->new(config => $config)->start;
        my $old = $t->{pid};
        kill KILL => $t->processes;
        $t->wait_exit;
        wait_for(sub { !$t->processes }, 5, 'all to be gone');
        unlink $t->path("run/$_") for @files;
        $t->start;
        isnt($t->{pid}, $old, "$what was removed: the next one starts");
        restored($t, $t->{pid}, '...');
        $t->finish;
    }
};

# The lock is of those who read the folder: not of linnet alone.
subtest 'a lock of another program' => sub {
    my $t = Test::Linnet->new(config => $config);
    open my $fh, '<', $t->path('run') or die $!;
    flock $fh, LOCK_EX | LOCK_NB or die $!;
    $t->start;
    ok($t->echoes, 'the server starts');
    like(slurp($t->path('stderr.txt')),
        qr/\[warn\].*another program holds a lock on \S+run/,
        '... and says what it found');
    my ($exit, $err) = second($t);
    is($exit, 1, 'a second one is refused');
    like($err, qr/\(pid $t->{pid}\)/, '... by its pid');
    unlink $t->path('run/linnet.pid');
    ($exit, $err) = second($t);
    is($exit, 1, '... without a pidfile, too');
    like($err, qr/\(pid $t->{pid}\)/, '... by its pid');
    close $fh;
    kill HUP => $t->{pid};
    restored($t, $t->{pid}, 'HUP');
    unlink $t->path("run/$_") for qw(linnet.pid control.sock);
    ($exit, $err) = second($t);
    is($exit, 1, 'a reload has taken the lock');
    like($err, qr/\(pid $t->{pid}\)/, '... the pid is known');
    $t->finish;
};

subtest 'upgrade' => sub {
    my $t = Test::Linnet->new(config => $config);
    $t->install_binary;
    $t->start;
    my $old = $t->{pid};
    unlink $t->path("run/$_") for qw(linnet.pid control.sock);
    $t->signal('USR2') if $t->master_pid == $old;
    my $new = wait_for(sub { my $s = $t->status or return;
            $s->{pid} != $old && $s->{pid} }, 20, 'the new one');
    ok($new, 'upgraded, although the files were gone') or die;
    is($t->wait_exit, 0, 'the old one has ended');
    restored($t, $new, 'the new one');
    is(locks($t, $new), 1, '... and has the lock of the folder, once');
    for (@removals) {
        my ($what, @files) = @$_;
        unlink $t->path("run/$_") for @files;
        my ($exit, $err) = second($t);
        is($exit, 1, "$what was removed: a second start is refused");
        like($err, qr/\(pid $new\)/, '... by its pid');
        kill HUP => $new;
        restored($t, $new, 'HUP');
    }
    is(($t->ctl('upgrade'))[0], 0, 'and once more');
    wait_for(sub { !proc_alive($new) }, 10, 'the second to end');
    my $s = $t->status;
    is(locks($t, $s->{pid}), 1, '... the third has it, once');
    is(locks($t, $_), 0, "... not worker $_") for $t->worker_pids;
    is(($t->ctl('stop'))[0], 0, 'stopped');
    delete $t->{pid};
    is(($t->run('-d'))[0], 0, '... and started at once');
    is(($t->ctl('stop'))[0], 0, 'stopped');
    wait_for(sub { !$t->processes }, 10, 'every process to end');
    $t->finish;
};

subtest 'in the middle of an upgrade' => sub {
    my $t = Test::Linnet->new(config => $config);
    $t->install_binary;
    $t->start;
    my $ready = $t->path('ready');
    for my $files ([], ['linnet.pid.old'], ['control.sock'],
        ['linnet.pid.old', 'control.sock']) {
        unlink $ready;
        $t->install_binary("#!/bin/sh\necho >'$ready'\nexec sleep 60\n");
        my $pid = fork // die $!;
        if (!$pid) {
            open STDERR, '>', '/dev/null' or die $!;
            exec $t->command('ctl', 'upgrade') or die;
        }
        ok(wait_for(sub { -s $ready }, 10, 'the new binary'),
            "an upgrade (removed: @$files)");
        unlink $t->path("run/$_") for @$files;
        my ($exit, $err) = second($t);
        is($exit, 1, 'a second start is refused');
        like($err, qr/\(pid $t->{pid}\)/, '... by its pid');
        my ($child) = grep { slurp("/proc/$_/stat") =~ /\) \S $t->{pid} /
                && slurp("/proc/$_/cmdline") =~ /^sleep/ }
            map { m{(\d+)$} } glob '/proc/[0-9]*';
        kill KILL => $child if $child;
        waitpid $pid, 0;
        isnt($?, 0, 'the upgrade fails');
        restored($t, $t->{pid}, 'the old one goes on');
    }
    $t->install_binary;
    is(($t->ctl('upgrade'))[0], 0, 'now it can be upgraded');
    $t->wait_exit;
    my $new = $t->status->{pid};
    restored($t, $new, 'the new one');
    is(($t->ctl('stop'))[0], 0, 'stopped');
    wait_for(sub { !$t->processes }, 10, 'every process to end');
    $t->finish;
};

# ---- listening unix sockets ----------------------------------------------

my $unix = <<'INI';
[server]
workers = 2

[listen echo]
address = unix:run/echo.sock
address = 127.0.0.1:%%PORT_echo%%
app     = echo
mode    = 640
INI

subtest 'a listening unix socket' => sub {
    my $t = Test::Linnet->new(config => $unix);
    $t->install_binary;
    $t->start;
    my $path = $t->path('run/echo.sock');
    my $before = $t->connect('unix:echo');
    $before->write('a');
    is($before->read_exact(1), 'a', 'somebody is connected');
    for my $how (qw(reload reload upgrade)) {
        unlink $path;
        $t->log_mark;
        is(($t->ctl($how))[0], 0, "$how after its file was removed");
        ok(wait_for(sub { $t->echoes('unix:echo') }, 5, 'an echo'),
            '... it is there again');
        is(sprintf('%o', (stat $path)[2] & 07777), '640', '... with its mode');
        $t->log_like(qr{listen echo\]: the file of unix:\S+ was gone},
            '... the log tells of it');
        $before->write('b');
        is($before->read_exact(1), 'b', '... the connection has moved');
        ok($t->echoes, '... its other address is served');
    }
    $t->wait_exit;
    my $file = identity($path);
    is(($t->ctl('reload'))[0], 0, 'a reload with nothing missing');
    is(identity($path), $file, '... leaves the file alone');

    # A reload that fails after it was made must not leave one behind that
    # leads nowhere.
    unlink $path;
    $t->write_config($unix
            . "\n[listen bad]\naddress = 192.0.2.1:1\napp = echo\n");
    is(($t->ctl('reload'))[0], 1, 'a reload that fails');
    ok(!-e $path, '... does not leave a socket that leads nowhere');
    $t->write_config($unix);
    is(($t->ctl('reload'))[0], 0, 'the next one');
    ok($t->echoes('unix:echo'), '... serves there again');
    $before->close;
    is(($t->ctl('stop'))[0], 0, 'stopped');
    wait_for(sub { !$t->processes }, 10, 'every process to end');
    ok(!-e $path, 'no file is left');
    $t->finish;
};

subtest 'a unix socket of somebody else in its place' => sub {
    my $t = Test::Linnet->new(config => $unix)->start;
    my $path = $t->path('run/echo.sock');
    unlink $path;
    socket my $s, Socket::PF_UNIX(), Socket::SOCK_STREAM(), 0 or die $!;
    bind $s, Socket::pack_sockaddr_un($path) or die $!;
    listen $s, 5 or die $!;
    chmod 0600, $path;
    my $file = identity($path);
    is(($t->ctl('reload'))[0], 0, 'a reload');
    $t->log_like(qr/\[error\].*\[listen echo\]: .*echo\.sock .*in use/i,
        '... says that it is lost');
    is(identity($path), $file, '... and leaves it alone');
    is(sprintf('%o', (stat $path)[2] & 07777), '600', '... its mode, too');
    ok($t->echoes, '... the other address is served');
    close $s;
    is(($t->ctl('reload'))[0], 0, 'a reload when its owner has gone');
    ok($t->echoes('unix:echo'), '... takes it back');
    unlink $path;
    spew($path, "precious\n");
    is($t->stop, 0, 'stopped');
    is(slurp($path), "precious\n", 'what somebody put there is left alone');
    $t->finish;
};

# ---- the store -----------------------------------------------------------

subtest 'the lock beside the store' => sub {
    my $t = Test::Linnet->new(config => "$config\n[history]\n"
            . "store = data/history.db\n")->start;
    my $lock = $t->path('data/history.db.lock');
    my $pid = slurp($lock);
    if ($t->status->{store}) {
        unlink $lock;
        is(($t->ctl('reload'))[0], 0, 'a reload after it was removed');
        ok(wait_for(sub { slurp($lock) eq $pid }, 5, 'the lock'),
            'it is back');
        $t->log_like(qr{history\.db\.lock was gone and has been written},
            '... the log tells of it');
    }
    $t->finish;
};

done_testing;
