/**
 * A bounded queue that is fair between groups (virtual servers): their turns alternate, whoever has more waiting. A full
 * queue still takes from a group that has less than the largest one, whose last goes: so nobody fills it for all.
 */
export class FairQueue<T> {
  /** Items in all groups together. A smaller number throws nobody out. */
  max: number;
  /** In the order of their next turn; none is empty. */
  readonly #groups = new Map<string, T[]>();
  #size = 0;

  constructor(max: number) {
    this.max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** @returns what has to go for it: the item itself, another one, or undefined when there was room */
  push(item: T, group: string): T | undefined {
    const own = this.#groups.get(group);
    let loser: T | undefined;
    if (this.#size >= this.max) {
      const largest = [...this.#groups.values()].reduce((a, b) => (b.length > a.length ? b : a), [] as T[]);
      // Its group would have as many as the largest one has then.
      if ((own?.length ?? 0) + 1 >= largest.length) return item;
      loser = largest.pop();
      this.#size--;
    }
    if (own === undefined) this.#groups.set(group, [item]);
    else own.push(item);
    this.#size++;
    return loser;
  }

  /** The next one's turn; undefined when nobody waits. */
  shift(): T | undefined {
    for (const [group, items] of this.#groups) {
      const item = items.shift();
      this.#groups.delete(group);
      if (items.length > 0) this.#groups.set(group, items);
      this.#size--;
      return item;
    }
    return undefined;
  }

  /** @returns false when it was not there */
  remove(item: T): boolean {
    for (const [group, items] of this.#groups) {
      const index = items.indexOf(item);
      if (index === -1) continue;
      items.splice(index, 1);
      if (items.length === 0) this.#groups.delete(group);
      this.#size--;
      return true;
    }
    return false;
  }

  /** All, in no order that matters; a copy. */
  items(): T[] {
    return [...this.#groups.values()].flat();
  }

  /** Empties it. @returns what was in it */
  clear(): T[] {
    const items = this.items();
    this.#groups.clear();
    this.#size = 0;
    return items;
  }
}
