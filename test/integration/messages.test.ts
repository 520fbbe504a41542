/**
 * What the log says of a fault, to somebody who meets it at night: whose fault it is, and which key or which log helps. Each
 * fault is provoked behind the built gateway.
 */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { RuleInput } from '../../src/config/types.ts';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const folder = createTestDirectory();
const stops: (() => unknown)[] = [];
after(async () => {
  for (const stop of stops.toReversed()) await stop();
});

async function listen(server: Server, name: string): Promise<string> {
  const path = join(folder, `${name}.sock`);
  await new Promise<void>((resolve) => server.listen(path, resolve));
  stops.push(() => server.close());
  return `unix:${path}`;
}

/** A program at a socket. */
function play(name: string, met: (socket: Socket) => void): Promise<string> {
  const open = new Set<Socket>();
  stops.push(() => {
    for (const socket of open) socket.destroy();
  });
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('error', () => {});
    met(socket);
  });
  return listen(server, name);
}

const scripts: Readonly<Record<string, string>> = {
  'killed.php': '<?php posix_kill(getmypid(), 9);',

  'length.php': '<?php echo strlen(file_get_contents("php://input"));',
  'killed.cgi': '#!/bin/sh\nkill -9 $$\n',
  'silent.cgi': '#!/bin/sh\nexec sleep 60\n',
};

describe('the log names cause and remedy', () => {
  let gateway: GatewayProcess;
  before(async () => {
    for (const [name, text] of Object.entries(scripts)) writeFileSync(join(folder, name), text);
    for (const name of ['killed.cgi', 'silent.cgi']) chmodSync(join(folder, name), 0o755);
    const addresses = {
      http: await listen(
        createHttpServer((_, response) => response.end('hello')),
        'http',
      ),
      greeting: await play('greeting', (socket) => socket.write('SSH-2.0-OpenSSH_9.2\r\n')),
      tls: await play('tls', (socket) => {
        socket.once('data', () => socket.end('\x15\x03\x01\x00\x02\x02\x46', 'latin1'));
      }),
      silent: await play('silent', () => {}),
      closing: await play('closing', (socket) => socket.once('data', () => socket.destroy())),
      full: await play('full', () => {}),
    };
    const limits = { silent: { readTimeoutMs: 300 }, full: { capacity: 1, readTimeoutMs: 20_000 } };
    const sources = Object.fromEntries(
      Object.entries(addresses).map(([name, address]) => [
        name,
        { address, ...limits[name as keyof typeof limits] },
      ]),
    );
    const asks = (name: string): RuleInput => ({
      match: { directory: `/${name}` },
      handler: { type: 'fastcgi', source: name, checkFile: false },
    });
    gateway = await startGateway({
      // No file may be larger, as on a disk that is full.
      through: ['sh', '-c', 'ulimit -f 200; exec "$@"', 'sh'],
      config: {
        sources: { ...sources, fpm: { php: 'fpm', workers: 1 } },
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              ...Object.keys(addresses).map(asks),
              { match: { extensions: ['cgi'] }, handler: { type: 'cgi', timeoutMs: 300 } },
              { match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'fpm' } },
            ],
          },
        ],
      },
    });
  });
  after(() => gateway?.stop());

  const post = (path: string, body = 'a=1') => fetch(gateway.origin + path, { method: 'POST', body });

  const cases: Readonly<Record<string, readonly [path: string, status: number, line: RegExp]>> = {
    'a web server at the address': [
      '/http/',
      502,
      / error .*http\.sock .*"HTTP\/1\.1" are HTTP and not FastCGI\. "address" must be that of a FastCGI server \(of php-fpm its "listen"\)/,
    ],
    'another server at the address': [
      '/greeting/',
      502,
      / error .*"SSH-2\.0-" are another protocol and not FastCGI\. "address" must be/,
    ],
    'TLS at the address': ['/tls/', 502, / error .* are TLS and not FastCGI\. "address" must be/],
    silence: [
      '/silent/',
      504,
      / warn .*silent\.sock sent nothing for 300 ms .*raise readTimeoutMs of the source; php-fpm .* request_slowlog_timeout and slowlog/,
    ],
    'an application that closes': [
      '/closing/',
      502,
      / error .*closing\.sock closed the connection without an answer\. .*its own log \(of php-fpm: error_log\) .*the kernel \(dmesg\)/,
    ],
    'a worker of ours that was killed': ['/killed.php', 502, / warn .* exited on signal 9 \(SIGKILL\)/],
    'a CGI program that was killed': [
      '/killed.cgi',
      502,
      / error .*killed\.cgi was ended by SIGKILL; .*the kernel's log \(dmesg\).*"limits"/,
    ],
    'a CGI program that says nothing': [
      '/silent.cgi',
      504,
      / warn .*silent\.cgi printed nothing for 300 ms and was ended; .*raise "timeoutMs" of its handler/,
    ],
  };
  for (const [what, [path, status, line]] of Object.entries(cases))
    it(what, async () => {
      assert.equal((await post(path)).status, status, gateway.lines.join('\n'));
      await waitForLine(gateway, line);
    });

  it('a disk that takes no more: which directory, and which key', async () => {
    assert.equal((await post('/length.php', 'x'.repeat(400_000))).status, 503);
    await waitForLine(
      gateway,
      / error Could not write a file in \/.*\/spool, where bodies are that do not fit in memory: EFBIG.*maxBodyBytes/,
    );
  });

  it('an address whose places are all taken: whose limit it is, and how to raise it', async () => {
    const asked = [post('/full/'), post('/full/')].map((answer) => answer.catch(() => {}));
    await waitForLine(
      gateway,
      / warn .*full\.sock works on 1 request, as many as its limit allows, and no place became free within 5000 ms\. Give it more workers \(php-fpm: pm\.max_children\), and raise "capacity" of the source/,
    );
    await gateway.stop('SIGKILL');
    await Promise.all(asked);
  });
});
