/** The repository's own rules, checked: layers, error codes, links, numbers of threats, nothing left unfinished. */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { errorCodes } from '../src/base/errors.ts';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** A file may import from a lower number, or from its own folder. */
const layers: Readonly<Record<string, number>> = {
  base: 0,
  protocol: 1,
  http: 1,
  process: 1,
  testing: 1,
  cgi: 2,
  client: 3,
  app: 3,
  source: 4,
  balancer: 5,
  handler: 6,
  adapters: 3,
  server: 7,
  deploy: 4,
  config: 8,
  gateway: 9,
  'embedded-php': 5,
  'embedded-php.ts': 6,
  vite: 10,
  'command-line': 10,
  'cli.ts': 11,
  'index.ts': 10,
};

/** Pure: no `node:` module, no clock, no environment. */
const pure = [
  /^src\/client\/places\.ts$/,
  /^src\/protocol\//,
  /^src\/http\//,
  /^src\/cgi\//,
  /^src\/balancer\//,
  /^src\/base\/metrics\.ts$/,
  /^src\/base\/error-facts\.ts$/,
  /^src\/source\/health\/health\.ts$/,
  /^src\/source\/interpreter\/reconcile\.ts$/,
  /^src\/gateway\/(plan|identity|compare-plans)\.ts$/,
];

/**
 * Who may start processes: one folder for all that serves requests; the search of the PHP preset, a person's browser, and the
 * embedded PHP, which is a program of its own.
 */
const spawners =
  /^src\/(process\/|source\/php\/php-search\.ts$|command-line\/open-url\.ts$|embedded-php\.ts$|embedded-php\/)/;

/**
 * Who may read `process`: the programs, the plugin in Vite's, a gateway that is given no environment, and an application that is
 * told in its environment who may connect.
 */
const processReaders =
  /^src\/(cli\.ts|embedded-php\.ts|command-line\/|vite\/server-gateway\.ts|gateway\/gateway\.ts|app\/server\.ts)/;

/**
 * Who may read the time and set timers: the one clock; programs of their own, which nobody gives one; peers that are played for
 * others; this rule, and the test that makes one of each thing that a gateway must not open.
 */
const ownTime =
  /^(src\/(base\/clock\.ts|cli\.ts|command-line\/|embedded-php\.ts|embedded-php\/|testing\/)|test\/(tidy|nothing-opens)\.test\.ts)/;

const isTest = (file: string) => /\.(test|contract)\.ts$/.test(file);

function filesBelow(folder: string, ending: RegExp): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && ending.test(entry.name))
    .map((entry) => relative(root, join(entry.parentPath, entry.name)));
}

const sources = filesBelow('src', /\.ts$/);

