# The control socket: what linnet ctl says and does, and what a bad client of
# the socket can not do.

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

my $config = <<'INI';
[server]
workers     = 3
load_module = %%MODULE_trouble%%

%%LISTEN_echo%%

[listen trouble]
address  = 127.0.0.1:%%PORT_trouble%%
protocol = line
app      = trouble
INI

my $t = Test::Linnet->new(config => $config);

subtest 'nobody there' => sub {
    for my $verb (qw(status reload reopen quit stop)) {
        my ($exit, $out, $err) = $t->ctl($verb);
        is($exit, 1, "$verb: exit 1");
        like($err, qr{\Q$t->{prefix}\E/run/control\.sock},
            '... naming the socket');
        is($out, '', '... nothing on standard output');
    }
};

$t->start;

subtest 'status' => sub {
    my ($exit, $out, $err) = $t->ctl('status');
    is($exit, 0, 'exit 0') or diag $err;
    like($out, qr/generation\D+1\b/i, 'the generation');
    for my $w ($t->workers) {
        like($out, qr/\b$w->{pid}\b.*\bready\b|\bready\b.*\b$w->{pid}\b/,
            "worker $w->{slot}");
    }
    ($exit, $out) = $t->ctl('status', '--json');
    is(scalar(split /\n/, $out), 1, '--json is one line');
    my $s = JSON::PP->new->decode($out);
    is(ref $s->{workers}, 'ARRAY', 'with a list of workers');
    ($exit, $out, $err) = run_command('sh', '-c', '"$@" >/dev/full', 'sh',
        $t->command('ctl', 'status'));
    is($exit, 1, 'to a full disk: exit 1');
    like($err, qr/cannot write the answer: No space/, '... with the reason');
};

subtest 'counters' => sub {
    my @c = map { $t->connect('echo') } 1 .. 12;
    for my $c (@c) {
        $c->write('x' x 100) && $c->read_exact(100) for 1 .. 3;
    }
    my $s = $t->status;
    my ($connections, $in, $out) = (0, 0, 0);
    for my $w (@{ $s->{workers} }) {
        $connections += $w->{connections};
        $in += $w->{messages_in};
        $out += $w->{messages_out};
    }
    is($connections, 12, '12 connections in the workers');
    is($s->{connections}, 12, '... and altogether');
    is($in, 36, '36 messages in');
    is($out, 36, '36 messages out');
    $_->close for @c;
    ok(wait_for(sub { $t->status->{connections} == 0 }, 5, 'none'),
        'connections go down again');
};

subtest 'words it does not know' => sub {
    for my $args (['dance'], [], ['status', '--xml'], ['reload', 'now'],
        ['broadcast']) {
        my ($exit, $out, $err) = $t->ctl(@$args);
        is($exit, 2, "ctl @$args: usage error");
        like($err, qr/usage|known|expected|missing|takes|needs/i,
            '... that explains');
    }
};

subtest 'broadcast' => sub {
    my ($exit, $out, $err) = $t->ctl('broadcast', 'hello to all');
    is($exit, 0, 'exit 0') or diag $err;
    my $heard = sub {
        my ($re) = @_;
        my $text = $t->log_text;
        my %by;
        push @{ $by{$1} }, $2
            while $text =~ /\] (\d+)#.*trouble heard: ($re[^\n]*)/g;
        return \%by;
    };
    ok(wait_for(sub { keys %{ $heard->('hello') } == 3 }, 5, 'all'),
        'every worker hears it');
    is(scalar(grep { @$_ != 1 } values %{ $heard->('hello') }), 0, '... once');

    my @senders;
    for my $who (1 .. 4) {
        my $pid = fork // die $!;
        if (!$pid) {
            my $bad = 0;
            for my $n (1 .. 10) {
                $bad++ if ($t->ctl('broadcast', "round $who.$n"))[0];
            }
            POSIX::_exit($bad);
        }
        push @senders, $pid;
    }
    my $bad = 0;
    for (@senders) {
        waitpid $_, 0;
        $bad++ if $?;
    }
    is($bad, 0, '40 from four senders at once');
    wait_for(
        sub {
            my @all = values %{ $heard->('round') };
            @all == 3 && !grep { @$_ < 40 } @all;
        },
        5,
        'all 40 everywhere'
    );
    my ($first, @others) = map { join ' ', @$_ } values %{ $heard->('round') };
    is(scalar(split / round/, $first), 40, 'a worker hears all 40');
    is(scalar(grep { $_ ne $first } @others), 0,
        'all workers hear them in the same order');
};

# ---- the socket itself ---------------------------------------------------

sub raw
{
    return Test::Linnet::Stream->connect(path => $t->path('run/control.sock'));
}

