/** The `cgi` handler: scripts are programs, started for each request. To the rest of the handler they are one more source. */
import { createFailover } from '../balancer/failover.ts';
import { createProgramSource, type ProgramSourceOptions } from '../source/program/program-source.ts';
import { createFastcgiHandler } from './fastcgi.ts';
import type { Handler } from './handler.ts';
import type { ScriptOptions } from './script-options.ts';

export interface CgiHandlerOptions extends ScriptOptions, ProgramSourceOptions {}

/** Makes the handler of one rule. */
export function createCgiHandler(options: CgiHandlerOptions): Handler {
  const source = createProgramSource(options);
  return createFastcgiHandler({
    ...options,
    balancer: createFailover([{ source, weight: 1 }]),
  });
}
