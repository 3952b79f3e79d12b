# Readers that stop: what waits for them is never more than send_queue, and
# what is dropped is counted to the message.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;
use Time::HiRes qw(time);

use Test::Linnet;

my $QUEUE = 65536;
my $config = <<'INI';
[server]
workers   = 2
rebalance = off

[limits]
send_queue    = 64k
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

[route drop]
listen            = web
path              = /drop
protocol          = websocket
app               = chat
send_queue_policy = drop

[listen local]
address  = unix:%%UNIX_local%%
protocol = http

[route close]
listen   = web
listen   = local
path     = /close
protocol = websocket
app      = chat

[route echo]
listen            = web
path              = /echo
protocol          = websocket
app               = echo
send_queue_policy = drop

[route large]
listen       = local
path         = /large
protocol     = websocket
app          = echo
message_size = 1m

[listen lines]
address    = 127.0.0.1:%%PORT_lines%%
protocol   = line
app        = echo
send_queue = 16k

[chat]
history         = 0
INI

# Where the kernel keeps little for a connection: what it takes more is nobody's
# to count.
my $t = Test::Linnet->new(config => $config)->start;

sub open_chat
{
    my ($path, $room, %o) = @_;
    my $w = Test::Linnet::WebSocket->connect(path => $path,
        stream => $t->connect($o{to} // 'web', %o));
    $w->send_json({ type => 'join', room => $room, id => 1 });
    $w->json_like({ type => 'joined' }, 20) or die 'not in';
    return $w;
}

sub queues
{
    return map { $_->{send_queue} } @{ $t->status->{workers} };
}

sub memory
{
    my $sum = 0;
    for my $pid ($t->worker_pids) {
        my ($kb) = slurp("/proc/$pid/status") =~ /^RssAnon:\s+(\d+)/m;
        $sum += $kb // 0;
    }
    return $sum * 1024;
}

my $text = 'x' x 2000;

# Says n things; each is in the log when this returns.
sub say_all
{
    my ($w, $room, $from, $n) = @_;
    for my $i ($from .. $from + $n - 1) {
        $w->send_json({ type => 'message', room => $room, id => $i,
            text => "$i $text" });
    }
    $w->json_like({ type => 'ack', id => $from + $n - 1 }, 60)
        or die 'not all is acknowledged';
    return;
}

# The numbers of the messages that come until the last one; dies in a pause.
sub numbers
{
    my ($w, $last) = @_;
    my @got;
    while (1) {
        my $m = $w->json(20) // return @got;
        next if $m->{type} ne 'message';
        push @got, $m->{text} =~ /^(\d+)/;
        return @got if $got[-1] == $last;
    }
    return @got;
}

subtest 'drop' => sub {
    my $said = 0;
    my $slow = open_chat('/drop', 'a', rcvbuf => 4096);
    my $fast = open_chat('/drop', 'a');
    my $speaker = open_chat('/drop', 'a');
    my $memory = memory();
    my $most = 0;
    my @fast;
    # 3 MB, and until the kernel's buffers, which grow as it likes, are full.
    while ($said < 1500
        || ($said < 30_000 && $t->counter('slow_messages_dropped_total') < 100)) {
        say_all($speaker, 'a', $said + 1, 20);
        $said += 20;
        push @fast, numbers($fast, $said);
        my $queued = 0;
        $queued += $_ for queues();
        $most = $queued if $queued > $most;
    }
    is("@fast", join(' ', 1 .. $said), 'one who reads gets all');
    cmp_ok($most, '<=', $QUEUE, "the queue had $most bytes at most");
    # A sanitizer keeps what is freed for a while.
    cmp_ok(memory() - $memory, '<', 16 << 20, '... and memory did not grow')
        unless $ENV{LINNET_SANITIZE};
    my $dropped = $t->counter('slow_messages_dropped_total');
    cmp_ok($dropped, '>', 0, "$dropped of $said messages were dropped");

    # It reads again; then messages come again, until the last one that is said.
    my @slow;
    my $end = time + 60 * time_factor();
    while (time < $end) {
        my $m = $slow->json(2) // last;
        push @slow, $m->{text} =~ /^(\d+)/ if $m->{type} eq 'message';
    }
    say_all($speaker, 'a', $said + 1, 1);
    push @slow, numbers($slow, $said + 1);
    is($slow[-1], $said + 1, 'it goes on when it reads');
    is(scalar(grep { $slow[$_] <= $slow[$_ - 1] } 1 .. $#slow), 0,
        'what came is in order, nothing twice');
    is($t->counter('slow_messages_dropped_total'), $said + 1 - @slow,
        'what did not come was dropped, to the message');
    is($t->counter('slow_readers_closed_total'), 0, 'nobody was closed');
    $_->close(1000) for $slow, $fast, $speaker;
};

subtest 'drop, of replies' => sub {
    my $before = $t->counter('slow_messages_dropped_total');
    my $w = Test::Linnet::WebSocket->connect(path => '/echo',
        stream => $t->connect('web', rcvbuf => 4096));
    # As many as the server reads: it stops reading when much is queued.
    my $sent = 0;
    my $s = $w->stream;
    my $rest = '';
    my $stuck = 0;
    while ($sent < 20_000 && $stuck < 10) {
        $rest = Test::Linnet::WebSocket->frame_bytes(1,
            sprintf('%d %s', ++$sent, 'y' x 500)) if $rest eq '';
        my $wr = '';
        vec($wr, fileno $s->handle, 1) = 1;
        if (!select undef, $wr, undef, 0.1) {
            $stuck++;
            next;
        }
        my $n = syswrite $s->handle, $rest;
        substr($rest, 0, $n) = '' if defined $n;
    }
    my ($queued) = sort { $b <=> $a } queues();
    cmp_ok($queued, '<=', $QUEUE, "the queue has $queued bytes");
    $s->write($rest) if $rest ne '';
    $w->send_text('last ' . ++$sent);
    my @got;
    my $end = time + 60 * time_factor();
    while (time < $end) {
        my $m = $w->message(20) // last;
        push @got, $m =~ /(\d+)/;
        last if $m =~ /^last/;
        # The last one may have been dropped: one is said that was not.
        if (!length $s->pending && !$s->fill(time + 0.5)) {
            $w->send_text('last ' . ++$sent);
        }
    }
    is($got[-1], $sent, 'the last reply');
    is(scalar(grep { $got[$_] <= $got[$_ - 1] } 1 .. $#got), 0, 'in order');
    is($t->counter('slow_messages_dropped_total') - $before, $sent - @got,
        "$sent sent, " . @got . ' came, the others are counted');
    $w->close(1000);
};

subtest 'close' => sub {
    my $slow = open_chat('/close', 'b', rcvbuf => 4096);
    my $speaker = open_chat('/close', 'b');
    my $most = 0;
    my $said = 0;
    while ($said < 20_000 && !$t->counter('slow_readers_closed_total')) {
        say_all($speaker, 'b', $said + 1, 20);
        $said += 20;
        my ($queued) = sort { $b <=> $a } queues();
        $most = $queued if $queued > $most;
    }
    is($t->counter('slow_readers_closed_total'), 1, "closed after $said messages");
    cmp_ok($most, '<=', $QUEUE, "... of which $most bytes were queued");
    ok($slow->stream->closed(20), 'it finds itself cut off');
    ok(wait_for(sub { !grep { $_ } queues() }, 10, 'no queue'),
        'and nothing is kept for it');
    $speaker->close(1000);
};

# One in a room and its worker; not on the other one.
sub open_on
{
    my ($path, $room, $not, %o) = @_;
    my @elsewhere;
    for (1 .. 20) {
        my %before = map { $_->{pid} => $_->{connections} } $t->workers;
        my $w = open_chat($path, $room, %o);
        my ($pid) = map { $_->{pid} }
            grep { $_->{connections} > $before{ $_->{pid} } } $t->workers;
        if ($pid != $not) {
            $_->close(1000) for @elsewhere;
            return ($w, $pid);
        }
        push @elsewhere, $w;
    }
    die "all on worker $not";
}

subtest 'much in one turn' => sub {
    my @slow = qw(slow_readers_closed_total slow_messages_dropped_total);
    my @before = map { $t->counter($_) } @slow;
    ok(wait_for(sub { $t->status->{connections} == 0 }, 10, 'the end'),
        'nobody is there');
    my ($speaker, $other) = open_on('/close', 'c', 0);
    my ($one, $pid) = open_on('/close', 'c', $other);
    my ($two) = open_on('/drop', 'c', $other);
    kill STOP => $pid;
    say_all($speaker, 'c', $_ * 20 + 1, 20) for 0 .. 2;
    kill CONT => $pid;
    my $all = join ' ', 1 .. 60;
    is(join(' ', numbers($one, 60)), $all,
        'what came while the worker stood still is heard');
    is(join(' ', numbers($two, 60)), $all, '... and nothing is dropped');
    $_->close(1000) for $one, $two;

    # Who reads again when its queue is nearly full.  Another one on its worker
    # tells how far that is, or much would come in one turn already.
    my ($late) = open_on('/close', 'c', $other, to => 'unix:local');
    my ($beside) = open_on('/close', 'c', $other);
    my $said = 60;
    while ($said < 2000 && !grep { $_ > $QUEUE / 2 } queues()) {
        say_all($speaker, 'c', $said + 1, 5);
        $said += 5;
        numbers($beside, $said);
    }
    $beside->close(1000);
    kill STOP => $pid;
    1 while $late->stream->fill(time);
    say_all($speaker, 'c', $said + $_ * 20 + 1, 20) for 0 .. 2;
    kill CONT => $pid;
    is((numbers($late, $said + 60))[-1], $said + 60, 'who reads again in time');
    $_->close(1000) for $speaker, $late;

    my $s = $t->connect('lines');
    $s->write("first\n");
    is($s->line, 'first', 'one that is served');
    my @workers = $t->worker_pids;
    kill STOP => @workers;
    my $lines = join '', map { "$_ " . 'z' x 990 . "\n" } 1 .. 40;
    $s->write($lines);
    kill CONT => @workers;
    is(length($s->read_exact(length $lines) // ''), length $lines,
        'replies to all that was said at once');
    is_deeply([map { $t->counter($_) } @slow], \@before, 'nobody was slow');
};

subtest 'a message larger than the queue' => sub {
    my $before = $t->counter('slow_readers_closed_total');
    my $w = $t->websocket('unix:local', '/large');
    my $size = 1 << 20;
    $w->send_text('x' x $size);
    ok(wait_for(sub { grep { $_ > 4 * $QUEUE } queues() }, 10, 'the echo'),
        'much of it waits');
    my ($id) = ($t->ctl('conns'))[1] =~ /^ *(\d+) .* route large /m;
    is(($t->ctl('kick', $id))[0], 0, 'kicked');
    is(length($w->message(20) // ''), $size, 'all of it comes');
    is($w->wait_close(20), 4500, '... and then the goodbye');
    is($t->counter('slow_readers_closed_total'), $before, 'it was not cut');
};

$t->finish;
done_testing;
