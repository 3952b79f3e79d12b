package Test::Linnet::Stream;

# One client connection, read with deadlines.  Whatever arrives while it writes
# is kept, so that neither side can wait for the other for ever.

use strict;
use warnings;

use Carp qw(croak);
use Errno qw(EAGAIN EINTR EINPROGRESS);
use Fcntl;
use IO::Handle;
use IO::Select;
use Socket qw(:DEFAULT IPPROTO_TCP TCP_NODELAY getaddrinfo SO_ERROR);
use Time::HiRes qw(time);

sub _factor { return $ENV{TEST_TIME_FACTOR} || 1 }

# host and port, or path; from: source address; rcvbuf: bytes.
sub connect
{
    my ($class, %o) = @_;
    my $s = $class->try_connect(%o);
    croak 'connect to ' . ($o{path} // "$o{host}:$o{port}") . ": $!"
        unless $s;
    return $s;
}

# The same, but undef with $! set when it fails.
sub try_connect
{
    my ($class, %o) = @_;
    my ($sock, $addr);
    if (defined $o{path}) {
        socket $sock, PF_UNIX, SOCK_STREAM, 0 or return;
        $addr = pack_sockaddr_un($o{path});
    } else {
        my ($err, @res) = getaddrinfo($o{host}, $o{port},
            { socktype => SOCK_STREAM, flags => Socket::AI_NUMERICHOST() });
        croak "$o{host}: $err" if $err;
        socket $sock, $res[0]{family}, SOCK_STREAM, 0 or return;
        setsockopt $sock, IPPROTO_TCP, TCP_NODELAY, 1;
        if ($o{from}) {
            bind $sock, sockaddr_in(0, inet_aton($o{from})) or return;
        }
        $addr = $res[0]{addr};
    }
    setsockopt $sock, SOL_SOCKET, SO_RCVBUF, $o{rcvbuf} if $o{rcvbuf};
    CORE::connect $sock, $addr or return;
    $sock->blocking(0);
    return bless { sock => $sock, in => '', eof => 0, error => 0 }, $class;
}

sub handle { return $_[0]{sock} }

# What has arrived and was not taken yet.
sub pending { return $_[0]{in} }

# Writes everything, reading meanwhile; false when the peer is gone.
sub write
{
    my ($self, $bytes, $timeout) = @_;
    my $end = time + ($timeout // 20) * _factor();
    my $done = 0;
    while ($done < length $bytes) {
        my $n = syswrite $self->{sock}, $bytes, 262144, $done;
        if (defined $n) {
            $done += $n;
            next;
        }
        next if $! == EINTR;
        return if $! != EAGAIN;
        return if time > $end;
        my $fd = fileno $self->{sock};
        my $r = my $w = '';
        vec($w, $fd, 1) = 1;
        vec($r, $fd, 1) = 1 unless $self->{eof};
        select $r, $w, undef, 0.5;
        $self->_read if !$self->{eof} && vec $r, $fd, 1;
    }
    return 1;
}

# No more from us; the peer sees the end of the stream.
sub shutdown_write { return shutdown $_[0]{sock}, 1 }

# Closes; with hard, by a reset.
sub close
{
    my ($self, $hard) = @_;
    return unless $self->{sock};
    setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)
        if $hard;
    close $self->{sock};
    delete $self->{sock};
    return;
}

# One read of what is there; false when nothing was.
sub _read
{
    my ($self) = @_;
    my $n = sysread $self->{sock}, $self->{in}, 262144, length $self->{in};
    return $n if $n;
    if (defined $n) {
        $self->{eof} = 1;
    } elsif ($! != EAGAIN && $! != EINTR) {
        $self->{eof} = 1;
        $self->{error} = 0 + $!;
    }
    return;
}

# Waits for more bytes until the absolute time; false when none will come.
sub fill
{
    my ($self, $end) = @_;
    return if $self->{eof} || !$self->{sock};
    while (1) {
        my $left = $end - time;
        $left = 0 if $left < 0;
        my $r = '';
        vec($r, fileno $self->{sock}, 1) = 1;
        my $n = select $r, undef, undef, $left;
        return $self->_read ? 1 : $self->{eof} ? undef : 1 if $n > 0;
        return if $n == 0;
        return if $! != EINTR;
    }
    return;
}

sub _deadline { return time + ($_[1] // 10) * _factor() }

# Exactly n bytes, or undef (what came is still pending).
sub read_exact
{
    my ($self, $n, $timeout) = @_;
    my $end = $self->_deadline($timeout);
    while (length $self->{in} < $n) {
        $self->fill($end) or return;
    }
    return substr $self->{in}, 0, $n, '';
}

# Up to and with the first match of the pattern (or text), or undef.
sub read_until
{
    my ($self, $what, $timeout) = @_;
    my $end = $self->_deadline($timeout);
    my $re = ref $what ? $what : qr/\Q$what\E/;
    while (1) {
        return substr $self->{in}, 0, $+[0], '' if $self->{in} =~ $re;
        $self->fill($end) or return;
    }
    return;
}

# A line without its end, or undef.
sub line
{
    my ($self, $timeout) = @_;
    my $line = $self->read_until("\n", $timeout) // return;
    $line =~ s/\r?\n$//;
    return $line;
}

# Everything until the peer closes; undef when it does not in time.
sub read_all
{
    my ($self, $timeout) = @_;
    my $end = $self->_deadline($timeout);
    1 while $self->fill($end);
    return unless $self->{eof};
    my $all = $self->{in};
    $self->{in} = '';
    return $all;
}

# Whether the peer closes in time, whatever it says before.
sub closed
{
    my ($self, $timeout) = @_;
    my $end = $self->_deadline($timeout);
    1 while $self->fill($end);
    return $self->{eof} ? 1 : '';
}

# The error the read side ended with (ECONNRESET ...), 0 for a plain end.
sub error { return $_[0]{error} }

# Whether nothing arrives for this long.
sub silent
{
    my ($self, $seconds) = @_;
    return if length $self->{in};
    return !$self->fill(time + $seconds) && !$self->{eof};
}

# Whether an echo behind it still answers.
sub echoes
{
    my ($self, $timeout) = @_;
    return 0 unless $self->write('hello');
    return ($self->read_exact(5, $timeout // 5) // '') eq 'hello' ? 1 : 0;
}

# One HTTP response: {status, reason, version, headers (lower case), raw_head,
# body}; undef when it does not come whole.  head: it answers a HEAD.
sub http_response
{
    my ($self, %o) = @_;
    my $end = $self->_deadline($o{timeout});
    my $head = $self->read_until("\r\n\r\n", $o{timeout}) // return;
    my ($first, @lines) = split /\r\n/, $head;
    my ($version, $status, $reason) =
        $first =~ m{^HTTP/(1\.[01]) (\d\d\d) ?(.*)$} or return;
    my %h;
    for my $line (@lines) {
        my ($k, $v) = $line =~ /^([^:\s]+):[ \t]*(.*?)[ \t]*$/ or return;
        $k = lc $k;
        $h{$k} = exists $h{$k} ? "$h{$k}, $v" : $v;
    }
    my $body = '';
    if ($o{head} || $status =~ /^1|^204$|^304$/) {
        # no body
    } elsif (defined $h{'content-length'}) {
        $body = $self->read_exact($h{'content-length'}, $end - time) // return;
    } elsif (($h{'transfer-encoding'} // '') =~ /chunked/i) {
        while (1) {
            my $size = $self->line($end - time) // return;
            my $n = hex(($size =~ /^([0-9a-fA-F]+)/)[0] // return);
            my $part = $self->read_exact($n + 2, $end - time) // return;
            last if $n == 0;
            $body .= substr $part, 0, $n;
        }
    } else {
        $body = $self->read_all($end - time) // return;
    }
    return { version => $version, status => $status, reason => $reason,
        headers => \%h, raw_head => $head, body => $body };
}

1;

__END__

=head1 NAME

Test::Linnet::Stream - a client connection for tests

=head1 DESCRIPTION

C<connect(host, port)> or C<connect(path)>, and C<try_connect> which does not
die. C<write>, C<read_exact($n, $timeout)>, C<read_until($pattern, $timeout)>,
C<line($timeout)>, C<read_all($timeout)>, C<closed($timeout)>,
C<silent($seconds)>, C<echoes($timeout)>, C<http_response(head =E<gt> 1, timeout =E<gt> 5)>,
C<shutdown_write>, C<close($hard)>, C<error>, C<pending>. All readers give
undef when their time is over (10 s, times TEST_TIME_FACTOR) or the peer
closed before.

=cut
