/** How an application ends requests, keeps connections, answers management records, and lives on after faults. */
import type { ApplicationTarget } from './application-target.ts';
import { type Case, expect, NotSupported, NotTested } from './case.ts';
import { beginRequest, hex, pair, record, text } from './record-builder.ts';
import { readPairs } from './record-reader.ts';

const noBytes = Buffer.alloc(0);

/**
 * Asks on a connection of its own.
 * @throws {NotSupported} no answer
 * @throws {Error} the question is taken for a stream, and answered only after an empty record
 */
async function askForValues(
  target: ApplicationTarget,
  names: readonly string[],
): Promise<Map<string, string>> {
  const connection = target.connect();
  connection.send(record(9, 0, Buffer.concat(names.map((name) => pair(name, '')))));
  const isResult = (found: { readonly type: number }) => found.type === 10;
  if (!(await connection.until(() => connection.records.some(isResult)))) {
    const silence = connection.describe();
    connection.send(record(9, 0, noBytes));
    if (await connection.until(() => connection.records.some(isResult))) {
      throw new Error(`${silence}; it answers after an empty record, as if this were a stream`);
    }
    throw new NotSupported(silence);
  }
  const result = connection.records.find(isResult)!;
  expect(result.requestId === 0, `GET_VALUES_RESULT has request id ${result.requestId}`);
  return readPairs(result.content);
}

/** Breaks something on a few connections, and expects an ordinary request to be answered after it. */
async function expectSurvival(target: ApplicationTarget, bytes: Buffer): Promise<void> {
  for (let i = 0; i < 4; i++) {
    const broken = target.connect();
    broken.send(bytes);
    broken.finishSending();
    await broken.until(() => broken.isClosed);
    broken.close();
  }
  const connection = target.connect();
  connection.send(...target.request());
  await target.answer(connection);
}

