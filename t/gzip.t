# Answers that are made for one request, compressed for clients that take it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use IO::Uncompress::Gunzip ();
use JSON::PP ();
use Test::More;

use Test::Linnet;

sub config
{
    my ($min) = @_;
    return <<"INI";
[server]
workers = 1

[http]
gzip_min = $min

%%LISTEN_web%%

[route status]
listen  = web
match   = ^/(status|metrics|healthz)\$
handler = status

[route plain]
listen  = web
path    = /plain/
handler = status
gzip    = off
INI
}

my $t = Test::Linnet->new(config => config('1k'))->start;

sub gunzip
{
    my ($packed) = @_;
    my $plain;
    IO::Uncompress::Gunzip::gunzip(\$packed => \$plain) or return '';
    return $plain;
}

my $s = $t->connect('web');

sub ask
{
    my ($path, $accept, $method) = @_;
    $method //= 'GET';
    $s->write("$method $path HTTP/1.1\r\nHost: a\r\n"
            . join('', map { "Accept-Encoding: $_\r\n" } @{ $accept // [] })
            . "\r\n");
    return $s->http_response(head => $method eq 'HEAD');
}

my $plain = ask('/metrics');
is($plain->{headers}{'content-encoding'}, undef, 'as it is, unless it is asked for');
is($plain->{headers}{vary}, 'Accept-Encoding', '... and says what it depends on');
my $r = ask('/metrics', ['gzip']);
is($r->{headers}{'content-encoding'}, 'gzip', 'metrics, compressed');
is($r->{headers}{vary}, 'Accept-Encoding', '... and says why');
is($r->{headers}{'content-type'}, $plain->{headers}{'content-type'},
    '... of the same type');
cmp_ok(length $r->{body}, '<', length($plain->{body}) / 2, '... much shorter');
my $text = gunzip($r->{body});
my $lines = sub { join ' ', map { /^(\S+?)[\s{]/ ? $1 : '' } split /\n/, $_[0] };
is($lines->($text), $lines->($plain->{body}), '... with the same in it');

for my $case (
    [1, 'gzip, deflate, br'], [1, 'br;q=1.0, gzip;q=0.8, *;q=0.1'],
    [1, 'GZIP'], [1, 'x-gzip'], [1, 'br', 'gzip'], [1, 'gzip;q=0.001'],
    [1, 'gzip ; Q=1.000'], [1, 'identity;q=0.5, gzip;q=0.5'], [1, ',,gzip,'],
    [0, ''], [0, 'identity'], [0, 'br'], [0, '*'], [0, 'gzip;q=0'],
    [0, 'gzip;q=0.000'], [0, 'gzip;q=0.5, identity'],
    [0, 'gzip;q=0.2, identity;q=0.3'], [0, 'gzip;q=2'], [0, 'gzip;q=x'],
    [0, 'gzip;q=-1'], [0, 'gzip;q=1.5'], [0, 'gzip;level=9'], [0, 'gzipped'],
    [0, 'xgzip'],
) {
    my ($takes, @accept) = @$case;
    my $got = ask('/metrics', \@accept);
    is($got->{headers}{'content-encoding'} // 'none', $takes ? 'gzip' : 'none',
        "'@accept'");
    like($takes ? gunzip($got->{body}) : $got->{body}, qr/^# HELP .*\n\z/s,
        '... whole');
}

$r = ask('/metrics', ['gzip'], 'HEAD');
is($r->{headers}{'content-encoding'}, 'gzip', 'HEAD is told the same');
$r = ask('/metrics', ['gzip']);
is($r->{status}, 200, '... and has no body');
is(ask('/healthz', ['gzip'])->{headers}{'content-encoding'}, undef,
    'nothing that is short');
$r = ask('/none', ['gzip']);
is("$r->{status} " . ($r->{headers}{'content-encoding'} // 'none'), '404 none',
    'no errors');
$r = ask('/plain/metrics', ['gzip']);
is(join(' ', map { $r->{headers}{$_} // 'none' } qw(content-encoding vary)),
    'none none', 'gzip = off');
$s->write("GET /metrics HTTP/1.0\r\nAccept-Encoding: gzip\r\n\r\n");
like(gunzip($s->http_response->{body}), qr/^# HELP/, 'HTTP/1.0');

is(($t->reload(config('64')))[0], 0, 'gzip_min = 64');
$s = $t->connect('web');
$r = ask('/status', ['gzip']);
is($r->{headers}{'content-encoding'}, 'gzip', 'the status, compressed');
my $o = eval { JSON::PP->new->utf8->decode(gunzip($r->{body})) };
like($o->{version} // '', qr/^\d/, '... is whole');

$t->finish;
done_testing;
