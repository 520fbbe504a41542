/** `fastway/protocol`: FastCGI 1.0 as bytes, for the web server and for the application, without any I/O. */
export * from './constants.ts';
export { decodePairs, encodePairs, NameValueParser } from './name-value.ts';
export { printRecord } from './print-record.ts';
export * from './record.ts';
export {
  encodeAbortRequest,
  encodeBeginRequest,
  encodeEndOfStream,
  encodeEndRequest,
  encodeGetValues,
  encodeGetValuesResult,
  encodeParams,
  encodeRecord,
  encodeRequest,
  encodeStream,
  encodeUnknownType,
  type RequestStart,
} from './record-encoder.ts';
export { type RecordListener, RecordParser } from './record-parser.ts';
