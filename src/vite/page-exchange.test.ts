import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeExchange, type FakeExchangeOptions } from '../../test/support/fake-exchange.ts';
import type { Fault } from './faults.ts';
import { PageExchange, pageBytesMax } from './page-exchange.ts';

const fault: Fault = { message: 'boom', file: undefined, line: undefined, trace: [] };
const html = ['Content-Type', 'text/html; charset=utf-8', 'X-Own', '1'];

/** A page is finished when `finish` is called; until then it waits. */
function open(options: FakeExchangeOptions & { readonly fault?: Fault } = {}) {
  const inner = new FakeExchange(options);
  const announced: Fault[] = [];
  const waiting: (() => void)[] = [];
  const exchange = new PageExchange(
    inner,
    {
      announce: (told) => void announced.push(told),
      finish: (target, body, told) =>
        new Promise((resolve) =>
          waiting.push(() => resolve(Buffer.from(`${target} ${body} ${told?.message ?? 'well'}`))),
        ),
    },
    { open() {}, close() {}, of: (id) => (id === 'a1' ? options.fault : undefined) },
  );
  const heard: string[] = [];
  exchange.setObserver({ id: 'a1', ended: () => void heard.push('ended') });
  exchange.setListener({ drained: () => void heard.push('drain'), gone: () => void heard.push('gone') });
  const finish = async () => {
    for (const one of waiting.splice(0)) one();
    await inner.whenEnded();
  };
  return { inner, exchange, announced, heard, finish };
}

test('a page is sent whole, with the length that it got', async () => {
  const { inner, exchange, heard, finish } = open({ target: '/page' });
  exchange.respond(200, 'OK', [...html, 'Content-Length', '6', 'ETag', '"1"']);
  assert.ok(exchange.headSent && !inner.headSent);
  assert.equal(exchange.status, 200);
  assert.ok(exchange.write(Buffer.from('abc')));
  exchange.end(Buffer.from('def'));
  assert.ok(exchange.ended && !inner.ended);
  await finish();
  assert.equal(inner.body.toString(), '/page abcdef well');
  assert.deepEqual(inner.fields, [...html, 'Content-Length', '17']);
  assert.deepEqual(heard, ['ended']);
});

test('whoever leaves while the page is finished gets nothing, and nobody is told twice', async () => {
  const { inner, exchange, heard, finish } = open();
  exchange.respond(200, 'OK', html);
  exchange.end(Buffer.from('abc'));
  inner.leave();
  await finish();
  assert.equal(inner.body.length, 0);
  assert.deepEqual(heard, ['ended']);
});

test('whoever leaves before is gone', () => {
  const { inner, exchange, heard } = open();
  exchange.respond(200, 'OK', html);
  exchange.write(Buffer.from('abc'));
  inner.leave();
  assert.deepEqual(heard, ['ended', 'gone']);
  assert.ok(exchange.ended);
});

test('a fault comes with its page, which no policy keeps from showing it', async () => {
  const { inner, exchange, announced, finish } = open({ fault });
  exchange.respond(500, '', [...html, 'Content-Security-Policy', "default-src 'self'"]);
  exchange.end();
  await finish();
  assert.equal(inner.body.toString(), '/  boom');
  assert.deepEqual(inner.fields, [...html, 'Content-Length', '7']);
  assert.deepEqual(announced, []);
});

test('a fault without a page is announced', () => {
  const { inner, exchange, announced } = open({ fault });
  exchange.respond(500, '', ['Content-Type', 'application/json']);
  exchange.end(Buffer.from('{}'));
  assert.equal(inner.body.toString(), '{}');
  assert.deepEqual(announced, [fault]);
});

test('the answer to a form is changed for a fault only', async () => {
  const well = open({ method: 'POST' });
  well.exchange.respond(200, '', [...html, 'Content-Length', '3']);
  well.exchange.end(Buffer.from('abc'));
  assert.equal(well.inner.body.toString(), 'abc');
  assert.deepEqual(well.inner.fields, [...html, 'Content-Length', '3']);
  const broken = open({ method: 'POST', fault });
  broken.exchange.respond(200, '', html);
  broken.exchange.end(Buffer.from('abc'));
  await broken.finish();
  assert.equal(broken.inner.body.toString(), '/ abc boom');
});

test('what is no page is sent as it comes', () => {
  const cases: [number, string[], FakeExchangeOptions?][] = [
    [200, ['Content-Type', 'text/event-stream']],
    [200, ['Content-Type', 'text/htmlx']],
    [200, [...html, 'Content-Encoding', 'gzip']],
    [200, [...html, 'Content-Disposition', 'attachment; filename=a.html']],
    [206, html],
    [200, html, { fields: ['Host', 'site.test', 'Sec-Fetch-Dest', 'empty'] }],
  ];
  for (const [status, fields, options] of cases) {
    const { inner, exchange } = open(options);
    exchange.respond(status, '', fields);
    exchange.write(Buffer.from('abc'));
    assert.equal(inner.body.toString(), 'abc', fields.join(' '));
    assert.deepEqual(inner.fields, fields);
  }
});

test('of a page only the head: without the length and validators that it would not have', () => {
  const { inner, exchange } = open({ method: 'HEAD' });
  exchange.respond(200, '', [...html, 'Content-Length', '3', 'ETag', '"1"']);
  exchange.end();
  assert.deepEqual(inner.fields, html);
});

test('a page that grows too long goes on as it is, as fast as the client takes it', () => {
  const { inner, exchange, heard } = open();
  inner.window = pageBytesMax;
  exchange.respond(200, '', html);
  assert.ok(exchange.write(Buffer.alloc(pageBytesMax)));
  assert.ok(!inner.headSent);
  assert.ok(!exchange.write(Buffer.alloc(1)));
  inner.take(10);
  assert.deepEqual(heard, ['drain']);
  exchange.end(Buffer.from('abc'));
  assert.equal(inner.body.length, pageBytesMax + 4);
  assert.deepEqual(inner.fields, html);
});

test('a page that is cut is cut for the client', () => {
  const { inner, exchange } = open();
  exchange.respond(200, '', html);
  exchange.write(Buffer.from('abc'));
  exchange.cut();
  assert.equal(inner.body.toString(), 'abc');
  assert.ok(inner.wasCut);
});
