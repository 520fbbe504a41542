import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressSet } from './address-set.ts';
import type { RequestHead } from './message.ts';
import { resolveClient, type TrustedProxies } from './real-ip.ts';

const trusted: TrustedProxies = {
  trusted: new AddressSet(['10.0.0.0/8', 'fd00::/8', 'unix']),
  field: 'x-forwarded-for',
  protoField: 'x-forwarded-proto',
  hostField: undefined,
  portField: undefined,
};

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
  const plain = { address: '192.0.2.9', port: 4711, secure: false, authority: undefined, serverPort: 0 };
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
  assert.deepEqual(client('::ffff:cb00:7105'), ['203.0.113.5', 0]);
  assert.deepEqual(client('203.0.113.5:99999'), ['203.0.113.5', 0]);
});

test('a field of one value: no other says anything, and two of it are refused (S16)', () => {
  const proxies = { ...trusted, field: 'x-real-ip' };
  const client = (...fields: string[]) => {
    const { address, port } = resolveClient(head('10.0.0.2', ...fields), proxies);
    return [address, port];
  };
  assert.deepEqual(client('X-Forwarded-For', '6.6.6.6', 'X-Real-IP', '203.0.113.5'), ['203.0.113.5', 0]);
  assert.deepEqual(client('X-Forwarded-For', '6.6.6.6', 'Forwarded', 'for=6.6.6.6'), ['10.0.0.2', 4711]);
  assert.deepEqual(client('X-Real-IP', 'junk'), ['10.0.0.2', 4711]);
  assert.deepEqual(client(), ['10.0.0.2', 4711]);
  for (const fields of [
    ['X-Real-IP', '6.6.6.6', 'x-real-ip', '203.0.113.5'],
    ['X-Real-IP', '6.6.6.6, 203.0.113.5'],
    ['X-Real-IP', 'junk', 'X-Real-IP', ''],
  ]) {
    assert.throws(() => client(...fields), { code: 'GW_ERR_HTTP_REQUEST' }, fields.join());
  }
  // From anybody else it is a field as any other.
  const stranger = head('192.0.2.9', 'X-Real-IP', '6.6.6.6', 'X-Real-IP', '6.6.6.6');
  assert.equal(resolveClient(stranger, proxies).address, '192.0.2.9');
});

test('Forwarded (RFC 7239): elements of hops, from right to left', () => {
  const proxies = { ...trusted, field: 'forwarded', protoField: 'forwarded', hostField: 'forwarded' };
  const client = (...values: string[]) =>
    resolveClient(head('10.0.0.2', ...values.flatMap((value) => ['Forwarded', value])), proxies);
  // The examples of RFC 7239 section 4.
  assert.equal(client('for="_gazonk"').address, '10.0.0.2');
  assert.deepEqual(
    [client('For="[2001:db8:cafe::17]:4711"').address, client('For="[2001:db8:cafe::17]:4711"').port],
    ['2001:db8:cafe::17', 4711],
  );
  assert.equal(client('for=192.0.2.60;proto=http;by=203.0.113.43').address, '192.0.2.60');
  assert.equal(client('for=192.0.2.43, for=198.51.100.17').address, '198.51.100.17');
  assert.equal(client('for=192.0.2.43', 'for=10.1.1.1').address, '192.0.2.43');
  assert.equal(client('for=192.0.2.43, for=unknown').address, '10.0.0.2');
  assert.equal(client('for=192.0.2.43;for=192.0.2.44').address, '10.0.0.2');
  assert.equal(client('for = 192.0.2.43').address, '10.0.0.2');
  const { secure, authority } = client(
    'host=no.test;proto=http, for=192.0.2.1; proto=HTTPS ;host="a.test:8443" ',
  );
  assert.deepEqual([secure, authority], [true, 'a.test:8443']);
  assert.equal(client('host=no.test, for=192.0.2.1').authority, undefined);
});

test('host and port, where they are named', () => {
  const proxies = { ...trusted, hostField: 'x-forwarded-host', portField: 'x-forwarded-port' };
  const told = (...fields: string[]) => {
    const { authority, serverPort } = resolveClient(head('', ...fields), proxies);
    return [authority, serverPort];
  };
  assert.deepEqual(told('X-Forwarded-Host', 'a.test, b.test:81', 'X-Forwarded-Port', '443'), [
    'b.test:81',
    443,
  ]);
  assert.deepEqual(told('X-Forwarded-Host', 'a b', 'X-Forwarded-Port', '99999'), [undefined, 0]);
  assert.deepEqual(told(), [undefined, 0]);
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
