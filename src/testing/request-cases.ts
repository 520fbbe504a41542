/** What an application must take from a web server: records, name-value pairs, STDIN; in every legal shape. */
import type { ApplicationTarget } from './application-target.ts';
import { readEcho, streamRecords } from './application-target.ts';
import { type Case, expect, NotSupported } from './case.ts';
import { beginRequest, hex, pair, record, text } from './record-builder.ts';

const noBytes = Buffer.alloc(0);

/** Sends a request and checks that the application saw exactly this input. */
async function expectInput(
  target: ApplicationTarget,
  records: readonly Buffer[],
  input: string,
): Promise<void> {
  target.needEcho();
  const connection = target.connect();
  connection.send(...records);
  const got = (await target.echo(connection)).input;
  expect(
    got === input,
    `of ${input.length} bytes ${got.length} arrived${got.length === input.length ? ', others' : ''}`,
  );
}

/** Sends a request with one more variable and checks that the application saw it. */
async function expectVariable(
  target: ApplicationTarget,
  value: string,
  build: (name: string, value: string) => readonly Buffer[],
): Promise<void> {
  const name = 'FASTWAY_VALUE';
  const connection = target.connect();
  connection.send(...build(name, value));
  const answer = await target.answer(connection);
  // An application with few workers waits for the close before it takes the next connection.
  connection.close();
  target.needEcho();
  expect(readEcho(answer).has(name, value), `the variable of ${value.length} bytes did not arrive`);
}

const requestOf = (pairs: readonly Buffer[]) => [
  beginRequest(),
  ...pairs,
  record(4, 1, noBytes),
  record(5, 1, noBytes),
];

