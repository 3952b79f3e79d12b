# Reload: a new generation takes over when all of it is ready; whatever is
# wrong, the old one serves on and the asker is told why.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $base = <<'INI';
[server]
workers          = 2
shutdown_timeout = 2s
load_module      = %%MODULE_trouble%%

[trouble]
file   = run/trouble
starts = run/starts

[listen echo]
address = 127.0.0.1:%%PORT_echo%%
app     = echo

[room lobby]

[chat]
history = 100

[listen web]
address  = 127.0.0.1:%%PORT_web%%
protocol = http

[route echo]
listen   = web
path     = /echo
protocol = websocket
app      = echo

[route page]
listen  = web
path    = /
handler = static
root    = www
INI

my $t = Test::Linnet->new(config => $base,
    files => { 'www/index.html' => "hello\n" });
spew($t->path('run/starts'), '');
chmod 0666, $t->path('run/starts');
$t->start;

sub occupy
{
    my ($name) = @_;
    socket my $s, PF_INET, SOCK_STREAM, 0 or die $!;
    setsockopt $s, SOL_SOCKET, SO_REUSEADDR, 1;
    bind $s, sockaddr_in($t->port($name), inet_aton('127.0.0.1'))
        or die "bind: $!";
    listen $s, 5 or die "listen: $!";
    return $s;
}

my $more = "\n[listen more]\naddress = 127.0.0.1:%%PORT_more%%\napp = echo\n";

subtest 'a good one' => sub {
    my @old = $t->worker_pids;
    my $w = $t->websocket('web', '/echo');
    my ($exit, $out, $err) = $t->reload($base . $more);
    is($exit, 0, 'exit 0') or diag $err;
    like($out, qr/^reloaded, generation 2$/m, 'the generation is told');
    my $s = $t->status;
    is($s->{generation}, 2, 'generation 2');
    ok($s->{last_reload}{ok}, 'status says that it went well');
    cmp_ok($s->{last_reload}{time}, '>', time - 60, '... and when');
    ok($t->echoes('more'), 'the new listener is there at once');
    ok($t->echoes, '... the old one still');
    my @new = grep { $_->{state} eq 'ready' } @{ $s->{workers} };
    is_deeply([map { $_->{generation} } @new], [2, 2], 'new workers');
    $w->send_text('still here');
    is($w->message, 'still here', 'a client of the old ones noticed nothing');
    ok(wait_for(sub { !grep { proc_alive($_) } @old }, 5, 'old workers'),
        'the old workers end');
    ok($t->wait_ready(5, 2), 'two workers are left');

    my $e = $t->connect('more');
    $e->write('x');
    is($e->read_exact(1), 'x', 'a client of the new listener');
    ($exit) = $t->reload($base);
    is($exit, 0, 'and back');
    ok($e->closed(5), 'its listener is gone: it is closed');
    $w->send_text('and still');
    is($w->message, 'and still', 'the other one noticed nothing');
    ok(wait_for(
            sub {
                !Test::Linnet::Stream->try_connect(host => '127.0.0.1',
                    port => $t->port('more'))
            },
            5,
            'the listener to go'
        ),
        'a listener that is no longer configured is closed');
};

# A signal has nobody to tell: its refusal is in the log, too.
subtest 'SIGHUP to a server that ends' => sub {
    my $t = Test::Linnet->new(config => <<'INI')->start;
[listen echo]
address = 127.0.0.1:%%PORT_echo%%
app     = echo
INI
    my @workers = $t->worker_pids;
    kill STOP => @workers;
    $t->signal('QUIT');
    $t->log_like(qr/quitting/, 'it waits for its workers');
    $t->signal('HUP');
    $t->log_like(qr/reload refused: the server ends/, 'the reason is there');
    kill CONT => @workers;
    is($t->wait_exit(10), 0, 'it ends');
    $t->finish;
};

subtest 'SIGHUP' => sub {
    my $before = $t->status->{generation};
    $t->signal('HUP');
    ok($t->wait_ready(5, 2, $before + 1), 'is a reload');
};

