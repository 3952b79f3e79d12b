#!/usr/bin/perl

# The end of auto/check: what failed, and how to run it alone.  auto/check runs
# in a made-up tree, whose configure and make are scripts of this test and whose
# test files take no time; prove and its output are real.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Path qw(make_path remove_tree);
use File::Temp qw(tempdir);
use Test::Linnet;
use Test::More;

my $top = repo_top();
my $tmp = tempdir('linnet-check-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $tree = "$tmp/a tree"; # with a blank

make_path("$tree/auto");
system('cp', "$top/auto/$_", "$tree/auto/$_") == 0 or die "cp auto/$_"
    for qw(check environment results.awk);

# Each step fails when a file of that name tells it to.
spew("$tree/auto/deps", "echo packages\n[ ! -e fail-deps ]\n");
spew("$tree/configure", <<'END');
for option; do
    case $option in
    --builddir=*) dir=${option#--builddir=} ;;
    esac
done
round=${dir##*-}
[ ! -e "fail-configure-$round" ] || exit 1
mkdir -p "$dir"
cat >"$dir/Makefile" <<MAKE
TESTS = t
all unit lint:
	@echo \$@; [ ! -e ../fail-\$@-$round ]
test:
	@cd .. && if [ -e end-early ]; then echo "t/one.t .. ok"; exit 1; fi
	@cd .. && ROUND=$round prove --norc \$(PROVE_FLAGS) \$(TESTS)
	@cd .. && [ ! -e fail-make ]
MAKE
END

my %tests = (
    one   => 'ok(1); ok(1, "two");',
    many  => 'ok($_ % 3) for 1 .. 99; ok(0) for 1 .. 9;',
    plain => 'ok($ENV{ROUND} ne "plain");',
    dies  => 'ok(1); die "oh\n";',
    told  => 'ok(1); ok(0); die "no status";',
    ends  => 'ok(1); kill KILL => $$; sleep 60;',
    late  => 'ok(1); END { $? = 3 }',
    short => 'plan tests => 5; ok(1); ok(1);',
    empty => 'exit 0;',
    skip  => 'plan skip_all => "not here";',
    todo  => 'TODO: { local $TODO = "later"; ok(1); }',
    bail  => 'ok(1); BAIL_OUT("there is no binary");',
);

# auto/check with these test files and switches: exit status, the entries of its
# end ("what" => command), passed, failed.
sub check
{
    my ($args, $files, @switches) = @_;
    remove_tree(map { "$tree/$_" } qw(t objs-plain objs-sanitize));
    unlink glob "'$tree/fail-'* '$tree/end-early'";
    for my $name (@$files) {
        my $text = $tests{$name};
        $text .= ' done_testing();' if $name =~ /^(one|many|plain|late|todo)$/;
        spew("$tree/t/$name.t", "use Test::More; $text\n");
    }
    spew("$tree/$_", '') for @switches;
    my ($exit, $out, $err) = run_command('sh', '-c',
        'unset TEST_TIME_FACTOR; exec sh "$0" "$@"', "$tree/auto/check",
        @$args);
    unlike($err, qr/^(?!make:)/m, 'no error of its own') if length $err;
    my ($passed, $failed) = $out =~ /\n(\d+) passed, (\d+) failed\n\z/
        or diag $out;
    my ($end) = $out =~ /^What failed, .*? in \Q$tree\E:\n\n(.*)\n\d+ passed/ms;
    my @entries = ($end // '') =~ /^  (\S.*)\n      (\S.*)\n/mg;
    return ($exit, \@entries, $passed, $failed, $out);
}

sub alone
{
    my ($round, $name) = @_;
    my $factor = $round eq 'plain' ? 3 : 6;
    return "TEST_TIME_FACTOR=$factor make -C objs-$round test "
        . "TESTS=t/$name.t PROVE_FLAGS=-v";
}

subtest 'all is well' => sub {
    my ($exit, $entries, $passed, $failed, $out) = check([], ['one', 'skip',
        'todo']);
    is($exit, 0, 'exit 0');
    is_deeply($entries, [], 'nothing is listed');
    unlike($out, qr/What failed/, '... nor announced');
    is($passed, 1 + 2 * 3 + 1 + 2 * 3, 'steps and tests are counted');
    is($failed, 0, 'none failed');
    like($out, qr/^== lint$/m, 'lint was run');
};

subtest 'test files that fail' => sub {
    my ($exit, $entries, $passed, $failed) = check(['plain'], [qw(one many dies
        told ends late short empty todo)]);
    is($exit, 1, 'exit 1');
    my %end = @$entries;
    my $many = join ', ', (map { 3 * $_ } 1 .. 16), '...';
    my %want = (
        "many.t (plain): 42 of 108 tests failed: $many" => 'many',
        'dies.t (plain): exit status 255 after test 1: No plan found in TAP '
            . 'output' => 'dies',
        'told.t (plain): 1 of 2 tests failed: 2: '
            . 'no status at t/told.t line 1' => 'told',
        'ends.t (plain): ended by signal 9 after test 1: No plan found in TAP '
            . 'output' => 'ends',
        'late.t (plain): exit status 3 after test 1' => 'late',
        'short.t (plain): exit status 255 after test 2: Bad plan.  You planned '
            . '5 tests but ran 2.' => 'short',
        'empty.t (plain): No plan found in TAP output' => 'empty',
    );
    is_deeply(\%end, { map { ("t/$_" => alone('plain', $want{$_})) }
            keys %want }, 'each is listed, with what is wrong and a command');
    is($failed, 42 + 5 + 1, 'tests that failed, and files that ended badly');
    is($passed, 5 + 2 + 66 + 1 + 1 + 1 + 1 + 2 + 1, 'the others passed');
};

subtest 'in one round only' => sub {
    my ($exit, $entries) = check([], ['one', 'plain']);
    is($exit, 1, 'exit 1');
    is_deeply($entries, ['t/plain.t (plain): 1 of 1 tests failed: 1',
        alone('plain', 'plain')], 'the round is named');
    ($exit, $entries) = check([], ['late']);
    is_deeply($entries, [map { ("t/late.t ($_): exit status 3 after test 1",
            alone($_, 'late')) } qw(plain sanitize)], '... both are');
};

subtest 'the command that is listed' => sub {
    my (undef, $entries) = check(['plain'], ['late', 'many']);
    my ($exit, $out) = run_command({ cwd => $tree }, 'sh', '-c',
        $entries->[1]);
    isnt($exit, 0, 'fails, too');
    like($out, qr/^t\/late\.t \.+ *\nok 1\n1\.\.1$/m,
        '... as that file was run, verbosely');
    unlike($out, qr/many/, '... alone');
};

# The variables and settings of whoever starts it make no difference.
subtest 'in an odd environment' => sub {
    my %odd = (
        CDPATH        => "$tmp/elsewhere:/",
        GREP_OPTIONS  => '--color=always',
        HARNESS_TIMER => 1,
        LC_ALL        => 'tr_TR.UTF-8',
        MAKEFLAGS     => 'n',
        PATH          => '/usr/bin:/bin',
        PERL5LIB      => "$tmp/elsewhere",
        PERL5OPT      => '-Mnonexistent',
        PERL_UNICODE  => 'SDA',
    );
    spew("$tmp/elsewhere/a tree/auto/environment", "exit 9\n");
    spew("$tmp/elsewhere/Test/More.pm", "die 'not this one'\n");
    local $tests{odd} = 'is(umask, 022); unlike($ENV{PERL5OPT} // "", qr/./);'
        . 'like($ENV{PATH}, qr{/usr/sbin}); ok(defined fileno STDIN);'
        . 'is($ENV{LC_ALL}, "C"); done_testing();';
    my $relative = "cd '$tmp' && umask 077 && exec sh 'a tree/auto/check' "
        . 'plain <&-';
    check(['plain'], ['odd']); # makes the files
    my ($exit, $out, $err) = run_command({ env => { %odd } }, 'sh', '-c',
        $relative);
    is($exit, 0, 'exit 0') or diag $out, $err;
    like($out, qr/\n10 passed, 0 failed\n\z/, 'all tests are run, and pass');
    unlike($err, qr/./, 'nothing on standard error');
};

subtest 'a test that stops all others' => sub {
    my ($exit, $entries, $passed, $failed) = check(['plain'], ['bail', 'one']);
    is($exit, 1, 'exit 1');
    is(scalar @$entries, 2, 'one entry');
    # Which file it was is not known where files run side by side.
    like($entries->[0], qr/^(?:t\/bail\.t|prove) .*: there is no binary$/,
        'with the reason');
    is($failed, 1, 'one failed');
};

subtest 'tests that were ended' => sub {
    my ($exit, $entries, $passed, $failed) = check(['plain'], ['one'],
        'end-early');
    is($exit, 1, 'exit 1');
    is_deeply($entries, ['prove (plain): it was ended before its summary, '
            . 'during the file that follows t/one.t',
        'TEST_TIME_FACTOR=3 make -C objs-plain test'], 'is listed');
    is($failed, 1, 'one failed');

    ($exit, $entries, $passed, $failed) = check(['plain'], ['one'],
        'fail-make');
    is($exit, 1, 'make fails without a failed test: exit 1');
    is_deeply($entries, ['tests (plain): exit status 2 without a failed test',
        'TEST_TIME_FACTOR=3 make -C objs-plain test'], '... is listed');
    is($failed, 1, '... one failed');
};

subtest 'steps that fail' => sub {
    my %step = (
        'deps'            => ['packages for the tests', 'sh auto/deps test'],
        'lint-plain'      => ['lint', 'make --no-print-directory '
                . '-C objs-plain lint'],
        'configure-plain' => ['configure (plain)', 'sh configure '
                . "'--builddir=$tree/objs-plain' --with-debug --with-werror"],
        'all-sanitize'    => ['build (sanitize)', qr/^make .*-j\d+
            \ -C\ objs-sanitize\ all$/x],
        'unit-sanitize'   => ['test programs (sanitize)', qr/^make .*-j\d+
            \ -C\ objs-sanitize\ unit$/x],
    );
    for my $name (sort keys %step) {
        my ($exit, $entries, $passed, $failed) = check([], ['one'],
            "fail-$name");
        is($exit, 1, "$name: exit 1");
        is($entries->[0], $step{$name}[0], '... is listed');
        my $want = $step{$name}[1];
        ref $want ? like($entries->[1], $want, '... with its command')
            : is($entries->[1], $want, '... with its command');
        is(scalar @$entries, 2, '... alone');
        is($failed, 1, '... one failed');
        cmp_ok($passed, '>', 3, '... and the rest was run');
    }
};

# As prove wrote it before version 3.43.
subtest 'an older prove' => sub {
    my $log = spew("$tmp/log", <<'END');
t/a.t .. ok
t/b.t .. Failed 2/40 subtests

Test Summary Report
-------------------
t/b.t (Wstat: 512 Tests: 40 Failed: 22)
  Failed tests:  3, 5, 7, 9, 11, 13, 15, 17, 19, 21, 23, 25, 27
                29, 31, 33, 35, 37, 38, 40
  Non-zero exit status: 2
Files=2, Tests=50,  1 wallclock secs ( 0.02 usr +  0.01 sys =  0.03 CPU)
Result: FAIL
END
    my ($exit, $out) = run_command('awk', '-f', "$top/auto/results.awk", $log);
    is($out, "tests 28 22\nfile t/b.t: 22 of 40 tests failed: 3, 5, 7, 9, 11, "
            . "13, 15, 17, 19, 21, 23, 25, 27, 29, 31, 33, ...\n",
        'is understood');
};

done_testing();
