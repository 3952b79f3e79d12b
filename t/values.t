# Shared values and requests between workers: one order for all, whatever
# dies, is loaded again or is replaced; and an answer for whoever asks.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

sub config
{
    my ($workers) = @_;
    return <<"INI";
[server]
workers          = $workers
shutdown_timeout = 2s
load_module      = %%MODULE_values%%

[listen values]
address  = 127.0.0.1:%%PORT_values%%
protocol = line
app      = values

%%LISTEN_lines%%
INI
}

sub server
{
    my ($workers, %o) = @_;
    return Test::Linnet->new(config => config($workers), %o)->start;
}

# One command, one line.
sub says
{
    my ($c, $command, $timeout) = @_;
    $c->write("$command\n") or return 'gone';
    return $c->line($timeout // 10) // 'no answer';
}

# A connection to each of n workers, in the order of their slots; where each
# is stands in its fields.
sub one_on_each
{
    my ($t, $n) = @_;
    my (%by, @others);
    wait_for(
        sub {
            push @others, my $c = $t->connect('values');
            my ($slot, $cell, $pid) = split / /, says($c, 'where');
            return unless defined $pid;
            $by{$slot} //=
                { c => $c, slot => $slot, cell => $cell, pid => $pid };
            return keys %by == $n;
        },
        15,
        "$n workers"
    );
    is(scalar keys %by, $n, "connected to $n workers");
    return map { $by{$_} } sort keys %by;
}

# All of them know the value; with undef, that it is not set.
sub everywhere
{
    my ($key, $value, @w) = @_;
    my $wanted = defined $value ? "is $value" : 'not set';
    return wait_for(
        sub { !grep { says($_->{c}, "get $key") ne $wanted } @w },
        5, "$key $wanted");
}

# Waits until a worker's slot has another one that serves.
sub wait_replaced
{
    my ($t, $w) = @_;
    return wait_for(
        sub {
            grep { $_->{slot} == $w->{slot} && $_->{pid} != $w->{pid} }
                $t->workers;
        },
        10,
        "another worker $w->{slot}"
    );
}

# ---- values --------------------------------------------------------------

subtest '10,000 concurrent sets from four workers' => sub {
    my $t = server(4);
    my @w = one_on_each($t, 4);

    # An operator joins in, and one of the workers sleeps for a while.
    my $pid = fork // die $!;
    if (!$pid) {
        my $bad = grep { ($t->ctl('set', 'by.operator', "v$_"))[0] } 1 .. 20;
        POSIX::_exit($bad);
    }
    $_->{c}->write("many k 2500\n") for @w;
    kill STOP => $w[3]{pid};
    for my $w (@w[0 .. 2]) {
        is($w->{c}->line(60), '2500 done, 0 refused',
            "worker $w->{slot} made its changes");
    }
    kill CONT => $w[3]{pid};
    is($w[3]{c}->line(60), '2500 done, 0 refused', 'so did the sleeper');
    waitpid $pid, 0;
    is($?, 0, 'and the operator');

    my @logs;
    wait_for(
        sub {
            @logs = map { says($_->{c}, 'log') } @w;
            return !grep { !/^10020 / } @logs;
        },
        20,
        'every worker has seen all'
    );
    like($logs[0], qr/^10020 [0-9a-f]{16} 0$/,
        'a worker saw 10,020 changes, each with its version in its place');
    is(scalar(grep { $_ ne $logs[0] } @logs), 0,
        'all saw the same ones in the same order') or diag "@logs";
    my ($different, $values) = (0, 0);
    for my $key ((map { "k$_" } 0 .. 9), 'by.operator') {
        my $value = $t->ctl_ok('get', $key);
        chomp $value;
        $values++ if length $value;
        $different += grep { says($_->{c}, "get $key") ne "is $value" } @w;
    }
    is($values, 11, 'there are 11 values');
    is($different, 0, '... the same in the master and in all workers');
    is(says($w[1]{c}, 'set k0 last'), 'set 10021', 'the next version');
    $t->finish;
};

subtest 'set, get, unset' => sub {
    my $t = server(2);
    my @w = one_on_each($t, 2);
    is(says($w[0]{c}, 'get motd'), 'not set', 'not set at first');
    is(says($w[0]{c}, 'set motd hello there'), 'set 1', 'a worker sets it');
    is(says($w[0]{c}, 'get motd'), 'is hello there', '... and has it at once');
    ok(everywhere('motd', 'hello there', @w), '... then so has the other');
    is($t->ctl_ok('get', 'motd'), "hello there\n", '... and the operator');
    $t->ctl_ok('set', 'motd', 'grüß dich');
    ok(everywhere('motd', 'grüß dich', @w), 'the operator sets it');
    $t->ctl_ok('set', 'empty', '');
    ok(everywhere('empty', '', @w), 'an empty value is a value');
    $t->ctl_ok('set', 'minus', '-5');
    ok(everywhere('minus', '-5', @w), 'one that looks like an option, too');
    is($t->ctl_ok('values'), "empty = \nminus = -5\nmotd = grüß dich\n",
        'all of them, sorted');
    is(says($w[1]{c}, 'unset motd'), 'set 5', 'a worker unsets it');
    ok(everywhere('motd', undef, @w), '... for all');
    like(says($w[1]{c}, 'unset motd'), qr/^refused motd is not set/,
        'what is not set cannot be unset');
    $t->ctl_refused(qr/motd is not set/, 'get', 'motd');
    $t->ctl_refused(qr/motd is not set/, 'unset', 'motd');
    $t->ctl_ok('unset', 'empty');
    ok(everywhere('empty', undef, @w), 'the operator unsets one');

    is(says($w[0]{c}, 'bytes binary'), 'set 7', 'any bytes may be a value');
    ok(wait_for(sub { says($w[1]{c}, 'get binary') eq '256 bytes' }, 5),
        '... and come whole');
    $t->ctl_refused(qr/256 bytes/, 'get', 'binary');
    my $out = $t->ctl_ok('values');
    like($out, qr/^binary\b.*256 bytes/m, '... listed by their number');
    like($out, qr/^minus = -5$/m, '... among the others');
    $t->ctl_ok('set', 'two', "lines\nof text");
    is($t->ctl_ok('get', 'two'), "lines\nof text\n", 'lines are text');
    is(scalar(split /\n/, $t->ctl_ok('values')), 3,
        '... and a line of the list each value');
    $t->finish;
};

subtest 'limits' => sub {
    my $t = server(2);
    my @w = one_on_each($t, 2);
    my $c = $w[0]{c};
    my %bad = ('a blank' => 'a b', 'none' => '', 'UTF-8' => 'grün',
        'other signs' => 'a*b', 'too long' => 'k' x 129);
    for my $what (sort keys %bad) {
        $t->ctl_refused(qr/a key has 1 to 128 letters, digits and/, 'set',
            $bad{$what}, 'v');
    }
    like(says($c, 'set ' . 'k' x 129 . ' v'), qr/^refused a key has 1 to 128/,
        'a worker is told the same');
    like(says($c, 'nul'), qr/^not sent: Invalid argument/,
        '... and not misunderstood when a key has a NUL');
    $t->ctl_ok('set', 'k' x 128, 'v');
    $t->ctl_refused(qr/a value has at most 32768 bytes, this one 32769/,
        'set', 'large', 'x' x 32769);
    $t->ctl_refused(qr/at most 32768 bytes|too long/, 'set', 'large',
        'x' x 131000);
    like(says($c, 'fill large 32769'),
        qr/^refused a value has at most 32768 bytes, this one 32769/,
        'a worker: too large a value');
    like(says($c, 'fill large 100000'), qr/^not sent: Message too long/,
        '... far too large');
    is(says($c, 'fill large 32768'), 'set 2', '... just not too large');
    is(says($c, 'unset large'), 'set 3', '... and away with it');
    $t->ctl_ok('set', 'large', "\x01" x 20000);
    $t->ctl_ok('unset', 'large');

    # Too many: fill up with many sets, ten keys each.
    my $n = 1;
    for my $part (0 .. 5) {
        $c->write(join '', map { "many a$part.$_. 10\n" } 1 .. 70);
        for (1 .. 70) {
            my $line = $c->line(20) // 'nothing';
            $n += 10 - $1 if $line =~ /^10 done, (\d+) refused/;
        }
    }
    is($n, 4096, 'there is room for 4,096 keys');
    like(says($c, 'set more x'),
        qr/refused there are 4096 values already.*unset some/,
        'one more is refused');
    $t->ctl_refused(qr/4096 values already/, 'set', 'more', 'x');
    is(scalar(split /\n/, $t->ctl_ok('values')), 4096, 'all are listed');
    like(says($c, 'set a1.1.0 x'), qr/^set \d+/, 'those there may change');
    like(says($c, 'unset a1.1.0'), qr/^set \d+/, 'and go');
    like(says($c, 'set more x'), qr/^set \d+/, 'which makes room');

    like(says($c, 'storm s 3000', 20), qr/^after 1024: Resource temporarily/,
        'no more than 1,024 are under way at a time');
    is($c->line(20), '1024 done, 1024 refused', '... all of which are answered')
        or diag says($c, 'log');
    $t->finish;
};

# As large as it may be, it must still come through every door.
subtest 'a full dict' => sub {
    my $t = server(2, copy_binary => 1);
    $t->allow_alert(qr/signal 9/);
    my @w = one_on_each($t, 2);
    my $c = $w[0]{c};
    $t->ctl_ok('set', 'began', 'full');
    # Small ones most of all, for which frames cost the most.
    my $n = 0;
    for my $part (0 .. 8) {
        $c->write(join '', map { "fill f$_ 1000\n" }
                $part * 445 + 1 .. $part * 445 + 445);
        $n += grep { /^set / } map { $c->line(30) // 'nothing' } 1 .. 445;
    }
    is($n, 4005, 'thousands of values of 1,000 bytes');
    like(says($c, 'fill rest 32768'), qr/^set /, 'a larger one');
    my $size = length $t->ctl_ok('values');
    cmp_ok($size, '>', 4_000_000, "they make $size bytes");
    like(says($c, 'fill f1 32768'), qr/^set |^refused/, 'up to the limit');
    my $refused = '';
    for my $n (2 .. 8) {
        $refused = says($c, "fill f$n 32768");
        last if $refused !~ /^set /;
    }
    like($refused, qr/refused all values together have at most 4194304 bytes/,
        'not beyond it');

    kill KILL => $w[1]{pid};
    ok(wait_replaced($t, $w[1]), 'a worker that is killed comes back');
    my @again = one_on_each($t, 2);
    is(says($again[1]{c}, 'began'), 'with full', '... with all values');
    is(says($again[1]{c}, 'get f4005'), '1000 bytes', '... the last, too');
    $t->ctl_ok('reload');
    my $old = $t->master_pid;
    $t->ctl_ok('upgrade');
    ok($t->wait_upgraded($old), 'an upgrade');
    @again = one_on_each($t, 2);
    is(says($_->{c}, 'get rest'), '32768 bytes', "worker $_->{slot} has it")
        for @again;
    is(scalar(split /\n/, $t->ctl_ok('values')), 4007, 'all are there');
    $t->finish;
};

subtest 'values outlive' => sub {
    my $t = server(2, copy_binary => 1);
    $t->allow_alert(qr/signal 9/);
    my @w = one_on_each($t, 2);
    is(says($w[0]{c}, 'began'), 'with nothing', 'nothing at first');
    $t->ctl_ok('set', 'began', 'one');
    kill KILL => $w[1]{pid};
    wait_replaced($t, $w[1]);
    @w = one_on_each($t, 2);
    is(says($w[1]{c}, 'began'), 'with one',
        'a worker that follows a dead one has them when it starts');
    is(says($w[1]{c}, 'get began'), 'is one', '... and when it serves');

    $t->ctl_ok('set', 'began', 'two');
    my ($exit, $out, $err) = $t->reload(config(5));
    is($exit, 0, 'a reload with five workers') or diag $err;
    @w = one_on_each($t, 5);
    is(scalar(grep { says($_->{c}, 'began') eq 'with two' } @w), 5,
        '... all of which have them');
    is(says($w[4]{c}, 'set began three'), 'set 3', '... in the same order');
    ($exit, $out, $err) = $t->reload(config(2));
    is($exit, 0, 'and with two') or diag $err;
    @w = one_on_each($t, 2);
    is(scalar(grep { says($_->{c}, 'began') eq 'with three' } @w), 2,
        '... the same');

    my $old = $t->master_pid;
    $t->signal('USR2');
    ok($t->wait_upgraded($old), 'USR2');
    @w = one_on_each($t, 2);
    is(scalar(grep { says($_->{c}, 'began') eq 'with three' } @w), 2,
        '... all have them');
    is(says($w[1]{c}, 'set began four'), 'set 4', '... versions go on');
    ok(everywhere('began', 'four', @w), '... for all');
    is($t->ctl_ok('get', 'began'), "four\n", '... and in the new master');
    $t->finish;
};

# The new binary takes its time, and changes are made meanwhile.
subtest 'changes during an upgrade' => sub {
    my $t = server(2, copy_binary => 1);
    my @w = one_on_each($t, 2);
    $t->ctl_ok('set', 'kept', 'before');
    $t->ctl_ok('set', 'gone', 'before');
    my $old = $t->master_pid;
    my $real = $t->path('sbin/linnet-new');
    system 'cp', $t->binary, $real;
    my $go = $t->path('run/go');
    $t->install_binary(<<"SH");
#!/bin/sh
until [ -e $go ]; do sleep 0.02; done
exec $real "\$\@"
SH
    $t->signal('USR2');
    $t->log_like(qr/upgrading/, 'an upgrade begins');
    is(says($w[0]{c}, 'set kept meanwhile'), 'set 3', 'a worker sets a value');
    $t->ctl_ok('unset', 'gone');
    $t->ctl_ok('set', 'new', 'yes');
    spew($go, '');
    ok($t->wait_upgraded($old), 'the new binary takes over');
    is($t->ctl_ok('values'), "kept = meanwhile\nnew = yes\n",
        '... with what was changed meanwhile');
    @w = one_on_each($t, 2);
    ok(everywhere('kept', 'meanwhile', @w) && everywhere('gone', undef, @w)
            && everywhere('new', 'yes', @w), '... in all its workers');
    is(says($w[0]{c}, 'set kept after'), 'set 6', '... and versions go on');
    $t->finish;
};

# ---- requests ------------------------------------------------------------

sub asked
{
    my ($from, $to, $rest, $timeout) = @_;
    my ($ms, $more) = split / /, $rest, 2;
    my $cell = ref $to ? $to->{cell} : $to;
    return says($from->{c}, "ask $cell $ms $more", $timeout);
}

subtest 'questions' => sub {
    my $t = server(4);
    my @w = one_on_each($t, 4);
    my $wrong = 0;
    for my $from (@w) {
        for my $to (@w) {
            my $got = asked($from, $to, '5000 where');
            $wrong++ if $got !~ /^yes \d+ $to->{slot} $to->{pid}$/;
        }
    }
    is($wrong, 0, 'each worker asks each, itself, too');
    like(asked(@w[0, 1], '5000 echo some words'), qr/^yes \d+ some words$/,
        'data goes there and comes back');
    like(asked(@w[0, 1], '5000 echo'), qr/^yes \d+ $/, '... none, too');
    like(asked(@w[0, 1], '5000 dance'), qr/^no \d+ values does not do that$/,
        'a refusal has its reason');
    like(asked($w[0], 250, '5000 where'), qr/^no \d+ there is no such worker$/,
        'there is no such worker');
    like(asked($w[0], 4000000000, '5000 where'),
        qr/^no \d+ there is no such worker$/, '... by far not');
    my $status = asked($w[3], 'master', '5000 status');
    like($status, qr/^yes \d+ \{"version":"[^"]+",.*"last_reload":/,
        'the master says how the server is');
    is(scalar(() = $status =~ /"state":"ready"/g), 4, '... with all workers');
    like(asked($w[3], 'master', '5000 zone'), qr/^yes \d+ epoch \d+, /,
        '... and what is in the zone');
    like(asked($w[3], 'master', '5000 dance'),
        qr/^no \d+ the master does not answer that$/, '... but not all');

    my %hash;
    for my $n (300, 100_000, 1_000_000, 10_000_000) {
        for my $to (@w[0, 2]) {
            my $got = asked($w[0], $to, "20000 big $n", 30);
            ok($got =~ /^yes \d+ $n bytes ([0-9a-f]{16})$/,
                "$n bytes from worker $to->{slot}") or diag $got;
            $hash{$n}{ $1 // $got } = 1;
        }
    }
    is(scalar(grep { keys %$_ != 1 } values %hash), 0, 'the same bytes');
    like(asked(@w[0, 1], '20000 big 17000000', 30),
        qr/^no \d+ the answer is too large$/, 'too large an answer');

    # All at once, from all to all; together less than may wait for one worker.
    for my $from (@w) {
        $from->{c}->write(join '', map { "ask $w[$_ % 4]{cell} 20000 big "
                    . ($_ * 500) . "\n" } 1 .. 100);
    }
    my %got;
    for my $from (@w) {
        for (1 .. 100) {
            my $line = $from->{c}->line(30) // 'nothing';
            $got{"$1 $2"}++ if $line =~ /^yes \d+ (\d+) bytes (\w{16})$/;
        }
    }
    is(scalar(keys %got), 100, '400 answers, of 500 bytes to 50 KB')
        or diag explain \%got;
    is(scalar(grep { $_ != 4 } values %got), 0, '... each the same for all');
    $t->finish;
};

subtest 'who does not answer' => sub {
    my $t = server(4);
    $t->allow_alert(qr/signal (6|9)/);
    my @w = one_on_each($t, 4);
    for my $how (qw(exit crash)) {
        my $begin = time;
        like(asked(@w[0, 1], "30000 $how"), qr/^no \d+ the worker has ended$/,
            "it dies ($how): the asker is told");
        cmp_ok(time - $begin, '<', 2 * time_factor(), '... at once');
        $t->wait_ready(10, 4);
        like(asked($w[0], $w[1], '5000 where'),
            qr/^no \d+ there is no such worker$|^yes \d+ 1 \d+$/,
            '... and can ask again');
        @w = one_on_each($t, 4);
    }
    my $got = asked($w[2], $w[2], '30000 exit');
    is($got, 'no answer', 'who asks itself to end has nobody to tell')
        if $w[2]{c}->closed(5);
    $t->wait_ready(10, 4);
    $t->log_unlike(qr/cannot answer a request/, '... and nobody tries');
    @w = one_on_each($t, 4);

    my $begin = time;
    like(asked(@w[0, 1], '300 hang'), qr/^no \d+ no answer in time$/,
        'one that hangs: no answer in time');
    cmp_ok(time - $begin, '<', 3 * time_factor(), '... in about that time');
    # Those behind it wait, as long as they want; and hear of its end.
    $w[2]{c}->write("ask $w[1]{cell} 30000 where\n");
    like(asked(@w[2, 0], '5000 where'), qr/^yes \d+ 0 /,
        'one asks, and another one, too');
    $w[3]{c}->write("ask $w[1]{cell} 100 where\n");
    like($w[3]{c}->line(5), qr/^no \d+ no answer in time$/,
        'so it is for others');
    kill KILL => $w[1]{pid};
    $begin = time;
    like($w[2]{c}->line(10), qr/^no \d+ the worker has ended$/,
        'when it is killed, who still waits is told');
    cmp_ok(time - $begin, '<', 2 * time_factor(), '... at once');
    $t->wait_ready(10, 4);
    @w = one_on_each($t, 4);

    # One that is stopped, and as many questions as there may be.
    kill STOP => $w[1]{pid};
    is(says($w[0]{c}, "flood $w[1]{cell} 30000 3000"), '1024 sent',
        'a flood of questions ends');
    like(asked(@w[2, 3], '5000 where'), qr/^(yes|no) \d+ /,
        'others are answered, one way or another');
    kill CONT => $w[1]{pid};
    my $n = 0;
    for (1 .. 1024) {
        my $line = $w[0]{c}->line(10) // last;
        $n++ if $line =~ /^yes \d+ flood$|^no \d+ /;
    }
    is($n, 1024, 'it goes on: all are answered');
    like(asked(@w[2, 3], '5000 where'), qr/^yes \d+ 3 /, 'all is well again');

    # The asker dies: nobody is left to hear it, nobody minds.
    kill STOP => $w[1]{pid};
    $w[0]{c}->write("flood $w[1]{cell} 30000 50\n");
    is($w[0]{c}->line(5), '50 sent', '50 questions');
    kill KILL => $w[0]{pid};
    ok($w[0]{c}->closed(5), '... whose asker dies');
    kill CONT => $w[1]{pid};
    $t->wait_ready(10, 4);
    like(asked(@w[2, 1], '5000 where'), qr/^yes \d+ 1 /, 'all is well');
    $t->finish;
};

subtest 'the server stops' => sub {
    my $t = server(2);
    my @w = one_on_each($t, 2);
    kill STOP => $w[1]{pid};
    $w[0]{c}->write("ask $w[1]{cell} 30000 where\n");
    is(says($w[0]{c}, 'get x'), 'not set', 'a question is under way');
    my $pid = $w[0]{pid};
    $t->ctl_ok('stop');
    ok(!proc_alive($pid), 'the asker has ended');
    is($t->wait_exit(10), 0, '... as all the others');
    $t->finish;
};

subtest 'the master dies' => sub {
    my $t = server(2);
    $t->allow_alert(qr/signal 9/);
    my @w = one_on_each($t, 2);
    kill STOP => $w[1]{pid};
    $w[0]{c}->write("ask $w[1]{cell} 30000 where\n");
    is(says($w[0]{c}, 'get x'), 'not set', 'a question is under way');
    my $pid = $t->{pid};
    kill KILL => $pid;
    like($w[0]{c}->line(5), qr/^no \d+ the master has ended$/,
        'the asker is told at once');
    kill CONT => $w[1]{pid};
    wait_for(sub { defined $t->reap }, 5, 'the master');
    ok(wait_for(sub { !$t->processes }, 10, 'the workers to end'),
        'the workers end');
    $t->finish;
};

# ---- what no worker would say --------------------------------------------

my %type = (REQUEST => 9, REPLY => 10, SET => 11, VALUE => 12, SNAPSHOT => 13,
    RESTARTED => 14, HAND => 16);

subtest 'malformed frames' => sub {
    my $t = server(2);
    my @w = one_on_each($t, 2);
    my %inc = map { $_->{pid} => $_->{incarnation} } $t->workers;
    my $frame = sub {
        my ($w, $type, $hex, $incarnation) = @_;
        return says($w->{c}, "frame $type 77 "
                . ($incarnation // $inc{ $w->{pid} }) . " $hex");
    };
    my @texts = ('', '00', 'ff' x 7, '00' x 8, 'ff' x 4000, '00' x 4000,
        unpack('H*', pack('Q<a*', 0, '=a b')), # no end of the key
        unpack('H*', pack('Q<a*', 0, "-k\0v")),
        unpack('H*', pack('Q<a*', 0, "=a b\0v")),
        unpack('H*', pack('La*', 1, "values\0")),
        unpack('H*', pack('La*', 7777, "values\0where\0")),
        unpack('H*', pack('LL', 1 << 30, 1)));
    my $sent = 0;
    for my $name (sort keys %type) {
        for my $hex (@texts) {
            my $got = $frame->($w[0], $type{$name}, $hex);
            $sent++ if $got eq 24 + length($hex) / 2 . ' bytes';
        }
    }
    is($sent, keys(%type) * @texts, 'frames with nonsense in them');
    is(scalar $t->workers, 2, 'the server is well');
    is($t->ctl_ok('values'), "\n", '... and nothing is set');
    like(asked(@w[0, 1], '5000 where'), qr/^yes \d+ 1 /, '... requests go on');
    is(says($w[0]{c}, 'set good x'), 'set 1', '... and sets');

    # What is no frame of this channel at all ends the worker that sent it.
    $t->allow_alert(qr/signal 9/);
    for my $bad ([99, 1], [0, 1], [$type{SET}, 0]) {
        my $w = $w[0];
        my ($type, $right) = @$bad;
        $frame->($w, $type, '00', $right ? undef : 1_000_000);
        ok($w->{c}->closed(5), "type $type, "
                . ($right ? 'unknown' : 'another incarnation')
                . ': the worker is killed');
        ok(wait_replaced($t, $w), '... and replaced');
        @w = one_on_each($t, 2);
        %inc = map { $_->{pid} => $_->{incarnation} } $t->workers;
        is(says($w[0]{c}, 'get good'), 'is x', '... with its values');
    }
    $t->finish;
};

# ---- a worker that follows a dead one ------------------------------------

sub member
{
    my ($t, $nick) = @_;
    my $c = $t->connect('lines');
    $c->write("/nick $nick\n/join lobby\n");
    $c->read_until(qr/you are \Q$nick\E in lobby\r?\n/)
        or die "$nick cannot join: " . $c->pending;
    return $c;
}

# Members until both workers have three of them: by pid, [nick, connection].
sub crowd
{
    my ($t, $name) = @_;
    my %before = map { $_->{pid} => $_->{connections} } $t->workers;
    my (%by, $n);
    while (keys %by < 2 || grep { @$_ < 3 } values %by) {
        die 'one worker takes all' if ++$n > 200;
        my $c = member($t, "$name$n");
        my ($w) = grep { $_->{connections} > $before{ $_->{pid} } } $t->workers;
        $before{ $w->{pid} }++;
        push @{ $by{ $w->{pid} } }, ["$name$n", $c];
    }
    return \%by;
}

sub members
{
    my ($t) = @_;
    my (undef, $out) = $t->ctl('rooms');
    return $out =~ /^lobby\s+(\d+)/m ? $1 : 0;
}

subtest 'what the dead one had' => sub {
    my $t = server(2);
    $t->allow_alert(qr/signal 9/);
    my @stay;
    for my $round (1, 2) { # the second time it is the successor
        my $by = crowd($t, "r$round");
        my ($victim, $other) = map { $_->{pid} }
            sort { $a->{slot} <=> $b->{slot} } $t->workers;
        my @lost = map { $_->[0] } @{ $by->{$victim} };
        push @stay, @{ $by->{$other} };
        my $watcher = $by->{$other}[0][1];
        my $begin = time;
        kill KILL => $victim;
        my %left = map { $_ => 0 } @lost;
        while (grep { !$_ } values %left) {
            my $line = $watcher->line(5) // last;
            $left{$1}++ if $line =~ /^\* (\w+) left/;
        }
        is(scalar(grep { !$left{$_} } @lost), 0,
            'the members of the dead worker leave') or diag explain \%left;
        cmp_ok(time - $begin, '<', 1 * time_factor(), '... within a second');
        ok($t->wait_ready(10, 2), 'its successor is there');
        my @again = map { member($t, $_) } @lost;
        is(scalar @again, @lost, 'their nicks are free');
        # Until then nobody has left for a second time.
        $again[0]->write("hello again\n");
        while (defined(my $line = $watcher->line(5))) {
            $left{$1}++ if $line =~ /^\* (\w+) left/;
            last if $line =~ /hello again/;
        }
        is_deeply(\%left, { map { $_ => 1 } @lost },
            'each of them has left exactly once');
        is(members($t), @stay + @lost, 'the room has those who are there');
        $_->close for @again;
        ok(wait_for(sub { members($t) == @stay }, 5, 'them to go'),
            'when they go, the others are left');
    }
    $t->finish;
};

done_testing;
