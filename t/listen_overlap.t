# Listen addresses that overlap: which go together, which -t refuses, and
# changes from one to another that overlaps with it, by a reload or an upgrade.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Errno qw(EADDRINUSE);
use POSIX ();
use Socket qw(:DEFAULT IPV6_V6ONLY IPPROTO_IPV6 inet_pton);
use Test::More;

use Test::Linnet;
use Test::Linnet::Build;

my $probe;
my $v6 = socket($probe, PF_INET6, SOCK_STREAM, 0)
    && bind($probe, pack_sockaddr_in6(0, Socket::IN6ADDR_LOOPBACK()));

# One [listen] for each list of addresses.
sub config
{
    my (@lists) = @_;
    my $n = 0;
    my $text = "[server]\nworkers = 2\nshutdown_timeout = 20s\n";
    for my $list (@lists) {
        $text .= "\n[listen " . chr(ord('a') + $n++) . "]\n";
        $text .= "address = $_\n" for ref $list ? @$list : $list;
        $text .= "app = echo\n";
    }
    return $text;
}

# A plain socket that listens as a server does on HOST:PORT as configured, or
# nothing, with $! set.
sub kernel_listens
{
    my ($address) = @_;
    my ($host, $port) = $address =~ /^(?:(.*):)?(\d+)$/ or die $address;
    my $both = !defined $host || $host eq '*';
    $host = '[::]' if $both;
    $host = '127.0.0.1' if $host eq 'localhost';
    my $six = $host =~ s/^\[(.*)\]$/$1/;
    if ($six && $host =~ s/^::ffff:(?=\d+\.)//) {
        $six = 0;
    }
    socket(my $s, $six ? PF_INET6 : PF_INET, SOCK_STREAM, 0) or return;
    setsockopt($s, SOL_SOCKET, SO_REUSEADDR, 1) or return;
    if ($six) {
        setsockopt($s, IPPROTO_IPV6, IPV6_V6ONLY, $both ? 0 : 1) or return;
        bind($s, pack_sockaddr_in6($port, inet_pton(AF_INET6, $host)))
            or return;
    } else {
        bind($s, sockaddr_in($port, inet_aton($host))) or return;
    }
    listen $s, 5 or return;
    return $s;
}

my $t = Test::Linnet->new;
my $port = $t->port('p');
my $conf = $t->conf_path;

sub check
{
    my ($text) = @_;
    $t->write_config($text);
    my ($exit, $out, $err) = $t->run('-t');
    $err =~ s{\Q$t->{prefix}\E/conf/}{}g;
    return ($exit, $err);
}

subtest 'every pair, as the kernel has it' => sub {
    my @all = ('P', '*:P', '0.0.0.0:P', '127.0.0.1:P', '127.0.0.2:P',
        'localhost:P', '[::ffff:127.0.0.1]:P');
    push @all, '[::]:P', '[::1]:P' if $v6;
    s/P$/$port/ for @all;
    for my $i (0 .. $#all) {
        for my $k (0 .. $#all) {
            my ($x, $y) = @all[$i, $k];
            my $first = kernel_listens($x) or die "$x: $!";
            my $second = kernel_listens($y);
            my $refused = !$second && $! == EADDRINUSE;
            close $first;
            close $second if $second;
            my ($exit, $err) = check(config($x, $y));
            is($exit, $refused ? 78 : 0,
                "$x and $y: " . ($refused ? 'refused' : 'accepted'))
                or diag $err;
            like($err,
                qr/^server\.ini:10: \[listen b\]: .*\[listen a\] \(server\.ini:6\)/m,
                '... with both lines') if $refused;
        }
    }
};

