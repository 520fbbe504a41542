/**
 * Active health checks: a real FastCGI request, again and again, and what its answers come to. Never a bare connection,
 * which would hold a worker of PHP for 5 s (F39). For php-fpm, `path` is its `ping.path`.
 */
import type { Clock, Timer } from '../../base/clock.ts';
import { ResponseParser } from '../../cgi/index.ts';
import type { Source, SourceExchange, SourceListener } from '../source.ts';

export interface HealthCheckOptions {
  /** SCRIPT_NAME and REQUEST_URI; without `script` SCRIPT_FILENAME too, as php-fpm compares it with `ping.path`. */
  readonly path: string;
  /** SCRIPT_FILENAME, as the application sees it. */
  readonly script?: string | undefined;
  readonly everyMs: number;
  readonly timeoutMs: number;
  readonly expectStatus: number;
  /** Found somewhere in the first 64 KiB of the body. */
  readonly expectText?: string | undefined;
  /** This many good answers in a row bring it back, and this many bad ones take it out. */
  readonly up: number;
  readonly down: number;
}

const bodyBytesMax = 65_536;

export interface HealthCheckListener {
  /** @param problem why it is out of service; undefined: it is well again */
  changed(problem: string | undefined): void;
}

export class HealthCheck {
  readonly #source: Source;
  readonly #options: HealthCheckOptions;
  readonly #listener: HealthCheckListener;
  readonly #clock: Clock;
  readonly #timer: Timer;
  #running: SourceExchange | undefined;
  #deadline: Timer | undefined;
  #isWell = true;
  /** Answers in a row that say the opposite of `#isWell`. */
  #against = 0;

  /** Begins at once. The caller closes it. */
  constructor(source: Source, options: HealthCheckOptions, listener: HealthCheckListener, clock: Clock) {
    this.#source = source;
    this.#options = options;
    this.#listener = listener;
    this.#clock = clock;
    this.#timer = clock.setRepeating(() => this.#ask(), options.everyMs);
    this.#timer.unref();
    this.#ask();
  }

  close(): void {
    this.#clock.clearTimer(this.#timer);
    this.#stop();
  }

  #ask(): void {
    if (this.#running !== undefined) return;
    const { timeoutMs } = this.#options;
    const answer = new CheckAnswer(this.#options, (problem) => this.#heard(problem));
    this.#deadline = this.#clock.setTimer(() => this.#heard(`no answer within ${timeoutMs} ms`), timeoutMs);
    this.#deadline.unref();
    try {
      this.#running = this.#source.open(
        { variables: variablesOf(this.#options), body: undefined, mayRunTwice: true },
        answer,
      );
    } catch (error) {
      this.#heard((error as Error).message);
    }
  }

  #stop(): void {
    this.#clock.clearTimer(this.#deadline);
    this.#running?.abort();
    this.#running = undefined;
  }

  #heard(problem: string | undefined): void {
    this.#stop();
    if ((problem === undefined) === this.#isWell) {
      this.#against = 0;
      return;
    }
    this.#against += 1;
    const { up, down } = this.#options;
    if (this.#against < (this.#isWell ? down : up)) return;
    this.#against = 0;
    this.#isWell = !this.#isWell;
    this.#listener.changed(problem);
  }
}

/** Reads one answer, and says once what is wrong with it; undefined for nothing. */
class CheckAnswer implements SourceListener {
  readonly #options: HealthCheckOptions;
  readonly #done: (problem: string | undefined) => void;
  readonly #parser = new ResponseParser();
  #status = 0;
  #body = Buffer.alloc(0);
  #problem: string | undefined;

  constructor(options: HealthCheckOptions, done: (problem: string | undefined) => void) {
    this.#options = options;
    this.#done = done;
  }

  stdout(chunk: Buffer): boolean {
    if (this.#status !== 0) this.#keep(chunk);
    else if (this.#problem === undefined) {
      try {
        const head = this.#parser.push(chunk);
        if (head === undefined) return true;
        this.#status = head.status;
        this.#keep(head.body);
      } catch (error) {
        this.#problem = (error as Error).message;
      }
    }
    return true;
  }

  stderr(): void {}

  end(): void {
    const { expectStatus, expectText } = this.#options;
    if (this.#problem !== undefined) this.#done(this.#problem);
    else if (this.#status !== expectStatus)
      this.#done(`its status was ${this.#status || 'none'}, not ${expectStatus}`);
    else if (expectText !== undefined && !this.#body.includes(expectText))
      this.#done(`its answer did not hold ${JSON.stringify(expectText)}`);
    else this.#done(undefined);
  }

  error(error: Error): void {
    this.#done(error.message);
  }

  #keep(chunk: Uint8Array): void {
    if (this.#options.expectText === undefined || this.#body.length >= bodyBytesMax) return;
    this.#body = Buffer.concat([this.#body, chunk]);
  }
}

function variablesOf({ path, script }: HealthCheckOptions): readonly string[] {
  const [name = '', query = ''] = path.split('?', 2);
  return [
    'GATEWAY_INTERFACE',
    'CGI/1.1',
    'SERVER_PROTOCOL',
    'HTTP/1.1',
    'SERVER_SOFTWARE',
    'fastway',
    'SERVER_NAME',
    'localhost',
    'SERVER_PORT',
    '80',
    'SERVER_ADDR',
    '127.0.0.1',
    'REMOTE_ADDR',
    '127.0.0.1',
    'REQUEST_METHOD',
    'GET',
    'REQUEST_URI',
    path,
    'QUERY_STRING',
    query,
    'SCRIPT_NAME',
    name,
    'SCRIPT_FILENAME',
    script ?? name,
    'PATH_INFO',
    '',
    'REDIRECT_STATUS',
    '200',
    'HTTP_HOST',
    'localhost',
  ];
}
