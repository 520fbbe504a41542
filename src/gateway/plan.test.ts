import assert from 'node:assert/strict';
import { tmpdir } from 'node:os';
import { test } from 'node:test';
import { resolveConfig } from '../config/load.ts';
import type { ConfigInput, SourceInput } from '../config/types.ts';
import { type Changes, comparePlans } from './compare-plans.ts';
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
    await keyOf({ address, profile: 'generic', capacity: 2 }),
    await keyOf({ capacity: 2, profile: 'generic', address }),
  );
  assert.notEqual(await keyOf({ address, profile: 'generic' }), await keyOf({ address }));
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

/** What becomes of source `a`. */
async function changeOf(before: SourceInput, after: SourceInput) {
  const [one, other] = await Promise.all([plan(withSource(before)), plan(withSource(after))]);
  return comparePlans(one, other).sources.get('a');
}

const withSource = (a: SourceInput): ConfigInput => ({
  sources: { a },
  virtualServers: [{ documentRoot: tmpdir(), rules: [] }],
});

test('a source that runs can be told limits, counts and its state; what a process was started with makes it another', async () => {
  const address = 'tcp://127.0.0.1:9000';
  const exchange = [
    { state: 'drain' },
    { check: { path: '/ping' } },
    { keepConnections: 1 },
    { capacity: 7 },
    { connectTimeoutMs: 7 },
    { readTimeoutMs: 7 },
    { sendTimeoutMs: 7 },
    { totalTimeoutMs: 7 },
    { holdMs: 7 },
  ] as const;
  const statusPage = [{ statusPath: '/status' }, { statusPath: '/status', statusAddress: address }] as const;
  const started = [
    { user: '1' },
    { group: '1' },
    { groups: ['1'] },
    { umask: '077' },
    { nice: 1 },
    { limits: { openFiles: 99 } },
    { env: { A: 'b' } },
    { inheritEnv: true },
    { workingDirectory: '/' },
  ] as const;
  const processes = { max: 4 };
  const perl = { interpreter: ['perl'], processes };
  const php = { php: 'auto' };
  const cases: readonly (readonly [SourceInput, readonly Partial<SourceInput>[], string])[] = [
    [{ address }, [{}], 'kept'],
    [{ address }, [...exchange, ...statusPage], 'tuned'],
    [{ address }, [{ profile: 'generic' }, { address: 'tcp://127.0.0.1:9001' }], 'replaced'],
    [
      perl,
      [
        ...exchange,
        { spawnTimeoutMs: 7 },
        { recycle: { requests: 7 } },
        { processes: { max: 5 } },
        { processes: { ...processes, min: 1, idleMs: 7 } },
      ],
      'tuned',
    ],
    [
      perl,
      [
        ...started,
        { interpreter: ['perl', 'a.pl'] },
        { address: 'unix:{runtimeDir}/{process}' },
        { socket: 'own' },
        { chroot: '/' },
        { profile: 'generic' },
        // Its only process listens at another address than the first of several.
        { processes: { max: 1 } },
      ],
      'replaced',
    ],
    [php, [...exchange, { spawnTimeoutMs: 7 }], 'tuned'],
    [php, [...started, { workers: 3 }, { ini: { a: 'b' } }, { recycle: { requests: 7 } }], 'replaced'],
    [{ interpreter: ['perl'] }, statusPage, 'tuned'],
    [perl, [{ php: 'auto', interpreter: undefined, processes: undefined }], 'replaced'],
  ];
  for (const [source, changes, expected] of cases) {
    for (const change of changes) {
      const written = Object.entries({ ...source, ...change }).filter(([, value]) => value !== undefined);
      const after = Object.fromEntries(written) as unknown as SourceInput;
      assert.equal(await changeOf(source, after), expected, JSON.stringify([source, change]));
    }
  }
});

test('two plans are compared by the names that people gave: of sources, logs, roots and listeners', async () => {
  const [address, root] = ['tcp://127.0.0.1:9000', tmpdir()];
  const before = await plan({
    listen: [{ port: 1 }, { path: '/tmp/a.sock' }],
    sources: { same: { address }, tuned: { address }, other: { address }, gone: { address } },
    virtualServers: [
      { documentRoot: root, rules: [], accessLog: { file: '/tmp/a.log' } },
      { documentRoot: root, rules: [], hosts: ['b.test'], accessLog: { file: '/tmp/b.log' } },
    ],
  });
  const after = await plan({
    listen: [{ path: '/tmp/a.sock', mode: '0600' }, { port: 2 }],
    sources: { new: { address }, other: { php: 'auto' }, tuned: { address, capacity: 1 }, same: { address } },
    virtualServers: [
      {
        documentRoot: root,
        rules: [{ handler: { type: 'files', documentRoot: '/' } }],
        accessLog: { file: '/tmp/a.log', format: 'json' },
      },
      { documentRoot: root, symlinks: 'allow', rules: [], hosts: ['b.test'] },
    ],
  });
  const { sources, accessLogs, documentRoots, listeners } = comparePlans(before, after);
  const told = (changes: Changes) => Object.fromEntries(changes);
  assert.deepEqual(told(sources), {
    same: 'kept',
    tuned: 'tuned',
    other: 'replaced',
    gone: 'removed',
    new: 'added',
  });
  assert.deepEqual(told(accessLogs), { '/tmp/a.log': 'replaced', '/tmp/b.log': 'removed' });
  assert.deepEqual(told(documentRoots), {
    [`trusted ${root}`]: 'kept',
    'trusted /': 'added',
    [`allow ${root}`]: 'added',
  });
  assert.deepEqual(told(listeners), {
    '127.0.0.1:1': 'removed',
    '/tmp/a.sock': 'replaced',
    '127.0.0.1:2': 'added',
  });
});
