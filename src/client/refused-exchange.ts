import type { GatewayError } from '../base/errors.ts';
import type { ClientExchange, ClientListener } from './request.ts';

/** A request that goes nowhere; its listener hears that after `open` has returned. */
export class RefusedExchange implements ClientExchange {
  #isAborted = false;

  constructor(listener: ClientListener, error: GatewayError) {
    queueMicrotask(() => {
      if (!this.#isAborted) listener.error(error);
    });
  }

  resume(): void {}

  liftTotalLimit(): void {}

  answered(): void {}

  readonly waitedMs = 0;
  readonly isShared = false;
  readonly wasRepeated = false;

  abort(): void {
    this.#isAborted = true;
  }

  disown(): void {
    this.abort();
  }
}
