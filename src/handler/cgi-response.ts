/**
 * One application's output on its way to the client: head, then body, or another answer in its place (an error page, a
 * sent file, a local redirect).
 * Invariants: nothing reaches the client before the head was read whole; a Content-Length is kept to the byte, or the
 * answer is visibly cut (T61, F13); output that is not wanted is read and dropped, so that the application can end.
 */
import { CgiError, type GatewayError } from '../base/errors.ts';
import { type ResponseHead, ResponseParser } from '../cgi/response-parser.ts';
import type { Script } from '../cgi/script-path.ts';
import { equalsIgnoreCase, findField } from '../http/fields.ts';
import { respondStatus } from './error-response.ts';
import type { RoutedRequest } from './handler.ts';
import { ResponseSpool, type ResponseSpoolListener, responseSpoolLimits } from './response-spool.ts';
import type { ScriptOptions } from './script-options.ts';
import { sendApplicationFile } from './sendfile.ts';

/** Whoever feeds the response. */
export interface CgiResponseListener {
  /** Goes on after `stdout` returned false. */
  resumeOutput(): void;
  /** The rest of the output is of no use: the answer is complete, and the application is still talking. */
  abortOutput(): void;
  /** The answer was begun and cannot be completed. */
  responseFailed(error: GatewayError): void;
  /** The application says that the script is not there. */
  scriptMissing(): void;
}

export class CgiResponse implements ResponseSpoolListener {
  readonly #request: RoutedRequest;
  readonly #script: Script;
  readonly #options: ScriptOptions;
  readonly #listener: CgiResponseListener;
  readonly #parser = new ResponseParser();
  /** `other`: another answer was given in place of this output; the exchange is no more ours. */
  #state: 'head' | 'body' | 'other' | 'done' = 'head';
  #head: ResponseHead | undefined;
  /** Body bytes that the Content-Length still promises; -1 without one, or where no body may follow. */
  #promised = -1;
  #spool: ResponseSpool | undefined;

  constructor(request: RoutedRequest, script: Script, options: ScriptOptions, listener: CgiResponseListener) {
    this.#request = request;
    this.#script = script;
    this.#options = options;
    this.#listener = listener;
  }

  /** The head was read and an answer begun: no other try, no error page any more. */
  get hasBegun(): boolean {
    return this.#state !== 'head';
  }

  /** The client has its answer, or gets it from somebody else: what becomes of this output does not matter to it. */
  get isSettled(): boolean {
    return this.#state === 'other' || this.#state === 'done';
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
      case 'body':
        return this.#write(chunk);
      case 'other':
      case 'done':
        return true;
    }
  }

  /**
   * The application says that the output is complete.
   * @returns why it is not: GW_ERR_CGI_NO_HEAD, GW_ERR_CGI_HEAD, GW_ERR_CGI_BODY_LENGTH
   */
  end(): CgiError | undefined {
    switch (this.#state) {
      case 'head':
        return this.#parser.end();
      case 'body':
        if (this.#promised > 0) {
          const announced = this.#head!.contentLength;
          const message = `Response ended ${this.#promised} bytes before its Content-Length of ${announced}`;
          return new CgiError('GW_ERR_CGI_BODY_LENGTH', message);
        }
        this.#finish();
        return undefined;
      case 'other':
      case 'done':
        return undefined;
    }
  }

  /** The client takes bytes again. */
  drain(): void {
    if (this.#spool !== undefined) this.#spool.drain();
    else if (this.#state === 'body') this.#listener.resumeOutput();
  }

  /** Drops what waits for the client. May be called twice. */
  close(): void {
    this.#spool?.close();
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

    if (xSendfile && (head.sendfile !== undefined || head.accelRedirect !== undefined)) {
      sendApplicationFile(request, head, this.#script, this.#options);
      this.#state = 'other';
      return true;
    }
    if (localRedirect && head.localRedirect !== undefined) {
      this.#state = 'other';
      request.redirect(head.localRedirect, { keepMethod: false });
      return true;
    }
    // While an error page is made, the application's page is the one that was asked for.
    if (!errorHandler && head.status >= 400 && request.errorPage === undefined) {
      this.#state = 'other';
      respondStatus(request, head.status, fieldsBesidePage(head), errorPages);
      return true;
    }
    this.#state = 'body';
    this.#head = head;
    const { errorPage } = request;
    const status = head.status === 200 ? (errorPage?.status ?? 200) : head.status;
    const isBodyless = request.exchange.request.method === 'HEAD' || status === 204 || status === 304;
    if (!isBodyless && head.contentLength !== undefined) this.#promised = head.contentLength;
    const fields = errorPage === undefined ? head.fields : [...errorPage.fields, ...head.fields];
    request.exchange.respond(status, head.reason, fields);
    return head.body.length === 0 ? true : this.#write(head.body);
  }

  #write(chunk: Uint8Array): boolean {
    if (this.#promised === -1) return this.#forward(chunk);
    if (chunk.length <= this.#promised) {
      this.#promised -= chunk.length;
      return this.#forward(chunk);
    }
    const { contentLength } = this.#head!;
    this.#request.log.warn(
      `Response is longer than its Content-Length of ${contentLength}; the rest was cut off`,
      {
        request: this.#request.id,
        script: this.#script.scriptFilename,
      },
    );
    this.#forward(chunk.subarray(0, this.#promised));
    this.#finish();
    this.#listener.abortOutput();
    return true;
  }

  #forward(chunk: Uint8Array): boolean {
    if (this.#spool !== undefined) return this.#spool.write(chunk);
    const { exchange } = this.#request;
    if (exchange.write(chunk)) return true;
    if (!this.#mayWait()) return false;
    const { spoolDir } = this.#options;
    this.#spool = new ResponseSpool(exchange, { spoolDir, ...responseSpoolLimits }, this);
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
    else this.#request.exchange.end();
  }
}

/** What php-fpm and php-cgi answer when SCRIPT_FILENAME names nothing that they can see. */
function saysScriptMissing(body: Uint8Array): boolean {
  if (body.length === 0 || body.length > 64) return false;
  const text = Buffer.from(body).toString('latin1');
  return text.startsWith('File not found.') || text.startsWith('No input file specified.');
}

/** Fields that speak about the page which is replaced. */
const pageFields: readonly string[] = [
  'accept-ranges',
  'cache-control',
  'etag',
  'expires',
  'last-modified',
  'location',
  'x-content-type-options',
];

/** What stays of an application's head when its page is replaced: WWW-Authenticate, Allow, Set-Cookie and the like. */
function fieldsBesidePage(head: ResponseHead): string[] {
  const kept: string[] = [];
  for (let i = 0; i < head.fields.length; i += 2) {
    const name = head.fields[i]!;
    const isOfPage =
      equalsIgnoreCase(name.slice(0, 8), 'content-') ||
      pageFields.some((field) => equalsIgnoreCase(name, field));
    if (!isOfPage) kept.push(name, head.fields[i + 1]!);
  }
  return kept;
}
