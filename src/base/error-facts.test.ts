import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { errorFacts } from './error-facts.ts';
import { type ErrorCode, errorCodes } from './errors.ts';

/** Code -> its section in docs/errors.md, in one line. */
const sections = new Map<string, string>(
  readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
    .split(/^## /m)
    .map((section) => section.replaceAll(/\s+/g, ' '))
    .map((section) => [/^`(GW_ERR_\w+)`/.exec(section)?.[1] ?? '', section]),
);

const told = (code: ErrorCode, pattern: RegExp) => pattern.exec(sections.get(code)!);

test('docs/errors.md says of each code what the table says: status, Retry-After, whether a source is blamed', () => {
  for (const code of errorCodes) {
    const { status, retryAfterSeconds, counted, health } = errorFacts[code];
    const written = told(code, /[Tt]he client gets (\d{3})( with Retry-After)?/);
    if (written === null) {
      assert.ok(told(code, /[Cc]lients? (gets: nothing|notice nothing)/), `${code}: what the client gets`);
      assert.equal(counted, 'nowhere', code);
    } else {
      assert.equal(Number(written[1]), status, `${code}: status`);
      assert.equal(written[2] !== undefined, retryAfterSeconds !== undefined, `${code}: Retry-After`);
    }
    if (told(code, /No source is blamed/) !== null) assert.equal(health, 'no fault', code);
    if (told(code, /counts against the source/) !== null) assert.equal(health, 'failed', code);
  }
});

test('docs/errors.md says of each code where it is retried', () => {
  for (const code of errorCodes) {
    const isWritten = told(code, /Retried (as|on)|is tried once more/) !== null;
    if (isWritten) assert.notEqual(errorFacts[code].retry, 'nowhere', code);
    if (told(code, /not asked again/) !== null) assert.equal(errorFacts[code].retry, 'nowhere', code);
  }
});

test('a Retry-After goes with a 503 only, which asks for it', () => {
  for (const code of errorCodes) {
    const { status, retryAfterSeconds } = errorFacts[code];
    assert.equal(retryAfterSeconds !== undefined, status === 503, code);
  }
});
