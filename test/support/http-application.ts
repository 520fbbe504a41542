/** A node:http application that shows what it got and sends what it is asked for; run through `fromHttp` by tests. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { pipeline } from 'node:stream/promises';
import { measureBody } from './http-client.ts';
import { patternStream } from './pattern.ts';

/** Hears of what was given up. */
export interface HttpApplicationWatcher {
  /** The body of `/body` did not come whole. */
  cut(): void;
  /** The client of `/endless` is gone. */
  closed(): void;
}

/** Makes the request listener. */
export function createHttpApplication(
  watcher: HttpApplicationWatcher,
): (request: IncomingMessage, response: ServerResponse) => Promise<void> {
  return async (request, response) => {
    const url = new URL(request.url!, 'http://any');
    switch (url.pathname) {
      case '/body':
        response.setHeader('Content-Type', 'application/json');
        try {
          response.end(JSON.stringify(await measureBody(request)));
        } catch {
          watcher.cut();
          response.destroy();
        }
        return;
      case '/download': {
        const bytes = Number(url.searchParams.get('bytes'));
        response.writeHead(200, { 'Content-Type': 'application/octet-stream', 'Content-Length': bytes });
        await pipeline(patternStream(bytes), response);
        return;
      }
      case '/endless':
        response.writeHead(200, { 'Content-Type': 'application/octet-stream' });
        response.once('close', () => watcher.closed());
        while (!response.destroyed) {
          if (!response.write(Buffer.alloc(16_384, 'x'))) {
            await Promise.race([once(response, 'drain'), once(response, 'close')]);
          }
          await new Promise((resolve) => setImmediate(resolve));
        }
        return;
      case '/cookies':
        response.writeHead(404, { 'Content-Type': 'text/plain', 'Set-Cookie': ['a=1', 'b=2; Path=/'] });
        response.end('nothing here');
        return;
      case '/redirect':
        response.writeHead(302, { Location: '/elsewhere?a=b' });
        response.end();
        return;
      case '/nonce':
        // Long enough for others to come in between.
        await new Promise((resolve) => setTimeout(resolve, 5));
        response.setHeader('Content-Type', 'text/plain');
        for (const line of [url.search, await readText(request)]) response.write(`${line}\n`);
        response.end();
        return;
      default:
        response.setHeader('Content-Type', 'application/json');
        response.end(JSON.stringify(describe(request)));
    }
  };
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += chunk;
  return text;
}

/** What `/` and all other paths answer with. */
export interface DescribedRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: IncomingMessage['headers'];
  readonly remoteAddress: string;
  readonly encrypted: boolean;
}

function describe({ method, url, headers, socket }: IncomingMessage): DescribedRequest {
  return {
    method: method!,
    url: url!,
    headers,
    remoteAddress: socket.remoteAddress!,
    encrypted: (socket as typeof socket & { encrypted: boolean }).encrypted,
  };
}
