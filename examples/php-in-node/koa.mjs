// PHP inside Koa. The gateway stands before body parsers, since it reads bodies by itself.
//
//   npm install fastway koa
//   node koa.mjs 8080
import { createKoaMiddleware } from 'fastway/adapters/koa';
import Koa from 'koa';
import { gateway, whenStopped } from './gateway.mjs';

const app = new Koa();
app.use(createKoaMiddleware(gateway));
app.use((context) => {
  context.body = 'Koa greets you\n';
});

const server = app.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
whenStopped(() => server.close());
