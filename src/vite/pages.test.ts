import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addTags, readTags } from './pages.ts';

const add = (page: string) =>
  addTags(Buffer.from(page, 'latin1'), { head: '<h>', body: '<b>' }).toString('latin1');

test('what was added to an empty page is read', () => {
  const html = '<!doctype html><html><head>\n<a></head>\n<body><b></b>\n</body></html>';
  assert.deepEqual(readTags(html), { head: '\n<a>', body: '<b></b>\n' });
  assert.deepEqual(readTags('<p>not ours</p>'), { head: '', body: '' });
});

test('elements come first in the head and last in the body', () => {
  assert.equal(
    add(
      '<!doctype html>\n<html lang="de">\n<head data-a="1">\n<title></title></head><body>b\xf6se</BODY></html>',
    ),
    '<!doctype html>\n<html lang="de">\n<head data-a="1"><h>\n<title></title></head><body>b\xf6se<b></BODY></html>',
  );
});

test('a page without a head has them after its doctype, else at its start', () => {
  assert.equal(add('\n<!DOCTYPE html><header>x'), '\n<!DOCTYPE html><h><header>x<b>');
  assert.equal(add('<p>x'), '<h><p>x<b>');
  assert.equal(add(''), '<h><b>');
});

test('a page that broke off cannot swallow them', () => {
  assert.equal(add('<!doctype html><a href="'), '<!doctype html><h><a href="<b>');
});

test('a page in UTF-16 stays as it is', () => {
  const page = Buffer.from('<p>x', 'utf16le');
  assert.equal(addTags(page, { head: '<h>', body: '' }), page);
});
