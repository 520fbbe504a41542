/**
 * Who holds which lock on which bytes of which file: the rules of POSIX record locks, without waiting.
 * A lock on a whole file (`flock`) is one on all bytes, in a name space of its own.
 * Locks of one owner never conflict; a new one replaces the owner's older ones where they overlap.
 */

export type LockType = 'shared' | 'exclusive';

export interface Lock {
  /** A worker, or an open file of a worker. */
  readonly owner: string;
  readonly type: LockType;
  /** Bytes from `start` on, up to but not including `end`. */
  readonly start: number;
  readonly end: number;
}

export class LockTable {
  readonly #locks = new Map<string, Lock[]>();

  /** The first lock that stands against this one. */
  conflict(file: string, wanted: Lock): Lock | undefined {
    return this.#locks
      .get(file)
      ?.find(
        (lock) =>
          lock.owner !== wanted.owner &&
          (lock.type === 'exclusive' || wanted.type === 'exclusive') &&
          lock.start < wanted.end &&
          wanted.start < lock.end,
      );
  }

  /** Takes a lock. False when another stands against it; then nothing has changed. */
  lock(file: string, wanted: Lock): boolean {
    if (this.conflict(file, wanted) !== undefined) return false;
    this.unlock(file, wanted);
    const locks = this.#locks.get(file);
    if (locks === undefined) this.#locks.set(file, [wanted]);
    else locks.push(wanted);
    return true;
  }

  /** Gives up the owner's locks on these bytes; a lock that reaches beyond them is cut. */
  unlock(file: string, { owner, start, end }: Omit<Lock, 'type'>): void {
    const left = (this.#locks.get(file) ?? []).flatMap((lock) => {
      if (lock.owner !== owner) return [lock];
      const parts: Lock[] = [];
      if (lock.start < start) parts.push({ ...lock, end: Math.min(lock.end, start) });
      if (lock.end > end) parts.push({ ...lock, start: Math.max(lock.start, end) });
      return parts;
    });
    if (left.length > 0) this.#locks.set(file, left);
    else this.#locks.delete(file);
  }

  /** Gives up all locks of the owners that the test names. */
  release(isReleased: (owner: string) => boolean): void {
    for (const [file, locks] of this.#locks) {
      const left = locks.filter(({ owner }) => !isReleased(owner));
      if (left.length > 0) this.#locks.set(file, left);
      else this.#locks.delete(file);
    }
  }

  /** Files with a lock. */
  get size(): number {
    return this.#locks.size;
  }
}
