/** The link that leads to the current release: switched in one step, so that it always leads to one. */
import { lstatSync, readlinkSync, statSync } from 'node:fs';
import { dirname, isAbsolute, relative, resolve } from 'node:path';
import { GatewayError } from '../base/errors.ts';
import { replaceLink } from '../base/private-files.ts';

/**
 * Makes `link` lead to `release`, by a new link that is renamed over the old one.
 * A release beside the link is named relative to it, so that both may be mounted elsewhere.
 * @returns where it led before; undefined when it was not there
 * @throws {GatewayError} GW_ERR_DEPLOY: nothing has changed
 */
export function switchLink(link: string, release: string): string | undefined {
  const to = resolve(release);
  if (statSync(to, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw new GatewayError('GW_ERR_DEPLOY', `There is no directory ${to}; put the release there first`);
  }
  const at = resolve(link);
  const before = lstatSync(at, { throwIfNoEntry: false });
  if (before !== undefined && !before.isSymbolicLink()) {
    throw new GatewayError(
      'GW_ERR_DEPLOY',
      `${at} is no link and is left as it is; move it to a name of its own once, and the link takes its place`,
    );
  }
  const previous = before === undefined ? undefined : resolve(dirname(at), readlinkSync(at));
  const path = relative(dirname(at), to);
  try {
    replaceLink(at, path.startsWith('..') || isAbsolute(path) || path === '' ? to : path);
  } catch (cause) {
    throw new GatewayError('GW_ERR_DEPLOY', `${at} could not be switched: ${(cause as Error).message}`, {
      cause,
    });
  }
  return previous;
}
