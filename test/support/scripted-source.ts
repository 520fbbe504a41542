/** A source in memory: keeps what it was asked, and lets the test play the application. */
import type { GatewayError } from '../../src/base/errors.ts';
import type { RequestBody } from '../../src/http/message.ts';
import type { Source, SourceExchange, SourceListener, SourceRequest } from '../../src/source/source.ts';

/** One request that came to the source. */
export class ScriptedExchange implements SourceExchange {
  readonly variables: ReadonlyMap<string, string>;
  readonly body: RequestBody | undefined;
  readonly role: SourceRequest['role'];
  readonly data: RequestBody | undefined;
  aborted = false;
  /** Why its answer was called a failure. */
  disowned: GatewayError | undefined;
  waitedMs = 0;
  isShared = false;
  wasRepeated = false;
  resumed = 0;
  isUnlimited = false;
  isOver = false;
  readonly #listener: SourceListener;

  constructor(request: SourceRequest, listener: SourceListener) {
    const { variables } = request;
    this.variables = new Map(
      Array.from({ length: variables.length / 2 }, (_, i) => [variables[2 * i]!, variables[2 * i + 1]!]),
    );
    this.body = request.body;
    this.role = request.role;
    this.data = request.data;
    this.#listener = listener;
  }

  resume(): void {
    this.resumed += 1;
  }

  liftTotalLimit(): void {
    this.isUnlimited = true;
  }

  answered(): void {
    this.isUnlimited = false;
  }

  abort(): void {
    this.aborted = true;
    this.isOver = true;
  }

  disown(error: GatewayError): void {
    this.disowned ??= error;
    this.abort();
  }

  /** The application prints; false when it has to wait. */
  print(text: string | Buffer): boolean {
    if (this.isOver) return true;
    return this.#listener.stdout(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  complain(text: string): void {
    if (!this.isOver) this.#listener.stderr(Buffer.from(text));
  }

  end(appStatus = 0): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#listener.end(appStatus);
  }

  fail(error: GatewayError): void {
    if (this.isOver) return;
    this.isOver = true;
    this.#listener.error(error);
  }
}

export class ScriptedSource implements Source {
  readonly name: string;
  readonly address = 'tcp://192.0.2.1:9000';
  readonly exchanges: ScriptedExchange[] = [];
  available = true;
  readonly share = 1;
  holdMs = 0;
  readonly #script: ((exchange: ScriptedExchange, source: ScriptedSource) => void) | undefined;

  /** @param script plays the application, in the next tick after each request; without one the test does */
  constructor(name: string, script?: (exchange: ScriptedExchange, source: ScriptedSource) => void) {
    this.name = name;
    this.#script = script;
  }

  get active(): number {
    return this.exchanges.filter(({ isOver }) => !isOver).length;
  }

  get last(): ScriptedExchange {
    return this.exchanges.at(-1)!;
  }

  isUsable(): boolean {
    return true;
  }

  isAvailable(): boolean {
    return this.available;
  }

  open(request: SourceRequest, listener: SourceListener): SourceExchange {
    const exchange = new ScriptedExchange(request, listener);
    this.exchanges.push(exchange);
    if (this.#script !== undefined) queueMicrotask(() => this.#script?.(exchange, this));
    return exchange;
  }

  describe(): string {
    return this.name;
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