subtest 'the lines are those of the addresses' => sub {
    my ($exit, $err) = check(config(
        ['127.0.0.1:17001', '127.0.0.1:17002', $port],
        ['127.0.0.1:17003', "127.0.0.1:$port"]));
    is($exit, 78, 'refused');
    like($err, qr/^server\.ini:13: .*127\.0\.0\.1:$port .*\(server\.ini:8\)/m,
        'the third of one, the second of the other');
    ($exit, $err) = check(config(["127.0.0.1:$port", "0.0.0.0:$port"]));
    is($exit, 78, 'two of one section');
    like($err, qr/^server\.ini:7: .*\(server\.ini:6\)/m, '... with both lines');
    spew($t->path('conf/more.ini'),
        "[listen z]\napp = echo\naddress = 127.0.0.1:$port\n");
    ($exit, $err) = check(
        config($port) =~ s/\n\n/\ninclude = more.ini\n\n/r);
    is($exit, 78, 'of two files');
    like($err, qr/server\.ini:7\b/, '... one line');
    like($err, qr/more\.ini:3\b/, '... and the other');
    unlink $t->path('conf/more.ini');
};

subtest 'unix sockets in other spellings' => sub {
    my $prefix = $t->prefix;
    symlink "$prefix/run", "$prefix/link" or die $!;
    my @same = ('run/x.sock', "$prefix/run/x.sock", 'run/./x.sock',
        './run/x.sock', 'run//x.sock', 'run/../run/x.sock', 'link/x.sock');
    for my $i (0 .. $#same) {
        my ($exit, $err) = check(config('unix:run/x.sock', "unix:$same[$i]"));
        is($exit, 78, "run/x.sock and $same[$i]: refused");
        like($err, qr/^server\.ini:10: .*\(server\.ini:6\)/m,
            '... with both lines');
    }
    my ($exit, $err) = check(config('unix:run/x.sock', 'unix:run/y.sock',
            'unix:logs/x.sock'));
    is($exit, 0, 'other names and folders are accepted') or diag $err;
    unlink "$prefix/link";
};

subtest 'a path that is something else of the server' => sub {
    for my $path (qw(run/control.sock run/linnet.pid logs/error.log
        logs/access.log run/../logs/error.log)) {
        my ($exit, $err) = check(config("unix:$path")
                . "\n[log]\nerror = logs/error.log\n"
                . "access = logs/access.log\n");
        is($exit, 78, "$path is refused");
        like($err, qr/^server\.ini:6: .*\b(?:run_dir|error|access)\b/m,
            '... with its line and what it is');
    }
};

subtest '0.0.0.0 and [::]' => sub {
    plan skip_all => 'no IPv6 here' unless $v6;
    my $s = Test::Linnet->new(copy_binary => 1, config => config(
        '0.0.0.0:%%PORT_p%%', '[::]:%%PORT_p%%'));
    $s->start;
    my $p = $s->port('p');
    ok($s->echoes(['127.0.0.1', $p]), 'IPv4 is served');
    ok($s->echoes(['::1', $p]), 'IPv6 is served');
    is(($s->ctl('reload'))[0], 0, 'reloaded');
    ok($s->echoes(['127.0.0.1', $p]) && $s->echoes(['::1', $p]), '... both');
    my ($exit, $out, $err) = $s->ctl('upgrade');
    is($exit, 0, 'upgraded') or diag $err;
    ok($s->echoes(['127.0.0.1', $p]) && $s->echoes(['::1', $p]), '... both');
    ($exit, $out, $err) = $s->reload(config('[::]:%%PORT_p%%'));
    is($exit, 0, '[::] alone') or diag $err;
    ok($s->echoes(['::1', $p]), '... serves IPv6');
    ok(wait_for(sub { !$s->echoes(['127.0.0.1', $p]) }, 5, 'it to go'),
        '... and IPv6 only');
    (undef, $out) = $s->run('-T');
    like($out, qr/^address = \[::\]:$p\b/m, '-T shows it as it is');
    $s->write_config(config('%%PORT_p%%'));
    (undef, $out) = $s->run('-T');
    like($out, qr/^address = $p\b/m, '... and a bare port as that');
    $s->finish;
};

