/** Four of the applications of test/apps, the small ones: what `npm run test:apps` does with each, at each run of the tests. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { tryApplication } from '../apps/try.ts';

describe('applications that others wrote, behind Fastway and behind another web server', () => {
  for (const name of ['adminer', 'cgit', 'git-http-backend', 'radicale']) {
    it(name, async () => {
      const trial = await tryApplication(name);
      assert.deepEqual(trial.faults, []);
    });
  }
});
