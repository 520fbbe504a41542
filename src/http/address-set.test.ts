import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AddressSet, canonicalAddress, isAddressRange } from './address-set.ts';

const has = (ranges: readonly string[], address: string) => new AddressSet(ranges).has(address);

test('IPv4 ranges by prefix', () => {
  assert.ok(has(['10.0.0.0/8'], '10.255.0.1'));
  assert.ok(!has(['10.0.0.0/8'], '11.0.0.0'));
  assert.ok(has(['192.0.2.129/25'], '192.0.2.128'));
  assert.ok(!has(['192.0.2.129/25'], '192.0.2.127'));
  assert.ok(has(['192.0.2.1'], '192.0.2.1'));
  assert.ok(!has(['192.0.2.1'], '192.0.2.2'));
  assert.ok(has(['255.255.255.255/32'], '255.255.255.255'));
});

test('IPv6 ranges by prefix, any spelling', () => {
  assert.ok(has(['::1'], '0:0:0:0:0:0:0:1'));
  assert.ok(has(['2001:db8::/33'], '2001:DB8:7fff::'));
  assert.ok(!has(['2001:db8::/33'], '2001:db8:8000::'));
  assert.ok(has(['fe80::/10'], 'febf::1'));
  assert.ok(!has(['fe80::/10'], 'fec0::1'));
  assert.ok(has(['::/0'], 'ffff::'));
});

test('everything of one family, and IPv4-mapped addresses', () => {
  assert.ok(has(['0.0.0.0/0'], '203.0.113.9'));
  assert.ok(!has(['0.0.0.0/0'], '2001:db8::1'));
  assert.ok(has(['10.0.0.0/8'], '::ffff:10.1.2.3'));
  assert.ok(has(['10.0.0.0/8'], '::ffff:a01:203'));
  assert.ok(has(['::ffff:10.0.0.0/104'], '10.1.2.3'));
});

test('a peer on a unix socket has no address', () => {
  assert.ok(!has(['0.0.0.0/0', '::/0'], ''));
  assert.ok(has(['unix'], ''));
  assert.ok(!has(['unix'], '127.0.0.1'));
});

test('what is no address is in no set', () => {
  for (const text of [
    'x',
    '1.2.3',
    '1.2.3.4.5',
    '1.2.3.256',
    '01.2.3.4',
    '1.2.3.4 ',
    '-1.2.3.4',
    '1..2.3',
    ':',
    ':::',
    '1::2::3',
    '1:2:3:4:5:6:7',
    '12345::',
    'g::',
    '::1.2.3',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
  ]) {
    assert.ok(!has(['0.0.0.0/0', '::/0'], text), text);
    assert.equal(canonicalAddress(text), undefined, text);
  }
});

test('ranges are checked when they are made', () => {
  for (const text of ['10.0.0.0/8', '::/0', '::1', '1.2.3.4', 'unix']) assert.ok(isAddressRange(text), text);
  for (const text of ['10.0.0.0/33', '::/129', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/-1', 'localhost', '']) {
    assert.ok(!isAddressRange(text), text);
    assert.throws(() => new AddressSet([text]), RangeError);
  }
});

test('an address has one spelling (RFC 5952)', () => {
  for (const [text, canonical] of [
    ['192.0.2.1', '192.0.2.1'],
    ['255.255.255.255', '255.255.255.255'],
    ['::ffff:c0a8:0101', '192.168.1.1'],
    ['::FFFF:192.168.1.1', '192.168.1.1'],
    ['0:0:0:0:0:ffff:0a00:0001', '10.0.0.1'],
    // RFC 5952 section 4: leading zeros, `::` for the first longest run, never for one group, lower case.
    ['2001:0db8:0:0:0:0:0:0001', '2001:db8::1'],
    ['2001:db8:0:1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:0:0:1:0:0:0:1', '2001:0:0:1::1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['2001:DB8::AAAA', '2001:db8::aaaa'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['fe80::1%eth0', 'fe80::1'],
  ] as const) {
    assert.equal(canonicalAddress(text), canonical, text);
  }
});
