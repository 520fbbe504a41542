/**
 * The one family of errors that leaves this program, from everybody's side.
 * Every code is stable, has its row in error-facts.ts, and is described in docs/errors.md (a test holds the three together).
 * Messages are sentence case without a full stop, and name the value and the limit.
 */

/** Every stable error code. The word after `GW_ERR_` names the layer. */
export const errorCodes = [
  'GW_ERR_ADDRESS',
  'GW_ERR_CONFIG',
  'GW_ERR_DEPLOY',
  'GW_ERR_PROTOCOL_VERSION',
  'GW_ERR_PROTOCOL_RECORD',
  'GW_ERR_PROTOCOL_REQUEST_ID',
  'GW_ERR_PROTOCOL_NAME_VALUE',
  'GW_ERR_PROTOCOL_PAIR_TOO_LARGE',
  'GW_ERR_PROTOCOL_STATUS',
  'GW_ERR_CGI_HEAD',
  'GW_ERR_CGI_HEAD_TOO_LARGE',
  'GW_ERR_CGI_NO_HEAD',
  'GW_ERR_CGI_BODY_LENGTH',
  'GW_ERR_CGI_AUTHORIZER',
  'GW_ERR_CGI_SENDFILE',
  'GW_ERR_CGI_NOT_EXECUTABLE',
  'GW_ERR_CGI_NOT_A_PROGRAM',
  'GW_ERR_CGI_REDIRECT_LOOP',
  'GW_ERR_SOURCE_CONNECT',
  'GW_ERR_SOURCE_CONNECT_TIMEOUT',
  'GW_ERR_SOURCE_DESCRIPTORS',
  'GW_ERR_SOURCE_READ_TIMEOUT',
  'GW_ERR_SOURCE_IDLE',
  'GW_ERR_SOURCE_SEND_TIMEOUT',
  'GW_ERR_SOURCE_TOTAL_TIMEOUT',
  'GW_ERR_SOURCE_CLOSED',
  'GW_ERR_SOURCE_READER_BEHIND',
  'GW_ERR_SOURCE_STDERR',
  'GW_ERR_SOURCE_OVERLOADED',
  'GW_ERR_SOURCE_SPAWN',
  'GW_ERR_SOURCE_EXITED',
  'GW_ERR_SOURCE_NO_INTERPRETER',
  'GW_ERR_SOURCE_STOPPED',
  'GW_ERR_HTTP_REQUEST',
  'GW_ERR_HTTP_TARGET',
  'GW_ERR_HTTP_METHOD',
  'GW_ERR_HTTP_VERSION',
  'GW_ERR_HTTP_TRANSFER_ENCODING',
  'GW_ERR_HTTP_HEAD_TOO_LARGE',
  'GW_ERR_HTTP_HEAD_TIMEOUT',
  'GW_ERR_HTTP_EXPECTATION',
  'GW_ERR_HTTP_BODY_TOO_LARGE',
  'GW_ERR_HTTP_BODY_CUT',
  'GW_ERR_HTTP_BODY_TIMEOUT',
  'GW_ERR_HTTP_NOT_FOUND',
  'GW_ERR_HTTP_FORBIDDEN',
  'GW_ERR_SPOOL',
  'GW_ERR_FILE',
  'GW_ERR_INTERNAL',
] as const;

/** A stable error code. */
export type ErrorCode = (typeof errorCodes)[number];

/** Root of all errors that this package throws or reports, except `TypeError` and `RangeError` for misuse. */
export class GatewayError extends Error {
  readonly code: ErrorCode;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The peer broke FastCGI. */
export class ProtocolError extends GatewayError {}

/** The application answered something that is not a CGI response (RFC 3875 section 6). */
export class CgiError extends GatewayError {}

/**
 * How far a request came before it failed; the retry rules depend on it.
 * - `unsent`: no byte of the request can have reached an application.
 * - `rejected`: the application said that it did not process it (OVERLOADED, CANT_MPX_CONN).
 * - `maybe`: it may have run.
 */
export type Delivery = 'unsent' | 'rejected' | 'maybe';

/** A source could not be reached, did not answer, or stopped answering. */
export class SourceError extends GatewayError {
  readonly delivery: Delivery;
  /** Whole seconds after which another try may succeed, when that is known: the answer's Retry-After. */
  readonly retryAfterSeconds: number | undefined;
  /** Nobody listens just now, or nobody has room: a moment later that may be otherwise. */
  readonly isTransient: boolean;
  constructor(
    code: ErrorCode,
    message: string,
    options: { cause?: unknown; delivery: Delivery; retryAfterSeconds?: number; isTransient?: boolean },
  ) {
    super(code, message, options);
    this.delivery = options.delivery;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.isTransient = options.isTransient ?? false;
  }
}

/** The client's request is at fault. */
export class HttpRequestError extends GatewayError {}

/** One thing that is wrong in a configuration. */
export interface ConfigProblem {
  /** Where in the configuration, as `virtualServers[0].rules[2].handler`; empty for the whole. */
  readonly path: string;
  /** One sentence: what is wrong and what to do. */
  readonly message: string;
  /** File and 1-based line, when the configuration came from a file that has lines. */
  readonly file?: string | undefined;
  readonly line?: number | undefined;
}

/** The configuration is wrong; `problems` has every fault that was found, not only the first. */
export class ConfigError extends GatewayError {
  readonly problems: readonly ConfigProblem[];
  constructor(problems: readonly ConfigProblem[], options?: { cause?: unknown }) {
    super('GW_ERR_CONFIG', problems.map(printProblem).join('\n'), options);
    this.problems = problems;
  }
}

function printProblem({ file, line, path, message }: ConfigProblem): string {
  const where = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}`}: `;
  return `${where}${path === '' ? '' : `${path}: `}${message}`;
}

/** What somebody threw, for the log: with its stack where there is one. */
export function printThrown(thrown: unknown): string {
  return thrown instanceof Error ? (thrown.stack ?? thrown.message) : String(thrown);
}

/** What was caught: anything that is none of ours is GW_ERR_INTERNAL. */
export function toGatewayError(thrown: unknown): GatewayError {
  return thrown instanceof GatewayError ? thrown : internalError(thrown);
}

/** GW_ERR_INTERNAL, for what was thrown where nothing may throw: a fault of ours. */
export function internalError(cause: unknown): GatewayError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new GatewayError('GW_ERR_INTERNAL', `Request failed inside: ${reason}`, { cause });
}
