/** `fastway/app`: the application side of FastCGI, to answer a web server from Node. */
export type { Clock, Timer } from '../base/clock.ts';
export type { BodyReader, BodyReceiver } from '../http/message.ts';
export { type ApplicationHandler, type ConnectionOptions, serveConnection } from './connection.ts';
export { type FetchHandler, fromFetch } from './fetch.ts';
export { fromHttp, type HttpListener, type HttpOptions } from './http.ts';
export type { HttpRequest } from './http-request.ts';
export type { ApplicationLimits } from './limits.ts';
export type { InheritedSocket } from './listen.ts';
export { ApplicationRequest, type ApplicationRole } from './request.ts';
export { type ApplicationServer, type ServeOptions, serve } from './server.ts';
