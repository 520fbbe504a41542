/** Document roots of which nothing is sent, and why: a page that is a 404 for no visible reason costs an afternoon. */
import { toText } from '../base/byte-string.ts';
import { enterFolder, findDenial } from '../handler/access-file.ts';
import { AccessFiles } from '../handler/access-files.ts';
import type { Config } from './types.ts';

/** A sentence for each root whose own `.htaccess` denies everything. */
export function findClosedRoots({ virtualServers }: Config): string[] {
  const guarded = virtualServers.flatMap(({ documentRoot, guard, rules }) =>
    rules.flatMap(({ handler }) =>
      handler.type !== 'redirect' && handler.type !== 'error' && (handler.guard ?? guard)
        ? [handler.documentRoot ?? documentRoot]
        : [],
    ),
  );
  const files = new AccessFiles();
  return [...new Set(guarded)].flatMap((root) => {
    const denial = findDenial(enterFolder(undefined, files.read(root)), undefined);
    if (denial === undefined) return [];
    return [
      `Nothing below ${toText(root)} is sent or run: ${toText(denial)}, and Fastway asks for no password and looks at no address for it; ` +
        'remove it, or set "guard" to false of the virtual server, or of the handlers that shall not heed it',
    ];
  });
}
