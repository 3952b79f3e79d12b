# An upgrade to a binary that cannot keep the zone: it is refused before
# anything is touched, unless the operator says --new-zone.  The other binaries
# are this one, linked anew with sources that differ where releases did.

use strict;
use warnings;

use File::Path qw(make_path);
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Chat qw(ask);
use Test::Programs qw(build_dir);

chdir "$FindBin::Bin/.." or die "chdir: $!";
my $build = build_dir();
my $folder = File::Temp::tempdir(CLEANUP => 1);
my ($layout) = slurp('src/zone/zone.h') =~ /\bLNT_ZONE_LAYOUT = (\d+),/
    or die 'src/zone/zone.h names no layout';

# ---- other releases ----

my ($cflags, $ldflags, $libs) = split /\|/, slurp("$build/flags");
my ($cc) = split ' ', $cflags // '';
plan skip_all => 'there is no build folder' if !defined $libs;
plan skip_all => "$cc is not there"
    if system("command -v $cc >$folder/cc 2>&1") != 0;

sub compile
{
    my ($command) = @_;
    my $out = `$command 2>&1`;
    $? == 0 or die "$command\n$out";
    return;
}

# A binary of that layout; edits: source => [[from, to], ...], each there once.
sub release
{
    my ($name, $its_layout, %edits) = @_;
    my $at = "$folder/$name";
    my @objects = split ' ', slurp("$build/objects");
    make_path("$at/zone");
    spew("$at/zone/zone.h", slurp('src/zone/zone.h')
            =~ s/\bLNT_ZONE_LAYOUT = \K\d+/$its_layout/r);
    my $flags = $cflags =~ s/^\s*(\S+)/$1 -I$at/r;
    for my $source ('src/zone/zone.c', sort keys %edits) {
        my $object = "$at/" . ($source =~ s/\W/_/gr) . '.o';
        my $text = slurp($source);
        for (@{ $edits{$source} // [] }) {
            my ($from, $to) = @$_;
            ($text =~ s/\Q$from\E/$to/g) == 1 or die "$source: $from";
        }
        spew("$object.c", $text);
        compile("$flags -c -o $object $object.c");
        my $its = $source =~ s/\.c$/.o/r;
        1 == grep { s{^.*\Q/$its\E$}{$object} } @objects or die $its;
    }
    compile("$cc -pie $ldflags -Wl,-E -o $at/linnet @objects $libs");
    return "$at/linnet";
}

my $other = release('other', $layout + 1);
# As 0.1.0: it demands nothing, exits at whatever it does not know, and says
# nothing of the zone.
my $ancient = release('ancient', $layout - 1,
    'src/master/upgrade.c' => [['if (!u->new_zone) {', 'if (false) {']],
    'src/master/takeover.c' => [['r->keep = true;', 'exit(1);'],
        ['return m->zone_refused;', 'return "";']]);

# ---- servers and clients ----

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 10s
lock_timeout     = 0

[limits]
ping_interval = 0

[log]
error = logs/error.log
level = info

[history]
%%STORE%%

%%LISTEN_echo%%

%%LISTEN_lines%%

%%LISTEN_web%%

%%ROUTE_chat%%

%%ROUTE_echo%%

%%ROUTE_events%%

[chat]
history = 100
INI

sub config
{
    my ($store, $more) = @_;
    return ($config =~ s/%%STORE%%/$store \/\/ ''/er) . ($more // '');
}

sub server
{
    my (%o) = @_;
    my $store = delete $o{store};
    return Test::Linnet->new(config => config($store), copy_binary => 1, %o);
}

sub enter
{
    my ($t, $nick) = @_;
    my $w = $t->websocket('web', '/chat');
    my $answer = ask($w, type => 'join', room => 'hall', nick => $nick);
    is($answer->{type}, 'joined', "$nick joins");
    return wantarray ? ($w, $answer) : $w;
}

# What the hall remembers, as one who comes new is told.
sub history
{
    my ($t) = @_;
    my ($w, $answer) = enter($t, 'passer');
    is(ask($w, type => 'leave', room => 'hall')->{type}, 'left', '... leaves');
    $w->close;
    return [map { $_->{text} } @{ $answer->{history} // [] }];
}

sub says
{
    my ($w, $text) = @_;
    return ask($w, type => 'message', room => 'hall', text => $text)->{type}
        // '';
}

# Two of each kind, as there are two workers.
sub crowd
{
    my ($t) = @_;
    my $c = { t => $t, said => [] };
    $c->{chat} = [map { scalar enter($t, "ann$_") } 1 .. 2];
    $c->{mute} = [map { $t->websocket('web', '/chat') } 1 .. 2];
    $c->{echo} = [$t->connect('echo'), $t->connect('echo'),
        map { $t->websocket('web', '/echo') } 1 .. 2];
    $c->{line} = $t->connect('lines');
    $c->{line}->write("/join hall carol\n");
    ok($c->{line}->read_until(qr/carol/), 'a person joins');
    $c->{events} = $t->events('web', '/events?room=hall');
    return $c;
}

# Everyone is as ever, and hears what is said.
sub is_whole
{
    my ($c) = @_;
    my $text = 'word ' . (1 + @{ $c->{said} });
    push @{ $c->{said} }, $text;
    is(says($c->{chat}[0], $text), 'ack', '... a member speaks');
    ok($c->{chat}[1]->json_like({ type => 'message', text => $text }),
        '... another hears it');
    ok($c->{line}->read_until(qr/<ann1> \Q$text\E\n/), '... a person, too');
    my $e;
    do { $e = $c->{events}->event } until !$e || ($e->{json}{text} // '') eq $text;
    ok($e, '... and one who listens');
    $c->{line}->write("yes\n");
    push @{ $c->{said} }, 'yes';
    ok($c->{chat}[1]->json_like({ type => 'message', text => 'yes' }),
        '... the person speaks');
    is(scalar(grep { $_->echoes } @{ $c->{echo} }), 4, '... echoes');
    is_deeply(history($c->{t}), $c->{said}, '... the history is whole');
    return;
}

# ---- what is refused ----

sub state_of
{
    my ($t) = @_;
    my $s = $t->status;
    return { pid => $s->{pid}, epoch => $s->{epoch},
        generation => $s->{generation},
        workers => [sort map { "$_->{pid} $_->{state}" } @{ $s->{workers} }] };
}

# All ways to ask but --new-zone are refused with that reason, and nothing has
# changed, not even what a new configuration asks for.
sub is_refused
{
    my ($t, $name, $why) = @_;
    my $before = state_of($t);
    my $text = slurp($t->conf_path);
    $t->write_config(($text =~ s/^level = info$/$&\naccess = logs\/touched.log/mr)
        . "[listen touched]\naddress = 127.0.0.1:%%PORT_touched%%\napp = echo\n");
    for my $how (['ctl', 'upgrade'], ['-s', 'upgrade'], 'USR2') {
        $t->log_mark;
        if (ref $how) {
            my ($exit, $out, $err) = $t->run({ timeout => 60 }, @$how);
            is($exit, 1, "$name, @$how: exit 1");
            like($err, qr/^linnet: the new binary:? $why$/, '... with the reason');
            is($out, '', '... and nothing else');
        } else {
            $t->signal($how);
        }
        $t->log_like(qr/\[error\] .*upgrade failed, this binary goes on: the new binary:? $why$/m,
            "... which is in the error log, too");
        is_deeply(state_of($t), $before, '... all is as it was');
        ok(wait_for(sub { $t->processes == 1 + @{ $before->{workers} } }, 20,
                'old processes alone'), '... nobody else is left');
        ok(!-e $t->path('run/linnet.pid.old'), '... no other pidfile');
    }
    ok(!-e $t->path('logs/touched.log'), '... no log was opened');
    ok(!eval { $t->connect('touched') }, '... and no socket');
    spew($t->conf_path, $text);
    return;
}

my $hint = qr/to upgrade with a new zone, say "linnet ctl upgrade --new-zone": that disconnects all clients in rooms .*, and history that is not in a store is lost/;

sub layouts
{
    my ($has, $uses) = @_;
    return qr/the zone has layout $has, this binary uses $uses/;
}

# ---- what is allowed ----

# eventfds that a process has, by their numbers in the kernel.
sub bells
{
    my ($pid) = @_;
    return sort { $a <=> $b } map { slurp($_) =~ /^eventfd-id:\s*(\d+)/m }
        glob "/proc/$pid/fdinfo/*";
}

sub upgraded
{
    my ($t, $old, @words) = @_;
    my ($exit, $out, $err) = $t->ctl('upgrade', @words);
    is($exit, 0, "ctl upgrade @words") or diag $err;
    isnt($t->status->{pid}, $old->{pid}, '... another process');
    ok(wait_for(sub { $t->reap; $t->processes == 3 }, 30, 'three processes'),
        '... and nobody of the old ones is left');
    return $out;
}

# Those without a place in the zone stay, all others come back.  said: what ctl
# gives as the reason; an old master of 0.1.0 gives none.
sub is_new_zone
{
    my ($c, $why, $said, @words) = @_;
    my $t = $c->{t};
    my $old = state_of($t);
    my @bells = bells($old->{pid});
    my $last = $c->{events}->last_id;
    $t->log_mark;
    my $out = upgraded($t, $old, @words);
    like($out, qr/^upgraded, pid \d+ took over from pid $old->{pid}, with a new zone, as the new binary cannot keep the old one: $said$/,
        '... says so') if $said;
    $t->log_like(qr/\[warn\] .*the zone of the old binary is not kept: $why;.*come back/,
        '... a warning');
    my $new = state_of($t);
    isnt($new->{epoch}, $old->{epoch}, '... another epoch');
    my %bells = map { $_ => 1 } @bells;
    is_deeply([grep { $bells{$_} } bells($new->{pid})], [],
        '... and doorbells of its own') if @bells;
    for my $w (@{ $c->{chat} }) {
        $w->wait_close;
        is($w->close_code, 1012, '... a member is asked to come back');
    }
    ok($c->{line}->closed(10), '... the person, too');
    ok($c->{events}->closed(10), '... and who listens');
    my $gap = $t->events('web', '/events?room=hall', 'Last-Event-ID' => $last)
        ->event;
    is($gap->{name}, 'gap', '... who is told of the gap');
    is(scalar(grep { $_->echoes } @{ $c->{echo} }), 4, '... echoes stay');
    my $n = 0;
    is(ask($_, type => 'join', room => 'hall', nick => 'mute' . ++$n)->{type},
        'joined', '... so do those who were in no room')
        for @{ $c->{mute} };
    is_deeply(history($t), [], '... nothing is remembered');
    $_->close for @{ $c->{mute} }, @{ $c->{echo} };
    return;
}

subtest 'another layout' => sub {
    my $t = server()->start;
    my $c = crowd($t);
    is_whole($c);
    $t->replace_binary($other);
    my $next = $layout + 1;
    my $why = qr/the zone cannot be kept: @{[layouts($layout, $next)]}; $hint/;
    for my $time (1 .. 2) {
        is_refused($t, "time $time", $why);
        is_whole($c);
    }
    is(($t->ctl('reload'))[0], 0, 'a reload works');
    is_whole($c);

    for my $words (['--newzone'], ['new-zone'], ['--new-zone', 'now']) {
        my ($exit, undef, $err) = $t->ctl('upgrade', @$words);
        is($exit, 2, "ctl upgrade @$words: exit 2");
        like($err, qr/usage: linnet ctl upgrade \[--new-zone\]/, '... with the usage');
        my $s = Test::Linnet::Stream->connect(
            path => $t->path('run/control.sock'));
        $s->write('["upgrade"' . join('', map { qq(,"$_") } @$words) . "]\n");
        like($s->line, qr/"ok":false.*usage: linnet ctl upgrade/,
            '... the server refuses that, too');
    }

    # A new zone is allowed, but the binary never serves.
    my $before = state_of($t);
    $t->install_binary("#!/bin/sh\n[ \"\$1\" = -t ] || kill -11 \$\$\n"
            . "exec $other \"\$@\"\n");
    my ($exit, undef, $err) = $t->ctl('upgrade', '--new-zone');
    is($exit, 1, 'ctl upgrade --new-zone to one that crashes: exit 1');
    like($err, qr/signal 11/, '... with the reason');
    is_deeply(state_of($t), $before, '... all is as it was');
    is_whole($c);
    # The next time nobody has allowed it.
    $t->replace_binary($other);
    ($exit, undef, $err) = $t->ctl('upgrade');
    is($exit, 1, '... and ctl upgrade is refused again');
    like($err, $why, '... with the reason');

    is_new_zone($c, (layouts($layout, $next)) x 2, '--new-zone');

    # From there on it is a server like any other.
    $c = crowd($t);
    is_whole($c);
    upgraded($t, $before = state_of($t));
    is($t->status->{epoch}, $before->{epoch}, 'to the same release: the same zone');
    is_whole($c);
    $t->replace_binary($t->{original});
    $why = qr/the zone cannot be kept: @{[layouts($next, $layout)]}; $hint/;
    is_refused($t, 'back', $why);
    is_whole($c);
    is_new_zone($c, (layouts($next, $layout)) x 2, '--new-zone');

    # Allowed is not asked for.
    $c = crowd($t);
    is_whole($c);
    unlike(upgraded($t, $before = state_of($t), '--new-zone'), qr/new zone/,
        'a zone that can be kept is kept');
    is($t->status->{epoch}, $before->{epoch}, '... the same epoch');
    is_whole($c);
    $t->finish;
};

subtest 'from 0.1.0 and back' => sub {
    my $t = server(binary => $ancient)->start;
    my $c = crowd($t);
    is_whole($c);
    $t->replace_binary(build_dir() . '/linnet');
    is_new_zone($c, layouts($layout - 1, $layout));
    $c = crowd($t);
    is_whole($c);
    $t->replace_binary($ancient);
    is_refused($t, 'back', qr/exited with status 1 before it was ready; its own test \(-t\) finds nothing wrong; release 0\.1\.0 ends like that, as it cannot keep the zone: $hint .*with the binary of this release\)/);
    is_whole($c);
    is_new_zone($c, layouts($layout, $layout - 1),
        qr/release 0\.1\.0 cannot keep that of another one/, '--new-zone');
    $t->finish;
};

# The store has what was said, whenever it was to be written next.
subtest 'a store' => sub {
    my $t = server(store => "store = data/history.db\nsync = 1h");
    my ($exit, $out, $said) = $t->run('-t');
    plan skip_all => 'built --without-sqlite' if $said =~ /without SQLite/;
    $t->start;
    my $ann = enter($t, 'ann');
    my $seq = ask($ann, type => 'message', room => 'hall', text => 'one')->{seq};
    kill TERM => $t->status->{store}{pid}; # it writes at once
    ok(wait_for(sub { $t->status->{store}{seq} >= $seq }, 20, 'the store'),
        'the store has one message');
    is(says($ann, $_), 'ack', $_) for 'two', 'three', 'four';
    is($t->status->{store}{seq}, $seq, '... and not yet those behind it');
    $t->replace_binary($other);
    ($exit, undef, my $err) = $t->ctl('upgrade');
    is($exit, 1, 'refused');
    like($err, $hint, '... with the reason');
    is(($t->ctl('upgrade', '--new-zone'))[0], 0, 'upgraded with a new zone');
    $ann->wait_close;
    is($ann->close_code, 1012, 'ann is asked to come back');
    my (undef, $answer) = enter($t, 'ann2');
    is_deeply([map { $_->{text} } @{ $answer->{history} }],
        [qw(one two three four)], '... and finds what was said');
    $t->finish;
};

# Neither an upgrade nor an allowed new zone changes its size.
subtest 'another zone_size' => sub {
    my $sized = sub { config() =~ s/^workers .*/$&\nzone_size = $_[0]/mr };
    my $t = server(config => $sized->('4m'))->start;
    my $old = state_of($t);
    $t->log_mark;
    upgraded($t, $old);
    $t->log_unlike(qr/keeps its size/, '... the size as configured: no warning');
    for my $words ([], ['--new-zone']) {
        $t->write_config($sized->('8m'));
        $t->log_mark;
        upgraded($t, state_of($t), @$words);
        is($t->status->{epoch}, $old->{epoch}, '... with the same zone');
        $t->log_like(qr/\[warn\] .*the zone of the old binary keeps its size; a restart makes one of the zone_size in \[server\]$/m,
            '... a warning');
    }
    $t->finish;
};

# An upgrade that waits for connections that move keeps what it was asked for.
subtest 'one that waits' => sub {
    my $t = server()->start;
    my $old = state_of($t);
    my $waiting = sub {
        my (@requests) = @_;
        my ($slow) = $t->worker_pids;
        kill STOP => $slow;
        is(($t->ctl('reload'))[0], 0, 'a reload; a worker takes its time to go');
        my @asked = map {
            my $s = Test::Linnet::Stream->connect(
                path => $t->path('run/control.sock'));
            $s->write("$_\n");
            $s;
        } @requests;
        is($t->status->{pid}, $old->{pid}, '... and the upgrade waits');
        kill CONT => $slow;
        return map { $_->line(30) } @asked;
    };
    # One that is allowed a new zone fails; that is no allowance for the next.
    $t->install_binary("#!/bin/sh\n[ \"\$1\" = -t ] || kill -11 \$\$\n");
    like($_, qr/"ok":false.*signal 11/, 'ctl upgrade --new-zone: failed')
        for $waiting->('["upgrade","--new-zone"]');
    $t->replace_binary($other);
    like($_, qr/"ok":false.*cannot be kept: .*layout/, 'ctl upgrade: refused')
        for $waiting->('["upgrade"]');
    is(state_of($t)->{epoch}, $old->{epoch}, '... the same zone');
    like($_, qr/"ok":true.*with a new zone, as the .*: .*layout/,
        'ctl upgrade and ctl upgrade --new-zone: done')
        for $waiting->('["upgrade"]', '["upgrade","--new-zone"]', '["upgrade"]');
    isnt(state_of($t)->{epoch}, $old->{epoch}, '... another zone');
    $t->finish;
};

# Its lock is not to be had: that may be better the next time.
subtest 'a zone that is locked' => sub {
    plan skip_all => 'this build has no steps to be stopped at (--with-debug)'
        if slurp(Test::Linnet->binary) !~ /LINNET_TEST_ZONE_STOP\0/;
    my $user = getpwuid $>;
    my $t = server(config => config() =~ s/^workers .*/$&\nuser = $user/mr);
    my $stop = $t->{env}{LINNET_TEST_ZONE_STOP} = $t->path('run/stop');
    $t->start;
    my ($hold, $seen) = map { $t->path("run/$_") } qw(hold seen);
    $t->install_binary("#!/bin/sh\n: >$seen\n"
            . "while [ -e $hold ]; do sleep 0.05; done\n"
            . "exec '$t->{original}' \"\$@\"\n");
    my $old = state_of($t);
    for my $words ('"upgrade"', '"upgrade","--new-zone"') {
        spew($hold, '');
        unlink $seen;
        my $asked = Test::Linnet::Stream->connect(
            path => $t->path('run/control.sock'));
        $asked->write("[$words]\n");
        ok(wait_for(sub { -e $seen }, 10, 'the new binary'),
            "$words: a new binary starts");
        my ($holder) = $t->worker_pids;
        spew("$stop.new", "$holder 1\n");
        rename "$stop.new", $stop or die "rename: $!";
        # Both workers get some of these; no answer is waited for.
        my @clients;
        ok(wait_for(sub {
                push @clients, $t->connect('lines');
                $clients[-1]->write("/join hall\n");
                return slurp("/proc/$holder/stat") =~ /\) T /;
            }, 20, 'a stopped worker'), '... a worker stops with the lock');
        unlink $hold;
        my $said = $asked->line(30) // 'nothing';
        like($said, qr/"ok":false.*the zone cannot be kept: the lock of the zone is not to be had: .*; try again"/,
            '... the upgrade is refused');
        kill CONT => $holder;
        is_deeply(state_of($t), $old, '... and all is as it was');
    }
    $t->install_binary;
    is(($t->ctl('upgrade'))[0], 0, 'it works when the lock is free');
    is($t->status->{epoch}, $old->{epoch}, '... with the same zone');
    $t->finish;
};

done_testing;
