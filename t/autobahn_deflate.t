# The cases of the Autobahn test suite, by their numbers: families 12 and 13,
# permessage-deflate.  Family 12 sends five kinds of data with the usual offer,
# family 13 has seven sets of parameters; both in messages of 16 bytes to
# 128 KB, whole and in fragments.
#
# Each case is played on every way in which a server can be set up: without
# looking back (shared), with a window of its own of the full size, and with a
# small one.  What is agreed on must be the right answer, and both sides must
# keep to it.  The original sends 1,000 messages a case: so do we on one of the
# ways when LINNET_TEST_FULL=1 is set (an hour or so).

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Compress::Raw::Zlib ();
use Test::More;

use Test::Linnet;
use Test::Linnet::Cases;
use Test::Linnet::Deflate;

$ENV{TEST_TIMEOUT} ||= 7200 if full_scale();
alarm($ENV{TEST_TIMEOUT} * time_factor()) if $ENV{TEST_TIMEOUT};

my @ways = qw(shared 256k 16k);
my $config = <<'INI';
[server]
workers = 1

[limits]
message_size  = 256k
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%
INI
$config .= <<"INI" for @ways;
[route $_]
listen          = web
path            = /$_
protocol        = websocket
app             = echo
compression     = $_
compression_min = 1

INI

my $t = Test::Linnet->new(config => $config)->start;
my ($worker) = $t->worker_pids;

# Size, and size of the fragments of what is sent (0: one frame).
my @sizes = ((map { [16 * 4**$_, 0] } 0 .. 4), (map { [8192 * 2**$_, 0] } 0 .. 4),
    (map { [8192 * 2**$_, 256] } 0 .. 4),
    (map { [131072, $_] } 1024, 4096, 32768));

sub count
{
    my ($size, $full) = @_;
    return $full ? 1000 : $size <= 4096 ? 20 : $size <= 32768 ? 5 : 3;
}

# ---- data ----------------------------------------------------------------

# The same on every machine and in every run.
my $seed = 12;

sub dice
{
    my ($n) = @_;
    $seed = ($seed * 1103515245 + 12345) & 0x7fffffff;
    return ($seed >> 8) % $n;
}

my @words = qw(der die das und in zu den nicht von sie ist des sich mit dem
    dass er es ein ich auf so eine auch als an nach wie im man aber aus durch
    wenn nur war noch werden bei hat wir was wird sein einen welche sind oder
    zur um haben einer mir ihm diese einem ihr uns da zum kann doch vor dieser
    mich ihn du hatte seine mehr am denn nun unter sehr selbst schon hier bis
    habe ihre dann ihnen seiner alle wieder meine Zeit gegen vom ganz einzelnen
    wo muss ohne eines koennen sei Geist Welt Herz Natur Leben Himmel Erde
    Nacht Seele Kraft Wort Feuer Hoelle Teufel Garten Strasse Stimme Freund);

sub word { return $words[dice(scalar @words)] }

# A play in verse: speakers, lines, the same words again and again.
sub verses
{
    my $text = '';
    while (length $text < 220_000) {
        $text .= "\n" . uc(word()) . ":\n";
        for (0 .. dice(6)) {
            my $line = join ' ', map { word() } 1 .. 5 + dice(4);
            $text .= '  ' . ucfirst($line) . (',', '.', ';', '!')[dice(4)]
                . "\n";
        }
    }
    return $text;
}

# 512 x 512 points in shades of grey that change slowly, with some grain.
sub picture
{
    my $head = pack 'a2VvvV VVVvvVVVVVV', 'BM', 263_222, 0, 0, 1078, 40, 512,
        512, 1, 8, 0, 262_144, 2835, 2835, 256, 256;
    $head .= pack 'C4', $_, $_, $_, 0 for 0 .. 255;
    my @wave = map { 40 * sin($_ / 37) + 25 * sin($_ / 11) } 0 .. 511;
    my $points = '';
    for my $y (0 .. 511) {
        $points .= pack 'C512',
            map { int(110 + $wave[$y] + $wave[$_] * 0.7) + dice(7) } 0 .. 511;
    }
    return $head . $points;
}

# A document of text around streams that cannot be compressed any further.
sub document
{
    my $text = "%PDF-1.4\n";
    my $i = 0;
    while (length $text < 400_000) {
        my $d = Compress::Raw::Zlib::Deflate->new(-AppendOutput => 1);
        my $stream = '';
        $d->deflate(join(' ', map { word() . dice(1000) } 1 .. 1500), $stream);
        $d->flush($stream);
        $text .= ++$i . " 0 obj\n<< /Length " . length($stream)
            . " /Filter /FlateDecode >>\nstream\n$stream\nendstream\nendobj\n";
    }
    return $text;
}

sub objects
{
    my $text = "[\n";
    my $id = 1000;
    while (length $text < 320_000) {
        $text .= sprintf qq(  {"id": %d, "name": "%s %s", "active": %s,\n)
            . qq(   "score": %d.%02d, "tags": ["%s", "%s"], "text": "%s"},\n),
            $id++, ucfirst word(), ucfirst word(), dice(2) ? 'true' : 'false',
            dice(100), dice(100), word(), word(),
            join ' ', map { word() } 1 .. 8 + dice(12);
    }
    return "$text  null\n]\n";
}

