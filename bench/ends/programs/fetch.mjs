/** `fromFetch` of fastway/app. */
import { fromFetch, serve } from 'fastway/app';
import { binary, html, page, path, pieces } from './answers.mjs';

async function answer(request) {
  const { pathname } = new URL(request.url);
  if (pathname === '/echo') {
    return new Response(await request.arrayBuffer(), { headers: { 'Content-Type': binary } });
  }
  if (pathname === '/file') return new Response(streamFile(), { headers: { 'Content-Type': binary } });
  return new Response(page, { headers: { 'Content-Type': html } });
}

function streamFile() {
  let next = 0;
  return new ReadableStream({
    pull(controller) {
      controller.enqueue(pieces[next++]);
      if (next === pieces.length) controller.close();
    },
  });
}

await serve(fromFetch(answer), { listen: `unix:${path}` });
