/** What a scripted application can play: answers in every shape, legal and not. */
import type { Socket } from 'node:net';
import { endRequest, hex, record, stderr, stdout, text } from './record-builder.ts';

/** A request to which a scenario plays its answer. */
export interface Played {
  readonly socket: Socket;
  /** Set once PARAMS have ended. */
  readonly request:
    | {
        readonly variables: ReadonlyMap<string, string>;
        readonly stdin: Buffer;
        readonly stdinEnded: boolean;
        /** 1 for the first request of its connection. */
        readonly number: number;
      }
    | undefined;
  /** Fields of QUERY_STRING. */
  readonly argument: URLSearchParams;
  /** `before` bytes of body, so that an answer has begun before its fault. */
  readonly filler: string;
  /** Records of request 1 as records of this request: web servers may count their ids. */
  forRequest(bytes: Buffer): Buffer;
  send(...records: readonly Uint8Array[]): void;
  /** Sends what ends a request, and closes unless the connection shall be kept. */
  finish(...records: readonly Uint8Array[]): void;
}

/** Of no request: far from where web servers that count begin. */
const otherId = 0x7777;
const head = 'Content-Type: text/plain\r\n\r\n';
const page = (body: string) => `${head}${body}`;
const endOfStdout = record(6, 1, Buffer.alloc(0));
const whole = (body: string) => Buffer.concat([stdout(page(body)), endOfStdout, endRequest()]);

type Scenario = (played: Played) => void;

