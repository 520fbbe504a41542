# Listens at the path of a unix socket, or without one on a port of the loopback interface, with the shortest queue of connections that there
# is, and says where. Then becomes the program that it is given, which inherits the socket as descriptor 0.
use strict;
use warnings;
use IO::Socket::INET;
use IO::Socket::UNIX;
use POSIX ();

my ($path, @program) = @ARGV;
my $socket =
    $path eq ''
  ? IO::Socket::INET->new(LocalAddr => '127.0.0.1', Listen => 1)
  : IO::Socket::UNIX->new(Local => $path, Listen => 1);
die "Could not listen: $!" if !$socket;
$| = 1;
print $path eq '' ? 'tcp://127.0.0.1:' . $socket->sockport : "unix:$path", "\n";
POSIX::dup2(fileno $socket, 0);
exec @program;
