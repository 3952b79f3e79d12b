# Limits of a route on several listeners: its own where it says so, else those
# of the listener that the client came in by, else those of [limits]; also for
# connections that have moved.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;

my $config = <<'INI';
[limits]
message_size = 4000
message_rate = 1000/s

[listen a]
address      = 127.0.0.1:%%PORT_a%%
protocol     = http
message_size = 1000

[listen b]
address  = 127.0.0.1:%%PORT_b%%
protocol = http

[listen c]
address      = 127.0.0.1:%%PORT_c%%
protocol     = http
message_size = 3000

[route own]
listen       = a
listen       = b
listen       = c
path         = /own
protocol     = websocket
app          = echo
message_size = 2000

[route free]
listen   = a
listen   = b
listen   = c
path     = /free
protocol = websocket
app      = echo
INI

my %size = (
    own  => { a => 2000, b => 2000, c => 2000 },
    free => { a => 1000, b => 4000, c => 3000 },
);
my $t = Test::Linnet->new(config => $config)->start;

# A message of the largest size comes back, one byte more ends with 1009.
sub holds
{
    my ($w, $max, $name) = @_;
    $w->send_text('x' x $max);
    is(length($w->message // ''), $max, "$name: $max bytes");
    $w->send_text('x' x ($max + 1));
    is($w->wait_close, 1009, "$name: one more is too big");
}

subtest 'a size for each pair' => sub {
    for my $route (sort keys %size) {
        for my $listen (sort keys %{ $size{$route} }) {
            holds($t->websocket($listen, "/$route"), $size{$route}{$listen},
                "/$route on $listen");
        }
    }
};

subtest 'also after a move' => sub {
    my @open;
    for my $route (sort keys %size) {
        for my $listen (sort keys %{ $size{$route} }) {
            push @open, [$t->websocket($listen, "/$route"),
                $size{$route}{$listen}, "/$route on $listen"];
        }
    }
    my ($exit, undef, $err) = $t->reload;
    is($exit, 0, 'reload') or diag $err;
    wait_for(sub { !$t->workers('draining') }, 10, 'the old workers to end');
    holds(@$_) for @open;
};

subtest 'a listener that goes while its clients stay' => sub {
    my $w = $t->websocket('c', '/own');
    my $less = $config =~ s/^\[listen c\].*?\n\n//msr =~ s/^listen.*= c\n//mgr;
    my ($exit, undef, $err) = $t->reload($less);
    is($exit, 0, 'reload') or diag $err;
    wait_for(sub { !$t->workers('draining') }, 10, 'the old workers to end');
    holds($w, 2000, 'it is served by the route');
};

subtest '-T' => sub {
    $t->write_config($config);
    my ($exit, $out) = $t->run('-T');
    is($exit, 0, 'exit 0');
    my %part = $out =~ /^\[route (\w+)\]\n(.*?)(?=^\[|\z)/msg;
    like($part{own}, qr/^message_size = 2000 .*server\.ini:\d+$/m,
        'a value of its own');
    like($part{free}, qr/^; message_size: as each of its listeners/m,
        'one that depends on the listener');
    like($part{free}, qr/^message_rate = 1000\/s .*server\.ini:\d+$/m,
        'one that is the same for all');
    spew($t->path('conf/again.ini'), $out);
    ($exit, my $again) = run_command($t->binary, '-p', $t->prefix, '-c',
        $t->path('conf/again.ini'), '-T');
    %part = $again =~ /^\[route (\w+)\]\n(.*?)(?=^\[|\z)/msg;
    like($part{free}, qr/^; message_size: as each of its listeners/m,
        'read back, it still does');
};

$t->finish;
done_testing;
