/**
 * One request that runs a script: receives the body, asks a source, asks another when that is safe, and hands the
 * output to a `CgiResponse`.
 * The retry rules: *unsent* and *rejected* take up to two further sources, whatever the method; *maybe* is tried once
 * more for an idempotent method whose body can be sent again (RFC 9110 9.2.2); never once an answer was begun.
 * Hot path: one object for the request and one for its answer; no promise, no closure, no timer.
 */

import type { Balancer } from '../balancer/balancer.ts';
import { type ErrorCode, GatewayError, SourceError } from '../base/errors.ts';
import type { Script } from '../cgi/script-path.ts';
import type { ClientListener, Fields } from '../http/message.ts';
import type { Source, SourceExchange, SourceListener, SourceRole } from '../source/source.ts';
import { AnswerHold } from './answer-hold.ts';
import { CgiResponse, type CgiResponseListener } from './cgi-response.ts';
import type { FilterData } from './filter-data.ts';
import type { RoutedRequest } from './handler.ts';
import { type HeldBody, type HeldBodyListener, receiveBody, streamBody } from './request-body.ts';
import type { ScriptOptions } from './script-options.ts';
import type { ScriptPlanner } from './script-plan.ts';
import { StderrLimit, StderrLog } from './stderr-log.ts';

/** Who asks, and what the application hears of it. */
export type ScriptVariables = Pick<ScriptPlanner, 'clientOf' | 'variables'>;

/** What goes with a request for another role than Responder's. */
export interface RoleOptions {
  /** A Filter's file; closed at the end. */
  readonly data?: FilterData;
  /** An Authorizer said 200: the request is the caller's again, with the answer's fields. */
  readonly allowed?: (fields: Fields) => void;
}

/** What all requests of one rule share. */
export interface ScriptContext {
  readonly options: ScriptOptions;
  readonly planner: ScriptVariables;
  readonly balancer: Balancer;
  readonly stderrLimit: StderrLimit;
  readonly hold: AnswerHold;
  /** Undefined: Responder. */
  readonly role: SourceRole | undefined;
  /** Requests of this rule that are under way, and those of them that are a further try: the retry budget. */
  active: number;
  retrying: number;
}

/** @param role undefined: Responder */
export function createScriptContext(
  options: ScriptOptions & { readonly balancer: Balancer },
  planner: ScriptVariables,
  role: SourceRole | undefined,
): ScriptContext {
  const { balancer, now } = options;
  const stderrLimit = new StderrLimit(now);
  return { options, planner, balancer, stderrLimit, hold: new AnswerHold(), role, active: 0, retrying: 0 };
}

/** Further tries after a failure that cannot have run anything, and after one that may have. */
const safeTriesMax = 2;
const maybeTriesMax = 1;

/** Further tries under way are at most a fifth of all requests under way, or this many: a failing application is not flooded. */
const retryingMin = 10;
const retryingShare = 0.2;

/** RFC 9110 9.2.2. */
const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** The same answer is to be expected from every source, or trying again makes things worse. */
const finalCodes: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'GW_ERR_CGI_BODY_LENGTH',
  'GW_ERR_CGI_HEAD',
  'GW_ERR_CGI_HEAD_TOO_LARGE',
  'GW_ERR_CGI_SENDFILE',
  'GW_ERR_PROTOCOL_PAIR_TOO_LARGE',
  'GW_ERR_PROTOCOL_STATUS',
  'GW_ERR_SOURCE_DESCRIPTORS',
  'GW_ERR_SOURCE_READ_TIMEOUT',
  'GW_ERR_SOURCE_SEND_TIMEOUT',
  'GW_ERR_HTTP_BODY_CUT',
  'GW_ERR_HTTP_BODY_TIMEOUT',
  'GW_ERR_HTTP_BODY_TOO_LARGE',
  'GW_ERR_HTTP_REQUEST',
  'GW_ERR_SPOOL',
  'GW_ERR_INTERNAL',
]);

/** Of an error that no source told. */
const unknownDelivery = { delivery: 'maybe', isRepeated: false } as const;

const isAvailable = (source: Source) => source.isAvailable();
const isUsable = (source: Source) => source.isUsable();

/** Runs the script for the request. */
export function runScript(
  context: ScriptContext,
  request: RoutedRequest,
  script: Script,
  options: RoleOptions = responder,
): void {
  new ScriptRequest(context, request, script, options).start();
}

const responder: RoleOptions = {};

class ScriptRequest implements SourceListener, ClientListener, HeldBodyListener, CgiResponseListener {
  readonly #context: ScriptContext;
  readonly #request: RoutedRequest;
  readonly #script: Script;
  readonly #role: RoleOptions;
  #response: CgiResponse;
  #body: HeldBody | undefined;
  #receiving: { close(): void } | undefined;
  #variables: readonly string[] = [];
  #source: Source | undefined;
  #exchange: SourceExchange | undefined;
  #stderr: StderrLog | undefined;
  /** Sources that were asked before this one; undefined as long as the first is good. */
  #failed: Source[] | undefined;
  #safeTries = 0;
  #maybeTries = 0;
  #saidMissing = false;
  #over = false;

