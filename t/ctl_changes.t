# Commands of linnet ctl while everything changes: reloads, upgrades, workers
# that drain and die.  Each of them is done, or says in plain words why not; none
# waits without a bound, and none says what is not true.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Socket::UNIX;
use JSON::PP ();
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;
use Test::Linnet::Build;

my $trouble = Test::Linnet::Build::module('trouble');
my $config = <<"INI";
[server]
workers          = 3
shutdown_timeout = 5s
load_module      = $trouble

[limits]
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

%%LISTEN_echo%%

%%ROUTE_chat%%
INI

sub server
{
    my $t = Test::Linnet->new(config => $config, copy_binary => 1, @_)->start;
    $t->allow_alert(qr/signal 9/);
    return $t;
}

# What may be refused, by command.
my $ENDS = qr/the worker has ended/;
my $UPGRADE = qr/an upgrade is going on; try again after it/;
my $RELOAD = qr/a reload is going on; try again after it/;
my $KILLED = qr/new worker \d+ was killed by signal 9 \(Killed\) before it was ready/;
my $NOBODY = qr/no worker serves at the moment/;
my $SOON = qr/another process has taken over from this one/;
my %REFUSED = (
    broadcast => $NOBODY,
    publish => qr/$NOBODY|$ENDS before it could say .* look before you try/,
    kick => qr/there is no such connection \(any more\)|$ENDS/,
    reload => qr/$UPGRADE|$KILLED|$SOON/,
    workers => qr/$UPGRADE|$KILLED|$SOON|another number of workers waits/,
    drain => join_re($RELOAD, $UPGRADE, qr/no worker serves in slot \d/,
        qr/there is no other worker to take its connections/),
    upgrade => join_re($RELOAD, $SOON, qr/another upgrade is going on/,
        qr/the new binary: worker \d+ was killed by signal 9/),
);

sub join_re { return join '|', @_ }

my %seconds; # the longest that a command took

# undef, or what is wrong with one run of a command.
sub try
{
    my ($t, @words) = @_;
    my $begin = time;
    my ($exit, $out, $err) = $t->run({ timeout => 30 }, 'ctl', @words);
    my $took = time - $begin;
    $seconds{ $words[0] } = $took if $took > ($seconds{ $words[0] } // 0);
    my $why = $REFUSED{ $words[0] };
    return "@words: no end" if $exit == -1;
    if ($exit == 0) {
        return "@words: done, but: $err" if $err ne '';
        return "@words: nothing" if $out eq '' && $words[0] ne 'values';
        return $out if $out =~ /Broken pipe|reset by peer|not connected/i;
        return;
    }
    return if $why && $exit == 1 && $err =~ /^linnet: (?:$why)[^\n]*\n\z/;
    return "@words: exit $exit: $err";
}

# A process that runs commands until there is a file run/end, at least one round;
# what was wrong comes through the handle.
sub asker
{
    my ($t, $round) = @_;
    pipe my $r, my $w or die "pipe: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        close $r;
        my ($n, @bad) = 0;
        do {
            $n++;
            push @bad, grep { defined } $round->($n);
        } until (-e $t->path('run/end') || @bad > 20);
        print {$w} map { s/\n+/ | /gr . "\n" } @bad;
        printf {$w} "rounds %d, the longest: %s\n", $n, join ', ',
            map { sprintf '%s %.1f s', $_, $seconds{$_} } sort keys %seconds;
        close $w;
        POSIX::_exit(@bad ? 1 : 0);
    }
    close $w;
    return { pid => $pid, from => $r };
}

# Changes without a pause: 24 reloads at least, 12 workers killed, slots drained,
# other numbers of workers, and upgrades if wanted.
sub changes
{
    my ($t, $upgrades) = @_;
    my ($reloads, $killed, $upgraded, @bad) = (0, 0, 0);
    my $end = time + 90 * time_factor();
    for (my $n = 1; time < $end; $n++) {
        last if $reloads >= 24 && $killed >= 12 && $upgraded >= $upgrades;
        my ($exit) = $t->ctl('reload');
        $reloads++ if $exit == 0;
        if ($n % 2 == 0) {
            my @w = $t->worker_pids;
            $killed += kill KILL => $w[rand @w] if @w;
        }
        push @bad, try($t, 'drain', $n % 3) if $n % 3 == 0;
        push @bad, try($t, 'workers', 2 + $n % 2) if $n % 4 == 0;
        if ($n % 6 == 0 && $upgraded < $upgrades) {
            my $was = $t->status->{pid};
            push @bad, try($t, 'upgrade');
            $upgraded++ if $t->status->{pid} != $was;
        }
        $t->reap;
    }
    cmp_ok($reloads, '>=', 24, "$reloads reloads");
    cmp_ok($killed, '>=', 12, "$killed workers were killed");
    cmp_ok($upgraded, '>=', $upgrades, "$upgraded upgrades");
    is_deeply([grep { defined } @bad], [], '... and each drain and change of '
        . 'the number of workers is done or says why not');
    return;
}

