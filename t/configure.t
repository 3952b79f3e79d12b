#!/usr/bin/perl

# configure as people use it: its options, what it says to a wrong one, what it
# writes; and make's install, uninstall and their promises.  Every run has a
# build folder of its own outside the tree, which it must leave untouched.

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Find qw(find);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Linnet::Environment;
use Test::More;

my $top = abs_path("$FindBin::Bin/..");
my $tmp = tempdir('linnet-configure-XXXXXX', TMPDIR => 1, CLEANUP => 1);
my $built = abs_path($ENV{LINNET_BUILD} || "$top/objs");
my $count = 0;

chdir $top or die "chdir: $!";
delete @ENV{qw(CC CFLAGS LDFLAGS MAKEFLAGS MAKELEVEL MFLAGS)};

sub slurp
{
    my ($path) = @_;
    open my $fh, '<', $path or return '';
    local $/;
    return scalar <$fh>;
}

sub spew
{
    my ($path, $text) = @_;
    open my $fh, '>', $path or die "$path: $!";
    print {$fh} $text;
    close $fh or die "$path: $!";
    return;
}

sub run
{
    my (@command) = @_;
    my $pid = open my $out, '-|';
    defined $pid or die "fork: $!";
    if (!$pid) {
        open STDERR, '>&', \*STDOUT or die "dup: $!";
        open STDIN, '<', '/dev/null' or die "/dev/null: $!";
        exec @command or die "exec: $!";
    }
    local $/;
    my $text = <$out> // '';
    close $out;
    return ($? >> 8, $text);
}

# Status, output and build folder of one run.
sub configure
{
    my (@options) = @_;
    my $dir = "$tmp/b" . ++$count;
    my ($status, $text) = run('sh', './configure', "--builddir=$dir", @options);
    return ($status, $text, $dir);
}

my $before = join ' ', map { "$_ " . (-e $_ ? (stat _)[9] : '-') } 'Makefile';

subtest 'help' => sub {
    my ($status, $text) = configure('--help');
    is($status, 0, 'exits with 0');
    for my $option (qw(prefix sbin-path modules-path conf-path error-log-path
        pid-path user group builddir with-cc with-cc-opt with-ld-opt with-debug
        with-sanitize add-module add-dynamic-module without-echo)) {
        like($text, qr/^  --\Q$option\E\b/m, "names --$option");
    }
};

subtest 'a misspelt option' => sub {
    my ($status, $text) = configure('--prefx=/x');
    is($status, 1, 'exits with 1');
    like($text, qr/unknown option "--prefx=\/x", did you mean "--prefix="\?/,
        'is told with what was meant');
    like($text, qr/^  --error-log-path=$/m, 'and with what is known');
    ($status, $text) = configure('--without-ecco');
    isnt($status, 0, 'a misspelt module is refused');
    like($text, qr/did you mean "--without-echo"\?/, 'with the module meant');
    ($status, $text) = configure('--prefix');
    isnt($status, 0, 'an option without its value is refused');
    like($text, qr/--prefix needs a value/, 'with the reason');
    ($status, $text) = configure('--prefix=relative');
    like($text, qr/an absolute path is needed/, 'a relative prefix is refused');
    ($status, $text) = configure('--prefix=/a b');
    like($text, qr/only letters, digits/, 'a blank in a path is refused');
};

subtest 'defaults' => sub {
    my ($status, $text, $dir) = configure();
    is($status, 0, 'exits with 0') or diag $text;
    my $h = slurp("$dir/auto_config.h");
    like($h, qr/define LNT_VERSION "\d+\.\d+\.\d+"/, 'version');
    like($h, qr/define LNT_PREFIX "\/usr\/local\/linnet"/, 'prefix');
    like($h, qr/define LNT_CONF_PATH "conf\/server.ini"/, 'configuration');
    like($h, qr/define LNT_PID_PATH "run\/linnet.pid"/, 'pidfile');
    like($h, qr/define LNT_CONFIGURE_ARGS "--builddir=\Q$dir\E"/,
        'the arguments for -V');
    my $modules = slurp("$dir/modules.c");
    my @order = $modules =~ /^    &lnt_module_(\w+),/mg;
    is_deeply(\@order,
        [qw(raw line http websocket sse static status echo chat chat_api)],
        'the modules and their order');
    like($text, qr/make -C \Q$dir\E/, 'says how to go on');
};

