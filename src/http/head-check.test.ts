import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkRequestHead } from './head-check.ts';
import type { RequestHead } from './message.ts';

function head(changes: { [key in keyof RequestHead]?: unknown } = {}): RequestHead {
  return {
    method: 'GET',
    target: '/',
    version: '1.1',
    fields: ['Host', 'a'],
    secure: false,
    remoteAddress: '192.0.2.1',
    remotePort: 4000,
    localAddress: '192.0.2.2',
    localPort: 80,
    ...changes,
  } as RequestHead;
}

const codeOf = (changes: { [key in keyof RequestHead]?: unknown }) => checkRequestHead(head(changes))?.code;

test('T40: 128 field lines, not 129', () => {
  const lines = (count: number) => ['Host', 'a', ...Array.from({ length: (count - 1) * 2 }, () => 'x')];
  assert.equal(codeOf({ fields: lines(128) }), undefined);
  assert.equal(codeOf({ fields: lines(129) }), 'GW_ERR_HTTP_HEAD_TOO_LARGE');
  assert.equal(checkRequestHead(head({ fields: lines(9) }), 8)?.code, 'GW_ERR_HTTP_HEAD_TOO_LARGE');
});

test('T34: CONNECT and TRACE', () => {
  assert.equal(codeOf({ method: 'CONNECT', target: 'a:80' }), 'GW_ERR_HTTP_METHOD');
  assert.equal(codeOf({ method: 'TRACE' }), 'GW_ERR_HTTP_METHOD');
});
