package Test::Programs;

# Runs test programs written in C, each as a subtest of the calling test: what
# they print is TAP and is passed on.  A program that dies, exits non-zero or
# prints no test is a failure.

use strict;
use warnings;

use Exporter qw(import);
use Fcntl qw(LOCK_EX);
use File::Basename qw(basename);
use POSIX ();
use Test::More ();

use Test::Linnet::Environment;

our @EXPORT = qw(build_dir build_tests run_program);

sub build_dir { return $ENV{LINNET_BUILD} || 'objs' }

# Under "make test" everything is built; alone, a test sees to it itself.
sub build_tests
{
    return if $ENV{LINNET_BUILT};
    my $build = build_dir();
    -f "$build/build.mk"
        or Test::More::BAIL_OUT("$build is no build folder: run ./configure");
    # Two tests at a time would write the same files.
    open my $lock, '>', "$build/tests.lock" or die "$build/tests.lock: $!";
    flock $lock, LOCK_EX or die "flock: $!";
    my $out = `make --no-print-directory -f $build/build.mk unit 2>&1`;
    # What was built before would run, and say nothing of what is here now.
    Test::More::is($?, 0, 'the test programs can be built')
        or Test::More::BAIL_OUT($out);
    return;
}

# Test::More frets about names that are numbers.
sub name_of
{
    my ($name) = @_;
    return $name =~ /^[\d\s]*$/ ? "value $name" : $name;
}

sub run_program
{
    my ($name, @command) = @_;
    Test::More::subtest($name => sub {
        my $pid = open my $out, '-|';
        defined $pid or die "fork: $!";
        if (!$pid) {
            open STDERR, '>&', \*STDOUT;
            no warnings 'exec';
            exec { $command[0] } @command;
            print "cannot run $command[0]: $!\n";
            POSIX::_exit(127);
        }
        my ($tests, $failed) = (0, 0);
        while (my $line = <$out>) {
            chomp $line;
            if ($line =~ /^ok \d+(?: - )?(.*)/) {
                my $what = name_of($1);
                $tests++;
                $failed = 0;
                if ($what =~ s/\s*#\s*skip\s*(.*)//i) {
                    my $why = $1;
                    Test::More->builder->skip($why, $what);
                } else {
                    Test::More::pass($what);
                }
            } elsif ($line =~ /^not ok \d+(?: - )?(.*)/) {
                $tests++;
                $failed = 1;
                Test::More::fail(name_of($1));
            } elsif ($line =~ /^1\.\.(\d+)/) {
                Test::More::is($tests, $1, "as many tests as planned");
            } elsif ($line =~ /^# ?(.*)/) {
                # What follows a failure explains it.
                $failed ? Test::More::diag($1) : Test::More::note($1);
            } elsif (length $line) {
                Test::More::diag($line);
            }
        }
        close $out;
        Test::More::is($?, 0, "$name exits with 0");
        Test::More::cmp_ok($tests, '>', 0, "$name has tests");
        Test::More::done_testing();
    });
    return;
}

1;
