import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressSet } from './address-set.ts';
import type { RequestHead } from './message.ts';
import { resolveClient } from './real-ip.ts';

const trusted = new AddressSet(['10.0.0.0/8', 'fd00::/8']);

function head(remoteAddress: string, ...fields: string[]): RequestHead {
  return {
    method: 'GET',
    target: '/',
    version: '1.1',
    fields,
    secure: false,
    remoteAddress,
    remotePort: 4711,
    localAddress: '10.0.0.1',
    localPort: 80,
  };
}

const addressOf = (peer: string, forwarded: string) =>
  resolveClient(head(peer, 'X-Forwarded-For', forwarded), trusted).address;

test('T85: a peer that is not trusted is the client, whatever it says', () => {
  const lies = head(
    '192.0.2.9',
    'X-Forwarded-For',
    '1.1.1.1',
    'X-Real-IP',
    '1.1.1.1',
    'X-Forwarded-Proto',
    'https',
  );
  const plain = { address: '192.0.2.9', port: 4711, secure: false };
  assert.deepEqual(resolveClient(lies, trusted), plain);
  assert.deepEqual(resolveClient(lies, undefined), plain);
});

test('the right-most address that is not trusted is the client', () => {
  assert.equal(addressOf('10.0.0.2', '203.0.113.5'), '203.0.113.5');
  assert.equal(addressOf('10.0.0.2', '6.6.6.6, 203.0.113.5, 10.0.0.3'), '203.0.113.5');
  assert.equal(addressOf('10.0.0.2', '10.0.0.9, 10.0.0.3'), '10.0.0.9');
  assert.equal(
    resolveClient(head('10.0.0.2', 'X-Forwarded-For', '6.6.6.6', 'x-forwarded-for', '203.0.113.5'), trusted)
      .address,
    '203.0.113.5',
  );
});

test('what is no address ends the search at the last that was one', () => {
  assert.equal(addressOf('10.0.0.2', '203.0.113.5, unknown'), '10.0.0.2');
  assert.equal(addressOf('10.0.0.2', '6.6.6.6, unknown, 10.0.0.3'), '10.0.0.3');
  assert.equal(addressOf('10.0.0.2', ''), '10.0.0.2');
  assert.equal(addressOf('10.0.0.2', ','), '10.0.0.2');
  assert.equal(addressOf('10.0.0.2', '203.0.113.5,'), '10.0.0.2');
});

test('ports, brackets and IPv4-mapped addresses', () => {
  const client = (forwarded: string) => {
    const { address, port } = resolveClient(head('fd00::1', 'X-Forwarded-For', forwarded), trusted);
    return [address, port];
  };
  assert.deepEqual(client('203.0.113.5:99'), ['203.0.113.5', 99]);
  assert.deepEqual(client('[2001:db8::1]:99'), ['2001:db8::1', 99]);
  assert.deepEqual(client('[2001:db8::1]'), ['2001:db8::1', 0]);
  assert.deepEqual(client('2001:db8::1'), ['2001:db8::1', 0]);
  assert.deepEqual(client('::ffff:203.0.113.5'), ['203.0.113.5', 0]);
});

test('X-Real-IP counts without X-Forwarded-For', () => {
  assert.equal(resolveClient(head('10.0.0.2', 'X-Real-IP', '203.0.113.5'), trusted).address, '203.0.113.5');
  assert.equal(resolveClient(head('10.0.0.2', 'X-Real-IP', 'junk'), trusted).address, '10.0.0.2');
  assert.equal(resolveClient(head('10.0.0.2'), trusted).port, 4711);
});

test('X-Forwarded-Proto: the last word of a trusted peer', () => {
  const secure = (...protos: string[]) =>
    resolveClient(head('10.0.0.2', ...protos.flatMap((proto) => ['X-Forwarded-Proto', proto])), trusted)
      .secure;
  assert.equal(secure('https'), true);
  assert.equal(secure('http, HTTPS'), true);
  assert.equal(secure('https', 'http'), false);
  assert.equal(secure('gopher'), false);
  assert.equal(secure(), false);
});
