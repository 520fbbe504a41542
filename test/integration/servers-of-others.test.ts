/** FastCGI servers that somebody else started, at an `address` of which nothing else is said. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const stops: (() => unknown)[] = [];
after(async () => {
  for (const stop of stops.toReversed()) await stop();
});

function write(path: string, text: string): string {
  writeFileSync(path, text);
  chmodSync(path, 0o755);
  return path;
}

/** Starts programs on one socket by spawn-fcgi, and ends them with the test. */
function spawnFcgi(socket: string, options: readonly string[], command: readonly string[], env = {}): void {
  const pids = `${socket}.pid`;
  const run = spawnSync('spawn-fcgi', ['-s', socket, '-P', pids, ...options, '--', ...command], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...env },
  });
  assert.equal(run.status, 0, run.stdout + run.stderr);
  stops.push(() => {
    for (const pid of readFileSync(pids, 'utf8').trim().split(/\s+/)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended by itself.
      }
    }
  });
}

async function serve(socket: string, documentRoot: string, source = {}): Promise<GatewayProcess> {
  const gateway = await startGateway({
    config: {
      sources: { app: { address: `unix:${socket}`, ...source } },
      virtualServers: [
        { documentRoot, rules: [{ handler: { type: 'fastcgi', source: 'app', checkFile: true } }] },
      ],
    },
  });
  stops.push(() => gateway.stop());
  return gateway;
}

/** How many of the requests, each of which tells when it began and ended, ran at the same time at most. */
function mostTogether(answers: readonly { readonly text: string }[]): number {
  const times = answers.map(({ text }) => text.trim().split(' ').map(Number) as [number, number]);
  return Math.max(...times.map(([at]) => times.filter(([begin, end]) => begin <= at && at < end).length));
}

const askAtOnce = (gateway: GatewayProcess, path: string) =>
  Promise.all(Array.from({ length: 8 }, () => fetchAnswer(gateway.origin, path)));

it('ruby-fcgi without its C half, which dies of a question, is not asked one', async () => {
  const folder = createTestDirectory();
  const program = write(
    join(folder, 'app.rb'),
    'require \'fcgi\'\nFCGI.each { |r| r.out.print "Content-Type: text/plain\\r\\n\\r\\n#{Process.pid}"; r.finish }\n',
  );
  const socket = join(folder, 'ruby.sock');
  spawnFcgi(socket, [], ['/usr/bin/ruby', program], { USE_PURE_RUBY_FCGI: '1' });
  const gateway = await serve(socket, folder);
  const seen = new Set<string>();
  for (let i = 0; i < 20; i++) {
    const { status, text } = await fetchAnswer(gateway.origin, '/app.rb');
    assert.equal(status, 200, gateway.lines.join('\n'));
    seen.add(text);
  }
  assert.equal(seen.size, 1, 'one process answers all');
});

it('four workers of libfcgi behind one socket, each of which says that it takes one connection, all work', async () => {
  const folder = createTestDirectory();
  const program = write(
    join(folder, 'slow.pl'),
    `#!/usr/bin/perl
use FCGI; use Time::HiRes qw(time sleep);
my $request = FCGI::Request();
while ($request->Accept() >= 0) { my $begin = time; sleep 0.5; print "Content-Type: text/plain\\r\\n\\r\\n$begin " . time; }
`,
  );
  const socket = join(folder, 'perl.sock');
  spawnFcgi(socket, ['-F', '4'], [program]);
  for (const profile of [undefined, 'auto']) {
    const gateway = await serve(socket, folder, { profile });
    assert.equal((await fetchAnswer(gateway.origin, '/slow.pl')).status, 200);
    if (profile === 'auto') {
      const isAsked = () => gateway.lines.some((line) => line.includes('was asked what it can do'));
      await until(isAsked, 'the question');
    }
    const answers = await askAtOnce(gateway, '/slow.pl');
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    assert.equal(mostTogether(answers), 4, profile);
  }
});

it('fcgiwrap with three children runs three programs at a time', async () => {
  const folder = createTestDirectory();
  write(
    join(folder, 'slow.cgi'),
    '#!/bin/sh\nbegin=$(date +%s.%N)\nsleep 0.5\nprintf "Content-Type: text/plain\\r\\n\\r\\n%s %s" "$begin" "$(date +%s.%N)"\n',
  );
  const socket = join(folder, 'wrap.sock');
  const wrap = spawn('fcgiwrap', ['-c', '3', '-s', `unix:${socket}`], { stdio: 'ignore', detached: true });
  stops.push(async () => {
    const ended = once(wrap, 'exit');
    process.kill(-wrap.pid!, 'SIGKILL');
    await ended;
  });
  await until(() => existsSync(socket), 'the socket of fcgiwrap');
  const gateway = await serve(socket, folder);
  const answers = await askAtOnce(gateway, '/slow.cgi');
  assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200], gateway.lines.join('\n'));
  assert.equal(mostTogether(answers), 3);
});

