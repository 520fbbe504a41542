/**
 * Hostile FastCGI answers over real sockets, against the whole gateway in a process of its own: an application that says
 * anything, in any order, and a client that knows what a legal HTTP answer is. Neither shares code with the product.
 *
 * Each run of a request has a token, which is in every byte that the application says in its answer's name: so a body made
 * of two answers is seen. The application remembers what it has said, so an answer that is complete though its
 * application has not completed it is seen too. The same seed gives the same answers; when they meet is up to the system.
 */
import { readdirSync } from 'node:fs';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { RecordReader, readPairs } from '../../src/testing/record-reader.ts';
import { type GatewayProcess, startGateway } from './gateway-process.ts';
import { isAlive, peakResidentBytes, residentBytes } from './process-facts.ts';
import { createRandom } from './random.ts';
import { endRequest, record, stderr, text } from './record-builder.ts';
import { createTestDirectory } from './test-directory.ts';

export interface AnswerFuzzOptions {
  readonly count: number;
  readonly seed: number;
  /** Clients at a time; default 32. */
  readonly clients?: number;
  /** Called now and then. */
  readonly progress?: (done: number) => void;
}

export interface AnswerFuzzReport {
  /** What is wrong, each with the request's seed; empty: nothing. */
  readonly failures: readonly string[];
  readonly answers: number;
  /** Of the application, whole. */
  readonly complete: number;
  /** Broken off visibly. */
  readonly cut: number;
  /** Of the gateway in place of the application's, by status. */
  readonly errors: Readonly<Record<string, number>>;
  /** Whole by what another answer of the same connection said for its id, in order: nobody can see that. */
  readonly impersonated: number;
  readonly runs: number;
  readonly descriptors: readonly [before: number, after: number];
  readonly residentBytes: readonly [before: number, after: number, peak: number];
}

const modes = ['generic unix', 'generic tcp', 'multiplexing unix', 'multiplexing tcp'] as const;
/** Far longer than any limit of the gateway here: a busy machine is no hang. */
const hangMs = 120_000;

/** One try of a request at the application. */
interface Run {
  readonly request: Asked;
  readonly marker: string;
  /** Own END_REQUEST with status 0 was sent. */
  ended: boolean;
  /** Own output was sent. */
  hasOutput: boolean;
  /** The request was refused, with OVERLOADED or CANT_MPX_CONN. */
  refused: boolean;
  /** Another answer of its connection spoke for it. */
  spokenFor: boolean;
  readonly isPlain: boolean;
  /** Its head is empty, which is a 200, and has no place for a token. */
  readonly isNameless: boolean;
  /** Body bytes that were said before its end. */
  bodyBytes: number;
}

/** One request of the client. */
interface Asked {
  readonly token: string;
  readonly index: number;
  readonly method: string;
  readonly runs: Run[];
}

/** @throws {Error} the gateway cannot be started */
export async function fuzzAnswers(options: AnswerFuzzOptions): Promise<AnswerFuzzReport> {
  const fuzz = new AnswerFuzz(options);
  try {
    return await fuzz.run();
  } finally {
    await fuzz.close();
  }
}

class AnswerFuzz {
  readonly #options: AnswerFuzzOptions;
  readonly #asked = new Map<string, Asked>();
  readonly #failures: string[] = [];
  readonly #applications: HostileApplication[] = [];
  readonly #errors: Record<string, number> = {};
  #gateway!: GatewayProcess;
  #next = 0;
  #complete = 0;
  #cut = 0;
  #impersonated = 0;
  #runs = 0;

  constructor(options: AnswerFuzzOptions) {
    this.#options = options;
  }

