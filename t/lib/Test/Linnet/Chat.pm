package Test::Linnet::Chat;

# What tests of the chat say over WebSockets, in the chat's JSON.

use strict;
use warnings;

use Exporter qw(import);

our @EXPORT = qw(ask say_all enter);

my $id = 1_000_000; # not what a test counts itself

# The answer to a request, without its id, whatever events come before it.
sub ask
{
    my ($w, %request) = @_;
    $w->send_json({ %request, id => ++$id });
    my $m = $w->json_like({ id => $id }) // {};
    delete $m->{id};
    return $m;
}

# The seq of the last.
sub say_all
{
    my ($w, $room, @texts) = @_;
    my $seq;
    $seq = ask($w, type => 'message', room => $room, text => "$_")->{seq}
        for @texts;
    return $seq;
}

# A client that has joined, and what it was told.
sub enter
{
    my ($t, $room, %more) = @_;
    my $w = $t->websocket('web', '/chat');
    my $joined = ask($w, type => 'join', room => $room, %more);
    return ($w, $joined);
}

1;

__END__

=head1 NAME

Test::Linnet::Chat - requests to the chat for tests

=head1 DESCRIPTION

C<ask($websocket, %request)>: the answer; C<say_all($websocket, $room, @texts)>:
the seq of the last; C<enter($server, $room, %join)>: a client that has joined
and what it was told.

=cut
