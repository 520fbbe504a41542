/** An application written for the Fetch API (Hono and others) as a FastCGI application. */
import { STATUS_CODES } from 'node:http';
import { type CgiRequestHead, type FieldNames, requestFromVariables } from '../cgi/index.ts';
import type { ApplicationHandler } from './connection.ts';
import { readHttpBody } from './http-body.ts';
import type { ApplicationRequest } from './request.ts';

/** Answers a Request. The second argument is the FastCGI request, for its variables; in Hono it is `c.env`. */
export type FetchHandler = (
  request: Request,
  application: ApplicationRequest,
) => Response | Promise<Response>;

/** Fields of the connection, which is the web server's, and `Status`, which is CGI's own. */
const unsentFields = new Set([
  'connection',
  'keep-alive',
  'transfer-encoding',
  'trailer',
  'upgrade',
  'status',
]);

/** Makes a handler for `serve` from a fetch function: `serve(fromFetch(app.fetch), { listen })`. */
export function fromFetch(answer: FetchHandler): ApplicationHandler {
  const names: FieldNames = new Map();
  const ClientRequest = defineClientRequest();
  return async (application) => {
    const request = toRequest(ClientRequest, requestFromVariables(application.params, names), application);
    if (request === undefined) {
      application.write('Status: 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nBad Request\n');
      return;
    }
    await sendResponse(await answer(request, application), application, request.method === 'HEAD');
  };
}

type ClientRequestClass = new (url: string, init: RequestInit, application: ApplicationRequest) => Request;

/**
 * The class of a Request whose signal is made when somebody asks for it: given to the constructor, it would cost each request
 * a third of its time. `new Request(request, init)` copies it without the signal, unless `init` names it.
 * Made on demand, since the first look at `Request` loads all of Node's fetch.
 */
function defineClientRequest(): ClientRequestClass {
  // Its types hold what its prototype has for fields, which no class may override.
  const Base = Request as unknown as new (url: string, init: RequestInit) => { clone(): Request };
  class ClientRequest extends Base {
    readonly #application: ApplicationRequest;

    constructor(url: string, init: RequestInit, application: ApplicationRequest) {
      super(url, init);
      this.#application = application;
    }

    get signal(): AbortSignal {
      return this.#application.signal;
    }

    override clone(): Request {
      return new Request(super.clone(), { signal: this.signal });
    }
  }
  return ClientRequest as unknown as ClientRequestClass;
}

/** Undefined: its target, method or host is nothing that a Request can hold. */
function toRequest(
  ClientRequest: ClientRequestClass,
  head: CgiRequestHead,
  application: ApplicationRequest,
): Request | undefined {
  const { method } = head;
  const origin = `${head.secure ? 'https' : 'http'}://${head.host || 'localhost'}`;
  // A URL takes characters above 127 for Unicode, and these are bytes.
  const target = head.url === '*' ? '/' : head.url.replace(/[\x80-\xff]/g, encodeByte);
  const hasBody = method !== 'GET' && method !== 'HEAD' && head.bodyLength !== 0;
  const headers: [string, string][] = [];
  for (let i = 0; i < head.fields.length; i += 2) headers.push([head.fields[i]!, head.fields[i + 1]!]);
  try {
    const init = { method, headers };
    return new ClientRequest(
      `${origin}${target}`,
      hasBody ? { ...init, body: toStream(head.bodyLength, application), duplex: 'half' } : init,
      application,
    );
  } catch (error) {
    if (error instanceof TypeError) return undefined;
    throw error;
  }
}

function encodeByte(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`;
}

function toStream(length: number | undefined, application: ApplicationRequest): ReadableStream<Uint8Array> {
  let more = () => {};
  return new ReadableStream<Uint8Array>({
    start(controller) {
      const reader = readHttpBody(application, length, {
        data(chunk) {
          controller.enqueue(chunk);
          return (controller.desiredSize ?? 0) > 0;
        },
        end: () => controller.close(),
        error: (error) => controller.error(error),
      });
      more = () => reader.resume();
    },
    pull: () => more(),
  });
}

async function sendResponse(
  response: Response,
  application: ApplicationRequest,
  isHead: boolean,
): Promise<void> {
  // Throws for a body that was used already, while a 500 is still possible.
  const reader = response.body?.getReader();
  let head = `Status: ${response.status} ${response.statusText || (STATUS_CODES[response.status] ?? '')}\r\n`;
  for (const [name, value] of response.headers) {
    if (!unsentFields.has(name)) head += `${name}: ${value}\r\n`;
  }
  application.write(Buffer.from(`${head}\r\n`, 'latin1'));
  if (reader === undefined) return;
  application.whenAborted((reason) => void reader.cancel(reason).catch(() => {}));
  if (isHead) {
    await reader.cancel();
    return;
  }
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    if (!application.write(value)) await application.drained();
  }
}
