/** Makes the sources of a configuration. */
import { parseAddress } from '../base/address.ts';
import type { Log } from '../base/log.ts';
import { findRunExtensions } from '../config/programs.ts';
import type { Config, SourceConfig } from '../config/schema.ts';
import { chooseRunAs } from '../process/run-as.ts';
import { createLocalSource } from '../source/interpreter/local-source.ts';
import { createPhpSource } from '../source/php/php.ts';
import { createRemoteSource } from '../source/remote/remote.ts';
import type { Source } from '../source/source.ts';
import { monotonicNow } from './clock.ts';
import type { GatewayOptions } from './options.ts';
import { findDocumentRoot } from './source-uses.ts';

export interface SourceContext {
  readonly config: Config;
  readonly log: Log;
  readonly environment: NonNullable<GatewayOptions['environment']>;
  /** Undefined: it will not be used. */
  readonly runtimeDir: string | undefined;
}

export async function createSource(
  name: string,
  source: SourceConfig,
  context: SourceContext,
): Promise<Source> {
  const { config, log, environment, runtimeDir } = context;
  const clocks = { now: monotonicNow, random: Math.random };
  if (source.kind === 'remote') {
    return createRemoteSource({ ...clocks, ...source, name, log, address: parseAddress(source.address) });
  }
  const documentRoot = findDocumentRoot(config, name);
  const { user = config.user, group = config.group } = source;
  const options = { ...clocks, ...source, user, group, name, log, environment, runtimeDir };
  if (source.kind === 'php')
    return createPhpSource({
      ...options,
      php: source.php,
      documentRoot,
      runs: findRunExtensions(config, name),
    });
  const { groups, interpreter } = source;
  const runAs = chooseRunAs({ ownUid: process.getuid?.(), user, group, groups, documentRoot });
  if (runAs?.warning !== undefined) log.warn(runAs.warning, { source: name });
  return createLocalSource({ ...options, interpreter, runAs });
}
