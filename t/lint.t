#!/usr/bin/perl

# The rule of the floors: that this build keeps it, and that "make lint" sees
# who does not (a call upwards, a circle, an #include upwards, a module that
# goes past the hub).

use strict;
use warnings;

use Cwd qw(abs_path);
use File::Basename qw(dirname);
use File::Path qw(make_path);
use File::Temp qw(tempdir);
use FindBin;
use lib "$FindBin::Bin/lib";
use Test::Linnet::Environment;
use Test::More;

my $top = abs_path("$FindBin::Bin/..");
my $build = $ENV{LINNET_BUILD} || "$top/objs";
my $tmp = tempdir('linnet-lint-XXXXXX', TMPDIR => 1, CLEANUP => 1);

sub spew
{
    my ($path, $text) = @_;
    make_path(dirname($path));
    open my $fh, '>', $path or die "$path: $!";
    print {$fh} $text;
    close $fh or die "$path: $!";
    return;
}

# lint's look at the floors, in a folder with a tree of its own.
sub floors
{
    my ($dir, $build_dir, @objects) = @_;
    local $ENV{LINT} = 'floors';
    local $ENV{BUILD} = $build_dir;
    my $text = `cd '$dir' && sh '$top/auto/lint' @objects 2>&1`;
    return ($? >> 8, $text);
}

# Compiles sources (path => text) of a made-up tree and looks at them.
sub made_up
{
    my (%source) = @_;
    my $dir = tempdir(DIR => $tmp);
    my @objects;
    make_path("$dir/auto", "$dir/src", "$dir/modules", "$dir/t");
    symlink "$top/auto/floors.awk", "$dir/auto/floors.awk";
    for my $path (sort keys %source) {
        spew("$dir/$path", $source{$path});
        next unless $path =~ /\.c$/;
        my $object = $path =~ s/\.c$/.o/r;
        $object = "objs/$object" unless $object =~ /^objs/;
        make_path(dirname("$dir/$object"));
        system('cc', '-c', '-o', "$dir/$object", "$dir/$path") == 0
            or die "cc: $path";
        push @objects, $object;
    }
    return floors($dir, 'objs', @objects);
}

my %clean = (
    'src/os/o.c' => 'int lnt_o(void) { return 1; }',
    'src/core/a.c' => 'int lnt_o(void); int lnt_a(void) { return lnt_o(); }',
    'src/net/n.c' => 'int lnt_a(void); int lnt_n(void) { return lnt_a(); }',
    'src/main.c' => 'int lnt_n(void); extern int *lnt_static_modules[];
        int main(void) { return lnt_n() + !lnt_static_modules[0]; }',
    'modules/echo/echo.c' =>
        'int lnt_n(void); int lnt_module_echo[1]; int x(void);
         int x(void) { return lnt_n(); }',
    'objs/modules.c' => 'extern int lnt_module_echo[];
        int *lnt_static_modules[] = {lnt_module_echo};',
);

subtest 'a clean tree' => sub {
    my ($status, $text) = made_up(%clean);
    is($status, 0, 'is found clean') or diag $text;
};

