/** What the design says of faults that no test can reach, or of what is not built: the end of docs/faults.md. */

export interface NotPlayed {
  readonly rows: string;
  readonly what: string;
  readonly why: string;
}

export const notPlayed: readonly NotPlayed[] = [
  {
    rows: 'F11, F56',
    what: 'a cut by RST_STREAM, a stop by GOAWAY',
    why: 'HTTP/2 is not built',
  },
  {
    rows: 'F11, F51',
    what: 'what is cut is never cached; no cache while the disk is full',
    why: 'a cache is not built',
  },
  {
    rows: 'F49',
    what: 'zombies of orphans where process 1 does not reap',
    why: 'it is in the hands of process 1: docs/interpreters.md says what to run there',
  },
  {
    rows: 'F50',
    what: 'to accept nothing at 80 % of the heap and to answer 503 at 90 %',
    why: 'nothing watches the heap: what a request may hold of it is bounded, the rest waits on disk',
  },
  {
    rows: 'F53, F54, F55',
    what: 'a reload: with a broken configuration, under load, with a listener in use',
    why: 'a reload is not built: a changed configuration needs a restart',
  },
  {
    rows: 'F57',
    what: 'an upgrade without downtime',
    why: 'not built: one process listens, and no socket is handed over',
  },
  {
    rows: 'F58',
    what: 'the suspension of the machine',
    why: 'no test can suspend it; times are measured by the monotonic clock, which stands still meanwhile on Linux',
  },
];
