/** The web server under test, as the cases of a scripted application see it: asked by HTTP, and what it then sends. */
import { request as httpRequest } from 'node:http';
import { expect } from './case.ts';
import type { PlayedRequest, ScriptedApplication } from './scripted-application.ts';

export interface HttpAnswer {
  /** 0 when the connection broke before a head. */
  readonly status: number;
  /** Names in lower case, flat with values, as they came. */
  readonly fields: readonly string[];
  /** Byte string. */
  readonly body: string;
  /** All that the framing promised has come. */
  readonly isComplete: boolean;
}

export interface AskOptions {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

export class WebServerTarget {
  readonly #application: ScriptedApplication;
  readonly #url: URL;
  readonly #timeoutMs: number;

  constructor(application: ScriptedApplication, url: URL, timeoutMs: number) {
    this.#application = application;
    this.#url = url;
    this.#timeoutMs = timeoutMs;
  }

  /** The last request that the application got. */
  get lastRequest(): PlayedRequest {
    const last = this.#application.requests.at(-1);
    expect(last !== undefined, 'the web server sent no request to the application');
    return last;
  }

  /** How many requests the application got. */
  get requestCount(): number {
    return this.#application.requests.length;
  }

  /**
   * Asks for a scenario, on a connection of its own.
   * @throws {Error} there was no answer in time, or nobody to ask
   */
  ask(play: string, options: AskOptions = {}): Promise<HttpAnswer> {
    const { method = 'GET', headers = {}, body } = options;
    const url = new URL(this.#url);
    url.search = `${url.search === '' ? '?' : `${url.search}&`}play=${play}`;
    return new Promise((resolve, reject) => {
      const request = httpRequest(url, { method, headers, agent: false, insecureHTTPParser: false });
      const timer = setTimeout(() => {
        reject(new Error(`no whole answer within ${this.#timeoutMs} ms`));
        request.destroy();
      }, this.#timeoutMs);
      const finish = (answer: HttpAnswer) => {
        clearTimeout(timer);
        resolve(answer);
      };
      request.on('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNREFUSED' || error.code === 'ENOTFOUND') {
          clearTimeout(timer);
          reject(new Error(`the web server could not be connected to (${error.code})`));
        } else finish({ status: 0, fields: [], body: '', isComplete: false });
      });
      request.on('response', (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk) => chunks.push(chunk as Buffer));
        response.on('error', () => {});
        response.on('close', () =>
          finish({
            status: response.statusCode ?? 0,
            fields: response.rawHeaders.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text)),
            body: Buffer.concat(chunks).toString('latin1'),
            isComplete: response.complete,
          }),
        );
      });
      request.end(body);
    });
  }
}

/** How an answer looks to the client, for a note. */
export function describeAnswer({ status, body, isComplete }: HttpAnswer): string {
  if (status === 0) return 'the client got no valid head';
  const start = JSON.stringify(body.slice(0, 20));
  return `the client got ${status}, ${isComplete ? 'complete' : 'cut'}, ${body.length} bytes ${start}`;
}
