# USR2 and ctl upgrade: a new binary takes the listeners over; when it cannot,
# the old master serves on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 2s

[listen echo]
address = 127.0.0.1:%%PORT_echo%%
address = unix:%%UNIX_echo%%
app     = echo

%%LISTEN_web%%

%%ROUTE_echo%%

%%ROUTE_page%%
INI

# The next binary makes a file run/hold.seen and waits until run/hold is gone.
sub hold_binary
{
    my ($t) = @_;
    my $hold = $t->path('run/hold');
    spew($hold, '');
    $t->install_binary("#!/bin/sh\n: >$hold.seen\n"
        . "while [ -e $hold ]; do sleep 0.05; done\n"
        . "exec '$t->{original}' \"\$@\"\n");
    return;
}

for my $how (['SIGUSR2', sub { $_[0]->signal('USR2') }],
    ['ctl upgrade', sub {
        my ($exit, $out, $err) = $_[0]->ctl('upgrade');
        is($exit, 0, 'exit 0') or diag $err;
    }]) {
    my ($name, $upgrade) = @$how;
    subtest $name => sub {
        my $t = Test::Linnet->new(config => $config, copy_binary => 1,
            files => { 'www/index.html' => "hello\n" })->start;
        my $old = $t->{pid};
        my $w = $t->websocket('web', '/echo');
        $w->send_text('x');
        is($w->message, 'x', 'a client');

        # Clients that come while it happens are all served.
        my $stop = $t->path('run/stop');
        pipe my $r, my $wr or die $!;
        my $pid = fork // die $!;
        if (!$pid) {
            my ($ok, $bad, $first) = (0, 0, '');
            my $end = time + 60;
            until (-e $stop || time > $end) {
                my $got = eval { $t->http_get('web', '/') };
                if ($got && $got->{status} == 200) {
                    $ok++;
                } else {
                    $bad++;
                    $first ||= $@ || ($got ? $got->{status} : 'no answer');
                }
            }
            syswrite $wr, "$ok $bad $first\n";
            POSIX::_exit(0);
        }
        close $wr;

        $t->install_binary;
        $upgrade->($t);
        ok($t->wait_upgraded($old, 2), 'a new master serves, the old one went');
        $w->send_text('still here');
        is($w->message, 'still here', 'a client noticed nothing');
        spew($stop, '');
        waitpid $pid, 0;
        my ($ok, $bad, $first) = split / /, <$r> // '0 0', 3;
        cmp_ok($ok, '>', 5, "$ok requests were made meanwhile");
        is($bad, 0, 'none of them failed') or diag "the first: $first";

        my $s = $t->status;
        is(slurp($t->path('run/linnet.pid')), "$s->{pid}\n",
            'the pidfile names the new one');
        my $exe = readlink "/proc/$s->{pid}/exe";
        is($exe, $t->path('sbin/linnet'), 'it runs the new file');
        is($t->{exit}, 0, 'the old one ended with 0');
        ok($t->echoes, 'TCP is served');
        ok($t->echoes('unix:echo'), 'the unix socket, too');
        is(($t->ctl('reload'))[0], 0, 'the new one reloads');
        $w->send_text('and still');
        is($w->message, 'and still', '... and the client is there');

        # Again, from the new one.
        my $second = $t->status->{pid};
        is(($t->ctl('upgrade'))[0], 0, 'and is upgraded in turn');
        ok($t->wait_upgraded($second, 2), '... a third one serves');
        ok($t->echoes, '... TCP');
        ok($t->echoes('unix:echo'), '... unix');
        $t->finish;
    };
}

subtest 'what cannot be upgraded to' => sub {
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
            files => { 'www/index.html' => "hello\n" })->start;
    my $old = $t->{pid};
    my $w = $t->websocket('web', '/echo');
    my @pids = sort $t->worker_pids;
    my $try = sub {
        my ($what, $reason) = @_;
        my ($exit, $out, $err) = $t->ctl('upgrade');
        is($exit, 1, "$what: exit 1");
        like($err, $reason, '... with the reason');
        my $s = $t->status;
        is($s->{pid}, $old, '... the old master');
        is_deeply([sort map { $_->{pid} } grep { $_->{state} eq 'ready' }
                    @{ $s->{workers} }], \@pids, '... the old workers');
        $w->send_text('here');
        is($w->message, 'here', '... a client noticed nothing');
        ok($t->echoes, '... new ones are served');
        ok($t->echoes('unix:echo'), '... also over unix');
        is(slurp($t->path('run/linnet.pid')), "$old\n", '... its pidfile');
        ok(wait_for(sub { $t->processes == 3 }, 5, 'three processes'),
            '... nobody else is left');
    };
    $t->install_binary("#!/bin/sh\necho no luck >&2\nexit 3\n");
    $try->('a binary that ends at once', qr/exit\w* (status |code )?3|\b3\b/);
    $t->install_binary("no program at all\n");
    $try->('a file that is no program', qr/sbin\/linnet|exec/i);
    unlink $t->path('sbin/linnet');
    $try->('no file at all', qr/No such file/);
    $t->install_binary;
    my $good = slurp($t->conf_path);
    $t->write_config("$config\n[limits]\nmesage_size = 1\n");
    $try->('a broken configuration', qr/mesage_size|configuration|78/);
    # Found when the new binary has the sockets.
    $t->write_config("$config\n[log]\nerror = logs/error.log\n"
            . "level = info\naccess = conf/server.ini/log\n");
    $try->('an access log that cannot be', qr/access log/);
    spew($t->conf_path, $good);
    is(($t->ctl('upgrade'))[0], 0, 'repaired, it works');
    ok($t->wait_upgraded($old, 2), '... a new master serves');
    $t->finish;
};

