// A Hono application that answers FastCGI; any `(request) => response` function of the Fetch API works in the same way.
//
//   npm install fastway hono
//   node app.mjs unix:/tmp/app-fetch.sock
//
// Without an address it serves the socket that it was started with, as by lighttpd's "bin-path" or spawn-fcgi.
import { fromFetch, serve } from 'fastway/app';
import { Hono } from 'hono';

const app = new Hono();

// `env` is the FastCGI request: the web server's variables are in its `params`.
app.get('/', (context) => {
  const visitor = context.env.params.get('REMOTE_ADDR');
  return context.html(`<h1>Hello</h1><p>${visitor} asked for ${context.req.url}</p>\n`);
});

// Read as it comes: a large upload needs no memory.
app.put('/count', async (context) => {
  let bytes = 0;
  for await (const chunk of context.req.raw.body) bytes += chunk.length;
  return context.json({ bytes });
});

// Any web server of this machine may connect; 0o660 and a common group is stricter.
const server = await serve(fromFetch(app.fetch), { listen: process.argv[2], mode: 0o666 });
console.log('Ready for a web server');

// Answers what has come, takes nothing new, and gives up after 10 seconds.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.close(10_000));
}