/** Answers that need the whole request first. */
const scenarios: Readonly<Record<string, Scenario>> = {
  page: (c) => c.finish(whole('Hello')),
  /** Variables and STDIN, as JSON of byte strings. */
  echo: (c) => {
    const { variables, stdin } = c.request!;
    const body = JSON.stringify({
      variables: Object.fromEntries(variables),
      stdin: stdin.toString('latin1'),
    });
    c.finish(stdout(page(body)), endOfStdout, endRequest());
  },
  /** `content` (percent-encoded bytes) or `hex` as STDOUT, byte for byte, then the end: for every head there may be. */
  stdout: (c) => {
    const query = c.request!.variables.get('QUERY_STRING') ?? '';
    const written = /(?:^|&)content=([^&]*)/.exec(query)?.[1] ?? '';
    const content = written.replace(/%([0-9a-f]{2})/gi, (_, digits) =>
      String.fromCharCode(Number.parseInt(digits, 16)),
    );
    const hexDigits = c.argument.get('hex');
    c.finish(hexDigits === null ? stdout(content) : record(6, 1, hex(hexDigits)), endOfStdout, endRequest());
  },
  /** `bytes` of body, with a Content-Length unless `length=no`. */
  large: (c) => {
    const bytes = Number(c.argument.get('bytes') ?? 1_000_000);
    const length = c.argument.get('length') === 'no' ? '' : `Content-Length: ${bytes}\r\n`;
    c.send(stdout(`${length}${head}`));
    const piece = Buffer.alloc(32_768, '0123456789abcdef');
    let left = bytes;
    const more = () => {
      while (left > 0) {
        const content = piece.subarray(0, Math.min(left, piece.length));
        left -= content.length;
        if (!c.socket.write(c.forRequest(record(6, 1, content)))) {
          c.socket.once('drain', more);
          return;
        }
      }
      c.finish(endOfStdout, endRequest());
    };
    more();
  },
  /** Waits `ms` before it answers. */
  slow: (c) => {
    const timer = setTimeout(() => c.finish(whole('slow')), Number(c.argument.get('ms') ?? 100));
    c.socket.on('close', () => clearTimeout(timer));
  },
  /** One body byte each `ms`, `count` times. */
  drip: (c) => {
    let left = Number(c.argument.get('count') ?? 5);
    c.send(stdout(head));
    const timer = setInterval(
      () => {
        c.send(stdout('.'));
        if (--left > 0) return;
        clearInterval(timer);
        c.finish(endRequest());
      },
      Number(c.argument.get('ms') ?? 10),
    );
    c.socket.on('close', () => clearInterval(timer));
  },

  'eof-without-end': (c) => {
    c.send(stdout(page(`${c.filler}half`)));
    c.socket.end();
  },
  'short-record': (c) => {
    c.send(stdout(page(c.filler)), record(6, 1, Buffer.alloc(1000, 'x')).subarray(0, 508));
    c.socket.end();
  },
  'short-header': (c) => {
    c.send(stdout(page(`${c.filler}half`)), hex('01 06 00'));
    c.socket.end();
  },
  'short-padding': (c) => {
    c.send(record(6, 1, text(page(`${c.filler}half`)), 8).subarray(0, -3));
    c.socket.end();
  },
  'end-only': (c) => c.finish(endRequest()),
  overloaded: (c) => c.finish(endRequest(2)),
  'cant-mpx': (c) => c.finish(endRequest(1)),
  'unknown-role': (c) => c.finish(endRequest(3)),
  'unknown-status': (c) => c.finish(endRequest(9)),
  'short-end': (c) => c.finish(stdout(page(`${c.filler}a`)), record(3, 1, hex('00000000'))),
  'version-2': (c) => {
    const answer = whole('Hello');
    answer[0] = 2;
    c.finish(answer);
  },
  'wrong-id': (c) => c.finish(stdout(page('EVIL'), otherId), endRequest(0, 0, otherId)),
  'wrong-id-in-body': (c) =>
    c.finish(stdout(page(`${c.filler}hel`)), stdout('EVIL', otherId), stdout('lo'), endRequest()),
  'unknown-type-0-in-body': (c) =>
    c.finish(stdout(page('hel')), record(11, 0, hex('63 00000000000000')), stdout('lo'), endRequest()),
  'type-99-in-body': (c) =>
    c.finish(stdout(page(`${c.filler}hel`)), record(99, 1, text('EVIL')), stdout('lo'), endRequest()),
  'management-99-in-body': (c) =>
    c.finish(stdout(page('hel')), record(99, 0, text('EVIL')), stdout('lo'), endRequest()),
  'close-without-a-byte': (c) => c.socket.destroy(),
  /** RST where there is one (TCP). */
  reset: (c) => c.socket.resetAndDestroy(),
  'plain-http': (c) => {
    c.send(text('HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL'));
    c.socket.end();
  },
  /** 5 MB of STDERR, then a page. */
  'stderr-flood': (c) => {
    const flood = record(7, 1, Buffer.alloc(50_000, 'PHP Warning: something is odd\n'));
    for (let i = 0; i < 100; i++) c.send(flood);
    c.finish(whole('after the flood'));
  },
  'stderr-only': (c) => c.finish(stderr('PHP Fatal error: out of luck\n'), endRequest(0, 255)),
  'stderr-between': (c) =>
    c.finish(
      stdout('Content-Ty'),
      stderr('one\n'),
      stdout('pe: text/plain\r\n\r\nHel'),
      stderr('two\n'),
      stdout('lo'),
      endRequest(),
    ),
  /** A second answer right behind the first. */
  'second-answer': (c) => c.finish(whole('first'), whole('second')),
  'second-end': (c) => c.finish(whole('first'), endRequest()),
  /** Bytes after END_REQUEST, a moment later: an idle connection that talks. */
  'late-bytes': (c) => {
    const second = c.forRequest(whole('second'));
    c.send(whole('first'));
    // Of this request still, whichever is under way by then.
    setTimeout(() => {
      c.socket.write(second);
      c.finish();
    }, 20);
  },
  'garbage-after-end': (c) => c.finish(whole('first'), text('garbage')),
  'stdout-after-its-end': (c) => c.finish(stdout(page('a')), endOfStdout, stdout('LATE'), endRequest()),
  'no-stdout-end': (c) => c.finish(stdout(page('Hello')), endRequest()),
  'exit-status': (c) => c.finish(stdout(page('Hello')), endOfStdout, endRequest(0, 3)),
  /** A part of an answer, then silence. */
  'no-end': (c) => c.send(stdout(page(`${c.filler}half`))),
  silence: () => {},
  /** Every odd shape that is legal. */
  'odd-records': (c) =>
    c.finish(
      record(6, 1, text(head), 255),
      record(99, 0, Buffer.alloc(0), 255),
      record(6, 1, Buffer.alloc(65_535, 'x'), 255),
      record(7, 1, Buffer.alloc(0), 7),
      record(6, 1, text('!'), 1),
      record(6, 1, Buffer.alloc(0), 255),
      record(3, 1, hex('00000000 00 2e6c69'), 8),
    ),
  /** Padding of every kind, and an empty record of STDERR. */
  padded: (c) =>
    c.finish(
      record(6, 1, text(head), 255, 0xff),
      record(6, 1, Buffer.alloc(65_535, 'x'), 255, 0xff),
      record(7, 1, Buffer.alloc(0), 7),
      record(6, 1, text('!'), 1),
      record(6, 1, Buffer.alloc(0), 255),
      record(3, 1, hex('00000000 00 000000'), 8),
    ),
  /** A plain page, byte by byte in writes of their own. */
  'byte-by-byte': (c) => {
    c.socket.setNoDelay(true);
    const bytes = [...c.forRequest(whole('Hello'))];
    const next = () => {
      const byte = bytes.shift();
      if (byte === undefined) c.finish();
      else c.socket.write(Buffer.from([byte]), () => setImmediate(next));
    };
    next();
  },
  /** Keeps the connection, and closes it without a byte when the second request comes. */
  once: (c) => {
    if (c.request!.number === 1) c.finish(whole('first'));
    else c.socket.destroy();
  },
  /** Keeps the connection, and closes it a moment after its first answer. */
  'close-when-idle': (c) => {
    c.finish(whole('first'));
    setTimeout(() => c.socket.destroy(), 10);
  },
  /** As PHP without KEEP_CONN: waits for the web server to close first. */
  'waits-for-close': (c) => c.send(whole('Hello')),
  'content-length-too-long': (c) =>
    c.finish(stdout(`Content-Length: 30000\r\n\r\n${c.filler}short`), endOfStdout, endRequest()),
  'content-length-too-short': (c) =>
    c.finish(stdout('Content-Length: 5\r\n\r\n0123456789'), endOfStdout, endRequest()),
  /** A head of 200 KB. */
  'large-head': (c) =>
    c.finish(
      stdout(`X-A: ${'a'.repeat(50_000)}`),
      ...[1, 2, 3].map(() => stdout('a'.repeat(50_000))),
      stdout(`\r\n${page('')}`),
      endRequest(),
    ),
  'head-never-ends': (c) => c.finish(stdout('X-A: b\r\n'.repeat(5000)), endOfStdout, endRequest()),
};

