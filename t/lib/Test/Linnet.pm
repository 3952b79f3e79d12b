package Test::Linnet;

# Runs a linnet server for a test: its own prefix, free ports, readiness by
# the control socket, and at the end the checks that every test owes: nothing
# left running, no alert in a log, no sanitizer report.  What a client says
# is for Test::Linnet::Stream and Test::Linnet::WebSocket.

use strict;
use warnings;

use Carp qw(croak);
use Cwd qw(abs_path);
use Exporter qw(import);
use File::Basename qw(dirname basename);
use File::Glob qw(bsd_glob);
use File::Path qw(make_path remove_tree);
use File::Temp ();
use JSON::PP ();
use POSIX qw(:sys_wait_h);
use Socket qw(:DEFAULT);
use Test::More ();
use Time::HiRes qw(sleep time);

use Test::Linnet::Environment qw(tmp_root);
use Test::Linnet::Events;
use Test::Linnet::Stream;
use Test::Linnet::WebSocket;

our @EXPORT = qw(wait_for time_factor free_port run_command slurp spew
    proc_alive proc_rss proc_own proc_cpu fd_count files_allowed
    skip_without_files repo_top);

my $SANITIZER = qr/AddressSanitizer|LeakSanitizer|ThreadSanitizer
    |MemorySanitizer|UndefinedBehaviorSanitizer|runtime\ error:/x;
my $TOP = abs_path(dirname(__FILE__) . '/../../..');
my $OWNER = $$;
my %live;      # address => server, to be finished in END
my %used_port; # never the same port twice in one test

# ---- plain helpers -------------------------------------------------------

sub repo_top { return $TOP }

# Everybody here multiplies by the variable; sanitized builds are slow.
$ENV{TEST_TIME_FACTOR} ||= $ENV{LINNET_SANITIZE} ? 3 : 1;

sub time_factor { return $ENV{TEST_TIME_FACTOR} }

