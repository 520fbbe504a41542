# Answers with its process id after `?ms=` or at `?gate=` (test/support/file-gate.ts), and keeps `?mb=` of memory, on the
# listening socket that it inherits; ends after REQUESTS_MAX requests.
use strict;
use warnings;
use FCGI;

my $kept;
my $request = FCGI::Request();
my $left = $ENV{REQUESTS_MAX} // -1;
while ($left-- != 0 && $request->Accept() >= 0) {
    my $query = $ENV{QUERY_STRING} // '';
    select(undef, undef, undef, $1 / 1000) if $query =~ /ms=(\d+)/;
    if ($query =~ /gate=([^&]+)/) {
        open(my $file, '>>', $1) or die;
        syswrite($file, "$$\n");
        close($file);
        select(undef, undef, undef, 0.005) until -e "$1.open";
    }
    $kept = 'x' x ($1 * 1048576) if $query =~ /mb=(\d+)/;
    print "Content-Type: text/plain\r\n\r\npid=$$\n";
}
