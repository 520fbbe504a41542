/** Request methods (RFC 9110 9). */

const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'PUT', 'DELETE']);

/** Whether a request of that method may run twice (RFC 9110 9.2.2). */
export function isIdempotent(method: string): boolean {
  return idempotentMethods.has(method);
}

const safeMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE']);

/** Whether a request of that method only reads (RFC 9110 9.2.1). */
export function isSafe(method: string): boolean {
  return safeMethods.has(method);
}

/** For Allow (RFC 9110 10.2.1) where no resource was asked for that could say it more precisely. */
export const generalMethods = 'GET, HEAD, POST, OPTIONS';
