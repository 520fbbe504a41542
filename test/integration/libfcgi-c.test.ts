/**
 * Programs in C on libfcgi behind the whole gateway, which starts them: one that echoes, one with threads, one that
 * never reads its input. Authorizer and Filter in C are in access.test.ts.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { interpreterUser } from '../support/applications.ts';
import { compile } from '../support/fastcgi-programs.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const threads = 4;

const hash = (bytes: Uint8Array | string) => createHash('sha256').update(bytes).digest('hex');

for (const keepConnections of [0, 2]) {
  describe(`C on libfcgi, ${keepConnections} connections kept`, () => {
    let gateway: GatewayProcess;
    before(async () => {
      const program = (name: 'echo' | 'threaded' | 'deaf', ...args: string[]) => ({
        address: `unix:{runtimeDir}/${name}.sock`,
        interpreter: [compile(name), '{path}', ...args],
        keepConnections,
        ...interpreterUser(),
      });
      const rule = (name: string) => ({
        match: { directory: `/${name}` },
        handler: { type: 'fastcgi' as const, source: name, checkFile: false },
      });
      gateway = await startGateway({
        config: {
          sources: {
            echo: program('echo'),
            threaded: program('threaded', String(threads)),
            deaf: program('deaf'),
          },
          virtualServers: [
            { documentRoot: createTestDirectory(), rules: ['echo', 'threaded', 'deaf'].map(rule) },
          ],
        },
      });
    });
    after(() => gateway?.stop());

    const ask = (path: string, body?: Uint8Array) =>
      fetchAnswer(gateway.origin, path, {
        method: body === undefined ? 'GET' : 'POST',
        ...(body && { body }),
      });

    it('echo: variables arrive', async () => {
      const { status, text } = await ask('/echo/a%20b?c=%64');
      assert.equal(status, 200);
      for (const line of [
        'SCRIPT_NAME=/echo',
        'PATH_INFO=/a b',
        'QUERY_STRING=c=%64',
        'FCGI_ROLE=RESPONDER',
      ]) {
        assert.ok(text.split('\n').includes(line), `${line} in ${text}`);
      }
    });

    for (const bytes of [0, 1, 65_535, 65_536, 3_000_000]) {
      it(`echo: a body of ${bytes} bytes goes there and back`, async () => {
        const body = Buffer.alloc(bytes, '0123456789abcdef\n');
        const { body: answer } = await ask('/echo/', body);
        const start = answer.indexOf('\n\n') + 2;
        assert.equal(answer.length - start, bytes);
        assert.equal(hash(answer.subarray(start)), hash(body));
      });
    }

    it('threaded: requests at once each get their own answer, from every thread', async () => {
      const seen = new Set<string>();
      // More than there are threads, so that some wait; as often as it takes the system to use all threads.
      for (let round = 0; round < 20 && seen.size < threads; round++) {
        await Promise.all(
          Array.from({ length: 12 }, async (_, i) => {
            const { status, text } = await ask(`/threaded/?round=${round}&number=${i}`);
            assert.equal(status, 200);
            const [thread, query] = text.split(' ');
            assert.equal(query, `round=${round}&number=${i}`);
            seen.add(thread!);
          }),
        );
      }
      assert.equal(seen.size, threads);
    });

    it('deaf: its answer arrives although it reads nothing, and so does the next one', async () => {
      for (const bytes of [10, 5_000_000, 5_000_000]) {
        const { status, text } = await ask('/deaf/', Buffer.alloc(bytes, 'x'));
        assert.equal(status, 200);
        assert.equal(text, `${bytes} bytes, and not one was read`);
      }
      assert.equal((await ask('/deaf/')).text, 'no bytes, and not one was read');
    });
  });
}