# Whatever is wrong: exit 1, a reason, the same workers, a working server,
# and the status tells.  Then with SIGHUP: the reason is in the log.
sub refused
{
    my ($what, $text, $reason) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    subtest $what => sub {
        ok($t->wait_ready(5, 2), 'two workers before');
        my @pids = sort $t->worker_pids;
        my $generation = $t->status->{generation};
        my $w = $t->websocket('web', '/echo');
        my ($exit, $out, $err) = $t->reload($text);
        is($exit, 1, 'exit 1');
        like($err, $reason, 'the reason is on standard error');
        is($out, '', 'nothing on standard output');
        my $s = $t->status;
        is($s->{generation}, $generation, 'the same generation');
        is_deeply([sort $t->worker_pids], \@pids, 'the same workers');
        ok(!$s->{last_reload}{ok}, 'the status says that it failed');
        like($s->{last_reload}{error}, $reason, '... and why');
        $w->send_text('still here');
        is($w->message, 'still here', 'a client noticed nothing');
        ok($t->echoes, 'a new one is served');

        $t->log_mark;
        $t->signal('HUP');
        $t->log_like($reason, 'SIGHUP: the reason is in the log', 15);
        ok(wait_for(sub { ($t->workers('starting')) == 0 }, 10, 'calm'),
            'no worker is starting any more');
        is($t->status->{generation}, $generation, 'the same generation');
        is_deeply([sort $t->worker_pids], \@pids, 'the same workers');
        $w->send_text('and still');
        is($w->message, 'and still', 'a client noticed nothing');
        is($w->close(1000), 1000, 'and leaves');
        ok(wait_for(sub { $t->processes == 3 }, 5, 'three processes'),
            'no process too many');
    };
    return;
}

refused('a broken file', $base . "\n[limits]\nmesage_size = 1k\n",
    qr/server\.ini:\d+: .*mesage_size.*message_size/);
refused('a file with two errors',
    "[limits]\nmesage_size = 1k\nconections = 1\n$base",
    qr/server\.ini:2: .*\n?.*server\.ini:3: /);
refused('a module that cannot be loaded',
    $base =~ s/^load_module.*/load_module = run\/none.so/mr,
    qr{run/none\.so});
spew($t->path('run/bad.so'), 'this is no library');
refused('a module that is no module',
    $base =~ s/^load_module.*/load_module = run\/bad.so/mr, qr{run/bad\.so});

{
    my $taken = occupy('more');
    my $port = $t->port('more');
    refused('an occupied port', $base . $more,
        qr/127\.0\.0\.1:$port\b.*in use/i);
    $taken->close;
}

spew($t->path('run/trouble'), "hang\n");
refused('a module whose workers hang',
    $base =~ s/^workers/start_timeout = 1s\nworkers/mr,
    qr/start_timeout|not ready|did not get ready/);

# How many messages the room of the configuration has.
sub kept
{
    my ($exit, $out, $err) = $t->ctl('rooms');
    diag $err if $exit != 0;
    return $out =~ /^lobby +\d+ +(\d+)$/m ? $1 : -1;
}

$t->ctl('publish', 'lobby', "message $_") for 1 .. 9;
for my $how (qw(fail crash)) {
    $t->allow_alert(qr/worker/) if $how eq 'crash';
    spew($t->path('run/trouble'), "$how\n");
    refused("a module whose workers $how",
        $base =~ s/^history = \d+/history = 5/mr,
        $how eq 'fail' ? qr/trouble was asked to fail/ : qr/signal 6|SIGABRT/);
    is(kept(), 9, 'rooms keep what they did');
    unlink $t->path('run/trouble');
}

# How many connections may wait at a listener.
sub backlog
{
    my ($port) = @_;
    return (split ' ', `ss -Hltn "sport = :$port" 2>&1`)[2] // '';
}

subtest 'a backlog' => sub {
    my $port = $t->port('echo');
    my $before = backlog($port);
    plan skip_all => 'no ss' if $before !~ /^\d+$/;
    my $changed = $base =~ s/^(address = .*PORT_echo.*)/$1\nbacklog = 9/mr;
    my $taken = occupy('more');
    is(($t->reload($changed . $more))[0], 1, 'a reload fails');
    is(backlog($port), $before, '... and the listener stays as it was');
    $taken->close;
    is(($t->reload($changed))[0], 0, 'one that does not fail');
    is(backlog($port), 9, '... changes it');
};

subtest 'what was repaired is taken' => sub {
    my $generation = $t->status->{generation};
    my ($exit, $out, $err)
        = $t->reload($base =~ s/^history = \d+/history = 5/mr . $more);
    is($exit, 0, 'exit 0') or diag $err;
    my ($told) = $out =~ /^reloaded, generation (\d+)$/m;
    is($told, $t->status->{generation}, 'the generation is told');
    cmp_ok($told, '>', $generation, '... a new one');
    ok($t->status->{last_reload}{ok}, 'status says ok again');
    ok($t->echoes('more'), 'the new listener serves');
    ok(wait_for(sub { kept() == 5 }, 5, 'less history'), 'rooms keep less');
};

subtest 'workers that die while a reload is under way' => sub {
    ok($t->wait_ready(10, 2), 'two workers');
    $t->allow_alert(qr/signal 9/);
    my @pids = $t->worker_pids;
    # Three times a reload with the old workers killed in the middle of it:
    # new or old serves, never neither.
    for my $round (1 .. 3) {
        my $pid = $t->ctl_background('reload');
        kill KILL => $_ for $t->worker_pids;
        waitpid $pid, 0;
        ok($t->wait_ready(15, 2), "round $round: two workers again");
        ok($t->echoes, '... that serve');
    }
};

