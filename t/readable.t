#!/usr/bin/perl

# Files and folders that the server, or the user whom its workers run as, may
# not read: -t, the log and the answers name the file or the folder that is in
# the way, and its mode.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";

use File::Path qw(make_path);
use Test::Linnet;
use Test::Linnet::Build;
use Test::More;

# Who is refused: nobody where the test is root, else the user of the test.
my $root = !$>;
my $who = $root ? 'nobody' : (getpwuid($>) // $>);

my $config = <<'INI';
[server]
workers = 2
%%LOAD%%

%%LISTEN_web%%

[route page]
listen  = web
path    = /
handler = static
root    = %%PREFIX%%/private/www
INI

sub config { return $config =~ s/%%LOAD%%/$_[0] \/\/ ''/er }

sub server
{
    my ($load, %o) = @_;
    my $t = Test::Linnet->new(config => config($load), %o,
        files => { 'private/www/index.html' => "hello\n",
            'private/www/sub/a.txt' => "a\n" });
    return $t;
}

# What is in the way, as people read it.
sub barrier
{
    my ($path, $what, $mode) = @_;
    return qr/\Q$path\E \(mode $mode\) cannot be $what/;
}

subtest 'a module' => sub {
    for my $case (['the folder', 'private', 0], ['the file', 'private/box.so',
        0]) {
        my ($name, $path) = @$case;
        my $t = server('load_module = %%PREFIX%%/private/box.so',
            $root ? (user => 'nobody') : ());
        rename $t->test_module('box'), $t->path('private/box.so') or die $!;
        my ($exit, $out, $err) = $t->run('-t');
        is($exit, 0, '-t finds nothing') or diag $err;
        chmod 0600, $t->path($path);
        chown 0, 0, $t->path($path) if $root;
        chmod 0, $t->path($path) if !$root;
        my $mode = sprintf '%04o', (stat $t->path($path))[2] & 07777;
        ($exit, $out, $err) = $t->run('-t');
        is($exit, 78, "$name is closed: -t exits with 78");
        like($err, qr/server\.ini:3: load_module: \S+\/private\/box\.so: /,
            '... and names line and module');
        like($err, barrier($t->path($path), $path eq 'private'
            ? "searched by user $who" : "read by user $who", $mode),
            '... what is in the way, and for whom');
        chmod 0755, $t->path($path);
        $t->finish;
    }
};

subtest 'a folder of pages' => sub {
    my $t = server();
    my ($exit, $out, $err) = $t->run('-t');
    is($exit, 0, '-t exits with 0');
    unlike($err, qr/warning/, '... without a warning') or diag $err;
    chmod $root ? 0700 : 0, $t->path('private');
    my $mode = $root ? '0700' : '0000';
    ($exit, $out, $err) = $t->run('-t');
    is($exit, 0, 'a folder above it is closed: -t exits with 0');
    my $searched = barrier($t->path('private'), "searched by user $who", $mode);
    like($err, qr/server\.ini:13: warning: \[route page\]: root: $searched/,
        '... with a warning that has the place and the folder');
    ($exit, $out, $err) = $t->run('-t', '-q');
    is($err, '', '... but not with -q');

    $t->start;
    $t->log_like(qr/\[warn\].*server\.ini:13: .*$searched/,
        'the log has it at start');
    like(slurp($t->path('stderr.txt')), $searched, '... standard error, too');
    my $r = $t->http_get('web', '/');
    is($r->{status}, 403, 'a request: 403');
    $t->log_like(qr/\[warn\].*static: .*private \(mode $mode\) cannot be se/,
        '... and a line in the log');
    $t->log_mark;
    is(($t->ctl('reload'))[0], 0, 'a reload');
    $t->log_like(qr/\[warn\].*server\.ini:13: .*$searched/, '... warns, too');
    chmod 0755, $t->path('private');
    $t->log_mark;
    ok(wait_for(sub { $t->http_get('web', '/')->{status} == 200 }, 5, '200'),
        'the folder is opened: the page is served');
    is(($t->ctl('reload'))[0], 0, 'a reload');
    $t->log_unlike(qr/cannot be searched/, '... without a warning');
    $t->finish;
};

# A user database on the network that does not answer any more.
subtest 'a user database that hangs' => sub {
    plan skip_all => 'the test is not root' if !$root;
    plan skip_all => 'a sanitizer has to be loaded first'
        if $ENV{LINNET_SANITIZE};
    my ($cc) = slurp(Test::Linnet::Build::folder() . '/flags') =~ /^\s*(\S+)/;
    plan skip_all => 'no compiler'
        if !$cc || system("command -v $cc >/dev/null");
    my $t = server("start_timeout = 2s\nuser = nobody");
    my ($hang, $so) = ($t->path('run/hang'), $t->path('built/hang.so'));
    spew($t->path('built/hang.c'), <<"C");
#define _GNU_SOURCE
#include <dlfcn.h>
#include <grp.h>
#include <unistd.h>
static void stay(void) { while (access("$hang", F_OK) == 0) usleep(10000); }
int initgroups(const char *user, gid_t gid)
{
    int (*next)(const char *, gid_t) =
        (int (*)(const char *, gid_t))dlsym(RTLD_NEXT, "initgroups");
    stay();
    return next(user, gid);
}
int getgrouplist(const char *user, gid_t gid, gid_t *groups, int *n)
{
    int (*next)(const char *, gid_t, gid_t *, int *) =
        (int (*)(const char *, gid_t, gid_t *, int *))
            dlsym(RTLD_NEXT, "getgrouplist");
    stay();
    return next(user, gid, groups, n);
}
C
    my $c = $t->path('built/hang.c');
    plan skip_all => 'no shared library can be made'
        if system("$cc -shared -fPIC -w -o $so $c -ldl") != 0;
    chmod 0755, $t->path('built');
    $t->{env}{LD_PRELOAD} = $so;
    $t->start;
    my @before = sort $t->worker_pids;
    spew($hang, '');
    $t->log_mark;
    kill HUP => $t->{pid};
    $t->log_like(qr/\[error\].*reload failed.*start_timeout/,
        'a reload fails when workers cannot find their groups', 15);
    is_deeply([sort $t->worker_pids], \@before, '... the old workers serve');
    is($t->http_get('web', '/')->{status}, 200, '... a page');
    kill HUP => $t->{pid};
    is(($t->run({ timeout => 10 }, 'ctl', 'status'))[0], 0, 'status answers');
    is($t->stop, 0, 'it can be stopped');
    unlink $hang;
    $t->finish;
};

subtest 'one page' => sub {
    my $t = server();
    chmod $root ? 0600 : 0, $t->path('private/www/sub/a.txt');
    my $mode = $root ? '0600' : '0000';
    $t->start;
    $t->log_unlike(qr/cannot be/, 'no warning at start');
    is($t->http_get('web', '/sub/a.txt')->{status}, 403, 'is refused');
    $t->log_like(barrier($t->path('private/www/sub/a.txt'), 'read', $mode),
        '... the log names the file');
    is($t->http_get('web', '/sub/a.txt')->{status}, 403, 'again')
        for 1 .. 20;
    my $n = () = $t->log_text =~ /cannot be read/g;
    cmp_ok($n, '<', 20, "... but not one line for each request: $n");
    is($t->http_get('web', '/')->{status}, 200, 'the others are served');
    $t->finish;
};

subtest 'a store' => sub {
    my $t = server("\n[history]\nstore = private/data/history.db\n");
    make_path($t->path('private/data'));
    if ($root) {
        chown +(getpwnam 'nobody')[2, 3], $t->path('private/data');
    }
    for my $case (['private', 'searched', $root ? 0700 : 0],
        ['private/data', 'written to', 0555]) {
        my ($path, $what, $mode) = @$case;
        chmod $mode, $t->path($path);
        my ($exit, $out, $err) = $t->run;
        is($exit, 1, sprintf '%s has mode %04o: exit 1', $path, $mode);
        my $reason = barrier($t->path($path), "$what by user $who",
            sprintf '%04o', $mode);
        like($err, qr/store .*: cannot (?:write|make) .*: $reason/,
            '... with the reason');
        chmod 0755, $t->path($path);
    }
    $t->start;
    is(scalar $t->workers, 2, 'opened: it serves');
    $t->finish;
};

done_testing();
