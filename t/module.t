#!/usr/bin/perl

# Modules from outside the tree: copies of modules/echo under other names, one
# built into the binary, one as a .so; both answer.  And what is said to a .so
# that cannot be used.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use Cwd qw(abs_path);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use Test::Linnet;
use Test::More;

my $top = repo_top();
my $built = abs_path($ENV{LINNET_BUILD} || "$top/objs");
my $tmp = tempdir('linnet-module-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $build = "$tmp/objs";
my $prefix = "$tmp/prefix";

chmod 0755, $tmp;
delete @ENV{qw(MAKEFLAGS MAKELEVEL MFLAGS)};

# A copy of modules/echo as a person would begin: folder, file and names.
sub copy_echo
{
    my ($name, $change) = @_;
    my $text = slurp("$top/modules/echo/echo.c");
    my $config = slurp("$top/modules/echo/config");
    s/echo/$name/g for $text, $config;
    $change->($text) if $change;
    spew("$tmp/$name/$name.c", $text);
    spew("$tmp/$name/config", $config);
    return "$tmp/$name";
}

my $parrot = copy_echo('parrot');
my $macaw = copy_echo('macaw');
my $future = copy_echo('future', sub {
    $_[0] =~ s/LNT_MODULE_HEAD/.abi = 999, .struct_size = 8/;
});

# As the binary under test was configured, plus the modules.
my $how = slurp("$built/reconfigure");
my ($options) = $how =~ m{/configure'(.*?)(?: >/dev/null)?$}m;
$options //= '';
$how =~ s/^exec .*//m;
my $configured = `$how
    sh '$top/configure' $options --builddir='$build' --prefix='$prefix' \\
        --add-module='$parrot' --add-dynamic-module='$macaw' \\
        --add-dynamic-module='$future' 2>&1`;
is($?, 0, 'configure takes them') or diag $configured;
like($configured, qr/^  modules .* parrot$/m, 'one is built in');
like($configured, qr/^  dynamic .*macaw future$/m, 'two are dynamic');

my $made = `make --no-print-directory -j2 -C '$build' 2>&1`;
is($?, 0, 'make builds them') or BAIL_OUT("no build with modules:\n$made");
unlike($made, qr/warning:/, 'without a warning');
ok(-x "$build/linnet", 'the program is there');
ok(-f "$build/$_.so", "$_.so is there") for qw(macaw future);

my $ini = <<'END';
[server]
workers = 2
%%LOAD%%

[listen one]
address  = 127.0.0.1:%%PORT_one%%
protocol = line
app      = parrot

[listen two]
address  = 127.0.0.1:%%PORT_two%%
protocol = line
app      = macaw
END

sub server
{
    my ($load) = @_;
    my $text = $ini;
    $text =~ s/%%LOAD%%/$load/;
    my $s = Test::Linnet->new(config => $text);
    $s->{binary} = "$build/linnet";
    for my $name (qw(macaw future)) {
        system 'cp', "$build/$name.so", $s->path("modules/$name.so");
    }
    return $s;
}

subtest 'both ways' => sub {
    my $s = server('load_module = modules/macaw.so');
    $s->start;
    for my $name (qw(one two)) {
        my $c = $s->connect($name);
        $c->write("hello $name\n");
        is($c->line(5), "hello $name", "$name echoes");
        $c->close;
    }
    my ($exit, $out) = $s->run('-V');
    is($exit, 0, '-V exits with 0');
    like($out, qr/--add-module=\Q$parrot\E/, 'and shows how it was configured');
    is($s->stop, 0, 'stops');
    $s->finish;
};

subtest 'not loaded' => sub {
    my $s = server('');
    my ($exit, $out, $err) = $s->run('-t');
    is($exit, 78, '-t exits with 78');
    like($err, qr/macaw/, 'names the module that is missing');
    $s->finish;
};

subtest 'of another version' => sub {
    my $s = server("load_module = modules/macaw.so\n"
            . 'load_module = modules/future.so');
    my ($exit, $out, $err) = $s->run('-t');
    is($exit, 78, '-t exits with 78');
    like($err, qr/server\.ini:\d+: .*future\.so.*999/,
        'names place, file and its version');
    $s->finish;
};

subtest 'no module at all' => sub {
    my $s = server("load_module = modules/macaw.so\n"
            . 'load_module = modules/nothing.so');
    my ($exit, $out, $err) = $s->run('-t');
    is($exit, 78, 'a file that is not there: exits with 78');
    like($err, qr/server\.ini:\d+: .*nothing\.so/, 'with its place');
    spew($s->path('modules/nothing.so'), "not a shared object\n");
    ($exit, $out, $err) = $s->run('-t');
    is($exit, 78, 'a file that is no module: exits with 78');
    like($err, qr/server\.ini:\d+: .*nothing\.so/, 'with its place');
    $s->finish;
};

subtest 'a descriptor of another name' => sub {
    my $bad = copy_echo('bad', sub {
        $_[0] =~ s/^const struct lnt_module lnt_module_bad/#define NAME(x) lnt_module_##x\nconst struct lnt_module NAME(worse)/m
            or die;
    });
    my $other = "$tmp/bad-objs";
    my $text = `$how
        sh '$top/configure' $options --builddir='$other' \\
            --add-dynamic-module='$bad' 2>&1`;
    is($?, 0, 'configure does not see it') or diag $text;
    $text = `make --no-print-directory -C '$top' -f '$other/build.mk' \\
        '$other/bad.so' 2>&1`;
    isnt($?, 0, 'there is no bad.so');
    like($text, qr/lnt_module_bad/, 'the linker says what is missing');
    ok(!-e "$other/bad.so", 'nothing is left');
};

subtest 'installed' => sub {
    my @make = ('make', '--no-print-directory', '-C', $build);
    my $port = free_port();
    spew("$prefix/conf/server.ini", <<"END");
[server]
workers = 1
load_module = modules/macaw.so

[listen two]
address  = 127.0.0.1:$port
protocol = line
app      = macaw
END
    my ($exit, $out, $err) = run_command({ timeout => 120 }, @make, 'install');
    is($exit, 0, 'make install exits with 0') or diag $err;
    ok(-x "$prefix/modules/macaw.so", 'the dynamic module is installed');

    # As people do it: no options, everything below the prefix.
    my $linnet = "$prefix/sbin/linnet";
    ($exit, $out, $err) = run_command({ timeout => 60 }, @make, 'upgrade');
    isnt($exit, 0, 'make upgrade fails where no server runs');
    ($exit, $out, $err) = run_command({}, $linnet, '-d');
    is($exit, 0, 'linnet -d exits with 0') or diag $err;
    my $before = slurp("$prefix/run/linnet.pid");
    ($exit, $out, $err) = run_command({ timeout => 60 }, @make, 'upgrade');
    is($exit, 0, 'make upgrade exits with 0') or diag $out . $err;
    my $after = slurp("$prefix/run/linnet.pid");
    isnt($after, $before, 'another master is there');
    my $c = Test::Linnet::Stream->connect(host => "127.0.0.1",
        port => $port);
    $c->write("still there\n");
    is($c->line(5), 'still there', 'and serves');
    $c->close;

    spew("$prefix/conf/server.ini", "[server]\nwrkers = 1\n");
    ($exit, $out, $err) = run_command({ timeout => 60 }, @make, 'upgrade');
    isnt($exit, 0, 'make upgrade fails when the configuration is wrong');
    like($err . $out, qr/server\.ini:2: .*wrkers/, 'with the reason');
    is(slurp("$prefix/run/linnet.pid"), $after, 'and leaves the server alone');

    ($exit, $out, $err) = run_command({}, $linnet, '-s', 'stop');
    is($exit, 0, 'linnet -s stop exits with 0') or diag $err;
    ok(wait_for(sub { !grep { proc_alive($_ + 0) } $before, $after }, 10,
            'both masters to be gone'), 'nothing is left');
    unlike(slurp("$prefix/logs/error.log"), qr/\[alert\]/, 'no alert');

    ($exit, $out, $err) = run_command({ timeout => 60 }, @make, 'uninstall');
    is($exit, 0, 'make uninstall exits with 0') or diag $err;
    ok(!-e "$prefix/modules/macaw.so", 'and takes the module away');
    ok(-e "$prefix/conf/server.ini", 'but not the configuration');
};

done_testing();
