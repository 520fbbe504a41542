# The Ruby program of the application suite (test/support/application-suite.ts): Rack on ruby-fcgi and a unix socket.
# Usage: ruby application.rb unix-socket-path workers
require 'digest'
require 'fcgi'
require 'json'
require 'rack'
require 'rack/handler/fastcgi'
require 'socket'

# Blocks of 64 KiB, each with its number in front, so that a lost, repeated or moved block is seen.
class Pattern
  FILLER = ('0123456789abcdef' * 4096)[11..]

  def initialize(bytes)
    @bytes = bytes
  end

  def each
    rest = @bytes
    (0..).each do |block|
      break if rest <= 0
      yield format("%010d\n", block) + (rest < 65_536 ? FILLER[0, [rest - 11, 0].max] : FILLER)
      rest -= 65_536
    end
  end
end

class Events
  def each
    (1..3).each do |event|
      yield "data: #{event}\n\n"
      sleep 0.1
    end
  end
end

class Application
  JSON_TYPE = { 'Content-Type' => 'application/json' }.freeze
  TEXT = { 'Content-Type' => 'text/plain' }.freeze

  def call(env)
    request = Rack::Request.new(env)
    case env['PATH_INFO'].split('/')[1]
    when 'echo' then json(variables: env.select { |_, value| value.is_a?(String) }, query: request.GET)
    when 'form' then json(fields: request.POST)
    when 'upload' then upload(request.POST)
    when 'body' then body(env['rack.input'])
    when 'cookies' then cookies(request.cookies)
    when 'redirect' then [302, { 'Location' => "#{env['SCRIPT_NAME']}/echo?from=redirect" }, []]
    when 'broken' then [500, TEXT, ['broken on purpose']]
    when 'download' then download(request.GET)
    when 'events' then [200, { 'Content-Type' => 'text/event-stream' }, Events.new]
    when 'log'
      env['rack.errors'].puts 'a message for the log'
      [200, TEXT, ['logged']]
    else [404, TEXT, ['no such route']]
    end
  end

  private

  def json(value)
    text = ->(item) { item.is_a?(Hash) ? item.to_h { |k, v| [k, text.(v)] } : item.is_a?(String) ? item.dup.force_encoding('UTF-8').scrub : item }
    [200, JSON_TYPE, [JSON.generate(text.(value))]]
  end

  def upload(fields)
    file = fields.delete('file')
    bytes = file[:tempfile].read
    json(fields: fields, filename: file[:filename], bytes: bytes.bytesize, sha256: Digest::SHA256.hexdigest(bytes))
  end

  def body(input)
    digest = Digest::SHA256.new
    bytes = 0
    while (chunk = input.read(65_536))
      digest << chunk
      bytes += chunk.bytesize
    end
    json(bytes: bytes, sha256: digest.hexdigest)
  end

  def cookies(received)
    status, head, body = json(cookies: received)
    head = head.dup
    Rack::Utils.set_cookie_header!(head, 'first', 'one')
    Rack::Utils.set_cookie_header!(head, 'second', 'two')
    [status, head, body]
  end

  def download(query)
    head = { 'Content-Type' => 'application/octet-stream' }
    head['Content-Length'] = query['bytes'] if query.key?('length')
    [200, head, Pattern.new(query['bytes'].to_i)]
  end
end

path, workers = ARGV
$stdin.reopen(UNIXServer.new(path))
(workers.to_i - 1).times { break unless fork }
Rack::Handler::FastCGI.run(Application.new)
