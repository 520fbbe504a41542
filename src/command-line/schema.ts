/** `fastway schema`: the JSON Schema of the configuration. */
import { printJsonSchema } from '../config/json-schema.ts';
import { readFlags } from './flags.ts';
import { type Terminal, UsageError } from './terminal.ts';

export async function schema(args: readonly string[], terminal: Terminal): Promise<number> {
  const { positionals } = readFlags({}, args, terminal.env);
  if (positionals.length > 0) throw new UsageError(`schema takes no argument: ${positionals.join(' ')}`);
  terminal.print(printJsonSchema());
  return 0;
}
