/** fastcgi-client, from npm. It opens a connection for each request, and leaves the head of the answer to its caller. */
import { once } from 'node:events';
import createClient from 'fastcgi-client';
import { upload, variables } from './request.mjs';

export async function connect(path) {
  const client = createClient({ sockFile: path, skipCheckServer: true });
  await once(client, 'ready');
  return (load, done) => {
    client.request(variables[load], (error, request) => {
      if (error) {
        done(error);
        return;
      }
      const chunks = [];
      request.stdout.on('data', (chunk) => chunks.push(chunk));
      request.stdout.on('end', () => {
        // An application that closes at once makes it lose the answer: it still writes, meets EPIPE and reads no more.
        if (request.getExitStatus() === 0) done(undefined, Buffer.concat(chunks).length);
        else done(undefined, undefined);
      });
      request.stderr.resume();
      request.stdin.end(load === 'post' ? upload : undefined);
    });
  };
}
