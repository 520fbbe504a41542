/** `createClient` of fastway/client. */
import { createClient } from 'fastway/client';
import { upload } from './request.mjs';

const scripts = { page: '/srv/www/index.php', post: '/srv/www/index.php', file: '/srv/www/stream.php' };

export function connect(path, connections) {
  const client = createClient(`unix:${path}`, { keepConnections: connections === 'kept' ? 32 : 0 });
  return (load, done) => {
    client
      .request({
        script: scripts[load],
        headers: { 'User-Agent': 'bench' },
        body: load === 'post' ? upload : undefined,
      })
      .then((response) => response.bytes())
      .then((body) => done(undefined, body.length), done);
  };
}
