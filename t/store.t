# [history] store: what rooms keep outlives the server, whichever way it ends;
# nothing that goes wrong with the file touches those who are served.
#
# LINNET_STORE_KILLS: how often everything is killed under load, 5.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Path qw(make_path);
use JSON::PP ();
use List::Util qw(max shuffle);
use POSIX ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;
use Test::Linnet::Chat;

my $KILLS = $ENV{LINNET_STORE_KILLS} || 5;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 3s

[history]
%%STORE%%

[chat]
history = %%KEEP%%

%%LISTEN_web%%

%%ROUTE_chat%%

[route metrics]
listen  = web
path    = /metrics
handler = status
INI

my $usual = "store = data/history.db\nsync = 100ms";

sub config
{
    my ($store, $keep) = @_;
    return $config =~ s/%%STORE%%/$store \/\/ $usual/er
        =~ s/%%KEEP%%/$keep \/\/ 1000/er;
}

sub server
{
    my ($store, $keep, @more) = @_;
    return Test::Linnet->new(config => config($store, $keep), @more);
}

my $probe = Test::Linnet->new(config => config());
my (undef, undef, $said) = $probe->run('-t');
undef $probe;
plan skip_all => 'built --without-sqlite' if $said =~ /without SQLite/;

# ---- the file ------------------------------------------------------------

# Rows of a statement, by a reader that is not ours.
sub sql
{
    my ($file, $statement) = @_;
    return [] if !-e $file;
    my ($exit, $out, $err) = run_command('/usr/bin/python3', '-c', <<'PY',
import json, sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
text = lambda v: v.decode('latin-1') if isinstance(v, bytes) else v
print(json.dumps([[text(v) for v in row] for row in db.execute(sys.argv[2])]))
PY
        $file, $statement);
    return JSON::PP->new->latin1->decode($out) if $exit == 0;
    diag $err;
    return [];
}

# The texts of a room in the file, by seq.
sub stored
{
    my ($file, $room) = @_;
    my $rows = sql($file, 'SELECT seq, data FROM message JOIN room'
            . " ON id = room WHERE name = '$room' ORDER BY seq");
    # A byte for the length of the nick, the nick, the text.
    return { map { $_->[0] => substr $_->[1], 1 + ord $_->[1] } @$rows };
}

