package Test::Linnet::Driver;

# A node program under t/node/ that plays clients: it says JSON lines on its
# standard output and reads words on its standard input.  What a line means is
# between the program and the test.

use strict;
use warnings;

use Carp qw(croak);
use IO::Handle;
use JSON::PP ();
use POSIX qw(:sys_wait_h);
use Socket;
use Time::HiRes qw(sleep time);

use Test::Linnet::Stream;

our @ISA = qw(Test::Linnet::Stream);

my $JSON = JSON::PP->new->utf8;

# Why the drivers cannot run here; undef when they can.
sub missing
{
    my ($class, $top) = @_;
    system('command -v node >/dev/null 2>&1') == 0
        or return 'node is not installed (auto/deps test)';
    -d "$top/t/node/node_modules/ws"
        or return 'npm ws is not installed (auto/deps test)';
    return;
}

sub start
{
    my ($class, $script, @args) = @_;
    return $class->launch('node', $script, @args);
}

# Any program that talks so.
sub launch
{
    my ($class, @command) = @_;
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or croak "socketpair: $!";
    my $pid = fork // croak "fork: $!";
    if (!$pid) {
        CORE::close $ours;
        open STDIN,  '<&', $theirs or POSIX::_exit(126);
        open STDOUT, '>&', $theirs or POSIX::_exit(126);
        exec @command or POSIX::_exit(127);
    }
    CORE::close $theirs;
    $ours->blocking(0);
    return bless { sock => $ours, in => '', eof => 0, error => 0,
        pid => $pid, owner => $$, script => $command[1] }, $class;
}

# The next event that the driver tells; undef when none comes in time.
sub event
{
    my ($self, $timeout) = @_;
    my $line = $self->line($timeout) // return;
    my $e = eval { $JSON->decode($line) };
    croak "$self->{script} said: $line" unless ref $e eq 'HASH';
    return $e;
}

# Skips to the event of that name.
sub wait_event
{
    my ($self, $name, $timeout) = @_;
    my $end = time + ($timeout // 10);
    while ((my $left = $end - time) > 0) {
        my $e = $self->event($left) // return;
        return $e if $e->{event} eq $name;
    }
    return;
}

sub say { return $_[0]->write("$_[1]\n") }

# Nothing more will be said to it.
sub finish_input { shutdown $_[0]{sock}, 1; return }

# Its exit status, killed when it does not end in time.
sub finish
{
    my ($self, $timeout) = @_;
    return unless $self->{pid};
    shutdown $self->{sock}, 1 if $self->{sock};
    my $end = time + ($timeout // 10) * ($ENV{TEST_TIME_FACTOR} || 1);
    my $got;
    while (($got = waitpid $self->{pid}, WNOHANG) == 0 && time < $end) {
        sleep 0.01;
    }
    my $exit = $?;
    if ($got == 0) {
        kill KILL => $self->{pid};
        waitpid $self->{pid}, 0;
        $exit = 9;
    }
    delete $self->{pid};
    return WIFSIGNALED($exit) ? 128 + WTERMSIG($exit) : WEXITSTATUS($exit);
}

sub DESTROY
{
    my ($self) = @_;
    return if $$ != $self->{owner} || !$self->{pid};
    local ($@, $?, $!);
    kill KILL => $self->{pid};
    waitpid $self->{pid}, 0;
    return;
}

1;

__END__

=head1 NAME

Test::Linnet::Driver - a node program as a crowd of clients

=head1 DESCRIPTION

C<start($script, @args)>, or C<launch($program, @args)> for one that is not
node's; C<event($timeout)> and C<wait_event($name,
$timeout)> read the JSON lines that it prints (each has a key C<event>);
C<say($word)> writes a line to it; C<finish($timeout)> closes its input and
gives its exit status.

=cut
