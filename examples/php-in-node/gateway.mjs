// The gateway that the examples beside it share: it runs the PHP files below ./site, and leaves everything else to JavaScript.
import { fileURLToPath } from 'node:url';
import { createGateway } from 'fastway';

export const gateway = await createGateway({
  sources: { php: { php: 'auto', workers: 2 } },
  virtualServers: [
    {
      documentRoot: fileURLToPath(new URL('site', import.meta.url)),
      accessLog: false,
      rules: [{ match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'php' } }],
    },
  ],
});

/** When the program is told to stop: first the server, then PHP. */
export function whenStopped(closeServer) {
  for (const signal of ['SIGINT', 'SIGTERM']) {
    process.once(signal, async () => {
      await closeServer();
      await gateway.close();
    });
  }
}
