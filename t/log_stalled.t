# Logs that nobody reads: pipes, FIFOs, terminals, sockets, the system log.
# The server serves, reloads and ends as if they were read; lines that are
# lost are counted, and reported when somebody reads again.

use strict;
use warnings;

use Fcntl qw(:DEFAULT F_GETFL F_SETFL O_NOCTTY);
use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Socket;
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

umask 022; # workers are another user, and read the files made here
my $REQUESTS = 3000;
my $LINE = qr{^(?:to\ /\S*\ \d+\ x+
    |\d{4}/\d\d/\d\d\ \d\d:\d\d:\d\d\ \[\w+\]\ \d+\#(?:\d+|-).*:\ .*)$}x;

sub config
{
    my ($log, $more) = @_;
    my $x = 'x' x 120;
    return <<"INI" . ($more // '');
[server]
workers = 2

[log]
level = debug
access_format = to \$uri \$status $x
$log

%%LISTEN_web%%

%%ROUTE_page%%

[route metrics]
listen  = web
path    = /metrics
handler = status
INI
}

# Each makes an error, and a reload that fails a line as long as they get.
my $BAD = "[chat]\n" . join '', map { "no_such_key_$_ = 1\n" } 1 .. 60;

sub server
{
    my ($log, %o) = @_;
    return Test::Linnet->new(config => config($log),
        files => { 'www/a.txt' => "text\n" }, %o);
}

# Starts it with that standard error.
sub start
{
    my ($t, $err) = @_;
    my (undef, @words) = $t->command;
    my @command = ($t->binary, @words);
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        open STDIN, '<', '/dev/null' or POSIX::_exit(126);
        open STDOUT, '>>', $t->path('stdout.txt') or POSIX::_exit(126);
        POSIX::dup2(fileno $err, 2) or POSIX::_exit(126);
        chdir $t->prefix;
        my $reports = ':log_path=' . $t->path('sanitizer') . '/report';
        $ENV{ASAN_OPTIONS} = ($ENV{ASAN_OPTIONS} // 'exitcode=99') . $reports;
        $ENV{UBSAN_OPTIONS} = ($ENV{UBSAN_OPTIONS}
                // 'print_stacktrace=1:halt_on_error=1') . $reports;
        if (defined $t->{user}) {
            my ($uid, $gid) = (getpwnam $t->{user})[2, 3];
            $) = "$gid $gid";
            POSIX::setgid($gid);
            POSIX::setuid($uid) or POSIX::_exit(126);
        }
        exec { $command[0] } @command or POSIX::_exit(127);
    }
    $t->{pid} = $pid;
    return ok($t->wait_ready(20), 'it starts');
}

# Non-blocking, without changing what others have of it.
sub nonblocking
{
    my ($fh) = @_;
    my $flags = fcntl $fh, F_GETFL, 0;
    fcntl $fh, F_SETFL, $flags | O_NONBLOCK or die $!;
    return $fh;
}

# Nothing fits any more; what is there are lines.
sub fill
{
    my ($fh) = @_;
    my $junk = ('J' x 127 . "\n") x 32;
    1 while syswrite $fh, $junk;
    1 while syswrite $fh, "J\n";
    return;
}

sub full_pipe
{
    pipe my $r, my $w or die $!;
    sysopen my $mine, '/proc/self/fd/' . fileno $w, O_WRONLY | O_NONBLOCK
        or die $!;
    fill($mine);
    return (nonblocking($r), $w);
}

# Requests on connections that stay; how many were answered.
sub requests
{
    my ($t, $n) = @_;
    my ($good, $s) = (0);
    for my $i (0 .. $n - 1) {
        $s = $t->connect('web') if $i % 100 == 0;
        $s->write("GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
        my $r = $s->http_response or last;
        $good++ if $r->{status} == 200;
    }
    return $good;
}

sub lost
{
    my ($t) = @_;
    my $c = ($t->status // {})->{counters} // {};
    return @{$c}{qw(access_lost_total log_lost_total)};
}

# Serves, is told things, and fills its logs with them.
sub works
{
    my ($t, $n) = @_;
    is(requests($t, 100), 100, 'requests are answered');
    for my $i (1 .. 3) {
        my ($exit, undef, $err) = $t->ctl('reload');
        is($exit, 0, "reload $i") or diag $err;
    }
    is(($t->ctl('reopen'))[0], 0, 'reopen');
    is(($t->ctl('log-level', 'debug'))[0], 0, 'log-level');
    is(requests($t, $n), $n, "$n more requests");
    return;
}

sub fill_error_log
{
    my ($t, $log) = @_;
    $t->write_config(config($log, $BAD));
    my $tries = 0;
    wait_for(sub { $t->processes == 3 }, 10, 'the old workers to end');
    my ($before) = (lost($t))[1];
    while ($tries++ < 200) {
        my ($exit) = $t->ctl('reload');
        return fail("a bad reload ends with $exit") if $exit != 1;
        last if (lost($t))[1] - $before > 10;
    }
    $t->write_config(config($log));
    return cmp_ok((lost($t))[1] - $before, '>', 10,
        "the master loses lines, too, after $tries reloads");
}

# All that comes until $done says that it is enough of it.
sub read_until
{
    my ($fh, $text, $done, $what) = @_;
    return ok(
        wait_for(
            sub {
                while (my $n = sysread $fh, my $more, 65536) {
                    $$text .= $more;
                }
                return $done->($$text);
            },
            10, $what
        ),
        $what
    );
}

sub lines_are_whole
{
    my ($text) = @_;
    my @lines = split /\n/, $text =~ s/\r//gr;
    my @bad = grep { !/^J+$/ && $_ !~ $LINE } @lines;
    return is(scalar @bad, 0, 'every line is whole (' . @lines . ')')
        || diag join "\n", @bad[0 .. ($#bad > 5 ? 5 : $#bad)];
}

sub ends
{
    my ($t) = @_;
    my $begin = time;
    is($t->stop('TERM', 10), 0, 'TERM ends it');
    cmp_ok(time - $begin, '<', 5 * time_factor(), '... at once');
    return;
}

subtest 'a pipe that nobody reads' => sub {
    my $log = "error = stderr\naccess = stderr";
    my $t = server($log, copy_binary => 1);
    my ($r, $w) = full_pipe();
    my $flags = fcntl $w, F_GETFL, 0;
    start($t, $w) or return;
    works($t, $REQUESTS);
    fill_error_log($t, $log);
    my ($access, $error) = lost($t);
    cmp_ok($access, '>', 100, 'lines of the access log are lost');
    my $metrics = $t->http_get('web', '/metrics')->{body};
    like($metrics, qr/^linnet_access_lost_total\{.*\} \d+$/m,
        'metrics: the access log');
    like($metrics, qr/^linnet_log_lost_total [1-9]\d*$/m,
        'metrics: the error log');
    like(($t->ctl('status'))[1],
        qr/^lost: [1-9]\d* lines of the error log, [1-9]\d* of the access log/m,
        'status says so to people');

    my $turns = $t->status->{counters}{loop_turns_total};
    my $begin = time;
    wait_for(sub { time - $begin > 0.3 }, 5, 'a moment');
    cmp_ok($t->status->{counters}{loop_turns_total} - $turns, '<', 200,
        'nobody turns in circles meanwhile');
    is(fcntl($w, F_GETFL, 0), $flags, 'the pipe is as it was for others');

    my $text = '';
    ($access, $error) = lost($t);
    read_until($r, \$text, sub {
        my $n = 0;
        $n += $1 while $_[0] =~ /: (\d+) log lines could not be written/g;
        return $n >= 10 && $_[0] =~ /access log: it can be written again/;
    }, 'somebody reads: the reports come');
    my $sent = $REQUESTS + 100 + 1;
    my ($told) = $text =~ /(\d+) log lines could not be written before this/;
    cmp_ok($told, '>', 10, '... with how many lines are missing');
    my $here;
    ok(wait_for(sub {
        1 while sysread $r, $text, 65536, length $text;
        ($access) = lost($t);
        $here = () = $text =~ m{^to /}mg;
        return $here + $access >= $sent;
    }, 10, 'all lines'), 'all lines of the access log');
    is($here + $access, $sent, '... came or were counted');
    is((() = $text =~ /\d+ log lines could not be written before this/g), 1,
        'the master reports once');
    lines_are_whole($text);
    $text = '';
    is(requests($t, 3), 3, 'requests');
    read_until($r, \$text, sub { 3 == (() = $_[0] =~ m{^to /a}mg) },
        'as if nothing had been');

    sysopen my $mine, '/proc/self/fd/' . fileno $w, O_WRONLY | O_NONBLOCK
        or die $!;
    fill($mine);
    my ($exit, $out, $err) = $t->ctl('upgrade');
    is($exit, 0, 'an upgrade') or diag $err;
    cmp_ok((lost($t))[1], '>=', $error, 'the counter survives that');
    is(requests($t, 10), 10, 'requests');
    $t->signal('TERM');
    ok(wait_for(sub { !$t->processes }, 10, 'the end'), 'TERM ends it');
    is(fcntl($w, F_GETFL, 0), $flags, 'the pipe is as it was for others');
    $t->finish;
};

subtest 'a pipe of somebody else' => sub {
    my ($r, $w) = full_pipe();
    my %user;
    if ($> == 0) {
        plan skip_all => 'no user nobody' unless defined getpwnam 'nobody';
        %user = (user => 'nobody');
    } else {
        chmod 0, $w or plan skip_all => "cannot close a pipe to oneself: $!";
    }
    my $t = server("error = stderr\naccess = stderr", %user);
    my $flags = fcntl $w, F_GETFL, 0;
    start($t, $w) or return;
    works($t, $REQUESTS);
    cmp_ok((lost($t))[0], '>', 100, 'lines are lost');
    my $text = '';
    read_until($r, \$text, sub { $_[0] =~ /access log: it can be written again/ },
        'somebody reads: the report comes');
    lines_are_whole($text);
    ends($t);
    is(fcntl($w, F_GETFL, 0), $flags, 'the pipe is as it was for others');
    $t->finish;
};

subtest 'a socket' => sub {
    socketpair my $r, my $w, PF_UNIX, SOCK_STREAM, 0 or die $!;
    nonblocking($r);
    my $flags = fcntl $w, F_GETFL, 0;
    my $t = server("error = stderr\naccess = stderr");
    start($t, $w) or return;
    works($t, $REQUESTS);
    cmp_ok((lost($t))[0], '>', 0, 'lines are lost');
    my $text = '';
    read_until($r, \$text, sub { $_[0] =~ /access log: it can be written again/ },
        'somebody reads: the report comes');
    lines_are_whole($text);
    ends($t);
    is(fcntl($w, F_GETFL, 0), $flags, 'the socket is as it was for others');
    $t->finish;
};

# A terminal: its other end, and what a program has of it.
sub terminal
{
    sysopen my $m, '/dev/ptmx', O_RDWR | O_NOCTTY or return;
    my $n = pack 'i', 0;
    ioctl $m, 0x40045431, $n or return; # TIOCSPTLCK: unlock
    ioctl $m, 0x80045430, $n or return; # TIOCGPTN: its number
    sysopen my $tty, '/dev/pts/' . unpack('i', $n), O_RDWR | O_NOCTTY or return;
    return (nonblocking($m), $tty);
}

for my $how ('that nobody reads', 'after Ctrl-S') {
    subtest "a terminal $how" => sub {
        my ($m, $tty) = terminal();
        plan skip_all => 'no terminals here' unless $tty;
        my $flags = fcntl $tty, F_GETFL, 0;
        syswrite $m, "\x13" if $how =~ /Ctrl/;
        # One worker: a line that a terminal takes half of is not torn by
        # lines of others.
        my $t = server("error = logs/error.log\naccess = stderr",
            args => ['-o', 'server.workers=1']);
        start($t, $tty) or return;
        works($t, $REQUESTS);
        cmp_ok((lost($t))[0], '>', 100, 'lines are lost');
        syswrite $m, "\x11";
        my $text = '';
        read_until($m, \$text, sub {
            $t->log_text =~ /access log: it can be written again; \d+ lines/
        }, 'the terminal goes on: the report comes');
        like($text, qr/^to /m, '... and so do the lines');
        $text =~ s/\A\n*//;
        is(requests($t, 1), 1, 'a request');
        read_until($m, \$text, sub { $_[0] =~ /\n\z/ }, 'its line');
        syswrite $m, "\x13" if $how =~ /Ctrl/;
        is(requests($t, $REQUESTS), $REQUESTS, 'stopped again');
        ends($t);
        is(fcntl($tty, F_GETFL, 0), $flags,
            'the terminal is as it was for others');
        $t->finish;
    };
}

subtest 'the error log on a terminal' => sub {
    my ($m, $tty) = terminal();
    plan skip_all => 'no terminals here' unless $tty;
    my $log = 'error = stderr';
    my $t = server($log);
    syswrite $m, "\x13";
    start($t, $tty) or return;
    works($t, 100);
    fill_error_log($t, $log);
    ends($t);
    $t->finish;
};

subtest 'FIFOs' => sub {
    my $log = "error = logs/e\naccess = logs/a";
    my $t = server($log);
    for my $name (qw(e a)) {
        POSIX::mkfifo($t->path("logs/$name"), 0644) or die $!;
    }
    my ($exit) = $t->run('-t');
    is($exit, 0, '-t does not wait for a reader');
    open my $err, '>', $t->path('stderr.txt') or die $!;
    start($t, $err) or return;
    works($t, $REQUESTS);
    fill_error_log($t, $log);
    sysopen my $e, $t->path('logs/e'), O_RDONLY | O_NONBLOCK or die $!;
    sysopen my $a, $t->path('logs/a'), O_RDONLY | O_NONBLOCK or die $!;
    my ($errors, $accesses) = ('', '');
    read_until($a, \$accesses, sub { length $_[0] > 65536 },
        'somebody reads the access log');
    read_until($e, \$errors, sub {
        1 while sysread $a, $accesses, 65536, length $accesses;
        $_[0] =~ /: \d+ log lines could not be written before this one/
            && $_[0] =~ /access log: it can be written again/;
    }, 'and the error log, which has the reports');
    like($errors, qr/linnet \S+ serves/, 'it has been there from the beginning');
    my $here = 0;
    ok(wait_for(sub {
        1 while sysread $a, $accesses, 65536, length $accesses;
        $here = () = $accesses =~ m{^to /a\.txt }mg;
        return $here + (lost($t))[0] >= $REQUESTS + 100;
    }, 10, 'all lines'), 'all lines of the access log');
    is($here + (lost($t))[0], $REQUESTS + 100, '... came or were counted');
    lines_are_whole($errors);
    lines_are_whole($accesses);
    is(slurp($t->path('stderr.txt')) =~ s/^linnet: cannot write to \S+: it takes no more bytes; lines are being lost\n//r,
        '', 'one notice on standard error');
    close $_ for $e, $a;
    is(requests($t, $REQUESTS), $REQUESTS, 'the readers have gone');
    ends($t);
    $t->finish;
};

# Nothing of a log may reach a client, which may have been given the number of
# a descriptor that the log had before.
for my $kind ('the same FIFO', 'a new file') {
    subtest "reopen while lines are held: $kind" => sub {
        my $t = Test::Linnet->new(
            config => config("access = logs/a", <<'INI') =~ s/workers = 2/workers = 1/r,

[listen raw]
address = 127.0.0.1:%%PORT_raw%%
app     = echo
INI
            files => { 'www/a.txt' => "text\n" });
        POSIX::mkfifo($t->path('logs/a'), 0666) or die $!;
        chmod 0666, $t->path('logs/a');
        open my $err, '>', $t->path('stderr.txt') or die $!;
        start($t, $err) or return;
        my $sent = 900; # of 140 bytes: more than a pipe takes
        is(requests($t, $sent), $sent, 'requests are answered');
        is((lost($t))[0], 0, '... and no line is lost');
        wait_for(sub { $t->status->{connections} == 0 }, 10, 'they have gone');
        sysopen my $a, $t->path('logs/a'), O_RDONLY | O_NONBLOCK or die $!;
        if ($kind eq 'a new file') {
            rename $t->path('logs/a'), $t->path('logs/b') or die $!;
        }
        is(($t->ctl('reopen'))[0], 0, 'reopen');
        my @clients = map { $t->connect($_) } qw(raw web) x 4;
        ok(wait_for(sub { $t->status->{connections} == @clients }, 10,
            'accepted'), 'new clients');
        my $text = '';
        ok(wait_for(sub {
            1 while sysread $a, $text, 65536, length $text;
            my $all = $text;
            $all .= slurp($t->path('logs/a')) if $kind eq 'a new file';
            return $sent == (() = $all =~ m{^to /a\.txt }mg);
        }, 10, 'all lines'), 'all lines come, without another request');
        $text .= slurp($t->path('logs/a')) if $kind eq 'a new file';
        lines_are_whole($text);
        for my $c (@clients) {
            my $got = '';
            sysread $c->handle, $got, 65536;
            is(length $got, 0, 'a client gets none of them');
        }
        $clients[0]->write("hello");
        is($clients[0]->read_exact(5), 'hello', 'a raw client is served');
        $clients[1]->write("GET /a.txt HTTP/1.1\r\nHost: localhost\r\n\r\n");
        is($clients[1]->http_response->{body}, "text\n", '... and one of http');
        ends($t);
        $t->finish;
    };
}

subtest 'the system log' => sub {
    plan skip_all => 'only root can stand in for the system log' if $>;
    plan skip_all => 'this machine has a system log' if -e '/dev/log';
    socket my $log, PF_UNIX, SOCK_DGRAM, 0 or die $!;
    bind $log, pack_sockaddr_un('/dev/log')
        or plan skip_all => "cannot make /dev/log: $!";
    chmod 0666, '/dev/log';
    nonblocking($log);
    my $t = server("error = syslog\naccess = syslog");
    my $ok = eval {
        open my $err, '>', $t->path('stderr.txt') or die $!;
        start($t, $err) or die 'no start';
        works($t, $REQUESTS);
        fill_error_log($t, "error = syslog\naccess = syslog");
        cmp_ok((lost($t))[0], '>', 100, 'lines are lost');
        my ($text, $reports) = ('', 0);
        ok(wait_for(sub {
            while (defined recv $log, my $one, 65536, 0) {
                $text .= "$one\n";
            }
            return $text =~ /log lines could not be written before this one/
                && $text =~ /access log: it can be written again/;
        }, 10, 'reports'), 'somebody reads: the reports come');
        my @bad = grep { !/^<\d+>\w{3} [ \d]\d \d\d:\d\d:\d\d linnet\[\d+\]: \S/ }
            split /\n/, $text;
        is("@bad", '', 'every message is whole');
        ends($t);
        1;
    };
    diag $@ unless $ok;
    unlink '/dev/log';
    ok($ok, 'no error');
    $t->finish;
};

done_testing;
