# An upgrade that fails says why: on standard error of who asked, and in the
# error log of the server, which serves on as it was.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket;
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Build;

my $trouble = Test::Linnet::Build::module('trouble');
my $config = <<"INI";
[server]
workers       = 2
start_timeout = 20s
load_module   = $trouble

%%LISTEN_echo%%

[trouble]
file = run/trouble
INI

sub server { return Test::Linnet->new(config => $config, copy_binary => 1, @_) }

# All ways to ask for an upgrade give the reasons, and nothing else has changed.
sub refuses
{
    my ($t, $what, @reasons) = @_;
    my $before = $t->status;
    my $c = $t->connect('echo');
    my $seen = sub {
        $t->log_like(qr/\[error\] [^\n]*upgrade failed[^\n]*: [^\n]*$_/,
            '... in the log', 20) for @reasons;
        $t->log_unlike(qr/upgrade failed.*\\n/, '... a line for each line');
        return;
    };
    for my $how (['ctl', 'upgrade'], ['-s', 'upgrade']) {
        $t->log_mark;
        my ($exit, $out, $err) = $t->run({ timeout => 60 }, @$how);
        is($exit, 1, "$what, @$how: exit 1");
        like($err, $_, '... with the reason') for @reasons;
        cmp_ok(length $err, '<', 20_000, '... not without an end');
        is($out, '', '... nothing on standard output');
        $seen->();
    }
    $t->log_mark;
    $t->signal('USR2');
    $t->log_like(qr/upgrading: starting/, "$what, USR2");
    $seen->();
    my $s = $t->status;
    is($s->{pid}, $before->{pid}, '... the old master');
    is_deeply([sort map { $_->{pid} } @{ $s->{workers} }],
        [sort map { $_->{pid} } @{ $before->{workers} }],
        '... the old workers');
    ok($c->echoes, '... a client is served');
    is(slurp($t->path('run/linnet.pid')), "$before->{pid}\n",
        '... its pidfile');
    ok(!-e $t->path('run/linnet.pid.old'), '... and no other');
    ok(wait_for(sub { $t->processes == 3 }, 10, 'three processes'),
        '... nobody else is left');
    return;
}

# Of a server in the foreground, and of one whose standard error is /dev/null.
sub both
{
    my ($name, $spoil, @reasons) = @_;
    for my $args ([], ['-d']) {
        subtest join(' ', $name, @$args) => sub {
            my $t = server();
            $t->allow_alert(qr/signal 6/);
            if (@$args) {
                $t->spawn(@$args);
                is($t->wait_exit(20), 0, 'detached');
            } else {
                $t->spawn;
            }
            $t->wait_ready(20, 2) or die $t->evidence;
            $spoil->($t);
            refuses($t, $name, @reasons);
            # Repaired, it works.
            $t->install_binary;
            $t->write_config($config);
            unlink $t->path('run/trouble');
            my ($exit, undef, $err) = $t->ctl('upgrade');
            is($exit, 0, 'repaired, it works') or diag $err;
            $t->finish;
        };
    }
    return;
}

both('a broken configuration',
    sub { $_[0]->write_config("$config\n[limits]\nmesage_size = 1\nbad = 2\n") },
    qr/conf\/server\.ini:14: .*mesage_size.*message_size/,
    qr/conf\/server\.ini:15: .*bad/);

both('no binary', sub { unlink $_[0]->path('sbin/linnet') },
    qr/cannot run \S+\/sbin\/linnet: No such file/);

both('a file that may not be run',
    sub { chmod 0644, $_[0]->path('sbin/linnet') },
    qr/cannot run \S+\/sbin\/linnet: Permission denied/);

both('a file that is no program', sub { $_[0]->install_binary("text\n") },
    qr/cannot run \S+\/sbin\/linnet: Exec format error/);

both('another program',
    sub { $_[0]->install_binary("#!/bin/sh\necho no luck >&2\nexit 3\n") },
    qr/the new binary exited with status 3 before it was ready/,
    qr/no luck/);

both('a program that crashes',
    sub {
        $_[0]->install_binary("#!/bin/sh\necho bad memory >&2\nkill -11 \$\$\n")
    },
    qr/was killed by signal 11 \(Segmentation fault\) before it was ready/,
    qr/bad memory/);

both('one that crashes only when it takes over',
    sub {
        my ($t) = @_;
        $t->install_binary("#!/bin/sh\n[ \"\$1\" = -t ] || kill -11 \$\$\n"
                . "exec $t->{original} \"\$@\"\n");
    },
    qr/was killed by signal 11.*; its own test \(-t\) finds nothing wrong/);

