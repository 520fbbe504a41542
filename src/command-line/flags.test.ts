import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readFlags } from './flags.ts';
import { UsageError } from './terminal.ts';

const flags = {
  port: { value: 'PORT', short: 'p', env: ['FASTWAY_PORT', 'PORT'], help: '' },
  header: { value: 'LINE', multiple: true, help: '' },
  quiet: { short: 'q', env: ['FASTWAY_QUIET'], help: '' },
};

test('flags, their short forms, values and positionals', () => {
  const line = readFlags(
    flags,
    ['dir', '--port', '80', '--header', 'a: b', '--header=c: d', '-q', '--', '-x'],
    {},
  );
  assert.deepEqual(line.positionals, ['dir', '-x']);
  assert.equal(line.number('port', 0, 65_535), 80);
  assert.deepEqual(line.texts('header'), ['a: b', 'c: d']);
  assert.equal(line.isOn('quiet'), true);
  assert.equal(readFlags(flags, ['-p', '81'], {}).text('port'), '81');
});

test('a flag beats the environment; FASTWAY_PORT beats PORT; empty is not there', () => {
  assert.equal(readFlags(flags, ['-p1'], { PORT: '2' }).text('port'), '1');
  assert.equal(readFlags(flags, [], { PORT: '2', FASTWAY_PORT: '3' }).text('port'), '3');
  assert.equal(readFlags(flags, [], { PORT: '' }).text('port'), undefined);
  assert.equal(readFlags(flags, [], { FASTWAY_QUIET: '1' }).isOn('quiet'), true);
  assert.equal(readFlags(flags, [], { FASTWAY_QUIET: '0' }).isOn('quiet'), false);
});

for (const [args, message] of [
  [['--prot', '80'], 'Unknown flag --prot; did you mean --port?'],
  [['--constructor'], 'Unknown flag --constructor'],
  [['-z'], 'Unknown flag -z'],
  [['--port'], '--port needs a value: --port PORT'],
  [['--port', '--quiet'], '--port needs a value: --port PORT'],
  [['--quiet=yes'], '--quiet takes no value'],
  [['-p', '1', '-p', '2'], '-p is there twice; give it once'],
] as const) {
  test(`usage: ${args.join(' ')}`, () => {
    assert.throws(() => readFlags(flags, args, {}), new UsageError(message));
  });
}

test('numbers are whole and within their limits; the place of a wrong one is named', () => {
  for (const text of ['x', '1.5', '70000', '1e3', '0x10']) {
    assert.throws(
      () => readFlags(flags, ['--port', text], {}).number('port', 0, 65_535),
      new UsageError(`--port is "${text}", but must be a whole number from 0 to 65535`),
    );
  }
  assert.throws(
    () => readFlags(flags, [], { PORT: 'x' }).number('port', 0, 65_535),
    new UsageError('PORT is "x", but must be a whole number from 0 to 65535'),
  );
});
