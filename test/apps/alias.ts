/** What an administrator writes for a PHP application at an alias: `Alias /app /usr/share/app` in Apache. */
import type { RuleInput } from '../../src/config/types.ts';
import type { Place } from './application.ts';

/** A virtual server of which only `path` is there: the scripts and files of `documentRoot`. */
export function phpAlias(
  { folder }: Place,
  path: string,
  documentRoot: string,
): { readonly documentRoot: string; readonly rules: readonly RuleInput[] } {
  return {
    documentRoot: folder,
    rules: [
      {
        match: { directory: path, extensions: ['php'] },
        handler: { type: 'fastcgi', source: 'php', documentRoot },
      },
      { match: { directory: path }, handler: { type: 'files', documentRoot } },
    ],
  };
}
