/** Questions about a configuration that a gateway asks: who uses which source. */
import { toText } from '../base/byte-string.ts';
import { mentionedExtensions } from '../config/programs.ts';
import type { Config } from '../config/schema.ts';

/** Of the first virtual server that uses a source: its interpreter has to read those files. */
export function findDocumentRoot({ virtualServers }: Config, sourceName: string): string | undefined {
  const user = virtualServers.find(({ rules }) =>
    rules.some(({ authorize, handler }) =>
      [...authorize, handler].some(
        (asked) => 'balancer' in asked && asked.balancer.sources.some(({ source }) => source === sourceName),
      ),
    ),
  );
  return user === undefined ? undefined : toText(user.documentRoot);
}

/** Sources that are chosen among: their names, for each balancer that has a choice. */
export function findGroups({ virtualServers }: Config): readonly (readonly string[])[] {
  const groups = new Map<string, readonly string[]>();
  for (const { handler } of virtualServers.flatMap(({ rules }) => rules)) {
    if (!('balancer' in handler) || handler.balancer.sources.length < 2) continue;
    const names = handler.balancer.sources.map(({ source }) => source);
    groups.set(names.join('\n'), names);
  }
  return [...groups.values()];
}

/** Sources that run PHP scripts, whatever PHP they are. */
export function findPhpSources({ virtualServers }: Config): readonly string[] {
  const found = new Set<string>();
  for (const { match, handler } of virtualServers.flatMap(({ rules }) => rules)) {
    if (handler.type !== 'fastcgi') continue;
    const runsPhp = mentionedExtensions(match).includes('php') || handler.scriptAlias?.endsWith('.php');
    if (runsPhp) for (const { source } of handler.balancer.sources) found.add(source);
  }
  return [...found];
}
