# The cases of the Autobahn test suite, by their numbers: framing, pings,
# reserved bits, opcodes, fragments, UTF-8, closing and automatic fragments
# (families 1 to 7 and 10).  Strict: what the suite lets pass as "non-strict"
# fails here.  Families 9, 12 and 13 are in t/autobahn_sizes.t and
# t/autobahn_deflate.t.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Cases;

my $t = Test::Linnet->new(config => <<'INI')->start;
[server]
workers = 1

[limits]
message_size  = 1m
send_queue    = 8m
ping_interval = 0
idle_timeout  = 0

%%LISTEN_web%%

%%ROUTE_echo%%
INI

my ($worker) = $t->worker_pids;
my %played; # the cases of each family

sub play
{
    my ($number, $name, $send, $want, %o) = @_;
    $played{ $number =~ s/\..*//r }{$number} = 1;
    check_case(connect => sub { $t->websocket('web', '/echo') },
        number => $number, name => $name, send => $send, want => $want, %o);
    return;
}

my $hello = 'Hello, world!';
my $hi = text($hello);
my $seen_hi = seen_text($hello);
my $mixed = "\x00\xff\xfe\xfd\xfc\xfb\x00\xff";

subtest '1: framing' => sub {
    my @sizes = (0, 125, 126, 127, 128, 65535, 65536);
    my $i = 0;
    for my $n (@sizes, 65536) {
        $i++;
        my $chop = $i == 8 ? ', in packets of 997 bytes' : '';
        my $ways = $i == 8 ? [qw(octets)] : undef;
        play("1.1.$i", "text of $n bytes$chop", [text('*' x $n)],
            [seen_text('*' x $n)], ways => $ways);
        play("1.2.$i", "binary of $n bytes$chop", [binary("\xfe" x $n)],
            [seen_binary("\xfe" x $n)], ways => $ways);
    }
};

subtest '2: pings and pongs' => sub {
    play('2.1', 'a ping without payload', [ping('')], ['pong ""']);
    play('2.2', 'a ping with a text', [ping($hello)], ["pong \"$hello\""]);
    play('2.3', 'a ping with bytes', [ping($mixed)],
        ['pong "\x00\xff\xfe\xfd\xfc\xfb\x00\xff"']);
    my $most = "\xfe" x 125;
    my $seen = seen_binary($most) =~ s/binary/pong/r;
    play('2.4', 'a ping of 125 bytes', [ping($most)], [$seen]);
    play('2.5', 'a ping of 126 bytes', [bad(ping("\xfe" x 126), 2)],
        ['close 1002']);
    play('2.6', 'a ping of 125 bytes, byte by byte', [ping($most)], [$seen],
        ways => ['octets']);
    play('2.7', 'a pong without payload', [pong('')], []);
    play('2.8', 'a pong that nobody asked for', [pong('unsolicited')], []);
    play('2.9', '... and a ping', [pong('unsolicited'), ping('payload')],
        ['pong "payload"']);
    my @ten = map { "payload-$_" } 0 .. 9;
    my @pongs = map { "pong \"$_\"" } @ten;
    play('2.10', '10 pings', [map { ping($_) } @ten], [@pongs]);
    play('2.11', '10 pings, byte by byte', [map { ping($_) } @ten], [@pongs],
        ways => ['octets']);
};

subtest '3: reserved bits' => sub {
    my @rsv = map { my $rsv = $_; sub { control(@_, rsv => $rsv) } } 0 .. 7;
    my $fails = [$seen_hi, 'close 1002'];
    play('3.1', 'bits 1', [bad($rsv[1]->(1, $hello), 1)], ['close 1002']);
    play('3.2', 'bits 2 behind a message, then a ping',
        [$hi, bad($rsv[2]->(1, $hello), 1), ping('')], $fails);
    play('3.3', 'bits 3, a packet for each frame',
        [$hi, bad($rsv[3]->(1, $hello), 1), ping('')], $fails,
        ways => ['frames']);
    play('3.4', 'bits 4, byte by byte',
        [$hi, bad($rsv[4]->(1, $hello), 1), ping('')], $fails,
        ways => ['octets']);
    play('3.5', 'bits 5 on a binary message', [bad($rsv[5]->(2, $mixed), 1)],
        ['close 1002']);
    play('3.6', 'bits 6 on a ping', [bad($rsv[6]->(9, $hello), 1)],
        ['close 1002']);
    play('3.7', 'bits 7 on a close', [bad($rsv[7]->(8, "\x03\xe8"), 1)],
        ['close 1002']);
};

subtest '4: opcodes' => sub {
    my %with = (1 => [], 2 => [$hello], 3 => [], 4 => [$hello], 5 => [$hello]);
    for my $row ([1, 3, 'non-control'], [2, 11, 'control']) {
        my ($group, $first, $what) = @$row;
        for my $i (1 .. 5) {
            my $op = $first + $i - 1;
            my $payload = $with{$i}[0] // '';
            my $frame = bad(control($op, $payload), 1);
            my $name = "$what opcode $op"
                . ($payload eq '' ? '' : ' with a payload');
            play("4.$group.$i", $name, [$frame], ['close 1002']), next
                if $i < 3;
            play("4.$group.$i", "$name behind a message, then a ping",
                [$hi, $frame, ping('')], [$seen_hi, 'close 1002']);
        }
    }
};

subtest '5: fragments' => sub {
    my ($one, $two) = ('fragment1', 'fragment2');
    my @both = (more(1, $one), cont($two));
    my $seen = seen_text("$one$two");
    play('5.1', 'a ping in fragments', [bad(more(9, $one), 1), cont($two)],
        ['close 1002']);
    play('5.2', 'a pong in fragments', [bad(more(10, $one), 1), cont($two)],
        ['close 1002']);
    play('5.3', 'a text in two fragments', \@both, [$seen],
        ways => ['whole']);
    play('5.4', '... a packet for each', \@both, [$seen], ways => ['frames']);
    play('5.5', '... byte by byte', \@both, [$seen], ways => ['octets']);
    my @between = ($both[0], ping('ping payload'), $both[1]);
    my @answers = ('pong "ping payload"', $seen);
    play('5.6', 'with a ping between', \@between, \@answers,
        ways => ['whole']);
    play('5.7', '... a packet for each', \@between, \@answers,
        ways => ['frames']);
    play('5.8', '... byte by byte', \@between, \@answers, ways => ['octets']);
    my @packets = (['whole', 'in one packet'], ['frames', 'a packet for each'],
        ['octets', 'byte by byte']);
    for my $i (0 .. 2) {
        my ($way, $name) = @{ $packets[$i] };
        play('5.' . (9 + $i), "a last fragment of nothing, then a text, $name",
            [bad(cont('non-continuation payload'), 2), $hi], ['close 1002'],
            ways => [$way]);
        play('5.' . (12 + $i), "a fragment of nothing, then a text, $name",
            [bad(more(0, 'non-continuation payload'), 2), $hi],
            ['close 1002'], ways => [$way]);
    }
    play('5.15', 'a text in two fragments, then a fragment of nothing',
        [@both, bad(more(0, 'fragment3'), 2), text('fragment4')],
        [$seen, 'close 1002']);
    for my $row ([16, \&more, 'a fragment'], [17, \&last_of, 'a last one']) {
        my ($i, $frame, $what) = @$row;
        my @round = ($frame->(0, 'fragment1'), more(1, 'fragment2'),
            cont('fragment3'));
        play("5.$i", "$what of nothing before a text in fragments, twice",
            [bad($round[0], 2), @round[1, 2], @round], ['close 1002']);
    }
    play('5.18', 'both fragments with the opcode of a text',
        [more(1, $one), bad(text($two), 2)], ['close 1002']);
    my @five = map { "fragment$_" } 1 .. 5;
    for my $row ([19, 'frames', 'with a pause'], [20, 'octets', 'in bytes']) {
        my ($i, $way, $name) = @$row;
        play("5.$i", "five fragments and two pings, $name",
            [more(1, $five[0]), more(0, $five[1]), ping('pongme 1!'),
                { see => 1, quiet => 0.1 }, more(0, $five[2]),
                more(0, $five[3]), ping('pongme 2!'), cont($five[4])],
            ['pong "pongme 1!"', 'pong "pongme 2!"', seen_text(join '', @five)],
            ways => [$way]);
    }
};

sub last_of { return control(@_) }

# ---- 6: UTF-8 ------------------------------------------------------------

# As far as bytes may be the beginning of UTF-8 (RFC 3629, section 4).
sub good_bytes
{
    my ($bytes) = @_;
    my $tail = qr/[\x80-\xbf]/;
    $bytes =~ /\A
        (?: [\x00-\x7f] | [\xc2-\xdf]$tail | \xe0[\xa0-\xbf]$tail
          | [\xe1-\xec\xee\xef]$tail$tail | \xed[\x80-\x9f]$tail
          | \xf0[\x90-\xbf]$tail$tail | [\xf1-\xf3]$tail$tail$tail
          | \xf4[\x80-\x8f]$tail$tail )*+
        (?: \xe0[\xa0-\xbf] | [\xe1-\xec\xee\xef]$tail | \xed[\x80-\x9f]
          | \xf0[\x90-\xbf]$tail? | [\xf1-\xf3]$tail{1,2}
          | \xf4[\x80-\x8f]$tail? | [\xc2-\xf4] )?
        /x or die;
    return $+[0];
}

# A text as a whole and a byte a fragment, with a ping in front of the byte
# that decides.
sub play_text
{
    my ($number, $valid, $bytes, %o) = @_;
    my $hex = unpack 'H*', $bytes;
    my $name = ($o{name} // ($valid ? 'a text' : 'not UTF-8')) . " $hex";
    $name = substr($name, 0, 60) . '..' if length $name > 62;
    my $n = length $bytes;
    my $good = $valid ? $n : good_bytes($bytes);
    # What is cut short is found at its end.
    my $bad = $good < $n ? $good : $n - 1;
    my $frame = text($bytes, width => 7);
    my @want = $valid ? seen_text($bytes) : 'close 1007';
    play($number, $name, [$valid ? $frame : bad($frame, 6 + $bad + 1)],
        \@want);
    my @pieces = map { control($_ == 0 ? 1 : 0, substr($bytes, $_, 1),
            fin => $_ == $n - 1) } 0 .. $n - 1;
    my @send = (@pieces[0 .. $bad - 1], ping('still fine'), { see => 1 },
        $pieces[$bad]);
    play($number, '... in fragments of a byte', \@send,
        ['pong "still fine"', @want], ways => ['frames']);
    return;
}

my $kosme = "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5";
my $greeting = "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4"
    . "\xc3\xbc\xc3\xa0\xc3\xa1-UTF-8!!";

sub bytewise
{
    my ($bytes) = @_;
    my $n = length $bytes;
    return map { control($_ == 0 ? 1 : 0, substr($bytes, $_, 1),
            fin => $_ == $n - 1) } 0 .. $n - 1;
}

subtest '6: UTF-8, fragments' => sub {
    play('6.1.1', 'an empty text', [text('')], ['text ""']);
    play('6.1.2', 'three empty fragments', [more(1, ''), more(0, ''), cont('')],
        ['text ""']);
    play('6.1.3', 'an empty one before and behind',
        [more(1, ''), more(0, 'middle frame payload'), cont('')],
        [seen_text('middle frame payload')]);
    play('6.2.1', 'one frame', [text($greeting)], [seen_text($greeting)]);
    play('6.2.2', 'cut between characters',
        [more(1, substr $greeting, 0, 13), cont(substr $greeting, 13)],
        [seen_text($greeting)]);
    play('6.2.3', 'a byte a fragment', [bytewise($greeting)],
        [seen_text($greeting)]);
    play('6.2.4', 'Greek, a byte a fragment', [bytewise($kosme)],
        [seen_text($kosme)]);

    my $surrogate = "$kosme\xed\xa0\x80edited";
    play('6.3.1', 'a surrogate', [bad(text($surrogate), 6 + 13)],
        ['close 1007']);
    my @pieces = bytewise($surrogate);
    $pieces[12] = bad($pieces[12]);
    play('6.3.2', 'a surrogate, a byte a fragment', \@pieces, ['close 1007']);

    # The rest is never sent: it has to fail without.
    my $large = "$kosme\xf4\x90\x80\x80edited";
    my @way = (ways => ['frames']);
    play('6.4.1', 'fails in the fragment with the bad character',
        [more(1, $kosme), ping('A'), { see => 1 },
            more(0, "\xf4\x90\x80\x80")], ['pong "A"', 'close 1007'], @way);
    play('6.4.2', '... at the very byte',
        [more(1, substr $large, 0, 12), ping('A'), { see => 1 },
            more(0, substr $large, 12, 1)], ['pong "A"', 'close 1007'], @way);
    my $frame = text($large);
    play('6.4.3', 'fails in the packet with the bad character',
        [substr($frame, 0, 6 + 11), { quiet => 0.2 },
            substr($frame, 6 + 11, 4)], ['close 1007'], @way);
    play('6.4.4', '... at the very byte',
        [substr($frame, 0, 6 + 12), { quiet => 0.2 },
            substr($frame, 6 + 12, 1)], ['close 1007'], @way);
};

subtest '6: UTF-8, characters' => sub {
    my @lonely = map { my ($from, $to) = @$_;
        join '', map { chr($_) . ' ' } $from .. $to - 1 }
        [0xc0, 0xdf], [0xe0, 0xef], [0xf0, 0xf7], [0xf8, 0xfb], [0xfc, 0xfd];
    my @cut = ("\xc0", "\xe0\x80", "\xf0\x80\x80", "\xf8\x80\x80\x80",
        "\xfc\x80\x80\x80\x80", "\xdf", "\xef\xbf", "\xf7\xbf\xbf",
        "\xfb\xbf\xbf\xbf", "\xfd\xbf\xbf\xbf\xbf");
    my @no_characters = ("\xef\xbf\xbe", "\xef\xbf\xbf");
    for my $plane (1 .. 16) {
        my $code = $plane << 16 | 0xfffe;
        push @no_characters, map { pack 'C4', 0xf0 | $_ >> 18,
                0x80 | $_ >> 12 & 63, 0x80 | $_ >> 6 & 63, 0x80 | $_ & 63 }
            $code, $code + 1;
    }
    my @half = qw(eda080 edadbf edae80 edafbf edb080 edbe80 edbfbf);
    my @rows = (
        [5, 1, ["hello\x24world", "hello\xc2\xa2world",
            "hello\xe2\x82\xacworld", "hello\xf0\xa4\xad\xa2world", $kosme]],
        # All beginnings of a text; those that end inside a character are none.
        [6, undef, [map { substr $kosme, 0, $_ } 1 .. length $kosme]],
        [7, 1, ["\x00", "\xc2\x80", "\xe0\xa0\x80", "\xf0\x90\x80\x80"]],
        [8, 0, ["\xf8\x88\x80\x80\x80", "\xfc\x84\x80\x80\x80\x80"]],
        [9, 1, ["\x7f", "\xdf\xbf", "\xef\xbf\xbf", "\xf4\x8f\xbf\xbf"]],
        [10, 0, ["\xf7\xbf\xbf\xbf", "\xfb\xbf\xbf\xbf\xbf",
            "\xfd\xbf\xbf\xbf\xbf\xbf"]],
        [11, undef, ["\xed\x9f\xbf", "\xee\x80\x80", "\xef\xbf\xbd",
            "\xf4\x8f\xbf\xbf", "\xf4\x90\x80\x80"]],
        [12, 0, ["\x80", "\xbf", (map { substr "\x80\xbf" x 3, 0, $_ } 2 .. 6),
            join '', map { chr } 0x80 .. 0xbe]],
        [13, 0, \@lonely],
        [14, 0, \@cut],
        [15, 0, [join '', @cut]],
        [16, 0, ["\xfe", "\xff", "\xfe\xfe\xff\xff"]],
        [17, 0, ["\xc0\xaf", "\xe0\x80\xaf", "\xf0\x80\x80\xaf",
            "\xf8\x80\x80\x80\xaf", "\xfc\x80\x80\x80\x80\xaf"]],
        [18, 0, ["\xc1\xbf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf",
            "\xf8\x87\xbf\xbf\xbf", "\xfc\x83\xbf\xbf\xbf\xbf"]],
        [19, 0, ["\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80",
            "\xf8\x80\x80\x80\x80", "\xfc\x80\x80\x80\x80\x80"]],
        [20, 0, [map { pack 'H*', $_ } @half]],
        [21, 0, [map { my $high = $_; map { pack 'H*', "$high$_" }
                qw(edb080 edbfbf) } @half[0 .. 3]]],
        [22, 1, \@no_characters],
        [23, 1, [map { "\xef\xbf" . chr } 0xb9 .. 0xbf]],
    );
    for my $row (@rows) {
        my ($group, $valid, $texts) = @$row;
        my $i = 0;
        for my $bytes (@$texts) {
            my $copy = $bytes;
            play_text("6.$group." . ++$i,
                $valid // (utf8::decode($copy)
                    && $copy !~ /[^\x{0}-\x{10ffff}]/), $bytes);
        }
    }
};

# ---- 7, 10 ---------------------------------------------------------------

subtest '7: closing' => sub {
    my $bye = bye(1000);
    my @normal = ('close 1000');
    play('7.1.1', 'a message, then a close', [$hi, $bye],
        [$seen_hi, @normal]);
    # Who says more than its last word may be told so by a reset.
    my @cut = (end => qr/^(?:end|reset)$/);
    play('7.1.2', 'two closes', [$bye, $bye], \@normal, @cut);
    play('7.1.3', 'a ping behind the close', [$bye, ping('')], \@normal,
        @cut);
    play('7.1.4', 'a text behind the close', [$bye, $hi], \@normal, @cut);
    play('7.1.5', 'a close inside a message',
        [more(1, 'fragment1'), $bye, cont('fragment2')], \@normal, @cut);
    my $long = 'BAsd7&jh23' x 26215;
    substr($long, 256 << 10) = '';
    play('7.1.6', '256 KB and a message come back before the close',
        [text($long), $hi, $bye, ping('')],
        [seen_text($long), $seen_hi, @normal], @cut);

    play('7.3.1', 'a close without payload', [bye()], ['close']);
    play('7.3.2', 'a close of one byte', [bad(control(8, 'a'))],
        ['close 1002']);
    play('7.3.3', 'a close with a code', [$bye], \@normal);
    play('7.3.4', 'a close with a code and a reason', [bye(1000, $hello)],
        \@normal);
    play('7.3.5', '... of 123 bytes', [bye(1000, '*' x 123)], \@normal);
    play('7.3.6', '... of 124 bytes', [bad(bye(1000, '*' x 124), 2)],
        ['close 1002']);
    play('7.5.1', 'a reason that is not UTF-8',
        [bad(bye(1000, "$kosme\xed\xa0\x80edited"))], ['close 1007']);

    my $i = 0;
    play('7.7.' . ++$i, "code $_", [bye($_, '')], ["close $_"])
        for 1000 .. 1003, 1007 .. 1011, 3000, 3999, 4000, 4999;
    $i = 0;
    play('7.9.' . ++$i, "code $_", [bad(bye($_))], ['close 1002'])
        for 0, 999, 1004 .. 1006, 1016, 1100, 2000, 2999;
    play('7.13.1', 'code 5000', [bad(bye(5000))], ['close 1002']);
    play('7.13.2', 'code 65535', [bad(bye(65535))], ['close 1002']);
};

subtest '10: automatic fragments' => sub {
    my $payload = '*' x 65536;
    my @parts = unpack '(a1300)*', $payload;
    is(scalar @parts, 51, '50 fragments and a rest');
    play('10.1.1', '65,536 bytes in fragments of 1,300',
        [map { control($_ == 0 ? 1 : 0, $parts[$_], fin => $_ == $#parts) }
                0 .. $#parts], [seen_text($payload)]);
};

my %count = map { $_ => scalar keys %{ $played{$_} } } keys %played;
is_deeply(\%count, { 1 => 16, 2 => 11, 3 => 7, 4 => 10, 5 => 20, 6 => 145,
        7 => 37, 10 => 1 }, 'every case of the list was played');
is_deeply([$t->worker_pids], [$worker], 'the worker lives');
$t->finish;
done_testing;
