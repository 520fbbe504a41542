import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { createTestDirectory } from '../../test/support/test-directory.ts';
import { printOverlay, toOverlayError } from './overlay.ts';

const nowhere = { message: 'boom', file: undefined, line: undefined, trace: [] };

test('a fault in a script has a place, a frame and a trace that opens the editor', () => {
  const file = join(createTestDirectory(), 'page.php');
  writeFileSync(file, Array.from({ length: 12 }, (_, at) => `line ${at + 1}`).join('\r\n'));
  const fault = {
    message: 'PHP Fatal error: boom',
    file,
    line: 9,
    trace: ['#0 /srv/a b.php(12): f()', '#1 {main}'],
  };
  assert.deepEqual(
    toOverlayError(fault, () => true),
    {
      plugin: 'fastway',
      message: 'PHP Fatal error: boom',
      stack: '#0 /srv/a b.php:12:1 f()\n#1 {main}',
      id: file,
      loc: { file, line: 9, column: 1 },
      frame: [
        '   6 | line 6',
        '   7 | line 7',
        '   8 | line 8',
        '>  9 | line 9',
        '  10 | line 10',
        '  11 | line 11',
        '  12 | line 12',
        '',
      ].join('\n'),
    },
  );
  assert.ok(!('frame' in toOverlayError(fault, () => false)));
});

test('a fault without a place, or with a file that is not here, is a message', () => {
  assert.deepEqual(
    toOverlayError(nowhere, () => true),
    { plugin: 'fastway', message: 'boom', stack: '' },
  );
  const elsewhere = { ...nowhere, file: '/container/page.php', line: 1 };
  assert.equal(toOverlayError(elsewhere, () => true).frame, '');
});

test('the script is ASCII, and no text of an error ends it', () => {
  const error = toOverlayError({ ...nowhere, message: 'bö</script>\u2028' }, () => false);
  const script = printOverlay(error, '/shop/@vite/client', 'n1');
  assert.match(
    script,
    /^<script type="module" nonce="n1">\nimport \{ ErrorOverlay \} from "\/shop\/@vite\/client";/,
  );
  assert.equal(script.split('</script>').length, 2);
  assert.ok(script.includes('"b\\u00f6\\u003c/script>\\u2028"'), script);
  assert.match(printOverlay(error, '/@vite/client'), /^<script type="module">/);
});