export const requestCases: readonly Case<ApplicationTarget>[] = [
  {
    id: 'request/one-write',
    section: '3.3',
    title: 'A request in one write is answered',
    async run(target) {
      const connection = target.connect();
      connection.send(...target.request());
      await target.answer(connection);
    },
  },
  {
    id: 'request/byte-by-byte',
    section: '3.3',
    title: 'A request that comes byte by byte is answered',
    async run(target) {
      const connection = target.connect();
      await connection.sendByteByByte(Buffer.concat(target.request()));
      await target.answer(connection);
    },
  },
  {
    id: 'request/padding',
    section: '3.3',
    title: 'Padding of up to 255 bytes is skipped, whatever is in it',
    async run(target) {
      const connection = target.connect();
      const pairs = Object.entries(target.variables()).map(([name, value]) => pair(name, value));
      connection.send(
        record(1, 1, hex('0001 00 0000000000'), 255, 1),
        record(4, 1, Buffer.concat(pairs), 7, 0xff),
        record(4, 1, noBytes, 255, 5),
        record(5, 1, noBytes, 1, 0xff),
      );
      await target.answer(connection);
    },
  },
  {
    id: 'request/reserved',
    section: '3.3',
    title: 'Reserved bytes that are not zero are ignored',
    async run(target) {
      const connection = target.connect();
      const bytes = target.request().map((found) => Buffer.from(found));
      for (const found of bytes) found[7] = 0xff;
      bytes[0]!.fill(0xff, 8 + 3);
      connection.send(...bytes);
      await target.answer(connection);
    },
  },
  ...[256, 65_535].map(
    (id): Case<ApplicationTarget> => ({
      id: `request/id-${id}`,
      section: '3.3',
      title: `Request id ${id} comes back in the answer`,
      async run(target) {
        const connection = target.connect();
        connection.send(...target.request({}, { id }));
        await target.answer(connection, id);
      },
    }),
  ),
  {
    id: 'request/unknown-id',
    section: '3.3',
    title: 'Records of a request that was never begun are ignored',
    async run(target) {
      const connection = target.connect();
      const [begin, ...rest] = target.request();
      connection.send(begin!, record(5, 77, text('nobody asked')), record(5, 77, noBytes), ...rest);
      await target.answer(connection);
    },
  },
  {
    id: 'pairs/lengths',
    section: '3.4',
    title: 'Values of 0, 127 and 128 bytes arrive',
    async run(target) {
      for (const length of [0, 127, 128]) {
        await expectVariable(target, 'x'.repeat(length), (name, value) => target.request({ [name]: value }));
      }
    },
  },
  {
    id: 'pairs/long-lengths',
    section: '3.4',
    title: 'Four-byte lengths are read for short names and values too',
    run: (target) =>
      expectVariable(target, 'short', (name, value) => {
        const pairs = Object.entries(target.variables({ [name]: value })).map(([n, v]) => pair(n, v, true));
        return requestOf([record(4, 1, Buffer.concat(pairs))]);
      }),
  },
  {
    id: 'pairs/bytes',
    section: '3.4',
    title: 'A value of all bytes but NUL and line feed arrives as it is',
    run: (target) =>
      expectVariable(
        target,
        String.fromCharCode(...Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 10)),
        (name, value) => target.request({ [name]: value }),
      ),
  },
  {
    id: 'pairs/large',
    section: '3.4',
    title: 'A value of 60 000 bytes arrives',
    run: (target) =>
      expectVariable(target, 'x'.repeat(60_000), (name, value) => {
        const pairs = Object.entries(target.variables()).map(([n, v]) => pair(n, v));
        return requestOf([record(4, 1, Buffer.concat(pairs)), record(4, 1, pair(name, value))]);
      }),
  },
  {
    id: 'pairs/many-records',
    section: '5.2',
    title: 'PARAMS with one pair in each record are read',
    run: (target) =>
      expectVariable(target, 'alone', (name, value) =>
        requestOf(
          Object.entries(target.variables({ [name]: value })).map(([n, v]) => record(4, 1, pair(n, v))),
        ),
      ),
  },
  {
    id: 'pairs/across-records',
    section: '5.2',
    title: 'A pair that lies in two PARAMS records is read',
    run: (target) =>
      expectVariable(target, 'in two records', (name, value) => {
        const pairs = Object.entries(target.variables()).map(([n, v]) => pair(n, v));
        const bytes = Buffer.concat([...pairs, pair(name, value)]);
        const middle = bytes.length - 5;
        return requestOf([record(4, 1, bytes.subarray(0, middle)), record(4, 1, bytes.subarray(middle))]);
      }),
  },
  {
    id: 'stdin/empty',
    section: '5.3',
    title: 'A POST without a byte of STDIN is answered',
    run: (target) => expectInput(target, target.request({}, { stdin: '' }), ''),
  },
  {
    id: 'stdin/small',
    section: '5.3',
    title: 'A body in one record arrives',
    run: (target) => expectInput(target, target.request({}, { stdin: 'a=1&b=2' }), 'a=1&b=2'),
  },
  {
    id: 'stdin/large',
    section: '5.3',
    title: 'A body of 1 MiB in records of 65 535 bytes arrives',
    run(target) {
      const stdin = '0123456789abcdef'.repeat(65_536);
      return expectInput(target, target.request({}, { stdin }), stdin);
    },
  },
  {
    id: 'stdin/tiny-records',
    section: '5.3',
    title: 'A body in records of one byte, with padding, arrives',
    run(target) {
      const stdin = '0123456789'.repeat(200);
      const head = target
        .request({ REQUEST_METHOD: 'POST', CONTENT_LENGTH: String(stdin.length) })
        .slice(0, -1);
      const pieces = [...stdin].map((byte, i) => record(5, 1, text(byte), i % 8, 0xff));
      return expectInput(target, [...head, ...pieces, record(5, 1, noBytes)], stdin);
    },
  },
  {
    id: 'stdin/later',
    section: '5.3',
    title: 'A body that comes a while after the variables arrives',
    async run(target) {
      target.needEcho();
      const connection = target.connect();
      const records = target.request({}, { stdin: 'at last' });
      connection.send(...records.slice(0, 3));
      await new Promise((resolve) => setTimeout(resolve, 100));
      connection.send(...records.slice(3));
      const { input } = await target.echo(connection);
      expect(input === 'at last', `${input.length} bytes arrived`);
    },
  },
  {
    id: 'roles/filter',
    section: '6.4',
    title: 'A Filter gets its file (DATA) after STDIN',
    async run(target) {
      const connection = target.connect();
      const data = '0123456789'.repeat(20_000);
      connection.send(
        ...target.request(
          { FCGI_DATA_LENGTH: String(data.length), FCGI_DATA_LAST_MOD: '1000000000' },
          { role: 3, stdin: 'in' },
        ),
        ...streamRecords(8, data),
        record(8, 1, noBytes),
      );
      await target.expectRole(connection);
      const { input } = await target.echo(connection);
      if (input === 'in') throw new NotSupported('it takes the role and ignores the file');
      expect(input === `in${data}`, `of STDIN and DATA ${input.length} bytes of ${data.length + 2} arrived`);
    },
  },
  {
    id: 'roles/authorizer',
    section: '6.3',
    title: 'An Authorizer answers',
    async run(target) {
      const connection = target.connect();
      connection.send(...target.request({}, { role: 2 }));
      await target.expectRole(connection);
      await target.answer(connection);
    },
  },
];
