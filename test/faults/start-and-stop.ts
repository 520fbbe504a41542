/** A start that cannot be, and stops under load. */

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { Agent } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { join } from 'node:path';
import type { ConfigInput } from '../../src/config/types.ts';
import { copyApplication } from '../support/applications.ts';
import { createFileGate } from '../support/file-gate.ts';
import { freePort } from '../support/free-port.ts';
import { type GatewayProcess, runFastway, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { isAlive } from '../support/process-facts.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';
import { see } from './fault-gateway.ts';
import { Gate } from './gate.ts';
import type { Situation } from './stage.ts';

interface StoppingStage {
  readonly gateway: GatewayProcess;
  readonly application: ScriptedApplication;
  /** Of `play=gate`, at the remote application. */
  readonly gate: Gate;
  /** Of an interpreter that the gateway started. */
  readonly interpreter: number;
}

/** Gives `run` a gateway over a remote application, and at `/own` an interpreter that runs; it may stop the gateway. */
async function withInterpreter(
  limits: ConfigInput['limits'],
  run: (stage: StoppingStage) => Promise<string>,
): Promise<string> {
  const gate = new Gate();
  const application = await startScriptedApplication({ scenarios: { gate: gate.play } });
  const handler = (source: string) => ({ type: 'fastcgi' as const, checkFile: false, source });
  const gateway = await startGateway({
    config: {
      limits,
      sources: {
        remote: { address: application.address },
        own: { interpreter: ['perl', join(copyApplication('perl'), 'pid.pl')] },
      },
      virtualServers: [
        {
          documentRoot: createTestDirectory(),
          rules: [{ match: { directory: '/own' }, handler: handler('own') }, { handler: handler('remote') }],
        },
      ],
    },
  });
  try {
    const { text } = await fetchAnswer(gateway.origin, '/own/');
    const interpreter = Number(/pid=(\d+)/.exec(text)?.[1]);
    const result = await run({ gateway, application, gate, interpreter });
    assert.equal(isAlive(interpreter), false, 'the interpreter outlives the gateway');
    return result;
  } finally {
    await gateway.stop('SIGKILL');
    await application.close();
  }
}

export const startAndStop: readonly Situation[] = [
  {
    rows: 'F53',
    title: 'a start with a broken configuration',
    promise: 'refused with every mistake and its line, exit 1, nothing listens',
    run: async () => {
      const port = await freePort();
      const file = join(createTestDirectory(), 'fastway.config.json');
      const lines = [
        `{ "listen": [{ "host": "127.0.0.1", "port": ${port} }],`,
        '"sources": { "a": { "adress": "tcp://127.0.0.1:9000" } },',
        '"virtualServers": [{ "documentRoot": "/no/such/folder",',
        '"rules": [{ "handler": { "type": "fastcgi", "source": "b" } }] }] }',
      ];
      writeFileSync(file, lines.join('\n'));
      const { code, stderr } = await runFastway(['serve', '--config', file]);
      assert.equal(code, 1);
      assert.match(stderr, /:2: .*adress.*did you mean/i);
      assert.match(stderr, /:3: .*\/no\/such\/folder/);
      assert.match(stderr, /:4: .*"?b"?/);
      await assert.rejects(fetchAnswer(`http://127.0.0.1:${port}`, '/'), { code: 'ECONNREFUSED' });
      return 'refused, exit 1';
    },
  },
  {
    rows: 'F55',
    title: 'one of two listeners is in use (EADDRINUSE)',
    promise: 'one sentence, exit 1, the other is not listened on either',
    run: async () => {
      const holder = createServer().listen(0, '127.0.0.1');
      await once(holder, 'listening');
      const [free, { port: taken }] = [await freePort(), holder.address() as AddressInfo];
      const file = join(createTestDirectory(), 'fastway.config.json');
      const listen = [free, taken].map((port) => ({ host: '127.0.0.1', port }));
      const rules = [{ handler: { type: 'files' } }];
      const virtualServers = [{ documentRoot: createTestDirectory(), rules }];
      writeFileSync(file, JSON.stringify({ listen, virtualServers }));
      try {
        const { code, stderr } = await runFastway(['serve', '--config', file]);
        assert.equal(code, 1);
        assert.match(stderr, new RegExp(`^Port ${taken} is in use by .+; stop that program, or .+\n$`));
        await assert.rejects(fetchAnswer(`http://127.0.0.1:${free}`, '/'), { code: 'ECONNREFUSED' });
      } finally {
        holder.close();
      }
      return 'one sentence, exit 1';
    },
  },
  {
    rows: 'F56',
    title: 'SIGTERM with 20 requests under way and an idle client',
    promise: 'all are answered with Connection: close, nobody is accepted, children gone, exit 0',
    run: () =>
      withInterpreter({}, async ({ gateway, gate }) => {
        const fileGate = createFileGate();
        const agent = new Agent({ keepAlive: true });
        const idle = connect(gateway.port, '127.0.0.1');
        await once(idle, 'connect');
        const idleClosed = once(idle.resume(), 'close');
        const remote = Array.from({ length: 19 }, () => see(gateway.origin, '/?play=gate', { agent }));
        const own = see(gateway.origin, `/own/?${fileGate.query}`, { agent });
        await until(() => gate.waiting === 19 && fileGate.arrived().length === 1, 'all run');
        const stopped = gateway.stop();
        await idleClosed;
        await assert.rejects(fetchAnswer(gateway.origin, '/'), { code: 'ECONNREFUSED' });
        gate.open();
        fileGate.open();
        for (const { status, headers } of [...(await Promise.all(remote)), await own]) {
          assert.deepEqual([status, headers.connection], [200, 'close']);
        }
        assert.deepEqual(await stopped, { code: 0, signal: null });
        agent.destroy();
        return '20 of 20 answered, exit 0';
      }),
  },
  {
    rows: 'F56',
    title: 'SIGTERM, and a request outlasts shutdownGraceMs',
    promise: 'it is cut, children gone, exit 0',
    run: () =>
      withInterpreter({ shutdownGraceMs: 300 }, async ({ gateway, application }) => {
        const endless = see(gateway.origin, '/?play=drip&ms=20&count=100000');
        await until(() => application.requests.length === 1, 'it runs');
        assert.deepEqual(await gateway.stop(), { code: 0, signal: null });
        assert.equal((await endless).isCut, true);
        return 'cut, exit 0';
      }),
  },
  {
    rows: 'F56',
    title: 'a second SIGTERM while requests run',
    promise: 'they are cut at once, children gone, exit 1',
    run: () =>
      withInterpreter({}, async ({ gateway, application }) => {
        const endless = see(gateway.origin, '/?play=drip&ms=20&count=100000');
        await until(() => application.requests.length === 1, 'it runs');
        const stopped = gateway.stop();
        await waitForLine(gateway, /again to stop at once/);
        process.kill(gateway.pid, 'SIGTERM');
        assert.deepEqual(await stopped, { code: 1, signal: null });
        assert.equal((await endless).isCut, true);
        return 'cut, exit 1';
      }),
  },
];
