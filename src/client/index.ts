/** `fastway/client`: the web server's side of FastCGI on sockets. */
export { Pool, type PoolOptions } from './pool.ts';
export type { ClientExchange, ClientListener, ClientRequest } from './request.ts';
export type { RecordTrace } from './trace.ts';
