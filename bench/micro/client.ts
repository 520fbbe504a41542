/**
 * CPU of one small request through the client, system calls included, against the C responder of this folder's parent.
 * Run: `npx tsx bench/micro/client.ts ADDRESS [requests] [at a time] [kept connections]`.
 */
import { parseAddress } from '../../src/base/address.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { createRemoteSource } from '../../src/source/remote/remote.ts';
import type { SourceListener } from '../../src/source/source.ts';

const [
  addressText = 'unix:/tmp/responder.sock',
  requestsText = '300000',
  parallelText = '16',
  keepText = '16',
] = process.argv.slice(2);
const requests = Number(requestsText);
const parallel = Number(parallelText);

const source = createRemoteSource({
  name: 'bench',
  address: parseAddress(addressText),
  keepConnections: Number(keepText),
  log: silentLog,
  clock: systemClock,
  random: Math.random,
});
const variables = Object.entries({
  GATEWAY_INTERFACE: 'CGI/1.1',
  SERVER_SOFTWARE: 'fastway',
  SERVER_NAME: 'localhost',
  SERVER_PORT: '8080',
  SERVER_PROTOCOL: 'HTTP/1.1',
  REMOTE_ADDR: '127.0.0.1',
  REMOTE_PORT: '54321',
  REQUEST_METHOD: 'GET',
  REQUEST_URI: '/index.php?id=42',
  REQUEST_SCHEME: 'http',
  SCRIPT_NAME: '/index.php',
  SCRIPT_FILENAME: '/srv/www/index.php',
  DOCUMENT_ROOT: '/srv/www',
  QUERY_STRING: 'id=42',
  REDIRECT_STATUS: '200',
  HTTP_HOST: 'localhost:8080',
  HTTP_USER_AGENT: 'bench',
}).flat();

let begun = 0;
let ended = 0;
let failed = 0;
let bytes = 0;

class Listener implements SourceListener {
  stdout(chunk: Buffer): boolean {
    bytes += chunk.length;
    return true;
  }
  stderr(): void {}
  error(): void {
    failed++;
    next();
  }
  end(): void {
    next();
  }
}

function next(): void {
  ended++;
  if (begun < requests) open();
  else if (ended === requests) report();
}

function open(): void {
  begun++;
  source.open({ variables, body: undefined }, new Listener());
}

const cpu = process.cpuUsage();
const time = performance.now();

function report(): void {
  const { user, system } = process.cpuUsage(cpu);
  const perRequest = (us: number) => (us / requests).toFixed(2);
  console.log(
    `${requests} requests, ${failed} failed, ${bytes} bytes, ${(performance.now() - time).toFixed(0)} ms: ` +
      `CPU ${perRequest(user + system)} us per request (user ${perRequest(user)}, system ${perRequest(system)})`,
  );
  void source.close();
}

for (let i = 0; i < parallel; i++) open();
