/** Many requests at a time on few connections, in seeded interleavings: nothing is mixed, lost, or held without a limit. */
import assert from 'node:assert/strict';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { startApplication } from '../../test/support/application-client.ts';
import { createRandom } from '../../test/support/random.ts';
import { beginRequest, params, record, stdin } from '../../test/support/record-builder.ts';
import type { ApplicationRequest } from './request.ts';

const none = Buffer.alloc(0);

/** Answers with the request's own name before every piece of its body, and says it once more on STDERR. */
async function echo(request: ApplicationRequest): Promise<void> {
  const name = request.params.get('NAME')!;
  try {
    for await (const chunk of request.stdin) {
      const text = `[${name}:${chunk}]`;
      if (!request.write(request.params.get('AS') === 'bytes' ? Buffer.from(text) : text))
        await request.drained();
    }
  } catch (error) {
    if (!request.aborted) throw error;
  }
  request.writeError(name);
  request.end(Number(name));
}

interface Sent {
  readonly name: string;
  readonly pieces: string[];
  aborted: boolean;
  output: string;
  errors: string;
}

/** A web server with so many ids in use at a time on one connection. */
class MultiplexedClient {
  readonly socket: Socket;
  readonly active = new Map<number, Sent>();
  done = 0;
  aborts = 0;
  #input: Buffer = none;

  constructor(path: string) {
    this.socket = connect(path);
    this.socket.on('data', (chunk) => this.#read(chunk));
  }

  #read(chunk: Buffer): void {
    this.#input = Buffer.concat([this.#input, chunk]);
    for (;;) {
      if (this.#input.length < 8) return;
      const length = this.#input.readUInt16BE(4);
      const size = 8 + length + this.#input[6]!;
      if (this.#input.length < size) return;
      this.#take(this.#input[1]!, this.#input.readUInt16BE(2), this.#input.subarray(8, 8 + length));
      this.#input = this.#input.subarray(size);
    }
  }

  #take(type: number, id: number, content: Buffer): void {
    const sent = this.active.get(id);
    assert.ok(sent, `type ${type} came for request ${id}, which is not active`);
    if (type === 6) sent.output += content;
    else if (type === 7) sent.errors += content;
    else this.#end(type, id, content, sent);
  }

  #end(type: number, id: number, content: Buffer, sent: Sent): void {
    assert.equal(type, 3);
    this.active.delete(id);
    this.done++;
    if (sent.aborted) this.aborts++;
    // An aborted request that had not run yet has said nothing.
    if (sent.aborted && sent.errors === '') return;
    assert.equal(content.readUInt32BE(0), Number(sent.name));
    assert.equal(sent.errors, sent.name);
    const body = [...sent.output.matchAll(/\[(\d+):([^\]]*)\]/g)].map(([, name, text]) => {
      assert.equal(name, sent.name);
      return text;
    });
    const whole = sent.pieces.join('');
    if (sent.aborted) assert.ok(whole.startsWith(body.join('')));
    else assert.equal(body.join(''), whole);
  }
}

test('4000 requests in seeded interleavings on 4 connections, a tenth aborted: every answer is its own', async (t) => {
  const { path } = await startApplication(t, echo, { requestsPerConnectionMax: 64 });
  const random = createRandom(20261124);
  const upTo = (limit: number) => Math.floor(random() * limit);
  let number = 0;

  /** One step of a connection: begin a request, go on with one, end one, or abort one. */
  const step = (client: MultiplexedClient, open: Map<number, Sent>): Buffer => {
    const ids = [...open.keys()];
    if (ids.length < 12 && number < 4000) {
      let id = 1 + upTo(64);
      while (client.active.has(id)) id = 1 + (id % 64);
      const sent: Sent = { name: String(number++), pieces: [], aborted: false, output: '', errors: '' };
      client.active.set(id, sent);
      open.set(id, sent);
      const variables = { NAME: sent.name, AS: random() < 0.5 ? 'bytes' : 'text' };
      return Buffer.concat([beginRequest(1, 1, id), params(variables, id)]);
    }
    const id = ids[upTo(ids.length)]!;
    const sent = open.get(id)!;
    if (random() < 0.6) {
      const piece = `${sent.name}.`.repeat(1 + upTo(random() < 0.02 ? 5000 : 20));
      sent.pieces.push(piece);
      return stdin(piece, id);
    }
    open.delete(id);
    sent.aborted = random() < 0.1;
    return sent.aborted ? record(2, id, none) : stdin('', id);
  };

  const run = async () => {
    const client = new MultiplexedClient(path);
    const open = new Map<number, Sent>();
    while (number < 4000 || open.size > 0) {
      const steps = [];
      for (let i = upTo(40); i >= 0 && (number < 4000 || open.size > 0); i--) steps.push(step(client, open));
      if (!client.socket.write(Buffer.concat(steps))) {
        await new Promise((resolve) => client.socket.once('drain', resolve));
      }
      // Answers come while requests go.
      await new Promise((resolve) => setImmediate(resolve));
      while (client.active.size > 40) await new Promise((resolve) => setImmediate(resolve));
    }
    while (client.active.size > 0) await new Promise((resolve) => setImmediate(resolve));
    client.socket.destroy();
    return client;
  };
  const clients = await Promise.all([run(), run(), run(), run()]);
  const sum = (count: (client: MultiplexedClient) => number) =>
    clients.reduce((total, client) => total + count(client), 0);
  assert.equal(
    sum(({ done }) => done),
    4000,
  );
  assert.ok(sum(({ aborts }) => aborts) > 200);
});

test('a request that does not read holds 64 KiB, and the others on its connection go on until then', async (t) => {
  let release = () => {};
  const { path } = await startApplication(t, async (request) => {
    if (request.params.get('NAME') === '1') {
      await new Promise<void>((resolve) => {
        release = resolve;
      });
    }
    await echo(request);
  });
  const client = new MultiplexedClient(path);
  const add = (id: number, pieces: string[]) => {
    const sent: Sent = { name: String(id), pieces, aborted: false, output: '', errors: '' };
    client.active.set(id, sent);
    const body = pieces.map((piece) => stdin(piece, id));
    return Buffer.concat([beginRequest(1, 1, id), params({ NAME: sent.name }, id), ...body, stdin('', id)]);
  };
  client.socket.write(add(1, ['x'.repeat(60_000)]));
  client.socket.write(add(2, ['y'.repeat(60_000), 'z'.repeat(60_000)]));
  while (client.active.has(2)) await new Promise((resolve) => setImmediate(resolve));
  assert.ok(client.active.has(1));
  release();
  while (client.active.has(1)) await new Promise((resolve) => setImmediate(resolve));
  client.socket.destroy();
});
