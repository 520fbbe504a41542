/** Commands that only tell work for a user who may only read, and write nothing. */
import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { runFastway } from './support/gateway-process.ts';
import { createTestDirectory } from './support/test-directory.ts';

/** Any user; we stay ourselves where we are not root. */
const nobody = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {};

function snapshot(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const { mode, size, mtimeMs } = statSync(join(folder, name));
      return `${name} ${mode.toString(8)} ${size} ${mtimeMs}`;
    });
}

test('explain, check and print-config say what root would do, and leave all as it is', async () => {
  const folder = createTestDirectory();
  const [site, runtime, logs] = ['site', 'runtime', 'logs'].map((name) => join(folder, name));
  for (const path of [site!, runtime!, logs!]) mkdirSync(path);
  writeFileSync(join(site!, 'a.app'), '');
  writeFileSync(join(site!, 'a.cgi'), '', { mode: 0o755 });
  chmodSync(runtime!, 0o700);
  chmodSync(logs!, 0o555);
  const file = join(folder, 'fastway.config.json');
  writeFileSync(
    file,
    JSON.stringify({
      runtimeDir: runtime,
      sources: { app: { interpreter: ['/bin/cat'], processes: { min: 1 }, user: 'root', groups: ['root'] } },
      virtualServers: [
        {
          documentRoot: site,
          accessLog: { file: join(logs!, 'access.log') },
          rules: [
            { match: { extensions: ['app'] }, handler: { type: 'fastcgi', source: 'app' } },
            { match: { extensions: ['cgi'] }, handler: { type: 'cgi', user: 'root', groups: ['root'] } },
            { handler: { type: 'files' } },
          ],
        },
      ],
    }),
  );
  const before = snapshot(folder);
  for (const args of [['explain', '/a.app'], ['explain', '/a.cgi'], ['check'], ['print-config']]) {
    const { code, stdout, stderr } = await runFastway([...args, '--config', file], {}, nobody);
    assert.equal(code, 0, `${args.join(' ')}: ${stderr}`);
    if (args[0] === 'explain') assert.match(stdout, / runs +\S+\/site\/a\.\w+$/m);
    assert.deepEqual(snapshot(folder), before, args.join(' '));
  }
});
