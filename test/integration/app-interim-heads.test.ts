/** 103 Early Hints from an application of ours, through the web servers that pass them on: Fastway and lighttpd. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ApplicationServer, fromHttp, serve } from '../../src/app/index.ts';
import { createGateway, type Gateway } from '../../src/index.ts';
import { freePort } from '../support/free-port.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { lighttpdResponder, startWebServer, type WebServer } from '../support/web-servers.ts';

const link = '</style.css>; rel=preload; as=style';

describe('early hints', () => {
  let application: ApplicationServer;
  let gateway: Gateway;
  let web: WebServer;
  const origins: Record<string, string> = {};
  before(async () => {
    const folder = createTestDirectory();
    const path = join(folder, 'app.sock');
    const handler = fromHttp(
      (_request, response) => {
        response.writeEarlyHints({ link, 'x-hint': 'yes' });
        response.writeProcessing();
        response.end('the page');
      },
      { interimHeads: true },
    );
    application = await serve(handler, { listen: `unix:${path}`, mode: 0o777 });
    gateway = await createGateway({
      listen: [{ host: '127.0.0.1', port: await freePort() }],
      sources: { app: { address: `unix:${path}` } },
      virtualServers: [
        {
          documentRoot: folder,
          accessLog: false,
          rules: [{ handler: { type: 'fastcgi', source: 'app', checkFile: false } }],
        },
      ],
    });
    origins.Fastway = (await gateway.listen())[0]!;
    web = await startWebServer(lighttpdResponder, path);
    origins.lighttpd = web.origin;
  });
  after(async () => {
    await web?.stop();
    await gateway?.close();
    await application?.close();
  });

  for (const server of ['Fastway', 'lighttpd']) {
    it(`reach the client before the answer, through ${server}`, async () => {
      const heard: unknown[] = [];
      const body = await new Promise<string>((resolve, reject) => {
        const outgoing = request(origins[server]!, { agent: false });
        outgoing.on('information', ({ statusCode, headers }) =>
          heard.push([statusCode, headers.link, headers['x-hint']]),
        );
        outgoing.on('response', async (answer) => {
          heard.push(answer.statusCode);
          let text = '';
          for await (const chunk of answer) text += chunk;
          resolve(text);
        });
        outgoing.on('error', reject);
        outgoing.end();
      });
      assert.equal(body, 'the page');
      assert.deepEqual(heard, [[103, link, 'yes'], [102, undefined, undefined], 200]);
    });
  }

  it('are not for a client of HTTP/1.0', async () => {
    const port = Number(new URL(origins.Fastway!).port);
    const { text } = await exchangeRaw(port, 'GET / HTTP/1.0\r\nHost: a\r\n\r\n');
    assert.match(text, /^HTTP\/1\.1 200 /);
    assert.ok(text.endsWith('the page'));
  });
});
