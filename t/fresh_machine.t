#!/usr/bin/perl

# Tests on a machine as people have them: some of the test files, one that
# failed there among them, run below a folder that only its owner may search,
# with umask 077, another locale and time zone, odd variables, ignored signals,
# no standard input, no HOME, and no IPv6 where a network can be had for that;
# and as a user that has no name.

use strict;
use warnings;

BEGIN { $ENV{TEST_TIMEOUT} ||= 600 }

use FindBin;
use lib "$FindBin::Bin/lib";

use Cwd qw(abs_path);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::Linnet;
use Test::Linnet::Environment qw(fit_for_temporary_files);
use Test::More;

my $top = repo_top();
my $built = abs_path($ENV{LINNET_BUILD} || "$top/objs");
my $tmp = tempdir('linnet-fresh-XXXXXX', TMPDIR => 1, CLEANUP => 1);
chmod 0755, $tmp;

# ---- what the tests have in common ---------------------------------------

# Signals that a parent may have ignored; SIGCHLD is one of those.
my @IGNORED = qw(CHLD HUP INT PIPE QUIT USR1);

my %odd = (
    TZ            => 'Asia/Kathmandu',
    LANG          => 'de_DE.UTF-8',
    LC_ALL        => 'tr_TR.UTF-8',
    HOME          => '/nonexistent',
    PATH          => '/usr/bin:/bin',
    CDPATH        => "/:$top",
    ENV           => '/nonexistent',
    GREP_OPTIONS  => '--color=always',
    HTTPS_PROXY   => 'http://127.0.0.1:9',
    MAKEFLAGS     => 'kn',
    NODE_OPTIONS  => '--no-such-option',
    NOTIFY_SOCKET => '/nonexistent',
    PYTHONHOME    => '/nonexistent',
    http_proxy    => 'http://127.0.0.1:9',
);

# prove with files of the folder $o->{tests}, in this environment only.
sub odd_prove
{
    my ($o, @files) = @_;
    my @prove = ('prove', '--norc', '-v', map { "$o->{tests}/$_.t" } @files);
    my $log = "$tmp/log";
    unlink $log;
    # Nobody but a process of its own can be without all of it.
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        umask $o->{umask};
        $SIG{$_} = 'IGNORE' for @IGNORED;
        %ENV = %{ $o->{env} };
        open STDOUT, '>', $log or POSIX::_exit(126);
        open STDERR, '>&', \*STDOUT or POSIX::_exit(126);
        POSIX::close(0);
        POSIX::setsid();
        # As from make: a shell gives SIGCHLD back its action.
        exec @{ $o->{as} }, 'sh', '-c', 'exec "$@" </dev/null', 'sh', @prove
            or POSIX::_exit(127);
    }
    waitpid $pid, 0;
    return ($?, slurp($log));
}

sub linnet_variables
{
    my ($build, $binary) = @_;
    return (LINNET_BUILD => $build, LINNET_BINARY => $binary, LINNET_BUILT => 1,
        map { $_ => $ENV{$_} } grep { defined $ENV{$_} }
            qw(LINNET_DEBUG LINNET_SANITIZE TEST_TIME_FACTOR ASAN_OPTIONS));
}

# A network of its own without IPv6, as the words before a command.
sub without_ipv6
{
    my $off = '/proc/sys/net/ipv6/conf/all/disable_ipv6';
    my @words = ('unshare', '-n', 'sh', '-c', 'ip link set lo up || exit 1; '
        . "[ ! -e $off ] || echo 1 >$off || exit 1; exec \"\$@\"", 'sh');
    my ($exit) = run_command(@words, 'true');
    note 'no network namespace can be made here: IPv6 stays' if $exit != 0;
    return $exit == 0 ? \@words : [];
}

sub passed
{
    my ($status, $out, $what) = @_;
    is($status, 0, $what)
        or diag $out =~ s/^/  /mgr;
    return $status == 0;
}

# ---- the tests -----------------------------------------------------------

