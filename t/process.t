# Start, stop, signals, pidfile, titles, daemon, and what the command line
# answers when something is wrong.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 2s

%%LISTEN_echo%%

%%LISTEN_web%%

%%ROUTE_echo%%

%%ROUTE_events%%
INI

subtest 'start and what is there then' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $s = $t->status;
    is($s->{generation}, 1, 'generation 1');
    is($s->{pid}, $t->{pid}, 'status names the master');
    is(slurp($t->path('run/linnet.pid')), "$t->{pid}\n", 'so does the pidfile');
    like($s->{version}, qr/^\d+\.\d+/, 'a version');
    like($s->{epoch}, qr/^[1-9]\d*$/, 'an epoch');
    like($s->{uptime}, qr/^\d+(\.\d+)?$/, 'an uptime');
    my @w = @{ $s->{workers} };
    is(scalar @w, 2, 'two workers');
    is_deeply([sort map { $_->{slot} } @w], [0, 1], 'in slots 0 and 1');
    isnt($w[0]{pid}, $w[1]{pid}, 'two processes');
    isnt($w[0]{incarnation}, $w[1]{incarnation}, 'two incarnations');
    for my $w (@w) {
        my @missing = grep { !defined $w->{$_} } qw(slot pid incarnation
            generation state uptime restarts connections messages_in
            messages_out send_queue rss);
        is("@missing", '', "slot $w->{slot}: every field is there");
        is($w->{restarts}, 0, '... no restart');
        is($w->{generation}, 1, '... of generation 1');
        cmp_ok($w->{rss}, '>', 100_000, '... resident memory in bytes');
        like($t->title($w->{pid}), qr/^linnet: worker/, '... its title');
    }
    like($t->title($t->{pid}), qr/^linnet: master/, 'title of the master');
    my $mode = (stat $t->path('run/control.sock'))[2];
    is(sprintf('%o', $mode & 07777), '660', 'mode of the control socket');
    ok($t->echoes, 'it echoes');
    my @all = $t->processes;
    is(scalar @all, 3, 'three processes, no more');

    my ($exit, $out, $err) = $t->run;
    is($exit, 1, 'a second server on the same prefix is refused');
    like($err, qr/\b$t->{pid}\b/, '... naming the process that has it');
    ok($t->echoes, '... the first one serves on');
    is($t->status->{pid}, $t->{pid}, '... and still has its control socket');
    $t->finish;
};

for my $signal (qw(TERM INT)) {
    subtest "$signal" => sub {
        my $t = Test::Linnet->new(config => $config)->start;
        my $c = $t->connect('echo');
        $c->write('x');
        is($c->read_exact(1), 'x', 'a client is served');
        is($t->stop($signal), 0, 'exit 0');
        ok($c->closed(5), 'the client is cut off');
        is(scalar $t->processes, 0, 'no process left');
        ok(!-e $t->path('run/linnet.pid'), 'no pidfile left');
        ok(!-e $t->path('run/control.sock'), 'no control socket left');
        ok($t->port_free('echo'), 'the port is free');
        $t->finish;
    };
}

subtest 'QUIT says goodbye' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $w = $t->websocket('web', '/echo');
    $w->send_text('a');
    is($w->message, 'a', 'a WebSocket is served');
    my $begin = Time::HiRes::time();
    $t->signal('QUIT');
    is($w->wait_close, 1001, 'it is told 1001');
    $w->close(1001);
    is($t->wait_exit(5), 0, 'exit 0');
    cmp_ok(Time::HiRes::time() - $begin, '<', 1.8 * time_factor(),
        'as soon as the last client went');
    $t->finish;
};

subtest 'QUIT with a client that does not react' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $w = $t->websocket('web', '/echo');
    my $begin = Time::HiRes::time();
    $t->signal('QUIT');
    is($w->wait_close, 1001, 'it is told 1001');
    is($t->wait_exit(15), 0, 'exit 0, though it never answers');
    cmp_ok(Time::HiRes::time() - $begin, '<', 2 * time_factor() + 2,
        'by the shutdown timeout');
    $t->finish;
};

