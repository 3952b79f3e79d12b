# Messages to several rooms at once, between clients of two workers and while they
# move: to whoever is in one of the rooms, without those that are excepted, once.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use POSIX ();
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers          = 2
shutdown_timeout = 20s
load_module      = %%MODULE_rooms%%

[listen rooms]
address  = 127.0.0.1:%%PORT_rooms%%
protocol = line
app      = rooms
INI

# An answer; events before it are kept.
sub says
{
    my ($c, $text) = @_;
    $c->{c}->write("$text\n");
    while (defined(my $line = $c->{c}->line(10))) {
        return $line if $line !~ /^\* /;
        push @{ $c->{heard} }, $line =~ s/^\* //r;
    }
    return 'no answer';
}

sub client
{
    my (@rooms) = @_;
    my $c = { c => $t->connect('rooms'), heard => [] };
    is($c->{c}->line(10), 'ok', 'a client');
    ($c->{id}, $c->{pid}) = split / /, says($c, 'id');
    says($c, "in $_") for @rooms;
    return $c;
}

# Clients of those rooms on each worker.
sub on_both
{
    my (@rooms) = @_;
    my (%by, @others);
    wait_for(
        sub {
            my $c = client(@rooms);
            push @others, $c if $by{ $c->{pid} };
            $by{ $c->{pid} } //= $c;
            return keys %by == 2;
        }, 20, 'clients on both workers');
    $_->{c}->close for @others;
    return map { $by{$_} } sort keys %by;
}

# What it hears up to that text.
sub heard
{
    my ($c, $last) = @_;
    while (!grep { $_ eq $last } @{ $c->{heard} }) {
        my $line = $c->{c}->line(10) // last;
        push @{ $c->{heard} }, $line =~ s/^\* //r;
    }
    return join ' ', splice @{ $c->{heard} };
}

my ($red, $red2) = on_both('red', 'all');
my ($blue, $blue2) = on_both('blue', 'all');
my ($both, $both2) = on_both('red', 'blue', 'all');
my ($muted) = client('red', 'muted', 'all');
my @all = ($red, $red2, $blue, $blue2, $both, $both2, $muted);

subtest 'rooms, and those that are excepted' => sub {
    is(says($red, 'say +red +blue +nowhere 1'), 'ok', 'to both');
    is(says($blue2, 'say +red -blue 2'), 'ok', 'to those who are red alone');
    is(says($red, "say +red +blue -muted !$both->{id} !$blue2->{id} 3"), 'ok',
        'without some');
    is(says($red, 'say +all end'), 'ok', 'to all');
    is(heard($red, 'end'), '1 2 3 end', 'red');
    is(heard($red2, 'end'), '1 2 3 end', 'red, on the other worker');
    is(heard($blue, 'end'), '1 3 end', 'blue');
    is(heard($blue2, 'end'), '1 end', 'blue, on the other worker, excepted');
    is(heard($both, 'end'), '1 end', 'both: once; excepted');
    is(heard($both2, 'end'), '1 3 end', 'both, on the other worker');
    is(heard($muted, 'end'), '1 2 end', 'muted');
    my $long = 'x' x 65;
    is(says($red, "say +$long x"), 'Invalid argument', 'a name that is too long');
};

subtest 'while they move' => sub {
    my $sender = client('all');
    my $n = 0;
    for my $round (1, 2) {
        my $pid = fork // die "fork: $!";
        if (!$pid) {
            require POSIX;
            my ($exit) = $t->ctl('reload');
            POSIX::_exit($exit);
        }
        my $after = 0;
        while ($after < 50) {
            says($sender, 'say +red +blue ' . ++$n);
            says($sender, 'say +red +blue -muted ' . ++$n);
            $after++ if $after || waitpid($pid, POSIX::WNOHANG()) == $pid;
        }
        is($?, 0, "reload $round");
    }
    says($sender, 'say +all over');
    my $every = join ' ', 1 .. $n, 'over';
    my $odd = join ' ', (grep { $_ % 2 } 1 .. $n), 'over';
    my $same = 0;
    for my $c (@all) {
        my $got = heard($c, 'over');
        my $want = $c == $muted ? $odd : $every;
        $same++ if $got eq $want;
        diag length($got) . ' bytes, wanted ' . length($want)
            if $got ne $want;
    }
    is($same, scalar @all, "all $n came, once, in order");
    my %pids = map { $_->{pid} => 1 } $t->workers;
    my $moved = grep { my (undef, $pid) = split / /, says($_, 'id');
        $pid != $_->{pid} && $pids{$pid} } @all;
    is($moved, scalar @all, 'everybody has moved');
};

$t->finish;
done_testing();
