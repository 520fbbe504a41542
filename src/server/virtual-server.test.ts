import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fakeSite } from '../../test/support/fake-request.ts';
import { type VirtualServer, VirtualServers } from './virtual-server.ts';

const server = (name: string, ...hosts: string[]): VirtualServer => ({
  hosts,
  site: fakeSite({ name }),
  rules: [],
  accessLog: undefined,
});

const chooser =
  (...servers: VirtualServer[]) =>
  (host: string) =>
    new VirtualServers(servers).choose(host).site.name;

test('the exact name, then the longest wildcard, then the star, then the first', () => {
  const choose = chooser(
    server('first', 'first.test'),
    server('star', '*'),
    server('wide', '*.example.com'),
    server('deep', '*.a.example.com'),
    server('exact', 'www.example.com', '[::1]'),
  );
  assert.equal(choose('www.example.com'), 'exact');
  assert.equal(choose('[::1]'), 'exact');
  assert.equal(choose('x.example.com'), 'wide');
  assert.equal(choose('x.y.example.com'), 'wide');
  assert.equal(choose('x.a.example.com'), 'deep');
  assert.equal(choose('a.example.com'), 'wide');
  assert.equal(choose('other.test'), 'star');
  assert.equal(choose(''), 'star');
});

test('a wildcard names what is below it, not itself, and not by letters', () => {
  const choose = chooser(server('other', 'o'), server('wild', '*.example.com'));
  assert.equal(choose('example.com'), 'other');
  assert.equal(choose('.example.com'), 'other');
  assert.equal(choose('evilexample.com'), 'other');
});

test('a trailing dot is the same name', () => {
  const choose = chooser(server('other', 'o'), server('exact', 'example.com'));
  assert.equal(choose('example.com.'), 'exact');
});

test('without a star the first is the default, and of two claims the first wins', () => {
  const choose = chooser(server('a', 'x'), server('b', 'x', 'y'));
  assert.equal(choose('z'), 'a');
  assert.equal(choose('x'), 'a');
  assert.equal(choose('y'), 'b');
  assert.throws(() => new VirtualServers([]), RangeError);
});
