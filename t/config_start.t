# What -t finds out about the machine: whatever would keep the server from
# starting and can be known before, each with its place, and without side
# effects.  What only another user could do is no error.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Find ();
use POSIX ();
use Socket;
use Test::More;

use Test::Linnet;

my $root = $> == 0;
my $nobody = defined getpwnam 'nobody';
my $probe;
my $v6 = socket($probe, PF_INET6, SOCK_STREAM, 0)
    && bind($probe, pack_sockaddr_in6(0, Socket::IN6ADDR_LOOPBACK()));

my $base = <<'INI';
[server]
workers = 1
run_dir = run
user    =
[log]
error  = logs/error.log
access = logs/access.log
[history]
store = off
[listen echo]
address = 127.0.0.1:%%PORT_echo%%
app     = echo
INI

# The base with other values of some keys.
sub config
{
    my (%value) = @_;
    my $text = $base;
    for my $key (keys %value) {
        $text =~ s/^($key\s*=).*/$1 $value{$key}/m or die $key;
    }
    return $text;
}

# The line of a key in the base.
sub line
{
    my ($key) = @_;
    my ($before) = $base =~ /\A(.*?)^$key\s*=/ms or die $key;
    return 1 + ($before =~ tr/\n//);
}

sub test_config
{
    my ($t, @args) = @_;
    my ($exit, $out, $err) = $t->run('-t', @args);
    $err =~ s{\Q$t->{prefix}\E/conf/}{}g;
    return ($exit, $err);
}

# -t and a start must both refuse it, and -t name the line of the key.
sub refused
{
    my ($name, $key, $value, $reason, %o) = @_;
    subtest $name => sub {
        my $t = Test::Linnet->new(config => config($key => $value,
                %{ $o{more} // {} }), %{ $o{new} // {} });
        $o{before}->($t) if $o{before};
        my $line = line($key);
        my ($exit, $err) = test_config($t);
        is($exit, 78, 'refused by -t');
        like($err, qr/^server\.ini:$line: /m, '... with its line');
        unlike($err, qr/warning/, '... as an error');
        like($err, $reason, '... and the reason');
        ($exit, undef, $err) = $t->run;
        isnt($exit, 0, 'and it does not start');
        like($err, qr/server\.ini:$line: /, '... for that line')
            unless $o{elsewhere};
        is(scalar $t->processes, 0, '... nothing runs');
        $o{after}->($t) if $o{after};
        $t->finish;
    };
    return;
}

# ---- addresses ----

refused('an address of another machine', address => '192.0.2.1:%%PORT_echo%%',
    qr/192\.0\.2\.1:\d+: .*no interface/);
refused('a link-local address without an interface',
    address => '[fe80::1]:%%PORT_echo%%', qr/fe80::1%eth0/) if $v6;
refused('a folder that is not there', address => 'unix:none/x.sock',
    qr{none: No such file});
refused('a folder that is none', address => 'unix:run/file/x.sock',
    qr{run/file: Not a dir}, before => sub { spew($_[0]->path('run/file'), '') });
for my $what (['file', sub { spew($_[0], "precious\n") }],
    ['folder', sub { mkdir $_[0] or die $! }],
    ['symbolic link', sub { symlink 'none', $_[0] or die $! }],
    ['FIFO', sub { POSIX::mkfifo($_[0], 0600) or die $! }]) {
    my ($name, $make) = @$what;
    refused("a $name where the socket would be", address => 'unix:run/x.sock',
        qr{run/x\.sock is there already},
        before => sub { $make->($_[0]->path('run/x.sock')) },
        after => sub {
            my $path = $_[0]->path('run/x.sock');
            ok(-l $path || -e $path, "the $name is still there");
        });
}

# ---- files of the server ----

for my $key (qw(error access)) {
    refused("$key log: a folder", $key => 'run', qr{run: Is a directory});
    refused("$key log: a socket", $key => 'run/sock', qr{run/sock: No such dev},
        before => sub {
            socket($_[0]{keep}, PF_UNIX, SOCK_STREAM, 0) or die $!;
            bind($_[0]{keep}, pack_sockaddr_un($_[0]->path('run/sock')))
                or die $!;
        });
    refused("$key log: the name of a folder", $key => 'none/',
        qr{none/: Is a directory});
    refused("$key log: below a file", $key => 'run/file/log',
        qr{run/file/log: Not a dir},
        before => sub { spew($_[0]->path('run/file'), '') });
}
refused('run_dir: a file', run_dir => 'conf/server.ini', qr{Not a directory});
refused('run_dir: below a file', run_dir => 'conf/server.ini/run',
    qr{Not a directory});
refused('run_dir: a symbolic link to nothing', run_dir => 'run/link',
    qr{run/link: }, before => sub {
        symlink 'none', $_[0]->path('run/link') or die $!;
    });
refused('run_dir: nothing', run_dir => '', qr/run_dir.*empty/);
refused('run_dir: too long for a socket', run_dir => 'x' x 100,
    qr/control\.sock.* bytes/);
refused('a folder in the place of the pidfile', run_dir => 'run',
    qr{run/linnet\.pid is in the way},
    before => sub { mkdir $_[0]->path('run/linnet.pid') or die $! });
refused('a folder in the place of the control socket', run_dir => 'run',
    qr{run/control\.sock is in the way},
    before => sub { mkdir $_[0]->path('run/control.sock') or die $! });

my ($exit, $out) = run_command(Test::Linnet->binary, '-V');
my $probe_store = Test::Linnet->new(config => config(store => 'run/x.db'));
(undef, my $said) = test_config($probe_store);
$probe_store->finish;
if ($said !~ /without SQLite/) {
    refused('store: a folder', store => 'run', qr{run: Is a directory},
        elsewhere => 1);
    refused('store: below a file', store => 'run/file/db', qr{Not a directory},
        elsewhere => 1, before => sub { spew($_[0]->path('run/file'), '') });
    refused('store: a text', store => 'run/db', qr{run/db: .*no database},
        elsewhere => 1,
        before => sub { spew($_[0]->path('run/db'), "precious\n") },
        after => sub {
            is(slurp($_[0]->path('run/db')), "precious\n", 'it is untouched');
        });
    refused('store: a database of another program', store => 'run/db',
        qr{run/db: .*another program}, elsewhere => 1,
        before => sub {
            spew($_[0]->path('run/db'), "SQLite format 3\0"
                . pack('n C6 N4', 4096, 1, 1, 0, 64, 32, 32, 1, 1, 0, 0)
                . pack('N10', 0, 4, 0, 0, 1, 0, 0, 0x1234, 0, 0)
                . "\0" x 12 . pack('N2', 1, 3040001)
                . "\x0d" . "\0" x 3995);
        });
    my $t = Test::Linnet->new(
        config => config(store => 'made/for/it/x.db', user => 'nobody'));
    my ($e, $err) = test_config($t);
    is($e, 0, 'a store in a folder that a start will make') or diag $err;
    SKIP: {
        skip 'only for root, with a user nobody', 3 unless $root && $nobody;
        refused('store: a folder that the user of the workers cannot write',
            store => 'data/x.db', qr{data \(mode 0755\) cannot be written},
            more => { user => 'nobody' }, elsewhere => 1,
            before => sub { mkdir $_[0]->path('data'), 0755 or die $!;
                chmod 0755, $_[0]->path('data') });
        refused('store: a new folder in one that this user may not enter',
            store => 'data/new/x.db', qr{data \(mode 0700\) cannot be searched},
            more => { user => 'nobody' }, elsewhere => 1,
            before => sub { mkdir $_[0]->path('data'), 0700 or die $!;
                chmod 0700, $_[0]->path('data') });
        subtest 'a folder that is there stays root\'s' => sub {
            my $own = Test::Linnet->new(config => config(user => 'nobody',
                    store => 'none/../x.db'));
            my $uid = (stat $own->path('.'))[4];
            $own->run;
            is((stat $own->path('.'))[4], $uid, 'its owner is the same');
        };
    }
    $t->finish;
}

subtest 'several at once, in any file' => sub {
    my $t = Test::Linnet->new;
    spew($t->path('conf/more.ini'),
        "[listen more]\napp = echo\naddress = 192.0.2.7:7000\n"
        . 'address = 127.0.0.1:' . $t->port('fine') . "\n"
        . "address = 192.0.2.8:7000\n");
    $t->write_config(config(error => 'run', access => 'conf')
        =~ s/^workers/include = more.ini\nworkers/mr);
    my ($exit, $err) = test_config($t);
    is($exit, 78, 'refused');
    my @lines = map { /^((?:server|more)\.ini:\d+): / } split /\n/, $err;
    is("@lines", join(' ', 'server.ini:' . (line('error') + 1),
            'server.ini:' . (line('access') + 1), 'more.ini:3', 'more.ini:5'),
        'each with its place, those that are fine not at all') or diag $err;
    ($exit, $err) = test_config($t, '-o', 'log.error=logs/error.log', '-o',
        'log.access=run');
    like($err, qr/^command line: \[log\] access: /m, 'one of the command line');
    ($exit, $out, $err) = $t->run('-T');
    is($exit, 78, '-T: the same status');
    like($out, qr/^\[listen more\]/m, '... and shows what it read');
    $t->write_config("[server]\nload_module = run/a.so\n"
        . "load_module = run/b.so\n");
    ($exit, $err) = test_config($t);
    like($err, qr/^server\.ini:2: .*a\.so/m, 'a module');
    like($err, qr/^server\.ini:3: .*b\.so/m, '... and the next, by its line');
    $t->finish;
};

# ---- what is no error ----

# Every path below a folder, with what would show a change.
sub tree
{
    my ($folder) = @_;
    my @all;
    File::Find::find({ no_chdir => 1, wanted => sub {
        my @s = lstat or return;
        push @all, join ' ', $_, @s[1, 2, 4, 5, 7, 9, 10];
    } }, $folder);
    return join "\n", sort @all;
}

subtest 'no side effects' => sub {
    my $t = Test::Linnet->new(config => config(run_dir => 'new//run/',
            error => 'new/logs/error.log', access => 'new/logs/access.log',
            address => 'unix:run/x.sock'));
    my $before = tree($t->prefix);
    my ($exit, $err) = test_config($t);
    is($exit, 0, 'what a start will make may be missing') or diag $err;
    unlike($err, qr/warning/, '... without a word');
    is(tree($t->prefix), $before, '... and is not made');
    $t->finish;
};

subtest 'while the server runs' => sub {
    my $t = Test::Linnet->new(config => config() . <<'INI');
[listen local]
address = unix:%%UNIX_x%%
app = echo
INI
    $t->start;
    my $c = $t->connect('unix:x');
    $c->write('hello');
    is($c->read_exact(5), 'hello', 'a client');
    my $accepted = sub {
        my $total = 0;
        $total += $_->{counters}{accepted_total} // 0
            for @{ $t->status->{workers} };
        return $total;
    };
    my ($log, $n) = ($t->log_text, $accepted->());
    my $before = tree($t->path('run'));
    my ($exit, $err) = test_config($t);
    is($exit, 0, '-t of what it runs with') or diag $err;
    unlike($err, qr/warning/, '... without a word');
    is($accepted->(), $n, '... connects to nothing');
    is(tree($t->path('run')), $before, '... changes nothing');
    is($t->log_text, $log, '... is not in the log');
    my $p = $t->port('echo');
    ($exit, $err) = test_config($t, '-o', "listen echo.address=$p");
    is($exit, 0, 'an address that overlaps with its own') or diag $err;
    unlike($err, qr/warning/, '... without a word');
    $c->write('hello');
    is($c->read_exact(5), 'hello', 'the client stays');
    $t->finish;
};

subtest 'a port that another program has' => sub {
    my $t = Test::Linnet->new(config => config());
    socket(my $s, PF_INET, SOCK_STREAM, 0) or die $!;
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1) or die $!;
    bind($s, sockaddr_in($t->port('echo'), INADDR_LOOPBACK)) or die $!;
    listen $s, 5 or die $!;
    my $line = line('address');
    my ($exit, $err) = test_config($t);
    is($exit, 0, 'is no error of the configuration');
    like($err, qr/^server\.ini:$line: warning: .*some program/m,
        '... but a warning, with its line');
    like($err, qr/test is successful/, '... of a test that is successful');
    ($exit, $err) = test_config($t, '-q');
    is($err, '', '... which -q leaves out');
    ($exit, undef, $err) = $t->run;
    is($exit, 1, 'a start fails');
    like($err, qr/server\.ini:$line: .*in use/, '... with its line');
    close $s;
    ($exit, $err) = test_config($t);
    unlike($err, qr/warning/, 'no warning when it is free');
    $t->finish;
};

subtest 'what only another user may' => sub {
    plan skip_all => 'root needs a user nobody' if $root && !$nobody;
    my $t = Test::Linnet->new(config => config(),
        $root ? (user => 'nobody') : ());
    my ($low) = slurp('/proc/sys/net/ipv4/ip_unprivileged_port_start')
        =~ /^(\d+)/;
    if (($low // 1024) > 7) {
        my $line = line('address');
        my ($exit, $err) = test_config($t, '-o',
            'listen echo.address=127.0.0.1:7');
        is($exit, 0, 'a low port is no error');
        like($err, qr/^command line: warning: .*user/m, '... but a warning');
    }
    mkdir $t->path('others') or die $!;
    chmod 0555, $t->path('others') or die $!;
    for my $o ('server.run_dir=others', 'server.run_dir=others/run',
        'log.error=others/log', 'log.error=others/logs/log',
        'log.access=others/log', 'listen echo.address=unix:others/sock',
        'history.store=others/db') {
        my ($exit, $err) = test_config($t, '-o', $o);
        next if $err =~ /without SQLite/;
        is($exit, 0, "$o in a folder of others: no error") or diag $err;
        like($err, qr/^command line: warning: .*others.*denied/m,
            '... but a warning');
    }
    chmod 0755, $t->path('others') or die $!;
    $t->finish;
};

subtest 'limits' => sub {
    my $t = Test::Linnet->new(config => config());
    my ($exit, $err) = test_config($t, '-o', 'server.zone_size=64g');
    my ($kb) = slurp('/proc/meminfo') =~ /^MemTotal:\s+(\d+)/m;
    SKIP: {
        skip 'much memory', 2 if !$kb || $kb > 60 << 20;
        is($exit, 0, 'more memory than there is');
        like($err, qr/^command line: warning: .*zone_size/m, '... is warned of');
    }
    if (!$root) {
        ($exit, $err) = test_config($t, '-o', 'server.open_files=16000000');
        is($exit, 0, 'more open files than may be');
        like($err, qr/^command line: warning: .*open_files/m,
            '... is warned of');
    }
    ($exit, undef, $err) = $t->run({ ulimit => ['f 1000'] }, '-t');
    is($exit, 0, 'a limit of files below zone_size');
    like($err, qr/warning: .*zone_size.*ulimit -f/, '... is warned of');
    # The zone takes more than zone_size, by what is reserved.
    ($exit, undef, $err) = $t->run({ ulimit => ['f 136000'] }, '-t', '-o',
        'server.zone_size=64m');
    is($exit, 0, 'a limit of files a little above zone_size');
    like($err, qr/warning: .*zone_size = 64m takes \d+ bytes, .*ulimit -f/,
        '... is warned of');
    ($exit, undef, $err) = $t->run({ ulimit => ['f 136000'] }, '-o',
        'server.zone_size=64m');
    is($exit, 1, '... and does not start');
    $t->finish;
};

done_testing;
