/**
 * A source: where answers come from. Handlers know this interface and nothing of FastCGI, so another protocol
 * (SCGI) is another source, not another handler.
 */
import type { ErrorCode, GatewayError } from '../base/errors.ts';
import type { RequestBody } from '../http/message.ts';

/** What else than an answer an application may be asked for (FastCGI 6): a decision, or a file made into something else. */
export type SourceRole = 'Authorizer' | 'Filter';

/** One request for an application. */
export interface SourceRequest {
  /** Meta-variables flat: name, value, name, value ...; byte strings; each name once. */
  readonly variables: readonly string[];
  /** The virtual server: where requests have to wait, those of several take turns. */
  readonly group?: string | undefined;
  /** The client's address: those of one virtual server take turns, too. */
  readonly client?: string | undefined;
  /** Undefined: no body. */
  readonly body: RequestBody | undefined;
  /** Undefined: Responder. */
  readonly role?: SourceRole | undefined;
  /** A Filter's file. */
  readonly data?: RequestBody | undefined;
  /** It may be sent again after an application may have run it: said once, by whoever knows what it does. Undefined: no. */
  readonly mayRunTwice?: boolean | undefined;
  /** Not on a connection with others: the client is on the line all the time, and may be slow. */
  readonly ownConnection?: boolean | undefined;
}

/**
 * Hears the answer. Nothing is called before `open` has returned; after `end` or `error`, or after `abort`, nothing more.
 */
export interface SourceListener {
  /**
   * Output bytes, the listener's to keep. False: pause until `resume`; what was read together with them (up to 64 KiB)
   * still comes in the same turn. The application of an exchange that `isShared` cannot be made to wait: up to 1 MiB more
   * is held, then it ends with GW_ERR_SOURCE_READER_BEHIND.
   */
  stdout(chunk: Buffer): boolean;
  /** Error output bytes, the listener's to keep; bound what you keep (an application may flood). */
  stderr(chunk: Buffer): void;
  /**
   * There is no more for the moment. True: none of the chunks is needed any more, and they may be overwritten; so a long
   * answer does not take new memory for each of them. Without it, or when false, they stay the listener's.
   */
  sendNow?(): boolean;
  /** The application said that the answer is complete; only this makes an answer whole. */
  end(appStatus: number): void;
  /** A `SourceError` tells by its `delivery` how far the request came; a `ProtocolError` counts as `maybe`. */
  error(error: GatewayError): void;
}

/** A request under way. */
export interface SourceExchange {
  /** Goes on after `stdout` returned false. */
  resume(): void;
  /** The answer may go on for as long as it likes: the total limit is lifted. */
  liftTotalLimit(): void;
  /**
   * The client has its answer, so that nobody will end this one if it goes on for ever: where the total limit was lifted, it counts
   * from now on.
   */
  answered(): void;
  /** Gives up: the application is told, or its connection closed. May be called twice, and after the end. */
  abort(): void;
  /**
   * Gives up as `abort`, and counts as a failure of the source, once: for an answer that FastCGI calls complete and we do
   * not. At the latest from within the listener's `end`. May be called twice.
   */
  disown(error: GatewayError): void;
  /** Milliseconds that it waited for a place at the application. */
  readonly waitedMs: number;
  /** Other requests share its connection. */
  readonly isShared: boolean;
  /** It was sent a second time when the first may have run: a kept connection was closed under it (F9). */
  readonly wasRepeated: boolean;
}

/** How one try of a request at a source ended, in the eyes of its handler. `aborted`: the client left, or had its answer. */
export type TryOutcome = 'complete' | 'aborted' | ErrorCode;

/** Hears from handlers how their tries at a source went. */
export interface TryMeter {
  /** @param waitedMs of `durationMs`, the time before it had a place */
  ended(outcome: TryOutcome, durationMs: number, waitedMs: number): void;
  /** A try begins, and another one of the same request had failed. */
  triedAgain(): void;
  /** The application ended a request with a status other than 0 (FastCGI 5.5). */
  saidFailure(): void;
}

/** What a source says of itself, for metrics. */
export interface SourceFacts {
  /** Of its `active` requests, those that wait for a place. */
  readonly waiting: number;
  /** Most requests that it works on at a time; undefined: no limit is known. */
  readonly capacity: number | undefined;
  /** Open connections to the application, and those of them that no request uses. */
  readonly connections: number;
  readonly idleConnections: number;
  /** Undefined: somebody else runs the application. */
  readonly interpreter: InterpreterFacts | undefined;
}

export interface InterpreterFacts {
  /** Those that run now, their children not counted. */
  readonly processes: number;
  readonly starts: number;
  /** Those that ended without having been told to, and not in order. */
  readonly unexpectedEnds: number;
}

export interface Source {
  /** Its name in the configuration. */
  readonly name: string;
  /** Printed address, for people and logs. */
  readonly address: string;
  /** Requests given to it and not ended, waiting ones included. */
  readonly active: number;
  /** How long a request may wait while nobody listens there; 0 when there is no reason to hope. */
  readonly holdMs: number;
  /** It took part in no recent failure, or is due for a trial. Asked by balancers; `open` works either way. */
  isAvailable(): boolean;
  /** False: an operator took it out of use, even as the last resort. */
  isUsable(): boolean;
  /** Part of its weight that it can take now, above 0: 1, less while it warms up or says that it is overloaded. */
  readonly share: number;
  /** Undefined: nobody counts its tries. */
  readonly meter?: TryMeter | undefined;
  /** Undefined: it tells nothing of itself. */
  readonly facts?: SourceFacts | undefined;
  /** The gateway listens: starts what is configured to run even without a request. */
  start?(): void;
  open(request: SourceRequest, listener: SourceListener): SourceExchange;
  /** One line for the start banner: what it is and why it was chosen. */
  describe(): string;
  /** Ends idle connections and an own interpreter; resolves when nothing of it is left. May be called twice. */
  close(): Promise<void>;
}
