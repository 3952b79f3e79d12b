#!/usr/bin/perl

# conf/server.ini, which everybody starts from: it is right, tells every
# directive there is, and shows the defaults that are in force.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Test::Linnet;
use Test::More;

my $top = repo_top();
my $ini = slurp("$top/conf/server.ini");

# The text in which every "; key = default" is in force.
my $spelt_out = $ini =~ s/^; (?=\w+ +=(?: |$))//mgr;

sub effective
{
    my ($text) = @_;
    my $s = Test::Linnet->new(config => $text, bare_config => 1);
    my ($exit, $out, $err) = $s->run('-T');
    is($exit, 0, '-T exits with 0') or diag $err;
    my $prefix = $s->prefix;
    my %value;
    my $section = '';
    for my $line (split /\n/, $out) {
        if ($line =~ /^\[(.*)\]/) {
            $section = $1;
        } elsif ($line =~ /^(\w+) = ?(.*?)\s+; (?:default|\S+:\d+)$/) {
            push @{ $value{"[$section] $1"} }, $2 =~ s/\Q$prefix\E//r;
        }
    }
    my ($rexit, $reference) = $s->run('-R');
    $s->finish;
    return (\%value, $reference);
}

my ($short, $reference) = effective($ini);
my ($long) = effective($spelt_out);

cmp_ok(length $spelt_out, '<', length($ini) - 60, 'defaults are spelt out');
is_deeply($long, $short, 'and are what is in force without them');

# Each directive of the reference has a line, or a word in the explanation of
# its section; limits are told once.
my ($kind, %limits) = ('');
for my $line (split /\n/, $reference) {
    if ($line =~ /^## \[(\w+)/) {
        $kind = $1;
    } elsif ($line =~ /^\| `(\w+)` \|/) {
        my $key = $1;
        $limits{$key} = 1 if $kind eq 'limits';
        next if $kind =~ /^(?:listen|route)$/ && $limits{$key};
        ok($ini =~ /^;? *$key(?: +=|   )/m,
            "[$kind] $key is explained in conf/server.ini");
    }
}
ok(%limits, 'the reference was read');

done_testing();
