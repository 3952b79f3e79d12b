package Test::Linnet::WebSocket;

# A WebSocket client (RFC 6455) that checks what it gets and can also send what
# no client should.  Our own, so that tests are not bound to what a library
# lets one do.

use strict;
use warnings;

use Carp qw(croak);
use Digest::SHA qw(sha1_base64);
use Encode ();
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use Time::HiRes qw(time);

use constant {
    CONT => 0, TEXT => 1, BINARY => 2, CLOSE => 8, PING => 9, PONG => 10,
};

my $JSON = JSON::PP->new->utf8->canonical;

# stream, path, headers (hash), host, origin, protocols (list), extensions,
# early (bytes sent together with the handshake).  Dies when refused.
sub connect
{
    my ($class, %o) = @_;
    my $self = $class->try_connect(%o);
    my $r = $self->{response};
    croak "$o{path}: no answer to the handshake" unless $r;
    croak "$o{path}: $self->{refused}" if defined $self->{refused};
    return $self;
}

# The same, but looks at nothing: {response} is what the server said,
# {refused} why that is no good handshake.
sub try_connect
{
    my ($class, %o) = @_;
    my $self = bless {
        s => $o{stream} // croak('no stream'), fragments => undef,
    }, $class;
    my $key = encode_base64(join('', map { chr int rand 256 } 1 .. 16), '');
    my %h = (
        'Host'                  => $o{host} // 'localhost',
        'Upgrade'               => 'websocket',
        'Connection'            => 'Upgrade',
        'Sec-WebSocket-Key'     => $key,
        'Sec-WebSocket-Version' => 13,
    );
    $h{Origin} = $o{origin} if defined $o{origin};
    $h{'Sec-WebSocket-Protocol'} = join ', ', @{ $o{protocols} }
        if $o{protocols};
    $h{'Sec-WebSocket-Extensions'} = $o{extensions}
        if defined $o{extensions};
    %h = (%h, %{ $o{headers} // {} });
    my $head = "GET $o{path} HTTP/1.1\r\n"
        . join('', map { "$_: $h{$_}\r\n" } grep { defined $h{$_} }
            sort keys %h)
        . "\r\n";
    $self->{s}->write($head . ($o{early} // ''));
    my $r = $self->{response} =
        $self->{s}->http_response(timeout => $o{timeout});
    if (!$r) {
        $self->{refused} = 'no answer';
        return $self;
    }
    my $accept =
        sha1_base64($key . '258EAFA5-E914-47DA-95CA-C5AB0DC85B11') . '=';
    my $got = $r->{headers};
    $self->{refused} =
          $r->{status} != 101 ? "status $r->{status}: $r->{body}"
        : lc($got->{upgrade} // '') ne 'websocket' ? 'no Upgrade: websocket'
        : ($got->{connection} // '') !~ /upgrade/i ? 'no Connection: Upgrade'
        : ($got->{'sec-websocket-accept'} // '') ne $accept ? 'wrong accept'
        :                                                     undef;
    return $self;
}

sub response { return $_[0]{response} }

sub stream { return $_[0]{s} }

# ---- sending -------------------------------------------------------------

# The bytes of one frame.  fin 1, rsv 0, mask: four bytes, 0 for none;
# length: what the head claims instead of the truth.
sub frame_bytes
{
    my ($class, $op, $payload, %o) = @_;
    my $n = $o{length} // length $payload;
    my $mask = $o{mask} // join '', map { chr int rand 256 } 1 .. 4;
    my $bit = $mask eq '0' ? 0 : 0x80;
    my $head = chr((($o{fin} // 1) ? 0x80 : 0) | (($o{rsv} // 0) << 4) | $op);
    my $width = $o{width} // ($n < 126 ? 7 : $n < 65536 ? 16 : 64);
    $head .= $width == 7  ? chr($bit | $n)
           : $width == 16 ? chr($bit | 126) . pack('n', $n)
           :                chr($bit | 127) . pack('Q>', $n);
    return $head . $payload unless $bit;
    my $len = length $payload;
    return $head . $mask
        . ($payload ^ substr($mask x (1 + $len / 4), 0, $len));
}

sub send_frame
{
    my ($self, $op, $payload, %o) = @_;
    return $self->{s}->write($self->frame_bytes($op, $payload, %o));
}

sub send_text
{
    my ($self, $text) = @_;
    $text = Encode::encode('UTF-8', $text) if utf8::is_utf8($text);
    return $self->send_frame(TEXT, $text);
}

sub send_binary { return $_[0]->send_frame(BINARY, $_[1]) }

sub send_json { return $_[0]->send_frame(TEXT, $JSON->encode($_[1])) }

sub ping { return $_[0]->send_frame(PING, $_[1] // '') }

# ---- receiving -----------------------------------------------------------

# The next frame: {fin, rsv, op, payload}; undef when none comes whole.  A
# masked frame from a server is refused (RFC 6455, section 5.1).
sub frame
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // 10) * ($ENV{TEST_TIME_FACTOR} || 1);
    my $s = $self->{s};
    my $need = 2;
    while (1) {
        while (length $s->{in} < $need) {
            $s->fill($end) or return;
        }
        my ($a, $b) = unpack 'CC', $s->{in};
        croak 'the server masked a frame' if $b & 0x80;
        my $n = $b & 0x7f;
        my $head = $n < 126 ? 2 : $n == 126 ? 4 : 10;
        if (length $s->{in} < $head) {
            $need = $head;
            next;
        }
        $n = $head == 4 ? unpack 'x2n', $s->{in} : unpack 'x2Q>', $s->{in}
            if $head > 2;
        if (length $s->{in} < $head + $n) {
            $need = $head + $n;
            next;
        }
        my $payload = substr $s->{in}, $head, $n;
        substr($s->{in}, 0, $head + $n) = '';
        return { fin => $a >> 7, rsv => ($a >> 4) & 7, op => $a & 15,
            payload => $payload };
    }
    return;
}

# The next message: its bytes (in list context also the opcode).  Answers pings;
# undef at a close frame (then close_code and close_reason tell) or when none
# comes in time.
sub message
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // 10) * ($ENV{TEST_TIME_FACTOR} || 1);
    while (1) {
        my $left = $end - time;
        $left = 0 if $left < 0;
        my $f = $self->frame($left / ($ENV{TEST_TIME_FACTOR} || 1)) or return;
        croak "reserved bits $f->{rsv}" if $f->{rsv};
        if ($f->{op} == PING) {
            $self->send_frame(PONG, $f->{payload});
        } elsif ($f->{op} == PONG) {
            push @{ $self->{pongs} }, $f->{payload};
        } elsif ($f->{op} == CLOSE) {
            $self->_closed($f->{payload});
            return;
        } else {
            my $whole = $self->_assemble($f) or next;
            return wantarray ? @$whole : $whole->[0];
        }
    }
    return;
}

sub _assemble
{
    my ($self, $f) = @_;
    my $part = $self->{fragments};
    if ($f->{op} == CONT) {
        croak 'a continuation of nothing' unless $part;
        $part->[0] .= $f->{payload};
    } else {
        croak "opcode $f->{op}" if $f->{op} > BINARY;
        croak 'a new message inside another' if $part;
        $part = $self->{fragments} = [$f->{payload}, $f->{op}];
    }
    return unless $f->{fin};
    $self->{fragments} = undef;
    return $part;
}

sub _closed
{
    my ($self, $payload) = @_;
    croak 'a close frame of one byte' if length $payload == 1;
    $self->{close_code} = length $payload ? unpack 'n', $payload : 1005;
    $self->{close_reason} = length $payload ? substr($payload, 2) : '';
    return;
}

sub close_code { return $_[0]{close_code} }

sub close_reason { return $_[0]{close_reason} }

# A text message as JSON; undef when none comes in time.
sub json
{
    my ($self, $timeout) = @_;
    my ($text, $op) = $self->message($timeout) or return;
    return unless defined $text;
    croak 'not a text message' if $op != TEXT;
    return $JSON->decode($text);
}

# The next JSON message for which all given fields are as given; others are
# skipped (and kept in {skipped}).
sub json_like
{
    my ($self, $want, $timeout) = @_;
    my $end = time + ($timeout // 10);
    while ((my $left = $end - time) > 0) {
        my $m = $self->json($left) // return;
        return $m unless grep { ($m->{$_} // '') ne $want->{$_} } keys %$want;
        push @{ $self->{skipped} }, $m;
    }
    return;
}

# Whether an echo behind it still answers.
sub echoes
{
    my ($self, $timeout) = @_;
    $self->send_text('hello');
    return ($self->message($timeout) // '') eq 'hello' ? 1 : 0;
}

# Reads on until the close frame; its code, or undef.
sub wait_close
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // 10);
    while (!defined $self->{close_code} && time < $end) {
        $self->message($end - time);
        last if $self->{s}{eof} && !defined $self->{close_code};
    }
    return $self->{close_code};
}

# Says goodbye and waits for the answer: the code the server closed with.
sub close
{
    my ($self, $code, $reason) = @_;
    my $was = $self->{close_code};
    $self->send_frame(CLOSE,
        defined $code ? pack('n', $code) . ($reason // '') : '');
    $code = $self->wait_close unless defined $was;
    $self->{s}->closed(10);
    $self->{s}->close;
    return $was // $code;
}

1;

__END__

=head1 NAME

Test::Linnet::WebSocket - a WebSocket client for tests

=head1 SYNOPSIS

    my $w = $t->websocket('web', '/echo');
    $w->send_text('hi');
    is($w->message, 'hi', 'echoed');
    is($w->close(1000), 1000, 'closed');

=head1 DESCRIPTION

C<connect(stream, path, host, origin, protocols, extensions, headers, early)>
dies when the handshake is refused or wrong; C<try_connect> leaves the answer
in C<response>. C<send_text>, C<send_binary>, C<send_json>, C<ping>,
C<send_frame($op, $payload, fin, rsv, mask, length, width)>, C<frame_bytes>
(the same, not sent). C<frame($timeout)>: a frame as it came;
C<message($timeout)>: a message, pings answered; C<json>,
C<json_like(\%fields)>; C<echoes($timeout)>; C<wait_close>, C<close($code, $reason)>,
C<close_code>, C<close_reason>.

=cut
