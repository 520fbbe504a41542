import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError } from '../base/errors.ts';
import { configFileNames, findConfigFile, loadConfig } from './load.ts';

const directory = mkdtempSync(join(tmpdir(), 'fastway-test-'));
after(() => rmSync(directory, { recursive: true }));

function write(name: string, text: string): string {
  const file = join(directory, name);
  writeFileSync(file, text);
  return file;
}

async function problemsOf(file: string): Promise<string> {
  try {
    await loadConfig(file);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.message.replaceAll(`${directory}/`, '');
  }
  return '';
}

test('JSON with comments and trailing commas; problems have the line of their key', async () => {
  const file = write(
    'a.json',
    `{
  // a comment
  "listen": [{ "port": 80 }, { "prot": 81 }],
  "virtualServers": [
    { "documentRoot": ".",
      "rules": [
        { "handler": { "type": "fastcgi",
            "source": "pph" } },
      ] },
  ],
  "lgo": {},
}`,
  );
  assert.equal(
    await problemsOf(file),
    `a.json:3: listen[1]: Unknown key "prot"; did you mean "port"?
a.json:7: virtualServers[0].rules[0].handler: No source is called "pph"; did you mean "php"?
a.json:11: Unknown key "lgo"; did you mean "log"?`,
  );
});

test('JSON: broken text, keys that are there twice, __proto__, nothing', async () => {
  assert.equal(
    await problemsOf(write('b.json', '{\n "listen": []\n "log": {} }')),
    'b.json:3: The JSON is broken: comma expected',
  );
  assert.equal(
    await problemsOf(write('c.json', '{ "log": {},\n "log": {},\n "__proto__": {} }')),
    'c.json:2: Key "log" is there twice; remove one\nc.json:3: Unknown key "__proto__"',
  );
  assert.equal(await problemsOf(write('d.json', '')), 'd.json:1: The JSON is broken: value expected');
});

test('YAML: the same shape, the same lines; an alias gets a hint', async () => {
  const file = write(
    'a.yaml',
    `listen:
  - port: 80
  - prot: 81
virtualServers:
  - documentRoot: .
    rules:
      - handler:
          type: fastcgi
          source: pph
`,
  );
  assert.equal(
    await problemsOf(file),
    `a.yaml:3: listen[1]: Unknown key "prot"; did you mean "port"?
a.yaml:7: virtualServers[0].rules[0].handler: No source is called "pph"; did you mean "php"?`,
  );
  assert.match(
    await problemsOf(write('b.yaml', 'virtualServers:\n  - hosts: [*.example.com]\n')),
    /^b\.yaml(:\d)?: The YAML is broken: .*in quotes$/m,
  );
  for (const version of ['8.1', '8.0', '8.10', '"8.1"']) {
    const text = `sources: { php: { php: ${version} } }\nvirtualServers: [{ documentRoot: . }]\n`;
    const { config } = await loadConfig(write('version.yaml', text));
    assert.equal((config.sources.php as { php: string }).php, version.replaceAll('"', ''));
  }
  assert.match(await problemsOf(write('c.yaml', 'a: [\n')), /^c\.yaml:\d: The YAML is broken: /);
  assert.equal(await problemsOf(write('empty.yaml', '# nothing yet\n')), '');
});

test('modules: TypeScript, JavaScript, functions and promises; without an installed package too', async () => {
  const typescript = `import { defineConfig } from 'fastway';
const port: number = 8123;
export default defineConfig({ listen: [{ port }] });`;
  for (const [name, text] of [
    ['a.ts', typescript],
    ['b.mjs', typescript.replace(': number', '')],
    ['b.cjs', `module.exports = require('fastway').defineConfig({ listen: [{ port: 8123 }] });`],
    ['c.mjs', 'export default { listen: [{ port: 8123 }] };'],
    ['d.mjs', 'export default () => ({ listen: [{ port: 8123 }] });'],
    ['e.mjs', 'export default async () => ({ listen: [{ port: 8123 }] });'],
    ['f.mjs', 'export default Promise.resolve({ listen: [{ port: 8123 }] });'],
  ] as const) {
    const { config } = await loadConfig(write(name, text));
    assert.deepEqual(config.listen, [{ host: '127.0.0.1', port: 8123 }], name);
  }
  assert.equal(
    await problemsOf(write('g.mjs', 'export default { lisen: [] };')),
    'g.mjs: Unknown key "lisen"; did you mean "listen"?',
  );
  assert.equal(
    await problemsOf(write('h.mjs', 'export const config = {};')),
    'h.mjs: Has no default export; write "export default defineConfig({...})"',
  );
  assert.equal(
    await problemsOf(write('i.mjs', "export default () => { throw new Error('no secret here'); };")),
    'i.mjs: Its function failed: no secret here',
  );
  assert.match(await problemsOf(write('j.mjs', "import 'nothing-like-this';")), /^j\.mjs: Cannot be run: /);
});