subtest 'bad clients of the socket' => sub {
    my $rss = proc_rss($t->{pid});
    my %lines = (
        'no JSON'         => "hello\n",
        'an array'        => "[1,2]\n",
        'an empty line'   => "\n",
        'an empty object' => "{}\n",
        'an unknown one'  => qq({"cmd":"dance","command":"dance"}\n),
        'binary'          => join('', map { chr } 0 .. 255) . "\n",
        'deep JSON'       => ('[' x 5000) . "\n",
    );
    for my $what (sort keys %lines) {
        my $c = raw();
        $c->write($lines{$what});
        my $answer = $c->line(5);
        if (defined $answer) {
            my $e = eval { JSON::PP->new->decode($answer) };
            ok($e, "$what: an answer in JSON") or diag $answer;
            like($answer, qr/error|"ok"\s*:\s*false/, '... that is an error');
        } else {
            ok($c->closed(1), "$what: closed");
        }
        $c->close;
    }
    my $c = raw();
    $c->write('x' x 4_000_000, 5);
    ok(defined $c->line(5) || $c->closed(5),
        'a line without an end is not waited for for ever');
    my @half = map { my $h = raw(); $h->write('{"c'); $h } 1 .. 30;
    my $begin = time;
    is(($t->ctl('status'))[0], 0, 'half a line from 30 clients: ctl works');
    cmp_ok(time - $begin, '<', 2 * time_factor(), '... without delay');
    $_->close for @half;
    my @gone = map { my $h = raw(); $h->close(1); 1 } 1 .. 200;
    is(($t->ctl('status'))[0], 0, '200 that only connect: ctl works');
    is(scalar $t->workers, 3, 'all workers are there');
    cmp_ok(proc_rss($t->{pid}) - $rss, '<', 8_000_000,
        'the master has not grown');
};

subtest 'a client that does not read' => sub {
    my $c = raw();
    my ($exit, $out) = $t->ctl('status', '--json');
    # As many requests as fit; the answers stay where they are.
    my $said = 0;
    for my $line (qq({"cmd":"status"}\n) x 20000) {
        last unless syswrite $c->handle, $line;
        $said++;
    }
    cmp_ok($said, '>', 0, "$said requests, no answer read");
    is(($t->ctl('status'))[0], 0, 'others are answered');
    cmp_ok(proc_rss($t->{pid}), '<', 200_000_000 * time_factor(),
        'the memory of the master is bounded');
    $c->close(1);
};

subtest 'many at once' => sub {
    my @kids;
    for (1 .. 8) {
        my $pid = fork // die $!;
        if (!$pid) {
            my $bad = 0;
            for (1 .. 5) {
                $bad++ if ($t->ctl('status', '--json'))[0];
            }
            POSIX::_exit($bad);
        }
        push @kids, $pid;
    }
    my $bad = 0;
    for (@kids) {
        waitpid $_, 0;
        $bad += $? >> 8;
    }
    is($bad, 0, '40 questions by 8 at a time');

    @kids = ();
    pipe my $r, my $w or die $!;
    for (1 .. 4) {
        my $pid = fork // die $!;
        if (!$pid) {
            my ($exit, $out, $err) = $t->ctl('reload');
            syswrite $w, "$exit $out$err";
            POSIX::_exit(0);
        }
        push @kids, $pid;
    }
    close $w;
    waitpid $_, 0 for @kids;
    my @said = <$r>;
    is(scalar(grep { /^0 reloaded, generation \d+$|^1 .+$/ } @said), 4,
        'four reloads at once: each has an answer') or diag @said;
    ok(scalar(grep { /^0 / } @said), '... at least one is done');
    ok($t->wait_ready(10, 3), '... and three workers are there');
};