  async run(): Promise<AnswerFuzzReport> {
    const { count, clients = 32 } = this.#options;
    const sources: Record<string, object> = {};
    for (const mode of modes) {
      const [profile, kind] = mode.split(' ') as [string, string];
      const application = new HostileApplication(this.#asked, this.#options.seed);
      this.#applications.push(application);
      const address = await application.listen(kind === 'tcp');
      sources[nameOf(mode)] = { address, profile, readTimeoutMs: 1_000, totalTimeoutMs: 5_000 };
    }
    this.#gateway = await startGateway({
      config: {
        log: { level: 'error' },
        sources: sources as never,
        virtualServers: [
          {
            accessLog: false,
            documentRoot: createTestDirectory(),
            rules: modes.map((mode) => ({
              match: { directory: `/${nameOf(mode)}/` },
              handler: { type: 'fastcgi', checkFile: false, source: nameOf(mode) },
            })) as never,
          },
        ],
      },
    });
    const { pid } = this.#gateway;
    // Code is compiled and pools are filled before anything is measured.
    await this.#ask(Math.min(count >> 2, 1_000), clients);
    const descriptorsBefore = countDescriptors(pid);
    const residentBefore = residentBytes(pid);
    await this.#ask(count, clients);
    if (!isAlive(pid)) {
      const exit = await this.#gateway.exited;
      this.#failures.push(
        `The gateway ended with ${exit.signal ?? exit.code}:\n${this.#gateway.lines.slice(-30).join('\n')}`,
      );
    }
    const descriptorsAfter = await this.#settledDescriptors(descriptorsBefore);
    return {
      failures: this.#failures,
      answers: this.#next,
      complete: this.#complete,
      cut: this.#cut,
      errors: this.#errors,
      impersonated: this.#impersonated,
      runs: this.#runs,
      descriptors: [descriptorsBefore, descriptorsAfter],
      residentBytes: isAlive(pid) ? [residentBefore, residentBytes(pid), peakResidentBytes(pid)] : [0, 0, 0],
    };
  }

  async close(): Promise<void> {
    await this.#gateway?.stop();
    for (const application of this.#applications) await application.close();
  }

  async #ask(count: number, clients: number): Promise<void> {
    await Promise.all(Array.from({ length: clients }, () => this.#client(count)));
    this.#readLog();
  }

  /** One client: asks one request after the other, on a kept connection while there is one. */
  async #client(count: number): Promise<void> {
    let connection: ClientConnection | undefined;
    while (this.#next < count && this.#failures.length < 20) {
      const index = this.#next++;
      const random = createRandom((this.#options.seed * 1_000_003 + index) | 0);
      const mode = modes[Math.floor(random() * modes.length)]!;
      const method = pick(random, ['GET', 'GET', 'GET', 'POST', 'POST', 'HEAD', 'PUT']);
      const token = `t${index}z`;
      const asked: Asked = { token, index, method, runs: [] };
      this.#asked.set(token, asked);
      const stays = random() < 0.7;
      if (connection === undefined || !connection.isOpen)
        connection = new ClientConnection(this.#gateway.port);
      const hasBody = method === 'POST' || method === 'PUT';
      const body = hasBody ? 'b'.repeat(Math.floor(random() * (random() < 0.05 ? 200_000 : 200))) : '';
      const answer = await connection.ask(
        `${method} /${nameOf(mode)}/${token} HTTP/1.1\r\nHost: a\r\n${stays ? '' : 'Connection: close\r\n'}` +
          `${hasBody ? `Content-Length: ${body.length}\r\n` : ''}\r\n${body}`,
        method,
      );
      this.#asked.delete(token);
      this.#runs += asked.runs.length;
      this.#judge(asked, mode, answer);
      if (index % 1_000 === 999) {
        this.#readLog();
        this.#options.progress?.(index + 1);
      }
    }
    connection?.close();
  }

  #judge(asked: Asked, mode: string, answer: HttpAnswer): void {
    const what = this.#findProblem(asked, answer);
    if (what === undefined) return;
    const said = asked.runs.map(
      ({ marker, ended, refused, spokenFor }) =>
        `${marker} ended ${ended} refused ${refused} spokenFor ${spokenFor}`,
    );
    const where = `seed ${this.#options.seed}, request ${asked.index} (${mode}, ${asked.method})`;
    const got = JSON.stringify(answer.text.slice(0, 600));
    this.#failures.push(`${where}: ${what}; runs: ${said.join(', ') || 'none'}; got ${got}`);
  }

  /** Counts the answer. @returns what is wrong with it */
  #findProblem({ runs, method, token }: Asked, answer: HttpAnswer): string | undefined {
    if (answer.problem !== undefined) return answer.problem;
    const spokenFor = runs.some((run) => run.spokenFor);
    const markers = new Set(answer.text.match(/\[t\d+z\.\d+\]/g) ?? []);
    const [marker] = markers;
    if (!spokenFor) {
      if (markers.size > 1) return `it is made of ${[...markers].join(' and ')}`;
      if (marker !== undefined && !marker.startsWith(`[${token}.`))
        return `it holds ${marker} of another answer`;
      const ranBefore = runs.slice(0, -1);
      if (method === 'POST' && ranBefore.some((run) => !run.refused || run.hasOutput))
        return `a POST ran ${runs.length} times`;
    }
    if (!answer.isComplete) {
      this.#cut += 1;
      return undefined;
    }
    if (marker === undefined) {
      if (answer.status < 400) {
        if (!runs.some((run) => run.isNameless && (run.ended || answer.isBounded)))
          return 'an answer without a token is complete';
        this.#complete += 1;
        return undefined;
      }
      this.#errors[answer.status] = (this.#errors[answer.status] ?? 0) + 1;
      return undefined;
    }
    const run = runs.find((candidate) => candidate.marker === marker);
    if (run?.ended !== true && !answer.isBounded) {
      if (!spokenFor) return 'it is complete, and nobody ended it';
      this.#impersonated += 1;
    }
    this.#complete += 1;
    if (run === undefined || !run.isPlain || !run.ended || spokenFor || answer.isBounded) return undefined;
    return answer.body.length === run.bodyBytes
      ? undefined
      : `it has ${answer.body.length} bytes of body, and ${run.bodyBytes} were said`;
  }

  /** The log says what no client sees. */
  #readLog(): void {
    const lines = this.#gateway.lines as string[];
    for (const line of lines) {
      if (/GW_ERR_INTERNAL|ERR_INTERNAL_ASSERTION|^\s+at .*\/(src|dist)\//.test(line))
        this.#failures.push(`The log says: ${line}`);
    }
    if (isAlive(this.#gateway.pid)) lines.length = 0;
  }

  /** When kept connections have had their time. */
  async #settledDescriptors(before: number): Promise<number> {
    for (const application of this.#applications) application.closeConnections();
    let now = countDescriptors(this.#gateway.pid);
    for (let look = 0; now > before && look < 1_200; look++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      now = countDescriptors(this.#gateway.pid);
    }
    return now;
  }
}

const nameOf = (mode: string) => mode.replace(' ', '-');

function pick<T>(random: () => number, values: readonly T[]): T {
  return values[Math.floor(random() * values.length)]!;
}

function countDescriptors(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

interface HttpAnswer {
  readonly status: number;
  readonly text: string;
  readonly body: string;
  readonly isComplete: boolean;
  /** Its end was known from its head: a Content-Length of the application's, or no body at all. */
  readonly isBounded: boolean;
  /** It is no legal answer, or none came. */
  readonly problem: string | undefined;
}

/** Reads answers as RFC 9112 has them, one after the other, and finds fault with anything else. */
class ClientConnection {
  readonly #socket: Socket;
  #text = '';
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(port: number) {
    this.#socket = connect({ host: '127.0.0.1', port, noDelay: true });
    this.#socket.setEncoding('latin1');
    this.#socket.on('data', (chunk) => {
      this.#text += chunk;
      this.#wake();
    });
    const closed = () => {
      this.#isClosed = true;
      this.#wake();
    };
    this.#socket.on('error', closed).on('end', closed).on('close', closed);
  }

  get isOpen(): boolean {
    return !this.#isClosed;
  }

  close(): void {
    this.#socket.destroy();
  }

  async ask(request: string, method: string): Promise<HttpAnswer> {
    this.#text = '';
    this.#socket.write(request, 'latin1');
    let timer: NodeJS.Timeout | undefined;
    const hangs = new Promise<'hangs'>((resolve) => {
      timer = setTimeout(() => resolve('hangs'), hangMs);
    });
    for (;;) {
      const found = readAnswer(this.#text, method, this.#isClosed);
      if (found !== undefined) {
        clearTimeout(timer);
        if (found.closes || !found.answer.isComplete) {
          this.close();
          this.#isClosed = true;
        }
        return found.answer;
      }
      const woken = new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
      if ((await Promise.race([woken, hangs])) === 'hangs') {
        this.close();
        this.#isClosed = true;
        return problem(this.#text, `nothing whole came within ${hangMs} ms`);
      }
    }
  }
}

function problem(text: string, what: string): HttpAnswer {
  return { status: 0, text, body: '', isComplete: false, isBounded: false, problem: what };
}

/** @returns undefined: it is not over */
function readAnswer(
  all: string,
  method: string,
  isClosed: boolean,
): { answer: HttpAnswer; closes: boolean } | undefined {
  const wrong = (what: string) => ({ answer: problem(all, what), closes: true });
  const broken = (status: number, body: string) =>
    isClosed
      ? {
          answer: { status, text: all, body, isComplete: false, isBounded: false, problem: undefined },
          closes: true,
        }
      : undefined;
  let at = 0;
  for (;;) {
    const headEnd = all.indexOf('\r\n\r\n', at);
    if (headEnd === -1) return broken(0, '');
    const [statusLine, ...lines] = all.slice(at, headEnd).split('\r\n');
    const status = Number(/^HTTP\/1\.1 ([1-5]\d\d) [\t\x20-\x7e\x80-\xff]*$/.exec(statusLine!)?.[1]);
    if (Number.isNaN(status)) return wrong(`its status line is ${JSON.stringify(statusLine)}`);
    const fields = new Map<string, string[]>();
    for (const line of lines) {
      const match = /^([!#$%&'*+\-.^_`|~\w]+):[\t ]*([\t\x20-\x7e\x80-\xff]*)$/.exec(line);
      if (match === null) return wrong(`it has the line ${JSON.stringify(line)}`);
      const name = match[1]!.toLowerCase();
      fields.set(name, [...(fields.get(name) ?? []), match[2]!]);
    }
    at = headEnd + 4;
    if (status < 200) {
      if (status === 101) return wrong('it is another protocol');
      continue;
    }
    for (const name of fields.keys())
      if (/^(status|upgrade)$/.test(name)) return wrong(`it has the field ${name}`);
    const lengths = fields.get('content-length') ?? [];
    const codings = fields.get('transfer-encoding') ?? [];
    if (lengths.length + codings.length > 1) return wrong('its length is said twice');
    if (codings.length === 1 && codings[0] !== 'chunked') return wrong(`its coding is ${codings[0]}`);
    if (lengths.length === 1 && !/^\d{1,16}$/.test(lengths[0]!)) return wrong(`its length is ${lengths[0]}`);
    const closes = (fields.get('connection') ?? []).some((value) => value.toLowerCase() === 'close');
    const ends = (body: string, end: number, isBounded: boolean) =>
      end < all.length
        ? wrong(`${all.length - end} bytes follow it`)
        : { answer: { status, text: all, body, isComplete: true, isBounded, problem: undefined }, closes };
    if (method === 'HEAD' || status === 204 || status === 304) return ends('', at, true);
    if (codings.length === 1) {
      let body = '';
      for (;;) {
        const lineEnd = all.indexOf('\r\n', at);
        if (lineEnd === -1) return broken(status, body);
        const size = /^[0-9a-f]{1,8}$/i.exec(all.slice(at, lineEnd));
        if (size === null) return wrong(`a chunk begins with ${JSON.stringify(all.slice(at, at + 20))}`);
        const length = Number.parseInt(size[0], 16);
        const end = lineEnd + 2 + length;
        if (all.length < end + 2) return broken(status, body);
        if (all.slice(end, end + 2) !== '\r\n') return wrong('a chunk has no end');
        body += all.slice(lineEnd + 2, end);
        at = end + 2;
        if (length === 0) return ends(body, at, false);
      }
    }
    if (lengths.length === 1) {
      const end = at + Number(lengths[0]);
      if (all.length < end) return broken(status, all.slice(at));
      // One that the gateway counted is said by nobody before the end.
      return ends(all.slice(at, end), end, fields.has('x-length'));
    }
    // Until the close: then nothing tells a whole answer from a cut one, which the gateway must not send to HTTP/1.1.
    return wrong('nothing says how long it is');
  }
}

/** What the application knows of one of its connections. */
interface HostileConnection {
  readonly socket: Socket;
  /** Runs that have begun and whose answer is not over, by id. */
  readonly live: Map<number, Run>;
  /** Every run that it ever carried, by id: the last one. */
  readonly all: Map<number, Run>;
}

/** Says anything; what it says in which request's name is remembered in its `Run`. */
class HostileApplication {
  readonly #asked: ReadonlyMap<string, Asked>;
  readonly #seed: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  constructor(asked: ReadonlyMap<string, Asked>, seed: number) {
    this.#asked = asked;
    this.#seed = seed;
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  async listen(isTcp: boolean): Promise<string> {
    const path = join(createTestDirectory(), 'hostile.sock');
    await new Promise<void>((resolve) =>
      isTcp ? this.#server.listen(0, '127.0.0.1', resolve) : this.#server.listen(path, resolve),
    );
    return isTcp ? `tcp://127.0.0.1:${(this.#server.address() as AddressInfo).port}` : `unix:${path}`;
  }

  closeConnections(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async close(): Promise<void> {
    this.closeConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #accept(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('error', () => {}).on('close', () => this.#sockets.delete(socket));
    const connection: HostileConnection = { socket, live: new Map(), all: new Map() };
    const reader = new RecordReader();
    const params = new Map<number, Buffer[]>();
    const keeps = new Map<number, boolean>();
    socket.on('data', (chunk) => {
      for (const { type, requestId, content } of reader.push(chunk)) {
        if (type === 1) {
          params.set(requestId, []);
          keeps.set(requestId, (content[2]! & 1) === 1);
        } else if (type === 4 && content.length > 0) params.get(requestId)?.push(content);
        else if (type === 5 && content.length === 0 && params.has(requestId)) {
          const variables = readPairs(Buffer.concat(params.get(requestId)!));
          params.delete(requestId);
          this.#begin(connection, requestId, variables, keeps.get(requestId)!);
        } else if (type === 9 && content.length > 0) socket.write(record(10, 0, Buffer.alloc(0)));
      }
    });
  }

  #begin(
    connection: HostileConnection,
    id: number,
    variables: ReadonlyMap<string, string>,
    keeps: boolean,
  ): void {
    const token = /t\d+z/.exec(variables.get('REQUEST_URI') ?? '')?.[0];
    const request = token === undefined ? undefined : this.#asked.get(token);
    if (request === undefined) {
      connection.socket.destroy();
      return;
    }
    const number = request.runs.length;
    const random = createRandom((this.#seed * 7_919 + request.index * 31 + number * 1_000_033) | 0);
    const plan = planAnswer(random);
    const run: Run = {
      request,
      marker: `[${request.token}.${number}]`,
      ended: false,
      hasOutput: false,
      refused: false,
      spokenFor: false,
      isPlain: plan.isPlain,
      isNameless: plan.head === emptyHead,
      bodyBytes: 0,
    };
    request.runs.push(run);
    connection.live.set(id, run);
    connection.all.set(id, run);
    new HostileAnswer(connection, id, run, random, plan, keeps).play();
  }
}

const emptyHead = '\r\n\r\n';

interface Plan {
  readonly head: string;
  /** The head is legal, and the body is as long as what is said. */
  readonly isPlain: boolean;
  readonly bodyBytes: number;
  /** How likely each step is a fault. */
  readonly malice: number;
  readonly status: number;
}

function planAnswer(random: () => number): Plan {
  const bodyBytes = Math.floor(random() * (random() < 0.1 ? 100_000 : random() < 0.5 ? 3_000 : 100));
  const kind = random();
  const status = random() < 0.85 ? 0 : Math.floor(random() * 5);
  const malice = random() < 0.3 ? 0 : random() < 0.7 ? 0.08 : 0.3;
  const rest = { bodyBytes, malice, status };
  const type = 'Content-Type: text/plain\r\n';
  if (kind < 0.55) return { ...rest, head: `${type}\r\n`, isPlain: true };
  if (kind < 0.6) return { ...rest, head: `Status: 103\nLink: </a>\n\n${type}\n`, isPlain: true };
  const lengths = [bodyBytes, Math.floor(random() * 200_000), 0, 1];
  const odd = [
    `X-Length: 1\r\nContent-Length: ${pick(random, lengths)}\r\n${type}\r\n`,
    `X-Length: 1\r\nContent-Length: ${bodyBytes}\r\n${type}\r\n`,
    `Status: ${pick(random, [204, 304, 404, 500, 302, 99, 600, 101, 'abc', '200\tOK', '200 O\x01K'])}\r\n${type}\r\n`,
    `Content-Length: 1\r\nContent-Length: 2\r\n${type}\r\n`,
    `Transfer-Encoding: chunked\r\n${type}\r\n`,
    `Connection: close, x\r\nUpgrade: h2c\r\nKeep-Alive: 1\r\n${type}\r\n`,
    `X-Accel-Redirect: /etc/passwd\r\nX-Sendfile: /etc/passwd\r\n${type}\r\n`,
    `X-Accel-Buffering: no\r\n${type}\r\n`,
    'Content-Type: text/event-stream\r\n\r\n',
    `Location: /elsewhere\r\n\r\n`,
    `A: ${pick(random, ['\x00', '\r', '\x7f', '\x0b', 'b\r c'])}\r\n${type}\r\n`,
    ` folded: 1\r\n${type}\r\n`,
    `no colon\r\n\r\n`,
    `A B: 1\r\n\r\n`,
    `HTTP/1.1 200 OK\r\n${type}\r\n`,
    `HTTP/1.1\r\n\r\n`,
    `${'X: 1\r\n'.repeat(300)}\r\n`,
    `X: ${'y'.repeat(70_000)}\r\n\r\n`,
    emptyHead,
    '',
  ];
  return { ...rest, head: pick(random, odd), isPlain: false };
}

class HostileAnswer {
  readonly #connection: HostileConnection;
  readonly #id: number;
  readonly #run: Run;
  readonly #random: () => number;
  readonly #plan: Plan;
  readonly #keeps: boolean;
  /** Records that wait to be written, and whether one was ever cut in pieces. */
  #pending: Buffer[] = [];
  #headLeft: string;
  #bodyLeft: number;

  constructor(
    connection: HostileConnection,
    id: number,
    run: Run,
    random: () => number,
    plan: Plan,
    keeps: boolean,
  ) {
    this.#connection = connection;
    this.#id = id;
    this.#run = run;
    this.#random = random;
    this.#plan = plan;
    this.#keeps = keeps;
    // A token in the head too, so that answers without a body are told apart.
    this.#headLeft = plan.head;
    if (plan.head !== '' && /\r\n\r\n$/.test(plan.head) && !/^(\r\n| )/.test(plan.head))
      this.#headLeft = `${plan.head.slice(0, -2)}X-Token: ${run.marker}\r\n\r\n`;
    else if (plan.head.endsWith('\n\n'))
      this.#headLeft = `${plan.head.slice(0, -1)}X-Token: ${run.marker}\n\n`;
    this.#bodyLeft = plan.bodyBytes;
  }

  play(): void {
    if (this.#isGone) return;
    const steps = 1 + Math.floor(this.#random() * 6);
    for (let i = 0; i < steps; i++) {
      if (this.#random() < this.#plan.malice && !this.#misbehave()) return;
      if (this.#headLeft !== '' || this.#bodyLeft > 0) this.#say();
      else {
        this.#end();
        return;
      }
    }
    this.#flush();
    // Others of the connection have their turn.
    if (this.#random() < 0.7) setImmediate(() => this.play());
    else setTimeout(() => this.play(), this.#random() * 15);
  }

  get #isGone(): boolean {
    return this.#connection.socket.destroyed;
  }

  /** The next piece of the answer as a record. */
  #say(): void {
    const size = 1 + Math.floor(this.#random() * (this.#random() < 0.2 ? 65_535 : 500));
    let piece: string;
    if (this.#headLeft !== '') {
      piece = this.#headLeft.slice(0, size);
      this.#headLeft = this.#headLeft.slice(size);
    } else {
      const length = Math.min(size, this.#bodyLeft);
      piece = this.#run.marker.repeat(Math.ceil(length / this.#run.marker.length)).slice(0, length);
      this.#bodyLeft -= length;
      if (!this.#run.ended) this.#run.bodyBytes += length;
    }
    this.#run.hasOutput = true;
    this.#pending.push(record(6, this.#id, text(piece), Math.floor(this.#random() * 256)));
    if (this.#random() < 0.1) this.#pending.push(stderr(`complaint\n`, this.#id));
  }

  #end(): void {
    const { status } = this.#plan;
    this.#connection.live.delete(this.#id);
    if (status === 0) this.#run.ended = true;
    else if (status < 3) this.#run.refused = true;
    if (this.#random() < 0.8) this.#pending.push(record(6, this.#id, Buffer.alloc(0)));
    this.#pending.push(endRequest(status, this.#random() < 0.1 ? 3 : 0, this.#id));
    if (this.#random() < this.#plan.malice) this.#afterEnd();
    this.#flush();
    if (!this.#keeps || this.#random() < 0.02) this.#connection.socket.end();
  }

  /** Says something though it has ended. */
  #afterEnd(): void {
    const late = [
      record(6, this.#id, text(this.#run.marker)),
      endRequest(0, 0, this.#id),
      record(6, this.#id, Buffer.alloc(0)),
      text('garbage'),
      record(6, this.#id, text(this.#run.marker)).subarray(0, 9),
      record(11, 0, Buffer.alloc(8)),
    ];
    this.#pending.push(pick(this.#random, late));
  }

  /** @returns false: that was the last thing that it did */
  #misbehave(): boolean {
    const random = this.#random;
    const { live, all, socket } = this.#connection;
    const pending = this.#pending;
    switch (Math.floor(random() * 16)) {
      case 0:
        pending.push(record(6, this.#id, Buffer.alloc(0)));
        return true;
      case 1:
        pending.push(record(pick(random, [11, 10, 99, 0]), 0, Buffer.alloc(8)));
        return true;
      case 2:
        pending.push(record(pick(random, [1, 2, 4, 5, 8, 99]), this.#id, Buffer.alloc(8)));
        return true;
      case 3: {
        // An id that is nobody's here, or was somebody's.
        const others = [...all.keys()].filter((id) => id !== this.#id && !live.has(id));
        const id =
          random() < 0.5 || others.length === 0
            ? 40_000 + Math.floor(random() * 9_999)
            : pick(random, others);
        pending.push(random() < 0.5 ? record(6, id, text(this.#run.marker)) : endRequest(0, 0, id));
        return true;
      }
      case 4:
      case 5:
      case 6: {
        const others = [...live.keys()].filter((id) => id !== this.#id);
        if (others.length > 0) this.#speakFor(pick(random, others));
        return true;
      }
      case 7:
        this.#flush();
        socket.destroy();
        return false;
      case 8:
        this.#flush();
        // Unix sockets know no reset.
        if (socket.remoteAddress === undefined) socket.destroy();
        else socket.resetAndDestroy();
        return false;
      case 9:
        this.#flush();
        socket.end();
        return false;
      case 10: {
        const whole = record(6, this.#id, text(this.#run.marker), 7);
        pending.push(whole.subarray(0, 1 + Math.floor(random() * (whole.length - 1))));
        this.#flush();
        socket.end();
        return false;
      }
      case 11: {
        const bytes = record(6, this.#id, text('x'));
        bytes[0] = 2 + Math.floor(random() * 254);
        pending.push(bytes);
        return true;
      }
      case 12:
        pending.push(record(3, this.#id, Buffer.alloc(Math.floor(random() * 12))));
        // Eight bytes of zero are a legal end.
        if (pending.at(-1)!.readUInt16BE(4) === 8) this.#run.ended = true;
        return true;
      case 13:
        pending.push(stderr('c'.repeat(Math.floor(random() * 5_000)), this.#id));
        return true;
      case 14:
        // In the end: the limits of the gateway are for that.
        if (random() < 0.8) return true;
        this.#flush();
        return false;
      default:
        // END_REQUEST at any time; whether the answer is whole by then does not matter: it said so.
        pending.push(endRequest(0, 0, this.#id));
        this.#run.ended = true;
        return true;
    }
  }

  /** Takes the id of another answer for its own. */
  #speakFor(id: number): void {
    this.#connection.live.get(id)!.spokenFor = true;
    const what = [
      [endRequest(0, 0, id)],
      [endRequest(Math.floor(this.#random() * 4), 0, id)],
      [record(6, id, text(this.#run.marker))],
      [record(6, id, Buffer.alloc(0)), endRequest(0, 0, id)],
    ];
    this.#pending.push(...pick(this.#random, what));
  }

  #flush(): void {
    const bytes = Buffer.concat(this.#pending);
    this.#pending = [];
    if (this.#isGone || bytes.length === 0) return;
    const { socket } = this.#connection;
    // Pieces of any size; what is written together stays together, so records of others do not get in between.
    if (this.#random() < 0.2 && bytes.length < 2_000) {
      const cut = Math.floor(this.#random() * bytes.length);
      socket.write(bytes.subarray(0, cut));
      socket.write(bytes.subarray(cut));
    } else socket.write(bytes);
  }
}
