# Private messages to somebody who is ending: however the end came, the worker
# lives on.  Each case is what one client can send in one piece, so that the
# message is in the log and the session is closed before the log is read.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IPC::Open3 qw(open3);
use JSON::PP ();
use Test::More;

use Test::Linnet;

my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers = 1

%%LISTEN_lines%%

%%LISTEN_web%%

%%ROUTE_chat%%
INI

my $JSON = JSON::PP->new->canonical;
my $WS   = 'Test::Linnet::WebSocket';
my ($worker) = $t->worker_pids;

# The frames of several requests.
sub requests
{
    return join '', map { $WS->frame_bytes(1, $JSON->encode($_)) } @_;
}

sub alive
{
    my ($name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $c = $t->connect('lines');
    $c->write("/nick still\n/join here\nanybody?\n");
    ok($c->read_until(qr/<still> anybody\?/), "$name: the next client is served");
    is(($t->worker_pids)[0], $worker, '... by the same worker');
    $c->close;
    return;
}

SKIP: {
    my ($nc) = grep { -x } map { "$_/nc" } split /:/, $ENV{PATH};
    skip 'no nc here', 2 unless $nc;
    for my $round (1 .. 5) {
        my $pid = open3(my $in, my $out, undef, $nc, '-q1', '127.0.0.1',
            $t->port('lines'));
        print {$in} "/nick a\n/msg a x\n/quit\n";
        close $in;
        () = <$out>;
        waitpid $pid, 0;
    }
    alive('/msg to oneself, then /quit, by nc');
}

{
    my $c = $t->connect('lines');
    $c->write("/nick a\n/msg a x\n\xff\xfe\n/quit\n");
    $c->read_all;
    $c = $t->connect('lines');
    $c->write("/nick a\n/msg a x\n");
    $c->shutdown_write;
    $c->read_all;
    alive('... then the end of the input');
}

my $me = {type => 'nick', nick => 'a'};
my $word = {type => 'direct', to => 'a', text => 'x'};
my %end = (
    'a close frame'         => $WS->frame_bytes(8, pack 'n', 1000),
    'a close frame, masked wrongly' =>
        $WS->frame_bytes(8, pack('n', 1000), mask => '0'),
    'a protocol error'      => $WS->frame_bytes(3, 'x'),
    'bad UTF-8'             => $WS->frame_bytes(1, "\xff"),
    'a message too long'    => $WS->frame_bytes(1, '', length => 1 << 40),
    'a bad close code'      => $WS->frame_bytes(8, pack 'n', 1),
);
for my $how (sort keys %end) {
    my $ws = $t->websocket('web', '/chat');
    $ws->stream->write(requests($me, $word, $word) . $end{$how});
    $ws->stream->read_all;
    alive("a message to oneself, then $how, in one piece");
}

# To another who goes in the same turn of the loop: both have sent before the
# worker reads.
for my $how (sort keys %end) {
    my $to   = $t->websocket('web', '/chat');
    my $from = $t->websocket('web', '/chat');
    $to->send_json({ %$me, id => 1 });
    $to->json;
    $from->send_json({type => 'nick', nick => 'b', id => 1});
    $from->json;
    kill STOP => $worker;
    $from->stream->write(requests(($word) x 3));
    $to->stream->write($end{$how});
    $from->stream->write(requests(($word) x 3));
    kill CONT => $worker;
    $to->stream->read_all;
    $from->close(1000);
    alive("a message to another who ends by $how");
}

$t->finish;
done_testing();
