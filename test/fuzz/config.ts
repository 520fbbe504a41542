/**
 * Fuzz of the configuration: whole ones with a few things in them changed, as values and as JSON and YAML text.
 * Invariant: a configuration that is right and prints to itself, or a ConfigError that says something; nothing else.
 */
import assert from 'node:assert/strict';
import { ConfigError } from '../../src/base/errors.ts';
import { parseConfig } from '../../src/config/parse.ts';
import { readJson, readYaml } from '../../src/config/positions.ts';
import { printConfig } from '../../src/config/print.ts';
import type { ConfigInput } from '../../src/config/types.ts';
import { createRandom } from '../support/random.ts';
import type { Random } from './random-bytes.ts';

/** A round costs milliseconds. */
export const shortRounds = 60;

const options = { directory: '/srv', kindOf: () => 'directory' as const };

export async function fuzz(seed: number, rounds: number): Promise<void> {
  const random = createRandom(seed);
  for (let round = 0; round < rounds; round++) {
    let value: unknown = structuredClone(pick(random, samples));
    for (let changes = 1 + Math.floor(random() * 4); changes > 0; changes--) value = mutate(value, random);
    const place = `seed ${seed}, round ${round}: ${JSON.stringify(value)}`;
    check(value, place);
    await checkText(damage(JSON.stringify(value, null, 1) ?? '', random), place);
  }
}

function check(value: unknown, place: string): void {
  try {
    const config = parseConfig(value, options);
    const again = parseConfig(JSON.parse(printConfig(config)), options);
    assert.equal(JSON.stringify(again), JSON.stringify(config), place);
  } catch (error) {
    checkFault(error, place);
  }
}

async function checkText(text: string, place: string): Promise<void> {
  for (const read of [readJson, readYaml]) {
    try {
      const { value, lineOf } = await read(text, 'file');
      parseConfig(value, { ...options, file: 'file', lineOf });
    } catch (error) {
      checkFault(error, `${place}, as text: ${JSON.stringify(text)}`);
      const lines = text.split('\n').length;
      for (const { line = 1 } of (error as ConfigError).problems)
        assert.ok(line >= 1 && line <= lines, place);
    }
  }
}

function checkFault(error: unknown, place: string): void {
  if (!(error instanceof ConfigError)) throw new Error(place, { cause: error });
  assert.ok(error.problems.length > 0, place);
  for (const { message } of error.problems) assert.match(message, /^[A-Z/"][^\n]{3,}$/s, place);
}

/** Secrets are printed as `***`, so that the variables here have none. */
const samples: readonly ConfigInput[] = [
  {},
  {
    listen: [
      { host: '::1', port: 0 },
      { path: '/run/a.sock', mode: '0600' },
    ],
    sources: {
      php: { php: 'auto', workers: 2, ini: { memory_limit: '1M', display_errors: false } },
      app: { interpreter: ['app', '{address}'], env: { A: 'b' }, user: 'www-data' },
      far: { address: 'tcp://10.0.0.1:9000', capacity: 3 },
    },
    virtualServers: [
      { documentRoot: '.', hosts: ['*.example.com'], preset: 'wordpress', accessLog: { format: 'json' } },
      {
        documentRoot: '.',
        errorPages: { 404: '/404.html' },
        rules: [
          {
            match: { all: [{ directory: '/a' }, { not: { from: '10.0.0.0/8' } }] },
            handler: { type: 'error', status: 403 },
          },
          {
            match: { extensions: 'php', header: { accept: { regex: 'html' } }, query: { a: true } },
            handler: {
              type: 'fastcgi',
              balancer: { policy: 'failover', sources: ['app', { source: 'far', weight: 2 }] },
              env: { B: 'ü' },
              realIp: { trusted: ['::1'] },
            },
          },
          {
            match: { request: '^/(.*)$', exists: ['a'] },
            handler: { type: 'redirect', to: '/$1', internal: true },
          },
          { handler: { type: 'files', precompressed: false } },
        ],
      },
    ],
    limits: { headerTimeoutMs: 1, maxBodyBytes: 0 },
    log: { level: 'debug', format: 'json' },
    runtimeDir: 'run',
  },
];

const values: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  1.5,
  1e308,
  Number.NaN,
  '',
  'php',
  '/',
  '*',
  '&x',
  '__proto__',
  'a\0b',
  'é\ud800',
  '('.repeat(50),
  'x'.repeat(300),
  [],
  [[]],
  {},
  { type: 'fastcgi' },
  { regex: '[' },
  { __proto__: null, constructor: 1 },
];

function mutate(value: unknown, random: Random): unknown {
  const keys = typeof value === 'object' && value !== null ? Object.keys(value) : [];
  if (keys.length === 0 || random() < 0.1) return structuredClone(pick(random, values));
  const copy = value as Record<string, unknown>;
  const key = pick(random, keys);
  const what = random();
  if (what < 0.7) copy[key] = mutate(copy[key], random);
  else if (what < 0.8) delete copy[key];
  else if (what < 0.9 && !Array.isArray(copy))
    copy[pick(random, ['__proto__x', `${key}s`, 'type', 'constructor'])] = copy[key];
  else copy[key] = structuredClone(pick(random, values));
  return copy;
}

/** Cuts, doubles or replaces a piece of text now and then. */
function damage(text: string, random: Random): string {
  if (random() < 0.5) return text;
  const from = Math.floor(random() * text.length);
  const to = from + Math.floor(random() * 8);
  return (
    text.slice(0, from) +
    pick(random, ['', text.slice(from, to).repeat(2), '*', '{', '\t', '\0']) +
    text.slice(to)
  );
}

function pick<T>(random: Random, list: readonly T[]): T {
  return list[Math.floor(random() * list.length)]!;
}
