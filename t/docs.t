# What the documentation shows is true: its C compiles, its model is the module
# that we ship, its lists are complete.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Test::More;

use Test::Linnet;

my $top = repo_top();
my $cc  = $ENV{CC} || 'cc';
my $dir = tempdir(CLEANUP => 1);

my $modules = slurp("$top/docs/modules.md");
my @code = $modules =~ /^```c\n(.*?)^```$/msg;
cmp_ok(scalar @code, '>=', 3, 'docs/modules.md has examples');
for my $i (0 .. $#code) {
    spew("$dir/example$i.c", $code[$i]);
    my ($exit, undef, $err) = run_command({ timeout => 60 },
        $cc, qw(-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -fsyntax-only),
        "-I$top/src", "-I$top", "$dir/example$i.c");
    is($exit, 0, "example $i compiles") or diag $err;
}

my $echo = slurp("$top/modules/echo/echo.c") =~ s/echo/parrot/gr;
$echo =~ s{\A/\*.*?\*/\n}{}s;
is($code[0], $echo, 'the first one is our echo under another name');

my $actions = slurp("$top/modules/chat/chat_actions.c");
my @codes = sort grep { $_ ne 'ok' } $actions =~ /^    \[CHAT_\w+\] = "(\w+)"/mg;
my ($errors) = slurp("$top/docs/chat.md") =~ /^## Errors\n(.*?)^## /ms;
is_deeply([sort $errors =~ /^\| `(\w+)`/mg], \@codes,
    'docs/chat.md has every error code');

my $json = slurp("$top/modules/chat/chat_json.c");
my @types = sort $json =~ /\{"(\w+)", request_\w+\}/g;
my ($requests) = slurp("$top/docs/chat.md") =~ /^## Requests\n(.*?)^\*\*/ms;
is_deeply([sort $requests =~ /^\| `\{"type":"(\w+)"/mg], \@types,
    '... and every request');

my ($exit, $reference) = run_command({ timeout => 20 }, Test::Linnet->binary, '-R');
is($exit, 0, 'linnet -R prints the reference');
is(slurp("$top/docs/configuration.md"), $reference,
    'docs/configuration.md is what "make docs" writes');

done_testing;
