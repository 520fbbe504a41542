#!/usr/bin/perl
# Echoes its variables, an empty line and its STDIN, with libfcgi's FCGI.pm on a unix socket.
# Usage: echo.pl unix-socket-path workers
use strict;
use warnings;
use FCGI;

my ($path, $workers) = @ARGV;
my $socket = FCGI::OpenSocket($path, 100) or die "Cannot listen on $path: $!\n";
for (2 .. $workers) {
    last if !fork;
}
$SIG{PIPE} = 'IGNORE';
my %variables;
my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%variables, $socket);
while ($request->Accept() >= 0) {
    print "Content-Type: text/plain\r\n\r\n";
    print "$_=$variables{$_}\n" for sort keys %variables;
    print "\n";
    my $chunk;
    print $chunk while read STDIN, $chunk, 65536;
}
