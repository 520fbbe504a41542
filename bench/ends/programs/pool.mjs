/** `createPool` of fastway/client: plain calls, and no more of the answer is read than its length. */
import { createPool, parseAddress } from 'fastway/client';
import { upload, variables } from './request.mjs';

const bodies = { post: { length: upload.length, bytes: upload, replayable: true } };
const flat = Object.fromEntries(
  Object.entries(variables).map(([load, named]) => [load, Object.entries(named).flat()]),
);

export function connect(path, connections) {
  const pool = createPool({
    address: parseAddress(`unix:${path}`),
    keepConnections: connections === 'kept' ? 32 : 0,
  });
  return (load, done) => {
    let bytes = 0;
    pool.open(
      { variables: flat[load], body: bodies[load] },
      {
        stdout(chunk) {
          bytes += chunk.length;
          return true;
        },
        stderr() {},
        end: () => done(undefined, bytes),
        error: done,
      },
    );
  };
}
