import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { resolveConfig } from '../config/load.ts';
import type { ConfigInput } from '../config/schema.ts';
import { planGateway } from './plan.ts';

const plan = async (input: ConfigInput) => planGateway(await resolveConfig(input, tmpdir()));

/** The keys of two sources, `a` as given and `b`. */
async function keyOf(source: NonNullable<ConfigInput['sources']>[string], rest: Partial<ConfigInput> = {}) {
  const rules = [{ match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'a' } as const }];
  const { sources } = await plan({
    sources: { a: source },
    virtualServers: [{ documentRoot: tmpdir(), rules }],
    ...rest,
  });
  return sources[0]!.key;
}

test('a key is that of all that makes a source what it is, in whatever order it is written', async () => {
  const address = 'tcp://127.0.0.1:9000';
  assert.equal(
    await keyOf({ address, holdMs: 5, capacity: 2 }),
    await keyOf({ capacity: 2, holdMs: 5, address }),
  );
  assert.notEqual(await keyOf({ address, holdMs: 5 }), await keyOf({ address, holdMs: 6 }));
});

test('whose files an interpreter reads, and what it may run, is part of its key; of an application of others it is not', async () => {
  const elsewhere = (extension: string, documentRoot: string) => ({
    virtualServers: [
      {
        documentRoot,
        rules: [{ match: { extensions: [extension] }, handler: { type: 'fastcgi', source: 'a' } as const }],
      },
    ],
  });
  const keys = (source: NonNullable<ConfigInput['sources']>[string]) =>
    Promise.all([
      keyOf(source),
      keyOf(source, elsewhere('php', '/')),
      keyOf(source, elsewhere('phtml', tmpdir())),
      keyOf(source, { limits: { headerLinesMax: 5 } }),
    ]);
  const [php, otherRoot, otherExtension, otherLimits] = await keys({ php: 'auto' });
  assert.equal(new Set([php, otherRoot, otherExtension]).size, 3);
  assert.equal(otherLimits, php);
  assert.equal(new Set(await keys({ address: 'tcp://127.0.0.1:9000' })).size, 1);
});

test('sites that name the same log, or the same root, name the same thing', async () => {
  const server = { documentRoot: tmpdir(), rules: [], accessLog: { file: '/tmp/a.log' } };
  const { sites } = await plan({
    virtualServers: [
      { ...server, hosts: ['a.test'] },
      { ...server, hosts: ['b.test'] },
      { ...server, hosts: ['c.test'], symlinks: 'allow', accessLog: { file: '/tmp/a.log', format: 'json' } },
    ],
  });
  assert.equal(new Set(sites.map(({ accessLog }) => accessLog!.key)).size, 2);
  assert.equal(new Set(sites.map(({ root }) => root.key)).size, 2);
});
