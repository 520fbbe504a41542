import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isWithinMount } from './mount.ts';

function check(
  within: boolean,
  cases: readonly (readonly [original: string, url: string, prefix?: string])[],
): void {
  for (const [original, url, prefix] of cases)
    assert.equal(isWithinMount(original, url, prefix), within, `${original} as ${url} below ${prefix}`);
}

test('mount: what the framework took off holds the path', () => {
  check(true, [
    ['/php/a', '/a'],
    ['/php', '/'],
    ['/php/', '/'],
    ['/php?a=/..', '/?a=/..'],
    ['/php//a', '//a'],
    ['/php/a/../b', '/a/../b'],
    ['/php/..a', '/..a'],
    ['/PHP/a', '/a'],
    ['/caf%C3%A9/a', '/a'],
    ['http://h/php/a', 'http://h/a'],
    ['http://h/php/a', '/a'],
  ]);
});

test('mount: a path that leaves what was taken off is outside', () => {
  check(false, [
    ['/php/../admin/a', '/../admin/a'],
    ['/php/%2e%2e/admin/a', '/%2e%2e/admin/a'],
    ['/php/.%2E/admin/a', '/.%2E/admin/a'],
    ['/php/..//admin/a', '/..//admin/a'],
    ['/php//../admin/a', '//../admin/a'],
    ['/php/../phpx/a', '/../phpx/a'],
    ['/php/../../a', '/../../a'],
    ['/php/..', '/..'],
    ['/php.a', '/.a'],
    ['/php./a', '/./a'],
    ['/PHP/../php/a', '/../php/a'],
    ['http://h/php/../admin/a', 'http://h/../admin/a'],
    ['http://h/php\\..\\admin', 'http://h\\..\\admin'],
    ['/php/%zz', '/%zz'],
    ['/php/a#b', '/a#b'],
  ]);
});

test('mount: what was taken off is no mount when it is not straight itself', () => {
  check(false, [['/php/../admin/index.php', '/index.php']]);
});

test('mount: after another rewriting only a straight path is taken to be where it was seen', () => {
  check(true, [['/php/a', '/index.php']]);
  check(false, [
    ['/php/../admin', '/index.php'],
    ['/php//a', '/index.php'],
    ['/php\\a', '/index.php'],
  ]);
});

test('mount: the same path written in another way was not taken off', () => {
  check(true, [
    ['/a/../b', '/b'],
    ['/a"', '/a%22'],
    ['/a//b', '/a//b'],
  ]);
});

test('mount: a prefix that the router leaves there', () => {
  check(true, [
    ['/php/a', '/php/a', '/php'],
    ['/php', '/php', '/php/'],
    ['//php/a', '//php/a', '/php'],
    ['/%70hp/a', '/%70hp/a', '/php'],
    ['/caf%C3%A9/a', '/caf%C3%A9/a', '/café'],
    ['/app/php/a', '/php/a', '/php'],
    ['/a/php/x', '/a/php/x', '/:tenant/php'],
    ['/a//b', '/a//b', '/'],
  ]);
  check(false, [
    ['/php/../admin/a', '/php/../admin/a', '/php'],
    ['/php//../admin/a', '/php/admin/a', '/php'],
    ['/phpx', '/phpx', '/php'],
    ['/a/php/../../admin/x', '/a/php/../../admin/x', '/:tenant/php'],
    ['/app/php/../x', '/php/../x', '/php'],
  ]);
});