sub is_whole
{
    my ($file, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return is_deeply(sql($file, 'PRAGMA integrity_check'), [['ok']],
        $name // 'the file is whole');
}

# Waits until all that was said is in the file.
sub wait_saved
{
    my ($t, $seq) = @_;
    return wait_for(
        sub {
            my $s = $t->status or return;
            return $s->{store} && $s->{store}{seq} >= $seq;
        },
        10,
        "seq $seq in the store"
    );
}

# ---- clients -------------------------------------------------------------

my $id = 0;

sub texts { return join ' ', map { $_->{text} } @{ $_[0]{history} } }

# Some clients that talk until told to stop by $again, each with a few messages
# under way: all that was acknowledged, [seq, text, time].
sub talk
{
    my ($clients, $room, $again) = @_;
    my $json = JSON::PP->new->utf8;
    my (@acked, %text);
    my $n = 0;
    while (my @alive = grep { !$_->{gone} } @$clients) {
        last if !$again->(\@acked);
        for my $c (@alive) {
            for (1 .. 8) {
                $text{ ++$id } = 'message-' . ++$n;
                $c->{w}->send_json({ type => 'message', room => $room,
                        text => $text{$id}, id => $id });
                $c->{waits}{$id} = 1;
            }
        }
        for my $c (@alive) {
            while (%{ $c->{waits} }) {
                my $m = eval { $c->{w}->json(5) };
                if (!$m) {
                    $c->{gone} = 1;
                    last;
                }
                next if !$m->{id} || !delete $c->{waits}{ $m->{id} };
                push @acked, [$m->{seq}, $text{ $m->{id} }, time];
            }
        }
    }
    return \@acked;
}

sub crowd
{
    my ($t, $room, $n) = @_;
    return [map { { w => (enter($t, $room))[0], waits => {} } } 1 .. $n];
}

# How many of the acknowledged messages the file lacks.
sub lacking
{
    my ($have, @acked) = @_;
    return scalar grep { ($have->{ $_->[0] } // '') ne $_->[1] } @acked;
}

# ---- over a restart ------------------------------------------------------

for my $how ('stop', 'quit') {
    subtest "ctl $how and start" => sub {
        my $t = server("store = data/history.db\nsync = 10ms")->start;
        my $file = $t->path('data/history.db');
        my ($w, $joined) = enter($t, 'lobby', nick => 'ann');
        my $seen = say_all($w, 'lobby', 1 .. 3);
        my $last = say_all($w, 'lobby', "b\x{e4}r \x{2603}", 5);
        my ($v) = enter($t, 'den');
        say_all($v, 'den', 'hello');
        my (undef, $before) = enter($t, 'lobby');
        is(scalar @{ $before->{history} }, 5, 'said');
        is(($t->ctl($how))[0], 0, $how);
        $t->wait_exit;
        ok(!-e "$file-wal", 'nothing is left beside the file');
        is_whole($file);

        $t->start;
        my (undef, $again) = enter($t, 'lobby',
            since => { epoch => $before->{epoch}, seq => $seen });
        is($again->{epoch}, $before->{epoch}, 'the same epoch');
        ok($again->{recovered}, '... in which nothing is missing')
            or diag explain $again;
        is(texts($again), join(' ', "b\x{e4}r \x{2603}", 5),
            '... of what was missed');
        cmp_ok($again->{seq}, '>', $before->{seq}, '... and seqs go on');
        (undef, $again) = enter($t, 'lobby');
        is_deeply($again->{history}, $before->{history},
            'the history is there as it was');
        (undef, $again) = enter($t, 'den');
        is(texts($again), 'hello', '... of every room');
        my ($exit, $rooms) = $t->ctl('rooms');
        like($rooms, qr/^lobby\s+\d+\s+5$/m, '... as ctl rooms counts');
        ($w) = enter($t, 'lobby', nick => 'ann');
        cmp_ok(say_all($w, 'lobby', 6), '>', $last, 'and it goes on');
        $t->finish;
    };
}

subtest 'ctl stop while they talk' => sub {
    my $t = server("store = data/history.db\nsync = 10ms", 20_000);
    my $file = $t->path('data/history.db');
    for my $round (1 .. 5) {
        my $room = "room-$round";
        $t->start;
        my $crowd = crowd($t, $room, 3);
        my $stopper;
        my $acked = talk($crowd, $room, sub {
                my ($acked) = @_;
                return 1 if @$acked < 100 || $stopper;
                $stopper = fork // die "fork: $!";
                return 1 if $stopper;
                exec $t->command('ctl', 'stop') or POSIX::_exit(127);
            });
        waitpid $stopper, 0;
        is($?, 0, "round $round: stopped");
        $t->wait_exit;
        is_deeply(sql($file, 'SELECT whole FROM server'), [[1]],
            '... in order');
        is(lacking(stored($file, $room), @$acked), 0,
            "... nothing is missing, of @{[scalar @$acked]}");
    }
    $t->finish;
};

subtest 'only what rooms keep' => sub {
    my $t = server(undef, 5)->start;
    my $file = $t->path('data/history.db');
    my ($w) = enter($t, 'lobby');
    my $last = say_all($w, 'lobby', 1 .. 30);
    ok(wait_saved($t, $last), 'said');
    my $have = stored($file, 'lobby');
    is(join(' ', map { $have->{$_} } sort { $a <=> $b } keys %$have),
        '26 27 28 29 30', 'the file has as many as the room');
    is(($t->ctl('status'))[1] =~ /^store .*: ready, pid \d+, 5 messages in 1 rooms, last written \S+ ago, 0 errors, 0 restarts$/m,
        1, 'ctl status tells of it');
    my $metrics = $t->http_get('web', '/metrics')->{body};
    like($metrics, qr/^linnet_store_messages 5$/m, 'metrics, too');
    unlike($metrics, qr/worker="4294967295"/, '... and it is no worker');
    is(scalar @{ $t->status->{workers} }, 2, '... nor for the status');
    my ($pid) = grep { $t->title($_) eq 'linnet: store' } $t->processes;
    is($t->status->{store}{pid}, $pid, 'it is a process of its own');
    $t->finish;
};

# ---- kill -9 -------------------------------------------------------------

subtest "kill -9 of everything, $KILLS times" => sub {
    my $t = server(undef, 20_000)->start;
    my $file = $t->path('data/history.db');
    $t->allow_alert(qr/signal 9/);
    my ($epoch, $seq);
    for my $round (1 .. $KILLS) {
        my $room = "room-$round";
        my $crowd = crowd($t, $room, 3);
        my @victims = shuffle($t->processes);
        my $wait = 0.8 + rand 1.2;
        my ($saved, $looked, $killed) = (0, time);
        my $killer = fork // die "fork: $!";
        if (!$killer) {
            sleep $wait;
            kill KILL => @victims;
            POSIX::_exit(0);
        }
        my $acked = talk($crowd, $room, sub {
                sleep 0.01;
                return 1 if time - $looked < 0.25;
                my $s = $t->status or return 1;
                $saved = $s->{store}{seq};
                $looked = time;
                return 1;
            });
        waitpid $killer, 0;
        $t->wait_exit;
        wait_for(sub { !$t->processes }, 5, 'all of them dead');
        my $end = @$acked ? $acked->[-1][2] : 0;
        is_whole($file, "round $round: the file is whole");
        my $have = stored($file, $room);
        my @must = grep { $_->[0] <= $saved } @$acked;
        is(lacking($have, @must), 0, '... all that was said to be saved is ('
                . @must . ' of ' . @$acked . ')');
        @must = grep { $_->[2] < $end - 1 * time_factor() } @$acked;
        is(lacking($have, @must), 0, '... and what is older than a second ('
                . @must . ')');
        is((grep { $_ !~ /^message-/ } values %$have), 0,
            '... and nothing that nobody said');

        $t->start;
        my (undef, $joined) = enter($t, $room,
            since => { epoch => $epoch, seq => $seq })
            if $epoch;
        ok(!$joined->{recovered}, '... what may be lost is not recovered')
            if $joined;
        my ($w, $fresh) = enter($t, $room);
        isnt($fresh->{epoch}, $epoch // '', '... the epoch is a new one');
        like(($t->ctl('rooms'))[1], qr/^$room +\d+ +@{[scalar keys %$have]}$/m,
            '... the room has what the file has');
        ($epoch, $seq) = @{$fresh}{qw(epoch seq)};
    }
    $t->finish;
};

subtest 'kill -9 of the store\'s process' => sub {
    # The room keeps all of it, however long a slow disk takes to start one.
    my $t = server(undef, 20_000)->start;
    my $file = $t->path('data/history.db');
    $t->allow_alert(qr/store's process .* signal 9/);
    my $crowd = crowd($t, 'lobby', 3);
    my (%seen, $next);
    my $begin = time;
    my $acked = talk($crowd, 'lobby', sub {
            my ($acked) = @_;
            my $s = $t->status->{store};
            if ($s->{state} eq 'ready' && !$seen{ $s->{pid} }++) {
                kill KILL => $s->{pid} if keys %seen <= 3;
            }
            sleep 0.02;
            return keys %seen < 4 && @$acked < 19_000 && time - $begin < 60;
        });
    is(scalar keys %seen, 4, 'it was killed three times, and is back');
    is(scalar(grep { $_->{gone} } @$crowd), 0, 'no client noticed');
    ok(wait_saved($t, max(map { $_->[0] } @$acked)), 'the fourth writes');
    is(lacking(stored($file, 'lobby'), @$acked), 0,
        "nothing is missing, of @{[scalar @$acked]}");
    is($t->status->{store}{restarts}, 3, 'restarts are counted');
    $t->log_like(qr/the store's process starts again in 100 ms/,
        'the log tells of them');

    # At the very end: another one writes what this one had not.
    my $last = say_all($crowd->[0]{w}, 'lobby', 'the last word');
    kill KILL => $t->status->{store}{pid};
    is(($t->ctl('stop'))[0], 0, 'stopped just then');
    $t->wait_exit;
    is(stored($file, 'lobby')->{$last}, 'the last word', '... nothing lost');
    is_deeply(sql($file, 'SELECT whole FROM server'), [[1]],
        '... the end is in order');
    $t->finish;
};

subtest 'kill -9 of the master alone' => sub {
    my $t = server("store = data/history.db\nsync = 1h")->start;
    my $file = $t->path('data/history.db');
    my ($w) = enter($t, 'lobby');
    my $last = say_all($w, 'lobby', 1 .. 20);
    kill KILL => $t->master_pid;
    $t->wait_exit;
    # Its workers stop listening first; the store's process may take longer.
    wait_for(sub { !Test::Linnet::Stream->try_connect(host => '127.0.0.1',
                port => $t->port('web')) }, 10, 'a free port');
    $t->start;
    my (undef, $joined) = enter($t, 'lobby');
    is(texts($joined), join(' ', 1 .. 20), 'started at once: all of it');
    $t->finish;
};

# ---- reload and upgrade --------------------------------------------------

subtest 'reload' => sub {
    my $t = server()->start;
    my ($one, $two) = map { $t->path("data/$_.db") } qw(history two);
    my ($w) = enter($t, 'lobby');
    my $pid = $t->status->{store}{pid};
    say_all($w, 'lobby', 1 .. 3);
    is(($t->reload)[0], 0, 'nothing changed');
    is($t->status->{store}{pid}, $pid, '... the same process');

    is(($t->reload(config("store = data/two.db\nsync = 100ms")))[0], 0,
        'another file');
    ok(wait_for(sub { !proc_alive($pid) }, 5, 'the old one'),
        '... the old process ends');
    ($w) = enter($t, 'lobby');
    my $last = say_all($w, 'lobby', 4);
    ok(wait_saved($t, $last), '... a new one writes');
    is(scalar keys %{ stored($two, 'lobby') }, 4, '... all that there is');
    is(scalar keys %{ stored($one, 'lobby') }, 3, '... the old file stays');

    $pid = $t->status->{store}{pid};
    spew($t->path('data/file'), 'x' x 5000);
    make_path($t->path('data/folder'));
    for my $bad (['data/file', 'that is no database'],
        ['data/file/in.db', 'Not a directory'],
        ['data/folder', 'cannot open it']) {
        my ($exit, undef, $err) = $t->reload(config("store = $bad->[0]"));
        is($exit, 1, "$bad->[0] is refused");
        like($err, qr/store \S+\Q$bad->[0]\E: .*$bad->[1]/,
            "... because: $bad->[1]");
    }
    is($t->status->{store}{pid}, $pid, '... the old one goes on');

    is(($t->reload(config("store = data/two.db\nsync = 200ms")))[0], 0,
        'another interval');
    ok(wait_for(sub { ($t->status->{store}{pid} // $pid) != $pid }, 5,
            'a new process'), '... a new process');
    ($w) = enter($t, 'lobby');
    ok(wait_saved($t, $last = say_all($w, 'lobby', 5)), '... writes');

    is(($t->reload(config('')))[0], 0, 'no store');
    ok(!defined $t->status->{store}, '... none');
    ok(wait_for(sub { $t->processes == 3 }, 5, 'its process'),
        '... nor its process');
    ($w) = enter($t, 'lobby');
    say_all($w, 'lobby', 6);
    is(($t->reload(config("store = data/two.db\nsync = 100ms")))[0], 0,
        'the same again');
    ok(wait_for(sub { keys %{ stored($two, 'lobby') } == 6 }, 5, 'all six'),
        '... it has what was said meanwhile');

    my ($exit, undef, $err) = $t->reload(config("store = data/none/3.db"));
    is($exit, 0, 'a folder that is not there is made') or diag $err;
    $t->finish;
};

subtest 'a reload that fails' => sub {
    my $with = sub {
        return config(@_)
            =~ s{^(workers.*)}{$1\nload_module = %%MODULE_trouble%%}mr
            . "\n[trouble]\nfile = run/trouble\n";
    };
    my $t = Test::Linnet->new(config => $with->())->start;
    my ($one, $two) = map { $t->path("data/$_.db") } qw(history two);
    my ($w) = enter($t, 'lobby');
    ok(wait_saved($t, say_all($w, 'lobby', 1 .. 3)), 'three messages');
    my $before = $t->status->{store};
    spew($t->path('run/trouble'), "fail\n");
    $t->log_mark;
    my ($exit, undef, $err) = $t->reload($with->('store = data/two.db'));
    is($exit, 1, 'another store, and workers that do not start');
    like($err, qr/trouble was asked to fail/, '... for that reason');
    $t->log_like(qr/the store's process \(pid \d+\) exited with status 0/,
        '... the process of that store ends', 10);
    is_deeply(stored($two, 'lobby'), {}, '... which has nothing');
    my $after = $t->status->{store};
    is_deeply([@$after{qw(pid path seq written)}],
        [@$before{qw(pid path seq written)}], '... and does not count');
    unlink $t->path('run/trouble');
    is(($t->reload($with->('store = data/two.db')))[0], 0, 'now they do');
    ok(wait_for(sub { keys %{ stored($two, 'lobby') } == 3 }, 10, 'all'),
        '... and it gets all');
    is(scalar keys %{ stored($one, 'lobby') }, 3, '... as the first had it');
    $t->finish;
};

subtest 'an upgrade that fails' => sub {
    my $with = sub {
        return config(@_)
            =~ s{^(workers.*)}{$1\nload_module = %%MODULE_trouble%%}mr
            . "\n[trouble]\nfile = run/trouble\n";
    };
    my $t = Test::Linnet->new(config => $with->(), copy_binary => 1)->start;
    my ($w) = enter($t, 'lobby');
    ok(wait_saved($t, say_all($w, 'lobby', 1 .. 3)), 'three messages');
    my $before = $t->status->{store};
    spew($t->path('run/trouble'), "fail\n");
    $t->write_config($with->('store = data/two.db'));
    my ($exit, undef, $err) = $t->ctl('upgrade');
    is($exit, 1, 'another store, and workers that do not start');
    like($err, qr/trouble was asked to fail/, '... for that reason');
    ok(wait_for(sub { $t->processes == 4 }, 10, 'the end of the new ones'),
        '... nobody else is left');
    is_deeply(stored($t->path('data/two.db'), 'lobby'), {},
        '... that store has nothing');
    my $after = $t->status->{store};
    is_deeply([@$after{qw(pid path seq written)}],
        [@$before{qw(pid path seq written)}], '... and does not count');
    $t->finish;
};

subtest 'its process dies over the last word' => sub {
    my $t = server("store = data/history.db\nsync = 1h")->start;
    $t->allow_alert(qr/the store's process .* signal 9/);
    my ($w) = enter($t, 'lobby');
    my $pid = $t->status->{store}{pid};
    kill STOP => $pid;
    say_all($w, 'lobby', 1 .. 3);
    $t->signal('TERM');
    ok(wait_for(sub { $t->processes == 2 }, 10, 'the workers'),
        'the workers have ended');
    kill KILL => $pid;
    is($t->wait_exit, 0, 'the master ends');
    ok(wait_for(sub { !$t->processes }, 10, 'the end'), 'all have ended');
    is(scalar keys %{ stored($t->path('data/history.db'), 'lobby') }, 3,
        'another one has written it');
    $t->finish;
};

subtest 'an upgrade to no store' => sub {
    my $t = server(undef, undef, copy_binary => 1)->start;
    my ($w) = enter($t, 'lobby');
    ok(wait_saved($t, say_all($w, 'lobby', 1)), 'there is one');
    my $pid = $t->status->{store}{pid};
    $t->write_config(config(''));
    is(($t->ctl('upgrade'))[0], 0, 'upgraded');
    ok(!defined $t->status->{store}, '... none');
    ok(wait_for(sub { !proc_alive($pid) }, 10, 'its process'),
        '... nor its process');
    ok(wait_for(
            sub { $t->http_get('web', '/metrics')->{body} !~ /^linnet_store/m },
            5,
            'the metrics'
        ),
        '... nor metrics that nobody keeps up to date');
    $t->finish;
};

subtest 'upgrade' => sub {
    my $t = server(undef, undef, copy_binary => 1)->start;
    my $file = $t->path('data/history.db');
    my $pid = $t->status->{store}{pid};
    my $crowd = crowd($t, 'lobby', 2);
    my ($exit, $acked, $child);
    $acked = talk($crowd, 'lobby', sub {
            my ($acked) = @_;
            $exit = ($t->ctl('upgrade'))[0] if @$acked > 20 && !defined $exit;
            return @$acked < 60 || !defined $exit;
        });
    is($exit, 0, 'upgraded while they talk');
    ok(wait_for(sub { !proc_alive($pid) }, 5, 'the old process'),
        'the old process has ended');
    my ($w, $joined) = enter($t, 'lobby');
    ok(wait_saved($t, say_all($w, 'lobby', 'after')), 'the new one writes');
    is(lacking(stored($file, 'lobby'), @$acked), 0, 'nothing is missing');
    $t->log_unlike(qr/\[(error|warn)\].*store/, 'and nothing to complain of');
    is(($t->ctl('upgrade'))[0], 0, 'once more');
    say_all($w = (enter($t, 'lobby'))[0], 'lobby', 'later');
    is(($t->ctl('stop'))[0], 0, 'stopped at once');
    wait_for(sub { !$t->processes }, 10, 'the end');
    my $have = stored($file, 'lobby');
    is((grep { $_ eq 'later' } values %$have), 1, '... the last word is there');
    is_whole($file);
    $t->finish;
};

# ---- what is wrong with the file -----------------------------------------

subtest 'a start that cannot be' => sub {
    my $t = server('store = data/bad.db');
    my $file = $t->path('data/bad.db');
    my $refused = sub {
        my ($reason, $name) = @_;
        local $Test::Builder::Level = $Test::Builder::Level + 1;
        my ($exit, undef, $err) = $t->run({ timeout => 20 });
        is($exit, 1, "$name: exit 1");
        like($err, qr/the server does not start: store \Q$file\E: .*$reason/,
            '... with the reason');
        is(scalar $t->processes, 0, '... and no process left');
        ok(!-e $t->path('run/control.sock'), '... nor a socket');
    };
    spew($file, 'x' x 8192);
    chmod 0666, $file;
    chmod 0777, $t->path('data');
    $refused->('that is no database', 'a text');
    spew($file, '');
    sql($file, 'CREATE TABLE other (x)');
    chmod 0666, $file;
    $refused->('a database of another program', 'another database');
    unlink $file;
    make_path($file);
    $refused->('Is a directory|cannot open', 'a folder');
    rmdir $file;

    $t->start;
    my ($w) = enter($t, 'lobby');
    say_all($w, 'lobby', 'x' x 3000) for 1 .. 20;
    my $other = Test::Linnet->new(config => config("store = $file"));
    my ($exit, undef, $err) = $other->run({ timeout => 30 });
    is($exit, 1, 'one that another server has: exit 1');
    like($err, qr/process \d+ also writes store \Q$file\E/, '... says which');
    $other->finish;
    is($t->stop, 0, 'that one goes on');

    open my $fh, '+<:raw', $file or die "$file: $!";
    seek $fh, 8 * 4096, 0;
    print {$fh} 'damage' x 500;
    close $fh;
    $refused->('it is damaged', 'a damaged one');
    sql($file, 'PRAGMA user_version = 7');
    $refused->('it has format 7, this linnet knows 1', 'one of the future');

    SKIP: {
        skip 'only root can lock others out', 4 if $>;
        unlink $file;
        chmod 0755, $t->path('data');
        chown 0, 0, $t->path('data');
        $refused->('Permission denied', 'a folder of root\'s');
    }
    $t->finish;
};

subtest 'the file goes away while it is used' => sub {
    my $t = server()->start;
    my $file = $t->path('data/history.db');
    my ($w) = enter($t, 'lobby');
    ok(wait_saved($t, say_all($w, 'lobby', 1, 2)), 'saved');
    unlink $file;
    my $last = say_all($w, 'lobby', 3);
    $t->log_like(qr/\[error\].*store \Q$file\E: the file was removed/,
        'the log tells of it');
    ok(wait_for(sub { -e $file && keys %{ stored($file, 'lobby') } == 3 }, 10,
            'a new file'), 'a new file has it all');
    $t->log_like(qr/the store is written again/, 'which is told, too');
    $t->finish;
};

subtest 'the process is stopped when the server ends' => sub {
    my $t = server()->start;
    my $file = $t->path('data/history.db');
    my ($w) = enter($t, 'lobby');
    my ($pid) = grep { $t->title($_) eq 'linnet: store' } $t->processes;
    kill STOP => $pid;
    ok(say_all($w, 'lobby', 1 .. 20), 'something is said');
    $t->allow_alert(qr/signal 9/);
    my $begin = time;
    is(($t->ctl('stop'))[0], 0, 'ctl stop');
    cmp_ok(time - $begin, '<', 8 * time_factor(), '... does not wait for it');
    like($t->log_text, qr/store's process \(pid $pid\) is stopped and is killed/,
        'the log tells why');
    is(scalar keys %{ stored($file, 'lobby') }, 20,
        'another process has written what was said');
    $t->finish;
};

subtest 'the disk is full' => sub {
    plan skip_all => 'only in debug builds' if !$ENV{LINNET_DEBUG};
    my $t = server(undef, undef,
        env => { LINNET_TEST_STORE_PAGES => '/tmp/none' });
    my $pages = $t->path('run/pages');
    $t->{env}{LINNET_TEST_STORE_PAGES} = $pages;
    spew($pages, "8\n");
    $t->start;
    my $file = $t->path('data/history.db');
    my ($w) = enter($t, 'lobby');
    my $last = say_all($w, 'lobby', map { 'x' x 1000 . $_ } 1 .. 60);
    $t->log_like(qr/\[error\].*store \Q$file\E: cannot write it: the disk is full/,
        'the log tells of it');
    ok(wait_for(sub { $t->status->{store}{errors} >= 3 }, 15, 'more tries'),
        'it is tried again');
    is($t->status->{store}{state}, 'failing', '... the status says so');
    my $lines = () = $t->log_text =~ /the disk is full/g;
    is($lines, 1, '... the log only once');
    $last = say_all($w, 'lobby', 'still here');
    ok($last, 'who talks is served');
    spew($pages, "0\n");
    ok(wait_for(sub { $t->status->{store}{state} eq 'ready' }, 20, 'space'),
        'space again');
    ok(wait_saved($t, $last), '... it is written');
    is(scalar keys %{ stored($file, 'lobby') }, 61, '... nothing is missing');
    $t->log_like(qr/the store is written again, nothing is missing/,
        '... says the log');
    $t->finish;
};

done_testing;