  constructor(context: ScriptContext, request: RoutedRequest, script: Script, role: RoleOptions) {
    this.#context = context;
    this.#request = request;
    this.#script = script;
    this.#role = role;
    this.#response = new CgiResponse(request, script, context, this);
  }

  start(): void {
    const { exchange, hasBody } = this.#request;
    this.#context.active += 1;
    exchange.setListener(this);
    // An Authorizer gets no body (FastCGI 6.3): it stays for the handler.
    if (!hasBody || this.#context.role === 'Authorizer') this.#begin(undefined);
    else if (this.#context.options.bufferRequest) {
      this.#receiving = receiveBody(exchange, this.#context.options, this);
    } else {
      try {
        this.#begin(streamBody(exchange, this.#context.options.maxBodyBytes));
      } catch (error) {
        this.#fail(asGatewayError(error));
      }
    }
  }

  bodyReceived(body: HeldBody): void {
    this.#receiving = undefined;
    if (this.#over) body.close();
    else this.#begin(body);
  }

  bodyFailed(error: GatewayError): void {
    this.#receiving = undefined;
    if (!this.#over) this.#fail(error);
  }

  stdout(chunk: Buffer): boolean {
    if (this.#over) return true;
    try {
      return this.#response.stdout(chunk);
    } catch (error) {
      this.#abort();
      this.#failTry(asGatewayError(error));
      return true;
    }
  }

  stderr(chunk: Buffer): void {
    if (this.#over) return;
    if (chunk.includes('Primary script unknown')) this.scriptMissing();
    const { options, stderrLimit } = this.#context;
    this.#stderr ??= new StderrLog({
      log: this.#request.log,
      limit: stderrLimit,
      fields: { request: this.#request.id, source: this.#source!.name },
      failurePattern: options.failurePattern,
    });
    this.#stderr.push(chunk);
    const { failure } = this.#stderr;
    if (failure === undefined || this.#response.hasBegun) return;
    this.#abort();
    this.#failTry(saidFailure(failure));
  }

  end(appStatus: number): void {
    if (this.#over) return;
    this.#exchange = undefined;
    const failure = this.#endStderr();
    if (appStatus !== 0) {
      this.#request.log.warn(`Application ended with status ${appStatus}`, {
        request: this.#request.id,
        source: this.#source!.name,
        script: this.#script.scriptFilename,
      });
    }
    const isFailure = failure !== undefined && !this.#response.hasBegun;
    const problem = isFailure ? saidFailure(failure) : this.#response.end(appStatus);
    if (problem !== undefined) this.#failTry(problem);
    else {
      const { allowedFields } = this.#response;
      this.#finish();
      if (allowedFields !== undefined) this.#allow(allowedFields);
    }
  }

  error(error: GatewayError): void {
    if (this.#over) return;
    this.#exchange = undefined;
    this.#endStderr();
    if (!this.#response.isSettled) this.#failTry(error);
    else this.#finish();
  }

  drain(): void {
    this.#response.drain();
  }

  gone(): void {
    this.#abort();
    this.#response.close();
    this.#receiving?.close();
    this.#finish();
  }

  resumeOutput(): void {
    this.#exchange?.resume();
  }

  abortOutput(): void {
    this.#abort();
    this.#finish();
  }

  responseFailed(error: GatewayError): void {
    this.#abort();
    this.#fail(error);
  }

  scriptMissing(): void {
    if (this.#saidMissing) return;
    this.#saidMissing = true;
    const { scriptFilename, documentRoot, localFilename } = this.#script;
    const here =
      localFilename === scriptFilename ? 'that path is' : `here it is ${localFilename}, and that path is`;
    this.#request.log.error(
      `${this.#source!.name} was asked for ${scriptFilename} under the root ${documentRoot} and did not find it. ` +
        `Check that ${here} right where the application runs and that its user may read it; ` +
        'in a container or chroot, set scriptRoot to the root as seen there',
      { request: this.#request.id, source: this.#source!.name },
    );
  }

  /** The body is here, or on its way: the first try. */
  #begin(body: HeldBody | undefined): void {
    this.#body = body;
    try {
      const { planner } = this.#context;
      this.#variables = planner.variables(this.#request, this.#script, body?.length, this.#role.data);
    } catch (error) {
      this.#fail(asGatewayError(error));
      return;
    }
    const { balancer, planner } = this.#context;
    const { address } = planner.clientOf(this.#request);
    // None in service: the one that the policy would take may have recovered, and nothing is lost by asking (F43).
    const source = balancer.pick(address, isAvailable) ?? balancer.pick(address, isUsable);
    if (source !== undefined) this.#ask(source);
    else {
      const message = `All sources are in maintenance: ${balancer.sources.map(({ source: { name } }) => name).join(', ')}`;
      this.#fail(new SourceError('GW_ERR_SOURCE_STOPPED', message, { delivery: 'unsent' }));
    }
  }

  #ask(source: Source): void {
    const { record } = this.#request;
    this.#source = source;
    record.source = source.name;
    record.tries += 1;
    try {
      this.#exchange = source.open(
        { variables: this.#variables, body: this.#body, role: this.#context.role, data: this.#role.data },
        this,
      );
    } catch (error) {
      this.#failTry(asGatewayError(error));
    }
  }

  /** The request goes on to somebody else, whom nobody but us has called. */
  #allow(fields: Fields): void {
    try {
      this.#role.allowed!(fields);
    } catch (error) {
      this.#request.fail(asGatewayError(error));
    }
  }

  /** This try has failed: another one, or the end. */
  #failTry(error: GatewayError): void {
    const next = this.#response.hasBegun ? undefined : this.#nextSource(error);
    if (next === undefined) {
      this.#fail(error);
      return;
    }
    this.#request.log.info(`${error.message}; trying ${next.name}`, {
      request: this.#request.id,
      code: error.code,
      source: this.#source!.name,
    });
    this.#endStderr();
    if (this.#failed === undefined) {
      this.#failed = [];
      this.#context.retrying += 1;
    }
    this.#failed.push(this.#source!);
    this.#response.close();
    this.#response = new CgiResponse(this.#request, this.#script, this.#context, this);
    this.#ask(next);
  }

  #nextSource(error: GatewayError): Source | undefined {
    if (finalCodes.has(error.code) || this.#request.exchange.ended) return undefined;
    if (this.#body !== undefined && !this.#body.replayable) return undefined;
    const { delivery, isRepeated } = error instanceof SourceError ? error : unknownDelivery;
    if (isRepeated) this.#maybeTries += 1;
    const isSafe = delivery !== 'maybe';
    if (isSafe ? this.#safeTries >= safeTriesMax : !this.#mayRunTwice()) return undefined;
    if (this.#failed === undefined && !this.#hasRetryBudget()) return undefined;

    const { balancer, planner } = this.#context;
    const { address } = planner.clientOf(this.#request);
    const isUntried = (source: Source) =>
      source !== this.#source && !this.#failed?.includes(source) && source.isUsable();
    const next =
      balancer.pick(address, (source) => isUntried(source) && source.isAvailable()) ??
      balancer.pick(address, isUntried) ??
      // A worker that died takes nothing with it: its siblings at the same address are another try, also for a request
      // that it accepted and did not read.
      (error.code === 'GW_ERR_SOURCE_CLOSED' ? this.#source : undefined);
    if (next !== undefined) {
      if (isSafe) this.#safeTries += 1;
      else this.#maybeTries += 1;
    }
    return next;
  }

  #mayRunTwice(): boolean {
    if (this.#maybeTries >= maybeTriesMax) return false;
    // A decision changes nothing, whatever the method.
    return this.#context.role === 'Authorizer' || idempotentMethods.has(this.#request.method);
  }

  #hasRetryBudget(): boolean {
    const { active, retrying } = this.#context;
    return retrying < Math.max(retryingMin, active * retryingShare);
  }

  #fail(error: GatewayError): void {
    this.#response.close();
    this.#finish();
    this.#request.fail(error, this.#context.options.errorPages);
  }

  #abort(): void {
    this.#exchange?.abort();
    this.#exchange = undefined;
    this.#endStderr();
  }

  /** @returns the message that means failure */
  #endStderr(): string | undefined {
    const stderr = this.#stderr;
    this.#stderr = undefined;
    stderr?.end();
    return stderr?.failure;
  }

  /** The source is done with, whatever still waits for the client. May be called twice. */
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.active -= 1;
    if (this.#failed !== undefined) this.#context.retrying -= 1;
    this.#body?.close();
    this.#body = undefined;
    this.#role.data?.close();
  }
}

function saidFailure(message: string): SourceError {
  const shown = message.length > 200 ? `${message.slice(0, 200)}...` : message;
  return new SourceError('GW_ERR_SOURCE_STDERR', `Error output matches failurePattern: ${shown}`, {
    delivery: 'maybe',
  });
}

/** Anything else that is thrown is our own fault. */
function asGatewayError(error: unknown): GatewayError {
  if (error instanceof GatewayError) return error;
  const reason = error instanceof Error ? error.message : String(error);
  return new GatewayError('GW_ERR_INTERNAL', `Request failed inside: ${reason}`, { cause: error });
}
