# The cases of the Autobahn test suite, by their numbers: family 9, sizes of
# messages, fragments and packets, and round trips.  All at the scale of the
# original; only that the contents are compared as well, and that texts are no
# plain ASCII.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Cases;

my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers = 1

[limits]
message_size  = 16m
send_queue    = 64m
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

%%ROUTE_echo%%
INI

my ($worker) = $t->worker_pids;
my $K = 1 << 10;
my $M = 1 << 20;
my %played;

sub play
{
    my ($number, $name, $send, $want, @o) = @_;
    $played{$number} = 1;
    check_case(connect => sub { $t->websocket('web', '/echo') },
        number => $number, name => $name, send => $send, want => $want,
        ways => ['frames'], timeout => 30, @o);
    return;
}

# So many bytes of text, with characters of every length.
sub text_of
{
    my ($n) = @_;
    my $line = "gr\xc3\xbc\xc3\x9fe \xe2\x82\xac 23, \xf0\x9f\x98\x80 "
        . "\xce\xba\xcf\x8c\xcf\x83\xce\xbc\xce\xb5!\n";
    my $whole = int($n / length $line);
    return $line x $whole . '.' x ($n - $whole * length $line);
}

sub bytes_of
{
    my ($n) = @_;
    my $x = 1;
    my $part = pack 'N*',
        map { $x = ($x * 1664525 + 1013904223) & 0xffffffff } 1 .. 16 * $K;
    return substr $part x (1 + $n / length $part), 0, $n;
}

# What text and binary cases differ in: their group is one apart.
my @kinds = ([0, 1, \&text_of, \&seen_text], [1, 2, \&bytes_of, \&seen_binary]);
my @names = ('text', 'binary');

for my $kind (@kinds) {
    my ($more, $op, $make, $seen) = @$kind;
    my $what = $names[$more];

    subtest '9.' . (1 + $more) . ": $what, one frame" => sub {
        my $i = 0;
        for my $n (64 * $K, 256 * $K, $M, 4 * $M, 8 * $M, 16 * $M) {
            my $data = $make->($n);
            play('9.' . (1 + $more) . '.' . ++$i, "$what of $n bytes",
                [control($op, $data)], [$seen->($data)]);
        }
    };

    subtest '9.' . (3 + $more) . ": $what of 4 MB in fragments" => sub {
        my $data = $make->(4 * $M);
        my $i = 0;
        for my $size (map { 4**$_ * 64 } 0 .. 8) {
            # The original ends with an empty one: 65,537 of 64 bytes.
            my $n = 4 * $M / $size;
            my @frames = map { control($_ == 0 ? $op : 0,
                    substr($data, $_ * $size, $size), fin => 0) } 0 .. $n - 1;
            push @frames, cont('');
            play('9.' . (3 + $more) . '.' . ++$i,
                scalar(@frames) . " fragments of $size bytes", \@frames,
                [$seen->($data)], ways => ['whole']);
        }
    };

    subtest '9.' . (5 + $more) . ": $what of 1 MB in packets" => sub {
        my $data = $make->($M);
        my $frame = control($op, $data);
        my $i = 0;
        for my $size (map { 2**$_ * 64 } 0 .. 5) {
            play('9.' . (5 + $more) . '.' . ++$i, "packets of $size bytes",
                [unpack "(a$size)*", $frame], [$seen->($data)]);
        }
    };

    subtest '9.' . (7 + $more) . ": 1,000 round trips, $what" => sub {
        my $i = 0;
        for my $n (0, 16, 64, 256, $K, 4 * $K) {
            my $data = $make->($n);
            my $trip = [control($op, $data), { see => 1 }];
            play('9.' . (7 + $more) . '.' . ++$i, "$n bytes",
                [map { @$trip } 1 .. 1000], [($seen->($data)) x 1000]);
        }
    };
}

is(scalar keys %played, 54, 'every case of the list was played');
is_deeply([$t->worker_pids], [$worker], 'the worker lives');
$t->finish;
done_testing;
