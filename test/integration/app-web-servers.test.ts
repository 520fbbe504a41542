/** Our application side behind the web servers of others: what they send is understood, what we answer arrives. */
import assert from 'node:assert/strict';
import { chmodSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ApplicationHandler, fromHttp, serveConnection } from '../../src/app/index.ts';
import { createHttpApplication, type DescribedRequest } from '../support/http-application.ts';
import { fetchAnswer, measureBody, openAnswer } from '../support/http-client.ts';
import { patternDigest, patternStream } from '../support/pattern.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';
import { responderServers, startWebServer, type WebServer } from '../support/web-servers.ts';

const large = 64 * 1024 * 1024;
const largeDigest = patternDigest(large);

for (const [name, { setup, keeps, multiplexes, streams }] of Object.entries(responderServers)) {
  describe(`behind ${name}`, () => {
    let web: WebServer;
    let application: Server;
    let accepted = 0;
    let requests = 0;
    let idMax = 0;
    let closed = 0;
    let cut = 0;

    before(async () => {
      const http = fromHttp(createHttpApplication({ cut: () => cut++, closed: () => closed++ }));
      const handler: ApplicationHandler = (incoming) => {
        requests++;
        idMax = Math.max(idMax, incoming.id);
        return http(incoming);
      };
      application = createServer({ pauseOnConnect: true }, (socket) => {
        accepted++;
        void serveConnection(socket, handler);
      });
      const path = join(createTestDirectory(), 'app.sock');
      await new Promise<void>((resolve) => application.listen(path, resolve));
      // Web servers give up root.
      chmodSync(path, 0o777);
      web = await startWebServer(setup, path);
    });
    after(async () => {
      await web?.stop();
      application?.close();
    });

    it('a GET is the one that the client sent', async () => {
      const answer = await fetchAnswer(web.origin, '/a%20b/c?d=e%2F&f', {
        headers: { Host: 'site.example:8080', 'X-Question': 'why', Cookie: 'a=b; c=d' },
      });
      assert.equal(answer.status, 200, web.log());
      const { method, url, headers, remoteAddress, encrypted }: DescribedRequest = JSON.parse(answer.text);
      assert.deepEqual(
        { method, url, remoteAddress, encrypted },
        { method: 'GET', url: '/a%20b/c?d=e%2F&f', remoteAddress: '127.0.0.1', encrypted: false },
      );
      assert.equal(headers.host, 'site.example:8080');
      assert.equal(headers['x-question'], 'why');
      assert.equal(headers.cookie, 'a=b; c=d');
      assert.equal(headers.connection, undefined);
    });

    it('status, repeated fields, body, redirect and HEAD arrive', async () => {
      const answer = await fetchAnswer(web.origin, '/cookies');
      assert.equal(answer.status, 404);
      assert.deepEqual(answer.headers['set-cookie'], ['a=1', 'b=2; Path=/']);
      assert.equal(answer.text, 'nothing here');
      const redirect = await fetchAnswer(web.origin, '/redirect');
      assert.equal(redirect.status, 302);
      assert.match(String(redirect.headers.location), /(^|:\d+)\/elsewhere\?a=b$/);
      const head = await fetchAnswer(web.origin, '/download?bytes=1000', { method: 'HEAD' });
      assert.equal(head.status, 200);
      // Apache believes no length that a CGI program tells.
      assert.equal(head.headers['content-length'] ?? '1000', '1000');
      assert.equal(head.text, '');
    });

    it('small and empty bodies of POST arrive', async () => {
      for (const body of ['', 'x', 'a=1&b=%20']) {
        const answer = await fetchAnswer(web.origin, '/body', {
          method: 'POST',
          headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
          body,
        });
        assert.equal(answer.status, 200, web.log());
        assert.equal(JSON.parse(answer.text).bytes, body.length);
      }
    });

    it('64 MiB up and down arrive whole', async () => {
      const up = await fetchAnswer(web.origin, '/body', {
        method: 'PUT',
        headers: { 'Content-Type': 'application/octet-stream', 'Content-Length': large },
        body: patternStream(large),
      });
      assert.equal(up.status, 200, web.log());
      assert.deepEqual(JSON.parse(up.text), { bytes: large, sha256: largeDigest });
      const down = await openAnswer(web.origin, `/download?bytes=${large}`);
      assert.deepEqual(await measureBody(down), { bytes: large, sha256: largeDigest });
    });

    it('a client that leaves ends the answer that nobody reads', async () => {
      const before = closed;
      const answer = await openAnswer(web.origin, '/endless');
      assert.equal(answer.statusCode, 200);
      await new Promise((resolve) => answer.once('data', resolve));
      answer.destroy();
      await until(() => closed > before, 'the end of the answer, at the application');
    });

    it('a client that leaves in its upload is no whole body', async () => {
      const before = requests;
      const upload = request(`${web.origin}/body`, { method: 'PUT', headers: { 'Content-Length': large } });
      upload.on('error', () => {});
      upload.write(Buffer.alloc(1_000_000));
      if (streams) await until(() => requests > before, 'the request, at the application');
      upload.destroy();
      if (streams) await until(() => cut === 1, 'the end of the request, at the application');
      await fetchAnswer(web.origin, '/');
      assert.equal(requests - before, streams ? 2 : 1);
    });

    it(`200 requests of 16 clients, each answered with its own${keeps ? ', on kept connections' : ''}`, async () => {
      const agent = new Agent({ keepAlive: true, maxSockets: 16 });
      const acceptedBefore = accepted;
      const requestsBefore = requests;
      let next = 0;
      const client = async () => {
        while (next < 200) {
          const nonce = `n${next++}`;
          const body = `${nonce} `.repeat(next);
          const answer = await fetchAnswer(web.origin, `/nonce?${nonce}`, { method: 'POST', body, agent });
          assert.equal(answer.status, 200, web.log());
          assert.equal(answer.text, `?${nonce}\n${body}\n`);
        }
      };
      await Promise.all(Array.from({ length: 16 }, client));
      agent.destroy();
      assert.equal(requests - requestsBefore, 200);
      if (keeps) assert.ok(accepted - acceptedBefore < 100, `${accepted - acceptedBefore} connections`);
      else assert.equal(accepted - acceptedBefore, 200);
      assert.equal(idMax > 1, multiplexes, `the highest request id was ${idMax}`);
    });
  });
}
