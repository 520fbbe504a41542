// PHP inside Fastify. A prefix, as { gateway, prefix: '/php' }, limits it to one part of the site.
//
//   npm install fastway fastify
//   node fastify.mjs 8080
import fastify from 'fastify';
import { fastwayPlugin } from 'fastway/adapters/fastify';
import { gateway, whenStopped } from './gateway.mjs';

const app = fastify();
app.register(fastwayPlugin, { gateway });
app.get('/', async () => 'Fastify greets you\n');

console.log(await app.listen({ port: Number(process.argv[2] ?? 8080), host: '127.0.0.1' }));
whenStopped(() => app.close());