/** Scenarios that begin when PARAMS have ended, whatever STDIN does. */
const earlyScenarios: Readonly<Record<string, Scenario>> = {
  /** Answers and closes without having read STDIN. */
  'answer-without-reading': (c) => {
    c.socket.pause();
    c.socket.end(c.forRequest(whole('early')));
    setTimeout(() => c.socket.destroy(), 20);
  },
  /** Answers at once, reads STDIN a moment later, ends with it. */
  'answer-while-reading': (c) => {
    c.send(stdout(page('early ')));
    c.socket.pause();
    setTimeout(() => c.socket.resume(), 30);
    const timer = setInterval(() => {
      if (!c.request!.stdinEnded) return;
      clearInterval(timer);
      c.finish(stdout(`${c.request!.stdin.length}`), endOfStdout, endRequest());
    }, 5);
    c.socket.on('close', () => clearInterval(timer));
  },
  /** The whole answer with its end, while STDIN still comes. */
  'end-before-stdin': (c) => c.send(whole('early')),
  'never-reading': (c) => {
    c.socket.pause();
  },
};

/** A scenario by name; one that says so for a name that is not known. */
export function findScenario(name: string): { readonly isEarly: boolean; readonly play: Scenario } {
  const early = Object.hasOwn(earlyScenarios, name) ? earlyScenarios[name] : undefined;
  if (early !== undefined) return { isEarly: true, play: early };
  const scenario = Object.hasOwn(scenarios, name) ? scenarios[name] : undefined;
  return {
    isEarly: false,
    play: scenario ?? ((c) => c.finish(stdout(page(`no scenario ${name}`)), endRequest())),
  };
}

/** Every scenario there is. */
export const scenarioNames: readonly string[] = [...Object.keys(scenarios), ...Object.keys(earlyScenarios)];
