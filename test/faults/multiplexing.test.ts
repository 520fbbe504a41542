/**
 * G1 on shared connections, through the whole gateway, seeded: an application answers many requests of one connection in
 * pieces and in any order, a fifth of the clients leave, and no byte of an answer reaches anybody else.
 */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  type MultiplexedRequest,
  startMultiplexingApplication,
} from '../support/multiplexing-application.ts';
import { createRandom } from '../support/random.ts';
import { count } from './counts.ts';
import { startFaultGateway } from './fault-gateway.ts';
import { PlainClient } from './plain-client.ts';

const seed = Number(process.env.SEED ?? 20_261_127);

/** Sends a piece of any of the open answers, then of any other. */
function answerInTurns(random: () => number): (request: MultiplexedRequest) => void {
  const open: { request: MultiplexedRequest; pieces: string[] }[] = [];
  let isRunning = false;
  const step = () => {
    for (let i = 0; i < 40 && open.length > 0; i++) {
      const index = Math.floor(random() * open.length);
      const { request, pieces } = open[index]!;
      const piece = pieces.shift();
      if (piece !== undefined && !request.aborted) request.stdout(piece, Math.floor(random() * 64));
      else {
        open.splice(index, 1);
        request.end();
      }
    }
    isRunning = open.length > 0;
    if (isRunning) setImmediate(step);
  };
  return (request) => {
    const own = request.variables.get('QUERY_STRING')!;
    const body = Array.from({ length: Math.floor(random() * 4) }, () =>
      own.repeat(1 + Math.floor(random() * 200)),
    );
    open.push({ request, pieces: [`Content-Type: text/plain\r\nX-Nonce: ${own}\r\n\r\n`, ...body] });
    if (!isRunning) setImmediate(step);
    isRunning = true;
  };
}

test('G1: answers of many requests on shared connections never mix', async (t) => {
  const random = createRandom(seed);
  const application = await startMultiplexingApplication({ heard: answerInTurns(random) });
  const gateway = await startFaultGateway(
    { shared: { address: application.address, profile: 'multiplexing' } },
    { '/': ['shared'] },
  );
  // More than there are request ids.
  const total = count(100_000, 2_000);
  let next = 0;
  let answered = 0;
  let left = 0;
  let most = 0;
  const client = async () => {
    const connection = new PlainClient(gateway.origin);
    while (next < total) {
      const own = String(1_000_000 + next++);
      const text = `GET /?${own} HTTP/1.1\r\nHost: test\r\n\r\n`;
      const leave =
        random() < 0.8
          ? {}
          : random() < 0.5
            ? { afterSent: Math.floor(random() * (text.length + 1)) }
            : { afterReceived: Math.floor(random() * 1_000) };
      const answer = await connection.request(text, leave);
      most = Math.max(most, ...application.connections.slice(-3).map(({ requests }) => requests.size));
      if (answer === undefined) {
        left++;
        continue;
      }
      assert.equal(answer.status, 200, `seed ${seed}, request ${own}`);
      assert.deepEqual(answer.fields.get('x-nonce'), [own], `seed ${seed}`);
      assert.equal(answer.body.replaceAll(own, ''), '', `seed ${seed}, request ${own}`);
      answered++;
    }
    connection.close();
  };
  try {
    await Promise.all(Array.from({ length: 64 }, client));
    t.diagnostic(
      `${answered} answered, ${left} left early, up to ${most} at a time on a connection, seed ${seed}`,
    );
    assert.equal(answered + left, total);
    assert.ok(left > total * 0.05);
    assert.ok(most > 4, `at most ${most} requests shared a connection`);
    assert.ok(application.connections.length < total / 100, `${application.connections.length} connections`);
  } finally {
    await gateway.close();
    await application.close();
  }
});
