// An Express application that answers FastCGI: nginx, Apache, lighttpd, Caddy or Fastway stands in front of it.
//
//   npm install fastway express
//   node app.mjs unix:/tmp/app-express.sock
//
// Without an address it serves the socket that it was started with, as by lighttpd's "bin-path" or spawn-fcgi.
import express from 'express';
import { fromHttp, serve } from 'fastway/app';

const app = express();

app.get('/', (request, response) => {
  response.send(`<h1>Hello</h1><p>${request.ip} asked for ${request.protocol}://${request.host}${request.url}</p>\n`);
});

app.post('/sum', express.json(), (request, response) => {
  const { numbers } = request.body;
  response.json({ sum: numbers.reduce((sum, number) => sum + number, 0) });
});

// Any web server of this machine may connect; 0o660 and a common group is stricter.
const server = await serve(fromHttp(app), { listen: process.argv[2], mode: 0o666 });
console.log('Ready for a web server');

// Answers what has come, takes nothing new, and gives up after 10 seconds.
for (const signal of ['SIGINT', 'SIGTERM']) {
  process.once(signal, () => server.close(10_000));
}
