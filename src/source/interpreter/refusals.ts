/** What requests are told that a local source does not serve: each was sent to nobody. */
import { SourceError } from '../../base/errors.ts';
import { waitingTimeoutMs } from '../../client/waiting-line.ts';

export function stopped(source: string): SourceError {
  return new SourceError('GW_ERR_SOURCE_STOPPED', `Source ${source} was stopped`, { delivery: 'unsent' });
}

/** No start is tried before its time. @param reason why the last one failed @param delayMs until the next one is due */
export function notDue(source: string, reason: SourceError | undefined, delayMs: number): SourceError {
  const { code, message, cause } = reason ?? stopped(source);
  const retryAfterSeconds = Math.max(1, Math.ceil(delayMs / 1000));
  return new SourceError(code, message, { cause, delivery: 'unsent', retryAfterSeconds });
}

/** As many wait as may. */
export function full(source: string, waiting: number): SourceError {
  return overloaded(`${waiting} requests already wait for source ${source}. ${moreWorkers}`);
}

/** It waited for a place as long as one may. */
export function late(source: string, processes: number): SourceError {
  const busy =
    processes === 1
      ? `The process of source ${source} is busy`
      : `All ${processes} processes of source ${source} are busy`;
  return overloaded(`${busy}, and no place became free within ${waitingTimeoutMs} ms. ${moreWorkers}`);
}

const moreWorkers =
  'Give it more of them ("workers" of a PHP, "processes", "capacity"), or make the pages faster';

function overloaded(message: string): SourceError {
  return new SourceError('GW_ERR_SOURCE_OVERLOADED', message, { delivery: 'unsent', retryAfterSeconds: 1 });
}
