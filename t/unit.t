#!/usr/bin/perl

# The C test programs: every t/unit/NAME.c.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Basename qw(basename);
use Test::More;
use Test::Programs;

chdir "$FindBin::Bin/.." or die "chdir: $!";
build_tests();

for my $file (sort glob 't/unit/*.c') {
    my $name = basename($file, '.c');
    run_program($name, build_dir() . "/unit/$name");
}

done_testing();
