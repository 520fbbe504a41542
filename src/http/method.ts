/** Request methods (RFC 9110 9). */

const idempotentMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE']);

/** Whether a request of that method may run twice (RFC 9110 9.2.2). */
export function isIdempotent(method: string): boolean {
  return idempotentMethods.has(method);
}
