/**
 * Mutated HTTP over real sockets at the running gateway: connections that pipeline, half-close, reset, and send in pieces.
 * Each request carries a token that the application gives back, so that an answer shows whose it is. Seeded and bounded.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import type { Played } from '../../src/testing/scenarios.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { createRandom } from '../support/random.ts';
import { parseResponses } from '../support/raw-client.ts';
import { startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { recordsOf } from './load.ts';

export interface HttpFuzzReport {
  readonly requests: number;
  readonly connections: number;
  /** Requests that the application got. */
  readonly applied: number;
  /** What must not be: one sentence each, with the bytes that were sent where that helps. */
  readonly faults: readonly string[];
  readonly descriptorsBefore: number;
  readonly descriptorsAfter: number;
  /** Mebibytes. */
  readonly residentBefore: number;
  readonly residentMax: number;
}

/** Longest time until the gateway has closed a connection that the client has ended. */
const closeTimeoutMs = 30_000;
const connectionsAtOnce = 40;

/** Runs until `requests` were sent; starts and stops its own gateway, on the node that runs this. */
export async function fuzzHttp(requests: number, seed: number): Promise<HttpFuzzReport> {
  const faults: string[] = [];
  let applied = 0;
  const application = await startScriptedApplication({
    scenarios: {
      token: (connection) => {
        applied++;
        const fault = checkVariables(connection);
        if (fault !== undefined) faults.push(fault);
        const uri = connection.request!.variables.get('REQUEST_URI') ?? '';
        connection.finish(...recordsOf(`[${/token=(\d+)/.exec(uri)?.[1] ?? ''}]`));
      },
    },
    play: 'token',
  });
  const gateway = await startGateway({
    config: {
      sources: { app: { address: application.address } },
      log: { level: 'error' },
      virtualServers: [
        {
          documentRoot: createTestDirectory(),
          rules: [{ handler: { type: 'fastcgi', balancer: { sources: ['app'] }, checkFile: false } }],
        },
      ],
    },
  });
  const random = createRandom(seed);
  const descriptorsBefore = countDescriptors(gateway.pid);
  const residentBefore = residentMiB(gateway.pid);
  let residentMax = residentBefore;
  let sent = 0;
  let connections = 0;
  let isAlive = true;
  void gateway.exited.then(() => {
    isAlive = false;
  });
  const client = async (): Promise<void> => {
    while (sent < requests && isAlive && faults.length < 10) {
      const plan = planConnection(random, sent);
      sent += plan.requests;
      connections++;
      const fault = await runConnection(gateway.port, plan);
      if (fault !== undefined) faults.push(`${fault}\n${JSON.stringify(plan.pieces.join(''))}`);
      if (connections % 200 === 0 && isAlive) residentMax = Math.max(residentMax, residentMiB(gateway.pid));
      // Kept for the tests of others, and not needed here.
      application.requests.length = 0;
    }
  };
  await Promise.all(Array.from({ length: connectionsAtOnce }, client));
  if (isAlive) {
    await settle(gateway.pid, descriptorsBefore);
    residentMax = Math.max(residentMax, residentMiB(gateway.pid));
  } else faults.push(`The gateway ended:\n${gateway.lines.join('\n')}`);
  const descriptorsAfter = isAlive ? countDescriptors(gateway.pid) : 0;
  await finish(gateway, isAlive, faults);
  await application.close();
  return {
    requests: sent,
    connections,
    applied,
    faults,
    descriptorsBefore,
    descriptorsAfter,
    residentBefore,
    residentMax,
  };
}

async function finish(gateway: GatewayProcess, isAlive: boolean, faults: string[]): Promise<void> {
  for (const line of gateway.lines)
    if (/error of ours|GW_ERR_INTERNAL/.test(line)) faults.push(`The log says: ${line}`);
  if (!isAlive) return;
  const { code } = await gateway.stop();
  if (code !== 0) faults.push(`The gateway ended with ${code}`);
}

interface ConnectionPlan {
  /** Byte strings, one write each. */
  readonly pieces: readonly string[];
  readonly pauseMs: number;
  readonly end: 'half-close' | 'reset' | 'wait';
  readonly requests: number;
  /** In the order in which they were sent. */
  readonly tokens: readonly string[];
}

function planConnection(random: () => number, number: number): ConnectionPlan {
  const below = (limit: number) => Math.floor(random() * limit);
  const pick = <T>(items: readonly T[]): T => items[below(items.length)]!;
  const requests = 1 + below(6);
  const tokens = Array.from({ length: requests }, (_, index) => String(number * 10 + index));
  let bytes = tokens
    .map((token) => {
      const request = pick(random() < 0.9 ? staying : ending)(token, below);
      return random() < 0.7 ? request : mutate(request, below);
    })
    .join('');
  if (random() < 0.1) bytes = mutate(bytes, below);
  const pieces: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = random() < 0.5 ? bytes.length : 1 + below(200);
    pieces.push(bytes.slice(at, at + length));
    at += length;
  }
  return {
    pieces,
    pauseMs: below(4),
    end: pick(['half-close', 'reset', 'wait', 'wait', 'wait']),
    requests,
    tokens,
  };
}

type Template = (token: string, below: (limit: number) => number) => string;

