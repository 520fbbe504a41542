// PHP inside a server of node:http.
//
//   npm install fastway
//   node node-http.mjs 8080
import { createServer } from 'node:http';
import { gateway, whenStopped } from './gateway.mjs';

const server = createServer((request, response) => {
  // Called when no rule of the gateway matches.
  gateway.listener(request, response, () => response.end('node:http greets you\n'));
});

server.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
whenStopped(() => server.close());