sub page
{
    my $text = "<!DOCTYPE html>\n<html>\n<body>\n";
    while (length $text < 260_000) {
        $text .= sprintf qq(<div class="entry %s" id="e%d"><a href="/%s/%d">)
            . "%s</a>\n  <p>%s</p>\n</div>\n", word(), dice(100_000), word(),
            dice(10_000), ucfirst word(), join ' ', map { word() } 1 .. 30;
    }
    return "$text</body>\n</html>\n";
}

my $json = objects();
my @data = ([2, verses(), 'a play in verse'], [2, picture(), 'a picture'],
    [2, document(), 'a document with streams'], [1, $json, 'JSON'],
    [1, page(), 'HTML']);

# ---- playing -------------------------------------------------------------

my %played;
my $turn = 0; # which way is at full scale

# One case on one way: undef, or what went wrong.
sub play
{
    my ($way, $offer, $agreed, $op, $data, $size, $fragments, $level, $n) = @_;
    my $w = $t->websocket('web', "/$way", extensions => $offer);
    my $c = Test::Linnet::Deflate->new($w, level => $level);
    my $got = $c->agreed // 'nothing';
    return "agreed on $got, not on $agreed" if $got ne $agreed;
    my ($at, $plain) = (0, 0);
    for my $i (1 .. $n) {
        my $message = substr $data, $at, $size;
        $at += $size;
        if ($at >= length $data) {
            $at -= length $data;
            $message .= substr $data, 0, $at;
        }
        $c->send($op, $message, $fragments);
        my ($type, $back, $zipped) = $c->receive(30);
        return "message $i: opcode $type" if $type ne $op;
        return "message $i: not what was sent" if $back ne $message;
        $plain++ if !$zipped;
    }
    return 'what could be compressed was not'
        if $plain && defined $c->agreed && $size > 64 && $op == 1;
    my $code = $w->close(1000);
    return 'closed with ' . ($code // 'nothing') if $code != 1000;
    return;
}

sub play_all
{
    my ($number, $name, $offer, $agreed, $op, $data) = @_;
    my $i = 0;
    for my $row (@sizes) {
        my ($size, $fragments) = @$row;
        my $full = full_scale() ? ++$turn % @ways : -1;
        $i++;
        my (@wrong, $most);
        for my $k (0 .. $#ways) {
            my $way = $ways[$k];
            my $n = count($size, $k == $full);
            my $why = play($way, $offer, $agreed->{$way}, $op, $data, $size,
                $fragments, $i % 2 && $k != $full ? 6 : 1, $n);
            push @wrong, "$way: $why" if defined $why;
            $most = $n if !$most || $n > $most;
        }
        $played{"$number.$i"} = 1;
        is_deeply(\@wrong, [], "$number.$i: $most messages of $size bytes"
                . ($fragments ? ", in fragments of $fragments" : ''));
    }
    return;
}

my $pmd = 'permessage-deflate';
my $usual = "$pmd; client_no_context_takeover; client_max_window_bits";
my $both = "$pmd; server_no_context_takeover; client_no_context_takeover";
my %agreed = (shared => $both, '256k' => "$pmd; client_no_context_takeover",
    '16k' => "$pmd; client_no_context_takeover");

for my $i (1 .. @data) {
    my ($op, $data, $name) = @{ $data[$i - 1] };
    subtest "12.$i: $name" => sub {
        play_all("12.$i", $name, $usual, \%agreed, $op, $data);
    };
}

sub all_ways
{
    my ($answer) = @_;
    return { map { $_ => $answer } @ways };
}

# No context and a window; 8 bits are more than zlib can promise.
my @parameters = (
    ['the usual offer', $usual, \%agreed],
    ['no context', "$usual; server_no_context_takeover", all_ways($both)],
    ['8 bits', "$usual; server_max_window_bits=8", all_ways('nothing')],
    ['15 bits', "$usual; server_max_window_bits=15",
        { shared => "$both; server_max_window_bits=15",
            '256k' => "$agreed{'256k'}; server_max_window_bits=15",
            '16k' => "$agreed{'16k'}; server_max_window_bits=11" }],
    ['no context and 8 bits',
        "$usual; server_no_context_takeover; server_max_window_bits=8",
        all_ways('nothing')],
    ['no context and 15 bits',
        "$usual; server_no_context_takeover; server_max_window_bits=15",
        all_ways("$both; server_max_window_bits=15")],
    ['no context and 8 bits, or no context, or the usual',
        "$usual; server_no_context_takeover; server_max_window_bits=8, "
            . "$usual; server_no_context_takeover, $usual", all_ways($both)],
);
for my $i (1 .. @parameters) {
    my ($name, $offer, $agreed) = @{ $parameters[$i - 1] };
    subtest "13.$i: $name" => sub {
        play_all("13.$i", $name, $offer, $agreed, 1, $json);
    };
}

is(scalar keys %played, 90 + 126, 'every case of the list was played');
is_deeply([$t->worker_pids], [$worker], 'the worker lives');
$t->finish;
done_testing;
