# Strings, hashes and lists that grow, shrink and are sorted; prints sums of them.
use strict;
use warnings;

my ($seed, %count, @lines) = (7);
sub rnd { $seed = ($seed * 1103515245 + 12345) % 2147483648; return int($seed / 65536) % $_[0] }

for my $i (1 .. 60000) {
  my $line = join ' ', map { chr(97 + rnd(26)) x (1 + rnd(12)) } 1 .. 8;
  push @lines, $line;
  $count{$_}++ for split / /, $line;
}
my $i = 0;
my $sum = 0;
$sum += ++$i * $count{$_} % 1000 for sort keys %count;
print "words ", scalar(keys %count), " $sum\n";
my @sorted = sort { length $a <=> length $b || $a cmp $b } @lines;
print substr($sorted[$_ * 1000], 0, 60), "\n" for 0 .. 9;
my $text = join "\n", @lines;
$text =~ s/([aeiou])\1+/uc $1/ge;
print length $text, "\n";
my %tree;
push @{ $tree{ substr $_, 0, 1 }{ length $_ } }, $_ for @lines;
print join(',', map { "$_:" . scalar keys %{ $tree{$_} } } sort keys %tree), "\n";
my $buffer = '';
for (1 .. 30000) { $buffer .= 'x' x rnd(300); $buffer = substr $buffer, 5000 if length $buffer > 100000 }
print length $buffer, "\n";