subtest 'the old master dies before the new one serves' => sub {
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
            files => { 'www/index.html' => "hello\n" })->start;
    my $old = $t->{pid};
    hold_binary($t);
    $t->signal('USR2');
    ok(wait_for(sub { -e $t->path('run/hold.seen') }, 10, 'the new binary'),
        'a new binary starts');
    kill KILL => $old;
    is($t->wait_exit(5), 137, 'the old master is killed');
    unlink $t->path('run/hold');
    ok($t->wait_upgraded($old, 2), 'the new one serves');
    my ($exit, $out, $err) = $t->ctl('reload');
    is($exit, 0, '... and reloads') or diag $err;
    is(($t->ctl('upgrade'))[0], 0, '... and is upgraded');
    ok($t->echoes, '... and serves');
    is(($t->run('-s', 'stop'))[0], 0, '-s stop');
    ok(wait_for(sub { !$t->processes }, 5, 'nobody'), 'all are gone');
    $t->finish;
};

# Nobody is left who reaps the workers of that master.
subtest 'the old master is killed, and its workers behind it' => sub {
    my $t = Test::Linnet->new(config => <<'INI', copy_binary => 1)->start;
[server]
workers = 1

%%LISTEN_web%%

%%ROUTE_chat%%
INI
    $t->allow_alert(qr/signal 9|master is gone/);
    my $ann = $t->websocket('web', '/chat');
    $ann->send_json({ type => 'join', room => 'hall', nick => 'ann', id => 1 });
    is($ann->json_like({ id => 1 })->{type}, 'joined', 'ann joins');
    my $old = $t->master_pid;
    my ($worker) = $t->worker_pids;
    kill STOP => $worker; # it gives nothing away
    is(($t->ctl('upgrade'))[0], 0, 'upgraded');
    kill KILL => $old;
    ok(wait_for(sub { $t->reap; !proc_alive($old) }, 10, 'the end of it'),
        'the old master is killed');
    kill KILL => $worker;
    my $bob = $t->websocket('web', '/chat');
    my $id = 1;
    ok(wait_for(sub {
            $bob->send_json({ type => 'join', room => 'hall', nick => 'ann',
                    id => ++$id });
            return $bob->json_like({ id => $id })->{type} eq 'joined';
        }, 30, 'the nick'), 'the nick of who was there is free again');
    $bob->send_json({ type => 'who', room => 'hall', id => ++$id });
    is_deeply($bob->json_like({ id => $id })->{members}, ['ann'],
        '... and the room has one member');
    $t->signal('TERM');
    ok(wait_for(sub { !$t->processes }, 10, 'the end of all'), '... it ends');
    $t->finish;
};

subtest 'a worker that starts again meanwhile' => sub {
    my $with = $config
        =~ s/^workers .*/workers = 1\nload_module = %%MODULE_trouble%%/mr;
    my $t = Test::Linnet->new(copy_binary => 1,
            config => "$with\n[trouble]\nfile = run/wait\n",
            files => { 'www/index.html' => "hello\n" })->start;
    $t->allow_alert(qr/signal 9/);
    my $old = $t->{pid};
    # It starts when it may read what it is to do, and after that the new binary
    # does.
    POSIX::mkfifo($t->path('run/wait'), 0644) or die $!;
    hold_binary($t);
    kill KILL => $t->worker_pids;
    ok(wait_for(sub { $t->workers('starting') }, 10, 'another'),
        'a worker starts again');
    $t->signal('USR2');
    ok(wait_for(sub { -e $t->path('run/hold.seen') }, 10, 'the new binary'),
        'a new binary, too');
    spew($t->path('run/wait'), "ok\n");
    unlink $t->path('run/wait');
    my $w;
    ok(wait_for(sub { $w = eval { $t->websocket('web', '/echo') } }, 10,
            'a client'), 'the worker serves');
    $w->send_text('x');
    is($w->message, 'x', '... a client');
    unlink $t->path('run/hold');
    ok($t->wait_upgraded($old, 1), 'the new master serves');
    $w->send_text('still here');
    is($w->message, 'still here', 'the client noticed nothing');
    $t->finish;
};

