package Test::Linnet::Events;

# A client of server-sent events: the stream of a room, parsed as the HTML
# standard says, with the id to come back with.

use strict;
use warnings;

use Carp qw(croak);
use JSON::PP ();
use Time::HiRes qw(time);

my $JSON = JSON::PP->new->utf8;

# The request goes out over the stream; dies when it is not answered with 200.
sub connect
{
    my ($class, %o) = @_;
    my $s = $o{stream} or croak 'no stream';
    my %headers = (Host => 'localhost', Accept => 'text/event-stream',
        %{ $o{headers} // {} });
    $s->write("GET $o{path} HTTP/1.1\r\n"
            . join('', map { "$_: $headers{$_}\r\n" } sort keys %headers)
            . "\r\n");
    my $head = $s->read_until("\r\n\r\n", $o{timeout})
        // croak 'no answer to the request for events';
    croak "no stream of events: $head" unless $head =~ m{^HTTP/1\.1 200 };
    my %h = map { /^([^:]+):\s*(.*)$/ ? (lc $1 => $2) : () }
        split /\r\n/, $head;
    return bless { stream => $s, headers => \%h, comments => 0, id => '' },
        $class;
}

sub stream { return $_[0]{stream} }

sub headers { return $_[0]{headers} }

# The id of the last event that had one, for Last-Event-ID.
sub last_id { return $_[0]{id} }

# Comments so far; the time that the server asked to wait for.
sub comments { return $_[0]{comments} }

sub retry { return $_[0]{retry} }

# The next event, {name, id, data, json}; undef when none comes in time.
sub event
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // 10);
    while ((my $left = $end - time) > 0) {
        my $block = $self->{stream}->read_until("\n\n", $left) // return;
        my %e = (name => 'message', data => []);
        for my $line (split /\n/, $block) {
            if ($line =~ /^:/) {
                $self->{comments}++;
            } elsif ($line =~ /^(\w+): ?(.*)$/) {
                if ($1 eq 'data') {
                    push @{ $e{data} }, $2;
                } elsif ($1 eq 'event') {
                    $e{name} = $2;
                } elsif ($1 eq 'id') {
                    $e{id} = $self->{id} = $2;
                } elsif ($1 eq 'retry') {
                    $self->{retry} = $2;
                }
            } else {
                croak "no line of a stream of events: $line";
            }
        }
        next unless @{ $e{data} };
        $e{data} = join "\n", @{ $e{data} };
        $e{json} = eval { $JSON->decode($e{data}) };
        return \%e;
    }
    return;
}

# Skips to the event of that name, with those values in its JSON.
sub wait_event
{
    my ($self, $name, $values, $timeout) = @_;
    my $end = time + ($timeout // 10);
    while ((my $left = $end - time) > 0) {
        my $e = $self->event($left) // return;
        next if $e->{name} ne $name;
        next if grep { ($e->{json}{$_} // '') ne $values->{$_} }
            keys %{ $values // {} };
        return $e;
    }
    return;
}

# Whether a further comment comes in time.
sub wait_comment
{
    my ($self, $timeout) = @_;
    my $end = time + ($timeout // 10);
    my $before = $self->{comments};
    while ($self->{comments} == $before && (my $left = $end - time) > 0) {
        my $block = $self->{stream}->read_until("\n\n", $left) // return;
        $self->{comments}++ if $block =~ /^:/m;
        croak "an event, not a comment: $block" if $block =~ /^data/m;
    }
    return $self->{comments} > $before;
}

sub closed { return $_[0]{stream}->closed($_[1]) }

sub close { return $_[0]{stream}->close($_[1]) }

1;

__END__

=head1 NAME

Test::Linnet::Events - a client of server-sent events for tests

=head1 DESCRIPTION

C<connect(stream, path, headers)>; C<event($timeout)>: the next event, a hash
with C<name>, C<id> (if it has one), C<data> and C<json>;
C<wait_event($name, \%values, $timeout)> skips to one like that;
C<wait_comment($timeout)>: whether nothing but a comment comes. C<last_id>,
C<retry>, C<comments>, C<headers>, C<closed>, C<close>.

=cut
