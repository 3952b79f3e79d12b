# POST /api/v1/publish: what it says in rooms, who may, and every refusal.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::Bin/lib";
use JSON::PP ();
use Test::More;

use Test::Linnet;

sub config
{
    my ($more, $token) = @_;
    $token //= '';
    return <<"INI" . ($more // '');
[server]
workers = 2

[listen web]
address  = 127.0.0.1:%%PORT_web%%
address  = unix:%%UNIX_web%%
protocol = http

%%LISTEN_lines%%

%%ROUTE_chat%%

[route api]
listen  = web
path    = /api/
handler = chat_api
$token

[route metrics]
listen  = web
path    = /metrics
handler = status

[chat]
text_size = 64

[room slow]
slow_mode = 1h
INI
}

my $JSON = JSON::PP->new->utf8;
my $t = Test::Linnet->new(config => config(),
    files => { 'conf/token' => "s3cret.of~many/bytes+==\n",
        'conf/empty' => "\n" })->start;

# One POST on a connection of its own; the answer with {json}.
sub post
{
    my ($body, %o) = @_;
    $body = $JSON->encode($body) if ref $body;
    my %headers = (
        Host => 'localhost:' . $t->port('web'),
        'Content-Type' => 'application/json', Connection => 'close',
        'Content-Length' => length $body, %{ $o{headers} // {} });
    my $path = $o{path} // '/api/v1/publish';
    my $s = $t->connect($o{to} // 'web');
    my $method = $o{method} // 'POST';
    $s->write("$method $path HTTP/1.1\r\n" . join('', map { "$_: $headers{$_}\r\n" }
            grep { defined $headers{$_} } sort keys %headers) . "\r\n$body");
    my $r = $s->http_response or return {};
    $r->{json} = eval { $JSON->decode($r->{body}) };
    return $r;
}

sub refused
{
    my ($r, $status, $code, $name) = @_;
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    is_deeply([$r->{status}, $r->{json}{error}{code}], [$status, $code],
        "$name: $status $code") or diag $r->{body};
    like($r->{json}{error}{message} // '', qr/\w{3}/, '... and says why');
    like($r->{headers}{'content-type'}, qr{^application/json}, '... in JSON');
    return;
}

my %hi = (room => 'lobby', text => 'hi', from => 'ann');

subtest 'said in the room' => sub {
    my $w = $t->websocket('web', '/chat');
    $w->send_json({ type => 'join', room => 'lobby', nick => 'cy', id => 1 });
    my $joined = $w->json_like({ type => 'joined' });
    my $r = post({ %hi, text => "grüß dich\n\"ann\"" });
    is($r->{status}, 200, 'published');
    is($r->{json}{result}{epoch}, $joined->{epoch}, 'with the epoch');
    my $m = $w->json_like({ type => 'message' });
    is_deeply([@$m{qw(room from text seq)}],
        ['lobby', 'ann', "grüß dich\n\"ann\"", $r->{json}{result}{seq}],
        'and the seq of the message that members got');
    is($r->{headers}{'cache-control'}, 'no-store', 'not to be cached');
    post({ room => 'lobby', text => 'no name' });
    is($w->json_like({ type => 'message' })->{from}, 'server',
        'without from it is the server');
    for my $nick ('server', 'Server') {
        $w->send_json({ type => 'nick', nick => $nick, id => 7 });
        is($w->json_like({ id => 7 })->{code}, 'nick_taken',
            "... and nobody else is $nick");
    }
    my $late = $t->websocket('web', '/chat');
    $late->send_json({ type => 'join', room => 'den', nick => 'server', id => 1 });
    is($late->json_like({ id => 1 })->{code}, 'nick_taken',
        '... not from the start either');
    is(post({ %hi, more => [1, { a => 2 }] })->{status}, 200,
        'other keys are not looked at');
    is($w->json_like({ type => 'message' })->{text}, 'hi', '... said, too');

    is(post({ %hi, room => 'quiet' })->{status}, 200, 'a room without anybody');
    $w->send_json({ type => 'join', room => 'quiet', id => 2 });
    my $h = $w->json_like({ type => 'joined', room => 'quiet' })->{history};
    is_deeply([map { $_->{text} } @$h], ['hi'], 'has it in its history');
    is(post({ %hi, room => 'slow', text => $_ })->{status}, 200,
        "slow mode is for people ($_)") for qw(one two);

    # Several on one connection.
    my $s = $t->connect('web');
    my $body = $JSON->encode(\%hi);
    my $request = "POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
        . "Content-Type: application/json; charset=utf-8\r\n"
        . 'Content-Length: ' . length($body) . "\r\n\r\n$body";
    $s->write($request x 5);
    my @seqs = map { $JSON->decode($s->http_response->{body})->{result}{seq} }
        1 .. 5;
    is_deeply(\@seqs, [sort { $a <=> $b } @seqs], 'five in a row, in order');
    $s->write("POST /api/v1/publish HTTP/1.1\r\nHost: localhost\r\n"
            . "Content-Type: application/json\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n"
            . sprintf("%x\r\n%s\r\n0\r\n\r\n", length $body, $body));
    is($s->http_response->{status}, 200, 'a body in chunks');

    my $metrics = $t->http_get('web', '/metrics')->{body};
    my $n = 0;
    $n += $1 while $metrics =~ /^linnet_http_published_total\{.*\} (\d+)/mg;
    is($n, 12, 'metrics count them');
};

subtest 'refusals' => sub {
    refused(post('{"room":'), 400, 'bad_json', 'half an object');
    refused(post('[1]'), 400, 'bad_json', 'an array');
    refused(post(''), 400, 'bad_json', 'nothing');
    refused(post('{"room":"lobby","room":"den","text":"x"}'), 400, 'bad_json',
        'a key twice');
    refused(post('{"room":"lobby","text":"a\u0000b"}'), 400, 'bad_json',
        'a NUL');
    refused(post("{\"room\":\"lobby\",\"text\":\"\xff\"}"), 400, 'bad_json',
        'no UTF-8');
    refused(post({ text => 'x' }), 400, 'bad_request', 'no room');
    refused(post({ room => 'lobby' }), 400, 'bad_request', 'no text');
    refused(post({ %hi, text => 7 }), 400, 'bad_request', 'a number as text');
    refused(post({ %hi, from => undef }), 400, 'bad_request', 'null as from');
    refused(post({ %hi, text => '' }), 400, 'bad_request', 'an empty text');
    refused(post({ %hi, room => 'Not A Room' }), 400, 'bad_room', 'a bad room');
    refused(post({ %hi, room => '' }), 400, 'bad_room', 'an empty room');
    refused(post({ %hi, from => 'two words' }), 400, 'bad_nick', 'a bad nick');
    refused(post({ %hi, text => 'x' x 65 }), 413, 'too_long',
        'more than text_size');
    refused(post('{"text":"' . 'x' x (128 * 1024) . '"}'), 413,
        'content_too_large', 'more than any body');
    my $big = 'x' x (130 * 1024);
    refused(post(sprintf("%x\r\n%s\r\n0\r\n\r\n", length $big, $big),
        headers => { 'Content-Length' => undef,
            'Transfer-Encoding' => 'chunked' }), 413, 'content_too_large',
        'the same in chunks');
    for my $type (undef, 'text/plain', 'application/x-www-form-urlencoded',
        'application/jsonp') {
        my $r = post(\%hi, headers => { 'Content-Type' => $type });
        refused($r, 415, 'unsupported_media_type', $type // 'no type');
    }
    for my $method (qw(GET PUT DELETE PATCH)) {
        my $r = post('', method => $method);
        refused($r, 405, 'method_not_allowed', $method);
        is($r->{headers}{allow}, 'POST, OPTIONS', '... and what is allowed');
    }
    refused(post(\%hi, path => "/api/$_"), 404, 'not_found', "/api/$_")
        for '', 'v1', 'v2/publish', 'v1/publish/', 'xv1/publish/x';
};

subtest 'without a token' => sub {
    is(post(\%hi, to => 'unix:web', headers => { Host => 'localhost' })
            ->{status}, 200, 'a unix socket will do');
    is(post(\%hi, headers => { Host => $_ })->{status}, 200, "Host: $_")
        for 'localhost', '127.0.0.1', '127.0.0.1:80', '[::1]', '[::1]:80',
        'LOCALHOST:9';
    refused(post(\%hi, headers => { Host => $_ }), 403, 'forbidden',
        "Host: $_") for 'example.org', 'localhost.example.org', '10.0.0.1',
        '127.0.0.1.nip.io:8080', '[::2]';
    refused(post(\%hi, headers => { $_ => '203.0.113.9' }), 403, 'forbidden',
        "behind a proxy: $_") for 'X-Forwarded-For', 'Forwarded', 'Via';
    refused(post(\%hi, headers => { Origin => 'http://evil.example' }), 403,
        'forbidden', 'a page from elsewhere');
    is(post(\%hi, headers => {
        Origin => 'http://localhost:' . $t->port('web') })->{status}, 200,
        'a page of the same host');
};

subtest 'with tokens' => sub {
    my ($exit, $out, $err) = $t->reload(config('',
        "token = \${file:token}\ntoken = other-token"));
    is($exit, 0, 'reloaded') or diag $err;
    my $r = post(\%hi);
    refused($r, 401, 'unauthorized', 'no token');
    is($r->{headers}{'www-authenticate'}, 'Bearer realm="linnet"',
        '... what is wanted');
    for my $value ('Bearer wrong', 'Bearer s3cret.of~many/bytes+=',
        'Bearer s3cret.of~many/bytes+===', 'Bearer other-tokenother-token',
        'Bearer x other-token') {
        $r = post(\%hi, headers => { Authorization => $value });
        refused($r, 401, 'unauthorized', $value);
        like($r->{headers}{'www-authenticate'}, qr/error="invalid_token"/,
            '... it is the token');
    }
    refused(post(\%hi, headers => { Authorization => $_ }), 401, 'unauthorized',
        $_) for 'Bearer', 'Bearer ', 'Basic other-token', 'other-token';
    refused(post('{', headers => { 'Content-Type' => 'text/plain' }), 401,
        'unauthorized', 'whatever else is wrong');
    for my $token ('s3cret.of~many/bytes+==', 'other-token') {
        $r = post(\%hi, headers => { Authorization => "Bearer $token",
            Host => 'example.org', 'X-Forwarded-For' => '203.0.113.9' });
        is($r->{status}, 200, "$token opens from anywhere");
    }
    is(post(\%hi, headers => { Authorization => 'bearer   other-token' })
            ->{status}, 200, 'the scheme in any case');
    ($exit, $out) = $t->run('-T');
    unlike($out, qr/s3cret|other-token/, '-T does not show them');
    like($out, qr/^; secret = token/m, '... but that they are there');
    $t->log_unlike(qr/s3cret|other-token/, 'nor does the log');
};

subtest 'a page of another host' => sub {
    my $page = 'https://app.example.org';
    my ($exit, $out, $err) = $t->reload(config('',
        "token = other-token\norigin = ^https://app\\.example\\.org\$"));
    is($exit, 0, 'reloaded') or diag $err;
    my %asks = (Origin => $page, 'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Headers' => 'authorization,content-type');
    my $r = post('', method => 'OPTIONS', headers => \%asks);
    is($r->{status}, 204, 'its browser asks first');
    my %h = %{ $r->{headers} };
    is_deeply([@h{map { "access-control-allow-$_" } qw(origin methods headers)}],
        [$page, 'POST', 'Authorization, Content-Type'], '... and may go on');
    is($h{allow}, 'POST, OPTIONS', '... as everybody may');
    $r = post(\%hi, headers => { Origin => $page,
        Authorization => 'Bearer other-token' });
    is($r->{status}, 200, 'published');
    is($r->{headers}{'access-control-allow-origin'}, $page, '... and is told so');
    $r = post(\%hi, headers => { Origin => $page });
    refused($r, 401, 'unauthorized', 'without the token');
    is($r->{headers}{'access-control-allow-origin'}, $page, '... is told, too');
    $asks{Origin} = 'https://evil.example.org';
    $r = post('', method => 'OPTIONS', headers => \%asks);
    refused($r, 403, 'forbidden', 'another page');
    is($r->{headers}{'access-control-allow-origin'}, undef, '... may not go on');
    $r = post('', method => 'OPTIONS');
    is_deeply([@$r{qw(status)}, $r->{headers}{allow}], [204, 'POST, OPTIONS'],
        'who is no page may ask as well');
};

subtest 'what -t says' => sub {
    for my $bad ('token = ${file:empty}', 'token =', 'token = two words',
        'token = ====') {
        $t->write_config(config('', $bad));
        my ($exit, $out, $err) = $t->run('-t');
        is($exit, 78, "$bad is refused");
        like($err, qr/server\.ini:\d+: .*a token has letters/, '... and why');
    }
    $t->write_config(config() =~ s/chat_api/chat-api/r);
    my ($exit, $out, $err) = $t->run('-t');
    like($err, qr/did you mean "chat_api"/, 'a name misspelt');
};

$t->finish;
done_testing;
