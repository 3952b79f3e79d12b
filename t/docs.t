# What the documentation shows is true: its C compiles, its model is the module
# that we ship, its lists are complete.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use File::Temp qw(tempdir);
use Test::More;

use Test::Linnet;
use Test::Linnet::Variant;

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

my ($tally) = grep { /lnt_module_tally/ } @code;
my $tested = slurp("$top/t/modules/tally/tally.c");
$tested =~ s{\A/\*.*?\*/\n}{}s;
is($tally, $tested, '... and the one with events is the one that is tested');

my $checks = slurp("$top/modules/chat/chat_check.c");
my @codes = sort grep { $_ ne 'ok' } $checks =~ /^    \[CHAT_\w+\] = "(\w+)"/mg;
my ($errors) = slurp("$top/docs/chat.md") =~ /^## Errors\n(.*?)^## /ms;
is_deeply([sort $errors =~ /^\| `(\w+)`/mg], \@codes,
    'docs/chat.md has every error code');

my $json = slurp("$top/modules/chat/chat_json.c");
my @types = sort $json =~ /\{"(\w+)", request_\w+[,}]/g;
my ($requests) = slurp("$top/docs/chat.md") =~ /^## Requests\n(.*?)^\*\*/ms;
is_deeply([sort $requests =~ /^\| `\{"type":"(\w+)"/mg], \@types,
    '... and every request');

# What the tour says of new counters and fields: put where it says, it compiles,
# and the counter has its name.
chdir $top or die "chdir: $!";
my ($section) = slurp('docs/tour.md')
    =~ /^## Something new in shared memory\n(.*?)(?=^## |\z)/ms;
my ($number, $name, $help, $field, $member) = $section =~ /^```c\n(.*?)^```$/msg;
ok($member, 'docs/tour.md shows a counter and fields');
my ($next) = slurp('src/net/stats.h') =~ /^    LNT_COUNTERS = (\d+)/m;
$number =~ s/= NN,/= $next,/;
my $changed = Test::Linnet::Variant->sources(name => 'tour', folder => $dir,
    changes => [
        ['src/net/stats.h', before => qr/^(?=    LNT_C_MESSAGES_IN = )/m, $number],
        ['src/net/stats.h', instead => qr/^    LNT_COUNTERS = \d+/m,
            '    LNT_COUNTERS = ' . ($next + 1)],
        ['src/net/stats.c', before => qr/^    \[LNT_C_MESSAGES_IN\] = "m/m, $name],
        ['src/net/stats.c', before => qr/^    \[LNT_C_MESSAGES_IN\] = "M/m, $help],
        ['src/zone/map.h', end => 'lnt_zone_room', $field],
        ['src/zone/map.h', instead => qr/^\};\nenum \{ LNT_MEMBER_KNOWN.*\n/m,
            $member],
    ]);
spew("$dir/tour.c", <<'C');
#include "net/stats.h"
#include <stdio.h>
int main(void)
{
    printf("%s: %s\n", lnt_counter_names[LNT_C_WHISPERS],
           lnt_counter_help[LNT_C_WHISPERS]);
    return 0;
}
C
for my $files (["$dir/tour.c", "$changed/src/net/stats.c"], ['src/zone/zone.c'],
    ['src/zone/steps.c']) {
    my ($exit, undef, $err) = run_command({ timeout => 60 }, $cc,
        qw(-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror), "-I$changed/src",
        "-I$top/src", "-I$top", @$files > 1 ? ('-o', "$dir/names")
        : '-fsyntax-only', @$files);
    is($exit, 0, "... $files->[-1] compiles with them" =~ s{\Q$dir\E/}{}r)
        or diag $err;
}
is((run_command("$dir/names"))[1], "whispers_total: Direct messages.\n",
    '... and the counter has a name');

# Files, functions and directives that are named are there.
sub files { return grep { -f } map { glob } @_ }

my @sources = files('src/*.[ch]', 'src/*/*.[ch]', 'modules/*/*.[ch]');
my @docs = files('README.md', 'docs/*.md');
my $code = join "\n", map { slurp($_) =~ s{/\*.*?\*/}{}gsr } @sources;
my %known = map { $_ => 1 } $code =~ /\b(lnt_\w+|LNT_\w+)\b/g,
    slurp('auto/config') =~ /\b(LNT_\w+)\b/g;
my %file = map { s{.*/}{}r => 1 } @sources,
    files('src/*/*', 'modules/*/*', 'modules/*/*/*', 't/*', 't/*/*', 'docs/*',
    'conf/*', 'contrib/*', 'auto/*', '*');
# An example, what configure makes, and what others have.
my $elsewhere = qr/^(?:parrot\.c|modules\.c|uWebSockets\.js)$/;
my $example = qr{_(?:parrot|whispers|NAME|)$}i;
my $named = qr{(?<![\w./-])((?:[\w.-]+/)*[\w-]+\.(?:[cht]|pm|js|md|ini))\b(?![/\w])};

sub unknown_names
{
    my ($text) = @_;
    return grep { !$known{$_} && !/$example/ }
        $text =~ /\b(lnt_\w+|LNT_\w+)\b/g;
}

for my $doc (@docs) {
    # Examples are compiled above.
    my $text = slurp($doc) =~ s/^```c\n.*?^```$//gmsr;
    my $folder = $doc =~ s{[^/]*$}{}r;
    my @missing = grep { !/$elsewhere/ && !(m{/}
            ? grep { -f } $_, "$folder$_", "src/$_" : $file{$_}) }
        $text =~ /$named/g;
    is(join("\n", @missing, unknown_names($text)), '',
        "$doc: what it names is there");
}
my @stale;
for my $source (@sources) {
    my $folder = $source =~ s{[^/]*$}{}r;
    for my $comment (slurp($source) =~ m{(/\*.*?\*/)}gs) {
        # Of another folder they are named with it.
        push @stale, map { "$source: $_" } unknown_names($comment), grep {
            /\.[ch]$/ && !grep { -f } "$folder$_", "src/$_", $_
        } $comment =~ /$named/g;
    }
}
is(join("\n", @stale), '', 'comments name files and functions that are there');

my ($exit, $reference) = run_command({ timeout => 20 }, Test::Linnet->binary, '-R');
is($exit, 0, 'linnet -R prints the reference');
is(slurp("$top/docs/configuration.md"), $reference,
    'docs/configuration.md is what "make docs" writes');

my %key = map { $_ => 1 } $reference =~ /^\| `(\w+)`/mg;
for my $doc (@docs) {
    my $text = slurp($doc);
    my @written = ($text =~ /`(?:\[\w+[^]`]*\] )?([a-z_]+) = [^`]*`/g,
        $text =~ /`\[\w+[^]`]*\] ([a-z_]+)`/g);
    for my $ini ($text =~ /^```ini\n(.*?)^```/msg) {
        push @written, $ini =~ /^;?\s*([a-z_]+)\s*=/mg;
    }
    is(join(' ', grep { !$key{$_} } @written), '', "$doc: its directives exist");
}

done_testing;
