/** `fastway check [DIR]`: whether a configuration is right, with every problem if it is not. */
import { readFlags } from './flags.ts';
import { loadSite, siteFlags } from './site.ts';
import { type Terminal, UsageError } from './terminal.ts';

export async function check(args: readonly string[], terminal: Terminal): Promise<number> {
  const site = await loadSite(readFlags(siteFlags, args, terminal.env), terminal);
  for (const warning of site.warnings) terminal.printError(`${warning}\n`);
  if (site.configFile === undefined) {
    throw new UsageError('There is no fastway.config.* here; name one with --config, or its directory');
  }
  const { sources, virtualServers } = site.config;
  const rules = virtualServers.reduce((sum, server) => sum + server.rules.length, 0);
  const parts = [
    count(Object.keys(sources).length, 'source'),
    count(virtualServers.length, 'virtual server'),
    count(rules, 'rule'),
  ];
  terminal.print(`${site.configFile} is right: ${parts.join(', ')}\n`);
  return 0;
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}