subtest 'QUIT while connections move' => sub {
    # In a build with --with-debug a move takes its time.
    local $ENV{LINNET_TEST_MOVE_PAUSE} = 50;
    my $t = Test::Linnet->new(config => $config =~ s/ 2s/ 500ms/r)->start;
    my @clients = map { $t->websocket('web', '/echo') } 1 .. 20;
    is(($t->ctl('reload'))[0], 0, 'a reload');
    $t->signal('QUIT');
    my %told;
    $told{ $_->wait_close // 'nothing' }++ for @clients;
    is_deeply(\%told, { 1001 => 20 }, 'all are told 1001');
    is($t->wait_exit(15), 0, 'exit 0');
    $t->finish;
};

subtest 'QUIT in the middle of a handshake' => sub {
    my $t = Test::Linnet->new(config => $config =~ s/ 2s/ 30s/r)->start;
    my $first = $t->connect('web');
    my $second = $t->connect('web');
    $second->write("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    is($second->http_response->{status}, 404, 'one has had an answer before');
    $_->write("GET /echo HTTP/1.1\r\nHost: x\r\n") for $first, $second;
    $t->signal('QUIT');
    ok(wait_for(sub { $t->workers('draining') }, 5, 'draining'), 'the end');
    for my $s ($first, $second) {
        $s->write("Upgrade: websocket\r\nConnection: Upgrade\r\n"
                . "Sec-WebSocket-Version: 13\r\n"
                . 'Sec-WebSocket-Key: ' . 'A' x 22 . "==\r\n\r\n");
        like($s->read_until(qr/\r\n\r\n/), qr/^HTTP\/1.1 101 /, 'a WebSocket');
        my $head = $s->read_exact(4) // "\0" x 4;
        is(unpack('xxn', $head), 1001, '... that is told 1001');
        $s->write(Test::Linnet::WebSocket->frame_bytes(8, pack 'n', 1001));
        ok($s->closed(5), '... and ends');
    }
    is($t->wait_exit(5), 0, 'exit 0');
    $t->finish;
};

subtest 'QUIT before a request is read' => sub {
    my $t = Test::Linnet->new(config => $config =~ s/ 2s/ 30s/r)->start;
    my %end = ('/echo' => qr/^HTTP\/1.1 101 .*\r\n\r\n\x88.\x03\xe9/s,
        '/events?room=a' => qr/^HTTP\/1.1 200 .*"code":1001/s);
    my %s = map { $_ => $t->connect('web') } keys %end;
    ok(wait_for(sub { $t->status->{connections} == keys %end }, 5, 'them'),
        'connections');
    my @workers = $t->worker_pids;
    kill STOP => @workers;
    $t->signal('QUIT');
    ok(wait_for(sub { slurp($t->path('logs/error.log')) =~ /quitting/ }, 5,
            'QUIT'), 'the master has heard');
    is($t->status->{connections}, keys %end, '... and told them');
    for my $path (keys %s) {
        $s{$path}->write("GET $path HTTP/1.1\r\nHost: x\r\n"
                . "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                . "Sec-WebSocket-Version: 13\r\n"
                . 'Sec-WebSocket-Key: ' . 'A' x 22 . "==\r\n\r\n");
    }
    kill CONT => @workers;
    for my $path (keys %s) {
        ok($s{$path}->read_until($end{$path}), "$path: an answer, and 1001");
        $s{$path}->close;
    }
    is($t->wait_exit(5), 0, 'exit 0');
    $t->finish;
};

subtest 'WINCH drains the workers, the master stays' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my $w = $t->websocket('web', '/echo');
    my @pids = $t->worker_pids;
    $t->signal('WINCH');
    is($w->wait_close, 1001, 'clients are told 1001');
    $w->close(1001);
    ok(wait_for(sub { !grep { proc_alive($_) } @pids }, 5, 'workers to go'),
        'the workers went');
    is($t->status->{pid}, $t->{pid}, 'the master is there');
    is(scalar $t->workers, 0, '... without workers');
    my ($exit, $out, $err) = $t->ctl('reload');
    is($exit, 0, 'a reload brings new ones') or diag $err;
    ok($t->echoes, '... that serve');
    $t->finish;
};

subtest '-s' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my ($exit, $out, $err) = $t->run('-s', 'reload');
    is($exit, 0, 'reload') or diag $err;
    is($t->status->{generation}, 2, '... is done when it returns');
    ($exit, $out, $err) = $t->run('-s', 'reopen');
    is($exit, 0, 'reopen') or diag $err;
    my @pids = $t->processes;
    ($exit, $out, $err) = $t->run('-s', 'stop');
    is($exit, 0, 'stop') or diag $err;
    my $me = $t->{pid};
    is(scalar(grep { proc_alive($_) } grep { $_ != $me } @pids), 0,
        '... returns when the workers are gone');
    is($t->wait_exit(2), 0, '... and the master ends with 0');
    ok($t->port_free('echo'), '... and the port is free');
    ($exit, $out, $err) = $t->run('-s', 'stop');
    is($exit, 1, 'stop of what does not run: exit 1');
    like($err, qr{run/control\.sock}, '... naming the socket');

    $t->start;
    ($exit, $out, $err) = $t->run('-s', 'quit');
    is($exit, 0, 'quit') or diag $err;
    is($t->wait_exit(2), 0, '... and the master ends with 0');
    ($exit, $out, $err) = $t->run('-s', 'dance');
    is($exit, 2, 'an unknown word is a usage error');
    like($err, qr/dance/, '... that names it');
    $t->finish;
};

