/**
 * One request to become another protocol, as WebSocket, for an application that a rule declares fit for it: STDIN stays
 * open and carries what the client sends, and after a head of status 101 output goes to the client as it comes.
 * Invariants: nothing of the client is read before the 101; an answer other than 101 ends STDIN and goes to the client as
 * it is; the request is sent once, to one source; each side waits for the other, and nothing is kept in between. When neither says
 * anything for the source's read timeout, the connection is closed.
 */
import { CgiError, type GatewayError, toGatewayError } from '../base/errors.ts';
import { type ResponseHead, ResponseParser } from '../cgi/response-parser.ts';
import type { Script } from '../cgi/script-path.ts';
import { findField, hasToken } from '../http/fields.ts';
import type { BodyReader, BodyReceiver, RequestBody } from '../http/message.ts';
import type { ReplyListener } from '../http/reply.ts';
import type { SourceExchange, SourceListener, TryMeter, TryOutcome } from '../source/source.ts';
import { chooseSource } from './further-tries.ts';
import type { RoutedRequest } from './handler.ts';
import type { ScriptContext } from './script-request.ts';
import { StderrLog } from './stderr-log.ts';

/** The client asks for another protocol, and its connection can become one; never h2c (T44), and never with a body. */
export function wantsUpgrade({ exchange: { request, bodyLength }, reply }: RoutedRequest): boolean {
  if (request.method !== 'GET' || !reply.facts.canUpgrade || bodyLength !== 0) return false;
  const protocol = findField(request.fields, 'upgrade');
  if (protocol === undefined || /\bh2c\b/i.test(protocol)) return false;
  return hasToken(request.fields, 'connection', 'upgrade');
}

/** Asks a source, and connects it with the client when it agrees. */
export function runUpgrade(context: ScriptContext, request: RoutedRequest, script: Script): void {
  new UpgradeRequest(context, request).start(script);
}

class UpgradeRequest implements SourceListener, ReplyListener, RequestBody, BodyReader {
  readonly length = undefined;
  readonly bytes = undefined;
  readonly replayable = false;
  readonly isConversation = true;
  readonly #context: ScriptContext;
  readonly #request: RoutedRequest;
  readonly #parser = new ResponseParser(undefined, true);
  #source: SourceExchange | undefined;
  #meter: TryMeter | undefined;
  #triedAt = 0;
  #isCounted = false;
  #stderr: StderrLog | undefined;
  /** Of the application's STDIN; undefined until it is connected. */
  #stdin: BodyReceiver | undefined;
  /** Of the client's bytes; undefined until the 101. */
  #client: BodyReader | undefined;
  #answered = false;
  #over = false;

  constructor(context: ScriptContext, request: RoutedRequest) {
    this.#context = context;
    this.#request = request;
  }

  start(script: Script): void {
    const { balancer, options, planner, stderrLimit } = this.#context;
    const { exchange, id, log, record, reply } = this.#request;
    this.#context.active += 1;
    reply.setListener(this);
    try {
      const variables = planner.variables(this.#request, script, undefined);
      const source = chooseSource(balancer, planner.clientOf(this.#request).address, 'pick');
      this.#stderr = new StderrLog({
        log,
        limit: stderrLimit,
        fields: { request: id, source: source.name },
        failurePattern: options.failurePattern,
      });
      const { fields } = exchange.request;
      // Configured variables stay, here too.
      addVariable(variables, 'HTTP_UPGRADE', findField(fields, 'upgrade')!);
      addVariable(variables, 'HTTP_CONNECTION', 'Upgrade');
      record.source = source.name;
      record.tries += 1;
      this.#meter = source.meter;
      this.#triedAt = options.clock.now();
      this.#source = source.open(
        {
          variables,
          body: this,
          group: this.#request.site.name,
          client: planner.clientOf(this.#request).address,
          ownConnection: true,
        },
        this,
      );
      this.#source.liftTotalLimit();
    } catch (error) {
      this.#fail(toGatewayError(error));
    }
  }

  /** The source begins to send STDIN. */
  read(receiver: BodyReceiver): BodyReader {
    this.#stdin = receiver;
    return this;
  }

  resume(): void {
    this.#client?.resume();
  }

  close(): void {
    this.#client?.close();
  }

  stdout(chunk: Buffer): boolean {
    if (this.#over) return true;
    if (this.#answered) return this.#request.reply.write(chunk);
    try {
      const head = this.#parser.push(chunk);
      return head === undefined ? true : this.#begin(head);
    } catch (error) {
      this.#failHead(toGatewayError(error));
      return true;
    }
  }

  stderr(chunk: Buffer): void {
    this.#stderr?.push(chunk);
  }

  end(appStatus: number): void {
    if (this.#over) return;
    if (appStatus !== 0) {
      const { id, log, record } = this.#request;
      record.appStatus = appStatus;
      this.#meter?.saidFailure();
      log.warn(`Application ended with status ${appStatus}`, { request: id, source: record.source });
    }
    if (!this.#answered) this.#failHead(this.#parser.end());
    else {
      this.#count('complete');
      this.#finish();
      this.#request.reply.end();
    }
  }

  error(error: GatewayError): void {
    if (!this.#over) this.#fail(error);
  }

  drained(): void {
    this.#source?.resume();
  }

  gone(): void {
    this.#source?.abort();
    this.#count('aborted');
    this.#finish();
  }

  #begin(head: ResponseHead): boolean {
    const { reply } = this.#request;
    if (head.status === 101) {
      if (this.#stdin === undefined)
        throw new CgiError('GW_ERR_CGI_HEAD', 'Response has status 101 before its request was sent');
      this.#answered = true;
      this.#client = reply.upgrade(head.fields, this.#stdin);
      // What follows is not an answer: how long it takes is up to both sides.
      this.#count('complete');
    } else {
      this.#answered = true;
      this.#stdin?.end();
      reply.respond(head.status, head.reason, head.fields);
    }
    return head.body.length === 0 || reply.write(head.body);
  }

  /** Once. */
  #count(outcome: TryOutcome): void {
    if (this.#isCounted) return;
    this.#isCounted = true;
    const waitedMs = this.#source?.waitedMs ?? 0;
    this.#meter?.ended(outcome, this.#context.options.clock.now() - this.#triedAt, waitedMs);
  }

  /** The application has answered, and no head came of it: that is its source's failure. */
  #failHead(error: GatewayError): void {
    this.#source?.disown(error);
    this.#fail(error);
  }

  #fail(error: GatewayError): void {
    this.#count(error.code);
    this.#finish();
    this.#request.fail(error, this.#context.options.errorPages);
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    this.#context.active -= 1;
    this.#client?.close();
    this.#stderr?.end();
  }
}

function addVariable(variables: string[], name: string, value: string): void {
  for (let i = 0; i < variables.length; i += 2) if (variables[i] === name) return;
  variables.push(name, value);
}
