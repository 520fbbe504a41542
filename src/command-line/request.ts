/** `fastway request ADDRESS --script PATH`: one FastCGI request, as it is; the answer as the application gave it. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { finished } from 'node:stream/promises';
import { GatewayError } from '../base/errors.ts';
import { escapeControls } from '../base/escape.ts';
import { hideInText } from '../base/secrets.ts';
import { type Client, createClient, type RecordTrace, type RequestOptions } from '../client/index.ts';
import { RecordType, Role } from '../protocol/constants.ts';
import { printRecord } from '../protocol/print-record.ts';
import { type CommandLine, type Flags, readFlags, showSecretsFlag } from './flags.ts';
import { readHeader, readVariable } from './request-words.ts';
import { readAddress } from './site.ts';
import { type Terminal, UsageError } from './terminal.ts';
import { TerminalText } from './terminal-text.ts';

export const requestFlags: Flags = {
  script: {
    value: 'PATH',
    help: 'Script, as the application sees it (not needed with --path-info or --env)',
  },
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
  role: { value: 'ROLE', help: 'Responder, Authorizer or Filter (Responder)' },
  data: { value: 'FILE', help: 'The file for a Filter; - for stdin' },
  values: { help: 'Ask what the application can do (GET_VALUES), in place of a request' },
  timeout: { value: 'MS', help: 'Longest silence of the application (60000; 1000 with --values)' },
  trace: { help: 'Show each record on stderr' },
  ...showSecretsFlag,
};

/** @returns 0 when the answer was complete and a CGI response, else 1 */
export async function request(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = readFlags(requestFlags, args, terminal.env);
  const [written, ...more] = line.positionals;
  const asksForValues = line.isOn('values');
  const saysWhat =
    asksForValues || [...line.texts('env'), ...line.texts('script'), ...line.texts('path-info')].length > 0;
  if (written === undefined || more.length > 0 || !saysWhat) {
    throw new UsageError(
      'Say where and what: fastway request unix:/run/php/php-fpm.sock --script /srv/site/index.php',
    );
  }
  const showsSecrets = line.isOn('show-secrets');
  const timeoutMs = line.number('timeout', 1, 86_400_000) ?? (asksForValues ? 1_000 : 60_000);
  const client = createClient(readAddress(written, terminal.cwd), {
    keepConnections: 0,
    connectTimeoutMs: Math.min(timeoutMs, 5000),
    readTimeoutMs: timeoutMs,
    sendTimeoutMs: timeoutMs,
    trace: createTrace(terminal, line.isOn('trace'), showsSecrets),
  });
  try {
    if (asksForValues) {
      for (const [name, value] of await client.getValues({ timeoutMs })) {
        terminal.print(`${escapeControls(name)} = ${escapeControls(value)}\n`);
      }
    } else {
      terminal.printError(
        `${await exchange(client, await readRequest(line, terminal), terminal, showsSecrets)}\n`,
      );
    }
    return 0;
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    terminal.printError(`${error.code}: ${showsSecrets ? error.message : hideInText(error.message)}\n`);
    return 1;
  } finally {
    await client.close();
  }
}

/** @returns how the application ended it, and when */
async function exchange(
  client: Client,
  options: RequestOptions,
  terminal: Terminal,
  showsSecrets: boolean,
): Promise<string> {
  const response = await client.request({
    ...options,
    onStderr(chunk) {
      for (const text of chunk.toString('utf8').split('\n')) {
        if (text === '') continue;
        terminal.printError(`${escapeControls(showsSecrets ? text : hideInText(text))}\n`);
      }
    },
  });
  // Printed by the trace.
  await finished(response.body.resume());
  const { firstByteMs, totalMs } = response.timings;
  return `Status ${response.status}, appStatus ${response.appStatus}, first byte after ${Math.round(firstByteMs)} ms, ${Math.round(totalMs!)} ms`;
}

async function readRequest(line: CommandLine, terminal: Terminal): Promise<RequestOptions> {
  const role = line.text('role') ?? 'Responder';
  if (!Object.hasOwn(Role, role)) {
    throw new UsageError(`--role is ${JSON.stringify(role)}, but must be Responder, Authorizer or Filter`);
  }
  const body = await readFile('body', line, terminal);
  const data = await readFile('data', line, terminal);
  if (data !== undefined && role !== 'Filter') throw new UsageError('--data is for --role Filter');
  return {
    script: line.text('script'),
    method: line.text('method'),
    query: line.text('query'),
    pathInfo: line.text('path-info'),
    headers: {
      ...(body !== undefined && { 'Content-Type': 'application/x-www-form-urlencoded' }),
      ...Object.fromEntries(line.texts('header').map(readHeader)),
    },
    variables: Object.fromEntries(line.texts('env').map(readVariable)),
    role: role as keyof typeof Role,
    body,
    data,
  };
}

async function readFile(flag: string, line: CommandLine, terminal: Terminal): Promise<Buffer | undefined> {
  const file = line.text(flag);
  if (file === undefined) return undefined;
  try {
    return file === '-' ? await terminal.readInput() : readFileSync(resolve(terminal.cwd, file));
  } catch (error) {
    throw new UsageError(`The file of --${flag} cannot be read: ${(error as Error).message}`);
  }
}

/**
 * Prints the application's output, even when it is not a CGI response, and the records when asked to. To a pipe or a file it goes
 * byte for byte, to a terminal as text without control bytes.
 */
function createTrace(terminal: Terminal, showsRecords: boolean, showsSecrets: boolean): RecordTrace {
  const text = terminal.isInteractive ? new TerminalText() : undefined;
  return (direction, type, requestId, content) => {
    if (showsRecords) {
      const arrow = direction === 'sent' ? '->' : '<-';
      terminal.printError(`${arrow} ${printRecord(type, requestId, content, showsSecrets)}\n`);
    }
    if (type === RecordType.EndRequest && text !== undefined) terminal.print(text.end());
    if (type !== RecordType.Stdout || direction !== 'received') return;
    terminal.print(text === undefined ? Buffer.from(content) : text.read(content));
  };
}
