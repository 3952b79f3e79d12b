#!/usr/bin/perl

# The fuzz targets over what was found so far: every t/fuzz/NAME.c gets every
# file in t/fuzz/corpus/NAME, whole and cut short.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename);
use Test::More;
use Test::Programs;

chdir "$FindBin::Bin/.." or die "chdir: $!";
my @targets = sort glob 't/fuzz/*.c';
plan skip_all => 'there are no fuzz targets' unless @targets;

build_tests();
for my $file (@targets) {
    my $name = basename($file, '.c');
    run_program($name, build_dir() . "/replay/$name", "t/fuzz/corpus/$name");
}
done_testing();
