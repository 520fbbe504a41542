/**
 * All that the program decides by the code of an error, in one table: a code without a row does not compile.
 * What happened, and what to do about it, is said to people in docs/errors.md, which a test holds to this table.
 */
import type { ErrorCode } from './errors.ts';
import type { LogLevel } from './log.ts';

export interface ErrorFacts {
  /** What the client gets when no answer has begun. */
  readonly status: number;
  /** At which a failed request is logged. */
  readonly level: LogLevel;
  /** Seconds for Retry-After, when another try may succeed; an error that knows better says so itself. */
  readonly retryAfterSeconds?: number;
  /** The framing of the client's connection, or what its sender means, is in doubt: it ends with the answer. */
  readonly closesConnection: boolean;
  /**
   * Where a request that may be sent again is sent. `nowhere`: the same answer is to be expected from every source, or
   * another try makes things worse. `same source too`: what answers at the address may be another process by then.
   */
  readonly retry: 'nowhere' | 'other sources' | 'same source too';
  /** What it says of the source that was asked (F6). */
  readonly health: 'no fault' | 'overloaded' | 'unreachable' | 'failed';
  /** An interpreter whose start ended so: another start will meet the same. */
  readonly isHopelessStart: boolean;
  /** A try that ended so had a place at the source; else all of its time was waiting for one. */
  readonly hadPlace: boolean;
  /** Which counters have it as a label: those of requests, and those of the tries at a source. */
  readonly counted: 'nowhere' | 'requests' | 'requests and tries';
}

/** What most codes of a kind have in common. */
type Kind = Omit<ErrorFacts, 'status'>;

/** Nobody's fault but ours, or our system's: no other source does better, and none is to blame. */
const ours: Kind = {
  level: 'error',
  closesConnection: false,
  retry: 'nowhere',
  health: 'no fault',
  isHopelessStart: false,
  hadPlace: true,
  counted: 'requests',
};

/** Ends a program or a command, and no request. */
const noRequest: Kind = { ...ours, counted: 'nowhere' };

/** The client's request is at fault. */
const client: Kind = { ...ours, level: 'info' };

/** The client's request is at fault, so that what follows on its connection may be anything. */
const brokenClient: Kind = { ...client, closesConnection: true };

/** One page of the application is at fault, or the configuration for it; the source works. */
const page: Kind = { ...ours, counted: 'requests and tries' };

/** The application answered, and not as it has to. */
const application: Kind = { ...page, health: 'failed' };

/** No answer came of it; another source may give one. */
const lostAnswer: Kind = { ...application, retry: 'other sources' };

/** The application was asked for nothing yet: it waited for a place. */
const noPlace: Kind = { ...page, retry: 'other sources', hadPlace: false };

/** Nobody listens there. */
const unreachable: Kind = { ...page, level: 'warn', retry: 'other sources', health: 'unreachable' };

