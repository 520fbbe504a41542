/** The `error` handler: a rule's decision not to serve, answered with the page of its status. */
import { STATUS_CODES } from 'node:http';
import type { Handler } from './handler.ts';

/** @param status 400 to 599 */
export function createErrorHandler(status: number): Handler {
  return {
    handle(request) {
      request.answerStatus(status);
    },
    explain() {
      return {
        action: 'error',
        status,
        reason: `The rule says ${status} ${STATUS_CODES[status] ?? ''}`.trimEnd(),
      };
    },
  };
}
