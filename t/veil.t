# A filter between sockets and protocols, as a client on the wire sees it: its
# greeting, its records, its alerts and its end, and that a move loses nothing,
# doubles nothing and begins no counter anew.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 5s
load_module      = %%MODULE_veil%%

[limits]
handshake_timeout = 2s
message_size      = 64k

[listen veil-raw]
address = 127.0.0.1:%%PORT_raw%%
app     = echo

[listen veil-web]
address  = 127.0.0.1:%%PORT_veiled%%
protocol = http

[listen plain]
address  = 127.0.0.1:%%PORT_web%%
protocol = http

[route metrics]
listen  = veil-web
listen  = plain
path    = /metrics
handler = status
INI

# ---- the client's side of the filter: see t/unit/toy_filter.h ----

sub mix
{
    my ($way, $bytes) = @_;
    my $at = $way->{bytes};
    my $mixed = pack 'C*', map { my $k = $at++; ($k * 37 + 11 + ($k >> 8) & 255) ^ $_ }
        unpack 'C*', $bytes;
    $way->{bytes} = $at;
    return $mixed;
}

sub record
{
    my ($v, $bytes) = @_;
    my $head = pack 'nC', length $bytes, $v->{out}{records}++ & 255;
    return $head . mix($v->{out}, $bytes);
}

# The bytes of the next record; undef: it is none, or not the one that is due.
sub take
{
    my ($v) = @_;
    my $head = $v->{c}->read_exact(3) // return;
    my ($n, $number) = unpack 'nC', $head;
    return if $number != ($v->{in}{records}++ & 255);
    return '' if $n == 0;
    return mix($v->{in}, $v->{c}->read_exact($n) // return);
}

sub take_bytes
{
    my ($v, $n) = @_;
    my $all = '';
    while (length $all < $n) {
        my $piece = take($v);
        return unless defined $piece && length $piece;
        $all .= $piece;
    }
    return $all;
}

sub greet
{
    my ($t, $port) = @_;
    my $v = { c => $t->connect($port), in => { bytes => 0, records => 0 },
        out => { bytes => 0, records => 0 } };
    $v->{c}->write("HELLO\n");
    return unless ($v->{c}->read_exact(8) // '') eq "WELCOME\n";
    return $v;
}

sub echoed
{
    my ($v, $text) = @_;
    $v->{c}->write(record($v, $text));
    return (take_bytes($v, length $text) // '') eq $text;
}

sub server
{
    my $t = Test::Linnet->new(config => $config);
    $t->start;
    return $t;
}

# ---- tests ----

my $t = server();

subtest 'bytes' => sub {
    my $v = greet($t, 'raw') or return fail('a greeting');
    ok(echoed($v, 'hello'), 'echoed through the filter');
    ok(echoed($v, join '', map { chr($_ * 7 & 255) } 1 .. 16000), 'a large record');
    my $raw = record($v, 'one ') . record($v, 'by ') . record($v, 'one');
    $v->{c}->write($_) for split //, $raw;
    is(take_bytes($v, 10), 'one by one', 'byte by byte');
    $v->{c}->write(record($v, 'the last') . record($v, ''));
    is(take_bytes($v, 8), 'the last', 'what comes in front of the end is answered');
    is(take($v), '', '... then the other end');
    ok($v->{c}->closed, '... and no more');
};

subtest 'a protocol of its own' => sub {
    my $v = greet($t, 'veiled') or return fail('a greeting');
    $v->{c}->write(record($v, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"));
    my $text = '';
    while ($text !~ /\r\n\r\n/) {
        $text .= take($v) // last;
    }
    like($text, qr{^HTTP/1\.1 200 }, 'HTTP through the filter');
    $v->{c}->close;
    is($t->metric('filter_handshakes'), 0, 'no handshake is left');
};

subtest 'what is no good' => sub {
    my $c = $t->connect('raw');
    $c->write("GET / HTTP/1.1\r\n");
    is($c->read_exact(6), "ALERT\n", 'another greeting: an alert');
    ok($c->closed, '... and the end');
    my $v = greet($t, 'raw') or return fail('a greeting');
    my $again = record($v, 'once');
    $v->{c}->write($again);
    is(take_bytes($v, 4), 'once', 'a record');
    $v->{c}->write($again);
    is($v->{c}->read_exact(6), "ALERT\n", 'the same again: an alert');
    ok($v->{c}->closed, '... and the end');
    $c = $t->connect('raw');
    $c->write('HEL');
    ok($c->closed(10), 'half a greeting ends in time');
    $v = greet($t, 'raw') or return fail('a greeting');
    $v->{c}->write(substr record($v, 'a record that never ends'), 0, 9);
    ok($v->{c}->closed(10), 'so does half a record');
};

subtest 'moves' => sub {
    my @v = map { greet($t, 'raw') } 1 .. 20;
    is(scalar(grep { $_ && echoed($_, 'before') } @v), 20, 'twenty clients');
    # Half a record is on its way, and the other half comes to another worker.
    my @rest;
    for my $v (@v) {
        my $raw = record($v, 'in two halves');
        $v->{c}->write(substr $raw, 0, 7);
        push @rest, substr $raw, 7;
    }
    my %pids = map { $_ => 1 } $t->worker_pids;
    $t->ctl_ok('reload');
    ok(wait_for(sub { !grep { $pids{$_} } $t->worker_pids }), 'the old workers are gone');
    $v[$_]{c}->write($rest[$_]) for 0 .. $#v;
    is(scalar(grep { (take_bytes($_, 13) // '') eq 'in two halves' } @v), 20,
        'a reload: each goes on in the middle of a record');
    $t->ctl_ok('drain', 0);
    is(scalar(grep { echoed($_, 'after a drain') } @v), 20, 'a drain');
    my $old = $t->master_pid;
    $t->ctl_ok('upgrade');
    ok($t->wait_upgraded($old), 'a new master serves');
    is(scalar(grep { echoed($_, 'after an upgrade') } @v), 20, '... all are there');
    $_->{c}->write(record($_, '')) for @v;
    is(scalar(grep { (take($_) // 'none') eq '' && $_->{c}->closed } @v), 20,
        'and each ends in the way of the filter');
};

$t->finish;
done_testing();
