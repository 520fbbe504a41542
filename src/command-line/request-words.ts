/** Words of a request that people write on the command line. */
import { UsageError } from './terminal.ts';

/** `Name: value` -> name and value. @throws {UsageError} */
export function readHeader(text: string): [name: string, value: string] {
  const match = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([^\r\n]*)$/.exec(text);
  if (match === null) throw new UsageError(`${JSON.stringify(text)} is no header field; write "Name: value"`);
  return [match[1]!, match[2]!];
}

/** `NAME=value` -> name and value. @throws {UsageError} */
export function readVariable(text: string): [name: string, value: string] {
  const equals = text.indexOf('=');
  if (equals < 1 || text.includes('\0')) {
    throw new UsageError(`${JSON.stringify(text)} is no variable; write NAME=value`);
  }
  return [text.slice(0, equals), text.slice(equals + 1)];
}