sub wait_for
{
    my ($check, $timeout, $what) = @_;
    my $begin = time;
    my $limit = ($timeout // 10) * time_factor();
    while (1) {
        my $got = $check->();
        return $got if $got;
        last if time - $begin > $limit;
        sleep 0.015;
    }
    Test::More::diag(sprintf 'waited %.1f s in vain: %s', time - $begin,
        $what // 'no name given');
    return;
}

sub slurp
{
    my ($path) = @_;
    open my $fh, '<:raw', $path or return '';
    local $/;
    return scalar(<$fh>) // '';
}

sub spew
{
    my ($path, $text) = @_;
    make_path(dirname($path));
    open my $fh, '>:raw', $path or croak "$path: $!";
    print {$fh} $text;
    close $fh or croak "$path: $!";
    return $path;
}

# Outgoing connections take their ports from the ephemeral range; a port below
# it cannot be taken by one of them between here and the server's bind.
sub free_port
{
    my $host = shift // '127.0.0.1';
    my ($low) = slurp('/proc/sys/net/ipv4/ip_local_port_range') =~ /^(\d+)/;
    $low = 32768 if !$low || $low < 12000;
    for my $try (1 .. 400) {
        my $port = 10240 + int rand($low - 10240);
        next if $used_port{$port};
        socket(my $s, PF_INET, SOCK_STREAM, 0) or croak "socket: $!";
        next unless bind $s, sockaddr_in($port, inet_aton($host));
        next unless listen $s, 1;
        # Tests that run side by side: a name that nobody else can have while
        # this one lives.
        socket(my $claim, PF_UNIX, SOCK_DGRAM, 0) or croak "socket: $!";
        next
            if !bind($claim, pack_sockaddr_un("\0linnet-test-port-$port"))
            && $!{EADDRINUSE};
        close $s;
        $used_port{$port} = $claim;
        return $port;
    }
    croak 'no free port found';
}

sub proc_alive
{
    my ($pid) = @_;
    my ($state) = slurp("/proc/$pid/stat") =~ /\)\s+(\S)/;
    return defined $state && $state !~ /[ZX]/;
}

# Bytes resident; seconds of CPU used; open descriptors.
sub proc_rss
{
    my ($kb) = slurp("/proc/$_[0]/status") =~ /^VmRSS:\s+(\d+)/m;
    return ($kb // 0) * 1024;
}

# Those of them that no other process has, nor a file; undef when it is gone.
sub proc_own
{
    my ($kb) = slurp("/proc/$_[0]/status") =~ /^RssAnon:\s+(\d+)/m;
    return defined $kb ? $kb * 1024 : undef;
}

sub proc_cpu
{
    my (undef, $rest) = split /\) /, slurp("/proc/$_[0]/stat"), 2;
    my @f = split ' ', $rest // '';
    return @f > 12 ? ($f[11] + $f[12]) / POSIX::sysconf(POSIX::_SC_CLK_TCK())
                   : 0;
}

sub fd_count
{
    opendir my $d, "/proc/$_[0]/fd" or return 0;
    return scalar grep { /^\d+$/ } readdir $d;
}

# How many descriptors this process, and what it starts, may have.
sub files_allowed
{
    my ($n) = slurp('/proc/self/limits') =~ /^Max open files\s+(\d+)/m;
    return $n // 1 << 30;
}

# Leaves a test out where so many cannot be open.
sub skip_without_files
{
    my ($n) = @_;
    my $allowed = files_allowed();
    Test::More::plan(skip_all => "$n open files are needed, $allowed are "
            . 'allowed here (ulimit -n)') if $allowed < $n;
    return;
}

# Runs a command to its end: (exit, stdout, stderr); exit is 128 + signal when
# a signal ended it, and -1 when the timeout (then it was killed) did.
sub run_command
{
    my $o = ref $_[0] eq 'HASH' ? shift : {};
    my @cmd = @_;
    my $out = File::Temp->new;
    my $err = File::Temp->new;
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        _in_child($o, $o->{stdin} // '/dev/null', $out->filename,
            $err->filename, @cmd);
    }
    my $begin = time;
    my $limit = ($o->{timeout} // 30) * time_factor();
    my $nap = 0.002;
    my $exit;
    while (!defined $exit) {
        my $got = waitpid $pid, WNOHANG;
        if ($got == $pid) {
            $exit = WIFSIGNALED($?) ? 128 + WTERMSIG($?) : WEXITSTATUS($?);
        } elsif (time - $begin > $limit) {
            kill KILL => $pid;
            waitpid $pid, 0;
            $exit = -1;
        } else {
            sleep $nap;
            $nap = 0.02 if ($nap *= 1.5) > 0.02;
        }
    }
    return ($exit, slurp($out->filename), slurp($err->filename));
}

sub _in_child
{
    my ($o, $in, $out, $err, @cmd) = @_;
    my $ok = eval {
        open STDIN,  '<',  $in  or die "$in: $!";
        open STDOUT, '>>', $out or die "$out: $!";
        open STDERR, '>>', $err or die "$err: $!";
        chdir $o->{cwd} or die "$o->{cwd}: $!" if $o->{cwd};
        _sanitizer_options($o->{reports});
        local @ENV{ keys %{ $o->{env} } } = values %{ $o->{env} }
            if $o->{env};
        if (defined $o->{user}) {
            my ($uid, $gid) = (getpwnam $o->{user})[2, 3];
            die "no user $o->{user}" unless defined $uid;
            $) = "$gid $gid";
            POSIX::setgid($gid) or die "setgid: $!";
            POSIX::setuid($uid) or die "setuid: $!";
        }
        if ($o->{ulimit}) { # "n 64", as sh takes it
            my $set = join '; ', map { "ulimit -$_" } @{ $o->{ulimit} };
            @cmd = ('/bin/sh', '-c', "$set; exec \"\$@\"", 'sh', @cmd);
        }
        no warnings 'exec';
        exec { $cmd[0] } @cmd or die "$cmd[0]: $!";
    };
    print STDERR $@ unless $ok;
    POSIX::_exit(127);
}

