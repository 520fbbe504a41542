import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type Lock, LockTable, type LockType } from './lock-table.ts';

const lock = (owner: string, type: LockType, start = 0, end = 100): Lock => ({ owner, type, start, end });

describe('lock table', () => {
  it('shares among readers, and lets one writer alone', () => {
    const table = new LockTable();
    assert.ok(table.lock('f', lock('a', 'shared')));
    assert.ok(table.lock('f', lock('b', 'shared')));
    assert.ok(!table.lock('f', lock('c', 'exclusive')));
    assert.ok(!table.lock('f', lock('a', 'exclusive')), 'another still reads');
    table.unlock('f', lock('b', 'shared'));
    assert.ok(table.lock('f', lock('a', 'exclusive')), 'the only reader becomes the writer');
    assert.ok(!table.lock('f', lock('b', 'shared')));
    assert.ok(table.lock('g', lock('b', 'exclusive')), 'another file');
  });

  it('locks ranges: neighbours do not touch', () => {
    const table = new LockTable();
    assert.ok(table.lock('f', lock('a', 'exclusive', 10, 20)));
    assert.ok(table.lock('f', lock('b', 'exclusive', 20, 30)));
    assert.ok(table.lock('f', lock('b', 'exclusive', 0, 10)));
    assert.ok(!table.lock('f', lock('b', 'shared', 19, 20)));
    assert.deepEqual(table.conflict('f', lock('c', 'shared', 0, 100)), lock('a', 'exclusive', 10, 20));
  });

  it('cuts a lock where its owner gives up or changes bytes of it', () => {
    const table = new LockTable();
    table.lock('f', lock('a', 'exclusive', 0, 100));
    table.unlock('f', lock('a', 'shared', 40, 60));
    assert.ok(table.lock('f', lock('b', 'exclusive', 40, 60)));
    assert.ok(!table.lock('f', lock('b', 'shared', 39, 40)));
    assert.ok(!table.lock('f', lock('b', 'shared', 60, 61)));
    table.lock('f', lock('a', 'shared', 60, 100));
    assert.ok(table.lock('f', lock('b', 'shared', 60, 100)));
    assert.ok(!table.lock('f', lock('b', 'shared', 0, 1)));
  });

  it('a refused lock changes nothing', () => {
    const table = new LockTable();
    table.lock('f', lock('a', 'shared', 0, 10));
    table.lock('f', lock('b', 'shared', 0, 10));
    assert.ok(!table.lock('f', lock('a', 'exclusive', 0, 10)));
    assert.ok(!table.lock('f', lock('b', 'exclusive', 0, 10)), 'a still reads');
  });

  it('forgets the locks of who is gone', () => {
    const table = new LockTable();
    table.lock('f', lock('1:3', 'exclusive'));
    table.lock('g', lock('1', 'shared'));
    table.lock('g', lock('2', 'shared'));
    table.release((owner) => owner.startsWith('1'));
    assert.ok(table.lock('f', lock('2', 'exclusive')));
    assert.ok(table.lock('g', lock('2', 'exclusive')));
    table.release(() => true);
    assert.equal(table.size, 0);
  });
});
