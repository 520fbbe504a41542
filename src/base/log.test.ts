import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createLog } from './log.ts';

function record(format: 'text' | 'json', level: 'debug' | 'info' | 'warn' | 'error' = 'info') {
  const lines: string[] = [];
  const now = () => new Date('2026-01-02T03:04:05.678Z');
  return { lines, log: createLog({ write: (line) => lines.push(line), level, format, now }) };
}

test('text lines carry time, level, message and fields', () => {
  const { lines, log } = record('text');
  log.warn('Worker left', { source: 'php', pid: 7, reason: 'signal KILL', missing: undefined });
  assert.deepEqual(lines, ['03:04:05.678 warn  Worker left source=php pid=7 reason="signal KILL"\n']);
});

test('a number has as many digits as somebody reads', () => {
  const fields = { retryInMs: 934.5135618593768, load: 0.123456, pid: 4_194_304 };
  const text = record('text');
  text.log.info('x', fields);
  assert.deepEqual(text.lines, ['03:04:05.678 info  x retryInMs=935 load=0.123 pid=4194304\n']);
  const json = record('json');
  json.log.info('x', fields);
  assert.match(json.lines[0]!, /"retryInMs":935,"load":0.123,"pid":4194304/);
});

test('json lines are one object each', () => {
  const { lines, log } = record('json');
  log.error('a\nb', { id: 'x' });
  assert.deepEqual(JSON.parse(lines[0]!), {
    time: '2026-01-02T03:04:05.678Z',
    level: 'error',
    message: 'a\nb',
    id: 'x',
  });
  assert.equal(lines[0]!.indexOf('\n'), lines[0]!.length - 1);
});

test('levels below the chosen one say nothing', () => {
  const { lines, log } = record('text', 'warn');
  log.debug('no');
  log.info('no');
  log.warn('yes');
  assert.equal(lines.length, 1);
});

test('control bytes never reach a terminal (CVE-2009-4489)', () => {
  const { lines, log } = record('text');
  log.info('x\r\n\x1b[31mred\u009b\u2028', { agent: 'a\nb' });
  assert.deepEqual(lines, ['03:04:05.678 info  x\\x0d\\x0a\\x1b[31mred\\x9b\\u2028 agent=a\\x0ab\n']);
});