test('files that are missing or of an unknown kind', async () => {
  assert.equal(
    await problemsOf(join(directory, 'no.json')),
    'no.json: Does not exist; check the name after --config',
  );
  assert.equal(
    await problemsOf(write('a.toml', '')),
    'a.toml: Is no configuration that we can read; use a .ts, .js, .mjs, .json, .yaml or .yml file',
  );
});

test('a secret that everybody may read is a warning (T94)', async () => {
  const file = write(
    'secret.json',
    JSON.stringify({
      virtualServers: [
        {
          documentRoot: '.',
          rules: [{ handler: { type: 'fastcgi', source: 'php', env: { DB_PASSWORD: 'canary' } } }],
        },
      ],
    }),
  );
  chmodSync(file, 0o644);
  assert.deepEqual((await loadConfig(file)).warnings, [
    `${file} holds DB_PASSWORD and can be read by other users; run: chmod 600 ${file}`,
  ]);
  chmodSync(file, 0o600);
  assert.deepEqual((await loadConfig(file)).warnings, []);
});

test('a document root whose own .htaccess closes it is a warning, unless no handler heeds it', async () => {
  const site = join(directory, 'closed');
  mkdirSync(site);
  writeFileSync(join(site, '.htaccess'), 'AuthType Basic\nRequire valid-user\n');
  const warningsOf = async (handler: object) => {
    const file = write(
      'closed.json',
      JSON.stringify({ virtualServers: [{ documentRoot: site, rules: [{ handler }] }] }),
    );
    return (await loadConfig(file)).warnings;
  };
  const [warning] = await warningsOf({ type: 'files' });
  assert.match(
    warning!,
    /^Nothing below .*closed is sent or run: .*\.htaccess denies it, .* set "guard" to false/,
  );
  assert.deepEqual(await warningsOf({ type: 'files', guard: false }), []);
});

test('a directory has the first file that is there; flags change it before it is checked', async () => {
  assert.equal(findConfigFile(directory, true).file, undefined);
  const yaml = write('fastway.config.yaml', 'listen: [{ port: 1 }]');
  assert.equal(findConfigFile(directory, true).file, yaml);
  const json = write('fastway.config.json', '{ "listen": 3 }');
  assert.equal(findConfigFile(directory, true).file, json);
  assert.ok(configFileNames.indexOf('fastway.config.json') < configFileNames.indexOf('fastway.config.yaml'));
  const { config } = await loadConfig(json, (input) => ({ ...input, listen: [{ port: 7 }] }));
  assert.deepEqual(config.listen, [{ host: '127.0.0.1', port: 7 }]);
});

test('a folder that is only served has no code: what is passed over is said, and data is taken', () => {
  const folder = mkdtempSync(join(directory, 'served-'));
  const code = join(folder, 'fastway.config.mjs');
  writeFileSync(code, 'export default {}');
  assert.deepEqual(findConfigFile(folder, true), { file: code, passedOver: undefined });
  assert.deepEqual(findConfigFile(folder, false), { file: undefined, passedOver: code });
  const data = join(folder, 'fastway.config.yaml');
  writeFileSync(data, '{}');
  assert.deepEqual(findConfigFile(folder, false), { file: data, passedOver: code });
});

test('too deep: JSON, YAML, and a module whose list holds itself, in one sentence', async () => {
  const message = 'Is nested deeper than 100 levels; write it flat (a list that holds itself has no end)';
  const lists = (depth: number) => `{"sources": ${'['.repeat(depth)}${']'.repeat(depth)}}`;
  for (const depth of [101, 50_000]) {
    assert.equal(
      (await problemsOf(write('deep.json', lists(depth)))).replace(':1', ''),
      `deep.json: ${message}`,
    );
  }
  assert.equal(await problemsOf(write('deep.yaml', lists(101))), `deep.yaml:1: ${message}`);
  assert.equal(await problemsOf(write('deeper.yaml', lists(5_000))), `deeper.yaml: ${message}`);
  const endless = 'const list = []; list.push(list); export default { sources: list };';
  assert.equal(await problemsOf(write('endless.mjs', endless)), `endless.mjs: ${message}`);
  assert.notEqual(await problemsOf(write('flat.json', lists(90))), `flat.json:1: ${message}`);
});
