package Test::Linnet::Deflate;

# A WebSocket client that compresses (RFC 7692) and holds the server to the
# terms they agreed on: a window too large, or a look back that was ruled out,
# makes what comes unreadable.

use strict;
use warnings;

use Carp qw(croak);
use Compress::Raw::Zlib;

# An open WebSocket; level: 1 to 9.
sub new
{
    my ($class, $w, %o) = @_;
    my $got = $w->response->{headers}{'sec-websocket-extensions'};
    my $self = bless { w => $w, got => $got }, $class;
    return $self unless defined $got;
    my ($out) = $got =~ /server_max_window_bits=(\d+)/;
    my ($in)  = $got =~ /client_max_window_bits=(\d+)/;
    # zlib has no window of 256 bytes; no stream of 9 bits goes further back
    # than what is left out here.
    $in = 9 if defined $in && $in == 8;
    $self->{d} = Compress::Raw::Zlib::Deflate->new(-WindowBits => -($in // 15),
        -AppendOutput => 1, -Level => $o{level} // 6);
    $self->{i} = Compress::Raw::Zlib::Inflate->new(
        -WindowBits => -($out // 15), -AppendOutput => 1, -ConsumeInput => 1);
    $self->{in_fresh} = $got =~ /client_no_context_takeover/;
    $self->{out_fresh} = $got =~ /server_no_context_takeover/;
    return $self;
}

# The server's answer; undef when it declined.
sub agreed { return $_[0]{got} }

sub websocket { return $_[0]{w} }

# The payload of a compressed message.
sub pack
{
    my ($self, $data) = @_;
    my $out = '';
    $self->{d}->deflate($data, $out);
    $self->{d}->flush($out, Z_SYNC_FLUSH);
    $self->{d}->deflateReset if $self->{in_fresh};
    return substr $out, 0, -4;
}

# Sends it, in fragments of so many bytes if that is asked for; as it is when
# no compression was agreed on.
sub send
{
    my ($self, $op, $data, $size) = @_;
    my $w = $self->{w};
    my $rsv = 0;
    if ($self->{d}) {
        $data = $self->pack($data);
        $rsv = 4;
    }
    my $n = length $data;
    $size ||= $n || 1;
    my $bytes = '';
    for (my $at = 0; $at == 0 || $at < $n; $at += $size) {
        $bytes .= $w->frame_bytes($at ? 0 : $op, substr($data, $at, $size),
            rsv => $at ? 0 : $rsv, fin => $at + $size >= $n);
    }
    return $w->stream->write($bytes, 60);
}

# The next message: opcode, its bytes, whether it came compressed.  What is
# wrong comes as an opcode of text.
sub receive
{
    my ($self, $timeout) = @_;
    my $f = $self->{w}->frame($timeout) or return ('nothing', '', 0);
    return ('a fragment', '', 0) if !$f->{fin};
    return ($f->{op}, $f->{payload}, 0) if !$f->{rsv};
    return ("reserved bits $f->{rsv}", '', 0) if $f->{rsv} != 4 || !$self->{i};
    my $in = $f->{payload} . "\x00\x00\xff\xff";
    my $out = '';
    my $status = $self->{i}->inflate($in, $out);
    return ("inflate: $status", '', 1)
        if $status != Z_OK && $status != Z_BUF_ERROR;
    $self->{i}->inflateReset if $self->{out_fresh};
    return ($f->{op}, $out, 1);
}

1;

__END__

=head1 NAME

Test::Linnet::Deflate - a client with permessage-deflate for tests

=head1 SYNOPSIS

    my $w = $t->websocket('web', '/', extensions => 'permessage-deflate');
    my $c = Test::Linnet::Deflate->new($w);
    $c->send(1, 'hello hello', 4);       # opcode, data, size of fragments
    my ($op, $data, $zipped) = $c->receive;

=head1 DESCRIPTION

C<agreed> is what the server answered, undef without an agreement; then all
goes as it is. C<pack($data)> gives the payload alone.

=cut
