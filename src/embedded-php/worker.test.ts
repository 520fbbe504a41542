import assert from 'node:assert/strict';
import { test } from 'node:test';
import { describeCrash } from './worker.ts';

test('a crash is described in words, whatever was thrown', () => {
  assert.equal(describeCrash(new RangeError('Out of stack')), 'Out of stack');
  // Emscripten's FS.ErrnoError.
  assert.equal(
    describeCrash({ name: 'ErrnoError', errno: 23 }),
    'a system call of its runtime failed with error 23',
  );
  for (const thrown of [{}, undefined, null, 'text', new Error('')])
    assert.equal(describeCrash(thrown), 'for an unknown reason');
});