/** Answers each request under id 1, whatever its own, and keeps the connection if it is asked to. */
function startEchoOfOne(path: string): Server {
  return createServer((socket) => {
    socket.on('error', () => {});
    let bytes = Buffer.alloc(0);
    let requests = 0;
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk]);
      while (bytes.length >= 8 && bytes.length >= 8 + bytes.readUInt16BE(4) + bytes[6]!) {
        const [type, length] = [bytes[1]!, bytes.readUInt16BE(4)];
        bytes = bytes.subarray(8 + length + bytes[6]!);
        if (type !== 5 || length > 0) continue;
        const text = Buffer.from(`Content-Type: text/plain\r\n\r\n${++requests}`);
        const end = [1, 3, 0, 1, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        socket.write(
          Buffer.concat([Buffer.from([1, 6, 0, 1, 0, text.length, 0, 0]), text, Buffer.from(end)]),
        );
      }
    });
  }).listen(path);
}

it('an application that answers each request under id 1 loses kept connections, and no answer', async () => {
  const folder = createTestDirectory();
  writeFileSync(join(folder, 'page'), '');
  const socket = join(folder, 'one.sock');
  const application = startEchoOfOne(socket);
  stops.push(() => application.close());
  for (const profile of [undefined, 'generic', 'auto']) {
    const gateway = await serve(socket, folder, { profile });
    for (let i = 0; i < 5; i++)
      for (const method of ['GET', 'POST']) {
        const { status } = await fetchAnswer(gateway.origin, '/page', { method });
        assert.equal(status, 200, `${profile} ${method} ${i}\n${gateway.lines.join('\n')}`);
      }
  }
});

it('what programs say that is no error is no warning: the start of uwsgi, and Plack’s line for each request', async () => {
  const folder = createTestDirectory();
  const plack = write(
    join(folder, 'plack.pl'),
    `#!/usr/bin/perl
use FCGI;
my $request = FCGI::Request();
while ($request->Accept() >= 0) {
  print STDERR qq(127.0.0.1 - - [28/Nov/2026:12:00:00 +0000] "GET /missing?error=1 HTTP/1.1" 404 11 "-" "curl"\n);
  print STDERR "disk is nearly full\n";
  print "Content-Type: text/plain\r\n\r\nhello";
}
`,
  );
  const application = join(folder, 'application.py');
  write(application, 'def application(environ, start):\n  start("200 OK", [])\n  return [b"hello"]\n');
  const uwsgi = ['uwsgi', '--plugin', 'python3', '--fastcgi-socket', '{path}', '--wsgi-file', application];
  const gateway = await startGateway({
    config: {
      sources: { plack: { interpreter: [plack] }, uwsgi: { interpreter: [...uwsgi, '--master'] } },
      virtualServers: [
        {
          documentRoot: folder,
          rules: ['plack', 'uwsgi'].map((name) => ({
            match: { directory: `/${name}` },
            handler: { type: 'fastcgi', source: name, checkFile: false },
          })),
        },
      ],
    },
  });
  stops.push(() => gateway.stop());
  for (const path of ['/plack/', '/uwsgi/', '/uwsgi/error'])
    assert.equal((await fetchAnswer(gateway.origin, path)).text, 'hello', gateway.lines.join('\n'));
  await waitForLine(gateway, / warn {2}disk is nearly full/);
  await waitForLine(gateway, /GET \/uwsgi\/error => generated/);
  const loud = gateway.lines.filter((line) => / (warn|error) .*source=(plack|uwsgi)/.test(line));
  const isMeant = (line: string) => /disk is nearly full|WARNING|runs? as root|as root/.test(line);
  assert.deepEqual(
    loud.filter((line) => !isMeant(line)),
    [],
  );
  assert.ok(gateway.lines.some((line) => / info {2}127\.0\.0\.1 - - \[.*" 404 11/.test(line)));
  assert.ok(gateway.lines.some((line) => / info .*Starting uWSGI/.test(line)));
});
