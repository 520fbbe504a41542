/**
 * One application's output on its way to the client: head, then body, or another answer in its place (an error page, a
 * sent file, a local redirect).
 * Invariants: nothing reaches the client before the head was read whole; a small answer waits until it is complete, for
 * a moment (F12); a Content-Length is kept to the byte, or the answer is visibly cut (T61, F13); with all that its head has
 * promised the answer ends for the client, whatever the application still does (F59); output that is not wanted is read and
 * dropped, so that the application can end, and the log says so.
 */
import { CgiError, type GatewayError } from '../base/errors.ts';
import { type InterimListener, type ResponseHead, ResponseParser } from '../cgi/response-parser.ts';
import type { Script } from '../cgi/script-path.ts';
import { findField, withoutFields } from '../http/fields.ts';
import type { Fields } from '../http/message.ts';
import { answerLength, isBodyless, lengthAfter, unknownLength, withinLength } from '../http/reply-framing.ts';
import { parseTarget } from '../http/target.ts';
import type { SourceRole } from '../source/source.ts';
import type { EarlyAnswer, EarlyAnswers } from './early-answers.ts';
import { respondStatus } from './error-response.ts';
import type { RoutedRequest } from './handler.ts';
import { ResponseSpool, type ResponseSpoolListener, responseSpoolLimits } from './response-spool.ts';
import type { ScriptOptions } from './script-options.ts';
import { sendApplicationFile } from './sendfile.ts';

/** The code that feeds the response. */
export interface CgiResponseListener {
  /** The output cannot be paused for long. */
  readonly outputIsShared: boolean;
  /** Goes on after `stdout` returned false. */
  resumeOutput(): void;
  /** The answer is one that may go on for long: events, or what is not to be buffered. */
  outputStreams(): void;
  /** False: the client still sends a body that the application is to get, so that its connection cannot go on. */
  readonly requestIsReceived: boolean;
  /** The client's answer ends now, or is somebody else's from now on: it does not wait for what the application still does. */
  clientAnswered(): void;
  /** The answer has ended, and far too much was printed behind it. */
  abortOutput(): void;
  /** The answer was begun and cannot be completed. */
  responseFailed(error: GatewayError): void;
  /** The application says that the script is not there. */
  scriptMissing(): void;
}

/** What all answers of one rule share. */
export interface ResponseContext {
  readonly options: ScriptOptions;
  readonly earlyAnswers: EarlyAnswers;
  /** Of an Authorizer, only what is not 200 is an answer. Undefined: Responder. */
  readonly role: SourceRole | undefined;
  /** The log has its line about an X-Sendfile or X-Accel-Redirect that is not obeyed. */
  toldOfSendfile: boolean;
}

/** Body bytes beyond which an answer does not wait. */
const earlyBytesMax = 16_384;

/**
 * Output that is dropped, in bytes. An application may end its work when nobody reads what it prints, but who prints so much
 * does nothing else: he is told to stop.
 */
const droppedBytesMax = 64 * 1024 * 1024;

/** No chunks; never filled. */
const nothing: Uint8Array[] = [];

export class CgiResponse implements ResponseSpoolListener, EarlyAnswer, InterimListener {
  readonly #request: RoutedRequest;
  readonly #script: Script;
  readonly #options: ScriptOptions;
  readonly #context: ResponseContext;
  readonly #isDecision: boolean;
  readonly #listener: CgiResponseListener;
  readonly #parser = new ResponseParser(this);
  /**
   * `early`: the head is read, and nothing of it was sent. `other`: another answer was given in place of this output; the
   * exchange is no longer ours. `allowed`: an Authorizer's 200, which is for us and not for the client. `done`: the answer has
   * ended for the client.
   */
  #state: 'head' | 'early' | 'body' | 'other' | 'allowed' | 'done' = 'head';
  #head: ResponseHead | undefined;
  #earlyChunks = nothing;
  #earlyBytes = 0;
  /** Body bytes that are still to come: 0 where none may follow; `unknownLength` without a Content-Length. */
  #promised = unknownLength;
  #droppedBytes = 0;
  #spool: ResponseSpool | undefined;

  constructor(
    request: RoutedRequest,
    script: Script,
    context: ResponseContext,
    listener: CgiResponseListener,
  ) {
    this.#request = request;
    this.#script = script;
    this.#options = context.options;
    this.#context = context;
    this.#isDecision = context.role === 'Authorizer';
    this.#listener = listener;
  }