sub all_well
{
    my ($t, @askers) = @_;
    spew($t->path('run/end'), '');
    for my $a (@askers) {
        my @said = readline $a->{from};
        waitpid $a->{pid}, 0;
        my ($rounds) = ($said[-1] // '') =~ /^rounds (\d+)/;
        is($?, 0, "$a->{name}: nothing but answers, "
            . ($rounds // 'no') . ' times') or diag @said;
        note $said[-1] // 'nothing';
    }
    return;
}

sub questions
{
    my ($t, $name, $round) = @_;
    return { name => $name, %{ asker($t, $round) } };
}

for my $upgrades (0, 2) {
    subtest $upgrades ? 'reloads and upgrades' : 'reloads' => sub {
        my $t = server();
        my @clients = map { $t->websocket('web', '/chat') } 1 .. 20;
        my $mine = 0;
        my $bad;
        my @askers = (
            questions($t, 'those that ask the master', sub {
                map { try($t, @$_) } ['status'], ['status', '--json'],
                    ['rooms'], ['zone'], ['values'];
            }),
            questions($t, 'values', sub {
                my ($n) = @_;
                my @wrong = try($t, 'set', 'mine', "v$n");
                my ($exit, $out) = $t->ctl('get', 'mine');
                push @wrong, "get: $exit $out" if $out ne "v$n\n";
                push @wrong, try($t, 'unset', 'mine') if $n % 5 == 0;
                return @wrong;
            }),
            questions($t, 'those that ask workers', sub {
                my ($n) = @_;
                my ($exit, $out) = $t->ctl('conns');
                my ($id) = $out =~ /^\s+(\d+)\s+\d+\s+listen echo/m;
                return (map { try($t, @$_) } ['conns'],
                    ['publish', 'lobby', "hello $n"],
                    ['kick', $id // 1000 + $n], ['kick', 1 << 40 | $n % 8]);
            }),
            questions($t, 'broadcast', sub {
                my ($n) = @_;
                try($t, 'broadcast', "number $n;");
            }),
            map({ questions($t, "broadcast $_", sub {
                try($t, 'broadcast', 'noise') }) } 2 .. 4),
            questions($t, 'orders', sub {
                map { try($t, @$_) } ['log-level', 'info'], ['reopen'];
            }),
        );
        changes($t, $upgrades);
        all_well($t, @askers);
        ok($t->wait_ready(20), 'all workers are ready');

        # What came in the meantime came in order, and without a gap: of a
        # worker that was killed not to the end.
        my (%heard, $text);
        $text = slurp($t->log_path);
        push @{ $heard{$1} }, $2
            while $text =~ /\] (\d+)#\d+: trouble heard: number (\d+);/g;
        my @gaps = grep {
            my $v = $heard{$_};
            grep { $v->[$_] != $v->[$_ - 1] + 1 } 1 .. $#$v;
        } keys %heard;
        is_deeply(\@gaps, [], scalar(keys %heard)
            . ' workers heard all broadcasts of their time, once and in order')
            or diag map { "$_: @{ $heard{$_} }\n" } @gaps;
        my %numbers = map { $_ => 1 } map { @$_ } values %heard;
        my ($last) = sort { $b <=> $a } keys %numbers;
        cmp_ok($last // 0, '>', 10, 'there were ' . ($last // 0));
        is(scalar keys %numbers, $last, '... each of them heard by somebody');
        $t->log_unlike(qr/Broken pipe|Connection reset/,
            'no such thing in the log');
        $t->finish;
    };
}

# ---- one thing at a time -------------------------------------------------

# Workers of both masters have clients; both hear a broadcast.
subtest 'the old master still has clients' => sub {
    my $t = server();
    my ($slow) = $t->worker_pids;
    my $before = Test::Linnet::Stream->connect(
        path => $t->path('run/control.sock'));
    is(($t->ctl('status'))[0], 0, 'a server');
    kill STOP => $slow;
    is(($t->ctl('upgrade'))[0], 0, 'upgraded; a worker takes its time to go');
    isnt($t->status->{pid}, $t->{pid}, '... a new master is asked');
    my ($exit, $out, $err) = $t->ctl('broadcast', 'to both');
    is($exit, 0, 'a broadcast') or diag $err;
    $before->write(qq(["broadcast","not any more"]\n));
    my $answer = $before->line(5);
    my $said = eval { JSON::PP->new->decode($answer) } // {};
    ok(!$said->{ok} && $said->{again},
        'the old master sends who comes late to the new one')
        or diag $answer;
    like($said->{text}, qr/another process has taken over/, '... in words, too');
    kill CONT => $slow;
    $t->log_like(qr/\] $slow#\d+: trouble heard: to both/,
        'the worker of the old master hears it');
    ok(wait_for(sub { 4 == (() = $t->log_text =~ /trouble heard: to both/g) },
            10, 'four workers'), '... and those of the new one');
    ok(wait_for(sub { $t->reap; !$t->{pid} }, 15, 'the old master'),
        'the old master ends');
    $t->log_unlike(qr/not any more/, 'what it refused was not done');
    $t->finish;
};

# A download cannot move: it ends where it began.
subtest 'the old master has clients that cannot move' => sub {
    my $t = Test::Linnet->new(copy_binary => 1,
        config => $config =~ s/^workers.*/workers = 1/mr
            =~ s/^shutdown_timeout.*/shutdown_timeout = 30s/mr
            . "\n[route files]\nlisten = web\npath = /\n"
            . "handler = static\nroot = %%PREFIX%%/www\n",
        files => { 'www/big' => 'x' x 20_000_000 })->start;
    my ($old) = $t->worker_pids;
    my $client = $t->connect('web');
    $client->write("GET /big HTTP/1.1\r\nHost: x\r\n\r\n");
    ok(defined $client->read_exact(1000, 5), 'a client loads a file');
    is(($t->ctl('upgrade'))[0], 0, 'upgraded');
    $t->log_like(qr/\] $old#\d+: draining 1 connections that cannot move/,
        'it stays with the old worker');
    is(($t->ctl('broadcast', 'to all'))[0], 0, 'a broadcast');
    $t->log_like(qr/\] $old#\d+: trouble heard: to all/,
        '... which the old worker hears');
    $client->close;
    ok(wait_for(sub { $t->reap; !$t->{pid} }, 15, 'the old master'),
        'the old master ends when it has gone');
    is(($t->ctl('reload'))[0], 0, 'a reload');
    $t->finish;
};

subtest 'ctl goes on to the server that took over' => sub {
    my $t = Test::Linnet->new(config => $config);
    my $path = $t->path('run/control.sock');
    for my $times (1, 3, 1000) {
        unlink $path;
        my $server = IO::Socket::UNIX->new(Local => $path, Listen => 5)
            or die "$path: $!";
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            for my $n (1 .. $times + 1) {
                my $c = $server->accept or last;
                my $line = <$c>;
                print {$c} $n <= $times
                    ? qq({"ok":false,"again":true,"text":"gone"}\n)
                    : qq({"ok":true,"text":"number $n"}\n);
            }
            POSIX::_exit(0);
        }
        close $server;
        my ($exit, $out, $err) = $t->ctl('status');
        if ($times < 10) {
            is($exit, 0, "after $times answers of servers that have gone");
            is($out, 'number ' . ($times + 1) . "\n", '... comes the answer');
        } else {
            is($exit, 1, 'but not for ever');
            like($err, qr/try again later/, '... with a reason');
        }
        kill KILL => $pid;
        waitpid $pid, 0;
    }
    unlink $path;
    $t->finish;
};

subtest 'nobody serves' => sub {
    my $t = server();
    my @w = $t->worker_pids;
    $t->signal('WINCH');
    ok(wait_for(sub { !grep { proc_alive($_) } @w }, 15, 'no worker'),
        'all workers are drained away');
    for my $words (['broadcast', 'x'], ['publish', 'lobby', 'x']) {
        my ($exit, $out, $err) = $t->ctl(@$words);
        is($exit, 1, "$words->[0]: exit 1");
        like($err, qr/^linnet: no worker serves at the moment$/,
            '... with the reason');
    }
    my ($exit, $out, $err) = $t->ctl('upgrade');
    is($exit, 1, 'upgrade: exit 1');
    like($err, qr/WINCH.*reload first/, '... with the reason');
    is(($t->ctl('reload'))[0], 0, 'a reload brings new ones');
    is(($t->ctl('broadcast', 'x'))[0], 0, '... which hear a broadcast');
    $t->finish;
};

subtest 'too long' => sub {
    my $t = server();
    my ($exit, $out, $err) = $t->ctl('broadcast', 'x' x 61_000);
    is($exit, 0, 'a long broadcast') or diag $err;
    ($exit, $out, $err) = $t->ctl('broadcast', 'x' x 62_000);
    is($exit, 1, 'one that is too long');
    like($err, qr/the text has 62000 bytes; 614\d\d are possible/,
        '... with the reason');
    ($exit, $out, $err) = $t->ctl('publish', 'lobby', 'x' x 62_000);
    is($exit, 1, 'a message');
    unlike($err, qr/Message too long/, '... with a reason in words');
    $t->finish;
};

# A worker that stands still takes what it can; the rest is told.
subtest 'a worker that takes nothing more' => sub {
    my $t = server();
    my ($slow, @others) = $t->worker_pids;
    kill STOP => $slow;
    my ($exit, $out, $err, $n) = (0, '', '', 0);
    while ($exit == 0 && $n < 300) {
        ($exit, $out, $err) = $t->ctl('broadcast', 'x' x 60_000);
        $n++;
    }
    is($exit, 1, "broadcast number $n is refused");
    like($err, qr/^linnet: worker \d: the worker does not take requests at the /,
        '... with the reason');
    kill KILL => $slow;
    ok($t->wait_ready(20, 3), 'killed, and there again');
    is(($t->ctl('broadcast', 'x'))[0], 0, 'a broadcast');
    $t->finish;
};

# ---- changes that fail ---------------------------------------------------

subtest 'reloads that fail' => sub {
    my $t = server();
    my $good = slurp($t->conf_path);
    for my $how (['ctl', 'reload'], ['-s', 'reload'], ['ctl', 'workers', 2],
        ['signal']) {
        $t->write_config(
            $config =~ s/^\[limits\]/[limits]\nmesage_size = 1\nbad = 2/mr);
        $t->log_mark;
        my @reasons = (qr/server\.ini:\d+: .*mesage_size.*message_size/,
            qr/server\.ini:\d+: .*"bad"/);
        if (@$how > 1) {
            my ($exit, $out, $err) = $t->run(@$how);
            is($exit, 1, "@$how: exit 1");
            like($err, $_, '... with the reason') for @reasons;
        } else {
            $t->signal('HUP');
        }
        $t->log_like(qr/\[error\] .*reload failed, generation 1 goes on: .*$_/,
            '... in the log') for @reasons;
        my $last = $t->status->{last_reload};
        ok(!$last->{ok}, 'status: the last reload failed');
        like($last->{error}, $_, '... with the reason') for @reasons;
    }
    spew($t->conf_path, $good);
    for my $n (0, -1, 'x', 100_000) {
        my ($exit, $out, $err) = $t->ctl('workers', $n);
        is($exit, 1, "workers $n: exit 1");
        like($err, qr/workers/, '... with the reason') or diag $err;
        unlike($err, qr/Invalid argument/, '... in words');
    }
    is(scalar $t->workers, 3, 'three workers are there');
    is(($t->ctl('workers', 2))[0], 0, 'two');
    $t->finish;
};

# The first waits, as a worker of the generation before takes its time.
subtest 'two numbers of workers at once' => sub {
    my $t = server();
    my ($slow) = $t->worker_pids;
    kill STOP => $slow;
    is(($t->ctl('reload'))[0], 0, 'a reload');
    my $four = Test::Linnet::Stream->connect(
        path => $t->path('run/control.sock'));
    $four->write(qq(["workers","4"]\n));
    my ($exit, $out, $err);
    ok(wait_for(sub {
        ($exit, $out, $err) = $t->ctl('workers', 5);
        $exit == 1;
    }, 10, 'a refusal'), 'four workers wait, five are refused')
        if $four->silent(0.2);
    like($err, qr/another number of workers waits to take effect/,
        '... with the reason');
    kill CONT => $slow;
    like($four->line(20), qr/"ok":true/, 'four it is');
    ok($t->wait_ready(10, 4), '... and there are');
    is(($t->ctl('workers', 5))[0], 0, 'now five');
    $t->finish;
};

done_testing;