subtest '-d detaches' => sub {
    my $t = Test::Linnet->new(config => $config);
    my ($exit, $out, $err) = $t->run('-d');
    is($exit, 0, 'exit 0') or diag $err;
    is($out . $err, '', 'says nothing');
    my $s = $t->status;
    ok($s, 'it serves when the command returns');
    my ($pid) = slurp($t->path('run/linnet.pid')) =~ /(\d+)/;
    is($s->{pid}, $pid, 'the pidfile names the master');
    my @of = map { [slurp("/proc/$_/stat") =~ /\) \S (\S+) \S+ (\S+) (\S+)/] }
        $pid, $$;
    isnt($of[0][0], $$, 'not our child');
    isnt($of[0][1], $of[1][1], 'a session of its own');
    is($of[0][2], 0, 'no terminal');
    ok($t->echoes, 'it echoes');
    is($t->stop, 0, 'stops');
    ok(!-e $t->path('run/linnet.pid'), 'no pidfile left');
    $t->finish;
};

# As "ssh host linnet -d" does.
subtest 'who reads what -d says comes to its end' => sub {
    for my $access (qw(off stderr)) {
        my $t = Test::Linnet->new(config => "$config\n[log]\n"
                . "access = $access\n[history]\nstore = data/h.db\n");
        pipe my $r, my $w or die $!;
        my $pid = fork // die $!;
        if (!$pid) {
            open STDERR, '>&', $w or die $!;
            exec $t->command('-d') or die $!;
        }
        close $w;
        waitpid $pid, 0;
        is($?, 0, "access = $access: exit 0");
        vec(my $in = '', fileno $r, 1) = 1;
        my $said = select($in, undef, undef, 10) ? sysread $r, $in, 1 : -1;
        is($said, 0, '... nothing was said, and that is all');
        is($t->stop, 0, 'stops');
        $t->finish;
    }
};

subtest 'daemon = on' => sub {
    my $t = Test::Linnet->new(config => $config,
        args => ['-o', 'server.daemon=on']);
    my ($exit, $out, $err) = $t->run;
    is($exit, 0, 'exit 0') or diag $err;
    ok($t->echoes, 'it echoes when the command returns');
    is(($t->ctl('reload'))[0], 0, 'it reloads');
    is(($t->run('-s', 'stop'))[0], 0, 'stops');
    ok(wait_for(sub { !$t->processes }, 5, 'nobody'), 'nobody is left');
    $t->finish;
};