subtest 'paths' => sub {
    my ($status, $text, $dir) = configure('--prefix=/opt/l/',
        '--sbin-path=/usr/sbin/linnet', '--conf-path=/etc/linnet/server.ini',
        '--error-log-path=/opt/l/log/e.log', '--pid-path=/run/linnet/x.pid',
        '--modules-path=mod', '--user=www', '--group=web');
    is($status, 0, 'exits with 0') or diag $text;
    my $h = slurp("$dir/auto_config.h");
    my %want = (PREFIX => '/opt/l', SBIN_PATH => '/usr/sbin/linnet',
        CONF_PATH => '/etc/linnet/server.ini', ERROR_LOG_PATH => 'log/e.log',
        PID_PATH => '/run/linnet/x.pid', RUN_DIR => '/run/linnet',
        PID_NAME => 'x.pid',
        MODULES_PATH => 'mod', USER => 'www', GROUP => 'web');
    for my $name (sort keys %want) {
        like($h, qr/define LNT_$name "\Q$want{$name}\E"/, $name);
    }
    like(slurp("$dir/linnet.service"), qr{^ExecStart=/usr/sbin/linnet\b}m,
        'the service file has them, too');

    ($status, $text, $dir) = configure('--prefix=/usr/local/linnet-1,2');
    is($status, 0, 'a prefix that begins as the default does') or diag $text;
    my $unit = slurp("$dir/linnet.service");
    is_deeply([$unit =~ m{^ExecStart=(\S+)}m],
        ['/usr/local/linnet-1,2/sbin/linnet'], 'the program in its service');
    is_deeply([$unit =~ m{^ReadWritePaths=(.*)}mg],
        ['-/usr/local/linnet-1,2/logs -/usr/local/linnet-1,2/run',
            '-/usr/local/linnet-1,2/data'], '... and its folders');
};

subtest 'modules' => sub {
    my ($status, $text, $dir) = configure('--without-chat', '--with-echo');
    is($status, 0, '--without-chat exits with 0') or diag $text;
    unlike(slurp("$dir/modules.c"), qr/lnt_module_chat\b/, 'and leaves it out');
    ($status, $text) = configure('--without-http');
    isnt($status, 0, 'http cannot be left out alone');
    like($text, qr/module \w+ needs module http/, 'because of another module');
    ($status, $text) = configure('--without-echo', '--with-echo');
    like($text, qr/exclude each other/, 'with and without exclude each other');
    ($status, $text) = configure('--add-module=/nowhere');
    like($text, qr/--add-module=\/nowhere: there is no folder/,
        'an outside module that is not there');
    ($status, $text) = configure("--add-module=$top/src");
    like($text, qr/needs a file "config"/, 'one without a config');
    ($status, $text) = configure('--add-module=modules/echo');
    like($text, qr/a module "echo" is already built from modules\/echo/,
        'one whose name is taken');
    my $bad = "$tmp/bad";
    make_path($bad);
    spew("$bad/config", "name=bad\nsources=bad.c\n");
    spew("$bad/bad.c", slurp('modules/echo/echo.c'));
    for my $add (qw(add-module add-dynamic-module)) {
        ($status, $text) = configure("--$add=$bad");
        isnt($status, 0, "--$add: one whose descriptor has another name");
        like($text, qr/config: name=bad: .*lnt_module_bad, .*lnt_module_echo$/m,
            '... is told both names');
    }
};

subtest 'without SQLite' => sub {
    my ($status, $text, $dir) = configure('--without-sqlite');
    is($status, 0, 'exits with 0') or diag $text;
    unlike(slurp("$dir/auto_config.h"), qr/SQLITE/, 'it is not used');
    unlike(slurp("$dir/build.mk"), qr/-lsqlite3/, '... nor linked');
    like($text, qr/without stores for history/, '... which is said');
};

