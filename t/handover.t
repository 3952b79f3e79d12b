# Connections are handed over to a worker that the client names, with what was
# already read: lines and HTTP requests; and what becomes of them when that
# worker is not there, ends, is stopped or is killed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp ();
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

my $user = $> ? '' : 'user = root';

sub server
{
    my ($workers, %o) = @_;
    return Test::Linnet->new(config => <<"INI", %o)->start;
[server]
workers          = $workers
$user
shutdown_timeout = 5s
load_module      = %%MODULE_owner%%

[listen lines]
address  = 127.0.0.1:%%PORT_lines%%
protocol = owner

[listen web]
address  = 127.0.0.1:%%PORT_web%%
protocol = http

[route owner]
listen  = web
path    = /owner/
handler = owner
INI
}

sub says
{
    my ($c, $command, $timeout) = @_;
    $c->write("$command\n") or return 'gone';
    return $c->line($timeout // 20) // 'no answer';
}

# A connection to each worker that serves, by slot: {c, name, pid, slot}
sub one_on_each
{
    my ($t, $n) = @_;
    my (%by, @others);
    wait_for(
        sub {
            push @others, my $c = $t->connect('lines');
            my ($name, $pid, $slot) = split / /, says($c, 'me');
            return unless defined $slot;
            $by{$slot} =
                { c => $c, slot => $slot, name => $name, pid => $pid };
            return keys %by == $n;
        },
        15,
        "$n workers"
    );
    return map { $by{$_} } sort keys %by;
}

# One HTTP answer: status and body.
sub answer
{
    my ($c, $request) = @_;
    $c->write($request);
    my $end = time + 20 * time_factor();
    while ($c->{in} !~ /\r\n\r\n/ && $c->fill($end)) { }
    $c->{in} =~ s/\A(HTTP\S+ (\d+).*?\r\n\r\n)//s or return 'nothing';
    my ($head, $status) = ($1, $2);
    my ($n) = $head =~ /^Content-Length: (\d+)/mi;
    while (length $c->{in} < $n && $c->fill($end)) { }
    return "$status " . substr $c->{in}, 0, $n, '';
}

sub counters
{
    my ($t) = @_;
    return $t->status->{counters};
}

subtest 'to whoever has it' => sub {
    my $t = server(3);
    my @w = one_on_each($t, 3);
    is(scalar @w, 3, 'three workers');
    my $c = $t->connect('lines');
    for my $round (1 .. 3) {
        is(says($c, "at $_->{name} round $round"), "here $_->{pid} round $round",
            "round $round: worker $_->{slot} answers")
            for @w;
    }
    my ($b, $d) = @w[ 1, 2 ];
    $c->write("at $b->{name} one\nat $b->{name} two\nat $d->{name} three\nm");
    is($c->line(10), "here $b->{pid} one", 'several in one piece: the first');
    is($c->line(10), "here $b->{pid} two", 'the second');
    is($c->line(10), "here $d->{pid} three", 'the third, at another one');
    is((split / /, says($c, 'e'))[1], $d->{pid}, 'what was begun goes on');
    is(says($c, 'at 77 nowhere'), "stays $d->{pid} nowhere",
        'a worker that never was: it stays');
    is(says($c, "at $b->{name} again"), "here $b->{pid} again", 'and goes on');
    my $n = counters($t);
    cmp_ok($n->{handed_over_total}, '>=', 8, 'counted');
    is($n->{hand_over_refused_total}, 1, 'and the one that stayed');
    is($t->stop, 0, 'stops');
    $t->finish;
};

subtest 'protocols that hand over whatever comes' => sub {
    my $t = server(2);
    my @w = one_on_each($t, 2);
    my ($a, $b) = @w;
    my $c = $a->{c};
    is(says($c, 'try 77 one'), "stays $a->{pid} one", 'told that it stays');
    is(says($c, 'try 77 two'), "stays $a->{pid} two", 'the next, too');
    is(counters($t)->{hand_over_refused_total}, 2, 'each is refused once');
    $c->write("try 77 three\ntry $b->{name} four\ntry 77 five\n");
    is($c->line(10), "stays $a->{pid} three", 'several in one piece: it stays');
    is($c->line(10), "here $b->{pid} four", 'what is behind that goes on');
    is($c->line(10), "stays $b->{pid} five", 'and so on');
    $c->write("bad 77 six\n");
    is($c->line(10), 'going', 'one that says something each time');
    is($c->line(10), 'going', 'tries twice');
    ok($c->closed, 'and is closed');
    cmp_ok(counters($t)->{hand_over_refused_total}, '<', 10, 'no more tries');
    like(slurp($t->path('logs/error.log')), qr/module owner hands over/,
        'the log says why');
    is($t->stop, 0, 'stops');
    $t->finish;
};

subtest 'clients that go while they wait' => sub {
    my $t = server(2);
    my ($a, $b) = one_on_each($t, 2);
    kill STOP => $b->{pid};
    my $before = counters($t)->{hand_over_refused_total};
    my $begin = time;
    $a->{c}->write("at $b->{name} x\n");
    $a->{c}->shutdown_write;
    is($a->{c}->line(20), "stays $a->{pid} x", 'it stays');
    cmp_ok(time - $begin, '<', 4, 'at once');
    ok($a->{c}->closed, 'and ends');
    is(counters($t)->{hand_over_refused_total}, $before + 1, 'which is counted');
    kill CONT => $b->{pid};
    is($t->stop, 0, 'stops');
    $t->finish;
};

subtest 'HTTP' => sub {
    my $t = server(3);
    my @w = one_on_each($t, 3);
    my $c = $t->connect('web');
    my $host = "HTTP/1.1\r\nHost: x\r\n";
    for my $w (@w, @w) {
        is(answer($c, "GET /owner/at/$w->{name} $host\r\n"),
            "200 here $w->{pid} ", "GET at worker $w->{slot}");
        is(answer($c, "POST /owner/at/$w->{name} ${host}Content-Length: 5\r\n"
                . "\r\nhello"), "200 here $w->{pid} hello", 'POST');
    }
    my @to = @w[ 0, 1, 2, 0, 1, 2 ];
    # Byte by byte, so that head and body come late.
    for my $chunked (0, 1) {
        my $w = shift @to;
        my $request = "POST /owner/at/$w->{name} $host"
            . ($chunked ? "Transfer-Encoding: chunked\r\n\r\n"
                . "2\r\nhe\r\n4\r\nllo!\r\n0\r\n\r\n"
                : "Content-Length: 6\r\n\r\nhello!");
        for my $byte (split //, substr $request, 0, -1) {
            $c->write($byte);
            sleep 0.0005;
        }
        is(answer($c, substr $request, -1), "200 here $w->{pid} hello!",
            $chunked ? 'a body in chunks, byte by byte' : 'byte by byte');
        $w = shift @to;
        is(answer($c, $request =~ s{at/\d+}{at/$w->{name}}r),
            "200 here $w->{pid} hello!", 'the same in one piece');
    }
    # Pipelined, each at another one.
    $c->write(join '', map { "GET /owner/at/$_->{name} $host\r\n" } @w, @w);
    is(answer($c, ''), "200 here $_->{pid} ", "pipelined: worker $_->{slot}")
        for @w, @w;
    my $w = $w[1];
    my $large = 'x' x 1_500_000;
    is(answer($c, "POST /owner/at/$w->{name} ${host}Content-Length: 1500000\r\n"
            . "\r\n$large"), "200 here $w->{pid} $large", 'a large body');
    is(answer($c, "GET /owner/at/77 $host\r\n"), "503 stays $w->{pid} ",
        'a worker that never was');
    is(answer($c, "GET /owner/at/$w[2]{name} $host\r\n"),
        "200 here $w[2]{pid} ", 'and then one that is');
    my $huge = 'x' x 3_000_000;
    is(answer($c, "POST /owner/at/$w->{name} ${host}Content-Length: 3000000\r\n"
            . "\r\n$huge"), "503 stays $w[2]{pid} $huge", 'what is too large');
    my $url = 'http://127.0.0.1:' . $t->port('web') . '/owner/at';
    for my $i (0 .. 2) {
        my $got = `curl -sS --max-time 20 -d data=$i $url/$w[$i]{name} 2>&1`;
        is($got, "here $w[$i]{pid} data=$i", "curl at worker $i");
    }
    is($t->stop, 0, 'stops');
    $t->finish;
};

subtest 'many at once' => sub {
    my $t = server(3);
    my @w = one_on_each($t, 3);
    my @c = map { $t->connect('lines') } 1 .. 300;
    for my $round (0 .. 4) {
        my $wrong = 0;
        $c[$_]->write("at $w[($_ + $round) % 3]{name} $_\n") for 0 .. $#c;
        for my $i (0 .. $#c) {
            my $w = $w[ ($i + $round) % 3 ];
            my $got = $c[$i]->line(20) // 'nothing';
            $wrong++, diag "$i: $got" if $got ne "here $w->{pid} $i";
        }
        is($wrong, 0, "round $round: all are answered by their worker");
    }
    is($t->status->{connections}, 303, 'none more, none less');
    is($t->stop, 0, 'stops');
    $t->finish;
};

subtest 'a worker that is stopped' => sub {
    my $t = server(3);
    my @w = one_on_each($t, 3);
    my ($a, $b) = @w;
    # Whether there is a link already or not.
    for my $linked (0, 1) {
        kill STOP => $b->{pid};
        is(says($a->{c}, "at $b->{name} x", 30), "stays $a->{pid} x",
            'nobody takes it: it stays');
        kill CONT => $b->{pid};
        is(says($a->{c}, "at $b->{name} y"), "here $b->{pid} y",
            'until the other one is there again');
        is(says($a->{c}, "at $a->{name} z"), "here $a->{pid} z", 'and back');
    }
    is($t->stop, 0, 'stops');
    $t->finish;
};

subtest 'workers come and go' => sub {
    my $t = server(3);
    $t->allow_alert(qr/signal 9/);
    my @w = one_on_each($t, 3);
    my ($a, $b, $d) = @w;
    is(says($a->{c}, "at $b->{name} x"), "here $b->{pid} x", 'handed over');
    is(says($a->{c}, "at $a->{name} x"), "here $a->{pid} x", 'and back');
    kill KILL => $b->{pid};
    wait_for(sub { !proc_alive($b->{pid}) }, 10, 'it is gone');
    is(says($a->{c}, "at $b->{name} x"), "stays $a->{pid} x",
        'one that was killed: it stays');
    is(says($a->{c}, "at $d->{name} x"), "here $d->{pid} x",
        'another one takes it');
    # The one in its place has another name, whatever its cell.
    @w = one_on_each($t, 3);
    isnt($w[1]{name}, $b->{name}, 'the next has another name');
    is(says($a->{c}, "at $w[1]{name} x"), "here $w[1]{pid} x", 'and takes it');
    is(($t->ctl('drain', 2))[0], 0, 'one is drained');
    is(says($a->{c}, "at $d->{name} x"), "stays $w[1]{pid} x", 'it stays');
    is(($t->ctl('reload'))[0], 0, 'all are new');
    my @new = one_on_each($t, 3);
    is(says($a->{c}, "at $_->{name} x"), "here $_->{pid} x",
        "new worker $_->{slot} takes it")
        for @new;
    is((split / /, says($a->{c}, "at $w[1]{name} x"))[0], 'stays',
        'an old one does not');
    is($t->stop, 0, 'stops');
    $t->finish;
};

subtest 'during reloads' => sub {
    my $t = server(3);
    my @c = map { { c => $t->connect('lines'), n => 0 } } 1 .. 60;
    my ($wrong, $stays, $here) = (0, 0, 0);
    my @w = one_on_each($t, 3);
    for my $reload (1 .. 3) {
        my $pid = fork // die $!;
        if (!$pid) {
            open STDOUT, '>', '/dev/null';
            $t->ctl('reload');
            POSIX::_exit(0);
        }
        for my $round (1 .. 10) {
            my $w = $w[ $round % 3 ];
            $_->{c}->write("at $w->{name} $_->{n}\n") for @c;
            for my $c (@c) {
                my $got = $c->{c}->line(20) // 'nothing';
                my ($what) = $got =~ /^(here|stays) \d+ $c->{n}$/;
                $wrong++, diag $got if !$what;
                $stays++ if ($what // '') eq 'stays';
                $here++ if ($what // '') eq 'here';
                $c->{n}++;
            }
        }
        waitpid $pid, 0;
        @w = one_on_each($t, 3);
    }
    is($wrong, 0, "each is answered once and in order ($here $stays)");
    wait_for(sub { $t->status->{connections} == 60 + 3 }, 10, 'none is lost')
        or diag explain $t->status;
    is($t->stop, 0, 'stops');
    $t->finish;
};

SKIP: {
    skip 'this build has no steps to be killed at (--with-debug)', 1
        if slurp(Test::Linnet->binary) !~ /LINNET_TEST_MOVE\0/;

    # At each step the giver (the parent's child that hands over) or the taker
    # is killed; where it was then is where it ends.
    my %became = (
        FREEZE => 'lost', FROZEN => 'lost', SENT => 'here', ANSWERED => 'here',
        GIVEN => 'here', ARRIVED => 'stays', THAWED => 'stays',
        TAKEN => 'lost',
    );
    for my $step (qw(FREEZE FROZEN SENT ANSWERED GIVEN ARRIVED THAWED TAKEN)) {
        subtest "killed at $step" => sub {
            my $order = File::Temp::tempdir(CLEANUP => 1) . '/order';
            my $t = server(3, env => { LINNET_TEST_MOVE => $order });
            $t->allow_alert(qr/signal 9/);
            my @w = one_on_each($t, 3);
            my ($a, $b, $d) = @w;
            my @others = map { $t->connect('lines') } 1 .. 20;
            spew("$order.new", "kill $step 1 self\n");
            rename "$order.new", $order or die $!;
            my $got = says($a->{c}, "at $b->{name} x");
            my ($what) = $got =~ /^(\w+) \d+ x$/;
            $what //= 'lost' if $a->{c}{eof};
            wait_for(sub { !-e $order }, 10, "$step is reached");
            ok(!-e $order, 'somebody was killed');
            is($what, $became{$step}, "it is $became{$step}") or diag $got;
            is((split / /, says($d->{c}, 'me'))[1], $d->{pid},
                'the third one does not notice');
            my @new = one_on_each($t, 3);
            is(says($new[0]{c}, "at $new[1]{name} y"), "here $new[1]{pid} y",
                'the next ones do it again');
            is($t->stop, 0, 'stops');
            $t->finish;
        };
    }
}

done_testing;