both('a module that is not there',
    sub {
        $_[0]->write_config($config =~ s/\Q$trouble\E/modules\/none.so/r
                =~ s/\[trouble\].*//sr);
    },
    qr/modules\/none\.so: .*No such file/i);

both('a worker that refuses', sub { spew($_[0]->path('run/trouble'), 'fail') },
    qr/module trouble does not start: trouble was asked to fail/);

both('a worker that crashes', sub { spew($_[0]->path('run/trouble'), 'crash') },
    qr/worker \d+ was killed by signal 6 \(Aborted\).* before it was ready/);

my $taken;
both('an address that somebody has',
    sub {
        my ($t) = @_;
        socket($taken, PF_INET, SOCK_STREAM, 0) or die "socket: $!";
        bind $taken, sockaddr_in($t->port('taken'), INADDR_LOOPBACK)
            or die "bind: $!";
        listen $taken, 1 or die "listen: $!";
        $t->write_config("$config\n[listen two]\n"
                . "address = 127.0.0.1:%%PORT_taken%%\napp = echo\n");
    },
    qr/Address already in use/);
close $taken;

# An end is put to what does not end by itself.
subtest 'time' => sub {
    my $t = Test::Linnet->new(copy_binary => 1,
        config => $config =~ s/^start_timeout.*/start_timeout = 1s/mr)->start;
    spew($t->path('run/trouble'), 'hang');
    refuses($t, 'a worker that hangs',
        qr/worker \d+ was killed by signal 9.*start_timeout/);
    unlink $t->path('run/trouble');
    $t->install_binary("#!/bin/sh\nexec sleep 1000\n");
    my ($exit, undef, $err) = $t->ctl('upgrade');
    is($exit, 1, 'a binary that hangs');
    like($err, qr/did not get ready within 6 s/, '... with the reason');
    $t->install_binary("#!/bin/sh\n[ \"\$1\" != -t ] || exec sleep 1000\n"
            . "exit 3\n");
    ($exit, undef, $err) = $t->ctl('upgrade');
    is($exit, 1, 'one that hangs when it is to test itself');
    like($err, qr/status 3 before it was ready; its own test \(-t\) does not/,
        '... with what is known');
    ok(wait_for(sub { !grep { slurp("/proc/$_/cmdline") =~ /^sleep\x001000/ }
                split ' ', slurp("/proc/$t->{pid}/task/$t->{pid}/children") },
            10, 'no sleep'), '... which is ended, too');
    $t->finish;
};

subtest 'much to say' => sub {
    my $t = server()->start;
    $t->write_config("$config\n" . join '', map { "bad$_ = x\n" } 1 .. 3000);
    refuses($t, 'three thousand errors', qr/server\.ini:13: .*bad1\b/,
        qr/\(and \d+ bytes more\)/);
    $t->write_config($config);
    # More than a pipe holds, and somebody who goes on writing to it.
    $t->install_binary("#!/bin/sh\necho first >&2\n"
            . "head -c 1000000 /dev/zero | tr '\\0' x >&2\n"
            . "(i=0; while [ \$i -lt 100000 ]; do echo more; i=\$((i + 1));\n"
            . "done) &\nexit 4\n");
    my $begin = time;
    refuses($t, 'a megabyte', qr/status 4 before/, qr/first/,
        qr/\(and \d+ bytes more\)/);
    cmp_ok(time - $begin, '<', 15 * time_factor(), '... without delay');
    $t->install_binary("#!/bin/sh\nprintf 'a\\033[31mb\\200' >&2\nexit 4\n");
    refuses($t, 'no text', qr/a\?\[31mb\?/);
    $t->finish;
};

# The server is told what to do while the reason is looked for.
subtest 'meanwhile' => sub {
    my $t = server()->start;
    $t->install_binary("#!/bin/sh\n[ \"\$1\" != -t ] || { : >run/testing; "
            . "exec sleep 1000; }\nexit 3\n");
    my $ask = Test::Linnet::Stream->connect(
        path => $t->path('run/control.sock'));
    $ask->write(qq(["upgrade"]\n));
    ok(wait_for(sub { -e $t->path('run/testing') }, 10, 'the test'),
        'the binary tests itself');
    is(slurp($t->path('run/linnet.pid')), "$t->{pid}\n",
        'all is as it was, the pidfile too');
    my ($exit, undef, $err) = $t->ctl('reload');
    is($exit, 1, 'a reload is refused');
    like($err, qr/an upgrade is going on; try again after it/,
        '... with the reason');
    ($exit, undef, $err) = $t->ctl('upgrade');
    is($exit, 1, '... another upgrade, too');
    like($err, qr/another upgrade is going on/, '... with the reason');
    is(($t->ctl('stop'))[0], 0, 'it can be stopped');
    like($ask->line(5), qr/"ok":false.*the server ends/,
        '... and who waits is told');
    $t->finish;
};

# All who write to the logs were there when these were opened again.
subtest 'logs are reopened meanwhile' => sub {
    my $t = server()->start;
    $t->install_binary("#!/bin/sh\n[ \"\$1\" != -t ] || { : >run/testing; "
            . "while [ ! -e run/go ]; do sleep 0.1; done; exit 0; }\nexit 3\n");
    my $ask = $t->ctl_background('upgrade');
    ok(wait_for(sub { -e $t->path('run/testing') }, 10, 'the test'),
        'the binary tests itself');
    $t->ctl_ok('reopen');
    spew($t->path('run/go'), '');
    waitpid $ask, 0;
    isnt($?, 0, 'the upgrade fails');
    $t->ctl_ok('reload'); # what would follow from it has been done
    my $times = () = $t->log_text =~ /logs reopened/g;
    is($times, 1, 'once is enough');
    $t->finish;
};

# It says that it has taken over and is killed before the old master, which is
# stopped meanwhile, hears of either.
subtest 'one that dies right after it has taken over' => sub {
    plan skip_all => 'this build has no such fault (--with-debug)'
        if slurp(Test::Linnet->binary) !~ /LINNET_TEST_TAKEN\0/;
    my $t = Test::Linnet->new(config => $config, copy_binary => 1);
    my $fault = $t->{env}{LINNET_TEST_TAKEN} = $t->path('run/fault');
    $t->start;
    my $old = $t->status;
    for my $reopen ('', ', logs are to be reopened after it') {
        my $client = $t->connect('echo');
        ok($client->echoes, "a client$reopen");
        spew($fault, '');
        my $ask = Test::Linnet::Stream->connect(
            path => $t->path('run/control.sock'));
        $ask->write(qq(["upgrade"]\n));
        my $newer;
        ok(wait_for(sub {
                ($newer) = slurp("/proc/$old->{pid}/task/$old->{pid}/children")
                    =~ /(\d+)\s*$/;
                return slurp("/proc/$old->{pid}/stat") =~ /\) T /
                    && !-e $fault && !proc_alive($newer) }, 20, 'both'),
            '... the old master is stopped, the new one dead');
        kill USR1 => $old->{pid} if $reopen;
        kill CONT => $old->{pid};
        my $said = $ask->line(20) // 'nothing';
        like($said, qr/"ok":false.*the new binary was killed by signal 9/,
            '... ctl upgrade fails and says so');
        like($said, qr/when it was about to take over/, '... and when');
        my $s = $t->status;
        is($s->{pid}, $old->{pid}, '... the old master goes on');
        is_deeply([sort map { $_->{pid} } @{ $s->{workers} }],
            [sort map { $_->{pid} } @{ $old->{workers} }], '... its workers');
        ok($client->echoes, '... the client is served');
        ok(wait_for(sub { $t->processes == 3 }, 20, 'three processes'),
            '... the workers of the new one end');
        ok($t->connect('echo')->echoes, '... a new client is served') for 1 .. 8;
        is(slurp($t->path('run/linnet.pid')), "$old->{pid}\n",
            '... the pidfile');
        is_deeply([grep { !/\.lock$/ } map { s/.*\///r }
                glob $t->path('run/*')], [qw(control.sock linnet.pid)],
            '... and no other file');
    }
    $t->log_unlike(qr/took over|pid 0/, 'nobody took over');
    my $moving = $t->connect('echo');
    is(($t->ctl('upgrade'))[0], 0, 'the next upgrade works');
    ok($moving->echoes, '... with the client');
    $t->finish;
};

# A library that the new binary needs is not there.
subtest 'a library that is not there' => sub {
    my ($cc) = slurp(Test::Linnet::Build::folder() . '/flags') =~ /^\s*(\S+)/;
    plan skip_all => 'no compiler' if !$cc || system("command -v $cc >/dev/null");
    my $t = server()->start;
    my $at = $t->path('built');
    spew("$at/a.c", "int lost(void);\nint lost(void) { return 0; }\n");
    spew("$at/b.c", "int lost(void);\nint main(void) { return lost(); }\n");
    system("$cc -shared -fPIC -o $at/liblost.so $at/a.c"
            . " && $cc -o $at/b $at/b.c -L$at -llost") == 0 or die 'cc';
    unlink "$at/liblost.so";
    rename "$at/b", $t->path('sbin/linnet') or die "rename: $!";
    refuses($t, 'a library', qr/status 127 before/, qr/liblost\.so/);
    $t->finish;
};

subtest 'where the new server writes to' => sub {
    my $t = server()->start;
    my $before = readlink "/proc/$t->{pid}/fd/2";
    is(($t->ctl('upgrade'))[0], 0, 'upgraded');
    ok(wait_for(sub { $t->reap; !$t->{pid} && $t->processes == 3 }, 15,
            'the new one'), '... and alone');
    for my $pid ($t->processes) {
        is(readlink "/proc/$pid/fd/2", $before,
            $t->title($pid) . ': the standard error of the old one');
    }
    $t->finish;
};

done_testing;
