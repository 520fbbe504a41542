/**
 * One request that runs a script: receives the body, asks a source, asks again when that is safe, and hands the output
 * to a `CgiResponse`. `FurtherTries` says when it is; never once an answer was begun, or without the whole body.
 * Hot path: one object for the request and one for its answer; no promise, no closure, no timer.
 */

import type { Balancer } from '../balancer/balancer.ts';
import type { Timer } from '../base/clock.ts';
import { errorFacts } from '../base/error-facts.ts';
import { CgiError, type GatewayError, SourceError, toGatewayError } from '../base/errors.ts';
import type { Script } from '../cgi/script-path.ts';
import type { Fields } from '../http/message.ts';
import { isIdempotent } from '../http/method.ts';
import type { ReplyListener } from '../http/reply.ts';
import type { Source, SourceExchange, SourceListener, SourceRole, TryOutcome } from '../source/source.ts';
import { CgiResponse, type CgiResponseListener } from './cgi-response.ts';
import { EarlyAnswers } from './early-answers.ts';
import type { FilterData } from './filter-data.ts';
import { chooseSource, FurtherTries, type TryContext } from './further-tries.ts';
import type { BackgroundWork, RoutedRequest } from './handler.ts';
import { type KeptBody, type KeptBodyListener, receiveBody, streamBody } from './request-body.ts';
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
export interface ScriptContext extends TryContext {
  readonly options: ScriptOptions;
  readonly planner: ScriptVariables;
  readonly stderrLimit: StderrLimit;
  readonly earlyAnswers: EarlyAnswers;
  /** Undefined: Responder. */
  readonly role: SourceRole | undefined;
  toldOfSendfile: boolean;
}

/** @param role undefined: Responder */
export function createScriptContext(
  options: ScriptOptions & { readonly balancer: Balancer },
  planner: ScriptVariables,
  role: SourceRole | undefined,
): ScriptContext {
  const { balancer, clock } = options;
  const stderrLimit = new StderrLimit(clock.now);
  const counts = { active: 0, retrying: 0, waiting: 0 };
  return {
    options,
    planner,
    balancer,
    stderrLimit,
    earlyAnswers: new EarlyAnswers(clock),
    role,
    toldOfSendfile: false,
    ...counts,
  };
}

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

