/**
 * A source: where answers come from. Handlers know this interface and nothing of FastCGI, so another protocol
 * (SCGI) is another source, not another handler.
 */
import type { ErrorCode } from '../base/errors.ts';
import type { ClientExchange, ClientListener, ClientRequest } from '../client/request.ts';

/** One request for an application. */
export type SourceRequest = ClientRequest;
/** Hears the answer. A `SourceError` tells by its `delivery` how far the request came; a `ProtocolError` counts as `maybe`. */
export type SourceListener = ClientListener;
/** A request under way. */
export type SourceExchange = ClientExchange;
/** What else than an answer an application may be asked for (FastCGI 6): a decision, or a file made into something else. */
export type SourceRole = 'Authorizer' | 'Filter';

/** How one try of a request at a source ended, in the eyes of its handler. `aborted`: the client left, or had its answer. */
export type TryOutcome = 'complete' | 'aborted' | ErrorCode;

/** Told by handlers how their tries at a source went. */
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
  /** Those that ended unasked, and not in order. */
  readonly unexpectedEnds: number;
}

export interface Source {
  /** Its name in the configuration. */
  readonly name: string;
  /** Printed address, for people and logs. */
  readonly address: string;
  /** Requests given to it and not ended, waiting ones included. */
  readonly active: number;
  /** How long a request may wait while nobody listens there; 0 where no restart is expected. */
  readonly holdMs: number;
  /** It has not failed recently, or may be tried again. Asked by balancers; `open` works either way. */
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
