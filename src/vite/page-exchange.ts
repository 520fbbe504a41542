/**
 * An exchange whose HTML pages are finished before they are sent: Vite's client comes into them, and the fault that they are
 * about. Everything else passes as it is: other types, events, downloads, what is compressed, and pages that are too long.
 */
import type { GatewayError } from '../base/errors.ts';
import type { ExchangeObserver, HttpExchange } from '../http/exchange.ts';
import { findField, withoutFields } from '../http/fields.ts';
import type { BodyReader, BodyReceiver, Fields, RequestHead } from '../http/message.ts';
import { ForwardingReply, type Reply } from '../http/reply.ts';
import { isBodyless } from '../http/reply-framing.ts';
import type { Fault, Faults } from './faults.ts';

/** A page that grows beyond this is sent as it is. Bytes. */
export const pageBytesMax: number = 8 * 1024 * 1024;

/** What becomes of pages and of faults. */
export interface Pages {
  /** Never rejects. @param target of the request, as it came */
  finish(target: string, body: Buffer, fault: Fault | undefined): Promise<Buffer>;
  /** Tells the pages that are open of a fault that has no page of its own. */
  announce(fault: Fault): void;
}

interface HeldPage {
  readonly status: number;
  readonly reason: string;
  readonly fields: Fields;
  readonly chunks: Uint8Array[];
  bytes: number;
}

export class PageExchange extends ForwardingReply implements HttpExchange {
  readonly #exchange: HttpExchange;
  readonly #pages: Pages;
  readonly #faults: Pick<Faults, 'open' | 'of' | 'close'>;
  #id = '';
  #page: HeldPage | undefined;
  /** The whole page is here, and on its way to the client. */
  #isFinishing = false;
  #isShown = false;

  constructor(exchange: HttpExchange, pages: Pages, faults: Pick<Faults, 'open' | 'of' | 'close'>) {
    super(exchange.reply);
    this.#exchange = exchange;
    this.#pages = pages;
    this.#faults = faults;
  }

  get reply(): Reply {
    return this;
  }

  get request(): RequestHead {
    return this.#exchange.request;
  }

  get headFault(): GatewayError | undefined {
    return this.#exchange.headFault;
  }

  get bodyLength(): number | undefined {
    return this.#exchange.bodyLength;
  }

  get bodyBytesReceived(): number {
    return this.#exchange.bodyBytesReceived;
  }

  override get headSent(): boolean {
    return this.#page !== undefined || super.headSent;
  }

  override get ended(): boolean {
    return this.#isFinishing || super.ended;
  }

  override get status(): number {
    return this.#page?.status ?? super.status;
  }

  override get bodyBytesSent(): number {
    return this.#page?.bytes ?? super.bodyBytesSent;
  }

  readBody(receiver: BodyReceiver): BodyReader {
    return this.#exchange.readBody(receiver);
  }

  override drained(): void {
    if (this.#page === undefined) super.drained();
  }

  override gone(): void {
    if (!this.#isFinishing) super.gone();
  }

  setObserver(observer: ExchangeObserver): void {
    const { id } = observer;
    this.#id = id;
    this.#faults.open(id);
    this.#exchange.setObserver({
      id,
      ended: (how) => {
        const fault = this.#faults.of(id);
        this.#faults.close(id);
        if (fault !== undefined && !this.#isShown) this.#pages.announce(fault);
        observer.ended(how);
      },
    });
  }

  closeAfterAnswer(): void {
    this.#exchange.closeAfterAnswer();
  }

  override inform(status: number, fields: Fields): void {
    if (this.#page === undefined) this.inner.inform(status, fields);
  }

  override respond(status: number, reason: string, fields: Fields): void {
    if (this.headSent) throw new RangeError('The response head was already sent');
    if (!isPage(this.request, status, fields)) this.inner.respond(status, reason, fields);
    // The page's length and validators will be others.
    else if (this.request.method === 'HEAD') this.inner.respond(status, reason, besideBody(fields));
    else this.#page = { status, reason, fields, chunks: [], bytes: 0 };
  }

  override write(chunk: Uint8Array): boolean {
    const page = this.#page;
    if (page === undefined) return this.inner.write(chunk);
    if (this.ended) return true;
    page.chunks.push(chunk);
    page.bytes += chunk.length;
    return page.bytes <= pageBytesMax || this.#release(page);
  }

  override sendNow(): boolean {
    return this.#page === undefined && super.sendNow();
  }

  override end(chunk?: Uint8Array): void {
    if (this.ended) return;
    if (chunk !== undefined) this.write(chunk);
    const page = this.#page;
    if (page === undefined) {
      this.inner.end();
      return;
    }
    const fault = this.#faults.of(this.#id);
    // A reload would send a form again: its answer stays as it is, unless there is something to show.
    if (this.request.method !== 'GET' && fault === undefined) {
      this.#release(page);
      this.inner.end();
    } else void this.#finish(page, fault);
  }

  override cut(): void {
    if (this.#page !== undefined && !this.ended) this.#release(this.#page);
    this.inner.cut();
  }

  /** Sends the page as it came. */
  #release({ status, reason, fields, chunks }: HeldPage): boolean {
    this.#page = undefined;
    this.inner.respond(status, reason, fields);
    let takesMore = true;
    for (const chunk of chunks) takesMore = this.inner.write(chunk);
    return takesMore;
  }

  async #finish({ status, reason, fields, chunks }: HeldPage, fault: Fault | undefined): Promise<void> {
    this.#isFinishing = true;
    const page = await this.#pages.finish(this.request.target, Buffer.concat(chunks), fault);
    if (this.inner.ended) return;
    this.#isShown = fault !== undefined;
    const kept = besideBody(fault === undefined ? fields : withoutFields(fields, isPolicy));
    this.inner.respond(status, reason, [...kept, 'Content-Length', String(page.length)]);
    this.inner.end(page);
  }
}

/** A whole HTML page that a browser is about to show; what a script fetches is not. */
function isPage({ fields: asked }: RequestHead, status: number, fields: Fields): boolean {
  const encoding = findField(fields, 'content-encoding') ?? 'identity';
  return (
    !isBodyless(status) &&
    status !== 206 &&
    /^text\/html\s*(;|$)/i.test(findField(fields, 'content-type') ?? '') &&
    encoding.toLowerCase() === 'identity' &&
    !/^attachment\b/i.test(findField(fields, 'content-disposition') ?? '') &&
    // Not sent by every browser everywhere: over plain HTTP only to loopback addresses.
    /^(document|iframe|frame|)$/.test(findField(asked, 'sec-fetch-dest') ?? '')
  );
}

/** They speak of the body as it came: a cached page would be found unchanged, though what was put into it has changed. */
const bodyFields: ReadonlySet<string> = new Set([
  'content-length',
  'etag',
  'last-modified',
  'accept-ranges',
  'content-md5',
  'content-digest',
  'repr-digest',
  'digest',
]);

/** They would keep the overlay's script from a page that is broken anyway. */
const isPolicy = (name: string) => name === 'content-security-policy';

function besideBody(fields: Fields): Fields {
  return withoutFields(fields, (name) => bodyFields.has(name));
}