export const connectionCases: readonly Case<ApplicationTarget>[] = [
  {
    id: 'end/stdout',
    section: '3.3',
    title: 'STDOUT is ended by an empty record before END_REQUEST',
    async run(target) {
      const connection = target.connect();
      connection.send(...target.request());
      await target.answer(connection);
      const isEnd = connection.records.some(({ type, content }) => type === 6 && content.length === 0);
      expect(isEnd, 'END_REQUEST came without it');
    },
  },
  {
    id: 'end/record',
    section: '5.5',
    title: 'END_REQUEST has 8 bytes, appStatus 0, and is the last record',
    async run(target) {
      const connection = target.connect();
      connection.send(...target.request());
      await target.answer(connection);
      const last = connection.records.at(-1)!;
      expect(last.type === 3, `a record of type ${last.type} follows it`);
      expect(last.content.length === 8, `it has ${last.content.length} bytes`);
      expect(connection.end()!.appStatus === 0, `appStatus is ${connection.end()!.appStatus}`);
    },
  },
  {
    id: 'connection/closed',
    section: '5.1',
    title: 'Without KEEP_CONN the application closes the connection',
    async run(target) {
      const connection = target.connect();
      connection.send(...target.request());
      await target.answer(connection);
      await connection.until(() => connection.isClosed);
      expect(connection.isClosed, 'it stays open');
    },
  },
  {
    id: 'connection/kept',
    section: '5.1',
    title: 'With KEEP_CONN a second request on the connection is answered',
    async run(target) {
      const connection = target.connect();
      for (let i = 0; i < 3; i++) {
        connection.records.length = 0;
        connection.send(...target.request({}, { keepConn: true }));
        await target.answer(connection);
      }
    },
  },
  {
    id: 'connection/no-leak',
    section: '5.2',
    title: "A request does not see the variables of the connection's request before",
    async run(target) {
      target.needEcho();
      const connection = target.connect();
      connection.send(...target.request({ FASTWAY_SECRET: 'of the first' }, { keepConn: true }));
      await target.answer(connection);
      connection.records.length = 0;
      connection.send(...target.request({}, { keepConn: true }));
      if (!(await connection.ended())) throw new NotTested('the connection is not kept');
      const { body } = await target.answer(connection);
      expect(!body.includes('FASTWAY_SECRET'), 'it sees them');
    },
  },
  {
    id: 'connection/parallel',
    section: '3.2',
    title: 'Eight connections at once each get their own answer',
    async run(target) {
      const marks = Array.from({ length: 8 }, () => target.mark());
      await Promise.all(
        marks.map(async (mark) => {
          const connection = target.connect();
          connection.send(...target.request({ FASTWAY_VALUE: mark }));
          const { body } = await target.answer(connection);
          connection.close();
          const others = marks.filter((other) => other !== mark);
          expect(!others.some((other) => body.includes(other)), "somebody else's answer came");
        }),
      );
    },
  },
  {
    id: 'connection/multiplexed',
    section: '3.3',
    title: 'Two requests whose records alternate on one connection are both answered',
    async run(target) {
      const connection = target.connect();
      const [first, second] = [1, 2].map((id) =>
        target.request({ FASTWAY_VALUE: `number ${id}` }, { id, keepConn: true }),
      );
      for (let i = 0; i < first!.length; i++) connection.send(first![i]!, second![i]!);
      await connection.until(() => connection.end(1) !== undefined && connection.end(2) !== undefined);
      const statuses = [1, 2].map((id) => connection.end(id)?.protocolStatus);
      if (statuses.includes(1)) throw new NotSupported('the second request is refused with CANT_MPX_CONN');
      if (statuses.includes(undefined) || statuses.some((status) => status !== 0)) {
        const values = await askForValues(target, ['FCGI_MPXS_CONNS']).catch(() => undefined);
        const found = `${statuses.filter((status) => status === 0).length} of 2 are answered`;
        if (values?.get('FCGI_MPXS_CONNS') === '0') throw new NotSupported('FCGI_MPXS_CONNS is 0');
        throw new Error(`${found}, and nothing said that it cannot (CANT_MPX_CONN, FCGI_MPXS_CONNS)`);
      }
      for (const id of [1, 2]) {
        const { body } = target.readAnswer(connection, id);
        expect(!body.includes(`number ${3 - id}\n`), 'the answers are mixed');
      }
    },
  },
  {
    id: 'management/get-values',
    section: '4.1',
    title: 'GET_VALUES is answered with what was asked',
    async run(target) {
      const values = await askForValues(target, ['FCGI_MAX_CONNS', 'FCGI_MAX_REQS', 'FCGI_MPXS_CONNS']);
      for (const [name, value] of values) expect(/^\d+$/.test(value), `${name} is ${JSON.stringify(value)}`);
    },
  },
  {
    id: 'management/only-asked',
    section: '4.1',
    title: 'GET_VALUES_RESULT leaves out what was not asked or is not known',
    async run(target) {
      const values = await askForValues(target, ['FCGI_MPXS_CONNS', 'FASTWAY_UNKNOWN']);
      const more = [...values.keys()].filter((name) => name !== 'FCGI_MPXS_CONNS');
      expect(more.length === 0, `it has ${more.join(', ')}`);
    },
  },
  {
    id: 'management/unknown-type',
    section: '4.2',
    title: 'A management record of an unknown type is answered with UNKNOWN_TYPE',
    async run(target) {
      const connection = target.connect();
      connection.send(record(99, 0, noBytes));
      const found = () => connection.records.find(({ type }) => type === 11);
      if (!(await connection.until(() => found() !== undefined)))
        throw new NotSupported(connection.describe());
      expect(found()!.content[0] === 99, `it is about type ${found()!.content[0]}`);
    },
  },
  {
    id: 'management/within-request',
    section: '4',
    title: 'A management record between the records of a request does not disturb it',
    async run(target) {
      const connection = target.connect();
      const [begin, ...rest] = target.request();
      connection.send(begin!, record(9, 0, pair('FCGI_MAX_CONNS', '')), ...rest);
      await target.answer(connection);
    },
  },
  {
    id: 'roles/unknown',
    section: '5.5',
    title: 'A role that does not exist is refused with UNKNOWN_ROLE',
    async run(target) {
      const connection = target.connect();
      connection.send(...target.request({}, { role: 99 }));
      expect(await connection.ended(), connection.describe());
      const { protocolStatus } = connection.end()!;
      expect(protocolStatus === 3, `protocolStatus is ${protocolStatus}`);
    },
  },
  {
    id: 'request/abort',
    section: '5.4',
    title: 'ABORT_REQUEST before the end of STDIN is answered with END_REQUEST',
    async run(target) {
      const connection = target.connect();
      connection.send(
        ...target
          .request({ REQUEST_METHOD: 'POST', CONTENT_LENGTH: '1000' }, { keepConn: true })
          .slice(0, -1),
        record(5, 1, text('a part')),
        record(2, 1, noBytes),
      );
      if (!(await connection.ended())) throw new NotSupported(connection.describe());
    },
  },
  {
    id: 'faults/version',
    section: '3.3',
    title: 'Records of another version are not taken for a request',
    async run(target) {
      const connection = target.connect();
      const records = target.request().map((found) => Buffer.from(found));
      for (const found of records) found[0] = 2;
      connection.send(...records);
      await connection.ended();
      expect(connection.end()?.protocolStatus !== 0, 'the request is answered');
    },
  },
  {
    id: 'faults/closed-early',
    section: '5.4',
    title: 'It lives on after connections that end in the middle of a request',
    run: (target) =>
      expectSurvival(
        target,
        Buffer.concat([beginRequest(), record(4, 1, Buffer.alloc(500)).subarray(0, 100)]),
      ),
  },
  {
    id: 'faults/pair-length',
    section: '3.4',
    title: 'It lives on after name-value pairs longer than their stream',
    run: (target) =>
      expectSurvival(
        target,
        Buffer.concat([
          beginRequest(),
          record(4, 1, Buffer.concat([hex('ff ff ff ff 7f'), text('FASTWAY')])),
          record(4, 1, noBytes),
          record(5, 1, noBytes),
        ]),
      ),
  },
  {
    id: 'faults/http',
    section: '3.3',
    title: 'It lives on after somebody spoke HTTP to it',
    run: (target) => expectSurvival(target, text('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')),
  },
];
