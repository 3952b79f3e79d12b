# The configuration as a user meets it: -t, -T, -o, and every error with its
# place.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;

my $t = Test::Linnet->new(ports => { web => 18080, echo => 17000 });
my $conf = $t->conf_path;

# -t on a text: the exit status and the lines of standard error, the path of
# the file shortened.
sub check
{
    my ($text, @args) = @_;
    my ($exit, $out, $err) = check_raw($text, @args);
    is($out, '', 'nothing on standard output') unless @args;
    return ($exit, split /\n/, $err);
}

sub check_raw
{
    my ($text, @args) = @_;
    spew($conf, $t->expand($text)) if defined $text;
    my ($exit, $out, $err) = $t->run('-t', @args);
    s{\Q$t->{prefix}\E/conf/}{}g for $out, $err;
    return ($exit, $out, $err);
}

my $good = <<'INI';
[server]
workers = 2

[listen echo]
address = 127.0.0.1:%%PORT_echo%%
app = echo

[listen web]
address = 127.0.0.1:%%PORT_web%%
protocol = http

[route echo]
listen = web
path = /echo
protocol = websocket
app = echo
INI

subtest 'good' => sub {
    my ($exit, $out, $err) = check_raw($good);
    is($exit, 0, 'exit 0');
    like($err, qr/configuration file .*server\.ini test is successful/,
        'said on standard error');
    ($exit, $out, $err) = check_raw(undef, '-q');
    is($exit, 0, '-q: exit 0');
    is($err, '', '... and silent');
    ok(!-e $t->path('run/linnet.pid'), 'nothing is started');
};

subtest 'every error at once, with its place' => sub {
    my ($exit, @err) = check(<<'INI');
[server]
workers = many
runn_dir = run

[listen echo]
adress = 127.0.0.1:7000
app = ehco

[limit]
connections = 5

[limits]
message_size = 64q
idle_timeout = 10
send_queue_policy = clsoe
INI
    is($exit, 78, 'exit 78');
    my $all = join "\n", @err;
    like($all, qr/^server\.ini:2: .*workers/m, 'a number that is none');
    like($all, qr/^server\.ini:3: .*runn_dir.*run_dir/m,
        'a misspelt key with a suggestion');
    like($all, qr/^server\.ini:6: .*adress.*address/m, 'another one');
    like($all, qr/^server\.ini:9: .*limit.*limits/m,
        'a misspelt section with a suggestion');
    like($all, qr/^server\.ini:13: .*message_size/m, 'a size that is none');
    like($all, qr/^server\.ini:14: .*idle_timeout/m,
        'a duration without a unit');
    like($all, qr/^server\.ini:15: .*clsoe.*close/m,
        'a word that is not among those possible');
    my @wild = grep { !/^server\.ini(:\d+)?: |^linnet: |failed/ } @err;
    is("@wild", '', 'each line has its place');

    ($exit, my $out, my $start) = $t->run;
    is($exit, 78, 'a start with that: exit 78');
    like($start, qr/server\.ini:3: .*runn_dir/, '... with the errors');
    is(scalar $t->processes, 0, '... and nothing runs');
};

subtest 'names that must exist' => sub {
    my ($exit, @err) = check(<<'INI');
[listen echo]
address = 127.0.0.1:7000
app = ehco

[listen web]
address = 127.0.0.1:8080
protocol = htpp

[listen lines]
address = 127.0.0.1:8081
protocol = line
INI
    is($exit, 78, 'exit 78');
    my $all = join "\n", @err;
    like($all, qr/^server\.ini:3: .*ehco.*echo/m, 'app');
    like($all, qr/^server\.ini:7: .*htpp.*http/m, 'protocol');
    like($all, qr/^server\.ini:\d+: .*app/m, 'a listener without an app');

    ($exit, @err) = check(<<'INI');
[listen web]
address = 127.0.0.1:8080
protocol = http

[route a]
listen = wbe
path = /a
handler = static
root = builtin:chat

[route b]
listen = web
path = /b
handler = sttaic

[route c]
listen = web
path = /c
protocol = websocket
app = nothing
INI
    is($exit, 78, 'exit 78');
    $all = join "\n", @err;
    like($all, qr/^server\.ini:6: .*wbe.*web/m, 'listen of a route');
    like($all, qr/^server\.ini:14: .*sttaic.*static/m, 'handler');
    like($all, qr/^server\.ini:20: .*nothing/m, 'app of a route');
};