# Those that connect and say nothing do not keep others out.
subtest 'idle connections' => sub {
    my $files = fd_count($t->{pid});
    $t->log_mark;
    # More than there is room for, and more than that in the backlog.
    my @idle = map { raw() } 1 .. 100;
    my $begin = time;
    is(($t->ctl('status'))[0], 0, 'a hundred are idle: ctl works');
    cmp_ok(time - $begin, '<', 2 * time_factor(), '... without delay');
    cmp_ok(fd_count($t->{pid}) - $files, '<=', 64, '... not all are kept');
    like($idle[0]->line(5) // '', qr/"ok":false.*no command came/,
        'the oldest is told why it has to go');
    my $late = raw();
    $late->write(qq(["get","nothing"]\n));
    like($late->line(5) // '', qr/is not set/, 'the newest is answered');
    my @more = map { raw() } 1 .. 200;
    is(($t->ctl('status'))[0], 0, '... also when 200 more come');
    $t->log_like(qr/\[warn\].*control socket: \d+ connections are open/,
        'the log tells of it');
    is((() = $t->log_text =~ /control socket:/g), 1, '... once');
    $_->close for @idle, @more, $late;
    ok(wait_for(sub { fd_count($t->{pid}) <= $files }, 10, 'descriptors'),
        'no descriptor is left behind');
};

subtest 'those whose command goes on are not sent away' => sub {
    my ($worker) = $t->worker_pids;
    kill STOP => $worker;
    my @asked = map { my $c = raw(); $c->write(qq(["conns"]\n)); $c } 1 .. 30;
    my @idle = map { raw() } 1 .. 100;
    is(($t->ctl('get', 'nothing'))[0], 1, 'a hundred are idle: ctl works');
    # Many more than may be: they are told so.
    my @more = map { my $c = raw(); $c->write(qq(["conns"]\n)); $c } 1 .. 60;
    my ($exit, $out, $err) = $t->ctl('get', 'nothing');
    is($exit, 1, 'no room for one more');
    like($err, qr/too many commands are under way/, '... is what ctl says');
    kill CONT => $worker;
    is(scalar(grep { ($_->line(20) // '') =~ /"ok":true/ } @asked), 30,
        'those who asked first have their answers');
    $_->close for @asked, @idle, @more;
    is(($t->ctl('status'))[0], 0, 'ctl works again');
};

subtest 'half a command' => sub {
    my $c = raw();
    my $begin = time;
    $c->write('["sta');
    like($c->line(20) // '', qr/"ok":false.*did not come in time/,
        'is not waited for for long');
    cmp_ok(time - $begin, '<', 6 * time_factor(), '... a few seconds');
    ok($c->closed(5), '... and the connection is closed');
};

# The master has no descriptor for those who ask: it waits, they wait.
subtest 'more than the master may have' => sub {
    my $few = Test::Linnet->new(ulimit => ['n 64'], config => <<'INI')->start;
[server]
workers = 1

%%LISTEN_echo%%
INI
    my @c = map {
        IO::Socket::UNIX->new(Peer => "$few->{prefix}/run/control.sock")
    } 1 .. 60;
    is(scalar(grep { $_ } @c), 60, 'all are in its backlog');
    is(($few->ctl('status'))[0], 0, 'those that say nothing are sent away');
    @c = ();
    my ($worker) = $few->worker_pids;
    kill STOP => $worker;
    @c = map {
        my $s = Test::Linnet::Stream->connect(
            path => "$few->{prefix}/run/control.sock");
        $s->write(qq(["conns"]\n));
        $s;
    } 1 .. 60;
    $few->log_like(qr/control socket: Too many open files/,
        'those that wait for an answer stay');
    my ($cpu, $begin) = (proc_cpu($few->{pid}), time);
    wait_for(sub { time - $begin > 2 }, 10, 'two seconds');
    my $used = (proc_cpu($few->{pid}) - $cpu) / (time - $begin);
    cmp_ok($used, '<', 0.05 * time_factor(), 'and does not spin')
        or diag $used;
    my $lines = () = $few->log_text =~ /control socket:/g;
    cmp_ok($lines, '<', 4, "... nor fill the log ($lines lines)");
    kill CONT => $worker;
    is(scalar(grep { ($_->line(20) // '') =~ /"ok":true/ } @c), 60,
        'all have their answers in the end');
    @c = ();
    is(($few->ctl('status'))[0], 0, 'when they are gone, it answers');
    $few->finish;
};

# One that does not read a long answer does not keep others from theirs.
subtest 'answers at the end' => sub {
    my $end = Test::Linnet->new(config => $config)->start;
    my $long = 'x' x 30_000;
    is(($end->ctl('set', "value.$_", $long))[0], 0, "value $_") for 1 .. 40;
    my @idle = map { Test::Linnet::Stream->connect(
            path => $end->path('run/control.sock')) } 1 .. 5;
    my @stuck = map {
        my $s = Test::Linnet::Stream->connect(
            path => $end->path('run/control.sock'));
        $s->write(qq(["values"]\n));
        $s;
    } 1 .. 3;
    is(($end->ctl('status'))[0], 0, 'three do not read their answers');
    $end->signal('TERM');
    like($_->line(10) // 'nothing', qr/"ok":false.*the server has ended/,
        '... the others are told of the end') for @idle;
    is($end->wait_exit(10), 0, 'it ends');
    $end->finish;
};

subtest 'quit and stop' => sub {
    my ($exit, $out, $err) = $t->ctl('quit');
    is($exit, 0, 'quit') or diag $err;
    is($t->wait_exit(5), 0, '... the master ends');
    $t->start;
    my $c = $t->connect('echo');
    ($exit, $out, $err) = $t->ctl('stop');
    is($exit, 0, 'stop') or diag $err;
    is($t->wait_exit(5), 0, '... the master ends');
    ok(!-e $t->path('run/control.sock'), 'the socket is gone');
};

$t->finish;
done_testing;