# What systemd and the like hear through $NOTIFY_SOCKET.
subtest 'a supervisor' => sub {
    my $t = Test::Linnet->new(config => $config);
    my $path = $t->path('run/notify');
    socket my $s, Socket::PF_UNIX, Socket::SOCK_DGRAM, 0 or die $!;
    bind $s, Socket::pack_sockaddr_un($path) or die $!;
    $t->{env} = { NOTIFY_SOCKET => $path };
    my $heard = '';
    my $listen = sub {
        my $r = '';
        vec($r, fileno $s, 1) = 1;
        while (select my $ready = $r, undef, undef, 0) {
            recv $s, my $text, 4096, 0;
            $heard .= "$text\n";
        }
        return $heard;
    };
    my $hear = sub {
        my ($word) = @_;
        return wait_for(
            sub { $listen->(); return $heard =~ s/^.*?\b$word\b//s },
            10, $word
        );
    };
    $t->spawn;
    ok($hear->('READY=1'), 'READY=1');
    ok($t->wait_ready(0.5), '... when it is');
    is(($t->ctl('reload'))[0], 0, 'reload');
    ok($hear->('RELOADING=1'), 'RELOADING=1');
    ok($hear->('READY=1'), '... and READY=1 again');
    is(($t->ctl('upgrade'))[0], 0, 'upgrade');
    is($t->wait_exit(10), 0, '... the old master has ended');
    my $new = $t->status->{pid};
    like($listen->(), qr/^MAINPID=$new$/m, '... MAINPID is the new one');
    unlike($listen->(), qr/STOPPING/, '... the service does not stop');
    my $taken = Socket::pack_sockaddr_in(0, Socket::inet_aton('127.0.0.1'));
    socket my $l, Socket::PF_INET, Socket::SOCK_STREAM, 0 or die $!;
    bind $l, $taken and listen $l, 1 or die $!;
    my ($port) = Socket::unpack_sockaddr_in(getsockname $l);
    $t->write_config("$config\n[listen taken]\naddress = 127.0.0.1:$port\n"
            . "app = echo\n");
    is(($t->ctl('upgrade'))[0], 1, 'an upgrade fails');
    ok(wait_for(sub { $t->processes == 3 }, 5, 'three processes'),
        '... nobody else is left');
    unlike($listen->(), qr/STOPPING/, '... the service does not stop');
    is(($t->run('-s', 'stop'))[0], 0, 'stop');
    ok($hear->('STOPPING=1'), 'STOPPING=1');
    $t->finish;
};

sub open_files
{
    my ($pid) = @_;
    my ($n) = slurp("/proc/$pid/limits") =~ /^Max open files\s+(\d+)/m;
    return $n;
}

subtest 'affinity and open files' => sub {
    my $with = $config =~ s/^workers/affinity = on\nopen_files = 500\nworkers/mr;
    my $t = Test::Linnet->new(config => $with)->start;
    my ($all) = slurp('/proc/self/status') =~ /^Cpus_allowed_list:\s+(\S+)/m;
    my @on;
    for my $w ($t->workers) {
        my ($cpu) = slurp("/proc/$w->{pid}/status")
            =~ /^Cpus_allowed_list:\s+(\S+)/m;
        like($cpu, qr/^\d+$/, "worker $w->{slot} is bound to one CPU");
        push @on, $cpu;
        is(open_files($w->{pid}), 500, '... and may open 500 files');
    }
    isnt($on[0], $on[1], 'each to its own') if $all =~ /\D/;
    is(($t->reload($with =~ s/500/600/r))[0], 0, 'reloaded with 600');
    is(open_files($_), 600, '... the new workers may open as many')
        for $t->worker_pids;
    $t->finish;
};

subtest 'starts that cannot be' => sub {
    my $t = Test::Linnet->new(config => $config);
    socket my $s, Socket::PF_INET, Socket::SOCK_STREAM, 0 or die $!;
    bind $s, Socket::sockaddr_in($t->port('web'),
        Socket::inet_aton('127.0.0.1')) or die $!;
    listen $s, 1;
    my $port = $t->port('web');
    for my $how ([], ['-d']) {
        my ($exit, $out, $err) = $t->run(@$how);
        is($exit, 1, "port occupied: exit 1 (@$how)");
        like($err, qr/127\.0\.0\.1:$port\b.*in use$/im, '... and says so');
    }
    close $s;
    ok(!-e $t->path('run/linnet.pid'), 'no pidfile left');
    ok(!-e $t->path('run/control.sock'), 'no control socket left');

    spew($t->path('file'), '');
    my ($exit, $out, $err) = $t->run('-o', 'server.run_dir=file');
    isnt($exit, 0, 'run_dir is a file');
    like($err, qr{\Q$t->{prefix}\E/file}, '... is named');
    ($exit, $out, $err) = $t->run('-o', 'log.error=file/error.log');
    isnt($exit, 0, 'no folder for the log');
    like($err, qr{file/error\.log.*Not a directory}i, '... is named');
    ($exit, $out, $err) = run_command($t->binary, '-p', $t->prefix, '-c',
        $t->path('conf/nothing.ini'));
    is($exit, 78, 'no configuration file');
    like($err, qr{conf/nothing\.ini}, '... is named');
    is(scalar $t->processes, 0, 'no process left by any of them');
    $t->finish;
};

subtest 'after kill -9 of everything' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    kill KILL => $t->processes;
    is($t->wait_exit(5), 137, 'killed');
    wait_for(sub { !$t->processes }, 5, 'all to be gone');
    ok(-e $t->path('run/linnet.pid'), 'a stale pidfile');
    ok(-S $t->path('run/control.sock'), 'a stale control socket');
    my ($exit, $out, $err) = $t->ctl('status');
    is($exit, 1, 'ctl says nobody is there');
    like($err, qr{control\.sock}, '... and where');
    $t->start;
    ok($t->echoes, 'a new server takes over');
    is(slurp($t->path('run/linnet.pid')), "$t->{pid}\n", 'and the pidfile');
    $t->finish;
};

subtest 'questions' => sub {
    my $t = Test::Linnet->new(config => $config);
    my ($exit, $out, $err) = $t->run('-v');
    is($exit, 0, '-v');
    like("$out$err", qr{^linnet[ /]\d+\.\d+}, '... the version');
    ($exit, $out, $err) = $t->run('-V');
    is($exit, 0, '-V');
    like("$out$err", qr{configure}i, '... with how it was configured');
    ($exit, $out, $err) = $t->run('-h');
    is($exit, 0, '-h');
    like($out, qr/-c.*-o.*-s/s, '... the options');
    ($exit, $out, $err) = $t->run('-Z');
    is($exit, 2, 'an unknown option');
    like($err, qr/-Z|'Z'/, '... is named');
    ($exit, $out, $err) = run_command($t->binary, '-c');
    is($exit, 2, 'an option without its value');
    ($exit, $out, $err) = $t->run('status');
    is($exit, 2, 'an argument that is none');
    like($err, qr/status/, '... is named');
    $t->finish;
};

done_testing;
