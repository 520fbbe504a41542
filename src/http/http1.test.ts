import assert from 'node:assert/strict';
import { test } from 'node:test';
import { http1Facts, http1Fault } from './http1.ts';

const codeOf = ({ version = '1.1', fields = ['Host', 'a'] }: { version?: string; fields?: string[] }) =>
  http1Fault(version, fields)?.code;

test('good heads pass', () => {
  assert.equal(codeOf({}), undefined);
  assert.equal(codeOf({ version: '1.0', fields: [] }), undefined);
  assert.equal(codeOf({ fields: ['HOST', 'a', 'transfer-encoding', ' Chunked '] }), undefined);
});

test('T39: other versions', () => {
  assert.equal(codeOf({ version: '2.0' }), 'GW_ERR_HTTP_VERSION');
  assert.equal(codeOf({ version: '1.2' }), 'GW_ERR_HTTP_VERSION');
  assert.equal(codeOf({ version: '0.9', fields: [] }), 'GW_ERR_HTTP_REQUEST');
});

test('T38: exactly one Host', () => {
  assert.equal(codeOf({ fields: [] }), 'GW_ERR_HTTP_REQUEST');
  assert.equal(codeOf({ fields: ['Host', 'a', 'hOST', 'a'] }), 'GW_ERR_HTTP_REQUEST');
  assert.equal(codeOf({ version: '1.0', fields: ['Host', 'a', 'Host', 'b'] }), 'GW_ERR_HTTP_REQUEST');
});

test('T36, T37: Transfer-Encoding is exactly chunked, and never in HTTP/1.0', () => {
  const coded = (...codings: string[]) => [
    'Host',
    'a',
    ...codings.flatMap((coding) => ['Transfer-Encoding', coding]),
  ];
  for (const codings of [
    ['gzip, chunked'],
    ['chunked, chunked'],
    ['identity'],
    [''],
    ['chunked', 'chunked'],
  ]) {
    assert.equal(codeOf({ fields: coded(...codings) }), 'GW_ERR_HTTP_TRANSFER_ENCODING', codings.join());
  }
  assert.equal(codeOf({ version: '1.0', fields: coded('chunked') }), 'GW_ERR_HTTP_REQUEST');
});

test('an expectation that cannot be met, but in HTTP/1.0', () => {
  const expecting = (expected: string, version = '1.1') =>
    codeOf({ version, fields: ['Host', 'a', 'Expect', expected] });
  assert.equal(expecting('a-miracle'), 'GW_ERR_HTTP_EXPECTATION');
  for (const good of ['100-continue', '100-Continue', ' ', ''])
    assert.equal(expecting(good), undefined, good);
  assert.equal(expecting('a-miracle', '1.0'), undefined);
});

test('what can be said in an answer', () => {
  assert.deepEqual(http1Facts('1.1'), { canInform: true, canUpgrade: true, endsByClose: false });
  assert.deepEqual(http1Facts('1.0'), { canInform: false, canUpgrade: false, endsByClose: true });
});
