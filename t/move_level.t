# A thousand connections on one worker of four: in half a minute each has its
# share, nobody was disconnected, and all were answered meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(sleep time);

use Test::Linnet;

use constant { ALL => 1000, WORKERS => 4 };

skip_without_files(ALL + 100);

my $t = Test::Linnet->new(config => <<"INI")->start;
[server]
workers          = @{[ WORKERS ]}
shutdown_timeout = 5s
[limits]
idle_timeout = 0
[listen raw]
address = 127.0.0.1:%%PORT_raw%%
app     = echo
INI

# Those who are stopped accept nobody.
my ($keep, @others) = $t->workers;
kill STOP => map { $_->{pid} } @others;
my @c = map { { s => $t->connect('raw'), n => 0 } } 1 .. ALL;
my ($begin, $most) = (time, 0);
wait_for(sub {
    ($most) = map { $_->{connections} }
        grep { $_->{pid} == $keep->{pid} } $t->workers;
    return $most >= 0.6 * ALL;
}, 30, 'all are on one');
kill CONT => map { $_->{pid} } @others;
cmp_ok($most, '>=', 0.6 * ALL, "$most of @{[ ALL ]} on one worker");

my %wrong;

# One message to each of some, and the answers.
sub talk
{
    my @some = @_;
    for my $c (@some) {
        $c->{text} = 'message ' . $c->{n}++ . "\n";
        $c->{s}->write($c->{text}) or $wrong{'not written'}++;
    }
    for my $c (@some) {
        my $got = $c->{s}->read_exact(length $c->{text}, 20) // '';
        $wrong{"got \"$got\""}++ if $got ne $c->{text};
        $wrong{'too much'}++ if length $c->{s}->pending;
    }
    return;
}

my ($level, $at) = (0, 0);
my $end = time + 30 * time_factor();
while (time < $end && !$level) {
    talk(@c[map { $at++ % ALL } 1 .. 50]);
    my @w = $t->workers;
    my $sum = 0;
    $sum += $_->{connections} for @w;
    ($most) = sort { $b <=> $a } map { $_->{connections} } @w;
    $level = @w == WORKERS && $sum == ALL && $most <= 1.25 * ALL / WORKERS;
    sleep 0.05;
}
ok($level, sprintf 'level after %.1f s: the most is %d', time - $begin, $most)
    or diag $t->evidence;
talk(@c);
is_deeply(\%wrong, {}, 'everybody lives, and was answered once all the while');
is($t->status->{connections}, ALL, 'they are as many as before');
$_->{s}->close for @c;
$t->finish;

done_testing;
