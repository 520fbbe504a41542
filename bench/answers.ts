/** Asks a server before it is measured: a fast wrong answer is no answer. */
import { type IncomingMessage, request } from 'node:http';
import { pageAfter, streamByteAt, streamBytes } from './responder.ts';

/** GET of the small page, POST of a binary body, GET of the stream. @throws {Error} that says what was wrong */
export async function checkAnswers(origin: string): Promise<void> {
  await expectBody(`${origin}/index.php`, undefined, Buffer.from(pageAfter(0)));
  const upload = Buffer.alloc(100_000, 7);
  await expectBody(`${origin}/index.php`, upload, Buffer.from(pageAfter(upload.length)));
  const stream = Buffer.alloc(streamBytes);
  for (let offset = 0; offset < streamBytes; offset++) stream[offset] = streamByteAt(offset);
  await expectBody(`${origin}/stream.php`, undefined, stream);
}

async function expectBody(url: string, upload: Buffer | undefined, expected: Buffer): Promise<void> {
  const response = await send(url, upload);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  if (response.statusCode !== 200) {
    throw new Error(`${url} answered ${response.statusCode}: ${body.toString().slice(0, 300)}`);
  }
  if (!body.equals(expected)) {
    throw new Error(`${url} answered ${body.length} bytes that are not the ${expected.length} expected`);
  }
}

function send(url: string, upload: Buffer | undefined): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { method: upload === undefined ? 'GET' : 'POST', agent: false }, resolve);
    sent.once('error', (error) => reject(new Error(`${url}: ${error.message}`)));
    sent.end(upload);
  });
}