subtest 'more and fewer workers' => sub {
    for my $n (4, 1, 20, 20, 2) {
        my ($exit, $out, $err) = $t->reload($base =~
                s/^workers.*/workers = $n/mr);
        is($exit, 0, "workers = $n") or diag $err;
        ok($t->wait_ready(10, $n), '... they are that many');
    }
};

subtest 'more workers than there are descriptors for' => sub {
    my $few = Test::Linnet->new(ulimit => ['n 500'], config => <<'INI')->start;
[server]
workers = 1
[listen echo]
address = 127.0.0.1:%%PORT_echo%%
app     = echo
INI
    my ($exit, undef, $err) = $few->ctl('workers', 20);
    is($exit, 0, 'twenty') or diag $err;
    ($exit, undef, $err) = $few->ctl('workers', 21);
    is($exit, 1, 'not as many again beside them');
    like($err, qr/there is room for 32 processes/, '... it is said why');
    ok($few->wait_ready(10, 20), '... those that are there serve on');
    is(($few->ctl('workers', 2))[0], 0, 'but fewer');
    $few->finish;
};

subtest 'a shorter shutdown_timeout' => sub {
    my $t = Test::Linnet->new(config => $base =~ s/= 2s/= 4s/r,
            files => { 'www/big' => 'x' x (32 << 20) })->start;
    my @old = $t->worker_pids;
    my $c = $t->connect('web');
    $c->write("GET /big HTTP/1.1\r\nHost: a\r\n\r\n");
    like($c->read_exact(15, 5), qr{^HTTP/1.1 200}, 'a client takes its time');
    is(($t->reload($base =~ s/= 2s/= 10ms/r))[0], 0, 'a reload');
    ok(wait_for(sub { !grep { proc_alive($_) } @old }, 15, 'the old to go'),
        'the old workers go');
    $t->log_unlike(qr/is killed/,
        'by themselves, in the time that they were started with');
    $t->finish;
};

subtest 'a number of workers that was refused' => sub {
    my $t = Test::Linnet->new(config => $base,
        files => { 'www/index.html' => "hello\n", 'run/trouble' => "hang\n" });
    $t->allow_alert(qr/signal 9/);
    $t->spawn;
    my @pids;
    ok(wait_for(sub { @pids = map { $_->{pid} } $t->workers('starting') }, 10,
            'workers'), 'a server whose workers hang');
    my ($exit, $out, $err) = $t->ctl('workers', 3);
    is($exit, 1, 'exit 1');
    like($err, qr/still starting/, '... it is still starting');
    unlink $t->path('run/trouble');
    kill KILL => @pids;
    ok($t->wait_ready(10, 2), 'it starts, with two');
    is(($t->ctl('reload'))[0], 0, 'a reload');
    is(scalar(grep { $_->{state} eq 'ready' } $t->workers), 2,
        '... leaves it at two');
    $t->finish;
};

subtest 'many reloads with clients coming and going' => sub {
    my $stop = $t->path('run/stop');
    pipe my $r, my $w or die $!;
    my $pid = fork // die $!;
    if (!$pid) {
        my ($ok, $bad, $first) = (0, 0, '');
        until (-e $stop) {
            my $got = eval { $t->http_get('web', '/') };
            if ($got && $got->{status} == 200) {
                $ok++;
            } else {
                $bad++;
                $first ||= $@ || ($got ? $got->{status} : 'no answer');
            }
        }
        syswrite $w, "$ok $bad $first\n";
        POSIX::_exit(0);
    }
    close $w;
    my $failed = 0;
    my $begin = time;
    for (1 .. 30) {
        my ($exit, $out, $err) = $t->ctl('reload');
        $failed++, diag $err if $exit != 0;
    }
    diag sprintf '30 reloads in %.1f s', time - $begin;
    spew($stop, '');
    waitpid $pid, 0;
    my ($ok, $bad, $first) = split / /, <$r> // '0 0', 3;
    is($failed, 0, '30 reloads succeed');
    cmp_ok($ok, '>', 20, "$ok requests were made meanwhile");
    is($bad, 0, 'none of them failed') or diag "the first: $first";
    ok($t->wait_ready(10, 2), 'two workers at the end');
    ok(wait_for(sub { $t->processes == 3 }, 10, 'three processes'),
        'the old ones are gone');
};

subtest '-s stop with a broken server.ini' => sub {
    $t->write_config("[server\nthis is nothing\n");
    my ($exit, $out, $err) = $t->run('-s', 'stop');
    is($exit, 0, 'exit 0') or diag $err;
    is($t->wait_exit(5), 0, 'it stopped');
};

$t->finish;
done_testing;
