/** Things of which each is there once, by its key, for as long as somebody holds it. */
export class SharedThings<Thing> {
  readonly #entries = new Map<string, { readonly thing: Thing; holders: number }>();
  readonly #close: (thing: Thing) => Promise<void> | void;

  constructor(close: (thing: Thing) => Promise<void> | void) {
    this.#close = close;
  }

  /** Each call is one holder, who releases it once. @param make called when nobody holds it */
  take(key: string, make: () => Thing): Thing {
    const entry = this.#entries.get(key) ?? { thing: make(), holders: 0 };
    this.#entries.set(key, entry);
    entry.holders += 1;
    return entry.thing;
  }

  /** With its last holder it is closed: resolves when nothing of it is left. */
  async release(key: string): Promise<void> {
    const entry = this.#entries.get(key)!;
    entry.holders -= 1;
    if (entry.holders > 0) return;
    this.#entries.delete(key);
    await this.#close(entry.thing);
  }

  /** Those that are held. */
  get all(): readonly Thing[] {
    return [...this.#entries.values()].map(({ thing }) => thing);
  }
}
