/**
 * `fastway/client`: the web server's side of FastCGI on sockets. `createClient` is the way in for programs, with
 * promises and streams; `createPool` is the layer below, with plain calls.
 */
export { type Address, parseAddress, printAddress } from '../base/address.ts';
export type { Clock, Timer } from '../base/clock.ts';
export type { BodyReader, BodyReceiver, Fields, RequestBody } from '../http/message.ts';
export { type Client, type ClientOptions, createClient, type RequestOptions } from './client.ts';
export type { BodyInput } from './client-body.ts';
export type { ClientResponse, ResponseTimings } from './client-response.ts';
export type { RequestDescription } from './client-variables.ts';
export { createPool, type PoolSettings } from './create-pool.ts';
export { type GetValuesOptions, getValues } from './get-values.ts';
export { Pool, type PoolOptions } from './pool.ts';
export type { ClientExchange, ClientListener, ClientRequest } from './request.ts';
export type { RecordTrace } from './trace.ts';