# What listens on the port of p, as /proc/net/tcp and tcp6 have it.
sub listeners
{
    my ($s) = @_;
    my $hex = sprintf '%04X', $s->port('p');
    my $text = slurp('/proc/net/tcp') . slurp('/proc/net/tcp6');
    return scalar(() = $text =~ /^\s*\d+: [0-9A-F]+:$hex [0-9A-F:]+ 0A /mg);
}

subtest 'a reload to what overlaps' => sub {
    my @steps = (['127.0.0.1:P'], ['P'], ['0.0.0.0:P'], ['127.0.0.1:P'],
        ['127.0.0.1:P', '127.0.0.2:P'], ['*:P'], ['127.0.0.2:P', '127.0.0.1:P'],
        ['0.0.0.0:P']);
    push @steps, ['0.0.0.0:P', '[::]:P'], ['P'], ['[::1]:P', '127.0.0.1:P'],
        ['[::]:P', '127.0.0.1:P'], ['P'] if $v6;
    for my $step (@steps) {
        s/P$/%%PORT_p%%/ for @$step;
    }
    my $s = Test::Linnet->new(config => config($steps[0]));
    $s->start;
    my $p = $s->port('p');
    my $c = $s->connect('p');
    for my $step (@steps) {
        my ($exit, $out, $err) = $s->reload(config($step));
        my $name = join(' and ', @$step) =~ s/%%PORT_p%%/P/gr;
        is($exit, 0, "to $name") or diag $err;
        ok($s->echoes('p'), '... serves');
        ok($s->echoes(['::1', $p]), '... IPv6, too')
            if $v6 && $name =~ /^P|\[::1?\]|\*/;
        ok(wait_for(sub { listeners($s) == @$step }, 5, 'the others to go'),
            '... on nothing else');
        $c->write('still');
        is($c->read_exact(5, 5), 'still', '... and a client stays');
    }
    $s->finish;
};

subtest 'a reload that fails' => sub {
    my $trouble = Test::Linnet::Build::module('trouble');
    my $with = sub {
        # Workers that are root can read the file whatever the umask was.
        return config(@_) =~ s/\n\n/\nuser =\nload_module = $trouble\n\n/r
            . "\n[trouble]\nfile = run/trouble\n";
    };
    my $s = Test::Linnet->new(config => $with->('%%PORT_p%%'));
    $s->start;
    my $generation = $s->status->{generation};
    my $c = $s->connect('p');

    spew($s->path('run/trouble'), "hang\n");
    $s->write_config($with->('127.0.0.1:%%PORT_p%%')
            =~ s/^workers/start_timeout = 2s\nworkers/mr);
    my $pid = $s->ctl_background('reload');
    my $served = 0;
    my $ended;
    wait_for(sub {
        $served++ if $s->echoes('p');
        $ended = waitpid($pid, POSIX::WNOHANG()) == $pid;
        return $ended;
    }, 20, 'the reload to fail') or kill KILL => $pid;
    is($? >> 8, 1, 'a reload whose workers hang fails');
    cmp_ok($served, '>', 3, '... and clients were served meanwhile');
    my $now = $s->status;
    is($now->{generation}, $generation, '... by the same generation');

    spew($s->path('run/trouble'), "fail\n");
    for my $to ('127.0.0.1:%%PORT_p%%', '0.0.0.0:%%PORT_p%%') {
        my ($exit, $out, $err) = $s->reload($with->($to));
        is($exit, 1, 'one whose workers fail');
        ok($s->echoes('p'), '... the old address is served');
        is(listeners($s), 1, '... and no other');
    }
    spew($s->path('run/trouble'), "ok\n");
    my ($exit, $out, $err) = $s->reload($with->('127.0.0.1:%%PORT_p%%'));
    is($exit, 0, 'and one that succeeds') or diag $err;
    ok($s->echoes('p'), '... serves');
    $c->write('still');
    is($c->read_exact(5, 5), 'still', '... and a client stayed all the time');
    $s->finish;
};

