import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readExpression, readGlob } from './name-pattern.ts';

/** Pattern, exact or not, fits all or not, names that it fits, names that it does not. */
type Row = readonly [string, 'exact' | 'wider', 'all' | 'some', readonly string[], readonly string[]];

const globs: readonly Row[] = [
  ['*', 'exact', 'all', ['a', '.b'], []],
  ['**', 'exact', 'all', ['a'], []],
  ['?*', 'exact', 'all', ['a'], []],
  ['a.txt', 'exact', 'some', ['a.txt'], ['a-txt', 'xa.txt', 'A.txt']],
  ['*.php', 'exact', 'some', ['a.php', '.php'], ['a.php5', 'php']],
  ['a?c', 'exact', 'some', ['abc'], ['ac', 'abbc']],
  ['\\*', 'exact', 'some', ['*'], ['a']],
  ['a[0-9]', 'wider', 'some', ['a1'], ['a', 'b1']],
  ['*a*a*a*a*a*a*a*a*b', 'exact', 'some', [`${'a'.repeat(200)}b`], ['a'.repeat(250)]],
];

const expressions: readonly Row[] = [
  ...['.*', '', '^', '$', '.', '.+', '^.*$', '^.+$', '(.*)', '^(.*)$', '(?:.*)', '.*?', '(?i).*', '.?', '(|a)'].map(
    (text): Row => [text, 'exact', 'all', ['a', 'index.php'], []],
  ),
  ['^a$', 'exact', 'some', ['a'], ['ab', 'ba', 'A']],
  ['a', 'exact', 'some', ['xay'], ['b']],
  ['(?i)^a\\.css$', 'exact', 'some', ['A.CSS'], ['a-css']],
  ['\\.(gif|jpe?g|png)$', 'exact', 'some', ['a.gif', 'a.jpg', 'a.jpeg'], ['a.gif.php', 'gif', 'a.GIF']],
  ['^(form\\.js|akismet(-frontend|-admin)?\\.js)$', 'exact', 'some', ['form.js', 'akismet.js', 'akismet-admin.js'], ['x.js']],
  ['^([\\._]ht|README$)', 'exact', 'some', ['.htaccess', '_ht', 'README'], ['README.md', 'a.ht']],
  ['^.*\\.(css|js)$', 'exact', 'some', ['a.css', '.js'], ['a.css.php']],
  ['^a|b$', 'exact', 'some', ['ax', 'xb'], ['xa', 'bx']],
  ['^a.c$', 'exact', 'some', ['abc'], ['ac']],
  ['^(?!index\\.php$).*$', 'wider', 'all', ['index.php', 'x'], []],
  ['^\\.(?!well-known).*|Entries.*', 'wider', 'some', ['.git', 'Entries.Log'], ['a.php']],
  ['^[a-z]+\\.php$', 'wider', 'some', ['abc.php'], ['abc.css']],
  ['^\\d{2}\\.txt', 'wider', 'some', ['12.txt'], ['12.css']],
  ['^(a+)+$', 'wider', 'all', ['a'.repeat(255)], []],
  ['^a(b)*c$', 'wider', 'some', ['abbc'], ['x']],
  // What cannot be read fits everything.
  ...['(', ')', 'a)', '[a', '*', '\\', '(a)\\1', '\\Qa\\E', '(?#a)b', '(?x) a', '(?i:a)', 'a^b', 'a$b', `^${'(a|b)'.repeat(20)}$`, 'x'.repeat(9999)].map(
    (text): Row => [text, 'wider', 'all', ['x'], []],
  ),
]; // biome-ignore format: tables

test('patterns of names: told exactly, or widened', () => {
  for (const [read, rows] of [
    [readGlob, globs],
    [readExpression, expressions],
  ] as const) {
    for (const [text, exact, all, fitting, others] of rows) {
      const pattern = read(text);
      assert.deepEqual(
        [pattern.isExact, pattern.fitsAll],
        [exact === 'exact', all === 'all'],
        text.slice(0, 60),
      );
      for (const name of fitting) assert.ok(pattern.fits(name), `${text} ${name}`);
      for (const name of others) assert.ok(!pattern.fits(name), `${text} ${name}`);
    }
  }
});
