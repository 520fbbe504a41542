/** The plain handler of fastway/app. */
import { serve } from 'fastway/app';
import { binary, html, page, path, pieces } from './answers.mjs';

function answer(request) {
  const uri = request.params.get('REQUEST_URI');
  if (uri === '/echo') return echo(request);
  if (uri === '/file') return sendFile(request);
  request.write(`Content-Type: ${html}\r\n\r\n${page}`);
}

async function echo(request) {
  request.write(`Content-Type: ${binary}\r\n\r\n`);
  for await (const chunk of request.stdin) if (!request.write(chunk)) await request.drained();
}

async function sendFile(request) {
  request.write(`Content-Type: ${binary}\r\n\r\n`);
  for (const piece of pieces) if (!request.write(piece)) await request.drained();
}

await serve(answer, { listen: `unix:${path}` });
