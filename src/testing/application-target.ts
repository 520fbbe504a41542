/** The application under test, as the cases of a played web server see it: where it is and how it is asked. */
import { randomBytes } from 'node:crypto';
import type { Address } from '../base/address.ts';
import { expect, NotSupported, NotTested } from './case.ts';
import { beginRequest, pair, record, text } from './record-builder.ts';
import { WebServerConnection } from './web-server-connection.ts';

/** The variable by which an echo is recognised. */
const echoVariable = 'FASTWAY_CASE';

/** An answer of the application, after END_REQUEST. */
export interface Answer {
  readonly head: string;
  /** Byte string. */
  readonly body: string;
}

/** What an echoing application got. */
export interface Echo {
  /** Whether the application saw this variable with this value. */
  has(name: string, value: string): boolean;
  /** STDIN, and after it a Filter's DATA; byte string. */
  readonly input: string;
}

export class ApplicationTarget {
  readonly #address: Address;
  readonly #timeoutMs: number;
  readonly #variables: Readonly<Record<string, string>>;
  readonly #open = new Set<WebServerConnection>();
  /** It answers with its variables as `NAME=VALUE` lines, an empty line and its STDIN. */
  #echoes = false;

  constructor(address: Address, timeoutMs: number, variables: Readonly<Record<string, string>>) {
    this.#address = address;
    this.#timeoutMs = timeoutMs;
    this.#variables = variables;
  }

  /** Closed by `closeAll` at the latest. */
  connect(): WebServerConnection {
    const connection = new WebServerConnection(this.#address, this.#timeoutMs);
    this.#open.add(connection);
    return connection;
  }

  closeAll(): void {
    for (const connection of this.#open) connection.close();
    this.#open.clear();
  }

  /** Asks once to find out whether the application echoes. */
  async findEcho(): Promise<void> {
    const mark = this.mark();
    const connection = this.connect();
    connection.send(...this.request({ [echoVariable]: mark }));
    this.#echoes =
      (await connection.ended()) && connection.stream(6).includes(`${echoVariable}=${mark}\n`, 'latin1');
    this.closeAll();
  }

  /** A value that no other request has. */
  mark(): string {
    return randomBytes(8).toString('hex');
  }

  /** The variables of a request. */
  variables(more: Readonly<Record<string, string>> = {}): Record<string, string> {
    return { ...this.#variables, ...more };
  }

  /** A whole request as BEGIN_REQUEST, PARAMS, STDIN. */
  request(
    more: Readonly<Record<string, string>> = {},
    options: {
      readonly id?: number;
      readonly role?: number;
      readonly keepConn?: boolean;
      readonly stdin?: string;
    } = {},
  ): Buffer[] {
    const { id = 1, role = 1, keepConn = false, stdin } = options;
    const body: Record<string, string> =
      stdin === undefined ? {} : { REQUEST_METHOD: 'POST', CONTENT_LENGTH: String(stdin.length) };
    return [
      beginRequest(role, keepConn ? 1 : 0, id),
      ...this.params({ ...body, ...more }, id),
      ...(stdin === undefined || stdin === '' ? [] : streamRecords(5, stdin, id)),
      record(5, id, Buffer.alloc(0)),
    ];
  }

  /** All variables in one PARAMS record, and the end of PARAMS. */
  params(more: Readonly<Record<string, string>>, id = 1): Buffer[] {
    const pairs = Object.entries(this.variables(more)).map(([name, value]) => pair(name, value));
    return [record(4, id, Buffer.concat(pairs)), record(4, id, Buffer.alloc(0))];
  }

  /**
   * Waits for the end of a request that must succeed.
   * @throws {Error} what is wrong with the answer
   */
  async answer(connection: WebServerConnection, id = 1): Promise<Answer> {
    expect(await connection.ended(id), connection.describe());
    const strange = connection.records.find(
      (found) => found.version !== 1 || (found.requestId !== id && found.requestId !== 0),
    );
    expect(
      strange === undefined,
      `a record has version ${strange?.version} and request id ${strange?.requestId}`,
    );
    const { protocolStatus } = connection.end(id)!;
    expect(protocolStatus === 0, `END_REQUEST has protocolStatus ${protocolStatus}`);
    return this.readAnswer(connection, id);
  }

  /** Splits what came on STDOUT. @throws {Error} it has no head */
  readAnswer(connection: WebServerConnection, id = 1): Answer {
    const output = connection.stream(6, id).toString('latin1');
    const match = /\r?\n\r?\n/.exec(output);
    expect(match !== null, 'the answer has no end of its head');
    return { head: output.slice(0, match.index), body: output.slice(match.index + match[0].length) };
  }

  /** What the application got. @throws {NotTested} when it does not echo */
  async echo(connection: WebServerConnection, id = 1): Promise<Echo> {
    this.needEcho();
    return readEcho(await this.answer(connection, id));
  }

  /** @throws {NotSupported} it ended the request with UNKNOWN_ROLE */
  async expectRole(connection: WebServerConnection): Promise<void> {
    await connection.ended();
    if (connection.end()?.protocolStatus === 3) throw new NotSupported('refused with UNKNOWN_ROLE');
  }

  needEcho(): void {
    if (!this.#echoes) throw new NotTested('the application does not echo what it gets');
  }
}

export function readEcho({ body }: Answer): Echo {
  const end = body.indexOf('\n\n');
  const lines = `\n${body.slice(0, end === -1 ? body.length : end)}\n`;
  return {
    has: (name, value) => lines.includes(`\n${name}=${value}\n`),
    input: end === -1 ? '' : body.slice(end + 2),
  };
}

/** A stream's content in records as large as they may be; without the record that ends it. */
export function streamRecords(type: number, content: string, id = 1, bytesMax = 65_535): Buffer[] {
  const records: Buffer[] = [];
  for (let at = 0; at < content.length; at += bytesMax) {
    records.push(record(type, id, text(content.slice(at, at + bytesMax))));
  }
  return records;
}
