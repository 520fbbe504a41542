/**
 * A bounded queue that is fair between groups (virtual servers), and within a group between clients: their turns alternate,
 * whoever has more waiting. A full queue still takes from a group, or a client, that has less than the largest one, whose
 * newest goes: so nobody fills it for all.
 */
import { networkOf } from '../http/address-set.ts';

/** Whose an item is. */
export interface Claim {
  /** Undefined: one group for all of these. */
  readonly group?: string | undefined;
  /** An address; those of one IPv6 network (/64) are one client. Undefined: one client for all of these. */
  readonly client?: string | undefined;
}

export class FairQueue<T> {
  /** Items in all groups together. A smaller number throws nobody out. */
  max: number;
  /** In the order of their next turn; none is empty. */
  readonly #groups = new Map<string, Group<T>>();
  #size = 0;

  constructor(max: number) {
    this.max = max;
  }

  get size(): number {
    return this.#size;
  }

  /** @returns what has to go for it: the item itself, another one, or undefined when there was room */
  push(item: T, { group = '', client = '' }: Claim): T | undefined {
    const network = networkOf(client);
    const own = this.#groups.get(group);
    let loser: T | undefined;
    if (this.#size >= this.max) {
      loser = this.#makeRoom(own, network);
      if (loser === undefined) return item;
      this.#size--;
    }
    if (own === undefined) this.#groups.set(group, new Group(network, item));
    else own.push(network, item);
    this.#size++;
    return loser;
  }

  /** The next one's turn; undefined when nobody waits. */
  shift(): T | undefined {
    for (const [name, group] of this.#groups) {
      const item = group.shift();
      this.#groups.delete(name);
      if (group.size > 0) this.#groups.set(name, group);
      this.#size--;
      return item;
    }
    return undefined;
  }

  /** @returns false when it was not there */
  remove(item: T): boolean {
    for (const [name, group] of this.#groups) {
      if (!group.remove(item)) continue;
      if (group.size === 0) this.#groups.delete(name);
      this.#size--;
      return true;
    }
    return false;
  }

  /** All, in no order that matters; a copy. */
  items(): T[] {
    return [...this.#groups.values()].flatMap((group) => group.items());
  }

  /** Empties it. @returns what was in it */
  clear(): T[] {
    const items = this.items();
    this.#groups.clear();
    this.#size = 0;
    return items;
  }

  /** Takes out what has to go for one more of a group and client; undefined: nothing has to, the new one is refused. */
  #makeRoom(own: Group<T> | undefined, network: string): T | undefined {
    const largest = largestOf(this.#groups.values());
    if (largest === undefined) return undefined;
    // Its group would have as many as the largest one has then.
    if ((own?.size ?? 0) + 1 < largest.size) return largest.popOfLargest(0);
    return own?.popOfLargest(own.count(network) + 1);
  }
}

/** The clients of one group. It is never empty while it is in the queue, and counts what it has. */
class Group<T> {
  /** In the order of their next turn; none is empty. */
  readonly #clients = new Map<string, T[]>();
  size = 0;

  constructor(client: string, first: T) {
    this.push(client, first);
  }

  count(client: string): number {
    return this.#clients.get(client)?.length ?? 0;
  }

  push(client: string, item: T): void {
    const own = this.#clients.get(client);
    if (own === undefined) this.#clients.set(client, [item]);
    else own.push(item);
    this.size++;
  }

  shift(): T {
    const [client, items] = this.#clients.entries().next().value!;
    const item = items.shift()!;
    this.#clients.delete(client);
    if (items.length > 0) this.#clients.set(client, items);
    this.size--;
    return item;
  }

  /** The newest of the client that has most, when that is more than `count`. */
  popOfLargest(count: number): T | undefined {
    let largest: T[] = [];
    for (const items of this.#clients.values()) if (items.length > largest.length) largest = items;
    if (largest.length <= count) return undefined;
    this.size--;
    const item = largest.pop();
    if (largest.length === 0) this.#dropEmpty();
    return item;
  }

  remove(item: T): boolean {
    for (const [client, items] of this.#clients) {
      const index = items.indexOf(item);
      if (index === -1) continue;
      items.splice(index, 1);
      if (items.length === 0) this.#clients.delete(client);
      this.size--;
      return true;
    }
    return false;
  }

  items(): T[] {
    return [...this.#clients.values()].flat();
  }

  #dropEmpty(): void {
    for (const [client, items] of this.#clients) if (items.length === 0) this.#clients.delete(client);
  }
}

function largestOf<T>(groups: Iterable<Group<T>>): Group<T> | undefined {
  let largest: Group<T> | undefined;
  for (const group of groups) if (largest === undefined || group.size > largest.size) largest = group;
  return largest;
}
