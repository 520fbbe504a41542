import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  announcedLength,
  answerLength,
  framedFields,
  interimFields,
  isBodyless,
  lengthAfter,
  unknownLength,
  withinLength,
} from './reply-framing.ts';

test('how long the body behind a head is', () => {
  assert.equal(answerLength('GET', 200, 7), 7);
  assert.equal(answerLength('GET', 200, unknownLength), unknownLength);
  assert.equal(answerLength('HEAD', 200, 7), 0);
  assert.deepEqual([100, 103, 204, 205, 304].map(isBodyless), [true, true, true, true, true]);
  assert.deepEqual([200, 206, 302, 404].map(isBodyless), [false, false, false, false]);
});

test('T61: a body is counted down to its length, and no further', () => {
  const chunk = Buffer.from('hello');
  assert.equal(withinLength(chunk, unknownLength), chunk);
  assert.equal(withinLength(chunk, 5), chunk);
  assert.equal(withinLength(chunk, 2).toString(), 'he');
  assert.equal(withinLength(chunk, 0).length, 0);
  assert.equal(lengthAfter(5, 2), 3);
  assert.equal(lengthAfter(unknownLength, 2), unknownLength);
});

test('the announced length, in any letter case', () => {
  assert.equal(announcedLength(['X', '1', 'cOnTent-lengTH', '12']), 12);
  assert.equal(announcedLength(['Content-Lengths', '12']), unknownLength);
});

test('fields about framing are dropped; the rest is the same array', () => {
  const plain = ['Content-Type', 'text/plain', 'Content-Length', '3'];
  assert.equal(framedFields(200, plain), plain);
  assert.equal(framedFields(304, plain), plain);
  const framing = [
    'connection',
    'a',
    'Keep-Alive',
    'b',
    'TRANSFER-ENCODING',
    'c',
    'Trailer',
    'd',
    'Upgrade',
    'e',
  ];
  assert.deepEqual(framedFields(200, ['A', '1', ...framing, 'B', '2']), ['A', '1', 'B', '2']);
});

test('the length of nothing: none for 204 (RFC 9110 8.6), 0 for 205 (15.3.6), none in an interim head', () => {
  assert.deepEqual(framedFields(204, ['Content-Length', '3', 'A', '1']), ['A', '1']);
  assert.deepEqual(framedFields(205, ['Content-Length', '3', 'A', '1']), ['A', '1', 'Content-Length', '0']);
  assert.deepEqual(framedFields(205, []), ['Content-Length', '0']);
  assert.deepEqual(interimFields(['Link', '</a>', 'content-length', '3']), ['Link', '</a>']);
});
