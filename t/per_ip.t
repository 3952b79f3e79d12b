# connections_per_ip holds for the whole server: over its workers, when one of
# them is killed, through reloads, other numbers of workers and upgrades.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Socket qw(PF_INET6 SOCK_STREAM inet_pton pack_sockaddr_in6);
use Test::More;

use Test::Linnet;

my $config = <<'INI';
[server]
workers = 3

[listen echo]
address            = 127.0.0.1:%%PORT_echo%%
app                = echo
connections_per_ip = 5

[listen admin]
address  = unix:%%UNIX_admin%%
protocol = http

[route metrics]
listen  = admin
path    = /metrics
handler = status
INI

# A connection that is served, undef for one that is refused.
sub knock
{
    my ($t, %o) = @_;
    my $s = $t->connect($o{to} // 'echo', from => $o{from} // '127.0.0.1');
    $s->write('hello');
    my $got = $s->read_exact(5);
    return $s if defined $got;
    return if $s->closed;
    die 'neither served nor refused';
}

# How many are let in until one is refused, at most this many; they stay in the
# list.
sub let_in
{
    my ($t, $list, $most, %o) = @_;
    my $n = 0;
    while ($n < $most) {
        my $s = knock($t, %o) // last;
        push @$list, $s;
        $n++;
    }
    return $n;
}

sub alive
{
    my ($s) = @_;
    return unless $s->write('still');
    return ($s->read_exact(5) // '') eq 'still';
}

# Until the server has seen that they are gone.
sub wait_connections
{
    my ($t, $n) = @_;
    return ok(wait_for(sub { $t->status->{connections} == $n }, 10,
            "$n connections"), "$n connections are open");
}

sub wait_settled
{
    my ($t, $n) = @_;
    return ok(wait_for(
            sub {
                my $s = $t->status or return;
                my @w = @{ $s->{workers} };
                return @w == $n && !grep { $_->{state} ne 'ready' } @w;
            },
            20,
            "$n workers"),
        "$n workers, and no others");
}

subtest 'over three workers' => sub {
    my $t = Test::Linnet->new(config => $config)->start;
    my (@here, @there);
    is(let_in($t, \@here, 12), 5, 'five of those that come from one address');
    is(let_in($t, \@there, 12, from => '127.0.0.2'), 5,
        'and as many from another');
    ok(!knock($t), 'no more') for 1 .. 6;
    is($t->metric('refused_per_ip_total', 'unix:admin'), 8, 'those refused are counted');
    is($t->metric('refused_total', 'unix:admin'), 8, '... with all others');
    (shift @here)->close for 1 .. 2;
    wait_connections($t, 8);
    is(let_in($t, \@here, 5), 2, 'as many come in as have left');
    (shift @here)->close('hard') for 1 .. 3;
    wait_connections($t, 7);
    is(let_in($t, \@here, 5), 3, '... also by a reset');
    is(scalar(grep { !alive($_) } @here, @there), 0, 'all of them are served');

    # It takes those with it that it served, and only those.
    my ($w) = sort { $b->{connections} <=> $a->{connections} } $t->workers;
    kill KILL => $w->{pid};
    $t->allow_alert(qr/signal 9/);
    my @left = grep { alive($_) } @here;
    my $lost = @here - @left;
    ok(wait_for(sub {
            my @now = $t->workers;
            return @now == 3 && !grep { $_->{pid} == $w->{pid} } @now;
        }, 10, 'another worker'), 'a worker is killed');
    is(let_in($t, \@left, 12), $lost, "the $lost it had from here are free");
    is($t->metric('zone_repairs_total', 'unix:admin'), 0, '... without a repair');
    $t->finish;
};

subtest 'reload, workers, upgrade' => sub {
    my $t = Test::Linnet->new(config => $config, copy_binary => 1)->start;
    my @c;
    my $same = sub {
        my ($what) = @_;
        is(scalar(grep { !alive($_) } @c), 0, "$what: all are there");
        ok(!knock($t), "$what: no more");
        (shift @c)->close for 1 .. 2;
        wait_connections($t, 3);
        is(let_in($t, \@c, 12), 2, "$what: two have left, two come in");
    };
    is(let_in($t, \@c, 12), 5, 'five are let in');
    for my $n (3, 1, 4) {
        my ($exit, undef, $err) =
            $n == 3 ? $t->reload : $t->ctl('workers', $n);
        is($exit, 0, $n == 3 ? 'reload' : "ctl workers $n") or diag $err;
        wait_settled($t, $n);
        $same->($n == 3 ? 'reload' : "$n workers");
    }
    my ($exit, undef, $err) = $t->ctl('drain', 0);
    is($exit, 0, 'ctl drain 0') or diag $err;
    wait_settled($t, 4);
    $same->('drain');

    my $old = $t->{pid};
    ($exit, undef, $err) = $t->ctl('upgrade');
    is($exit, 0, 'ctl upgrade') or diag $err;
    ok(wait_for(sub { $t->reap; !proc_alive($old) }, 15, 'its end'),
        'the old master goes');
    wait_settled($t, 3);
    $same->('upgrade');

    # A limit that comes, and one that goes down, count those that are there.
    ($exit) = $t->reload($config =~ s/^connections_per_ip.*\n//mr);
    is($exit, 0, 'a reload without limit');
    wait_settled($t, 3);
    is(let_in($t, \@c, 2), 2, '... lets in what comes');
    ($exit) = $t->reload($config);
    is($exit, 0, 'with the limit again');
    wait_settled($t, 3);
    ok(!knock($t), '... there are seven');
    (shift @c)->close for 1 .. 3;
    wait_connections($t, 4);
    is(let_in($t, \@c, 12), 1, '... and one less than the limit later');
    $t->finish;
};

subtest 'listeners and routes' => sub {
    my $t = Test::Linnet->new(config => $config . <<'INI')->start;
[listen more]
address            = 127.0.0.1:%%PORT_more%%
app                = echo
connections_per_ip = 7

[listen free]
address = 127.0.0.1:%%PORT_free%%
app     = echo

[listen web]
address            = 127.0.0.1:%%PORT_web%%
protocol           = http
connections_per_ip = 4

[route few]
listen             = web
path               = /few
protocol           = websocket
app                = echo
connections_per_ip = 2
INI
    my @c;
    my $w = $t->websocket('web', '/few');
    my $v = $t->websocket('web', '/few');
    my $s = $t->connect('web');
    my $x = Test::Linnet::WebSocket->try_connect(stream => $s,
        path => '/few');
    is($x->response->{status}, 429, 'a route refuses what is over its limit');
    $s->write("GET /none HTTP/1.1\r\nHost: x\r\n\r\n");
    is($s->http_response->{status}, 404, '... and the connection lives on');
    $s->close;
    wait_connections($t, 2);
    is(let_in($t, \@c, 5, to => 'free'), 5, 'a listener without limit');
    ok(!knock($t), 'counts for one with a limit');
    ok(!knock($t, to => 'more'), '... also for a higher one');
    (shift @c)->close;
    wait_connections($t, 6);
    is(let_in($t, \@c, 5, to => 'more'), 1, '... which lets in more');
    is($t->metric('refused_per_ip_total', 'unix:admin'), 4, 'refusals are counted');
    $t->finish;
};

subtest 'connections of a route' => sub {
    my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers = 1
[limits]
connections = 3
%%LISTEN_web%%
[route few]
listen      = web
path        = /few
protocol    = websocket
app         = echo
connections = 2
[listen admin]
address  = unix:%%UNIX_admin%%
protocol = http
connections = 10
[route metrics]
listen  = admin
path    = /metrics
handler = status
INI
    my @w = map { $t->websocket('web', '/few') } 1 .. 2;
    my $s = $t->connect('web');
    my $x = Test::Linnet::WebSocket->try_connect(stream => $s,
        path => '/few');
    is($x->response->{status}, 503, 'the third is refused by the route');
    ok($x->response->{headers}{'retry-after'}, '... may come again');
    ok(!$t->http_get('web', '/few'), 'the fourth by the listener');
    is($t->metric('refused_connections_total', 'unix:admin'), 2, 'both are counted');
    $t->finish;
};

subtest 'IPv6' => sub {
    my $probe;
    my $can = socket($probe, PF_INET6, SOCK_STREAM, 0)
        && bind($probe, pack_sockaddr_in6(0, inet_pton(PF_INET6, '::1')));
    plan skip_all => 'no IPv6 here' unless $can;
    my $t = Test::Linnet->new(config => $config . <<'INI')->start;
[listen both]
address            = %%PORT_both%%
app                = echo
connections_per_ip = 5
INI
    my @c;
    my $port = $t->port('both');
    my $six = sub {
        my $s = $t->connect(['::1', $port]);
        $s->write('hello');
        return unless defined $s->read_exact(5);
        push @c, $s;
        return 1;
    };
    is(scalar(grep { $six->() } 1 .. 9), 5, 'five from a v6 address');
    is(let_in($t, \@c, 3, to => 'both'), 3, 'a v4 address is another');
    is(let_in($t, \@c, 9), 2, '... the same on a v4 listener');
    $t->finish;
};

subtest 'more than the zone can count' => sub {
    skip_without_files(1000);
    my $t = Test::Linnet->new(config =>
            $config =~ s/^workers.*$/workers = 1\nzone_size = 1m/mr
            =~ s/^connections_per_ip.*$/connections_per_ip = 10000/mr)->start;
    my @c = map { $t->connect('echo') } 1 .. 850;
    wait_connections($t, 850);
    my $over = $t->metric('uncounted_per_ip_total', 'unix:admin');
    cmp_ok($over, '>', 0, "$over are let in uncounted");
    $t->log_like(qr/\[warn\].*connections_per_ip.*zone_size/,
        'the log says so');
    is(scalar(() = $t->log_text =~ /connections_per_ip/g), 1, '... once');
    ok(alive($c[-1]), '... and they are served');
    $_->close for splice @c, 0, 100;
    wait_connections($t, 750);
    my @more;
    is(let_in($t, \@more, 30), 30, 'later there is room again');
    is($t->metric('uncounted_per_ip_total', 'unix:admin'), $over, '... to count them');
    $t->finish;
};

done_testing;
