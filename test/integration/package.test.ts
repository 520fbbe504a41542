/**
 * The package as its users get it: packed, installed into an empty project, then imported, required, type-checked and run
 * there. Nothing here reads the sources.
 */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { ensureBuilt } from '../support/gateway-process.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const repository = fileURLToPath(new URL('../..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(repository, 'package.json'), 'utf8')) as {
  version: string;
  exports: Record<string, unknown>;
  peerDependencies: Record<string, string>;
};
/** What an import statement can name, as `fastway/client`; the JSON files apart. */
const subpaths = Object.keys(manifest.exports)
  .filter((subpath) => !subpath.endsWith('.json'))
  .map((subpath) => `fastway${subpath.slice(1)}`);

describe('the package', () => {
  const project = createTestDirectory();
  let tarball: string;

  before(() => {
    ensureBuilt();
    run('npm', ['pack', '--ignore-scripts', '--pack-destination', project], repository);
    tarball = join(project, readdirSync(project).find((name) => name.endsWith('.tgz'))!);
    write('package.json', JSON.stringify({ name: 'empty-project', version: '1.0.0', private: true }));
    run('npm', ['install', '--prefer-offline', '--no-audit', '--no-fund', tarball], project);
  });

  const write = (name: string, text: string) => writeFileSync(join(project, name), text);

  it('holds what runs, its types and its documents, and neither tests nor leftovers of the build', () => {
    const folder = join(project, 'node_modules/fastway');
    const files = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => relative(folder, join(entry.parentPath, entry.name)));
    for (const name of ['README.md', 'LICENSE', 'CHANGELOG.md', 'schema.json', 'dist/cli.js']) {
      assert.ok(files.includes(name), `${name} is missing`);
    }
    const odd = files.filter(
      (name) =>
        !/^(dist\/.*\.(js|d\.ts)|examples\/site\/.*|[^/]+\.(md|json)|LICENSE)$/.test(name) ||
        /\.(test|contract)\./.test(name),
    );
    assert.deepEqual(odd, []);
  });

  it('gives the same names to import and to require', () => {
    const print = 'process.stdout.write(JSON.stringify(names));';
    write(
      'imports.mjs',
      `const names = {};
for (const name of ${JSON.stringify(subpaths)}) names[name] = Object.keys(await import(name));
${print}`,
    );
    // Fails for a module with a top-level await, which Node cannot load in this way.
    write(
      'requires.cjs',
      `const names = {};
for (const name of ${JSON.stringify(subpaths)}) names[name] = Object.keys(require(name)).filter((key) => key !== '__esModule');
${print}`,
    );
    const imported = JSON.parse(run(process.execPath, ['imports.mjs'], project)) as Record<string, string[]>;
    const required = JSON.parse(run(process.execPath, ['requires.cjs'], project)) as Record<string, string[]>;
    assert.deepEqual(required, imported);
    for (const name of subpaths) assert.ok(imported[name]!.length > 0, `${name} exports nothing`);
  });

  for (const [kind, file, open] of [
    [
      'an ES module',
      'serve.mjs',
      `import { createServer } from 'node:http';
import { createGateway } from 'fastway';`,
    ],
    [
      'CommonJS',
      'serve.cjs',
      `const { createServer } = require('node:http');
const { createGateway } = require('fastway');`,
    ],
  ] as const) {
    it(`serves a file from a program in ${kind}`, () => {
      mkdirSync(join(project, 'site'), { recursive: true });
      write('site/page.txt', 'the page');
      write(
        file,
        `${open}
async function main() {
  const gateway = await createGateway({ virtualServers: [{ documentRoot: 'site', rules: [{ handler: { type: 'files' } }] }] });
  const server = createServer(gateway.listener).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  const answer = await fetch('http://127.0.0.1:' + server.address().port + '/page.txt', { headers: { Connection: 'close' } });
  process.stdout.write(answer.status + ' ' + (await answer.text()));
  server.close();
  await gateway.close();
}
main();`,
      );
      assert.equal(run(process.execPath, [file], project), '200 the page');
    });
  }

  it('has a command that runs from node_modules/.bin', () => {
    const command = join(project, 'node_modules/.bin/fastway');
    assert.match(run(command, ['--version'], project), new RegExp(manifest.version.replaceAll('.', '\\.')));
    assert.deepEqual(
      JSON.parse(run(command, ['schema'], project)),
      JSON.parse(readFileSync(join(project, 'node_modules/fastway/schema.json'), 'utf8')),
    );
  });

  for (const [module, moduleResolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    it(`has types for moduleResolution ${moduleResolution}`, () => {
      linkTypes(project);
      const imports = subpaths.map((name, index) => `import * as subpath${index} from '${name}';`);
      write(
        'types.mts',
        `${imports.join('\n')}
import { createServer, type RequestListener } from 'node:http';
import {
  type ConfigInput, createGateway, defineConfig, type DeployOptions, type DeployReport, type ExchangeHandler, type Explanation,
  type Gateway, GatewayError, type GatewayOptions, type HttpExchange, type Log, type MetricFormat, type NodeRequestListener,
  type RequestHead, type RouteStep, type SourceState, type SourceStatus, type Target,
} from 'fastway';
import { type Client, createClient } from 'fastway/client';
import { type ApplicationServer, serve } from 'fastway/app';
import { createFetchHandler, type FetchRequestHandler } from 'fastway/adapters/fetch';
export const used: readonly object[] = [${subpaths.map((_, index) => `subpath${index}`).join(', ')}];
const config: ConfigInput = { virtualServers: [{ documentRoot: '/srv/www', preset: 'php', source: 'php' }] };
defineConfig({ sources: { php: { php: 'auto' } }, ...config });
// @ts-expect-error: the configuration has no such key
defineConfig({ virtualServer: [] });
const gateway: Gateway = await createGateway(config);
const listener: RequestListener = gateway.listener;
createServer(listener);
const options: GatewayOptions = {
  log: undefined as Log | undefined,
  environment: process.env,
  wrapExchange: (exchange: HttpExchange): HttpExchange => exchange,
};
export async function useEachMember(one: Gateway, head: RequestHead, release: DeployOptions, format: MetricFormat) {
  const node: NodeRequestListener = one.listener;
  const handle: ExchangeHandler = one.handle;
  const fetching: FetchRequestHandler = createFetchHandler(one);
  await one.start();
  const urls: readonly string[] = [...(await one.listen()), ...one.describeSources()];
  const states: readonly SourceState[] = one.sources.map((source: SourceStatus) => source.state);
  one.setSourceState('php', 'drain');
  const steps: readonly RouteStep[] = one.explain(head);
  const [explanation, target]: readonly [Explanation, Target] = [steps[0]!.explanation, steps[0]!.target];
  const report: DeployReport = await one.deploy(release);
  one.reopenLogs();
  const page: string = one.metrics(format) + String(one.metricsUrl);
  await one.close(1);
  return { node, handle, fetching, urls, states, explanation, target, report, page };
}
export async function disposeEach(): Promise<void> {
  await using one: Gateway = await createGateway(config, options);
  await using client: Client = createClient('tcp://127.0.0.1:9000');
  await using application: ApplicationServer = await serve(() => {});
  console.log(one.sources, client.address, application.address);
}
const code: string = new GatewayError('GW_ERR_INTERNAL', 'text').code;
console.log(code);`,
      );
      const files = ['types.mts'];
      if (moduleResolution === 'nodenext') {
        write(
          'types.cts',
          `${subpaths.map((name, index) => `import subpath${index} = require('${name}');`).join('\n')}
export const used: readonly object[] = [${subpaths.map((_, index) => `subpath${index}`).join(', ')}];`,
        );
        files.push('types.cts');
      }
      write(
        'tsconfig.json',
        JSON.stringify({
          compilerOptions: {
            module,
            moduleResolution,
            target: 'es2022',
            lib: ['es2023'],
            types: ['node'],
            strict: true,
            exactOptionalPropertyTypes: true,
            noEmit: true,
          },
          files,
        }),
      );
      // Declarations of other packages are checked on the way, and are not ours to judge.
      const found = spawnSync(tool('tsc'), ['--pretty', 'false'], { cwd: project, encoding: 'utf8' });
      assert.equal(found.error, undefined);
      const ours = found.stdout.split('\n').filter((line) => /^(types\.|node_modules\/fastway\/)/.test(line));
      assert.deepEqual(ours, []);
      assert.ok(found.status === 0 || /^\S+\(\d+,\d+\): error/m.test(found.stdout), found.stdout);
    });
  }

  it('pleases publint and are-the-types-wrong', () => {
    run(tool('publint'), ['run', tarball, '--strict'], project);
    // ESM only: every Node that we support loads it with `require` too, so that a second copy would only be a second state.
    run(tool('attw'), [tarball, '--profile', 'esm-only'], project);
  });
});

function tool(name: string): string {
  return join(repository, 'node_modules/.bin', name);
}

/** Node's own types, and those of the optional peers that our declarations may name. */
function linkTypes(project: string): void {
  for (const name of ['@types/node', ...Object.keys(manifest.peerDependencies)]) {
    const link = join(project, 'node_modules', name);
    mkdirSync(dirname(link), { recursive: true });
    symlink(join(repository, 'node_modules', name), link);
  }
}

function symlink(target: string, link: string): void {
  try {
    symlinkSync(target, link, 'dir');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** Runs a program to its end. @returns what it wrote to stdout */
function run(command: string, args: readonly string[], cwd: string): string {
  // A surrounding `npm test` must not tell this npm which project it is in.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_(config_local_prefix|package_)/.test(name)),
  );
  const ended = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 90_000 });
  if (ended.error !== undefined) throw ended.error;
  assert.equal(
    ended.status,
    0,
    `${command} ${args.join(' ')} ended with ${ended.status}:\n${ended.stdout}${ended.stderr}`,
  );
  return ended.stdout;
}
