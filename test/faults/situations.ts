/** Faults that need a stage of their own: several sources, a client that leaves, nobody who listens. */
export interface Situation {
  readonly rows: string;
  readonly title: string;
  readonly promise: string;
  /** Plays it and asserts the promise. @returns what was seen */
  readonly run: () => Promise<string>;
}

export const situations: readonly Situation[] = [];
