/** Fuzz of the request-target: any bytes are one canonical path, or an error of the request layer. */
import assert from 'node:assert/strict';
import { HttpRequestError } from '../../src/base/errors.ts';
import { encodePath, parseTarget } from '../../src/http/target.ts';
import { createRandom } from '../support/random.ts';

const pieces = [
  ...[
    '/',
    '//',
    '.',
    '..',
    '/../',
    '/./',
    '%2e',
    '%2E%2e',
    '%2f',
    '%5c',
    '\\',
    '%00',
    '%0a',
    '%7f',
    '%',
    '%z',
    '%25',
  ],
  ...[
    '?',
    '#',
    '*',
    ' ',
    '\0',
    '\r\n',
    '\x7f',
    '\xff',
    '%ff',
    '~',
    ':',
    '@',
    'http://',
    'https://',
    'a',
    'b.php',
  ],
  ...['index.php', 'host:80', '[::1]', '%252e', '::$DATA', 'CON'],
];

/** @throws {AssertionError} with the target that broke a rule; the same seed gives the same targets */
export function fuzz(seed: number, rounds: number): void {
  const random = createRandom(seed);
  for (let round = 0; round < rounds; round++) {
    let raw = random() < 0.8 ? '/' : '';
    for (let count = Math.floor(random() * 12); count > 0; count--) {
      raw +=
        random() < 0.8
          ? pieces[Math.floor(random() * pieces.length)]
          : String.fromCharCode(Math.floor(random() * 256));
    }
    check(raw);
  }
}

function check(raw: string): void {
  for (const style of ['posix', 'win32'] as const) {
    try {
      const { path } = parseTarget(raw, style);
      if (path === '*') continue;
      assert.match(path, /^\//, raw);
      assert.ok(!/[\x00-\x1f\x7f]/.test(path), raw);
      assert.ok(
        !path
          .split('/')
          .some(
            (segment, i) =>
              /^\.\.?$/.test(segment) || (segment === '' && i > 0 && i < path.split('/').length - 1),
          ),
        raw,
      );
      if (style === 'win32') assert.ok(!path.includes('\\'), raw);
      assert.equal(parseTarget(encodePath(path), style).path, path, raw);
    } catch (error) {
      if (!(error instanceof HttpRequestError)) throw error;
      assert.match(error.code, /^GW_ERR_HTTP_(TARGET|NOT_FOUND)$/);
    }
  }
}