subtest 'a worker that dies meanwhile, and fewer takers' => sub {
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
            files => { 'www/index.html' => "hello\n" })->start;
    $t->allow_alert(qr/signal 9/);
    my $old = $t->{pid};
    my ($dies, $stays) = map { $_->{pid} } $t->workers;
    $t->write_config($config =~ s/^workers .*/workers = 1/mr);
    hold_binary($t);
    $t->signal('USR2');
    ok(wait_for(sub { -e $t->path('run/hold.seen') }, 10, 'the new binary'),
        'a new binary starts');
    is($t->status->{pid}, $old, '... and knows of the workers');
    kill KILL => $dies;
    ok(wait_for(sub {
        2 == grep { $_->{state} eq 'ready' && $_->{pid} != $dies } $t->workers;
    }, 10, 'another'), 'one of them starts again');
    kill STOP => $stays; # so that the other one has the client
    my $w = $t->websocket('web', '/echo');
    kill CONT => $stays;
    unlink $t->path('run/hold');
    ok($t->wait_upgraded($old, 1), 'the new master serves');
    $w->send_text('still here');
    is($w->message, 'still here', 'its client noticed nothing');
    $t->finish;
};

# As it is done with nginx; here it is not needed.
subtest 'WINCH behind USR2' => sub {
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
            files => { 'www/index.html' => "hello\n" })->start;
    my $old = $t->{pid};
    my $w = $t->websocket('web', '/echo');
    hold_binary($t);
    $t->signal('USR2');
    ok(wait_for(sub { -e $t->path('run/hold.seen') }, 10, 'the new binary'),
        'a new binary starts');
    $t->signal('WINCH');
    unlink $t->path('run/hold');
    ok($t->wait_upgraded($old, 2), 'a new master serves');
    $w->send_text('still here');
    is($w->message, 'still here', 'a client noticed nothing');
    $t->finish;
};

subtest 'WINCH behind USR2 that waits' => sub {
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
            files => { 'www/index.html' => "hello\n" })->start;
    my $old = $t->{pid};
    my $w = $t->websocket('web', '/echo');
    my ($slow) = $t->worker_pids;
    kill STOP => $slow;
    is(($t->ctl('reload'))[0], 0, 'a reload; a worker takes its time to go');
    $t->signal('USR2');
    $t->signal('WINCH');
    is($t->status->{pid}, $old, 'the upgrade waits for that');
    kill CONT => $slow;
    ok($t->wait_upgraded($old, 2), 'a new master serves');
    $w->send_text('still here');
    is($w->message, 'still here', 'a client noticed nothing');
    $t->finish;
};

subtest 'an address that is given up' => sub {
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
            files => { 'www/index.html' => "hello\n" })->start;
    my $old = $t->{pid};
    my $socket = $t->path('run/echo.sock');
    $t->write_config($config =~ s/^address = unix:.*\n//mr . "bad\n");
    is(($t->ctl('upgrade'))[0], 1, 'an upgrade fails');
    ok($t->echoes('unix:echo'), '... the socket is there');
    $t->write_config($config =~ s/^address = unix:.*\n//mr);
    is(($t->ctl('upgrade'))[0], 0, 'one without it does not fail');
    ok($t->wait_upgraded($old, 2), '... a new master serves');
    ok(!-e $socket, '... the file of the socket is gone');
    ok($t->echoes, '... the other address is there');
    $t->finish;
};

subtest 'stopping what was upgraded' => sub {
    my $t = Test::Linnet->new(config => $config, copy_binary => 1,
            files => { 'www/index.html' => "hello\n" })->start;
    my $old = $t->{pid};
    is(($t->ctl('upgrade'))[0], 0, 'upgraded');
    ok($t->wait_upgraded($old, 2), 'a new master serves');
    is(($t->run('-s', 'stop'))[0], 0, '-s stop');
    ok(wait_for(sub { !$t->processes }, 5, 'nobody'), 'all are gone');
    ok(!-e $t->path('run/linnet.pid'), 'no pidfile is left');
    ok(!-e $t->path('run/echo.sock'), 'no socket file is left');
    $t->finish;
};

done_testing;
