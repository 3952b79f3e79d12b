package Test::Linnet::Build;

# Builds modules from outside the tree as dynamic ones, exactly as configured
# as the binary under test: its configure is run again with one more option.

use strict;
use warnings;

use Cwd qw(abs_path);
use Fcntl qw(:flock);
use File::Basename qw(dirname);

use Test::Linnet::Environment;

my $TOP = abs_path(dirname(__FILE__) . '/../../../..');

# The folder that the binary under test was built in.
sub folder
{
    return $ENV{LINNET_BUILD} if $ENV{LINNET_BUILD};
    return dirname($ENV{LINNET_BINARY}) if $ENV{LINNET_BINARY};
    return "$TOP/objs";
}

# The path of NAME.so, built from t/modules/NAME when it is not up to date;
# dies with what configure or make said.
sub module
{
    my ($name) = @_;
    my $from = abs_path(folder());
    my $to = "$from/t/dynamic-$name";
    my $recipe = _read("$from/reconfigure");
    my ($how) = $recipe =~ /^exec (sh .*?)(?: >\/dev\/null)?$/m
        or die "$from/reconfigure: no line \"exec sh ...\"\n";
    system('mkdir', '-p', $to) == 0 or die "mkdir $to\n";
    open my $lock, '>', "$to.lock" or die "$to.lock: $!\n";
    flock $lock, LOCK_EX or die "$to.lock: $!\n";

    # Options that come later win; --add-dynamic-module adds.
    $recipe =~ s/^exec .*//m;
    my $script = "$recipe\n"
        . "if [ ! -f '$to/configured' ] ||\n"
        . "    [ '$from/build.mk' -nt '$to/configured' ]\n"
        . "then\n    $how --builddir='$to' "
        . "--add-dynamic-module='$TOP/t/modules/$name' || exit 1\nfi\n"
        . "exec make -C '$to' modules\n";
    open my $out, '>', "$to/build.sh" or die "$to/build.sh: $!\n";
    print {$out} $script;
    close $out or die "$to/build.sh: $!\n";
    my $said = `sh '$to/build.sh' 2>&1 </dev/null`;
    die "cannot build t/modules/$name:\n$said" if $? != 0;
    close $lock;
    return "$to/$name.so";
}

sub _read
{
    my ($path) = @_;
    open my $fh, '<', $path
        or die "$path: $! (tests need the build folder of the binary)\n";
    local $/;
    return scalar <$fh>;
}

1;

__END__

=head1 NAME

Test::Linnet::Build - modules for tests

=head1 DESCRIPTION

C<Test::Linnet::Build::module('trouble')> gives the path of F<trouble.so>, built
from F<t/modules/trouble> by configure's and make's own rules.

=cut