subtest 'twice' => sub {
    my ($exit, @err) = check(<<'INI');
[server]
workers = 1
workers = 2

[listen a]
address = 127.0.0.1:7000
app = echo

[listen a]
address = 127.0.0.1:7001
app = echo

[listen b]
address = 127.0.0.1:7000
app = echo

[listen web]
address = 127.0.0.1:8080
protocol = http

[route x]
listen = web
path = /x
handler = static
root = builtin:chat

[route y]
listen = web
path = /x
handler = static
root = builtin:chat
INI
    is($exit, 78, 'exit 78');
    my $all = join "\n", @err;
    like($all, qr/^server\.ini:3: .*workers.*2\b/m,
        'a key that is no list, naming both places');
    like($all, qr/^server\.ini:9: .*listen a.*5\b/m,
        'a section, naming both places');
    like($all, qr/^server\.ini:1[34]: .*127\.0\.0\.1:7000/m, 'an address');
    like($all, qr/^server\.ini:29: .*route x\b.*23\b/m,
        'a path on one listener, naming both places');
};

subtest 'syntax' => sub {
    my ($exit, @err) = check("[server\nworkers = 1\n");
    is($exit, 78, 'a section that does not end');
    like($err[0], qr/^server\.ini:1: /, '... with its place');
    ($exit, @err) = check("workers = 1\n");
    is($exit, 78, 'a key outside of any section');
    like($err[0], qr/^server\.ini:1: /, '... with its place');
    ($exit, @err) = check("[server]\n\nworkers\n");
    is($exit, 78, 'a key without a value');
    like($err[0], qr/^server\.ini:3: /, '... with its place');
    ($exit, @err) = check("[route x]\nmatch = ^/(\n");
    is($exit, 78, 'a pattern that is none');
    like("@err", qr/server\.ini:2: .*match/, '... with its place');
    ($exit, @err) = check("[server]\nworkers = 2\0 3\n");
    is($exit, 78, 'a NUL byte');
    like("@err", qr/server\.ini:2\b/, '... with its place');
    ($exit, @err) = check("[server]\r\nworkers = 2\r\n$good"
            =~ s/\[server\]\nworkers = 2\n//r);
    is($exit, 0, 'lines that end in CRLF') or diag "@err";
    ($exit, @err) = check("\xef\xbb\xbf$good");
    is($exit, 0, 'a byte order mark') or diag "@err";

    my $long = 'x' x 700;
    ($exit, @err) = check("; $long workers = many $long\n$good");
    is($exit, 0, 'a long comment is one comment') or diag "@err";
    ($exit, @err) = check($good =~ s/workers = 2/run_dir = run ; $long/r);
    is($exit, 0, 'a long line is one line') or diag "@err";
    ($exit, @err) = check($good =~ s/^/   /mgr);
    is($exit, 0, 'blanks at the start mean nothing') or diag "@err";

    my ($e, $out, $err) = run_command($t->binary, '-t', '-p', $t->prefix,
        '-c', $t->path('conf'));
    is($e, 78, 'a folder as the file');
    like($err, qr/conf.*directory/i, '... is said to be one');
    ($e, $out, $err) = run_command($t->binary, '-t', '-p', $t->prefix,
        '-c', $t->path('conf/none.ini'));
    is($e, 78, 'a file that is not there');
    like($err, qr/none\.ini.*No such file/i, '... is named');
};

subtest 'bounds' => sub {
    for my $bad (['server', 'workers = 0'], ['server', 'workers = 100000'],
        ['server', 'workers = -1'], ['server', 'zone_size = 1k'],
        ['server', 'zone_size = 99999999999999999999g'],
        ['limits', 'connections = -5'], ['limits', 'connections = 1x'],
        ['listen x', 'address = 127.0.0.1:70000'],
        ['listen x', 'address = 127.0.0.1:0x50'],
        ['listen x', 'address = 300.0.0.1:80'],
        ['listen x', 'address = unix:'],
        ['listen x', 'address = [::1:80'],
        ['log', 'level = loud'], ['log', 'format = xml']) {
        my ($section, $line) = @$bad;
        my ($exit, $out, $err) = check_raw("[$section]\n$line\n");
        is($exit, 78, $line);
        my ($key, $value) = split / = /, $line;
        like($err, qr/^server\.ini:2: .*\b$key\b/m, '... with place and key');
    }
};

subtest 'include and variables' => sub {
    spew($t->path('conf/conf.d/b.ini'),
        "[listen b]\naddress = 127.0.0.1:\${PORT:-7002}\napp = echo\n");
    spew($t->path('conf/conf.d/a.ini'),
        "[listen a]\naddress = 127.0.0.1:7001\napp = echo\n");
    spew($t->path('conf/secret'), "word\n");
    my ($exit, @err) = check("[server]\ninclude = conf.d/*.ini\n");
    is($exit, 0, 'included') or diag "@err";

    local $ENV{PORT} = '99999';
    ($exit, @err) = check(undef);
    is($exit, 78, 'a variable with a bad value');
    like("@err", qr{conf\.d/b\.ini:2: .*99999}, '... in the included file');
    delete $ENV{PORT};

    ($exit, @err) = check("[listen c]\naddress = \${NOT_SET_ANYWHERE}\n"
            . "app = echo\n");
    is($exit, 78, 'a variable that is not set');
    like("@err", qr/server\.ini:2: .*NOT_SET_ANYWHERE/, '... is named');
    ($exit, @err) = check("[listen c]\naddress = \${file:$t->{prefix}/none}\n"
            . "app = echo\n");
    is($exit, 78, 'a file in a value that is not there');
    like("@err", qr/server\.ini:2: .*none/, '... is named');
    ($exit, @err) = check("[listen c]\naddress = 127.0.0.1:7003\napp = echo\n"
            . "[room lobby]\ntopic = \${file:$t->{prefix}/conf/secret}\n");
    is($exit, 0, 'a file in a value') or diag "@err";
    my (undef, $out) = $t->run('-T');
    like($out, qr/topic\s*=\s*word\b/, '... is its contents');

    ($exit, @err) = check("[server]\ninclude = none.ini\n");
    is($exit, 78, 'an include that is not there');
    like("@err", qr/server\.ini:2: .*none\.ini/, '... is named');
    ($exit, @err) = check("[server]\ninclude = server.ini\n");
    is($exit, 78, 'a file that includes itself');
    like("@err", qr/server\.ini:2: /, '... with its place');
    spew($t->path('conf/conf.d/a.ini'), "[limits]\nconnections = none\n");
    ($exit, @err) = check("[server]\ninclude = conf.d/a.ini\nrunn = 1\n");
    like("@err", qr{conf\.d/a\.ini:2: .*server\.ini:3: |
            server\.ini:3: .*conf\.d/a\.ini:2: }x, 'errors of both files');
};

subtest '-T' => sub {
    spew($conf, $t->expand($good));
    my ($exit, $out, $err) = $t->run('-T');
    is($exit, 0, 'exit 0') or diag $err;
    like($out, qr/^\[server\]/m, 'sections');
    like($out, qr/^\[route echo\]/m, 'named ones');
    like($out, qr/^workers\s*=\s*2\s*;.*server\.ini:2\b/m,
        'a value and where it came from');
    like($out, qr/^zone_size\s*=\s*64m\s*; default/m, 'a default');
    ($exit, $out, $err) = $t->run('-T', '-o', 'server.workers=3', '-o',
        'listen echo.address=127.0.0.1:7009');
    is($exit, 0, '-o: exit 0') or diag $err;
    like($out, qr/^workers\s*=\s*3\s*;.*command line/m, '... is told');
    like($out, qr/^address\s*=\s*127\.0\.0\.1:7009\b/m, '... with a name');
    unlike($out, qr/:17000\b/, '... and replaces what the file says');

    # What it prints is a configuration again, and the same.
    ($exit, my $first) = $t->run('-T');
    spew($t->path('conf/again.ini'), $first);
    my @again = ($t->binary, '-p', $t->prefix, '-c',
        $t->path('conf/again.ini'));
    ($exit, $out, $err) = run_command(@again, '-t');
    is($exit, 0, 'what it prints can be read back') or diag $err;
    ($exit, $out, $err) = run_command(@again, '-T');
    my ($x, $y) = map { join "\n", map { s/\s*;.*//r } split /\n/ }
        $first, $out;
    is($y, $x, '... and means the same');
};

subtest '-o' => sub {
    spew($conf, $t->expand($good));
    my ($exit, $out, $err) = $t->run('-t', '-o', 'server.wrokers=1');
    is($exit, 78, 'an unknown key');
    like($err, qr/command line: .*wrokers.*workers/, '... is named');
    for my $bad ('server', 'server.workers', 'workers=2', '=', '') {
        ($exit, $out, $err) = $t->run('-t', '-o', $bad);
        ok($exit == 78 || $exit == 2, "-o '$bad' is refused");
        isnt($err, '', '... with a message');
    }
    ($exit, $out, $err) = $t->run('-t', '-o', 'server.workers=lots');
    is($exit, 78, 'a bad value');
    like($err, qr/command line: .*workers/, '... is named');
};

subtest 'a path that is too long for the control socket' => sub {
    my $room = 99 - length($t->prefix . '/' . '/control.sock');
    for my $n ($room, $room + 1) {
        my $name = 'r' x $n;
        spew($conf, $t->expand($good));
        my ($exit, $out, $err) = $t->run('-t', '-o', "server.run_dir=$name");
        is($exit, $n > $room ? 78 : 0, "a folder of $n letters: exit $exit")
            or diag $err;
        like($err, qr/\[server\] run_dir: .* 100 bytes, 99 are possible/,
            '... with the reason') if $n > $room;
    }
};

$t->finish;
done_testing;
