package Test::Linnet::Variant;

# Builds the program under test once more with changes to its sources, as an
# older or a newer release would have them.  Only what the changes touch is
# compiled; everything else is linked from the objects of the build folder.
# What the changes are is left to the caller.

use strict;
use warnings;

use Carp qw(croak);
use File::Path qw(make_path);

use Test::Linnet;
use Test::Programs qw(build_dir);

# Why nothing can be built here; undef when it can.
sub missing
{
    my $build = build_dir();
    my ($cflags, undef, $libs) = split /\|/, slurp("$build/flags");
    return 'there is no build folder'
        if !defined $libs || slurp("$build/objects") !~ /\S/;
    my ($cc) = split ' ', $cflags;
    for my $program ($cc, 'make') {
        return "$program is not there"
            if system("command -v $program >/dev/null 2>&1") != 0;
    }
    return;
}

# name, version, changes: a list of [file, how, what, text], see below.  The
# folder is the caller's; the current folder is the top of the sources.
sub build
{
    my ($class, %o) = @_;
    my $self = $class->_new(%o);
    # As the lists of objects and of what they are made from name it.
    my @objects = split ' ', slurp(build_dir() . '/objects');
    ($self->{build}) = map { m{^(.*)/src/main\.o$} } @objects;
    $self->{objects} = \@objects;
    $self->_set_version($o{version});
    $self->_write;
    $self->_make;
    return "$self->{folder}/linnet";
}

# The same, but nothing is compiled: gives the folder with the files that have
# changed.
sub sources
{
    my ($class, %o) = @_;
    my $self = $class->_new(%o);
    $self->_write;
    return $self->{folder};
}

sub _new
{
    my ($class, %o) = @_;
    my $self = bless { name => $o{name}, folder => "$o{folder}/$o{name}",
        files => {} }, $class;
    my (undef, $by) = caller 1;
    $self->{by} = $by =~ s{.*/(?=t/)}{}r;
    $self->_change(@$_) for @{ $o{changes} };
    return $self;
}

# ---- changes -------------------------------------------------------------

# how: after, before, instead: the text goes behind, before or in the place of
# what matches.  end: to the end of the struct of that name.  A pattern has to
# match once.  In the text $1 and so on stand for groups of the pattern.
sub _change
{
    my ($self, $file, $how, $what, $text) = @_;
    my $source = $self->{files}{$file} //= slurp($file);
    my $who = "the build \"$self->{name}\": $file";
    croak "$who is not there: $self->{by} has to follow" if $source eq '';
    my $re = ref $what ? $what : qr/\Q$what\E/;
    $re = qr/^struct \Q$what\E \{\n(?:[^}\n].*\n|\n)*/m if $how eq 'end';
    my $n = 0;
    $n++ while $source =~ /$re/g;
    croak "$who has $n places like $what, not one: $self->{by} has to follow"
        if $n != 1;
    $source =~ $re or croak "$who: $what";
    my ($from, $to) = ($-[0], $+[0]);
    my @group = map { substr $source, $-[$_], $+[$_] - $-[$_] } 1 .. $#-;
    $text = $text->(@group) if ref $text;
    my $old = substr $source, $from, $to - $from;
    substr $source, $from, $to - $from,
          $how eq 'instead' ? $text
        : $how eq 'before'  ? $text . $old
        :                     $old . $text;
    $self->{files}{$file} = $source;
    return;
}

sub _set_version
{
    my ($self, $version) = @_;
    my $config = slurp("$self->{build}/auto_config.h");
    $config =~ s/^#define LNT_VERSION ".*"$/#define LNT_VERSION "$version"/m
        or croak 'no version in auto_config.h';
    $self->{files}{'auto_config.h'} = $config;
    return;
}

# Folders are searched in order, so these files hide those of the sources.
sub _write
{
    my ($self) = @_;
    for my $file (keys %{ $self->{files} }) {
        spew("$self->{folder}/$file", $self->{files}{$file});
    }
    return;
}

