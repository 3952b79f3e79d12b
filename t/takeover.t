# What a new binary makes of what it is handed over: this test is the old
# master, perhaps of a release that is still to come.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Errno qw(ECONNRESET);
use IO::Select;
use Socket;
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

use constant { MAGIC => 0x6c6e7431, FAILED => 2, BROADCAST => 8, HAND => 21,
    TAKEN => 22, UNKNOWN => 999 };

my $config = <<'INI';
[server]
workers = 1

[log]
level = info

%%LISTEN_echo%%
INI

sub frame
{
    my ($type, $payload) = @_;
    return pack 'LSSLLLL a*', MAGIC, 1, $type, 0, 0, length $payload, 0,
        $payload;
}

# Starts one and hands that over: frames, or texts that are what a frame says
# of itself.  What it answers first, (type, payload), and the server.
sub take_over
{
    my (@frames) = @_;
    local $^F = 1000; # both ends stay open in it
    socketpair(my $ours, my $its, AF_UNIX, SOCK_SEQPACKET, 0) or die $!;
    my $t = Test::Linnet->new(config => $config,
        env => { LINNET_HANDOVER => fileno $its });
    $t->spawn;
    close $its;
    for (@frames) {
        send $ours, ref $_ ? $$_ : frame(HAND, $_), 0 or die "send: $!";
    }
    my $end = time + 30 * time_factor();
    my $ready = IO::Select->new($ours);
    my $got;
    while (time < $end && $ready->can_read($end - time)) {
        my $peer = recv $ours, $got, 65536, 0;
        # It had ended before it read everything; its last words follow.
        next if !defined $peer && $! == ECONNRESET;
        return (undef, '', $t, $ours) if !defined $peer || $got eq '';
        my ($magic, undef, $type, undef, undef, undef, undef, $payload)
            = unpack 'LSSLLLL a*', $got;
        return ($type, $payload, $t, $ours)
            if $magic == MAGIC && ($type == FAILED || $type == TAKEN);
    }
    return (undef, 'nothing', $t, $ours);
}

sub is_taken
{
    my ($name, @frames) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($type, $payload, $t, $ours) = take_over(@frames);
    is($type, TAKEN, "$name: it takes over") or diag $payload;
    return ($t, $ours);
}

sub is_refused
{
    my ($name, $why, @frames) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my ($type, $payload, $t) = take_over(@frames);
    is($type, FAILED, "$name: refused");
    like($payload, $why, '... with the reason');
    isnt($t->wait_exit(20), 0, '... and it ends');
    $t->finish;
    return;
}

sub stop
{
    my ($t) = @_;
    $t->stop;
    $t->finish;
    return;
}

my ($t) = is_taken('words of a later release', 'weather fine', 'musty cellar',
    "\x01\x02", 'endless', 'end');
stop($t);

is_refused('a demand that is not known',
    qr/demands "sing in tune", which this binary does not know/,
    'must sing in tune', 'end');

# Nothing that is known is left out because it cannot be read.
is_refused("\"$_\"", qr/as "\Q$_\E" cannot be read/, $_, 'end')
    for 'zone 1 2', 'zone one', 'giver', 'giver one', 'doorbells', 'listen',
    'listen 127.0.0.1:1', 'end of it';

done_testing();
