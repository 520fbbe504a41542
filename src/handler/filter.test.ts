import assert from 'node:assert/strict';
import {
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { FakeRequest, type FakeRequestOptions, fakeSite } from '../../test/support/fake-request.ts';
import { ScriptedSource } from '../../test/support/scripted-source.ts';
import { createFailover } from '../balancer/failover.ts';
import { systemClock } from '../base/clock.ts';
import { type GatewayError, SourceError } from '../base/errors.ts';
import type { RequestBody } from '../http/message.ts';
import { createDocumentRoot } from './document-root.ts';
import { createFilterHandler } from './filter.ts';
import { testHandler } from './handler.contract.ts';

const root = mkdtempSync(join(tmpdir(), 'fastway-filter-'));
after(() => rmSync(root, { recursive: true }));
mkdirSync(join(root, 'sub'));
writeFileSync(join(root, 'page.txt'), 'the file');
utimesSync(join(root, 'page.txt'), 1_700_000_000, 1_700_000_000);
writeFileSync(join(root, 'empty.txt'), '');
writeFileSync(join(root, '.secret'), 'x');
writeFileSync(join(root, 'a.php'), '<?php');
writeFileSync(join(root, 'sub/index.html'), 'index');
symlinkSync('/etc/hostname', join(root, 'outside'));
const large = Buffer.alloc(200_000, 'large ');
writeFileSync(join(root, 'large.txt'), large);

const createHandler = (sources: readonly ScriptedSource[]) =>
  createFilterHandler({
    isProgram: () => false,
    balancer: createFailover(sources.map((each) => ({ source: each, weight: 1 }))),
    guard: true,
    errorHandler: true,
    passRequestHeaders: true,
    underscoreHeaders: [],
    env: new Map(),
    documentRoot: undefined,
    clientOf: undefined,
    bufferRequest: true,
    bufferResponse: true,
    maxBodyBytes: 1_000_000,
    failurePattern: undefined,
    errorPages: new Map(),
    serverSoftware: 'fastway/test',
    clock: { ...systemClock, now: () => 0 },
    random: () => 0.5,
    spoolDir: root,
  });

const siteOnDisk = () =>
  fakeSite({ documentRoot: createDocumentRoot({ path: root, symlinks: 'deny', now: () => 0 }) });

function send(request: FakeRequestOptions = {}, sources = [new ScriptedSource('filter')]) {
  const [source] = sources;
  const handler = createHandler(sources);
  const routed = new FakeRequest({ target: '/page.txt', site: siteOnDisk(), ...request });
  handler.handle(routed);
  return { source: source!, request: routed, exchange: routed.exchange, handler };
}

/** Reads a stream as an application that is slow to take it. */
function readAll(body: RequestBody): Promise<Buffer | GatewayError> {
  return new Promise((resolve) => {
    const chunks: Uint8Array[] = [];
    const reader = body.read({
      data(chunk) {
        chunks.push(chunk);
        setImmediate(() => reader.resume());
        return false;
      },
      end: () => resolve(Buffer.concat(chunks)),
      error: resolve,
    });
  });
}

test('the file goes as data, with its length and its moment; the answer is what the Filter says (FastCGI 6.4)', async () => {
  const { source, exchange } = send({ target: '/page.txt?q=1' });
  const { role, variables, data, body } = source.last;
  assert.equal(role, 'Filter');
  assert.equal(body, undefined);
  assert.equal(variables.get('FCGI_DATA_LENGTH'), '8');
  assert.equal(variables.get('FCGI_DATA_LAST_MOD'), '1700000000');
  assert.equal(variables.get('SCRIPT_NAME'), '/page.txt');
  assert.equal(variables.get('SCRIPT_FILENAME'), join(root, 'page.txt'));
  assert.equal(variables.get('QUERY_STRING'), 'q=1');
  assert.equal((await readAll(data!)).toString(), 'the file');
  source.last.print('Content-Type: text/html\r\n\r\n<b>the file</b>');
  source.last.end();
  await exchange.whenEnded();
  assert.equal(exchange.status, 200);
  assert.equal(exchange.body.toString(), '<b>the file</b>');
});

test('large and empty files, read as often as it takes', async () => {
  const { data } = send({ target: '/large.txt' }).source.last;
  assert.equal(data!.length, large.length);
  assert.deepEqual(await readAll(data!), large);
  assert.deepEqual(await readAll(data!), large);
  const empty = send({ target: '/empty.txt' }).source.last;
  assert.equal(empty.variables.get('FCGI_DATA_LENGTH'), '0');
  assert.deepEqual(await readAll(empty.data!), Buffer.alloc(0));
});

test('a POST brings both streams', async () => {
  const { source, exchange } = send({ method: 'POST', bodyLength: 4 });
  exchange.sendBody(Buffer.from('form'));
  exchange.endBody();
  const { body, data, variables } = source.last;
  assert.equal(variables.get('CONTENT_LENGTH'), '4');
  assert.equal((await readAll(body!)).toString(), 'form');
  assert.equal((await readAll(data!)).toString(), 'the file');
});

test('another source gets the whole file again', async () => {
  const second = new ScriptedSource('second');
  const { source } = send({}, [new ScriptedSource('first'), second]);
  assert.equal((await readAll(source.last.data!)).toString(), 'the file');
  source.last.fail(new SourceError('GW_ERR_SOURCE_CLOSED', 'died', { delivery: 'maybe' }));
  assert.equal((await readAll(second.last.data!)).toString(), 'the file');
});

test('a file that becomes shorter is an error, not a shorter file', async () => {
  writeFileSync(join(root, 'shrinks.txt'), large);
  const { source } = send({ target: '/shrinks.txt' });
  truncateSync(join(root, 'shrinks.txt'), 10);
  const error = (await readAll(source.last.data!)) as GatewayError;
  assert.equal(error.code, 'GW_ERR_INTERNAL');
  assert.match(error.message, /shrinks\.txt cannot be read to its end: it became shorter than 200000 bytes/);
});

test('the rules of the files handler: what is not meant to be given is not given', async () => {
  for (const [target, status] of [
    ['/none.txt', 404],
    ['/.secret', 404],
    ['/a.php', 403],
    ['/outside', 403],
    ['/sub', 301],
  ] as const) {
    const { source, exchange } = send({ target });
    await exchange.whenEnded();
    assert.equal(exchange.status, status, target);
    assert.equal(source.exchanges.length, 0);
  }
  assert.deepEqual(send({ target: '/sub/' }).request.indexes, ['index.html']);
  const { exchange } = send({ method: 'DELETE' });
  assert.equal(exchange.status, 405);
  assert.equal(exchange.field('allow'), 'GET, HEAD, POST, OPTIONS');
});

test('explain shows the file and what the Filter would hear of it', () => {
  const { request, handler } = send();
  const explanation = handler.explain(request);
  assert.equal(explanation.action, 'run');
  if (explanation.action !== 'run') return;
  assert.equal(explanation.script, join(root, 'page.txt'));
  assert.deepEqual(
    explanation.variables.filter(({ name }) => name.startsWith('FCGI_')),
    [
      { name: 'FCGI_DATA_LENGTH', value: '8', origin: 'filtered file' },
      { name: 'FCGI_DATA_LAST_MOD', value: '1700000000', origin: 'filtered file' },
    ],
  );
});

testHandler('filter', () => {
  const source = new ScriptedSource('filter', (application) => {
    application.print('Content-Type: text/plain\r\n\r\nfiltered');
    application.end();
  });
  return {
    handler: createHandler([source]),
    answered: { target: '/page.txt', site: siteOnDisk() },
    refused: { target: '/none.txt', site: siteOnDisk() },
    asked: () => source.exchanges.length,
    variables: () => source.last.variables,
  };
});
