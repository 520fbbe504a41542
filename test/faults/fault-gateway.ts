/** A gateway in this process for the fault suites, and a client that tells a cut answer from a complete one. */
import type { IncomingMessage } from 'node:http';
import type { Log, LogFields, LogLevel } from '../../src/base/log.ts';
import type { BalancerPolicy, SourceInput } from '../../src/config/types.ts';
import { createGateway } from '../../src/gateway/gateway.ts';
import type { Gateway } from '../../src/gateway/options.ts';
import { openAnswer, type Request } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';

export interface LoggedLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export interface FaultGateway {
  readonly origin: string;
  readonly gateway: Gateway;
  /** Every line that was logged, growing. */
  readonly lines: readonly LoggedLine[];
  close(): Promise<void>;
}

/** Sources by name, and which of them answer below which directory: `{ '/one': ['php'] }`. */
export async function startFaultGateway(
  sources: Readonly<Record<string, SourceInput>>,
  routes: Readonly<Record<string, readonly string[]>>,
  options: { readonly policy?: BalancerPolicy; readonly bufferRequest?: boolean } = {},
): Promise<FaultGateway> {
  const { policy = 'round-robin', bufferRequest = true } = options;
  const lines: LoggedLine[] = [];
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) => {
      lines.push({ level, message, fields });
    };
  const log: Log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
  const gateway = await createGateway(
    {
      listen: [{ host: '127.0.0.1', port: 0 }],
      sources,
      virtualServers: [
        {
          documentRoot: createTestDirectory(),
          rules: Object.entries(routes).map(([directory, names]) => ({
            match: { directory },
            handler: {
              type: 'fastcgi' as const,
              checkFile: false,
              bufferRequest,
              balancer: { policy, sources: names },
            },
          })),
        },
      ],
    },
    { log },
  );
  const [origin] = await gateway.listen();
  return { origin: origin!, gateway, lines, close: () => gateway.close(1000) };
}

/** What a client saw. */
export interface Seen {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly body: string;
  /** The framing promised more than came. */
  readonly isCut: boolean;
}

/** One request; a cut answer is a result here, not an error. Status 0: the connection ended before a head. */
export async function see(origin: string, path: string, request: Request = {}): Promise<Seen> {
  let answer: IncomingMessage;
  try {
    answer = await openAnswer(origin, path, request);
  } catch {
    return { status: 0, headers: {}, body: '', isCut: true };
  }
  const chunks: Buffer[] = [];
  let isCut = false;
  try {
    for await (const chunk of answer) chunks.push(chunk as Buffer);
  } catch {
    isCut = true;
  }
  return {
    status: answer.statusCode!,
    headers: answer.headers,
    body: Buffer.concat(chunks).toString('latin1'),
    isCut: isCut || !answer.complete,
  };
}