/** The connection stays. */
const staying: readonly Template[] = [
  (token) => `GET /?token=${token} HTTP/1.1\r\nHost: a\r\n\r\n`,
  (token) => `GET /?token=${token} HTTP/1.1\r\nHost: a\r\nX-A: b\r\nCookie: c=d; e=f\r\nAccept: */*\r\n\r\n`,
  (token, below) => {
    const body = 'x'.repeat(below(300));
    return `POST /?token=${token} HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  },
  (token, below) => {
    const chunks = Array.from({ length: below(4) }, () => 'y'.repeat(1 + below(40)));
    const body = chunks.map((chunk) => `${chunk.length.toString(16)}\r\n${chunk}\r\n`).join('');
    return `PUT /?token=${token} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n${body}0\r\n\r\n`;
  },
  (token) => `DELETE /?token=${token} HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n`,
  (token) => `GET http://a/?token=${token} HTTP/1.1\r\nHost: a\r\n\r\n`,
  (token) => `GET /?token=${token} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\r\n`,
  () => 'OPTIONS * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
];

/** The answer ends the connection, whatever comes behind. */
const ending: readonly Template[] = [
  (token) => `GET /?token=${token} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`,
  (token) => `GET /?token=${token} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
  () => 'PUT * HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  () => 'CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n',
];

/** What parsers disagree about, or fall over. */
const morsels: readonly string[] = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  ':',
  ';a="b',
  '0\r\n\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: -1\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: chunked, identity\r\n',
  'Connection: close\r\n',
  'Connection: keep-alive, close\r\n',
  'Host: b\r\n',
  'Expect: 100-continue\r\n',
  'Upgrade: websocket\r\n',
  ' HTTP/1.2',
  'HTTP/0.9',
  '\x80\xff',
  'ffffffffffffffff\r\n',
  'GET / HTTP/1.1\r\nHost: a\r\n\r\n',
];

function mutate(bytes: string, below: (limit: number) => number): string {
  let mutated = bytes;
  for (let times = 1 + below(3); times > 0; times--) {
    const at = below(mutated.length + 1);
    const [before, behind] = [mutated.slice(0, at), mutated.slice(at)];
    switch (below(6)) {
      case 0:
        mutated = before + behind.slice(1 + below(8));
        break;
      case 1:
        mutated = before + String.fromCharCode(below(256)) + behind.slice(1);
        break;
      case 2:
        mutated = before + behind.slice(0, below(30)) + behind;
        break;
      case 3:
        mutated = before;
        break;
      default:
        mutated = before + morsels[below(morsels.length)]! + behind;
    }
  }
  return mutated;
}

/** @returns what was wrong with the answers */
function runConnection(port: number, plan: ConnectionPlan): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ port, host: '127.0.0.1' });
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      resolve(`A connection is open ${closeTimeoutMs} ms after its end`);
    }, closeTimeoutMs);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      clearTimeout(timer);
      resolve(checkAnswers(text, plan));
    });
    socket.on('connect', async () => {
      for (const piece of plan.pieces) {
        if (socket.destroyed) return;
        socket.write(piece, 'latin1');
        if (plan.pauseMs > 0) await new Promise((next) => setTimeout(next, plan.pauseMs));
      }
      // A half-close ends what is under way: who wants answers waits for them.
      for (let look = 0; plan.end === 'wait' && look < 30 && !socket.destroyed; look++) {
        if (parseResponses(text).length >= plan.requests) break;
        await new Promise((next) => setTimeout(next, 10));
      }
      if (plan.end === 'reset') socket.resetAndDestroy();
      else socket.end();
    });
  });
}

/** Every answer is one, whole unless it is the last, and the application's ones are those of this client in their order. */
function checkAnswers(text: string, { tokens }: ConnectionPlan): string | undefined {
  let last = -1;
  const responses = parseResponses(text);
  for (const [index, { head, status, complete, body, fields }] of responses.entries()) {
    const lines = head.split('\r\n');
    if (!/^HTTP\/1\.1 [1-5]\d\d [\x20-\x7e]*$/.test(lines[0]!))
      return `Malformed status line in ${JSON.stringify(text)}`;
    if (lines.slice(1).some((line) => !/^[!#$%&'*+.^_`|~0-9A-Za-z-]+: [\x20-\x7e]*$/.test(line)) && complete)
      return `Malformed field in ${JSON.stringify(text)}`;
    if (!complete && index < responses.length - 1)
      return `An answer is cut, and another follows: ${JSON.stringify(text)}`;
    if (fields.has('content-length') && fields.has('transfer-encoding'))
      return `Two framings in ${JSON.stringify(head)}`;
    if (status !== 200 || !complete) continue;
    const token = /^\[(\d*)\]$/.exec(body)?.[1];
    if (token === undefined) return `Mixed answer: ${JSON.stringify(body)}`;
    // A mutation may have cost a request its token, or changed it.
    const place = tokens.indexOf(token);
    if (place === -1) continue;
    if (place < last) return `Answers in another order than their requests: ${JSON.stringify(text)}`;
    last = place;
  }
  return undefined;
}

function checkVariables({ request }: Played): string | undefined {
  const { variables, stdin } = request!;
  const length = variables.get('CONTENT_LENGTH') ?? '';
  if (!/^\d*$/.test(length) || Number(length) !== stdin.length)
    return `CONTENT_LENGTH is ${JSON.stringify(length)}, and ${stdin.length} bytes came`;
  if (variables.get('REMOTE_ADDR') !== '127.0.0.1') return `REMOTE_ADDR is ${variables.get('REMOTE_ADDR')}`;
  for (const [name, value] of variables) {
    if (!/^[A-Z0-9_]+$/.test(name)) return `A variable is called ${JSON.stringify(name)}`;
    if (/[\0\r\n]/.test(value)) return `${name} is ${JSON.stringify(value)}`;
  }
  return undefined;
}

/** Waits until what the connections held is given back. */
async function settle(pid: number, descriptors: number): Promise<void> {
  for (let look = 0; look < 600 && countDescriptors(pid) > descriptors; look++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function residentMiB(pid: number): number {
  const kibibytes = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1];
  return Math.round(Number(kibibytes) / 1024);
}
