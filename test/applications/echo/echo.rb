# Echoes its variables, an empty line and its STDIN, with ruby-fcgi on a unix socket.
# Usage: ruby echo.rb unix-socket-path workers
require 'fcgi'
require 'socket'

path, workers = ARGV
$stdin.reopen(UNIXServer.new(path))

def work
  FCGI.each do |request|
    request.out.print "Content-Type: text/plain\r\n\r\n"
    request.env.each { |name, value| request.out.print "#{name}=#{value}\n" }
    request.out.print "\n", request.in.read
    request.finish
  end
end

# A worker dies of a request that it cannot read, and another takes its place.
workers.to_i.times { fork { work } }
loop do
  Process.wait
  sleep 0.05
  fork { work }
end