subtest 'another program is there, too' => sub {
    my $s = Test::Linnet->new(config => config('127.0.0.1:%%PORT_p%%'));
    my $other = kernel_listens($s->expand('127.0.0.2:%%PORT_p%%'))
        or die "127.0.0.2: $!";
    $s->start;
    my $p = $s->port('p');
    my ($exit, $out, $err) = $s->reload(config('%%PORT_p%%'));
    is($exit, 1, 'a reload to all addresses fails');
    like($err, qr/server\.ini:6: .*\*:$p\b.*in use/i, '... with the reason');
    ok($s->echoes('p'), '... what was served still is');
    close $other;
    ($exit, $out, $err) = $s->reload;
    is($exit, 0, 'it succeeds when that program is gone') or diag $err;
    $s->finish;
};

subtest 'a unix socket in another spelling' => sub {
    my $s = Test::Linnet->new(config => config('unix:run/x.sock'),
        copy_binary => 1);
    symlink $s->path('run'), $s->path('link') or die $!;
    $s->start;
    my $path = $s->path('run/x.sock');
    my $inode = (stat $path)[1];
    my $c = $s->connect('unix:x');
    for my $to ('unix:run/./x.sock', "unix:%%PREFIX%%/run/x.sock",
        'unix:link/x.sock', 'unix:run/x.sock') {
        my ($exit, $out, $err) = $s->reload(config($to));
        is($exit, 0, "a reload to $to") or diag $err;
        is((stat $path)[1], $inode, '... keeps the file');
        ok($s->echoes('unix:x'), '... serves');
    }
    $s->write_config(config('unix:link/x.sock'));
    my ($exit, $out, $err) = $s->ctl('upgrade');
    is($exit, 0, 'an upgrade') or diag $err;
    is((stat $path)[1], $inode, '... keeps the file');
    ok($s->echoes('unix:x'), '... serves');
    $c->write('still');
    is($c->read_exact(5, 5), 'still', 'a client stayed all the time');
    is($s->stop, 0, 'stopped');
    ok(!-e $path, 'the file is gone');
    $s->finish;
};

subtest 'an upgrade to what overlaps' => sub {
    my $s = Test::Linnet->new(config => config('127.0.0.1:%%PORT_p%%'),
        copy_binary => 1);
    $s->start;
    my $p = $s->port('p');
    my $c = $s->connect('p');
    my $old = $s->status->{pid};

    $s->write_config(config('%%PORT_p%%') . "\n[log]\nerror = logs\n");
    my ($exit, $out, $err) = $s->ctl('upgrade');
    is($exit, 1, 'one that fails');
    is($s->status->{pid}, $old, '... leaves the old one');
    ok($s->echoes('p'), '... which serves');
    is(listeners($s), 1, '... what it served');

    for my $to ('%%PORT_p%%', '0.0.0.0:%%PORT_p%%', '127.0.0.1:%%PORT_p%%') {
        $old = $s->status->{pid};
        $s->write_config(config($to));
        ($exit, $out, $err) = $s->ctl('upgrade');
        is($exit, 0, "to $to") or diag $err;
        ok(wait_for(sub { $s->echoes('p') }, 2, 'an answer'),
            '... serves at once');
        ok(wait_for(sub {
            my $now = $s->status;
            return $now && $now->{pid} != $old && !proc_alive($old);
        }, 10, 'the new one alone'), '... a new server runs');
        ok($s->echoes('p'), '... serves');
        ok(wait_for(sub { listeners($s) == 1 }, 5, 'the other to go'),
            '... on nothing else');
        $c->write('still');
        is($c->read_exact(5, 5), 'still', '... and a client stays');
    }
    $s->finish;
};

$t->finish;
done_testing;
