import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PhpFpmCapacity, type PhpFpmStatus, parsePhpFpmStatus } from './php-fpm-status.ts';

/** As php-fpm 8.2 prints it. */
const page =
  '{"pool":"www","process manager":"dynamic","start time":1795750903,"start since":14,"accepted conn":9,' +
  '"listen queue":0,"max listen queue":0,"listen queue len":0,"idle processes":1,"active processes":1,' +
  '"total processes":2,"max active processes":3,"max children reached":4,"slow requests":0}';

test('reads the page, and knows what is none', () => {
  assert.deepEqual(parsePhpFpmStatus(page), {
    manager: 'dynamic',
    startTime: 1795750903,
    processes: 2,
    mostActive: 3,
    limitReached: 4,
  });
  const others = [
    '',
    'File not found.',
    'null',
    '7',
    '[]',
    '{}',
    page.slice(0, -1),
    page.replace('"dynamic"', '"hopeful"'),
    page.replace('"total processes":2', '"total processes":-2'),
    page.replace('"max active processes":3', '"max active processes":"3"'),
    page.replace('"start time":1795750903,', ''),
  ];
  for (const other of others) assert.equal(parsePhpFpmStatus(other), undefined, other);
});

/** What looks come to, one after the other: processes, the most at work, how often the limit was reached. */
const learn = (manager: PhpFpmStatus['manager'], ...looks: readonly (readonly number[])[]) => {
  const capacity = new PhpFpmCapacity();
  return looks.map(([processes, mostActive, limitReached, startTime = 1]) =>
    capacity.learn({
      manager,
      startTime,
      processes: processes!,
      mostActive: mostActive!,
      limitReached: limitReached!,
    }),
  );
};

test('static: as many as were said twice in a row', () => {
  const looks = [[3], [2], [2], [3], [2], [1], [2], [4], [4], [0], [0]].map(([processes]) => [
    processes!,
    1,
    0,
  ]);
  const _ = undefined;
  assert.deepEqual(learn('static', ...looks), [_, _, 2, 2, 2, 2, 2, 2, 4, 4, 4]);
});

test('dynamic: unknown until its limit was reached, then the most that were ever seen', () => {
  assert.deepEqual(learn('dynamic', [2, 2, 0], [9, 9, 0], [5, 12, 1], [5, 12, 1], [14, 13, 2], [3, 13, 2]), [
    undefined,
    undefined,
    12,
    12,
    14,
    14,
  ]);
});

test('ondemand: one more than were seen, which shows whether there can be more', () => {
  assert.deepEqual(learn('ondemand', [1, 1, 0], [1, 2, 1], [3, 3, 1]), [undefined, 3, 4]);
});

test('a reload begins anew', () => {
  assert.deepEqual(learn('dynamic', [5, 12, 1], [2, 1, 0, 2], [4, 4, 1, 2]), [12, undefined, 4]);
  assert.deepEqual(learn('static', [8, 1, 0], [8, 1, 0], [2, 1, 0, 2], [2, 1, 0, 2]), [undefined, 8, 8, 2]);
});
