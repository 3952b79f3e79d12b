package Test::Linnet::Environment;

# The same surroundings for every test, however restrictive or unusual those
# are that it was started in: umask, locale, time zone, signals, standard
# input, environment variables, HOME, and a folder for temporary files.  Loading
# the module sets them, for the test and for everything it starts.  A test that
# is about one of these sets it itself, afterwards.

use strict;
use warnings;

use Cwd qw(abs_path);
use Exporter qw(import);
use File::Temp ();
use POSIX ();

our @EXPORT_OK = qw(tmp_root fit_for_temporary_files);

# A unix socket's path has 107 bytes at most; tests need about 60 of them.
use constant LONGEST_TMP => 48;

# Variables that change what make, perl, python, node, curl, the shell or the
# server do.  Proxies: all that tests connect to is on this machine.
my @DROPPED = qw(
    BASH_ENV CDPATH ENV GNUMAKEFLAGS GREP_OPTIONS LANG LANGUAGE LD_PRELOAD
    LINNET_HANDOVER LISTEN_FDS LISTEN_FDNAMES LISTEN_PID MAKEFILES MAKEFLAGS
    MAKELEVEL MFLAGS NODE_OPTIONS NODE_PATH NOTIFY_SOCKET PERL5OPT
    PERL_UNICODE POSIXLY_CORRECT PYTHONHOME PYTHONPATH PYTHONWARNINGS
    WATCHDOG_PID WATCHDOG_USEC
);
my $DROPPED = qr/^(?: LC_\w+ | (?:https?|ftp|all)_proxy )$/xi;

# Tools of administrators are not in everybody's PATH.
my @FOLDERS = qw(/usr/local/sbin /usr/local/bin /usr/sbin /usr/bin /sbin /bin);

my $OWNER = $$;
my $tmp_root;
my $home;

# ---- what loading does ---------------------------------------------------

sub set_all
{
    umask 022;
    _set_variables();
    _set_signals();
    _open_standard_files();
    $tmp_root = _choose_tmp_root();
    $ENV{TMPDIR} = $tmp_root;
    _set_home();
    return;
}

sub _set_variables
{
    delete @ENV{ @DROPPED, grep { /$DROPPED/ } keys %ENV };
    $ENV{LC_ALL} = 'C';
    $ENV{TZ} = 'UTC';
    $ENV{no_proxy} = '*';
    POSIX::setlocale(POSIX::LC_ALL(), 'C');
    POSIX::tzset();
    my @path = grep { length } split /:/, $ENV{PATH} // '';
    my %have = map { $_ => 1 } @path;
    $ENV{PATH} = join ':', @path, grep { !$have{$_} } @FOLDERS;
    return;
}

# An ignored or blocked signal is handed down to every program that is started.
sub _set_signals
{
    POSIX::sigprocmask(POSIX::SIG_SETMASK(), POSIX::SigSet->new);
    for my $name (qw(HUP INT QUIT TERM PIPE CHLD USR1 USR2 ALRM TSTP TTIN
        TTOU WINCH XFSZ)) {
        $SIG{$name} = 'DEFAULT' if ($SIG{$name} // '') eq 'IGNORE';
    }
    return;
}

# Standard input is empty: no test waits for a person.
sub _open_standard_files
{
    open STDIN, '<', '/dev/null' or die "/dev/null: $!\n";
    open STDOUT, '>', '/dev/null' unless defined fileno STDOUT;
    open STDERR, '>', '/dev/null' unless defined fileno STDERR;
    return;
}

# Browsers and npm keep files there.
sub _set_home
{
    return
        if defined $ENV{HOME} && -d $ENV{HOME} && -w _ && -x _;
    $home = File::Temp->newdir('linnet-home-XXXXXX', DIR => $tmp_root);
    $ENV{HOME} = $home->dirname;
    return;
}

# ---- temporary files -----------------------------------------------------

# Where tests make their folders.  Workers and servers that run as another user
# reach what is below it.
sub tmp_root { return $tmp_root }

sub _choose_tmp_root
{
    my $wanted = $ENV{TEST_TMPDIR} // $ENV{TMPDIR};
    my @reasons;
    for my $folder (grep { defined && length } $wanted, '/tmp', '/var/tmp',
        '/dev/shm') {
        my $why = fit_for_temporary_files($folder);
        return $folder if !defined $why;
        push @reasons, "$folder $why";
    }
    die join("\n  ", 'There is no folder for temporary files:', @reasons),
        "\nSet TEST_TMPDIR to a folder that suits.\n";
}

# Why tests cannot have their files there; undef when they can.
sub fit_for_temporary_files
{
    my ($folder) = @_;
    return 'is no absolute path' if $folder !~ m{^/};
    return 'has characters that configure refuses'
        if $folder =~ m{[^A-Za-z0-9_./@%+,:=~-]};
    return 'is too long for the path of a unix socket'
        if length $folder > LONGEST_TMP;
    return 'is no folder' if !-d $folder;
    my $real = abs_path($folder) // $folder;
    for (my $at = $real;; $at =~ s{/[^/]*$}{}) {
        my $path = length $at ? $at : '/';
        my $mode = (stat $path)[2] // 0;
        return "cannot be used by other users: $path has mode "
            . sprintf('%04o', $mode & 07777)
            if !($mode & 0001);
        last if $path eq '/';
    }
    my $file = eval {
        File::Temp->new(TEMPLATE => 'linnet-XXXXXX', DIR => $folder);
    };
    return 'cannot be written to' if !$file;
    print {$file} "#!/bin/sh\nexit 0\n" or return "cannot be written to: $!";
    close $file or return "cannot be written to: $!";
    chmod 0700, $file->filename;
    return 'is mounted so that programs do not run from it'
        if system($file->filename) != 0;
    return;
}

# File::Temp would remove it in children, too.
END { undef $home if $$ == $OWNER && $home }

set_all();

1;

__END__

=head1 NAME

Test::Linnet::Environment - the same surroundings for every test

=head1 DESCRIPTION

Loading it sets umask 022, C<LC_ALL=C>, C<TZ=UTC>, default actions for signals
that were ignored and an empty signal mask, F</dev/null> as standard input, a
C<PATH> with the F<sbin> folders, a C<HOME> that can be written to, and a
C<TMPDIR> that every user can reach; and removes variables that change what
make, perl, node, python, curl or the server do.

C<tmp_root> is the folder for temporary files: C<$TEST_TMPDIR> or C<$TMPDIR> if
every user can search it, its path is short enough for unix sockets and programs
may run from it; else the first of F</tmp>, F</var/tmp> and F</dev/shm> of which
this is true.  C<fit_for_temporary_files($folder)> says why a folder is not
used, or undef.

L<Test::Linnet> and L<Test::Programs> load it; a test that uses neither loads it
itself.

=cut
