// PHP inside Express. The gateway stands before body parsers, since it reads bodies by itself.
//
//   npm install fastway express
//   node express.mjs 8080
import express from 'express';
import { gateway, whenStopped } from './gateway.mjs';

const app = express();
app.use(gateway.listener);
app.use(express.json());
app.get('/', (_request, response) => response.send('Express greets you\n'));

const server = app.listen(Number(process.argv[2] ?? 8080), '127.0.0.1', () => {
  console.log(`http://127.0.0.1:${server.address().port}`);
});
whenStopped(() => server.close());