# ---- compiling -----------------------------------------------------------

# The objects that are made from one of the files that were changed.  The
# version is in a file that nearly everything could include, and hardly
# anything does.
sub _concerned
{
    my ($self) = @_;
    my %changed = map { $_ => 1 } keys %{ $self->{files} };
    delete $changed{'auto_config.h'};
    $changed{"$self->{build}/auto_config.h"} = 1;
    my @concerned;
    for my $object (@{ $self->{objects} }) {
        my $list = slurp($object =~ s/\.o$/.d/r);
        croak "$object has no list of what it is made from" if $list eq '';
        $list =~ s/\\\n/ /g;
        my ($from) = $list =~ /:(.*)/;
        push @concerned, $object if grep { $changed{$_} } split ' ', $from;
    }
    return @concerned;
}

# Optimised for the time that it takes, not for what comes out of it.
sub _rules
{
    my ($self) = @_;
    my $build = $self->{build};
    my ($cflags, $ldflags, $libs) = split /\|/, slurp("$build/flags");
    my %concerned = map { $_ => 1 } $self->_concerned;
    chomp $libs;
    my ($cc) = split ' ', $cflags;
    $cflags =~ s/^\s*\S+/-I$self->{folder} -I$self->{folder}\/src/;
    $cflags .= ' -U_FORTIFY_SOURCE -O0 -g1 -w -fPIE';
    my ($rules, @link) = ('');
    for my $object (@{ $self->{objects} }) {
        if (!$concerned{$object}) {
            push @link, $object;
            next;
        }
        my $source = $object =~ s{^\Q$build\E/(.*)\.o$}{$1.c}r;
        my $to = "$self->{folder}/objs/" . ($source =~ s{/}{-}gr) . '.o';
        $source = $self->{files}{$source} ? "$self->{folder}/$source"
            : -f $source                  ? $source
            :                               "$build/$source";
        $rules .= "$to: $source\n\t$cc $cflags -c -o \$@ \$<\n";
        push @link, $to;
    }
    # What only tests have is no part of the program without changes.
    for my $source (sort grep { m{^t/.*\.c$} } keys %{ $self->{files} }) {
        my $to = "$self->{folder}/objs/" . ($source =~ s{/}{-}gr) . '.o';
        $rules .= "$to: $self->{folder}/$source\n"
            . "\t$cc $cflags -c -o \$@ \$<\n";
        push @link, $to;
    }
    return "$self->{folder}/linnet: @link\n"
        . "\t$cc -pie $ldflags -Wl,-E -o \$@ \$^ $libs\n$rules";
}

sub _make
{
    my ($self) = @_;
    make_path("$self->{folder}/objs");
    my $rules = spew("$self->{folder}/rules", $self->_rules);
    my $jobs = () = slurp('/proc/stat') =~ /^cpu\d/mg;
    my ($exit, $out, $err) = run_command({ timeout => 300 },
        'make', '-s', '-j' . ($jobs || 1), '-f', $rules);
    croak "the build \"$self->{name}\":\n$out$err" if $exit != 0;
    return;
}

1;

__END__

=head1 NAME

Test::Linnet::Variant - the program under test with other sources

=head1 DESCRIPTION

C<missing> says why nothing can be built here, or undef. C<build(name =E<gt>
'newer', version =E<gt> '99.2.0', folder =E<gt> $dir, changes =E<gt> \@changes)>
gives the path of the program; it dies with a message when a change finds no
place in the sources, or when they do not compile.

A change is C<[$file, $how, $what, $text]>. C<$what> is a text or a pattern that
is in the file once; C<$text>, or what it returns when called with the groups of
the pattern, goes C<after> it, C<before> it or there C<instead> of it. With
C<end>, C<$what> is the name of a struct, which gets a further field. A C file of
F<t/> that is changed becomes a part of the program.

C<sources> takes the same, without version, and gives the folder in which the
changed files are, with their paths.

=cut