subtest 'a private folder, and an odd environment' => sub {
    plan skip_all => "$built/linnet is not built"
        unless -x "$built/linnet" && -f "$built/reconfigure";
    # What the tests need of a build folder, in one that only its owner may
    # search and that was made with the same umask.
    my $build = "$tmp/private/objs";
    make_path($build);
    for my $file (qw(linnet reconfigure build.mk flags objects auto_config.h)) {
        system('cp', "$built/$file", "$build/$file") == 0 or die "cp $file";
        chmod -x "$build/$file" ? 0700 : 0600, "$build/$file";
    }
    make_path("$tmp/private/with a blank");
    chmod 0700, $build, "$tmp/private";

    my ($status, $out) = odd_prove({
            tests => "$top/t",
            umask => 077,
            as    => without_ipv6(),
            env   => { %odd, TMPDIR => "$tmp/private/with a blank",
                linnet_variables($build, "$build/linnet") },
        }, qw(respawn access listen privileges));
    passed($status, $out, 'the tests pass');
    like($out, qr/^ok \d+ - fork fails$/m,
        '... also the one with a module in the private folder');
    ok(-f "$build/t/dynamic-trouble/trouble.so", '... which was built there');
};

subtest 'a user without a name, a home and the rights of root' => sub {
    my @as;
    if (!$>) {
        my $id = 47_000;
        $id++ while defined getpwuid $id;
        @as = ('setpriv', "--reuid=$id", "--regid=$id", '--clear-groups');
        my ($exit) = run_command(@as, 'true');
        plan skip_all => 'no setpriv here that can change the user'
            if $exit != 0;
    }
    # The tree may be where that user cannot be.
    make_path("$tmp/tree/t");
    system('cp', '-R', "$top/t/lib", (map { "$top/t/$_.t" } qw(listen status
        privileges)), "$tmp/tree/t") == 0 or die 'cp';
    system('cp', Test::Linnet->binary, "$tmp/tree/linnet") == 0 or die 'cp';
    system('chmod', '-R', 'a+rX', "$tmp/tree") == 0 or die 'chmod';
    my ($status, $out) = odd_prove({
            tests => "$tmp/tree/t",
            umask => 027,
            as    => \@as,
            env   => { PATH => '/usr/bin:/bin', TZ => 'America/St_Johns',
                linnet_variables("$tmp/tree", "$tmp/tree/linnet") },
        }, qw(listen status privileges));
    passed($status, $out, 'the tests pass');
    like($out, qr/privileges\.t \.+ skipped: only root/,
        '... without those that only root can run');
};

# A wrong choice here shows as failures of many tests elsewhere.
subtest 'where temporary files go' => sub {
    my $here = tempdir(DIR => $tmp);
    chmod 0755, $here;
    is(fit_for_temporary_files($here), undef, 'a folder for everybody');
    my %why = (
        'relative'    => qr/no absolute path/,
        "$here/none"  => qr/no folder/,
        "$here/a b"   => qr/characters/,
        "$here/" . 'x' x 50 => qr/too long/,
        "$here/private"     => qr/private has mode 0700$/,
        "$here/private/in"  => qr/private has mode 0700$/,
    );
    make_path("$here/a b", "$here/private/in");
    chmod 0700, "$here/private";
    like(fit_for_temporary_files($_), $why{$_}, "not $_") for sort keys %why;
    is((stat $ENV{TMPDIR})[2] & 05, 05, 'TMPDIR is open to every user')
        or diag $ENV{TMPDIR};
};

# A file that does not load it passes on one machine and fails on another.
subtest 'every test has the same environment' => sub {
    for my $file (sort glob "'$top/t/'*.t") {
        my $loads = qr/^use Test::(?:Linnet(?:::Environment)?|Programs)\b/m;
        ok(slurp($file) =~ $loads, $file =~ s{.*/}{}r . ' loads it');
    }
    is(umask, 022, 'umask');
    is($ENV{LC_ALL}, 'C', 'locale');
    is($ENV{TZ}, 'UTC', 'time zone');
    ok(-w $ENV{HOME}, 'HOME can be written to');
    is(-t STDIN ? 'a terminal' : readlink('/proc/self/fd/0'), '/dev/null',
        'standard input');
};

done_testing();
