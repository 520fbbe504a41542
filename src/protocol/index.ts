/** `fastway/protocol`: FastCGI 1.0 as bytes, for the web server and for the application, without any I/O. */
export * from './constants.ts';
export { Demultiplexer } from './demultiplexer.ts';
export {
  decodePairs,
  encodePairs,
  NameValueParser,
  pairBytesMax,
  receivedPairBytesMax,
} from './name-value.ts';
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
  encodeRequestHead,
  encodeRequestWithoutBody,
  encodeStream,
  encodeUnknownType,
  printEndRequest,
  printHeader,
  type RequestStart,
  writeHeader,
} from './record-encoder.ts';
export { type RecordListener, RecordParser } from './record-parser.ts';
export { RequestState, type ResponseListener } from './request-state.ts';
