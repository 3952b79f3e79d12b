# The page that linnet serves, in a real browser: two people on two workers, a
# third with nc on the line port; then one of the two workers is killed.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use POSIX ();
use Socket;
use Test::More;

use Test::Linnet;
use Test::Linnet::Driver;

my $config = <<'INI';
[server]
workers          = 2
zone_size        = 1m
shutdown_timeout = 2s

%%LISTEN_web%%

%%ROUTE_chat%%

%%ROUTE_events%%

[route page]
listen  = web
path    = /
handler = static
root    = builtin:chat

%%LISTEN_lines%%

[room lobby]
topic = Where everybody comes in
INI

my ($chromium) = grep { -x } map { my $d = $_;
    map { "$d/$_" } qw(chromium chromium-browser headless_shell) }
    split /:/, $ENV{PATH};
my $why = Test::Linnet::Driver->missing(repo_top())
    // (-d repo_top() . '/t/node/node_modules/playwright-core' ? undef
        : 'npm playwright-core is not installed (auto/deps test)')
    // ($chromium ? undef : 'chromium is not installed (auto/deps test)');
plan skip_all => $why if $why;

my $t = Test::Linnet->new(config => $config)->start;

subtest 'what is served' => sub {
    my $r = $t->http_get('web', '/');
    is($r->{status}, 200, 'the page answers at /');
    like($r->{headers}{'content-type'}, qr{^text/html; *charset=utf-8$}i,
        'as HTML');
    unlike($r->{body}, qr/<script(?![^>]* src=)|<style|\sstyle=|\son\w+=/i,
        'without script or style of its own in it');
    unlike($r->{body}, qr{(?:src|href)="(?:https?:)?//}, 'nor from elsewhere');
    my ($policy) = $r->{body} =~ /Content-Security-Policy" content="([^"]*)"/;
    is($policy, "default-src 'none'; script-src 'self'; style-src 'self'; "
        . "connect-src 'self'; img-src 'self' data:; base-uri 'none'; "
        . "form-action 'none'", 'under a strict policy');
    my $size = length $r->{body};
    for my $file (qw(chat.css chat.js link.js log.js icon.svg)) {
        my $asset = $t->http_get('web', "/$file");
        is($asset->{status}, 200, "$file is there");
        $size += length $asset->{body};
    }
    cmp_ok($size, '<', 56 * 1024, "all of it is $size bytes");
};

my $driver = Test::Linnet::Driver->start(repo_top() . '/t/node/page.js',
    'http://127.0.0.1:' . $t->port('web') . '/', $chromium);
my $started = $driver->wait_event('started', 60)
    or die "$chromium does not start\n";
note "Chromium $started->{version}";

# One command of the driver; its answer, or nothing when it failed.
sub people
{
    my ($verb, @args) = @_;
    $driver->say(join ' ', $verb, @args);
    my $e = $driver->event(60);
    return $e if $e && $e->{event} eq $verb;
    diag $e ? $e->{why} : "no answer to $verb @args";
    return;
}

# What a script in somebody's page gives, once it gives something true.
sub true_in
{
    my ($name, $script, $timeout) = @_;
    return wait_for(sub { (people('eval', $name, $script) // {})->{value} },
        $timeout // 10, "$script for $name");
}

# In that room, with so many people.
sub is_in
{
    my ($name, $room, $count) = @_;
    return true_in($name, qq{location.hash = "$room"; }
            . qq{document.getElementById("name").textContent === "#$room" && }
            . qq{document.getElementById("count").textContent === "$count"});
}

# The pid of the worker that somebody's messages come in at.
sub worker_of
{
    my ($name) = @_;
    my %before = map { $_->{pid} => $_->{messages_in} } $t->workers;
    people('say', $name, "hello from $name") or return 0;
    my @more = wait_for(
        sub {
            join ' ', map { $_->{pid} }
                grep { $_->{messages_in} > ($before{ $_->{pid} } // 0) }
                $t->workers;
        }, 5, "a worker that counts what $name says");
    return $more[0] // 0;
}

# nc, as a person at a terminal would use it.
sub netcat
{
    my ($port) = @_;
    socketpair my $ours, my $theirs, AF_UNIX, SOCK_STREAM, PF_UNSPEC
        or die "socketpair: $!";
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDIN,  '<&', $theirs or POSIX::_exit(126);
        open STDOUT, '>&', $theirs or POSIX::_exit(126);
        CORE::close $ours;
        no warnings 'exec';
        exec 'nc', '127.0.0.1', $port;
        POSIX::_exit(127);
    }
    CORE::close $theirs;
    $ours->blocking(0);
    return (bless({ sock => $ours, in => '', eof => 0, error => 0 },
        'Test::Linnet::Stream'), $pid);
}

sub sees
{
    my ($who, $from, $text) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    my $e = people('see', $who, $text);
    return is_deeply($e && [@$e{qw(from many)}], [$from, 1],
        "$who sees once what $from said");
}

is(people('open', 'ann')->{topic}, 'Where everybody comes in',
    'ann is in the lobby');
my $ann_at = worker_of('ann');
my $bob_at = 0;
my @others; # one more each time: else every try may end at the same worker
for my $try (1 .. 30) {
    people('open', 'bob') or last;
    $bob_at = worker_of('bob');
    last if !$bob_at || $bob_at != $ann_at;
    people('close', 'bob');
    people('notes', 'ann', 'bob left');
    push @others, $t->connect('lines');
}
$_->close for @others;
ok($ann_at && $bob_at && $ann_at != $bob_at,
    "ann and bob sit on two workers, $ann_at and $bob_at")
    or die "no second worker took a page\n";

subtest 'across the workers' => sub {
    ok(people('say', 'ann', 'Good morning, bob'), 'ann speaks');
    sees('bob', 'ann', 'Good morning, bob');
    ok(people('say', 'bob', 'Good morning, ann'), 'bob answers');
    sees('ann', 'bob', 'Good morning, ann');
    my $evil = '<img src=x onerror=alert(1)> & <b>bold</b>';
    ok(people('say', 'ann', $evil), 'ann says what looks like HTML');
    sees('bob', 'ann', $evil);
    is(people('eval', 'bob', 'document.querySelectorAll(".text *").length')
            ->{value}, 0, 'and it is text');
    my $here = JSON::PP->new->decode(people('eval', 'bob',
        'JSON.stringify([...document.querySelectorAll("#members bdi")]'
            . '.map((e) => e.textContent))')->{value});
    is_deeply($here, [qw(ann bob)], 'both are among the people here');
};

subtest 'nc in the same room' => sub {
    my ($nc, $pid) = netcat($t->port('lines'));
    like($nc->line, qr/^\* welcome/, 'a welcome');
    $nc->write("/join lobby cy\n");
    ok($nc->read_until('* you are cy in lobby'), 'cy comes in');
    ok(people('notes', 'ann', 'cy joined'), 'ann sees cy come');
    $nc->write("hello from a terminal\n");
    sees($_, 'cy', 'hello from a terminal') for qw(ann bob);
    people('say', 'bob', 'hello, terminal');
    ok($nc->read_until("<bob> hello, terminal\n"), 'cy sees what bob says');
    people('say', 'ann', '/msg cy between us');
    ok($nc->read_until("*ann* between us\n"), 'and what ann tells cy alone');
    people('eval', 'ann', 'location.hash = "lobby"');
    $nc->write("/quit\n");
    $nc->shutdown_write;
    ok($nc->closed, 'cy goes');
    kill KILL => $pid;
    waitpid $pid, 0;
    ok(people('notes', 'bob', 'cy left'), 'and bob sees it');
};

subtest 'rooms' => sub {
    people('say', 'ann', '/join birds');
    ok(is_in('ann', 'birds', 1), 'ann opens a room');
    people('say', 'bob', '/join birds');
    ok(is_in('bob', 'birds', 2), 'bob comes into it');
    is_in('ann', 'lobby', 2);
    people('say', 'bob', 'a linnet, by the canal');
    ok(true_in('ann', 'document.title.startsWith("(1) #lobby")'),
        'ann is told of something unread');
    is_in('ann', 'birds', 2);
    sees('ann', 'bob', 'a linnet, by the canal');
    is_in('bob', 'lobby', 2);
};

subtest 'those who come later' => sub {
    is_in('ann', 'lobby', 2);
    people('say', 'ann', "line $_") for 1 .. 30;
    is(($t->ctl('set', 'chat:motd', 'Mind the gap'))[0], 0, 'a motd is set');
    ok(people('notes', 'ann', 'Mind the gap'), 'and told to who is here');
    is(people('open', 'eve')->{topic}, 'Where everybody comes in', 'eve comes');
    ok(people('notes', 'eve', 'Mind the gap'), 'reads it, too');
    sees('eve', 'ann', "line $_") for 1, 30;
    sees('eve', 'bob', 'Good morning, ann');
    $t->ctl('publish', 'lobby', 'from above');
    sees($_, 'server', 'from above') for qw(ann eve);

    # More than the page asks for at first.
    people('close', 'eve');
    people('say', 'ann', "more $_") for 1 .. 45;
    people('open', 'eve');
    sees('eve', 'ann', 'more 45');
    is(people('eval', 'eve', 'document.body.textContent.includes("line 10")')
            ->{value}, JSON::PP::false, 'old messages are not there yet');
    people('eval', 'eve',
        'document.querySelector(".log:not([hidden])").scrollTop = 0');
    sees('eve', 'ann', 'line 10');
    ok(true_in('eve', '[...document.querySelectorAll(".text")]'
            . '.map((e) => e.textContent).join().includes("line 9,line 10,")'),
        'but when one scrolls up, in their place');
    people('close', 'eve');
    $t->ctl('unset', 'chat:motd');
};

subtest 'a worker that was away for too long' => sub {
    is_in('ann', 'lobby', 2);
    kill STOP => $ann_at;
    my $cat = $t->websocket('web', '/chat');
    $cat->send_json({ type => 'join', room => 'lobby', nick => 'cat' });
    $cat->send_json({ type => 'message', room => 'lobby',
        text => 'in the gap' });
    $cat->send_json({ type => 'join', room => 'noise' });
    $cat->send_json({ type => 'message', room => 'noise',
        text => 'n' x 4000 }) for 1 .. 200; # more than the log has
    $cat->send_json({ type => 'ping', id => 1 });
    ok($cat->json_like({ type => 'pong' }), 'much is said meanwhile');
    kill CONT => $ann_at;
    sees('ann', 'cat', 'in the gap');
    like(($t->ctl('zone'))[1], qr/^lapped readers: [1-9]/m, 'that was lost');
    ok(is_in('ann', 'lobby', 3), 'and ann sees who came');
    ok(!people('eval', 'ann', 'document.querySelector(".gap")')->{value},
        'and that nothing is missing');
    $cat->close;
    ok(is_in('ann', 'lobby', 2), 'cat goes');
};

subtest 'a worker is killed' => sub {
    people('eval', $_, 'window.stays = true') for qw(ann bob);
    is_in('ann', 'lobby', 2);
    $t->allow_alert(qr/\b$ann_at\b/);
    kill KILL => $ann_at;
    ok(wait_for(sub { !proc_alive($ann_at) }, 5, 'its end'), 'ann lost hers');
    ok(people('say', 'bob', 'still here'), 'bob speaks on');
    ok(is_in('bob', 'lobby', 2), 'both are in the lobby again');
    sees('ann', 'bob', 'still here');
    ok(!people('eval', 'ann', 'document.querySelector(".gap")')->{value},
        'and ann knows that she missed nothing');
    ok(people('say', 'ann', 'back again'), 'ann speaks');
    sees('bob', 'ann', 'back again');
    people('say', 'bob', 'welcome back');
    sees('ann', 'bob', 'welcome back');
    sees('ann', 'bob', 'Good morning, ann');
    ok(is_in($_, 'birds', 2), "and $_ is in the other room") for qw(ann bob);
    people('say', 'bob', 'and here?');
    sees('ann', 'bob', 'and here?');
    ok(people('eval', $_, 'window.stays')->{value},
        "the page of $_ is still the same one") for qw(ann bob);
};

# In the moment in which its answer is on the way.
subtest 'a room that is left while it is joined again' => sub {
    is_in('ann', 'lobby', 2);
    people('eval', 'ann', '(() => { const { send } = WebSocket.prototype; '
            . 'WebSocket.prototype.send = function (text) { '
            . 'send.call(this, text); '
            . 'if (!text.includes(`"join"`)) return this.close(); '
            . 'WebSocket.prototype.send = send; queueMicrotask(() => '
            . 'document.getElementById("leave").click()); }; '
            . 'dispatchEvent(new Event("online")); return true })()');
    ok(true_in('ann',
            'document.getElementById("name").textContent === "#birds"'),
        'ann goes on in the other one');
    people('say', 'ann', 'only birds');
    is_in('bob', 'birds', 2);
    sees('bob', 'ann', 'only birds');
    people('say', 'ann', '/join lobby');
    ok(is_in($_, 'lobby', 2), "$_ is in the lobby") for qw(ann bob);
};

is_deeply(people('problems')->{list}, [],
    'no complaint in a console, no request elsewhere, no policy violated');
subtest 'the room as an EventSource' => sub {
    is_in('bob', 'lobby', 2);
    people('eval', 'ann', '(() => { window.heard = []; '
            . 'window.source = new EventSource("/events?room=lobby"); '
            . 'source.addEventListener("message", '
            . '(e) => heard.push(JSON.parse(e.data).text)); return true })()');
    ok(true_in('ann', 'source.readyState === 1'), 'a browser takes it');
    people('say', 'bob', 'in an event stream');
    ok(true_in('ann', 'heard.filter((t) => t === "in an event stream")'
            . '.length === 1'), 'and hears what is said, once');
    is(($t->ctl('reload'))[0], 0, 'a reload');
    people('say', 'bob', 'after the reload');
    ok(true_in('ann', 'heard.at(-1) === "after the reload" && '
            . 'source.readyState === 1'), 'moves it');
};

is($driver->finish(20), 0, 'the browser ends');
$t->finish;
done_testing;
