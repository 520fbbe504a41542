// PHP inside Hono on Node. Elsewhere, `createFetchHandler` of fastway/adapters/fetch takes any Request.
//
//   npm install fastway hono @hono/node-server
//   node hono.mjs 8080
import { serve } from '@hono/node-server';
import { createHonoMiddleware } from 'fastway/adapters/hono';
import { Hono } from 'hono';
import { gateway, whenStopped } from './gateway.mjs';

const app = new Hono();
app.use(createHonoMiddleware(gateway));
app.get('/', (context) => context.text('Hono greets you\n'));

const options = { fetch: app.fetch, port: Number(process.argv[2] ?? 8080), hostname: '127.0.0.1' };
const server = serve(options, ({ port }) => console.log(`http://127.0.0.1:${port}`));
whenStopped(() => server.close());
