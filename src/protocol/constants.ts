/**
 * The numbers of FastCGI 1.0 (section 8), by the specification's words without their FCGI_ prefix.
 */

/** The only version there is. A record with another one has no known layout. */
export const protocolVersion = 1;

/** Bytes of a record's header (FastCGI 3.3). */
export const headerBytes = 8;

/** Most content bytes of one record: its length has 16 bits. */
export const contentBytesMax = 65_535;

/** Most padding bytes of one record: their count has 8 bits. */
export const paddingBytesMax = 255;

/** Request id of management records, which belong to the connection (FastCGI 3.3). */
export const nullRequestId = 0;

/** Highest request id: 16 bits. */
export const requestIdMax = 65_535;

/** BEGIN_REQUEST flag: the web server keeps the connection open after this request (FastCGI 5.1). */
export const keepConnFlag = 1;

export const RecordType = {
  BeginRequest: 1,
  AbortRequest: 2,
  EndRequest: 3,
  Params: 4,
  Stdin: 5,
  Stdout: 6,
  Stderr: 7,
  Data: 8,
  GetValues: 9,
  GetValuesResult: 10,
  UnknownType: 11,
} as const;
export type RecordType = (typeof RecordType)[keyof typeof RecordType];

/** What an application is asked to be (FastCGI 6). */
export const Role = { Responder: 1, Authorizer: 2, Filter: 3 } as const;
export type Role = (typeof Role)[RoleName];
export type RoleName = 'Responder' | 'Authorizer' | 'Filter';

/** How an application ended a request (FastCGI 5.5). */
export const ProtocolStatus = {
  RequestComplete: 0,
  CantMpxConn: 1,
  Overloaded: 2,
  UnknownRole: 3,
} as const;
export type ProtocolStatus = (typeof ProtocolStatus)[keyof typeof ProtocolStatus];

/** Names that GET_VALUES may ask for (FastCGI 4.1). */
export const valueNames = ['FCGI_MAX_CONNS', 'FCGI_MAX_REQS', 'FCGI_MPXS_CONNS'] as const;
