/**
 * As whom programs run that we start, and as whom we run ourselves. Only root can choose; others may still explain what root
 * would do, so that they are told at the start and not before.
 */
import type { Config } from '../config/types.ts';
import { chooseRunAs, type RunAs, type RunAsOptions } from '../process/run-as.ts';
import type { GatewayPlan } from './plan.ts';

type Rights = Pick<RunAsOptions, 'user' | 'group' | 'groups'>;

/** What is configured, where we are root; else nothing. */
export function rightsToGive({ user, group, groups }: Rights): Rights {
  if (process.getuid?.() === 0) return { user, group, groups };
  return { user: undefined, group: undefined, groups: undefined };
}

/** @throws {SourceError} GW_ERR_SOURCE_SPAWN: what is configured is not ours to give */
export function checkRights({ sources, sites }: GatewayPlan): void {
  if (process.getuid?.() === 0) return;
  for (const { config, user, group } of sources) {
    if (config.kind !== 'remote') chooseRunAs({ user, group, groups: config.groups });
  }
  for (const { config, user, group } of sites.flatMap(({ rules }) => rules)) {
    if (config.handler.type === 'cgi')
      chooseRunAs({ what: 'CGI programs', user, group, groups: config.handler.groups });
  }
}

/** Whom we become once we listen; undefined: we stay who we are. @throws {SourceError} GW_ERR_SOURCE_SPAWN: no such user */
export function chooseSelf({ user, group }: Config): RunAs | undefined {
  return user === undefined ? undefined : chooseRunAs({ what: 'Fastway', user, group });
}