function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [
    ...text.matchAll(
      /^\s*(?:import|export)\s[^'"]*?from\s+'([^']+)'|^\s*import\s+'([^']+)'|\bimport\('([^']+)'\)/gm,
    ),
  ].map((match) => (match[1] ?? match[2] ?? match[3])!);
}

const layerOf = (file: string) => file.split('/')[1]!;

test('layers: a file imports only from a lower layer or its own folder', () => {
  const wrong: string[] = [];
  for (const file of sources) {
    const own = layerOf(file);
    assert.ok(own in layers, `${file} is in no layer`);
    if (isTest(file)) continue;
    for (const specifier of importsOf(file).filter((name) => name.startsWith('.'))) {
      const target = relative(root, resolve(root, dirname(file), specifier));
      const other = layerOf(target);
      if (other !== own && !(layers[other]! < layers[own]!)) wrong.push(`${file} imports ${target}`);
      if (own === 'handler' && /^(client|protocol)$/.test(other))
        wrong.push(`${file} speaks to ${other}, not to Source`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('layers: pure files import no node module and read no clock, randomness or environment', () => {
  const wrong: string[] = [];
  for (const file of sources.filter((name) => !isTest(name) && pure.some((pattern) => pattern.test(name)))) {
    const text = readFileSync(join(root, file), 'utf8');
    if (importsOf(file).some((name) => name.startsWith('node:'))) wrong.push(`${file} imports a node module`);
    if (/\b(Date\.now|new Date\(\)|performance\.now|Math\.random|process\.)/.test(stripComments(text)))
      wrong.push(`${file} is not pure`);
  }
  assert.deepEqual(wrong, []);
});

test('time is an argument: only the clock and programs of their own read it, and no unit test waits for milliseconds', () => {
  const reads =
    /(?<![.\w'])(?:setTimeout|setInterval)\((?!\))|\b(?:Date\.now|performance\.now|process\.hrtime|AbortSignal\.timeout)\b|'node:timers/;
  const unitTests = [
    ...sources.filter(isTest),
    ...filesBelow('test', /\.test\.ts$/).filter((file) => file.split('/').length === 2),
  ];
  const wrong = [...sources, ...unitTests].filter(
    (file) => !ownTime.test(file) && reads.test(stripComments(readFileSync(join(root, file), 'utf8'))),
  );
  assert.deepEqual([...new Set(wrong)], []);
});

test('only the programs read process, and only the spawners spawn', () => {
  const wrong: string[] = [];
  for (const file of sources.filter((name) => !isTest(name))) {
    const text = stripComments(readFileSync(join(root, file), 'utf8'));
    if (!processReaders.test(file) && /\bprocess\.(argv|env|exit|on|once|stdout|stderr)\b/.test(text))
      wrong.push(`${file} reads process`);
    if (!spawners.test(file) && /from 'node:child_process'/.test(text)) wrong.push(`${file} spawns`);
  }
  assert.deepEqual(wrong, []);
});

test('no local name hides a global', () => {
  const globals = new Set(Object.getOwnPropertyNames(globalThis).filter((name) => name !== 'undefined'));
  const wrong = [...sources, ...filesBelow('test', /\.ts$/)].flatMap((file) =>
    [...new Set(localNames(stripComments(readFileSync(join(root, file), 'utf8'))))]
      .filter((name) => globals.has(name))
      .map((name) => `${file}: ${name}`),
  );
  assert.deepEqual(wrong, []);
  const text =
    'const a = 1; const { b, c: d, ...e } = x; ({ f, g: h }: T, i?: U) => j; k => l; for (const [m] of n) {}';
  assert.deepEqual([...new Set(localNames(text))].sort(), ['a', 'b', 'd', 'e', 'f', 'h', 'i', 'k', 'm']);
});

test('only base/private-files.ts changes files: who is root among other users needs one home for that', () => {
  const allowed = /^src\/(base\/private-files\.ts|testing\/)/;
  const changes =
    /^(l?f?ch(mod|own)|(l|f)?utimes|link|symlink|rename|unlink|rm|rmdir|mkdir|mkdtemp|writeFile|appendFile|copyFile|cp|f?truncate|createWriteStream)(Sync)?$/;
  const wrong: string[] = [];
  for (const file of sources.filter((name) => !isTest(name) && !allowed.test(name))) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [whole, names] of text.matchAll(/^import\s+([^;]*?)\s+from\s+'node:fs(?:\/promises)?'/gms)) {
      if (!names!.startsWith('{')) wrong.push(`${file} takes all of node:fs: ${whole}`);
      for (const name of names!.match(/\w+/g)!) if (changes.test(name)) wrong.push(`${file} takes ${name}`);
    }
    if (/\bO_(CREAT|TRUNC|APPEND|WRONLY|RDWR)\b|openSync\([^)]*'[wa]/.test(stripComments(text)))
      wrong.push(`${file} opens a file for writing`);
  }
  assert.deepEqual(wrong, []);
});

test('the embeddable subpaths pull in no schema, YAML or command line library', () => {
  for (const entry of [
    'protocol/index.ts',
    'cgi/index.ts',
    'client/index.ts',
    'app/index.ts',
    'testing/index.ts',
    'adapters/node.ts',
    'adapters/fetch.ts',
    'adapters/hono.ts',
  ]) {
    const reached = reach(join('src', entry));
    for (const name of ['zod', 'yaml', 'jiti', 'jsonc-parser'])
      assert.ok(!reached.has(name), `${entry} reaches ${name}`);
  }
});

test('every error code is documented, and every documented code exists', () => {
  const documented = [
    ...readFileSync(join(root, 'docs/errors.md'), 'utf8').matchAll(/^#+ .*?`(GW_ERR_\w+)`/gm),
  ].map((match) => match[1]!);
  assert.deepEqual([...documented].sort(), [...errorCodes].sort());
});

test('every error code is used', () => {
  const text = sources
    .filter((name) => !isTest(name))
    .map((name) => readFileSync(join(root, name), 'utf8').replace(/const errorCodes = \[[^\]]*\]/, ''))
    .join('');
  assert.deepEqual(
    errorCodes.filter((code) => !text.includes(`'${code}'`)),
    [],
  );
});

test('every relative link in the documents leads to a file', () => {
  const wrong: string[] = [];
  for (const file of [
    ...filesBelow('docs', /\.md$/),
    'README.md',
    'ARCHITECTURE.md',
    'CONTRIBUTING.md',
    'CHANGELOG.md',
  ]) {
    const text = readFileSync(join(root, file), 'utf8');
    for (const [, link] of text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (!existsSync(resolve(root, dirname(file), link!))) wrong.push(`${file}: ${link}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('every number of a threat, fault or guarantee that is named is explained in docs/threats.md', () => {
  const rows = threatRows();
  const explained = new Set(rows.map(({ number }) => number));
  assert.deepEqual(
    rows.map(({ number }) => number),
    ['T', 'F', 'G'].flatMap((letter) => {
      const count = rows.filter(({ number }) => number.startsWith(letter)).length;
      return Array.from({ length: count }, (_, index) => `${letter}${index + 1}`);
    }),
    'rows are numbered from 1, without a gap, threats first',
  );
  const unknown = ['src', 'test', 'bench', 'scripts', 'docs']
    .flatMap((folder) => filesBelow(folder, /\.(ts|mjs|c|sh|lua|md)$/))
    .flatMap((file) =>
      numbersIn(readFileSync(join(root, file), 'utf8'))
        .filter((number) => !explained.has(number))
        .map((number) => `${file}: ${number}`),
    );
  assert.deepEqual(unknown, []);
});

test('the tests that docs/threats.md names are there', () => {
  const named = threatRows().flatMap(({ number, tests }) => tests.map((file) => ({ number, file })));
  assert.ok(named.length > 0);
  assert.deepEqual(
    named.filter(({ file }) => !existsSync(join(root, file))),
    [],
  );
});

test('nothing is left unfinished or skipped', () => {
  const marks = new RegExp(
    `\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')}|${['X', 'XX'].join('')})\\b|\\b(it|test|describe)\\.(only|skip|todo)\\(`,
  );
  const wrong = [...sources, ...filesBelow('test', /\.ts$/), ...filesBelow('bench', /\.ts$/)].filter((file) =>
    marks.test(readFileSync(join(root, file), 'utf8')),
  );
  assert.deepEqual(
    wrong.filter((file) => file !== 'test/tidy.test.ts'),
    [],
  );
});

interface ThreatRow {
  readonly number: string;
  /** Paths in its last column. */
  readonly tests: readonly string[];
}

/** The rows of docs/threats.md, in order; those that only head a group are none. */
function threatRows(): ThreatRow[] {
  const text = readFileSync(join(root, 'docs/threats.md'), 'utf8');
  return [...text.matchAll(/^\| ([TFG]\d+) \|.*\|([^|]*)\|$/gm)].map(([, number, tests]) => ({
    number: number!,
    tests: [...tests!.matchAll(/`([^`]+)`/g)].map(([, file]) => file!),
  }));
}

/**
 * Numbers as they are written here: `(T29)`, `T36, T37:`, `'F1, F41'`, `| G1 |`, and ranges, `T2 to T4` and `T36-T40`, with all that
 * is between. A word of its own behind a space, bracket, quote or bar: no type parameter, no colour, no percent-encoding.
 */
function numbersIn(text: string): string[] {
  const numbers = /(?<=^|[\s('"`|])([TFG])([1-9]\d*)(?:(?:\s+to\s+|-)\1([1-9]\d*))?(?=[\s,;:.)'"`|]|$)/gm;
  return [...text.matchAll(numbers)].flatMap(([, letter, first, last = first]) =>
    Array.from(
      { length: Math.max(1, Number(last) - Number(first) + 1) },
      (_, index) => `${letter}${Number(first) + index}`,
    ),
  );
}

function stripComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(^|\s)\/\/.*$/gm, '$1');
}

/** Names of what is declared, taken apart, or a parameter; some more than once. After a colon a capital stands for a type. */
function localNames(text: string): string[] {
  const declared = [...text.matchAll(/\b(?:const|let|var|function\*?|class)\s+([A-Za-z_$][\w$]*)/g)];
  const bound = [...text.matchAll(/\b(?:const|let|var)\s*[{[]([^=]*?)[}\]]\s*(?:=|of\b)/g)];
  const parameters = [...text.matchAll(/\(([^()]*)\)\s*(?::[^={()]*)?\s*(?:=>|\{)/g)];
  const single = [...text.matchAll(/(?<![.\w])([a-z_$][\w$]*)\s*=>/g)];
  return [
    ...declared.map(([, name]) => name!),
    ...bound.flatMap(([, inner]) => namesBoundIn(inner!)),
    ...parameters.flatMap(([, inner]) => namesBoundIn(inner!)),
    ...single.map(([, name]) => name!),
  ];
}

/** Of `a, b: c, ...d = e, f?: T`: `a`, `c` and `d` where braces stand around it, and `f`. */
function namesBoundIn(text: string): string[] {
  return [
    ...text.matchAll(/(?:^|[,{[]|\.\.\.)\s*(?:[\w$]+\s*:\s*)?([a-z_$][\w$]*)\s*\??(?=[,:=}\]]|\s*$)/g),
  ].map(([, name]) => name!);
}

/** Every module that a file reaches by static import: our files, and the names of packages. */
function reach(entry: string, seen = new Set<string>()): Set<string> {
  if (seen.has(entry) || !existsSync(join(root, entry))) return seen;
  seen.add(entry);
  for (const name of importsOf(entry)) {
    if (name.startsWith('.')) reach(relative(root, resolve(root, dirname(entry), name)), seen);
    else seen.add(name);
  }
  return seen;
}

test('every attack that a test plays has a row in docs/security.md, and every row has its tests', () => {
  const page = readFileSync(join(root, 'docs/security.md'), 'utf8');
  const rows = [...page.matchAll(/^\| (S\d+) \|.*\| ([^|]+) \|$/gm)].map(([, number, files]) => ({
    number: number!,
    files: files!.split(', ').map((file) => (file.includes('/') ? file : `test/attacks/${file}`)),
  }));
  const texts = new Map(
    rows.flatMap(({ files }) => files).map((file) => [file, readFileSync(join(root, file), 'utf8')]),
  );
  for (const { number, files } of rows) {
    for (const file of files)
      assert.match(texts.get(file)!, new RegExp(`\\b${number}\\b`), `${number} in ${file}`);
  }
  const attacks = readdirSync(join(root, 'test/attacks')).filter((name) => name.endsWith('.test.ts'));
  for (const name of attacks) {
    const text = readFileSync(join(root, 'test/attacks', name), 'utf8');
    for (const [, number] of text.matchAll(/(?:test|it)\(\s*['`](S\d+)/g))
      assert.ok(
        rows.some((row) => row.number === number && row.files.includes(`test/attacks/${name}`)),
        `${number} of ${name} has no row`,
      );
  }
});
