import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';
import { type LockQuestion, LockService } from './lock-service.ts';

/** A worker's end of its pipe: what it asked lies in `questions`, what it hears in `answers`. */
class Worker {
  readonly answers: unknown[] = [];
  readonly #pipe = new PassThrough();
  readonly #pid: number;

  constructor(service: LockService, pid: number) {
    this.#pid = pid;
    this.#pipe.write = (line: string) => this.answers.push(JSON.parse(line)) > 0;
    service.serve(pid, this.#pipe);
  }

  ask(question: Partial<LockQuestion>): void {
    const whole: LockQuestion = {
      ask: 'lock',
      file: 'f',
      type: 'exclusive',
      start: 0,
      end: 10,
      waits: false,
      ...question,
    };
    const line = `${JSON.stringify(whole)}\n`;
    // As a pipe may cut it.
    this.#pipe.emit('data', line.slice(0, 7));
    this.#pipe.emit('data', line.slice(7));
  }

  get pid(): number {
    return this.#pid;
  }
}

describe('lock service', () => {
  const start = () => {
    const service = new LockService();
    return {
      service,
      one: new Worker(service, 1),
      two: new Worker(service, 2),
      three: new Worker(service, 3),
    };
  };

  it('answers at once who does not want to wait, and names who is in the way', () => {
    const { one, two } = start();
    one.ask({});
    two.ask({});
    two.ask({ ask: 'conflict', start: 5 });
    two.ask({ ask: 'conflict', start: 10, end: 20 });
    assert.deepEqual(one.answers, [true]);
    assert.deepEqual(two.answers, [
      false,
      { owner: '1', type: 'exclusive', start: 0, end: 10, pid: 1 },
      null,
    ]);
  });

  it('grants in the order of arrival when a lock is given up', () => {
    const { service, one, two, three } = start();
    one.ask({});
    two.ask({ waits: true });
    three.ask({ waits: true });
    assert.ok(service.isWaiting(2));
    one.ask({ ask: 'unlock' });
    assert.deepEqual([two.answers, three.answers], [[true], []]);
    assert.ok(!service.isWaiting(2));
    two.ask({ ask: 'unlock' });
    assert.deepEqual(three.answers, [true]);
  });

  it('a writer who goes on as a reader lets readers in', () => {
    const { one, two } = start();
    one.ask({});
    two.ask({ type: 'shared', waits: true });
    one.ask({ type: 'shared' });
    assert.deepEqual(two.answers, [true]);
  });

  it('open files of one worker stand against each other', () => {
    const { one } = start();
    one.ask({ descriptor: 3 });
    one.ask({ descriptor: 4 });
    assert.deepEqual(one.answers, [true, false]);
  });

  it('who is gone neither holds nor waits', () => {
    const { service, one, two, three } = start();
    one.ask({ descriptor: 3 });
    two.ask({ waits: true });
    three.ask({ waits: true });
    service.left(two.pid);
    service.left(one.pid);
    assert.deepEqual([two.answers, three.answers], [[], [true]]);
  });
});
