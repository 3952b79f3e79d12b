# /status, /metrics, /healthz and /readyz: one answer shows every worker.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;

use Test::Linnet;

my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers          = 2
shutdown_timeout = 10s

%%LISTEN_web%%

[listen echo]
address  = 127.0.0.1:%%PORT_echo%%
protocol = line
app      = echo

[route status]
listen  = web
match   = ^/(admin/)?(status|metrics|healthz|readyz)$
handler = status

[route below]
listen  = web
path    = /below/
handler = status
INI

sub get { return $t->http_get('web', @_) }

# name{labels} => value, with each line checked against the format.
sub metrics
{
    my ($text) = @_;
    my (%m, %type, %help, @bad);
    for my $line (split /\n/, $text) {
        if ($line =~ /^# HELP (linnet_\w+) \S.*$/) {
            push @bad, "$line (twice)" if $help{$1}++;
        } elsif ($line =~ /^# TYPE (linnet_\w+) (counter|gauge)$/) {
            push @bad, "$line (twice)" if $type{$1};
            $type{$1} = $2;
        } elsif ($line =~ /^((linnet_\w+)(?:\{[^}]*\})?) (-?\d+)$/) {
            my ($key, $name, $value) = ($1, $2, $3);
            push @bad, "$line (not declared)" if !$type{$name} || !$help{$name};
            push @bad, "$line (twice)" if exists $m{$key};
            my $counts = $name =~ /_total$/ ? 'counter' : 'gauge';
            push @bad, "$line (type)" if ($type{$name} // '') ne $counts;
            $m{$key} = $value;
        } else {
            push @bad, $line;
        }
    }
    is("@bad", '', 'the format is kept');
    return %m;
}

sub sum
{
    my ($name, %m) = @_;
    my $sum = 0;
    $sum += $m{$_} for grep { /^linnet_\Q$name\E\{/ } keys %m;
    return $sum;
}

subtest 'status' => sub {
    my $r = get('/status');
    is($r->{status}, 200, '/status');
    is($r->{headers}{'content-type'}, 'application/json', 'JSON');
    is($r->{headers}{'cache-control'}, 'no-store', 'of this moment');
    my $got = JSON::PP->new->utf8->decode($r->{body});
    my $ctl = $t->status;
    is($got->{$_}, $ctl->{$_}, "$_ as ctl says it")
        for qw(version epoch generation pid);
    is(scalar @{ $got->{workers} }, 2, 'both workers');
    for my $w (@{ $got->{workers} }) {
        my ($c) = grep { $_->{slot} == $w->{slot} } @{ $ctl->{workers} };
        is_deeply([@$w{qw(pid incarnation generation state)}],
            [@$c{qw(pid incarnation generation state)}],
            "worker $w->{slot} as ctl says it");
        ok(exists $c->{$_}, "$_ is in both") for keys %$w;
        cmp_ok($w->{rss}, '>', 100_000, 'its memory');
    }
    is(get('/admin/status')->{status}, 200, 'by the last name of the path');
    is(get('/below/status')->{status}, 200, 'below a folder');
    my $no = get('/below/other');
    is($no->{status}, 404, 'another name');
    like($no->{body}, qr{/metrics}, 'says what there is');
};

subtest 'metrics' => sub {
    my @c = map { $t->connect('echo') } 1 .. 20;
    for my $c (@c) {
        $c->write("hello\n") for 1 .. 5;
        $c->line for 1 .. 5;
    }
    get('/none');
    my $r = get('/metrics');
    is($r->{status}, 200, '/metrics');
    is($r->{headers}{'content-type'},
        'text/plain; version=0.0.4; charset=utf-8', 'the type of the format');
    my %m = metrics($r->{body});
    cmp_ok(scalar keys %m, '>', 60, scalar(keys %m) . ' values');
    is(sum('messages_in_total', %m), 100, 'messages of all workers');
    is(sum('messages_out_total', %m), 100, 'and what was sent');
    cmp_ok(sum('connections', %m), '>=', 20, 'connections');
    cmp_ok(sum('connections', %m), '<=', 23, 'no more');
    is(sum('worker_ready', %m), 2, 'workers ready');
    is(sum('http_bad_requests_total', %m), 2, 'requests in vain');
    is($m{linnet_generation}, 1, 'the generation');
    is(scalar(grep { /^linnet_connections\{worker="\d",pid="\d+"\}$/ } keys %m),
        2, 'a line for each worker');
    my %again = metrics(get('/metrics')->{body});
    my @back = grep { /_total/ && $again{$_} < $m{$_} } keys %m;
    is("@back", '', 'no counter goes back');
    is(sum('http_requests_total', %again), sum('http_requests_total', %m) + 1,
        'the request before is counted');
};

subtest 'health' => sub {
    my $r = get('/healthz');
    is("$r->{status} $r->{body}", "200 ok\n", '/healthz');
    $r = get('/readyz');
    is("$r->{status} $r->{body}", "200 ready\n", '/readyz');
    my $s = $t->connect('web');
    $s->write("HEAD /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    is($s->http_response(head => 1)->{status}, 200, 'HEAD');
    $s->write("POST /readyz HTTP/1.1\r\nHost: a\r\n\r\n");
    is($s->http_response->{status}, 405, 'POST');
    $s->write("GET /readyz HTTP/1.1\r\nHost: a\r\n");
    is(($t->reload)[0], 0, 'a reload');
    $s->write("\r\n");
    $r = $s->http_response;
    is("$r->{status} $r->{body}", "200 ready\n", 'the next worker is ready');
    my %m = metrics(get('/metrics')->{body});
    is($m{linnet_generation}, 2, 'the next generation');
    $s->write("GET /readyz HTTP/1.1\r\nHost: a\r\n");
    $t->signal('QUIT');
    ok(wait_for(sub { $t->workers('draining') }, 5, 'draining'), 'the end');
    $s->write("\r\n");
    $r = $s->http_response;
    is("$r->{status} $r->{body}", "503 draining\n",
        'a worker that goes is not ready');
    is($t->wait_exit, 0, 'the server ends');
};

$t->finish;
done_testing;
