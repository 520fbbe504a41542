/** WebSocket over FastCGI: a client by hand (RFC 6455), our gateway, and an application of ours that agrees or does not. */
import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ApplicationRequest, type ApplicationServer, serve } from '../../src/app/index.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { freePort } from '../support/free-port.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

/** RFC 6455 1.3. */
const acceptGuid = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const key = 'dGhlIHNhbXBsZSBub25jZQ==';

/** A binary frame with a length of 64 bits, masked as clients do (RFC 6455 5.2). */
function frame(payload: Buffer): Buffer {
  const head = Buffer.alloc(10);
  head[0] = 0x82;
  head[1] = 0x80 | 127;
  head.writeBigUInt64BE(BigInt(payload.length), 2);
  const mask = randomBytes(4);
  return Buffer.concat([head, mask, payload.map((byte, index) => byte ^ mask[index & 3]!)]);
}

/** Collects what a socket hears. */
class Heard {
  readonly socket: Socket;
  closed = false;
  #chunks: Buffer[] = [];
  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk) => this.#chunks.push(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.closed = true;
    });
  }
  get bytes(): Buffer {
    this.#chunks = [Buffer.concat(this.#chunks)];
    return this.#chunks[0]!;
  }
  get headLength(): number {
    const end = this.bytes.indexOf('\r\n\r\n');
    return end === -1 ? -1 : end + 4;
  }
}

describe('upgrade', () => {
  let application: ApplicationServer;
  let gateway: Gateway;
  let port: number;
  const asked: string[] = [];
  const told: string[] = [];
  const sockets: Socket[] = [];

  function answer(request: ApplicationRequest): Promise<void> {
    const path = request.params.get('REQUEST_URI')!;
    asked.push(`${path} ${request.params.get('HTTP_UPGRADE')} ${request.params.get('HTTP_CONNECTION')}`);
    if (request.params.get('HTTP_UPGRADE') === undefined) {
      request.write('Status: 426\r\nContent-Type: text/plain\r\n\r\nspeak WebSocket');
      request.end();
      return Promise.resolve();
    }
    if (path === '/no') {
      request.write('Status: 403\r\nContent-Type: text/plain\r\n\r\nno');
      request.end();
      return Promise.resolve();
    }
    const accept = createHash('sha1')
      .update(request.params.get('HTTP_SEC_WEBSOCKET_KEY') + acceptGuid)
      .digest('base64');
    request.write(`Status: 101\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: ${accept}\r\n\r\nready`);
    return new Promise((resolve) => {
      request.whenAborted(() => {
        told.push(path);
        resolve();
      });
      const reader = request.readStdin({
        data(chunk) {
          if (path === '/die') {
            request.cut();
            resolve();
          } else if (path === '/bye') {
            request.write('bye');
            request.end();
            resolve();
          } else if (!request.write(chunk)) {
            request.whenDrained(() => reader.resume());
            return false;
          }
          return true;
        },
        end() {},
        error() {},
      });
    });
  }

  before(async () => {
    const folder = createTestDirectory();
    const path = join(folder, 'app.sock');
    application = await serve(answer, { listen: `unix:${path}` });
    port = await freePort();
    const handler = { type: 'fastcgi', source: 'app', checkFile: false } as const;
    gateway = await createGateway({
      listen: [{ host: '127.0.0.1', port }],
      sources: { app: { address: `unix:${path}` } },
      virtualServers: [
        {
          documentRoot: folder,
          accessLog: false,
          rules: [{ match: { path: '/plain' }, handler }, { handler: { ...handler, upgrade: true } }],
        },
      ],
    });
    await gateway.listen();
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await gateway?.close();
    await application?.close();
  });

  async function open(path: string, protocol = 'websocket'): Promise<Heard> {
    const socket = connect(port, '127.0.0.1');
    sockets.push(socket);
    const heard = new Heard(socket);
    socket.write(
      `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: ${protocol}\r\n` +
        `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\n\r\n`,
    );
    await until(() => heard.headLength !== -1, 'what the test waits for');
    return heard;
  }

  it('a client and an application speak WebSocket, in both directions, more than fits anywhere', async () => {
    const client = await open('/echo');
    const head = client.bytes.toString('latin1', 0, client.headLength);
    assert.match(head, /^HTTP\/1\.1 101 Switching Protocols\r\n/);
    assert.match(head, /^Upgrade: websocket\r$/m);
    assert.match(head, /^Connection: Upgrade\r$/m);
    assert.match(head, /^Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK\+xOo=\r$/m);
    const sent = frame(randomBytes(8_000_000));
    client.socket.write(sent);
    const wanted = Buffer.concat([Buffer.from('ready'), sent]);
    await until(() => client.bytes.length >= client.headLength + wanted.length, 'what the test waits for');
    assert.ok(client.bytes.subarray(client.headLength).equals(wanted));
    assert.ok(asked.includes('/echo websocket Upgrade'));
    client.socket.end();
    await until(() => told.includes('/echo') && client.closed, 'what the test waits for');
  });

  it('an application that ends closes the connection, after its last bytes', async () => {
    const client = await open('/bye');
    client.socket.write('x');
    await until(() => client.closed, 'what the test waits for');
    assert.equal(client.bytes.toString('latin1', client.headLength), 'readybye');
  });

  it('an application that dies closes the connection', async () => {
    const client = await open('/die');
    client.socket.write('x');
    await until(() => client.closed, 'what the test waits for');
  });

  it('a refusal is an answer like every other', async () => {
    const client = await open('/no');
    await until(() => client.bytes.toString().endsWith('no'), 'what the test waits for');
    assert.match(client.bytes.toString(), /^HTTP\/1\.1 403 /);
    // The connection stays HTTP.
    client.socket.write('GET /again HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n');
    await until(() => client.closed, 'what the test waits for');
    assert.match(client.bytes.toString(), /HTTP\/1\.1 426 [\s\S]*speak WebSocket$/);
  });

  it('where the rule does not say so, and for h2c, an upgrade is ignored', async () => {
    for (const client of [await open('/plain'), await open('/echo2', 'h2c')]) {
      assert.match(client.bytes.toString(), /^HTTP\/1\.1 426 /);
      client.socket.destroy();
      await once(client.socket, 'close');
    }
  });
});