subtest 'what is missing' => sub {
    # A machine with a shell and the basic tools, and nothing to build with.
    my $bin = "$tmp/bin";
    make_path($bin);
    for my $tool (qw(sh sed awk grep cmp cat mv rm mkdir dirname basename tr
        sort head tail touch od cksum mktemp printf id)) {
        my ($path) = grep { -x } map { "$_/$tool" } qw(/usr/bin /bin);
        symlink $path, "$bin/$tool" if $path;
    }
    my $dir = "$tmp/none";
    local $ENV{PATH} = $bin;
    my ($status, $text) = run("$bin/sh", './configure', "--builddir=$dir");
    isnt($status, 0, 'exits non-zero');
    for my $name (qw(cc make pkg-config libpcre2-8 zlib inih jansson
        sqlite3)) {
        like($text, qr/^\Q$name\E /m, "names $name");
    }
    like($text, qr/libpcre2-dev +pcre2-devel +pcre2-dev/,
        'with packages for apt, dnf and apk');
    like($text, qr/sh auto\/deps/, 'and the command that installs them');

    ($status, $text) = run("$bin/sh", 'auto/deps', 'list');
    is($status, 1, 'auto/deps list says so, too');
    like($text, qr/^zlib +zlib1g-dev +zlib-devel +zlib-dev/m, 'by name');
    my $shown = () = $text =~ /^cc /mg;
    is($shown, 1, 'each once');
};

subtest 'the compiler' => sub {
    my ($status, $text) = configure('--with-cc=/nowhere/cc');
    like($text, qr/the compiler "\/nowhere\/cc" is not there/, 'not there');
    my $dir;
    ($status, $text, $dir) = configure('--with-cc-opt=-DSOME_THING=1',
        '--with-ld-opt=-Wl,-O1', '--with-werror', '--with-debug');
    is($status, 0, 'options are taken') or diag $text;
    my $mk = slurp("$dir/build.mk");
    like($mk, qr/^CFLAGS = .* -DSOME_THING=1/m, 'for the compiler');
    like($mk, qr/^LDFLAGS = .* -Wl,-O1/m, 'for the linker');
    like($mk, qr/^CFLAGS = .* -Werror /m, '--with-werror');
    like($mk, qr/^CFLAGS = .* -DLNT_DEBUG_BUILD/m, '--with-debug');
    like($mk, qr/^CFLAGS = .* -D_FORTIFY_SOURCE=2 .*-fstack-protector-strong/m,
        'hardening');
    ($status, $text) = configure('--with-cc-opt=-fno-such-flag');
    like($text, qr/cannot build a C11 program with these options/,
        'a wrong flag is told as such');
};

subtest 'configuring twice changes nothing' => sub {
    my $dir = "$tmp/twice";
    run('sh', './configure', "--builddir=$dir");
    my @files = grep { -f && !/autoconf.err|configured$/ } glob "$dir/*";
    utime 1, 1, @files;
    run('sh', './configure', "--builddir=$dir");
    is_deeply([ grep { (stat)[9] != 1 } @files ], [], 'no file is newer');
};

