import assert from 'node:assert/strict';
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Address } from '../base/address.ts';
import type { SourceError } from '../base/errors.ts';
import { explainConnectError } from './connect-error.ts';

/** What a connect to `address` that failed with `code` is explained as. */
function explain(address: Address, code: string): Promise<SourceError> {
  const cause = Object.assign(new Error(`connect ${code}`), { code });
  return new Promise((resolve) => explainConnectError(address, cause, resolve));
}

test('permission denied names the owner and the mode of the socket (F2)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'connect-'));
  try {
    const path = join(folder, 'php.sock');
    writeFileSync(path, '');
    chmodSync(path, 0o660);
    assert.equal(statSync(path).uid, userInfo().uid);
    const { message, code, delivery } = await explain({ kind: 'unix', path }, 'EACCES');
    assert.equal(
      message,
      `Could not connect to unix:${path}: permission denied. The socket belongs to ${userInfo().username} ` +
        '(mode 0660); run Fastway as that user or change listen.mode',
    );
    assert.equal(code, 'GW_ERR_SOURCE_CONNECT');
    assert.equal(delivery, 'unsent');
  } finally {
    rmSync(folder, { recursive: true });
  }
  const hidden = await explain({ kind: 'unix', path: '/nowhere/php.sock' }, 'EACCES');
  assert.match(hidden.message, /permission denied\. A folder above the socket may not be entered/);
});

test('an abstract name that nobody is found at may be one that Node 20 cannot say', async () => {
  const { message } = await explain({ kind: 'abstract', name: 'app' }, 'ECONNREFUSED');
  assert.match(message, /^Could not connect to unix:@app: connection refused\. .*NUL bytes.*Node 22$/);
});

test('no descriptors left is our fault, not the application’s (F6)', async () => {
  for (const code of ['EMFILE', 'ENFILE']) {
    const error = await explain({ kind: 'tcp', host: '127.0.0.1', port: 9000 }, code);
    assert.equal(error.code, 'GW_ERR_SOURCE_DESCRIPTORS');
    assert.match(
      error.message,
      /tcp:\/\/127\.0\.0\.1:9000: this process has no file descriptors left; raise the limit/,
    );
  }
});

test('every code gives a sentence that says what to do', async () => {
  const tcp: Address = { kind: 'tcp', host: 'php.internal', port: 9000 };
  const unix: Address = { kind: 'unix', path: '/run/php.sock' };
  const expected: [Address, string, RegExp][] = [
    [tcp, 'ECONNREFUSED', /Nothing listens there/],
    [unix, 'ECONNREFUSED', /nobody listens; is the application \(php-fpm\?\) running\?$/],
    [unix, 'ENOENT', /there is no such socket/],
    [unix, 'ENOTSOCK', /not a socket/],
    [tcp, 'ENOTFOUND', /the name php\.internal has no address/],
    [tcp, 'EHOSTUNREACH', /cannot be reached \(EHOSTUNREACH\)/],
    [tcp, 'EWHATEVER', /connect EWHATEVER$/],
  ];
  for (const [address, code, message] of expected) {
    assert.match((await explain(address, code)).message, message);
  }
});
