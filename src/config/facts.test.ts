import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  findDocumentRoots,
  findGroups,
  findPhpSources,
  findRunExtensions,
  findScriptExtensions,
} from './facts.ts';
import { parseConfig } from './parse.ts';
import type { Config, RuleInput } from './types.ts';

function configOf(...rules: RuleInput[]): Config {
  const php = { php: 'auto' };
  return parseConfig(
    { sources: { a: php, b: php, c: php }, virtualServers: [{ documentRoot: '/srv/www', rules }] },
    { directory: '/', kindOf: () => 'directory' },
  );
}

test('document roots of a source: of the rules that ask it, and of the server whose rules ask it as an authorizer', () => {
  const config = configOf(
    {
      match: { path: '/a' },
      authorize: { source: 'b' },
      handler: { type: 'fastcgi', source: 'a', documentRoot: '/srv/own' },
    },
    { match: { path: '/c' }, handler: { type: 'filter', source: 'a' } },
  );
  assert.deepEqual(findDocumentRoots(config, 'a'), ['/srv/own', '/srv/www']);
  assert.deepEqual(findDocumentRoots(config, 'b'), ['/srv/www']);
  assert.deepEqual(findDocumentRoots(config, 'c'), []);
});

test('sources that are chosen among: by handlers and by authorizers', () => {
  const pair = { sources: ['b', 'c'] };
  const config = configOf(
    { match: { path: '/a' }, authorize: { balancer: pair }, handler: { type: 'fastcgi', source: 'a' } },
    { match: { path: '/b' }, handler: { type: 'fastcgi', balancer: { sources: ['a', 'b'] } } },
    { match: { path: '/c' }, handler: { type: 'filter', balancer: pair } },
  );
  assert.deepEqual(findGroups(config), [
    ['b', 'c'],
    ['a', 'b'],
  ]);
});

test('extensions that a source runs, and that a server does not send, wherever the match says them', () => {
  const config = configOf(
    {
      match: {
        all: [{ any: [{ extensions: 'php' }, { extensions: 'pl' }] }, { not: { extensions: 'txt' } }],
      },
      handler: { type: 'fastcgi', source: 'a' },
    },
    { match: { extensions: 'py' }, authorize: { source: 'a' }, handler: { type: 'fastcgi', source: 'b' } },
    { match: { extensions: 'md' }, handler: { type: 'filter', source: 'a' } },
  );
  assert.deepEqual(findPhpSources(config), ['a']);
  assert.deepEqual([...findRunExtensions(config, 'a')], ['php', 'pl']);
  assert.deepEqual([...findRunExtensions(config, 'b')], ['php', 'py']);
  const scripts = findScriptExtensions(config.virtualServers[0]!);
  assert.deepEqual(
    ['pl', 'py', 'phar', 'md', 'txt'].filter((extension) => scripts.has(extension)),
    ['pl', 'py', 'phar'],
  );
});
