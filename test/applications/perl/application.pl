#!/usr/bin/perl
# The Perl program of the application suite (test/support/application-suite.ts): libfcgi's FCGI.pm on a unix socket.
# Usage: application.pl unix-socket-path workers
use strict;
use warnings;
use Digest::SHA qw(sha256_hex);
use FCGI;
use JSON::PP;

my ($path, $workers) = @ARGV;
my $socket = FCGI::OpenSocket($path, 100) or die "Cannot listen on $path: $!\n";
for (2 .. $workers) {
    last if !fork;
}
$SIG{PIPE} = 'IGNORE';
my %variables;
my $request = FCGI::Request(\*STDIN, \*STDOUT, \*STDERR, \%variables, $socket);
while ($request->Accept() >= 0) {
    answer(\%variables);
}

sub answer {
    my ($variables) = @_;
    my ($route) = ($variables->{PATH_INFO} // '') =~ m{^/([^/]*)};
    my %query = parse_form($variables->{QUERY_STRING} // '');
    $route //= '';
    if ($route eq 'echo') {
        answer_json({ variables => {%$variables}, query => \%query });
    }
    elsif ($route eq 'form') {
        answer_json({ fields => { parse_form(read_body($variables)) } });
    }
    elsif ($route eq 'upload') {
        answer_json(parse_upload($variables->{CONTENT_TYPE}, read_body($variables)));
    }
    elsif ($route eq 'body') {
        my $sha = Digest::SHA->new(256);
        my ($bytes, $chunk) = (0);
        while (my $got = read STDIN, $chunk, 65536) { $bytes += $got; $sha->add($chunk); }
        answer_json({ bytes => $bytes, sha256 => $sha->hexdigest });
    }
    elsif ($route eq 'cookies') {
        my %cookies = map { /^\s*([^=]+)=(.*)$/ ? ($1, $2) : () } split /;/, $variables->{HTTP_COOKIE} // '';
        print "Set-Cookie: first=one\r\nSet-Cookie: second=two\r\n";
        answer_json({ cookies => \%cookies });
    }
    elsif ($route eq 'redirect') {
        print "Status: 302 Found\r\nLocation: $variables->{SCRIPT_NAME}/echo?from=redirect\r\n\r\n";
    }
    elsif ($route eq 'broken') {
        print "Status: 500 Internal Server Error\r\nContent-Type: text/plain\r\n\r\nbroken on purpose";
    }
    elsif ($route eq 'download') {
        print "Content-Type: application/octet-stream\r\n";
        print "Content-Length: $query{bytes}\r\n" if exists $query{length};
        print "\r\n";
        send_pattern($query{bytes});
    }
    elsif ($route eq 'events') {
        print "Content-Type: text/event-stream\r\n\r\n";
        for my $event (1 .. 3) {
            print "data: $event\n\n";
            $request->Flush();
            select undef, undef, undef, 0.1;
        }
    }
    elsif ($route eq 'log') {
        print STDERR "a message for the log\n";
        print "Content-Type: text/plain\r\n\r\nlogged";
    }
    else {
        print "Status: 404 Not Found\r\nContent-Type: text/plain\r\n\r\nno such route";
    }
}

sub answer_json {
    my ($value) = @_;
    print "Content-Type: application/json\r\n\r\n", JSON::PP->new->latin1->encode($value);
}

sub read_body {
    my ($variables) = @_;
    my $body = '';
    read STDIN, $body, $variables->{CONTENT_LENGTH} || 0;
    return $body;
}

sub parse_form {
    my ($text) = @_;
    my %fields;
    for my $pair (split /&/, $text) {
        my ($name, $value) = map { tr/+/ /r =~ s/%(..)/chr hex $1/ger } split /=/, $pair, 2;
        $fields{$name} = $value // '';
    }
    return %fields;
}

# RFC 7578, as far as a test client goes: parts with a name, one of them with a file name.
sub parse_upload {
    my ($type, $body) = @_;
    my ($boundary) = $type =~ /boundary="?([^";]+)/;
    my %answer = (fields => {});
    for my $part (split /(?:^|\r\n)--\Q$boundary\E(?:--)?(?:\r\n|$)/, $body) {
        my ($head, $content) = split /\r\n\r\n/, $part, 2;
        next if !defined $content;
        my ($name) = $head =~ /[; ]name="([^"]*)"/;
        if ($head =~ /filename="([^"]*)"/) {
            @answer{qw(filename bytes sha256)} = ($1, length $content, sha256_hex($content));
        }
        else {
            $answer{fields}{$name} = $content;
        }
    }
    return \%answer;
}

# Blocks of 64 KiB, each with its number in front, so that a lost, repeated or moved block is seen.
sub send_pattern {
    my ($bytes) = @_;
    my $filler = substr '0123456789abcdef' x 4096, 11;
    for (my $block = 0; $bytes > 0; $block++, $bytes -= 65536) {
        my $text = sprintf("%010d\n", $block) . $filler;
        print $bytes < 65536 ? substr($text, 0, $bytes) : $text;
    }
}
