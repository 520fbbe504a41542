/** `fastway/client`: the web server's side of FastCGI on sockets. `createPool` is the way in. */
export { type Address, parseAddress, printAddress } from '../base/address.ts';
export { createPool, type PoolSettings } from './create-pool.ts';
export { Pool, type PoolOptions } from './pool.ts';
export type { ClientExchange, ClientListener, ClientRequest } from './request.ts';
export type { RecordTrace } from './trace.ts';
