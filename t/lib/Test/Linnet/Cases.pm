package Test::Linnet::Cases;

# Cases of a conformance suite: what a client sends, and all that it must see
# until the connection has ended.  Every case is played in several ways that
# must make no difference: how bytes are cut into packets is nobody's business.

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);
use Exporter qw(import);
use List::Util qw(min sum);
use Test::More ();
use Time::HiRes qw(time);

use Test::Linnet::WebSocket;

our @EXPORT = qw(text binary more cont ping pong bye control bad seen_text
    seen_binary check_case full_scale);

my $WS = 'Test::Linnet::WebSocket';
my $OCTETS_MAX = 2000; # a packet for each byte, up to so many
my $CHOP = 997;        # else of so many

# Whether to take the original's counts instead of smaller ones.
sub full_scale { return $ENV{LINNET_TEST_FULL} ? 1 : 0 }

# ---- what is sent --------------------------------------------------------

# Frames: a whole message, the first or a middle fragment of one, its last.
sub text   { return $WS->frame_bytes(1, @_) }
sub binary { return $WS->frame_bytes(2, @_) }

sub more
{
    my ($op, $payload, @o) = @_;
    return $WS->frame_bytes($op, $payload, fin => 0, @o);
}

sub cont { return $WS->frame_bytes(0, @_) }

sub ping { return $WS->frame_bytes(9, @_) }
sub pong { return $WS->frame_bytes(10, @_) }

sub bye
{
    my ($code, $reason) = @_;
    return $WS->frame_bytes(8,
        defined $code ? pack('n', $code) . ($reason // '') : '');
}

sub control { return $WS->frame_bytes(@_) }

# A frame that is to be refused when its first n bytes are there.
sub bad
{
    my ($frame, $n) = @_;
    return [$frame, $n // length $frame];
}

# ---- what is seen --------------------------------------------------------

sub _shown
{
    my ($bytes) = @_;
    return sprintf '%d bytes %s', length $bytes, sha1_hex($bytes)
        if length $bytes > 100;
    $bytes =~ s/([^ -~]|\\)/sprintf '\\x%02x', ord $1/ge;
    return "\"$bytes\"";
}

sub seen_text   { return 'text ' . _shown($_[0]) }
sub seen_binary { return 'binary ' . _shown($_[0]) }

# The next thing that the server says.
sub _event
{
    my ($w, $timeout) = @_;
    my $f = $w->frame($timeout);
    if (!$f) {
        my $s = $w->stream;
        return 'nothing' if !$s->{eof};
        return length $s->pending ? 'half a frame' : $s->error ? 'reset'
            : 'end';
    }
    my ($op, $p) = @$f{qw(op payload)};
    return "fragment or reserved bits: $f->{fin} $f->{rsv}"
        if !$f->{fin} || $f->{rsv};
    return seen_text($p)          if $op == 1;
    return seen_binary($p)        if $op == 2;
    return 'ping ' . _shown($p)   if $op == 9;
    return 'pong ' . _shown($p)   if $op == 10;
    return "opcode $op"           if $op != 8;
    return 'close'                if length $p == 0;
    return 'close of one byte'    if length $p == 1;
    return 'close ' . unpack 'n', $p;
}

# ---- playing -------------------------------------------------------------

sub _send
{
    my ($w, $how, $bytes) = @_;
    my $chop = $how ne 'octets' ? length $bytes
        : length $bytes <= $OCTETS_MAX ? 1
        : $CHOP;
    for (my $at = 0; $at < length $bytes; $at += $chop) {
        $w->stream->write(substr($bytes, $at, $chop)) or return;
    }
    return 1;
}

# All that comes of it.  An item that is a text is sent; a hash
# with see is waited for, with quiet: nothing may come for so many seconds.
sub _play
{
    my ($w, $how, $items, $timeout) = @_;
    my (@seen, $held);
    ITEM: for my $item (@$items) {
        if (ref $item eq 'HASH') {
            push @seen, _event($w, $timeout) for 1 .. $item->{see} // 0;
            push @seen, 'something'
                if $item->{quiet} && !$w->stream->silent($item->{quiet});
            next;
        }
        my ($bytes, $n) = ref $item ? @$item : ($item);
        if ($how eq 'whole') {
            $held .= $bytes;
        } elsif ($how eq 'early' && ref $item) {
            _send($w, $how, substr $bytes, 0, $n);
            last ITEM;
        } else {
            # Who has failed us may be gone before the rest.
            _send($w, $how, $bytes) or last;
        }
    }
    _send($w, $how, $held) if defined $held;
    while (1) {
        push @seen, _event($w, $timeout);
        last if $seen[-1] =~ /^(?:nothing|end|reset|half)/;
    }
    return @seen;
}

# One test.  o: connect (gives a WebSocket), number, name, send (items), want
# (what is seen), timeout.  Without a close in what is wanted the client closes
# behind its last item.
sub check_case
{
    my (%o) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my @send = @{ $o{send} };
    my @want = @{ $o{want} };
    if (!grep { /^close/ } @want) {
        push @send, bye(1000);
        push @want, 'close 1000';
    }
    my $want = join ', ', @want;
    my $end = $o{end} // qr/^end$/;
    my @ways = $o{ways} ? @{ $o{ways} } : qw(frames octets);
    push @ways, 'whole' if !$o{ways} && !grep { ref eq 'HASH' } @send;
    push @ways, 'early' if grep { ref eq 'ARRAY' } @send;
    my $name = "$o{number}: $o{name}";
    for my $how (@ways) {
        my @seen = _play($o{connect}->(), $how, \@send, $o{timeout} // 10);
        my $last = pop @seen;
        my $seen = join ', ', @seen;
        next if $seen eq $want && $last =~ $end;
        $seen .= ", $last";
        my $mend = sub { length $_[0] > 900 ? substr($_[0], 0, 900) . '...'
                             : $_[0] };
        return Test::More::is($mend->($seen), $mend->($want),
            "$name ($how)");
    }
    return Test::More::pass($name);
}

1;

__END__

=head1 NAME

Test::Linnet::Cases - cases of a conformance suite, played over a socket

=head1 SYNOPSIS

    check_case(connect => sub { $t->websocket('web', '/echo') },
        number => '2.2', name => 'a ping', send => [ping('hello')],
        want => ['pong "hello"']);

=head1 DESCRIPTION

C<send> is a list of frames (C<text>, C<binary>, C<ping>, C<pong>, C<bye>,
C<control($op, $payload, ...)>, C<more($op, $payload)> for a fragment that is
not the last, C<cont> for the last), and of C<< { see => n } >> and
C<< { quiet => seconds } >>. C<bad($frame, $n)>: the server must refuse it as
soon as its first n bytes are there; it is played once more without the rest.
C<want> is all that the server says: C<text "..">, C<binary "..">, C<pong "..">,
C<close CODE>; the end of the connection is always wanted.

A case is played with a packet for each frame, with one for each byte (of what
is long: 997 bytes), and, when nothing is waited for, all in one.

=cut
