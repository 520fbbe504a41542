/** An exchange that nobody answers: a request head alone, as if it had come in HTTP/1, for `explain`. */
import type { GatewayError } from '../base/errors.ts';
import type { HttpExchange } from '../http/exchange.ts';
import { findField } from '../http/fields.ts';
import { http1Facts, http1Fault } from '../http/http1.ts';
import type { BodyReader, Fields, RequestHead } from '../http/message.ts';
import type { Reply, ReplyFacts } from '../http/reply.ts';

export class UnansweredExchange implements HttpExchange, Reply {
  readonly request: RequestHead;
  readonly headFault: GatewayError | undefined;
  readonly facts: ReplyFacts;
  readonly bodyLength: number | undefined;
  readonly headSent: boolean = false;
  readonly ended: boolean = false;
  readonly status: number = 0;
  readonly bodyBytesSent: number = 0;
  readonly bodyBytesReceived: number = 0;

  constructor(request: RequestHead) {
    this.request = request;
    this.headFault = http1Fault(request.version, request.fields);
    this.facts = http1Facts(request.version);
    this.bodyLength = announcedLength(request.fields);
  }

  get reply(): Reply {
    return this;
  }

  readBody(): BodyReader {
    return { resume() {}, close() {} };
  }

  setListener(): void {}
  setObserver(): void {}
  closeAfterAnswer(): void {}
  inform(): void {}
  respond(): void {}

  upgrade(): BodyReader {
    return this.readBody();
  }

  write(): boolean {
    return true;
  }

  sendNow(): boolean {
    return false;
  }

  end(): void {}
  cut(): void {}
}

function announcedLength(fields: Fields): number | undefined {
  return findField(fields, 'transfer-encoding') === undefined
    ? Number(findField(fields, 'content-length') ?? 0)
    : undefined;
}