class ScriptRequest
  implements SourceListener, ReplyListener, KeptBodyListener, CgiResponseListener, BackgroundWork
{
  readonly #context: ScriptContext;
  readonly #request: RoutedRequest;
  readonly #script: Script;
  readonly #role: RoleOptions;
  readonly #mayRunTwice: boolean;
  #response: CgiResponse;
  #body: KeptBody | undefined;
  #receiving: { close(): void } | undefined;
  /** It goes on to the application while it comes. */
  #streamsBody = false;
  #variables: readonly string[] = [];
  #source: Source | undefined;
  #exchange: SourceExchange | undefined;
  /** Of the try under way, or of the last one. */
  #triedAt = 0;
  #waitedMs = 0;
  #wasRepeated = false;
  #stderr: StderrLog | undefined;
  /** Undefined as long as no try has failed. */
  #furtherTries: FurtherTries | undefined;
  #pause: Timer | undefined;
  #hasWarnedOfMissing = false;
  /** The client has an answer, and does not wait for what the application still does. */
  #worksOn = false;
  #over = false;

  constructor(context: ScriptContext, request: RoutedRequest, script: Script, role: RoleOptions) {
    this.#context = context;
    this.#request = request;
    this.#script = script;
    this.#role = role;
    // A decision changes nothing, whatever the method.
    this.#mayRunTwice = context.role === 'Authorizer' || isIdempotent(request.method);
    this.#response = new CgiResponse(request, script, context, this);
  }

  start(): void {
    const { exchange, hasBody, reply } = this.#request;
    this.#context.active += 1;
    reply.setListener(this);
    // An Authorizer gets no body (FastCGI 6.3): it stays for the handler.
    if (!hasBody || this.#context.role === 'Authorizer') this.#begin(undefined);
    else if (this.#context.options.bufferRequest || exchange.bodyLength === undefined) {
      // One that comes chunked is received first whatever the rule says, so that its length is known.
      this.#receiving = receiveBody(exchange, this.#context.options, this);
    } else {
      try {
        const { maxBodyBytes } = this.#context.options;
        this.#streamsBody = true;
        this.#begin(streamBody(exchange, maxBodyBytes, () => this.#response.endForClient()));
      } catch (error) {
        this.#fail(toGatewayError(error));
      }
    }
  }

  bodyReceived(body: KeptBody): void {
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
      const fault = toGatewayError(error);
      if (fault instanceof CgiError) this.#disown(fault);
      else {
        this.#abort(fault.code);
        this.#failTry(fault);
      }
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
    if (failure !== undefined && !this.#response.hasBegun) this.#disown(saidFailure(failure));
  }

  /** What error output was read may wait for the end of its line. */
  sendNow(): boolean {
    return !this.#over && this.#stderr === undefined && this.#response.sendNow();
  }

  end(appStatus: number): void {
    if (this.#over) return;
    const failure = this.#endStderr();
    if (appStatus !== 0) {
      this.#request.record.appStatus = appStatus;
      this.#source!.meter?.saidFailure();
      this.#request.log.warn(`Application ended with status ${appStatus}`, {
        request: this.#request.id,
        source: this.#source!.name,
        script: this.#script.scriptFilename,
      });
    }
    if (failure !== undefined && !this.#response.hasBegun) {
      this.#disown(saidFailure(failure));
      return;
    }
    const exchange = this.#exchange;
    this.#leaveExchange();
    const nowMs = this.#context.options.clock.now();
    const problem = this.#response.end(appStatus);
    if (problem !== undefined) exchange?.disown(problem);
    this.#count(problem?.code ?? 'complete', nowMs);
    if (problem !== undefined) this.#failTry(problem);
    else {
      const { allowedFields } = this.#response;
      this.#finish();
      if (allowedFields !== undefined) this.#allow(allowedFields);
    }
  }

  error(error: GatewayError): void {
    if (this.#over) return;
    this.#leaveExchange();
    this.#count(error.code);
    this.#endStderr();
    if (!this.#response.isSettled) {
      this.#failTry(error);
      return;
    }
    const { log, id } = this.#request;
    const fields = { request: id, code: error.code, source: this.#source!.name };
    log[errorFacts[error.code].level](`${error.message}; the client has its answer`, fields);
    this.#finish();
  }

  drained(): void {
    this.#response.drained();
  }

  gone(): void {
    this.#abort('aborted');
    this.#response.close();
    this.#receiving?.close();
    this.#finish();
  }

  get outputIsShared(): boolean {
    return this.#exchange?.isShared === true;
  }

  resumeOutput(): void {
    this.#exchange?.resume();
  }

  outputStreams(): void {
    this.#exchange?.liftTotalLimit();
  }

  get requestIsReceived(): boolean {
    return this.#body?.isReceived !== false;
  }

  clientAnswered(): void {
    if (this.#over || this.#worksOn) return;
    this.#worksOn = true;
    this.#request.worksOn(this);
    this.#exchange?.answered();
  }

  abandon(): void {
    this.#request.log.warn('The gateway stops, and gives up an application that works on behind its answer', {
      request: this.#request.id,
      source: this.#source!.name,
      script: this.#script.scriptFilename,
    });
    this.#abort('aborted');
    this.#finish();
  }

  abortOutput(): void {
    this.#abort('aborted');
    this.#finish();
  }

  responseFailed(error: GatewayError): void {
    this.#abort(error.code);
    this.#fail(error);
  }

  scriptMissing(): void {
    if (this.#hasWarnedOfMissing) return;
    this.#hasWarnedOfMissing = true;
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
  #begin(body: KeptBody | undefined): void {
    this.#body = body;
    try {
      const { planner } = this.#context;
      this.#variables = planner.variables(this.#request, this.#script, body?.length, this.#role.data);
    } catch (error) {
      this.#fail(toGatewayError(error));
      return;
    }
    this.#choose();
  }

  get #clientAddress(): string {
    return this.#context.planner.clientOf(this.#request).address;
  }

  #choose(): void {
    let source: Source;
    try {
      source = chooseSource(this.#context.balancer, this.#clientAddress, 'pick');
    } catch (error) {
      this.#fail(toGatewayError(error));
      return;
    }
    this.#ask(source);
  }

  #ask(source: Source): void {
    const { record } = this.#request;
    this.#source = source;
    record.source = source.name;
    record.tries += 1;
    if (record.appStatus !== undefined) record.appStatus = undefined;
    if (this.#furtherTries !== undefined) source.meter?.triedAgain();
    // Nothing but its routing lies between the head of a request without a body and its first try.
    const isFirst = record.tries === 1 && this.#body === undefined;
    this.#triedAt = isFirst ? this.#request.startedMs : this.#context.options.clock.now();
    this.#waitedMs = 0;
    this.#wasRepeated = false;
    try {
      this.#exchange = source.open(
        {
          variables: this.#variables,
          body: this.#body,
          role: this.#context.role,
          data: this.#role.data,
          group: this.#request.site.name,
          mayRunTwice: this.#mayRunTwice,
          client: this.#context.planner.clientOf(this.#request).address,
          ownConnection: this.#isSlow,
        },
        this,
      );
      if (this.#streamsBody) this.#exchange.liftTotalLimit();
    } catch (error) {
      const fault = toGatewayError(error);
      this.#count(fault.code);
      this.#failTry(fault);
    }
  }

  /** The application waits for the client, and may do so for long. */
  get #isSlow(): boolean {
    return !this.#context.options.bufferResponse || this.#streamsBody;
  }

  /** The request goes on to somebody else, whom nobody but us has called. */
  #allow(fields: Fields): void {
    try {
      this.#role.allowed!(fields);
    } catch (error) {
      this.#request.fail(toGatewayError(error));
    }
  }

  /** This try has failed: another one, or the end. */
  #failTry(error: GatewayError): void {
    this.#workNoMore();
    const next = this.#mayAskAgain()
      ? this.#tries().after(error, this.#source!, this.#wasRepeated)
      : undefined;
    if (next === undefined) {
      this.#fail(error);
      return;
    }
    this.#request.log.info(
      `${error.message}; ${next.source === undefined ? 'waiting a moment' : `trying ${next.source.name}`}`,
      { request: this.#request.id, code: error.code, source: this.#source!.name },
    );
    this.#endStderr();
    this.#response.close();
    this.#response = new CgiResponse(this.#request, this.#script, this.#context, this);
    if (next.source !== undefined) this.#ask(next.source);
    else {
      this.#pause = this.#context.options.clock.setTimer(() => this.#choose(), next.pauseMs);
    }
  }

  #mayAskAgain(): boolean {
    const isHere = !this.#response.hasBegun && !this.#request.reply.ended;
    return isHere && (this.#body === undefined || this.#body.replayable);
  }

  #tries(): FurtherTries {
    this.#furtherTries ??= new FurtherTries(this.#context, this.#clientAddress, this.#mayRunTwice);
    return this.#furtherTries;
  }

  #fail(error: GatewayError): void {
    this.#response.close();
    this.#finish();
    this.#request.fail(error, this.#context.options.errorPages);
  }

  /** Ends the try, if one is under way. */
  #abort(outcome: TryOutcome): void {
    if (this.#exchange !== undefined) {
      this.#exchange.abort();
      this.#leaveExchange();
      this.#count(outcome);
    }
    this.#endStderr();
  }

  #count(outcome: TryOutcome, nowMs: number = this.#context.options.clock.now()): void {
    const { meter } = this.#source!;
    meter?.ended(outcome, nowMs - this.#triedAt, this.#waitedMs);
  }

  /** Its answer is a failure, whatever the application calls it, which the source has to know. */
  #disown(error: GatewayError): void {
    this.#exchange?.disown(error);
    this.#leaveExchange();
    this.#count(error.code);
    this.#endStderr();
    this.#failTry(error);
  }

  #leaveExchange(): void {
    const waitedMs = this.#exchange?.waitedMs ?? 0;
    this.#waitedMs = waitedMs;
    this.#wasRepeated = this.#exchange?.wasRepeated === true;
    if (waitedMs > 0) this.#request.record.waitedMs = (this.#request.record.waitedMs ?? 0) + waitedMs;
    this.#exchange = undefined;
  }

  /** @returns the message that means failure */
  #endStderr(): string | undefined {
    const stderr = this.#stderr;
    this.#stderr = undefined;
    stderr?.end();
    return stderr?.failure;
  }

  #workNoMore(): void {
    if (!this.#worksOn) return;
    this.#worksOn = false;
    this.#request.worksNoMore(this);
  }

  /** The source is done with, whatever still waits for the client. May be called twice. */
  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.active -= 1;
    this.#workNoMore();
    this.#context.options.clock.clearTimer(this.#pause);
    this.#furtherTries?.end();
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