# As of a clone in "My Projects".
subtest 'a tree whose path has a blank' => sub {
    my $tree = "$tmp/a tree";
    make_path($tree);
    for my $name (qw(configure auto conf contrib modules src)) {
        system('cp', '-R', $name, $tree) == 0 or die "cp $name";
    }
    make_path("$tree/t/modules");
    system('cp', '-R', 't/modules/box', "$tree/t/modules") == 0 or die 'cp';
    my ($status, $text) = run('sh', "$tree/configure",
        "--builddir=$tree/objs-x", "--add-dynamic-module=$tree/t/modules/box");
    is($status, 0, 'an absolute build folder in it is taken') or diag $text;
    ok(!-e "$tree/Makefile", '... without a Makefile for the tree');
    ($status, $text) = run('make', '-C', "$tree/objs-x", 'modules');
    is($status, 0, 'a module is built') or diag $text;
    ok(-f "$tree/objs-x/box.so", '... there');
    ($status, $text) = run('sh', '-c', 'cd "$1" && ./configure', 'sh', $tree);
    is($status, 0, 'a relative build folder, too') or diag $text;
    ok(-f "$tree/Makefile", '... with a Makefile');
    # Nothing is built: what "make run" would do, with the program replaced.
    spew("$tree/objs/linnet", "#!/bin/sh\nprintf '%s\\n' \"\$@\"\n");
    chmod 0755, "$tree/objs/linnet";
    my ($rules) = slurp("$tree/objs/build.mk") =~ /^(run: all\n(?:\t.*\n)+)/m;
    spew("$tree/run.mk", "BUILD = objs\nTOP = $tree\nall:\n"
            . "RUN = \$(abspath \$(BUILD))/run\nRUN_LONGEST = 80\n"
            . ($rules // ''));
    ($status, $text) = run('make', '-C', $tree, '-f', 'run.mk', 'run');
    is($status, 0, 'make run works') or diag $text;
    like($text, qr{^-p\n\Q$tree/objs/run\E\n-c\n\Q$tree/conf/server.ini\E\n}m,
        '... with these folders');
    my $long = "$tree/" . 'x' x 80;
    ($status, $text) = run('make', '-C', $tree, '-f', 'run.mk', 'run',
        "RUN=$long");
    is($status, 0, 'a path that is too long for the control socket')
        or diag $text;
    my ($dir) = $text =~ m{^-o\nserver\.run_dir=(/\S{1,60})$}m;
    ok(defined $dir && rmdir $dir, '... puts that into another folder')
        or diag $text;

    rename $tree, "$tmp/a \$tree" or die $!;
    ($status, $text) = run('sh', '-c', 'cd "$1" && ./configure', 'sh',
        "$tmp/a \$tree");
    is($status, 1, 'a path with \$ is refused');
    like($text, qr/which make cannot handle; move the folder/,
        '... with what to do');
};

# Each goal is a make of its own; side by side they would write the same files.
subtest 'two goals at once' => sub {
    my (undef, undef, $dir) = configure();
    like(slurp("$dir/$_"), qr/^\.NOTPARALLEL:$/m, "$_ does one after the other")
        for qw(Makefile forward.mk);
};

subtest 'install' => sub {
    plan skip_all => "$built/linnet is not built" unless -x "$built/linnet";
    my $prefix = slurp("$built/auto_config.h") =~ /LNT_PREFIX "(.*)"/ ? $1 : '';
    my $dest = "$tmp/dest";
    my $root = "$dest$prefix";
    my @make = ('make', '--no-print-directory', '-C', $built,
        "DESTDIR=$dest");
    # Workers run as another user than who installs.
    my $mask = umask 077;
    my ($status, $text) = run(@make, 'install');
    umask $mask;
    is($status, 0, 'exits with 0, with umask 077') or diag $text;
    my %mode;
    find(sub { $mode{$File::Find::name} = (stat)[2] & (-d _ ? 05 : 04) }, $dest);
    is_deeply([grep { !($mode{$_} & 04) } sort keys %mode], [],
        'everybody can read what is installed');
    is_deeply([grep { -d && $mode{$_} != 05 } sort keys %mode], [],
        '... and search the folders');
    ok(-x "$root/sbin/linnet", 'the program is there');
    ok(-f "$root/conf/server.ini", 'a configuration is there');
    ok(-d "$root/$_", "$_ is there") for qw(logs run modules);

    spew("$root/conf/server.ini", "; mine\n");
    spew("$root/sbin/linnet", "an older program\n");
    ($status, $text) = run(@make, 'install');
    is($status, 0, 'again: exits with 0') or diag $text;
    is(slurp("$root/conf/server.ini"), "; mine\n", 'a server.ini stays');
    is(slurp("$root/conf/server.ini.default"), slurp('conf/server.ini'),
        'the new one stands beside it');
    is(slurp("$root/sbin/linnet.old"), "an older program\n",
        'the old program is kept');
    run(@make, 'install');
    is(slurp("$root/sbin/linnet.old"), "an older program\n",
        'also when the same is installed twice');

    ($status, $text) = run(@make, 'uninstall');
    is($status, 0, 'uninstall exits with 0') or diag $text;
    ok(!-e "$root/sbin/linnet", 'the program is gone');
    ok(!-e "$root/sbin/linnet.old", 'the old one, too');
    is(slurp("$root/conf/server.ini"), "; mine\n", 'the configuration stays');
    ok(!-e "$root/run", 'empty folders are gone');
};

subtest 'the installed configuration is right' => sub {
    plan skip_all => "$built/linnet is not built" unless -x "$built/linnet";
    make_path("$tmp/p/logs", "$tmp/p/run");
    my ($status, $text) = run("$built/linnet", '-p', "$tmp/p", '-c',
        "$top/conf/server.ini", '-t');
    is($status, 0, 'linnet -t finds nothing in conf/server.ini') or diag $text;
};

is(join(' ', map { "$_ " . (-e $_ ? (stat _)[9] : '-') } 'Makefile'), $before,
    'the tree has no other Makefile than before');

done_testing();