  /** An answer was begun: no other try, no error page any more. */
  get hasBegun(): boolean {
    return this.#state !== 'head' && this.#state !== 'early' && this.#state !== 'allowed';
  }

  /** Fields of an Authorizer's 200; it counts when `end` found nothing wrong. */
  get allowedFields(): Fields | undefined {
    return this.#state === 'allowed' ? this.#head!.fields : undefined;
  }

  /** The client has its answer, or gets it from somebody else: what becomes of this output does not matter to it. */
  get isSettled(): boolean {
    return this.#state === 'other' || this.#state === 'done' || this.#isWhole;
  }

  /**
   * Takes output bytes over. False: wait for `resumeOutput`.
   * @throws {CgiError} the head is bad, or names a file that must not be sent; nothing was answered yet
   */
  stdout(chunk: Uint8Array): boolean {
    switch (this.#state) {
      case 'head': {
        const head = this.#parser.push(chunk);
        return head === undefined ? true : this.#begin(head);
      }
      case 'early':
        this.#keep(chunk);
        return this.#earlyBytes <= earlyBytesMax || this.#release();
      case 'body': {
        const takesMore = this.#write(chunk);
        return this.#promised === 0 ? this.#endSoon() : takesMore;
      }
      case 'other':
      case 'allowed':
      case 'done':
        this.#drop(chunk.length);
        return true;
    }
  }

  /** Sends what was taken over. True: all of it has left, and its bytes are free. */
  sendNow(): boolean {
    return this.#state === 'body' && this.#spool === undefined && this.#request.reply.sendNow();
  }