# Reports go to files of their own: a detached server has no standard error.
sub _sanitizer_options
{
    my ($folder) = @_;
    my $path = $folder ? ":log_path=$folder/report" : '';
    $ENV{ASAN_OPTIONS} = ($ENV{ASAN_OPTIONS} // 'exitcode=99') . $path;
    $ENV{UBSAN_OPTIONS} = ($ENV{UBSAN_OPTIONS}
            // 'print_stacktrace=1:halt_on_error=1') . $path;
    return;
}

# ---- a server ------------------------------------------------------------

sub binary
{
    my ($self) = @_;
    return $self->{binary} if ref $self && $self->{binary};
    my $path = $ENV{LINNET_BINARY}
        || ($ENV{LINNET_BUILD} || "$TOP/objs") . '/linnet';
    return abs_path($path) || $path;
}

sub new
{
    my ($class, %o) = @_;
    my $binary = $o{binary} // $class->binary;
    -x $binary
        or Test::More::BAIL_OUT("$binary is not there: run make, or name the "
            . 'binary in LINNET_BINARY');
    my $self = bless {
        %o,
        owner  => $$,
        prefix => File::Temp::tempdir('linnet-XXXXXX', DIR => tmp_root()),
        ports  => { %{ $o{ports} // {} } },
        expect => [],
        allow  => [],
    }, $class;
    chmod 0755, $self->{prefix};
    mkdir $self->path('sanitizer');
    chmod 01777, $self->path('sanitizer'); # workers are somebody else
    make_path(map { "$self->{prefix}/$_" } qw(conf logs run modules sbin));
    if (defined $o{user}) {
        # Who may not get at a build folder in somebody's home.
        make_path($self->path('built'));
        system('cp', $self->binary, $self->path('built/linnet')) == 0
            or croak 'cp ' . $self->binary;
        $self->{binary} = $self->path('built/linnet');
    }
    $self->install_binary if $o{copy_binary};
    $self->{conf} = "$self->{prefix}/conf/server.ini";
    $self->write_config($o{config}) if defined $o{config};
    for my $name (sort keys %{ $o{files} // {} }) {
        spew("$self->{prefix}/$name", $self->expand($o{files}{$name}));
    }
    if (defined $o{user}) {
        my ($uid, $gid) = (getpwnam $o{user})[2, 3];
        system 'chown', '-R', "$uid:$gid", $self->{prefix};
        chmod 01777, $self->path('sanitizer');
    }
    $live{ 0 + $self } = $self;
    _weaken_live($self);
    return $self;
}

sub _weaken_live
{
    my ($self) = @_;
    require Scalar::Util;
    Scalar::Util::weaken($live{ 0 + $self });
    return;
}

# A binary of the server's own, to be replaced while it runs; text: a script
# in its stead.
sub install_binary
{
    my ($self, $text) = @_;
    my $to = $self->path('sbin/linnet');
    my $from = $self->{original} //= $self->binary;
    unlink "$to.new";
    if (defined $text) {
        spew("$to.new", $text);
    } else {
        system('cp', $from, "$to.new") == 0 or croak "cp $from $to.new";
    }
    chmod 0755, "$to.new";
    rename "$to.new", $to or croak "rename $to: $!";
    return $self->{binary} = $to;
}

# The binary becomes that one.
sub replace_binary
{
    my ($self, $from) = @_;
    my $to = $self->path('sbin/linnet');
    system('cp', $from, "$to.new") == 0 or croak "cp $from $to.new";
    rename "$to.new", $to or croak "rename $to: $!";
    return;
}

sub prefix { return $_[0]{prefix} }

sub path { return "$_[0]{prefix}/$_[1]" }

sub conf_path { return $_[0]{conf} }

sub port
{
    my ($self, $name) = @_;
    return $self->{ports}{$name} //= free_port();
}

# Sections that most configurations have, by a line %%NAME%%.
my %SECTION = (
    LISTEN_web => <<'INI',
[listen web]
address = 127.0.0.1:%%PORT_web%%
protocol = http
INI
    LISTEN_echo => <<'INI',
[listen echo]
address = 127.0.0.1:%%PORT_echo%%
app = echo
INI
    LISTEN_lines => <<'INI',
[listen lines]
address = 127.0.0.1:%%PORT_lines%%
protocol = line
app = chat
INI
    ROUTE_chat => <<'INI',
[route chat]
listen = web
path = /chat
protocol = websocket
app = chat
INI
    ROUTE_echo => <<'INI',
[route echo]
listen = web
path = /echo
protocol = websocket
app = echo
INI
    ROUTE_events => <<'INI',
[route events]
listen = web
path = /events
protocol = sse
app = chat
INI
    ROUTE_page => <<'INI',
[route page]
listen = web
path = /
handler = static
root = www
INI
);

sub expand
{
    my ($self, $text) = @_;
    $text =~ s{^%%((?:LISTEN|ROUTE)_\w+)%%\n}
        {$SECTION{$1} // croak("no section $1")}gme;
    $text =~ s/%%PORT_(\w+)%%/$self->port($1)/ge;
    $text =~ s/%%UNIX_(\w+)%%/$self->{prefix}\/run\/$1.sock/g;
    $text =~ s/%%PREFIX%%/$self->{prefix}/g;
    $text =~ s/%%TOP%%/$TOP/g;
    $text =~ s/%%MODULE_(\w+)%%/$self->test_module($1)/ge;
    return $text;
}

# The path of t/modules/NAME, built and copied to where every user can read it:
# the build folder may be in somebody's home.
sub test_module
{
    my ($self, $name) = @_;
    my $to = $self->path("modules/$name.so");
    return $to if -e $to;
    require Test::Linnet::Build;
    my $from = Test::Linnet::Build::module($name);
    system('cp', $from, $to) == 0 or croak "cp $from $to";
    chmod 0755, $to;
    return $to;
}

sub write_config
{
    my ($self, $text) = @_;
    $text = $self->expand($text);
    $text = "[server]\nworkers = 2\n" . $text
        unless $text =~ /^\s*\[server\]/m;
    $text .= "\n[log]\nerror = logs/error.log\nlevel = info\n"
        unless $text =~ /^\s*\[log\]/m || $self->{bare_config};
    # Whole or not at all: a server may be reading it.
    spew("$self->{conf}.new", $text);
    rename "$self->{conf}.new", $self->{conf} or croak "rename: $!";
    return $text;
}

# A server starts from its own copy; commands come from the original, which
# is whole while that is being replaced.
sub command
{
    my ($self, @args) = @_;
    return ($self->{original} // $self->binary, '-p', $self->{prefix},
        '-c', $self->{conf}, @{ $self->{args} // [] }, @args);
}

# One run of the binary that ends by itself (-t, -v, -s stop ...).
sub run
{
    my ($self, @args) = @_;
    my $o = ref $args[0] eq 'HASH' ? shift @args : {};
    return run_command({ cwd => $self->{prefix}, env => $self->{env},
            user => $self->{user}, reports => $self->path('sanitizer'), %$o },
        $self->command(@args));
}

sub spawn
{
    my ($self, @args) = @_;
    croak 'the server runs already' if $self->{pid};
    my @command = ($self->command(@args));
    $command[0] = $self->binary;
    unshift @command, @{ $self->{front} // [] };
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        POSIX::setsid();
        _in_child({ cwd => $self->{prefix}, env => $self->{env},
                user => $self->{user}, ulimit => $self->{ulimit},
                reports => $self->path('sanitizer') },
            '/dev/null', $self->path('stdout.txt'),
            $self->path('stderr.txt'), @command);
    }
    $self->{pid} = $pid;
    delete $self->{exit};
    return $pid;
}

sub start
{
    my ($self, @args) = @_;
    $self->spawn(@args);
    $self->wait_ready(20)
        or croak "the server did not start\n" . $self->evidence;
    return $self;
}

# All workers ready, n of them when n is given, of generation g when given.
sub wait_ready
{
    my ($self, $timeout, $n, $generation) = @_;
    my $gone;
    my $ok = wait_for(
        sub {
            if ($self->{pid} && defined $self->reap) {
                return $gone = 1;
            }
            return unless -S $self->path('run/control.sock');
            my $s = $self->status or return;
            my @w = @{ $s->{workers} // [] } or return;
            return if grep { $_->{state} ne 'ready' } @w;
            return if defined $n && @w != $n;
            return if defined $generation
                && $s->{generation} != $generation;
            return 1;
        },
        $timeout // 10,
        'every worker ready'
    );
    if ($gone) {
        Test::More::diag('the master ended: exit ' . $self->{exit});
        return;
    }
    return $ok;
}

# Another master than the old one serves, all workers are ready, and the old one
# is gone.  workers: there are so many, and no other process.
sub wait_upgraded
{
    my ($self, $old, $workers) = @_;
    return wait_for(
        sub {
            $self->reap;
            my $s = $self->status or return;
            return if $s->{pid} == $old || proc_alive($old);
            my @w = @{ $s->{workers} };
            return if grep { $_->{state} ne 'ready' } @w;
            return 1 unless defined $workers;
            return @w == $workers && $self->processes == $workers + 1;
        },
        15,
        'the new master alone'
    );
}

# The exit of the process that was started, undef while it runs.
sub reap
{
    my ($self) = @_;
    return $self->{exit} unless $self->{pid};
    my $got = waitpid $self->{pid}, WNOHANG;
    return if $got == 0;
    $self->{exit} =
          $got < 0         ? -1
        : WIFSIGNALED($?)  ? 128 + WTERMSIG($?)
        :                    WEXITSTATUS($?);
    delete $self->{pid};
    return $self->{exit};
}

sub wait_exit
{
    my ($self, $timeout) = @_;
    my $done = wait_for(sub { defined $self->reap ? 'yes' : '' },
        $timeout // 15, 'the master to end');
    return $done ? $self->{exit} : undef;
}

# The pid that the pidfile names (the new master after an upgrade or a detach),
# else the process that was started.
sub master_pid
{
    my ($self) = @_;
    # The pids that it knows itself by may be those of another namespace.
    return (grep { $self->title($_) =~ /^linnet: master/ }
            $self->processes)[0] if $self->{front};
    my ($pid) = slurp($self->path('run/linnet.pid')) =~ /^(\d+)/;
    return $pid if $pid && proc_alive($pid);
    return $self->{pid};
}

sub signal
{
    my ($self, $name) = @_;
    my $pid = $self->master_pid or croak 'no master to signal';
    return kill $name => $pid;
}

sub stop
{
    my ($self, $signal, $timeout) = @_;
    $self->signal($signal // 'TERM');
    my $exit = $self->{pid} ? $self->wait_exit($timeout) : 0;
    wait_for(sub { !$self->processes }, $timeout // 15,
        'every process to end');
    return $exit;
}

sub ctl
{
    my ($self, @args) = @_;
    return $self->run('ctl', @args);
}

# Must work; gives what it says.
sub ctl_ok
{
    my ($self, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($exit, $out, $err) = $self->ctl(@args);
    Test::More::is($exit, 0, 'ctl ' . _short(@args))
        or Test::More::diag($err);
    return $out;
}

sub ctl_refused
{
    my ($self, $re, @args) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($exit, undef, $err) = $self->ctl(@args);
    Test::More::is($exit, 1, 'ctl ' . _short(@args) . ': refused');
    Test::More::like($err, $re, '... with the reason');
    return;
}

sub _short
{
    return join ' ', map { length > 40 ? substr($_, 0, 40) . '...' : $_ } @_;
}

# The pid of a process that exits as the command does.
sub ctl_background
{
    my ($self, @args) = @_;
    my $pid = fork // croak "fork: $!";
    POSIX::_exit(($self->ctl(@args))[0]) if !$pid;
    return $pid;
}

sub status
{
    my ($self) = @_;
    my ($exit, $out, $err) = $self->ctl('status', '--json');
    if ($exit != 0) {
        $self->{no_status} = "exit $exit: $err";
        return;
    }
    my $json = eval { JSON::PP->new->utf8->decode($out) };
    Test::More::diag("status is no JSON: $@\n$out") unless $json;
    return $json;
}

# The status once there is one: after somebody was killed.
sub wait_status
{
    my ($self, $timeout) = @_;
    return wait_for(sub { $self->status }, $timeout // 20, 'a status')
        // croak "no status: $self->{no_status}";
}

# Status entries of the workers in a state (default: ready).
sub workers
{
    my ($self, $state) = @_;
    my $s = $self->status or return;
    return grep { $_->{state} eq ($state // 'ready') } @{ $s->{workers} };
}

sub worker_pids { return map { $_->{pid} } $_[0]->workers }

# How many connections are where: pid => connections.
sub spread { return { map { $_->{pid} => $_->{connections} } $_[0]->workers } }

# A counter, of all workers that there ever were.
sub counter
{
    my ($self, $name) = @_;
    return ($self->status // {})->{counters}{$name} // 0;
}

sub reload
{
    my ($self, $text) = @_;
    $self->write_config($text) if defined $text;
    return $self->ctl('reload');
}

# Every process that runs the binary and has a file of the prefix open (all
# have standard error or a log there): pids.
sub processes
{
    my ($self) = @_;
    $self->reap;
    my $name = basename($self->binary);
    my @pids;
    opendir my $proc, '/proc' or croak "/proc: $!";
    for my $pid (grep { /^\d+$/ } readdir $proc) {
        my $exe = readlink "/proc/$pid/exe" or next;
        $exe =~ s/ \(deleted\)$//;
        next unless basename($exe) =~ /^\Q$name\E/;
        opendir my $fds, "/proc/$pid/fd" or next;
        for my $fd (grep { /^\d+$/ } readdir $fds) {
            my $to = readlink "/proc/$pid/fd/$fd" or next;
            next unless index($to, "$self->{prefix}/") == 0;
            push @pids, $pid if proc_alive($pid);
            last;
        }
    }
    return @pids;
}

# Who has the server's ends of the connections to a port: inode => [pids].
sub holders
{
    my ($self, $name) = @_;
    my $port = sprintf '%04X', $self->port($name);
    my %inode;
    open my $tcp, '<', '/proc/net/tcp' or croak "/proc/net/tcp: $!";
    while (<$tcp>) {
        my @f = split;
        # Established, or the peer has closed and we have not.
        $inode{$f[9]} = [] if $f[1] =~ /:$port$/ && $f[3] =~ /^0[18]$/;
    }
    for my $pid ($self->processes) {
        for my $fd (bsd_glob("/proc/$pid/fd/*")) {
            my ($i) = (readlink($fd) // '') =~ /^socket:\[(\d+)\]$/ or next;
            push @{ $inode{$i} }, $pid if $inode{$i};
        }
    }
    return \%inode;
}

sub title
{
    my ($self, $pid) = @_;
    my $text = slurp("/proc/$pid/cmdline");
    $text =~ s/\0+$//;
    $text =~ s/\0/ /g;
    return $text;
}

# ---- log -----------------------------------------------------------------

sub log_path { return $_[0]->path('logs/error.log') }

sub log_text
{
    my ($self) = @_;
    return substr slurp($self->log_path), $self->{log_mark} // 0;
}

# From here on log_text, log_like and log_unlike see new lines only.
sub log_mark
{
    my ($self) = @_;
    return $self->{log_mark} = -s $self->log_path // 0;
}

sub log_like
{
    my ($self, $re, $name, $timeout) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $ok = wait_for(sub { $self->log_text =~ $re }, $timeout // 5,
        "$re in the log");
    Test::More::ok($ok, $name // "the log has $re")
        or Test::More::diag($self->evidence);
    return $ok;
}

sub log_unlike
{
    my ($self, $re, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    return Test::More::unlike($self->log_text, $re,
        $name // "the log has no $re");
}

# expect: must be there at the end; allow: may be.
sub expect_alert { push @{ $_[0]{expect} }, $_[1]; return }

sub allow_alert { push @{ $_[0]{allow} }, $_[1]; return }

# The last lines of every text there is; of a sanitizer's report the first.
sub evidence
{
    my ($self) = @_;
    my $text = '';
    for my $file ($self->_texts) {
        my @lines = split /\n/, slurp($file);
        next unless @lines;
        my $part = '';
        if (@lines > 60) {
            my $first = index($file, '/sanitizer/') >= 0;
            @lines = $first ? @lines[0 .. 59] : @lines[-60 .. -1];
            $part = $first ? ' (first 60 lines)' : ' (last 60 lines)';
        }
        $text .= join "\n", "---- $file$part", @lines, '';
    }
    return $text;
}

sub _texts
{
    my ($self) = @_;
    my $p = $self->{prefix};
    return grep { -f } map { bsd_glob("$p/$_") }
        qw(stderr.txt stdout.txt logs/* sanitizer/*);
}

# ---- clients -------------------------------------------------------------

# A connection to a port by its name, "unix:NAME", or [host, port].
sub connect
{
    my ($self, $to, %o) = @_;
    my %where =
          ref $to              ? (host => $to->[0], port => $to->[1])
        : $to =~ /^unix:(\w+)/ ? (path => $self->path("run/$1.sock"))
        :                        (host => '127.0.0.1',
                                  port => $self->port($to));
    return Test::Linnet::Stream->connect(%where, %o);
}

# Whether nobody answers there.
sub port_free
{
    my ($self, $to) = @_;
    return !eval { $self->connect($to) };
}

# Whether a new connection to there is echoed; to: as connect has it.
sub echoes
{
    my ($self, $to, $timeout) = @_;
    my $c = eval { $self->connect($to // 'echo') } or return 0;
    return $c->echoes($timeout);
}

# An open WebSocket; dies when the handshake is refused.
sub websocket
{
    my ($self, $to, $path, %o) = @_;
    return Test::Linnet::WebSocket->connect(
        stream => $self->connect($to), path => $path, %o);
}

# A stream of server-sent events; dies when it is refused.
sub events
{
    my ($self, $to, $path, %headers) = @_;
    return Test::Linnet::Events->connect(stream => $self->connect($to),
        path => $path, headers => \%headers);
}

# One request on a connection of its own: {status, headers, body}.
sub http_get
{
    my ($self, $to, $path, %headers) = @_;
    my $s = $self->connect($to);
    %headers = (Host => 'localhost', Connection => 'close', %headers);
    $s->write("GET $path HTTP/1.1\r\n"
            . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
            . "\r\n");
    return $s->http_response;
}

# The sum of a metric over its labels; undef when there is none.
sub metric
{
    my ($self, $name, $to) = @_;
    my $r = $self->http_get($to // 'web', '/metrics');
    my $sum;
    $sum += $_ for ($r ? $r->{body} : '')
        =~ /^linnet_\Q$name\E(?:\{.*\})? (\d+)$/mg;
    return $sum;
}

# ---- the end -------------------------------------------------------------

# Stops what still runs and returns what was wrong, a list of texts.
sub problems
{
    my ($self) = @_;
    my @bad;
    if ($self->processes) {
        my $pid = $self->master_pid;
        kill TERM => $pid if $pid;
        my $exit = $self->{pid} ? $self->wait_exit(15) : 0;
        push @bad, 'the master ended with ' . ($exit // 'nothing at all')
            if !defined $exit || $exit != 0;
        wait_for(sub { !$self->processes }, 5, 'every process to end');
    }
    for my $pid ($self->processes) {
        push @bad, "left over: $pid " . $self->title($pid);
        kill KILL => $pid;
    }
    if ($self->{pid}) {
        kill KILL => $self->{pid};
        waitpid $self->{pid}, 0;
        delete $self->{pid};
    }
    my %seen;
    for my $file ($self->_texts) {
        open my $fh, '<:raw', $file or next;
        while (my $line = <$fh>) {
            chomp $line;
            push @bad, "$file: $line" if $line =~ $SANITIZER;
            next unless $line =~ /\[alert\]|"level"\s*:\s*"alert"/;
            my @known = grep { $line =~ $_ } @{ $self->{expect} };
            $seen{$_} = 1 for @known;
            next if @known || grep { $line =~ $_ } @{ $self->{allow} };
            push @bad, "$file: $line";
        }
    }
    push @bad, "no alert like $_" for grep { !$seen{$_} }
        @{ $self->{expect} };
    push @bad, "a core file: $_"
        for grep { -f } map { bsd_glob("$self->{prefix}/$_") }
        qw(core* */core*);
    return @bad;
}

sub finish
{
    my ($self, $name) = @_;
    return if $self->{finished}++;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @bad = $self->problems;
    delete $live{ 0 + $self };
    my $ok = Test::More::ok(!@bad,
        $name // 'nothing left over, no alert, no sanitizer report');
    if (!$ok) {
        my $more = @bad > 40 ? @bad - 40 : 0;
        $#bad = 39 if $more;
        Test::More::diag(join("\n", @bad, $more ? "... $more more" : ()));
        Test::More::diag($self->evidence);
    }
    $self->_remove;
    return $ok;
}

sub _remove
{
    my ($self) = @_;
    if ($ENV{TEST_KEEP}) {
        Test::More::diag("kept: $self->{prefix}");
    } else {
        remove_tree($self->{prefix}, { safe => 0 });
    }
    return;
}

# Without finish() the same checks are made here, and decide the exit status.
sub _finish_quietly
{
    my ($self) = @_;
    return 0 if $self->{finished}++;
    my @bad = $self->problems;
    Test::More::diag(join "\n", 'at the end:', @bad, $self->evidence) if @bad;
    $self->_remove;
    return scalar @bad;
}

my $late; # problems found after the plan was complete

sub DESTROY
{
    my ($self) = @_;
    return if $$ != $self->{owner} || $self->{finished};
    local ($@, $?, $!);
    $late++ if $self->_finish_quietly;
    return;
}

END {
    if ($$ == $OWNER) {
        my $exit = $?;
        alarm 0;
        for my $self (grep { defined } values %live) {
            $late++ if $self->_finish_quietly;
        }
        $? = $exit || ($late ? 1 : 0);
    }
}

# Nothing waits for ever; and what stops the test stops its servers.
$SIG{ALRM} = sub {
    Test::More::diag('the whole test took too long');
    for my $self (grep { defined } values %live) {
        Test::More::diag($self->evidence);
    }
    exit 1;
};
$SIG{$_} = sub { exit 1 } for grep { !$SIG{$_} } qw(INT TERM HUP);
$SIG{PIPE} = 'IGNORE';
alarm(($ENV{TEST_TIMEOUT} || 240) * time_factor());

1;

__END__

=head1 NAME

Test::Linnet - a linnet server for a test

=head1 SYNOPSIS

    use Test::More;
    use lib 't/lib';
    use Test::Linnet;

    my $t = Test::Linnet->new(config => <<'INI')->start;
    [server]
    workers = 2
    [listen echo]
    address = 127.0.0.1:%%PORT_echo%%
    app     = echo
    INI

    my $c = $t->connect('echo');
    $c->write("hello");
    is($c->read_exact(5), 'hello', 'echoed');
    my ($exit, $out, $err) = $t->ctl('reload');
    is($exit, 0, 'reloaded') or diag $err;

    $t->finish;       # one test: nothing left, no alert, no sanitizer report
    done_testing;

=head1 DESCRIPTION

Perl core modules only. The binary is C<$LINNET_BINARY>, else F<linnet> in
C<$LINNET_BUILD> (which C<make test> sets), else F<objs/linnet>.

=head2 The environment

=over

=item LINNET_BINARY, TEST_TIME_FACTOR, TEST_TIMEOUT

Which binary; by what all time limits are multiplied (sanitizer runs); after
how many seconds (times the factor) the whole test is given up, 240.

=item TEST_KEEP, TEST_TMPDIR

Keep the prefix folders; where they are made (see
L<Test::Linnet::Environment>, which also says what else every test can rely on).

=back

=head2 Test::Linnet->new(%options)

C<config>: the text of server.ini. C<%%PORT_x%%> becomes a free port on
127.0.0.1, the same for the same name; C<%%UNIX_x%%> a socket path in the
prefix; C<%%LISTEN_web%%>, C<%%ROUTE_chat%%> and the like, on a line alone, a
section that most tests have (see C<%SECTION>); C<%%PREFIX%%> and C<%%TOP%%> the
folders; C<%%MODULE_x%%> the path of
the dynamic module F<t/modules/x>, which is built if needed and copied into the
prefix, where any user can read it. Without a C<[server]>
section two workers are asked for; without C<[log]> the log goes to
F<logs/error.log> at level info (not with C<< bare_config => 1 >>).

C<files>: more files in the prefix, name to text. C<args>: arguments for every
run of the binary. C<env>: environment. C<binary>: another binary.
C<copy_binary>: run a copy in the prefix, which C<install_binary($script)>
replaces (by a fresh copy, or a script), and C<replace_binary($path)> by another
one. C<user>: run as this user (the test
must be root). C<ulimit>: list of limits as sh takes them (C<'n 64'>). C<front>: a command
that the server is started by, as its last arguments; with it, C<master_pid>
goes by the process titles, and the pids in C<status> may be those of another
namespace: never signal them.

=head2 Running

C<start(@args)> starts in the foreground and waits until every worker is
ready; dies with the log if that fails. C<spawn> does not wait.
C<wait_ready($timeout, $workers, $generation)>. C<wait_exit($timeout)>: exit
status (128 + signal) or undef. C<signal('HUP')> to the master.
C<stop($signal, $timeout)>: TERM by default, waits for every process; the exit
status. C<run(@args)>: one run that ends by itself: C<($exit, $stdout,
$stderr)>. C<ctl(@args)>: C<linnet ctl ...>, the same; C<ctl_ok(@args)> and
C<ctl_refused($re, @args)> test what becomes of it, C<ctl_background(@args)> gives
the pid of a process that does it. C<status>: C<ctl status
--json>, decoded. C<wait_status($timeout)>: the same once it is answered; dies
when it is not. C<workers($state)>: its workers in a state (ready).
C<worker_pids>. C<spread>: connections by pid. C<counter($name)>: of the status.
C<wait_upgraded($old_pid, $workers)>. C<master_pid>. C<processes>: pids of all processes of this
server. C<holders($port_name)>: which of them have the connections to it open,
pids by inode. C<title($pid)>. C<write_config($text)>, C<reload($text)>.

=head2 The log

C<log_text>, C<log_like($re, $name, $timeout)>, C<log_unlike($re, $name)>,
C<log_mark> (look only at what comes now). C<expect_alert($re)>: an alert like
this must be there at the end; C<allow_alert($re)>: may be.

=head2 Clients

C<connect($port_name)>: a L<Test::Linnet::Stream>; also C<'unix:NAME'> and
C<[$host, $port]>. C<websocket($port_name, $path, %options)>: a
L<Test::Linnet::WebSocket>. C<events($port_name, $path, %headers)>: a
L<Test::Linnet::Events>. C<http_get($port_name, $path, %headers)>:
C<{status, reason, headers, body}>. C<metric($name, $port_name)>: a sum of what
F</metrics> has. C<echoes($port_name, $timeout)>: whether a new connection to
there is echoed; C<port_free($port_name)>: whether there is none to be had.

=head2 Functions

C<wait_for($code, $timeout, $what)>: polls until the code is true and returns
its value; after the timeout (times the factor) says what it waited for and
returns nothing. Never sleep for a fixed time instead. C<run_command({timeout,
stdin, env, cwd, user, ulimit}, @command)>. C<free_port>, C<slurp>, C<spew>,
C<proc_alive>, C<proc_rss>, C<proc_own>, C<proc_cpu>, C<fd_count>, C<files_allowed>,
C<skip_without_files($n)>,
C<time_factor>, C<repo_top>.

=head2 The end

C<finish> stops the server and is one test: the master ended with 0, no
process is left, no log or standard error holds an alert that was not expected
or a sanitizer report, no core file lies about. Without it the same is checked
when the test ends, and a problem makes the test exit with 1.

=cut
