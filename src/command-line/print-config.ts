/** `fastway print-config [DIR]`: the whole configuration, with defaults, and presets as the rules that they became. */
import { escapeJson } from '../base/escape.ts';
import { printConfig as print } from '../config/print.ts';
import { type Flags, readFlags, showSecretsFlag } from './flags.ts';
import { loadSite, siteFlags } from './site.ts';
import type { Terminal } from './terminal.ts';

export const printConfigFlags: Flags = { ...siteFlags, ...showSecretsFlag };

export async function printConfig(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = readFlags(printConfigFlags, args, terminal.env);
  const site = await loadSite(line, terminal);
  for (const warning of site.warnings) terminal.printError(`${warning}\n`);
  terminal.print(`${escapeJson(print(site.config, { showSecrets: line.isOn('show-secrets') }))}\n`);
  return 0;
}