/** Code -> facts. What an error means is decided here and nowhere else. */
export const errorFacts: Readonly<Record<ErrorCode, ErrorFacts>> = {
  GW_ERR_ADDRESS: { ...noRequest, status: 500 },
  GW_ERR_CONFIG: { ...noRequest, status: 500 },
  GW_ERR_DEPLOY: { ...noRequest, status: 500 },

  GW_ERR_PROTOCOL_VERSION: { ...lostAnswer, status: 502 },
  GW_ERR_PROTOCOL_RECORD: { ...lostAnswer, status: 502 },
  GW_ERR_PROTOCOL_REQUEST_ID: { ...lostAnswer, status: 502 },
  GW_ERR_PROTOCOL_NAME_VALUE: { ...lostAnswer, status: 502 },
  // The client sent a field that no FastCGI record can carry (T10).
  GW_ERR_PROTOCOL_PAIR_TOO_LARGE: { ...page, status: 431, level: 'info' },
  GW_ERR_PROTOCOL_STATUS: { ...application, status: 502 },

  GW_ERR_CGI_HEAD: { ...application, status: 502 },
  GW_ERR_CGI_HEAD_TOO_LARGE: { ...application, status: 502 },
  GW_ERR_CGI_NO_HEAD: { ...lostAnswer, status: 502 },
  GW_ERR_CGI_BODY_LENGTH: { ...page, status: 502 },
  GW_ERR_CGI_AUTHORIZER: { ...page, status: 502, retry: 'other sources' },
  GW_ERR_CGI_SENDFILE: { ...page, status: 502 },
  // A file's rights, as of every other file.
  GW_ERR_CGI_NOT_EXECUTABLE: { ...page, status: 403, level: 'warn' },
  GW_ERR_CGI_NOT_A_PROGRAM: { ...page, status: 502 },
  GW_ERR_CGI_REDIRECT_LOOP: { ...page, status: 500 },

  GW_ERR_SOURCE_CONNECT: { ...unreachable, status: 503, retryAfterSeconds: 1, isHopelessStart: true },
  GW_ERR_SOURCE_CONNECT_TIMEOUT: { ...unreachable, status: 504 },
  GW_ERR_SOURCE_DESCRIPTORS: { ...page, status: 503, retryAfterSeconds: 1 },
  // It may still be running: asked again it would run twice, and be as slow.
  GW_ERR_SOURCE_READ_TIMEOUT: { ...application, status: 504, level: 'warn' },
  // An upgraded connection, which is closed.
  GW_ERR_SOURCE_IDLE: { ...page, status: 504, level: 'info' },
  GW_ERR_SOURCE_SEND_TIMEOUT: { ...application, status: 504 },
  GW_ERR_SOURCE_TOTAL_TIMEOUT: { ...page, status: 504, level: 'warn' },
  GW_ERR_SOURCE_CLOSED: { ...lostAnswer, status: 502, retry: 'same source too' },
  // Its client reads too slowly; what it got so far is cut.
  GW_ERR_SOURCE_READER_BEHIND: { ...page, status: 502, level: 'warn' },
  GW_ERR_SOURCE_STDERR: { ...lostAnswer, status: 502 },
  GW_ERR_SOURCE_OVERLOADED: {
    ...noPlace,
    status: 503,
    level: 'warn',
    retryAfterSeconds: 1,
    health: 'overloaded',
  },
  GW_ERR_SOURCE_SPAWN: { ...noPlace, health: 'failed', status: 503, retryAfterSeconds: 30 },
  GW_ERR_SOURCE_EXITED: { ...lostAnswer, status: 503, retryAfterSeconds: 1 },
  GW_ERR_SOURCE_NO_INTERPRETER: {
    ...noPlace,
    health: 'failed',
    status: 503,
    retryAfterSeconds: 30,
    isHopelessStart: true,
  },
  GW_ERR_SOURCE_STOPPED: { ...noPlace, status: 503, level: 'warn', retryAfterSeconds: 1 },

  GW_ERR_HTTP_REQUEST: { ...brokenClient, status: 400 },
  GW_ERR_HTTP_TARGET: { ...brokenClient, status: 400 },
  GW_ERR_HTTP_METHOD: { ...brokenClient, status: 405 },
  GW_ERR_HTTP_VERSION: { ...brokenClient, status: 505 },
  GW_ERR_HTTP_TRANSFER_ENCODING: { ...brokenClient, status: 501 },
  GW_ERR_HTTP_HEAD_TOO_LARGE: { ...brokenClient, status: 431 },
  // The front says so itself: what has come so far is not a request that could be counted.
  GW_ERR_HTTP_HEAD_TIMEOUT: { ...brokenClient, status: 408, counted: 'nowhere' },
  // Whether a body follows is not known.
  GW_ERR_HTTP_EXPECTATION: { ...brokenClient, status: 417 },
  GW_ERR_HTTP_BODY_TOO_LARGE: { ...client, status: 413 },
  GW_ERR_HTTP_BODY_CUT: { ...client, status: 400 },
  GW_ERR_HTTP_BODY_TIMEOUT: { ...brokenClient, status: 408 },
  GW_ERR_HTTP_NOT_FOUND: { ...client, status: 404, level: 'debug' },
  GW_ERR_HTTP_FORBIDDEN: { ...client, status: 403 },

  GW_ERR_SPOOL: { ...ours, status: 503, retryAfterSeconds: 30 },
  GW_ERR_FILE: { ...ours, status: 503, retryAfterSeconds: 1 },
  GW_ERR_INTERNAL: { ...ours, status: 500 },
};
