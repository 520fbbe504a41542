/**
 * A request's body by HTTP's rules, from FastCGI's STDIN: CONTENT_LENGTH says how long it is. One that ends early is an
 * error, since a cut body must not pass for a whole one; surplus bytes are dropped.
 */
import { ProtocolError } from '../base/errors.ts';
import type { BodyReader, BodyReceiver } from '../http/message.ts';
import { lengthAfter, unknownLength, withinLength } from '../http/reply-framing.ts';
import type { ApplicationRequest } from './request.ts';

/** @param length undefined: the body ends where STDIN ends */
export function readHttpBody(
  request: ApplicationRequest,
  length: number | undefined,
  receiver: BodyReceiver,
): BodyReader {
  let left = length ?? unknownLength;
  return request.readStdin({
    data(chunk) {
      const piece = withinLength(chunk, left);
      left = lengthAfter(left, piece.length);
      return piece.length === 0 || receiver.data(piece);
    },
    end() {
      if (left <= 0) receiver.end();
      else
        receiver.error(
          new ProtocolError(
            'GW_ERR_HTTP_BODY_CUT',
            `The request body ended after ${length! - left} of ${length} bytes`,
          ),
        );
    },
    error: (error) => receiver.error(error),
  });
}
