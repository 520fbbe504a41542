/**
 * Bytes that drive a terminal, or forge a line of a log: from a client, an application, a file name, a configuration.
 * Deterministic.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { endRequest, record, stderr, stdout } from '../../src/testing/record-builder.ts';
import { gatewayCommand, runFastway, startGateway, waitForLine } from '../support/gateway-process.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';

/** As text, of each kind: C0, ESC, DEL, C1, separators of lines, direction, invisible. Line feeds are the test's own. */
const hostile = '\u0007\u001b[31m\u007f\u009b31m\u0085\u2028\u2029\u202e\u2066\u200f\u061c\ufeff';
const unsafe = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/;
const asBytes = (text: string) => Buffer.from(text).toString('latin1');

const folder = createTestDirectory();
const accessLog = join(folder, 'access.log');
let application: ScriptedApplication;
before(async () => {
  application = await startScriptedApplication({
    scenarios: {
      hostile: (c) =>
        c.finish(
          stderr(asBytes(`PHP message: ${hostile.replaceAll('\0', '')}\n`)),
          stdout(`Content-Type: text/plain\r\nX-A: b\r\n\r\n${asBytes(`a\tb ${hostile}\nEnd\n`)}`),
          record(6, 1, Buffer.alloc(0)),
          endRequest(),
        ),
      'bad-head': (c) =>
        c.finish(stdout(asBytes(`${hostile}\r\n\r\n`)), record(6, 1, Buffer.alloc(0)), endRequest()),
    },
  });
});
after(() => application.close());

function assertHarmless(text: string, what: string): void {
  const found = unsafe.exec(text);
  assert.equal(found, null, `${what}: U+${found?.[0].charCodeAt(0).toString(16)} in ${JSON.stringify(text)}`);
}

for (const format of ['text', 'json'] as const) {
  test(`S26: no byte of a client or an application drives a terminal through the log (${format})`, async () => {
    const gateway = await startGateway({
      config: {
        log: { level: 'debug', format },
        sources: { app: { address: application.address } },
        virtualServers: [
          {
            documentRoot: folder,
            accessLog: { file: accessLog, format: format === 'json' ? 'json' : 'combined' },
            rules: [
              {
                match: { directory: '/app' },
                handler: { type: 'fastcgi', source: 'app', checkFile: false, failurePattern: 'nothing' },
              },
              { handler: { type: 'files' } },
            ],
          },
        ],
      },
    });
    try {
      const close = 'Connection: close\r\n';
      const evil = asBytes(hostile.replaceAll(/[\x00-\x1f\x7f]/g, ''));
      for (const request of [
        `GET / HTTP/1.1\r\nHost: a\x9b31m${evil}\r\n${close}\r\n`,
        `GET /${evil}\x9b HTTP/1.1\r\nHost: a\r\n${close}\r\n`,
        `GET /%1b%c2%9b%e2%80%ae%0a.txt HTTP/1.1\r\nHost: a\r\n${close}\r\n`,
        `GET /a HTTP/1.1\r\nHost: a\r\nUser-Agent: ${evil}\r\nReferer: \x9b\r\nTransfer-Encoding: ${evil}\r\n${close}\r\n`,
        `GET /app/?play=hostile HTTP/1.1\r\nHost: a\r\nUser-Agent: ${evil}\r\nReferer: \x9b\r\n${close}\r\n`,
        `GET /app/?play=bad-head HTTP/1.1\r\nHost: a\r\n${close}\r\n`,
      ]) {
        const { text } = await exchangeRaw(gateway.port, request);
        assert.match(text, /^HTTP\/1\.1 \d{3} /);
      }
      await waitForLine(gateway, /31m.*names no host/);
      await waitForLine(gateway, /PHP message|31m.*app/);
      await waitForLine(gateway, /GW_ERR_CGI/);
    } finally {
      await gateway.stop();
    }
    for (const line of gateway.lines) {
      assertHarmless(line, 'log');
      // It is escaped, and still says what it said.
      if (format === 'json' && line.includes('names no host')) {
        assert.ok((JSON.parse(line) as { message: string }).message.includes('\x9b31m'));
      }
    }
    assertHarmless(readFileSync(accessLog, 'utf8'), 'access log');
  });
}

test('S26: no command prints what a configuration, a path or an argument brings along', async () => {
  const name = `dir${hostile}`;
  mkdirSync(join(folder, name));
  const file = join(folder, name, 'fastway.config.json');
  const server = {
    name: hostile,
    documentRoot: '.',
    errorPages: { 404: `${hostile}.html` },
    rules: [{ match: { path: `/${hostile}` }, handler: { type: 'error', status: 403 } }],
  };
  writeFileSync(file, JSON.stringify({ virtualServers: [server] }), { mode: 0o600 });
  const wrong = join(folder, name, 'wrong.json');
  writeFileSync(wrong, JSON.stringify({ [hostile]: 1, sources: { [hostile]: {} }, log: { level: hostile } }));
  const directory = join(folder, name);
  for (const args of [
    ['check', directory],
    ['check', '--config', wrong],
    ['check', '--config', `${hostile}.json`],
    ['print-config', directory],
    ['print-config', hostile],
    ['explain', `/${hostile}`, directory],
    ['explain', '-H', `X: ${hostile}`, '/', directory],
    ['explain', '--client', hostile, '/', directory],
    ['serve', hostile],
    [`-${hostile}`],
    [hostile],
    ['deploy', join(folder, hostile), join(folder, `x${hostile}`)],
    ['request', `unix:/${hostile}`, '--script', '/a'],
    ['request', application.address, '--script', '/a', '--role', hostile],
    ['conformance', application.address, '--only', hostile],
  ]) {
    const { stdout: out, stderr: err } = await runFastway(args);
    assert.notEqual(out + err, '', args[0]);
    assertHarmless(out, args.join(' '));
    assertHarmless(err, args.join(' '));
    if (args[0] === 'print-config' && out !== '') {
      assert.equal(
        (JSON.parse(out) as { virtualServers: { name: string }[] }).virtualServers[0]!.name,
        hostile,
      );
    }
  }
});

test('S26: the banner shows paths without their control bytes', async () => {
  const gateway = await startGateway({
    args: ['--port', '0', '--php', 'cgi', join(folder, `dir${hostile}`)],
  });
  await gateway.stop();
  for (const line of gateway.lines) assertHarmless(line, 'banner');
});

const request = () => ['request', application.address, '--script', '/a', '--query', 'play=hostile'];

test('S30: `request` shows an answer to a person without its control bytes', async () => {
  // script(1) is the terminal.
  const command = [...gatewayCommand(), ...request()].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', `${command} 2>/dev/null`, '/dev/null'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const chunks: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => chunks.push(chunk));
  const code = await new Promise((resolve) => child.once('close', resolve));
  const shown = Buffer.concat(chunks).toString('utf8');
  assert.equal(code, 0, shown);
  // The terminal itself writes a carriage return before each line feed.
  assertHarmless(shown.replaceAll('\r\n', '\n'), 'terminal');
  assert.match(shown, /Content-Type: text\/plain\r\nX-A: b\r\n\r\na\tb \\x07\\x1b\[31m\\x7f\\x9b31m/);
  assert.match(shown, /\\u202e.*\r\nEnd\r\n$/);
});

test('S30: a pipe gets the answer of `request` byte for byte', async () => {
  const { stdout: out } = await runFastway(request());
  assert.equal(out, `Content-Type: text/plain\r\nX-A: b\r\n\r\na\tb ${hostile}\nEnd\n`);
});
