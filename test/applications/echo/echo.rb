# Echoes its variables, an empty line and its STDIN, with ruby-fcgi on a unix socket.
# Usage: ruby echo.rb unix-socket-path workers
require 'fcgi'
require 'socket'

path, workers = ARGV
$stdin.reopen(UNIXServer.new(path))
(workers.to_i - 1).times { break unless fork }
FCGI.each do |request|
  request.out.print "Content-Type: text/plain\r\n\r\n"
  request.env.each { |name, value| request.out.print "#{name}=#{value}\n" }
  request.out.print "\n", request.in.read
  request.finish
end
