/** `fastway print-config [DIR]`: the whole configuration, with defaults, and presets as the rules that they became. */
import { escapeJson } from '../base/escape.ts';
import { printConfig as print } from '../config/print.ts';
import { readFlags } from './flags.ts';
import { loadSite, siteFlags } from './site.ts';
import type { Terminal } from './terminal.ts';

export async function printConfig(args: readonly string[], terminal: Terminal): Promise<number> {
  const site = await loadSite(readFlags(siteFlags, args, terminal.env), terminal);
  for (const warning of site.warnings) terminal.printError(`${warning}\n`);
  terminal.print(`${escapeJson(print(site.config))}\n`);
  return 0;
}
