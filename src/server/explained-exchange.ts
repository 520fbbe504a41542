/** An exchange that nobody answers: a request head alone, for `explain`. */
import { findField } from '../http/fields.ts';
import type { BodyReader, Fields, HttpExchange, RequestHead } from '../http/message.ts';

export class UnansweredExchange implements HttpExchange {
  readonly request: RequestHead;
  readonly bodyLength: number | undefined;
  readonly headSent: boolean = false;
  readonly ended: boolean = false;
  readonly status: number = 0;
  readonly bodyBytesSent: number = 0;
  readonly bodyBytesReceived: number = 0;

  constructor(request: RequestHead) {
    this.request = request;
    this.bodyLength = announcedLength(request.fields);
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

  end(): void {}
  cut(): void {}
}

function announcedLength(fields: Fields): number | undefined {
  return findField(fields, 'transfer-encoding') === undefined
    ? Number(findField(fields, 'content-length') ?? 0)
    : undefined;
}
