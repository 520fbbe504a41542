/** The FastCGI requests that the bench sends to applications: their bytes, and how long the answers are. */
import { connect } from 'node:net';
import { RecordType, Role } from '../../src/protocol/constants.ts';
import { encodeRequest } from '../../src/protocol/record-encoder.ts';
import { RecordParser } from '../../src/protocol/record-parser.ts';

/** What an application is asked for: a page of 200 bytes, an echo of 4 KiB, 10 MB. */
export type ApplicationLoad = 'page' | 'echo' | 'file';

/** Bytes of the echo's body. */
export const upload: Buffer = Buffer.alloc(4096, 'u');

/** As nginx tells them with its own fastcgi.conf. */
export function encodeLoad(load: ApplicationLoad, connections: 'kept' | 'new'): Buffer {
  const isEcho = load === 'echo';
  const variables = {
    SCRIPT_FILENAME: `/srv/www/${load}`,
    QUERY_STRING: '',
    REQUEST_METHOD: isEcho ? 'POST' : 'GET',
    CONTENT_TYPE: isEcho ? 'application/octet-stream' : '',
    CONTENT_LENGTH: isEcho ? String(upload.length) : '',
    SCRIPT_NAME: `/${load}`,
    REQUEST_URI: `/${load}`,
    DOCUMENT_URI: `/${load}`,
    DOCUMENT_ROOT: '/srv/www',
    SERVER_PROTOCOL: 'HTTP/1.1',
    REQUEST_SCHEME: 'http',
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_SOFTWARE: 'nginx/1.22.1',
    REMOTE_ADDR: '192.0.2.7',
    REMOTE_PORT: '54321',
    REMOTE_USER: '',
    SERVER_ADDR: '192.0.2.1',
    SERVER_PORT: '80',
    SERVER_NAME: 'site.test',
    REDIRECT_STATUS: '200',
    HTTP_HOST: 'site.test',
    HTTP_USER_AGENT: 'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
    HTTP_ACCEPT: 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    HTTP_ACCEPT_LANGUAGE: 'en-US,en;q=0.5',
    HTTP_ACCEPT_ENCODING: 'gzip, deflate, br',
    HTTP_COOKIE: 'session=2c1b7f0e9a8d4c5e',
  };
  const start = { requestId: 1, role: Role.Responder, keepConn: connections === 'kept' };
  return encodeRequest(start, Object.entries(variables).flat(), isEcho ? upload : new Uint8Array());
}

/** One answer, as it came. */
export interface WholeAnswer {
  /** All records with their headers and padding. */
  readonly bytes: number;
  /** Head and body. */
  readonly stdout: Buffer;
}

/** Sends a request once. @throws {Error} the answer does not end well */
export function askOnce(path: string, request: Uint8Array): Promise<WholeAnswer> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => socket.write(request));
    const stdout: Buffer[] = [];
    let bytes = 0;
    const parser = new RecordParser({
      stream: (type, _id, content) => {
        if (type === RecordType.Stdout) stdout.push(Buffer.from(content));
      },
      record: (type, _id, content) => {
        if (type !== RecordType.EndRequest) return;
        socket.destroy();
        if (content.readUInt32BE(0) === 0 && content[4] === 0)
          resolve({ bytes, stdout: Buffer.concat(stdout) });
        else reject(new Error(`END_REQUEST says ${content.toString('hex')}`));
      },
    });
    socket.on('data', (chunk) => {
      bytes += chunk.length;
      parser.push(chunk);
    });
    socket.setTimeout(5000, () => socket.destroy(new Error('no answer came for 5 s')));
    socket.on('error', reject);
    socket.on('close', () => reject(new Error('the connection closed before END_REQUEST')));
  });
}
