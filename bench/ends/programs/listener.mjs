/** The bench's application for node:http, and for what looks like it. */
import { binary, html, page, pieces } from './answers.mjs';

export function listener(request, response) {
  if (request.url === '/echo') echo(request, response);
  else if (request.url === '/file') sendFile(response);
  else {
    response.writeHead(200, { 'Content-Type': html });
    response.end(page);
  }
}

function echo(request, response) {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    response.writeHead(200, { 'Content-Type': binary });
    response.end(Buffer.concat(chunks));
  });
}

function sendFile(response) {
  response.writeHead(200, { 'Content-Type': binary });
  let next = 0;
  const send = () => {
    while (next < pieces.length) {
      if (!response.write(pieces[next++])) {
        response.once('drain', send);
        return;
      }
    }
    response.end();
  };
  send();
}