subtest 'a call upwards' => sub {
    my ($status, $text) = made_up(%clean,
        'src/os/o.c' => 'int lnt_n(void); int lnt_o(void) { return lnt_n(); }');
    is($status, 1, 'fails');
    like($text,
        qr{^src/os/o\.c: calls upwards: lnt_n is in src/net/n\.c$}m,
        'names the symbol and both files');
    ($status, $text) = made_up(%clean,
        'src/proc/p.c' => 'extern int lnt_module_echo[];
            int lnt_p(void) { return lnt_module_echo[0]; }');
    like($text, qr{^src/proc/p\.c: calls upwards: lnt_module_echo}m,
        'the core may not name a module');
    ($status, $text) = made_up(%clean,
        'modules/chat/chat.c' => 'extern int lnt_module_echo[];
            int y(void) { return lnt_module_echo[0]; }');
    is($status, 1, 'nor may a module name another one');
    like($text, qr{^modules/chat/chat\.c: names a module: lnt_module_echo}m,
        'which is told');
};

subtest 'a circle' => sub {
    my ($status, $text) = made_up(%clean,
        'src/core/b.c' => 'int lnt_c(void); int lnt_b(void) {return lnt_c();}',
        'src/core/c.c' => 'int lnt_d(void); int lnt_c(void) {return lnt_d();}',
        'src/core/d.c' => 'int lnt_b(void); int lnt_d(void) {return lnt_b();}');
    is($status, 1, 'fails');
    like($text, qr/a circle between 3 files/, 'is told');
    for my $pair ([qw(b c)], [qw(c d)], [qw(d b)]) {
        my ($from, $to) = @$pair;
        like($text, qr{src/core/$from\.c uses lnt_$to of src/core/$to\.c},
            "$from to $to");
    }
    unlike($text, qr{src/core/a\.c}, 'who is not in it is not named');
};

subtest 'an #include upwards' => sub {
    my ($status, $text) = made_up(%clean,
        'src/net/n.h' => '', 'src/core/a.h' => "#include \"net/n.h\"\n");
    is($status, 1, 'fails');
    like($text, qr{^src/core/a\.h: includes from a floor above: .*net/n\.h}m,
        'names both');
    ($status, $text) = made_up(%clean,
        'modules/chat/chat.h' => "#include \"modules/http/http.h\"\n",
        'modules/chat/x.h' => "#include \"modules/chat/y.h\"\n");
    is($status, 0, 'the public header of another module is fine');
    ($status, $text) = made_up(%clean,
        'modules/chat/chat.h' => "#include \"modules/http/head.h\"\n");
    like($text, qr{^modules/chat/chat\.h: includes a header .*http/head\.h}m,
        'its others are not');
};

subtest 'a module that goes past the hub' => sub {
    my %zone = (%clean,
        'src/zone/z.c' => 'int lnt_z(void) { return 1; }',
        'src/zone/z.h' => '',
        'src/hub/h.c' => 'int lnt_z(void); int lnt_h(void) {return lnt_z();}',
        'src/hub/h.h' => "#include \"zone/z.h\"\n");
    my ($status, $text) = made_up(%zone,
        'modules/chat/c.h' => "#include \"hub/h.h\"\n",
        'modules/chat/c.c' =>
            'int lnt_h(void); int y(void); int y(void) { return lnt_h(); }');
    is($status, 0, 'what the hub gives it is fine') or diag $text;
    ($status, $text) = made_up(%zone,
        'modules/chat/c.c' =>
            'int lnt_z(void); int y(void); int y(void) { return lnt_z(); }');
    is($status, 1, 'a call of the zone fails');
    like($text, qr{^modules/chat/c\.c: calls the zone, .*hub/ alone: lnt_z$}m,
        'which is told');
    ($status, $text) = made_up(%zone,
        'modules/chat/c.h' => "#include \"zone/z.h\"\n");
    is($status, 1, 'so does an include of it');
    like($text, qr{^modules/chat/c\.h: includes the zone, .*zone/z\.h}m,
        'which is told, too');
};

subtest 'a call of an application' => sub {
    my $call = 'struct app { void (*gap)(int); }; void f(struct app *app);
        void f(struct app *app) { app->gap(1); }';
    my ($status, $text) = made_up(%clean, 'src/net/app.c' => $call);
    is($status, 0, 'is fine in net/app.c') or diag $text;
    ($status, $text) = made_up(%clean, 'modules/sse/s.c' => $call);
    is($status, 1, '... and nowhere else');
    like($text, qr{^modules/sse/s\.c:\d+:.*app->gap.*through net/app\.h}m,
        'which is told');
};

subtest 'this build' => sub {
    # What the program was linked from, by the paths that make knows.
    open my $fh, '<', "$build/objects"
        or plan skip_all => "nothing is built in $build";
    my @objects = split ' ', <$fh> // '';
    open my $mk, '<', "$build/build.mk" or die "$build/build.mk: $!";
    my ($name) = map { /^BUILD = (.*)/ ? $1 : () } <$mk>;
    my ($status, $text) = floors($top, $name, @objects);
    is($status, 0, 'keeps the rule') or diag $text;
};

done_testing();
