/** FastCGI servers that somebody else started, at an `address` of which nothing else is said. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { until } from '../support/local-source.ts';
import { createTestDirectory } from '../support/test-directory.ts';

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
