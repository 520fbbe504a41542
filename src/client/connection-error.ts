/** How a request ends on a connection other than well, as one sentence each. From the web server's side. */
import { type Address, printAddress } from '../base/address.ts';
import { type GatewayError, ProtocolError, SourceError } from '../base/errors.ts';
import { ProtocolStatus } from '../protocol/constants.ts';

/** What END_REQUEST said other than "complete" (FastCGI 5.5). */
export function statusError(address: Address, protocolStatus: number): GatewayError | undefined {
  const where = printAddress(address);
  switch (protocolStatus) {
    case ProtocolStatus.RequestComplete:
      return undefined;
    case ProtocolStatus.Overloaded:
    case ProtocolStatus.CantMpxConn:
      return new SourceError(
        'GW_ERR_SOURCE_OVERLOADED',
        protocolStatus === ProtocolStatus.Overloaded
          ? `The application at ${where} refused the request: it is overloaded`
          : `The application at ${where} refused the request: it takes one request per connection`,
        { delivery: 'rejected', retryAfterSeconds: 1 },
      );
    case ProtocolStatus.UnknownRole:
      return new ProtocolError(
        'GW_ERR_PROTOCOL_STATUS',
        `The application at ${where} has not the role that it was asked in: it ended the request with UNKNOWN_ROLE`,
      );
    default:
      return new ProtocolError(
        'GW_ERR_PROTOCOL_STATUS',
        `The application at ${where} ended the request with protocol status ${protocolStatus}, expected 0 to 3`,
      );
  }
}

/** What came from the application is not FastCGI, or not what it may say: with its address, and who else may be there. */
export function brokenProtocol(address: Address, error: ProtocolError): ProtocolError {
  const advice =
    error.code === 'GW_ERR_PROTOCOL_VERSION'
      ? '. "address" must be that of a FastCGI server (of php-fpm its "listen"), and not of a web server'
      : '';
  const message = `The application at ${printAddress(address)} broke FastCGI: ${error.message}${advice}`;
  return new ProtocolError(error.code, message, { cause: error });
}

/**
 * What an error means of a request whose answer was begun: the application has read it, and cannot say any more that it
 * has not.
 */
export function afterOutput(error: GatewayError): GatewayError {
  if (!(error instanceof SourceError) || error.delivery === 'maybe') return error;
  return new ProtocolError('GW_ERR_PROTOCOL_STATUS', `${error.message}, after it had begun to answer`, {
    cause: error,
  });
}

/** What was seen of a connection that closed before END_REQUEST. */
export interface EarlyClose {
  /** Bytes that came for the request. */
  readonly receivedBytes: number;
  readonly isBetweenRecords: boolean;
  /** No byte of the request was taken. */
  readonly isUnsent: boolean;
  readonly cause: NodeJS.ErrnoException | undefined;
}

export function closedEarly(address: Address, close: EarlyClose): SourceError {
  const { receivedBytes, isBetweenRecords, isUnsent, cause } = close;
  const place = isBetweenRecords ? '' : ', in the middle of a record';
  const how = cause?.code === undefined ? 'closed the connection' : `broke the connection (${cause.code})`;
  const when =
    receivedBytes === 0 ? 'without an answer' : `after ${receivedBytes} bytes${place}, before END_REQUEST`;
  const message =
    `The application at ${printAddress(address)} ${how} ${when}. ` +
    'A worker that ended or was killed is in its own log (of php-fpm: error_log) and, when memory ran out, in that of the kernel (dmesg)';
  // What it says without having been asked makes no request one that was not sent, but is no reason to ask again either.
  const delivery = isUnsent && receivedBytes === 0 ? 'unsent' : 'maybe';
  return new SourceError('GW_ERR_SOURCE_CLOSED', message, { cause, delivery });
}

export function sendTimeout(address: Address, limitMs: number): SourceError {
  const message = `The application at ${printAddress(address)} took no byte of the request for ${limitMs} ms. It is stuck or too busy; if it may be slow to read, raise sendTimeoutMs of the source`;
  return new SourceError('GW_ERR_SOURCE_SEND_TIMEOUT', message, { delivery: 'maybe' });
}

/** @param isConversation an upgraded connection, on which the application has agreed to talk once it has sent something */
export function silence(
  address: Address,
  limitMs: number,
  receivedBytes: number,
  isConversation: boolean,
): SourceError {
  if (!isConversation || receivedBytes === 0) return readTimeout(address, limitMs, receivedBytes);
  const message = `The upgraded connection to the application at ${printAddress(address)} was silent for ${limitMs} ms and is closed; let one side send pings, or raise readTimeoutMs`;
  return new SourceError('GW_ERR_SOURCE_IDLE', message, { delivery: 'maybe' });
}

function readTimeout(address: Address, limitMs: number, receivedBytes: number): SourceError {
  const message =
    `The application at ${printAddress(address)} sent nothing for ${limitMs} ms (${receivedBytes} bytes before). ` +
    'If it may take so long, raise readTimeoutMs of the source; php-fpm writes down where a script is slow with request_slowlog_timeout and slowlog';
  return new SourceError('GW_ERR_SOURCE_READ_TIMEOUT', message, { delivery: 'maybe' });
}

export function totalTimeout(address: Address, limitMs: number, receivedBytes: number): SourceError {
  const message = `The application at ${printAddress(address)} took longer than ${limitMs} ms for one request (${receivedBytes} bytes came). If it may take so long, raise totalTimeoutMs of the source`;
  return new SourceError('GW_ERR_SOURCE_TOTAL_TIMEOUT', message, { delivery: 'maybe' });
}

/** @param backlogBytes of the answer that wait for its reader */
export function readerBehind(address: Address, backlogBytes: number): SourceError {
  const message = `The reader of an answer of the application at ${printAddress(address)} is ${backlogBytes} bytes behind, and other requests share the connection`;
  return new SourceError('GW_ERR_SOURCE_READER_BEHIND', message, { delivery: 'maybe' });
}
