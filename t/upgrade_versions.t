# An upgrade to another build and back: the other version is this one with
# another version string, linked anew from the objects of the build folder.
# Clients are connected all along and talk, and nothing is lost or doubled.

use strict;
use warnings;

use Digest::MD5 qw(md5_hex);
use File::Temp ();
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;
use Test::Linnet::Deflate;
use Test::Linnet::Driver;
use Test::Programs qw(build_dir);

use constant { CLIENTS => 60, ROOMS => 4, OTHER => '99.1.7' };

my $why = Test::Linnet::Driver->missing(repo_top());
plan skip_all => $why if $why;

chdir "$FindBin::Bin/.." or die "chdir: $!";
my $build = build_dir();
my $folder = File::Temp::tempdir(CLEANUP => 1);

# The program with another version; undef with the reason in $why.
sub build_other
{
    my ($cflags, $ldflags, $libs) = split /\|/, slurp("$build/flags");
    my @objects = split ' ', slurp("$build/objects");
    $why = 'there is no build folder' if !defined $libs || !@objects;
    return if $why;
    my ($cc) = split ' ', $cflags;
    $why = "$cc is not there"
        if system("command -v $cc >$folder/cc 2>&1") != 0;
    return if $why;
    my $config = slurp("$build/auto_config.h");
    $config =~ s/^#define LNT_VERSION ".*"$/'#define LNT_VERSION "' . OTHER
        . '"'/me or die 'no version in auto_config.h';
    spew("$folder/auto_config.h", $config);
    $cflags =~ s/^\s*(\S+)/$1 -I$folder/;
    my ($main) = grep { m{/src/main\.o$} } @objects;
    s{^\Q$main\E$}{$folder/main.o} for @objects;
    my $out = `$cflags -c -o $folder/main.o src/main.c 2>&1`;
    $? == 0 or die $out;
    $out = `$cc -pie $ldflags -Wl,-E -o $folder/linnet @objects $libs 2>&1`;
    $? == 0 or die $out;
    return "$folder/linnet";
}

my $other = build_other();
plan skip_all => $why if !$other;

my $config = <<'INI';
[server]
workers          = 2
shutdown_timeout = 10s

[limits]
ping_interval = 0

%%LISTEN_web%%

%%LISTEN_lines%%

%%ROUTE_chat%%

[route zipped]
listen          = web
path            = /zipped
protocol        = websocket
app             = echo
compression     = 128k
compression_min = 1
INI

my $t = Test::Linnet->new(config => $config, copy_binary => 1)->start;
my $mine = $t->binary;
my $version = $t->status->{version};
isnt($version, OTHER, "this is $version");
my ($code, $out) = run_command($other, '-v');
is($out, 'linnet ' . OTHER . "\n", '... the other is ' . OTHER);

my $d = Test::Linnet::Driver->start(repo_top() . '/t/node/moving.js',
    'ws://127.0.0.1:' . $t->port('web') . '/chat', CLIENTS, ROOMS, 200, 'room');
ok($d->wait_event('joined', 60), CLIENTS . ' clients join');
my $zip = Test::Linnet::Deflate->new($t->websocket('web', '/zipped',
    extensions => 'permessage-deflate; client_max_window_bits'));
my $line = $t->connect('lines');
$line->write("/join room0 carol\n");
ok($line->read_until(qr/carol/), 'and a person');
# Small only for one who has seen it before.
my $words = join '', map { md5_hex($_) } 1 .. 50;
$zip->send(1, $words);
is(($zip->receive)[1], $words, 'and one who compresses');

my $n = 0;
for my $round ([OTHER, $other], [$version, $t->{original}],
    [OTHER, $other], [$version, $t->{original}]) {
    my ($wanted, $binary) = @$round;
    my $was = $t->status;
    my $begun = substr 'half a line', 0, 4;
    $line->write($begun);
    $d->say('go');
    $t->replace_binary($binary);
    is(($t->ctl('upgrade'))[0], 0, "$was->{version} to $wanted");
    my $now = $t->status;
    is($now->{version}, $wanted, '... it is that version');
    isnt($now->{pid}, $was->{pid}, '... in another process');
    is($now->{epoch}, $was->{epoch}, '... with the same zone');
    ok(wait_for(sub { $t->reap; $t->processes == 3 }, 20, 'three processes'),
        '... and nobody of the old ones is left');
    $line->write(" a line $n\n");
    ok($line->read_until(qr/^<carol> half a line $n$/m),
        '... a line that was half there is said');
    $zip->send(1, $words);
    my $f = $zip->websocket->frame;
    my $text = '';
    $zip->{i}->inflate(my $in = "$f->{payload}\0\0\xff\xff", $text);
    ok($text eq $words && length $f->{payload} < length($words) / 5,
        '... windows came along')
        or diag sprintf '%d of %d bytes, %d', length $f->{payload},
        length $words, length $text;
    $d->say('report');
    my $e = $d->wait_event('report', 60) // {};
    is($e->{clients}, CLIENTS, '... nobody was disconnected')
        or diag explain $e;
    is($e->{acked}, $e->{sent}, '... every message was acknowledged');
    my %wrong = map { $_ => $e->{$_} } grep { $e->{$_} // 1 }
        qw(lost missing twice backward disagree unanswered);
    is_deeply(\%wrong, {}, '... and came to all, once and in order')
        or diag explain $e;
    is_deeply($e->{errors}, [], '... no error answer');
    $n++;
}
$d->finish;
$t->finish;

done_testing;
