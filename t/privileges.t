# Started by root: workers run as somebody else; started by somebody else: all
# the same, without root.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::Bin/lib";
use Test::More;

use Test::Linnet;

plan skip_all => 'only root can become somebody else' if $>;
my ($nobody, $group) = (getpwnam 'nobody')[2, 3];
plan skip_all => 'there is no user nobody' unless defined $nobody;

my $config = <<'INI';
[server]
workers = 2
%%USER%%

%%LISTEN_echo%%

%%LISTEN_web%%

%%ROUTE_page%%
INI

my %files = ('www/index.html' => "hello\n", 'www/secret' => "psst\n");

sub config { return $config =~ s/%%USER%%/$_[0]/r }

# Real, effective, saved and file system id.
sub ids
{
    my ($pid, $what) = @_;
    my ($ids) = slurp("/proc/$pid/status") =~ /^$what:\s+(.*)/m;
    return $ids =~ s/\s+/ /gr;
}

subtest 'user = nobody' => sub {
    my $t = Test::Linnet->new(config => config('user = nobody'),
        files => \%files);
    chmod 0600, $t->path('www/secret');
    $t->start;
    is(ids($t->{pid}, 'Uid'), '0 0 0 0', 'the master stays root');
    for my $pid ($t->worker_pids) {
        is(ids($pid, 'Uid'), join(' ', ($nobody) x 4), 'a worker is nobody');
        is(ids($pid, 'Gid'), join(' ', ($group) x 4), '... its group, too');
        my ($groups) = slurp("/proc/$pid/status") =~ /^Groups:[ \t]*(.*)$/m;
        unlike($groups, qr/\b0\b/, '... root\'s groups are given up');
        my ($caps) = slurp("/proc/$pid/status") =~ /^CapEff:\s+(\S+)/m;
        is(hex $caps, 0, '... no capability is left');
        my ($keep) = slurp("/proc/$pid/status") =~ /^CapPrm:\s+(\S+)/m;
        is(hex $keep, 0, '... nor one that it could take back');
    }
    is($t->http_get('web', '/')->{body}, "hello\n", 'files are served');
    is($t->http_get('web', '/secret')->{status}, 403,
        'but not what only root may read');

    # What root did at start can be done again.
    rename $t->log_path, $t->path('logs/old.log') or die $!;
    is(($t->ctl('reopen'))[0], 0, 'reopen');
    for my $pid ($t->processes) {
        my @open = map { readlink $_ // '' } glob "/proc/$pid/fd/*";
        ok(scalar(grep { $_ eq $t->log_path } @open),
            "$pid writes to the new file");
        ok(!scalar(grep { /old\.log$/ } @open), '... and has closed the old');
    }
    is(($t->ctl('reload'))[0], 0, 'reload');
    ok($t->wait_ready(5, 2), '... workers are ready');
    for my $pid ($t->worker_pids) {
        is(ids($pid, 'Uid'), join(' ', ($nobody) x 4), '... and nobody');
    }
    my $c = $t->connect('echo');
    $c->write('hi');
    is($c->read_exact(2), 'hi', 'it serves');
    $t->finish;
};

subtest 'a port that only root may have' => sub {
    my $port = 1;
    $port++ while $port < 1024
        && Test::Linnet::Stream->try_connect(host => '127.0.0.1',
        port => $port);
    my $t = Test::Linnet->new(ports => { echo => $port },
        files => \%files, config => config('user = nobody'));
    $t->start;
    ok(scalar grep({ ids($_, 'Uid') =~ /^$nobody / } $t->worker_pids),
        'workers are nobody');
    my $c = $t->connect('echo');
    $c->write('hi');
    is($c->read_exact(2), 'hi', "port $port is served");
    is(($t->ctl('reload'))[0], 0, 'reloaded');
    $t->finish;
};

subtest 'names that do not exist' => sub {
    for my $user ('user = no_such_user_here', 'group = no_such_group_here') {
        my $t = Test::Linnet->new(config => config($user), files => \%files);
        my ($exit, $out, $err) = $t->run('-t');
        is($exit, 78, $user);
        like($err, qr/server\.ini:\d+: .*no_such_\w+/, '... is named');
        $t->finish;
    }
};

subtest 'started by nobody' => sub {
    my $t = Test::Linnet->new(config => config(''), files => \%files,
        user => 'nobody')->start;
    for my $pid ($t->processes) {
        is(ids($pid, 'Uid'), join(' ', ($nobody) x 4), 'everybody is nobody');
    }
    my $c = $t->connect('echo');
    $c->write('hi');
    is($c->read_exact(2), 'hi', 'it serves');
    is(($t->ctl('reload'))[0], 0, 'it reloads');
    $t->finish;

    $t = Test::Linnet->new(config => config('user = daemon'),
        files => \%files, user => 'nobody');
    my ($exit, $out, $err) = $t->run('-t');
    ok($exit == 0 || $err =~ /user/,
        'user = somebody else: taken or explained');
    $t->finish;

    $t = Test::Linnet->new(config => config(''), files => \%files,
        user => 'nobody');
    chmod 0555, $t->path('run');
    ($exit, $out, $err) = $t->run;
    is($exit, 1, 'a folder it may not write to');
    like($err, qr{\Q$t->{prefix}\E/run.*Permission denied}i,
        '... is named with the reason');
    $t->finish;
};

done_testing;
