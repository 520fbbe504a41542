# What the suite of every source asks of its application, on the listening socket that it inherits: `?large=BYTES`, `?silent`,
# `?broken`, else a small page.
use strict;
use warnings;
use FCGI;

my $request = FCGI::Request();
while ($request->Accept() >= 0) {
    my $query = $ENV{QUERY_STRING} // '';
    kill 'KILL', $$ if $query eq 'broken';
    sleep 300 if $query eq 'silent';
    print "Content-Type: text/plain\r\n\r\nHello", 'x' x ($query =~ /^large=(\d+)$/ ? $1 : 0);
}
