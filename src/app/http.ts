/** An application written for node:http (Express, Koa, Fastify, or a plain listener) as a FastCGI application. */
import type { ServerResponse } from 'node:http';
import { type FieldNames, requestFromVariables } from '../cgi/index.ts';
import type { ApplicationHandler } from './connection.ts';
import { abandonRequest, ClientSocket, HttpRequest } from './http-request.ts';
import { HttpResponse } from './http-response.ts';

/** As node:http's, or one that returns a promise: when it rejects before the answer's head, the client gets a 500. */
export type HttpListener = (request: HttpRequest, response: ServerResponse) => unknown;

export interface HttpOptions {
  /**
   * Sends `writeEarlyHints` and `writeProcessing` as heads of their own before the answer's. Default false, since most web
   * servers take the first head for the answer's; Fastway and lighttpd pass it on.
   */
  readonly interimHeads?: boolean;
}

/**
 * Makes a handler for `serve` from a node:http request listener: `serve(fromHttp(app), { listen })`.
 * The request's URL, host, scheme and addresses are the client's, as the web server tells them.
 */
export function fromHttp(listener: HttpListener, options: HttpOptions = {}): ApplicationHandler {
  const names: FieldNames = new Map();
  const interimHeads = options.interimHeads ?? false;
  return (application) =>
    // Stays open until the response ends the request; it only tells of failure.
    new Promise((_resolve, reject) => {
      const head = requestFromVariables(application.params, names);
      const socket = new ClientSocket(head, () => {
        application.cut();
        giveUp(new Error('The application gave up the exchange'));
      });
      const request = new HttpRequest(head, application, socket);
      const response = new HttpResponse(application, request, socket, interimHeads);
      const giveUp = (reason: Error) => {
        abandonRequest(request, reason);
        HttpResponse.abandon(response);
      };
      application.whenAborted((reason) => {
        socket.close();
        giveUp(reason);
        application.end(1);
      });
      const done = listener(request, response);
      if (done instanceof Promise) done.catch(reject);
    });
}
