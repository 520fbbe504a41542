/** Which files of a site are programs. */
import type { VirtualServerConfig } from './schema.ts';

/**
 * What is a program somewhere in a virtual server is never sent as a file there (T31).
 * @returns extensions in lower case, without dot
 */
export function findScriptExtensions({ rules }: Pick<VirtualServerConfig, 'rules'>): ReadonlySet<string> {
  const found = new Set(['php', 'phtml', 'phar', 'php3', 'php4', 'php5', 'php7', 'php8']);
  for (const { match, handler } of rules) {
    if (handler.type !== 'fastcgi' && handler.type !== 'cgi') continue;
    for (const extension of match?.extensions ?? []) found.add(extension);
  }
  return found;
}