  /**
   * The application says that the output is complete.
   * @returns why it is not: GW_ERR_CGI_NO_HEAD, GW_ERR_CGI_HEAD, GW_ERR_CGI_BODY_LENGTH, GW_ERR_CGI_AUTHORIZER
   */
  end(appStatus: number): CgiError | undefined {
    switch (this.#state) {
      case 'head':
        return this.#parser.end();
      case 'early':
        if (this.#promised > this.#earlyBytes) return this.#tooShort(this.#promised - this.#earlyBytes);
        this.#release(true);
        this.#finish();
        return undefined;
      case 'body':
        if (this.#promised > 0) return this.#tooShort(this.#promised);
        this.#finish();
        return undefined;
      case 'allowed':
        // A program that fails after it began to print says 200 all the same.
        return appStatus === 0 ? undefined : allowedAndFailed(appStatus);
      case 'other':
      case 'done':
        return undefined;
    }
  }

  /**
   * Ends the answer for the client, when all of it was given and its request was read. What the application says from then on is
   * for nobody.
   */
  endForClient(): void {
    if (!this.#isWhole) return;
    this.#listener.clientAnswered();
    this.#finish();
  }

  /** An interim head, as 103 Early Hints: for the client at once, unless it is about another page than the one asked for. */
  interim(status: number, fields: Fields): void {
    if (!this.#isDecision && this.#request.errorPage === undefined)
      this.#request.reply.inform(status, fields);
  }

  /** The client takes bytes again. */
  drained(): void {
    if (this.#spool !== undefined) this.#spool.drained();
    else if (this.#state === 'body') this.#listener.resumeOutput();
  }

  /** Drops what waits for the client. May be called twice. */
  close(): void {
    if (this.#state === 'early') this.#context.earlyAnswers.remove(this);
    this.#spool?.close();
  }

  mayLeave(): void {
    this.#release();
  }

  spoolResumed(): void {
    this.#listener.resumeOutput();
  }

  spoolFailed(error: GatewayError): void {
    this.#listener.responseFailed(error);
  }

  #begin(head: ResponseHead): boolean {
    const request = this.#request;
    const { errorHandler, errorPages, localRedirect, xSendfile } = this.#options;
    if (head.status === 404 && saysScriptMissing(head.body)) this.#listener.scriptMissing();

    if (head.faults !== undefined) for (const fault of head.faults) this.#warn(fault);
    if (this.#isDecision && head.isEmpty)
      throw new CgiError(
        'GW_ERR_CGI_NO_HEAD',
        'An authorizer answered with an empty head, which allows nothing',
      );
    if (this.#isDecision && head.status === 200) {
      this.#head = head;
      this.#state = 'allowed';
      this.#drop(head.body.length);
      return true;
    }
    if (head.sendfile !== undefined || head.accelRedirect !== undefined) {
      if (xSendfile) {
        // The file may be sent at once, or not at all: then the client waits for us again.
        this.#listener.clientAnswered();
        sendApplicationFile(request, head, this.#script, this.#options);
        return this.#leaveToOther(head);
      }
      this.#tellOfSendfile(head);
    }
    if (localRedirect && head.localRedirect !== undefined) {
      checkLocation(head.localRedirect);
      this.#leaveToOther(head);
      request.redirect(head.localRedirect, { keepMethod: false });
      return true;
    }
    // While an error page is made, the application's page is the one that was asked for.
    if (!errorHandler && head.status >= 400 && request.errorPage === undefined) {
      this.#leaveToOther(head);
      respondStatus(request, head.status, fieldsBesidePage(head), errorPages);
      return true;
    }
    this.#state = 'early';
    this.#head = head;
    const { method } = request.exchange.request;
    this.#promised = answerLength(method, this.#status, head.contentLength ?? unknownLength);
    this.#keep(head.body);
    const mayWait = this.#mayWait();
    // What has no body ends at once, and events of which nobody hears have no reason to go on.
    if (!mayWait && this.#promised !== 0) this.#listener.outputStreams();
    if (!mayWait || this.#earlyBytes > earlyBytesMax) return this.#release();
    this.#context.earlyAnswers.add(this);
    return true;
  }

  /** All that was promised was given to the reply, and its request is here whole. */
  get #isWhole(): boolean {
    return this.#state === 'body' && this.#promised === 0 && this.#listener.requestIsReceived;
  }

  /** Another answer takes the place of this one. */
  #leaveToOther({ body }: ResponseHead): boolean {
    this.#state = 'other';
    this.#listener.clientAnswered();
    this.#drop(body.length);
    return true;
  }

  /** The application's, unless it makes the page of an error. */
  get #status(): number {
    const { status } = this.#head!;
    return status === 200 ? (this.#request.errorPage?.status ?? 200) : status;
  }

  #keep(chunk: Uint8Array): void {
    const left = this.#promised === unknownLength ? unknownLength : this.#promised - this.#earlyBytes;
    const kept = this.#within(chunk, left);
    if (kept.length === 0) return;
    if (this.#earlyChunks === nothing) this.#earlyChunks = [kept];
    else this.#earlyChunks.push(kept);
    this.#earlyBytes += kept.length;
  }

  /** Sends what waited: from here on there is no way back. */
  #release(endsNow = false): boolean {
    const { errorPage, reply } = this.#request;
    const { fields, reason } = this.#head!;
    const chunks = this.#earlyChunks;
    this.#context.earlyAnswers.remove(this);
    this.#state = 'body';
    this.#earlyChunks = nothing;
    reply.respond(
      this.#status,
      reason,
      errorPage === undefined ? fields : [...errorPage.fields, ...fields],
      endsNow,
    );
    let takesMore = true;
    for (const chunk of chunks) takesMore = this.#write(chunk);
    return this.#promised === 0 && !endsNow ? this.#endSoon() : takesMore;
  }

  #warn(message: string): void {
    this.#request.log.warn(message, { request: this.#request.id, script: this.#script.scriptFilename });
  }

  #debug(message: string): void {
    this.#request.log.debug(message, { request: this.#request.id, script: this.#script.scriptFilename });
  }

  /** Once: a web server in front of this one may be meant, and obey. */
  #tellOfSendfile({ sendfile }: ResponseHead): void {
    if (this.#context.toldOfSendfile) return;
    this.#context.toldOfSendfile = true;
    const field = sendfile === undefined ? 'X-Accel-Redirect' : 'X-Sendfile';
    this.#warn(
      `The application asks for a file to be sent (${field}), and "xSendfile" of its handler is off: the field is passed on. ` +
        'To have it obeyed here, set "xSendfile" to true, and name the directories in "sendfileRoots" or "accelRoots"',
    );
  }

  #tooShort(missing: number): CgiError {
    const announced = this.#head!.contentLength;
    const message = `Response ended ${missing} bytes before its Content-Length of ${announced}`;
    return new CgiError('GW_ERR_CGI_BODY_LENGTH', message);
  }

  #write(chunk: Uint8Array): boolean {
    const wanted = this.#within(chunk, this.#promised);
    this.#promised = lengthAfter(this.#promised, wanted.length);
    return wanted.length === 0 || this.#forward(wanted);
  }

  /** What of a chunk belongs to the answer; the rest is dropped. */
  #within(chunk: Uint8Array, left: number): Uint8Array {
    const wanted = withinLength(chunk, left);
    if (wanted.length < chunk.length) this.#drop(chunk.length - wanted.length);
    return wanted;
  }

  /** Nothing is ever dropped without a line in the log. */
  #drop(bytes: number): void {
    if (bytes === 0) return;
    if (this.#droppedBytes === 0) this.#tellOfDropped();
    this.#droppedBytes += bytes;
    // Of an authorizer that says 200 the end is awaited, and of a client that still sends.
    if (this.#droppedBytes <= droppedBytesMax || (this.#state !== 'done' && this.#state !== 'other')) return;
    this.#warn(
      `The application printed ${this.#droppedBytes} bytes that nobody gets; its request was given up`,
    );
    this.#listener.abortOutput();
  }

  #tellOfDropped(): void {
    const { method } = this.#request.exchange.request;
    if (this.#state === 'other') this.#debug('Another answer takes the place of what the application prints');
    else if (this.#state === 'allowed') this.#debug('Nobody gets what an authorizer prints behind its 200');
    // As RFC 3875 4.3.3 has it: a script may print the body, and the server drops it.
    else if (method === 'HEAD') this.#debug('The application prints a body for HEAD, which was dropped');
    else if (isBodyless(this.#status))
      this.#warn(`Response has a body, and may have none with status ${this.#status}; it was dropped`);
    else {
      const { contentLength } = this.#head!;
      this.#warn(`Response is longer than its Content-Length of ${contentLength}; the rest was cut off`);
    }
  }

  /** Not before all is read that came with these bytes: END_REQUEST may be among it, and makes all of it one answer. */
  #endSoon(): boolean {
    process.nextTick(endForClient, this);
    return true;
  }

  #forward(chunk: Uint8Array): boolean {
    if (this.#spool !== undefined) return this.#spool.write(chunk);
    const { reply } = this.#request;
    if (reply.write(chunk)) return true;
    if (!this.#mayWait()) return false;
    const { spoolDir, clock } = this.#options;
    const isShared = this.#listener.outputIsShared;
    this.#spool = new ResponseSpool(reply, { spoolDir, isShared, clock, ...responseSpoolLimits }, this);
    return true;
  }

  /** The answer may be kept back for a slow client. Events are worth nothing late, and an application may say so itself. */
  #mayWait(): boolean {
    const head = this.#head!;
    if (!this.#options.bufferResponse || head.buffering === false) return false;
    const type = findField(head.fields, 'content-type');
    return type === undefined || !/^text\/event-stream\b/i.test(type);
  }

  #finish(): void {
    this.#state = 'done';
    if (this.#spool !== undefined) this.#spool.end();
    else this.#request.reply.end();
  }
}

function endForClient(response: CgiResponse): void {
  response.endForClient();
}

/** @throws {CgiError} GW_ERR_CGI_HEAD */
function checkLocation(location: string): void {
  try {
    parseTarget(location);
  } catch (error) {
    throw new CgiError('GW_ERR_CGI_HEAD', `Location leads nowhere: ${(error as Error).message}`);
  }
}

function allowedAndFailed(appStatus: number): CgiError {
  return new CgiError(
    'GW_ERR_CGI_AUTHORIZER',
    `The authorizer said 200 and then ended with status ${appStatus}, so it does not count`,
  );
}

/** What php-fpm and php-cgi answer when SCRIPT_FILENAME names nothing that they can see. */
function saysScriptMissing(body: Uint8Array): boolean {
  if (body.length === 0 || body.length > 64) return false;
  const text = Buffer.from(body).toString('latin1');
  return text.startsWith('File not found.') || text.startsWith('No input file specified.');
}

/** Fields that speak about the page which is replaced. */
const pageFields: ReadonlySet<string> = new Set([
  'accept-ranges',
  'cache-control',
  'etag',
  'expires',
  'last-modified',
  'location',
  'x-content-type-options',
]);

/** What stays of an application's head when its page is replaced: WWW-Authenticate, Allow, Set-Cookie and the like. */
function fieldsBesidePage({ fields }: ResponseHead): string[] {
  return withoutFields(fields, (name) => name.startsWith('content-') || pageFields.has(name));
}
