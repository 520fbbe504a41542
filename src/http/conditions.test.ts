import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkPreconditions, isRangeValid, printHttpDate } from './conditions.ts';

const modifiedMs = Date.UTC(1994, 10, 6, 8, 49, 37, 500);
const validators = { etag: '"abc"', modifiedMs };
const same = 'Sun, 06 Nov 1994 08:49:37 GMT';
const before = 'Sun, 06 Nov 1994 08:49:36 GMT';
const check = (...fields: string[]) => checkPreconditions(fields, validators);

test('dates are printed as IMF-fixdate', () => {
  assert.equal(printHttpDate(modifiedMs), same);
});

test('If-None-Match: lists, weak tags, any', () => {
  assert.equal(check(), 'send');
  for (const value of ['"abc"', 'W/"abc"', '"x", "abc"', '"x",W/"abc"', '*', ' * ']) {
    assert.equal(check('If-None-Match', value), 'not-modified', value);
  }
  for (const value of ['"x"', 'abc', '"ab"', '', '"x", *'])
    assert.equal(check('If-None-Match', value), 'send', value);
  assert.equal(check('if-none-match', '"x"', 'IF-NONE-MATCH', '"abc"'), 'not-modified');
});

test('If-Modified-Since: all three date forms; If-None-Match goes before', () => {
  for (const date of [
    same,
    'Sunday, 06-Nov-94 08:49:37 GMT',
    'Sun Nov  6 08:49:37 1994',
    'Mon, 07 Nov 1994 00:00:00 GMT',
  ]) {
    assert.equal(check('If-Modified-Since', date), 'not-modified', date);
  }
  for (const date of [before, 'yesterday', '784111777', ''])
    assert.equal(check('If-Modified-Since', date), 'send', date);
  assert.equal(check('If-Modified-Since', same, 'If-None-Match', '"x"'), 'send');
});

test('If-Match and If-Unmodified-Since fail', () => {
  assert.equal(check('If-Match', '"abc"'), 'send');
  assert.equal(check('If-Match', '*'), 'send');
  assert.equal(check('If-Match', 'W/"abc"'), 'failed');
  assert.equal(check('If-Match', '"x"'), 'failed');
  assert.equal(check('If-Unmodified-Since', same), 'send');
  assert.equal(check('If-Unmodified-Since', before), 'failed');
  assert.equal(check('If-Unmodified-Since', 'junk'), 'send');
  assert.equal(check('If-Match', '"abc"', 'If-Unmodified-Since', before), 'send');
});

test('If-Range: the strong tag or the very date', () => {
  const valid = (value: string) => isRangeValid(['If-Range', value], validators);
  assert.ok(isRangeValid([], validators));
  assert.ok(valid('"abc"'));
  assert.ok(valid(same));
  for (const value of ['"x"', 'W/"abc"', before, 'Mon, 07 Nov 1994 00:00:00 GMT', 'junk'])
    assert.ok(!valid(value), value);
});
