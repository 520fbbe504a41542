/** `fastway request ADDRESS --script PATH`: one FastCGI request, as it is; the answer as the application gave it. */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseAddress } from '../base/address.ts';
import type { GatewayError } from '../base/errors.ts';
import { escapeControls } from '../base/log.ts';
import { type ResponseHead, ResponseParser } from '../cgi/index.ts';
import { Pool, type RecordTrace } from '../client/index.ts';
import type { RequestBody } from '../http/message.ts';
import { RecordType } from '../protocol/index.ts';
import { type CommandLine, type Flags, readFlags } from './flags.ts';
import { readHeader, readVariable, toBytes } from './request-words.ts';
import { readAddress } from './site.ts';
import { type Terminal, UsageError } from './terminal.ts';
import { readVersion } from './version.ts';

export const requestFlags: Flags = {
  script: { value: 'PATH', help: 'Script, as the application sees it (required)' },
  method: { value: 'METHOD', short: 'X', help: 'Method of the request (GET, or POST with a body)' },
  query: { value: 'QUERY', help: 'QUERY_STRING' },
  'path-info': { value: 'PATH', help: 'PATH_INFO' },
  header: {
    value: "'NAME: VALUE'",
    short: 'H',
    multiple: true,
    help: 'A header field; may be given several times',
  },
  env: { value: 'NAME=VALUE', multiple: true, help: 'A variable; wins over the others' },
  body: { value: 'FILE', help: 'Request body; - for stdin' },
  timeout: { value: 'MS', help: 'Longest silence of the application (60000)' },
  trace: { help: 'Show each record on stderr' },
};

/** @returns 0 when the answer was complete and a CGI response, else 1 */
export async function request(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = readFlags(requestFlags, args, terminal.env);
  const [written, ...more] = line.positionals;
  const script = line.text('script');
  if (written === undefined || more.length > 0 || script === undefined) {
    throw new UsageError(
      'Say where and what: fastway request unix:/run/php/php-fpm.sock --script /srv/site/index.php',
    );
  }
  const address = parseAddress(readAddress(written, terminal.cwd));
  const body = await readBody(line.text('body'), terminal);
  const variables = createVariables(script, line, body);
  const timeoutMs = line.number('timeout', 1, 86_400_000) ?? 60_000;
  const pool = new Pool({
    address,
    keepConnections: 0,
    connectTimeoutMs: Math.min(timeoutMs, 5000),
    readTimeoutMs: timeoutMs,
    sendTimeoutMs: timeoutMs,
    waitingMax: 0,
    waitingTimeoutMs: timeoutMs,
    idleTimeoutMs: 1000,
    requestsPerConnectionMax: 1,
    now: () => performance.now(),
    random: Math.random,
    sharesReadBuffer: false,
    trace: line.isOn('trace') ? createTrace(terminal) : undefined,
  });
  const start = performance.now();
  const summary = await exchange(pool, variables, body, terminal);
  await pool.close();
  terminal.printError(`${summary.text}, ${Math.round(performance.now() - start)} ms\n`);
  return summary.isGood ? 0 : 1;
}

interface Summary {
  readonly text: string;
  readonly isGood: boolean;
}

function exchange(
  pool: Pool,
  variables: readonly string[],
  body: RequestBody | undefined,
  terminal: Terminal,
): Promise<Summary> {
  const parser = new ResponseParser();
  let head: ResponseHead | undefined;
  let fault: GatewayError | undefined;
  return new Promise((resolve) => {
    pool.open(
      { variables, body },
      {
        stdout(chunk) {
          terminal.print(chunk);
          if (head !== undefined || fault !== undefined) return true;
          try {
            head = parser.push(chunk);
          } catch (error) {
            fault = error as GatewayError;
          }
          return true;
        },
        stderr(chunk) {
          for (const text of chunk.toString('utf8').split('\n')) {
            if (text !== '') terminal.printError(`${escapeControls(text)}\n`);
          }
        },
        end(appStatus) {
          const wrong = fault ?? (head === undefined ? parser.end() : undefined);
          const status = wrong === undefined ? `Status ${head!.status}` : `${wrong.code}: ${wrong.message}`;
          resolve({ text: `${status}, appStatus ${appStatus}`, isGood: wrong === undefined });
        },
        error(error) {
          resolve({ text: `${error.code}: ${error.message}`, isGood: false });
        },
      },
    );
  });
}

function createVariables(script: string, line: CommandLine, body: RequestBody | undefined): string[] {
  const path = toBytes(script);
  const pathInfo = toBytes(line.text('path-info') ?? '');
  const query = toBytes(line.text('query') ?? '');
  const scriptName = `/${path.slice(path.lastIndexOf('/') + 1)}`;
  const variables = new Map<string, string>([
    ['GATEWAY_INTERFACE', 'CGI/1.1'],
    ['SERVER_SOFTWARE', `fastway/${readVersion()}`],
    ['SERVER_PROTOCOL', 'HTTP/1.1'],
    ['SERVER_NAME', 'localhost'],
    ['SERVER_ADDR', '127.0.0.1'],
    ['SERVER_PORT', '80'],
    ['REMOTE_ADDR', '127.0.0.1'],
    ['REQUEST_METHOD', line.text('method') ?? (body === undefined ? 'GET' : 'POST')],
    ['REQUEST_URI', `${scriptName}${pathInfo}${query === '' ? '' : `?${query}`}`],
    ['REQUEST_SCHEME', 'http'],
    ['SCRIPT_NAME', scriptName],
    ['SCRIPT_FILENAME', path],
    ['DOCUMENT_ROOT', dirname(path)],
    ['QUERY_STRING', query],
    // php-cgi refuses to run a script without it.
    ['REDIRECT_STATUS', '200'],
    ['HTTP_HOST', 'localhost'],
  ]);
  if (pathInfo !== '') variables.set('PATH_INFO', pathInfo);
  if (body !== undefined) {
    variables.set('CONTENT_LENGTH', String(body.length));
    variables.set('CONTENT_TYPE', 'application/x-www-form-urlencoded');
  }
  for (const [name, value] of line.texts('header').map(readHeader)) {
    const upper = name.toUpperCase().replaceAll('-', '_');
    variables.set(upper === 'CONTENT_TYPE' ? upper : `HTTP_${upper}`, value);
  }
  for (const [name, value] of line.texts('env').map(readVariable)) variables.set(name, value);
  return [...variables].flat();
}

async function readBody(file: string | undefined, terminal: Terminal): Promise<RequestBody | undefined> {
  if (file === undefined) return undefined;
  let bytes: Buffer;
  try {
    bytes = file === '-' ? await terminal.readInput() : readFileSync(resolve(terminal.cwd, file));
  } catch (error) {
    throw new UsageError(`The body cannot be read: ${(error as Error).message}`);
  }
  return {
    length: bytes.length,
    bytes,
    replayable: true,
    read(receiver) {
      let closed = false;
      queueMicrotask(() => {
        if (closed) return;
        receiver.data(bytes);
        receiver.end();
      });
      return {
        resume() {},
        close() {
          closed = true;
        },
      };
    },
  };
}

function createTrace(terminal: Terminal): RecordTrace {
  const names = new Map<number, string>(Object.entries(RecordType).map(([name, type]) => [type, name]));
  return (direction, type, requestId, content) => {
    const arrow = direction === 'sent' ? '->' : '<-';
    terminal.printError(
      `${arrow} ${names.get(type) ?? `type ${type}`} id ${requestId}, ${content.length} bytes\n`,
    );
  };
}
