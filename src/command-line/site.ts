/** What to serve: a configuration file with what flags and environment change in it, or a folder without one. */
import { accessSync, constants, type Stats, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { parseAddress } from '../base/address.ts';
import { ConfigError } from '../base/errors.ts';
import { findClosedRoots } from '../config/closed-roots.ts';
import { hasScripts, recogniseFolder } from '../config/folder.ts';
import { findConfigFile, loadConfig, resolveConfig } from '../config/load.ts';
import type { Config, ConfigInput, SourceInput, VirtualServerInput } from '../config/types.ts';
import { type SymlinkPolicy, symlinkPolicies } from '../handler/symlinks.ts';
import { findPhp, machineSearch } from '../source/php/php-search.ts';
import { isPhpVersion } from '../source/php/php-version.ts';
import type { CommandLine, Flags } from './flags.ts';
import { type Terminal, UsageError } from './terminal.ts';

export const siteFlags: Flags = {
  port: {
    value: 'PORT',
    short: 'p',
    env: ['FASTWAY_PORT', 'PORT'],
    help: 'Port to listen on (8080; 0 takes a free one)',
  },
  host: {
    value: 'HOST',
    env: ['FASTWAY_HOST', 'HOST'],
    help: 'Address to listen on (127.0.0.1; 0.0.0.0 for everybody)',
  },
  config: {
    value: 'FILE',
    short: 'c',
    env: ['FASTWAY_CONFIG'],
    help: 'Configuration (else fastway.config.* in the directory)',
  },
  source: {
    value: 'ADDRESS',
    env: ['FASTWAY_SOURCE'],
    help: 'A PHP that runs already: tcp://host:port, unix:/path',
  },
  php: {
    value: 'fpm|cgi|embedded|VERSION|PATH',
    env: ['FASTWAY_PHP'],
    help: 'Which PHP to start (else the first that is found)',
  },
  symlinks: {
    value: symlinkPolicies.join('|'),
    env: ['FASTWAY_SYMLINKS'],
    help: 'Where links in the document root may lead (trusted: those of root and of its owner)',
  },
  ini: {
    value: 'NAME=VALUE',
    multiple: true,
    help: 'A setting of php.ini for the PHP that is started, as memory_limit=256M',
  },
  workers: { value: 'N', env: ['FASTWAY_WORKERS'], help: 'PHP requests that run at the same time' },
};

export interface LoadedSite {
  readonly config: Config;
  /** Absolute; undefined: the folder has none. */
  readonly configFile: string | undefined;
  readonly warnings: readonly string[];
  /** Of a folder without a configuration: what was recognised in it. */
  readonly reason: string | undefined;
}

/** @throws {UsageError} @throws {ConfigError} */
export async function loadSite(line: CommandLine, { cwd, env }: Terminal): Promise<LoadedSite> {
  if (line.positionals.length > 1) {
    throw new UsageError(`Give one directory, not ${line.positionals.length}: ${line.positionals.join(' ')}`);
  }
  const given = line.positionals[0];
  const named = line.text('config');
  if (given !== undefined && line.texts('config').length > 0) {
    throw new UsageError(
      'Give a directory or --config, not both: the configuration names its document roots',
    );
  }
  const change = readChange(line, cwd);
  if (named !== undefined && given === undefined) {
    const configFile = resolve(cwd, named);
    return { ...(await loadConfig(configFile, change)), configFile, reason: undefined };
  }
  const directory = resolve(cwd, given ?? (env.FASTWAY_DIR || '.'));
  checkDirectory(directory, given ?? env.FASTWAY_DIR ?? '.');
  // A person who serves a folder has not said that its content may decide what this machine does.
  const isNamed = directory !== resolve(cwd);
  const { file: configFile, passedOver } = findConfigFile(directory, !isNamed);
  const warnings =
    passedOver === undefined
      ? []
      : [
          `${passedOver} is not run, because it lies in a folder that is only served; if you trust it: --config ${passedOver}`,
        ];
  if (configFile !== undefined) {
    const loaded = await loadConfig(configFile, change);
    if (isNamed) refusePrograms(loaded.config, configFile, line.text('php'));
    return { ...loaded, warnings: [...warnings, ...loaded.warnings], configFile, reason: undefined };
  }
  const { documentRoot, preset, reason } = recogniseFolder(directory);
  const isStatic =
    preset === 'php' &&
    ['php', 'source', 'workers', 'ini'].every((flag) => line.texts(flag).length === 0) &&
    !hasScripts(documentRoot) &&
    !isPhpThere(env.PATH, [cwd, documentRoot]);
  const input: ConfigInput = isStatic
    ? { sources: {}, virtualServers: [{ documentRoot, rules: [{ handler: { type: 'files' } }] }] }
    : { virtualServers: [{ documentRoot, preset }] };
  const config = await resolveConfig(change(input), directory);
  return {
    config,
    configFile: undefined,
    warnings: [...warnings, ...findClosedRoots(config)],
    reason,
  };
}

/**
 * A folder that is only served starts no program of its own.
 * @param chosen what flags say of `php`: that is not the file's word
 * @throws {ConfigError}
 */
function refusePrograms({ sources }: Config, file: string, chosen: string | undefined): void {
  for (const [name, source] of Object.entries(sources)) {
    const key =
      source.kind === 'local'
        ? 'interpreter'
        : source.kind === 'php' && source.php.includes('/') && !(name === 'php' && chosen !== undefined)
          ? 'php'
          : undefined;
    if (key === undefined) continue;
    const message = `Names a program, which a configuration in a folder that is only served may not; if you trust it: --config ${file}`;
    throw new ConfigError([{ path: `sources.${name}.${key}`, message, file }]);
  }
}

/** What flags and environment decide, whatever a file says. They name the source that is called `php`. */
function readChange(line: CommandLine, cwd: string): (input: ConfigInput) => ConfigInput {
  const port = line.number('port', 0, 65_535);
  const host = line.text('host');
  const changeSource = readSourceChange(line, cwd);
  const symlinks = readSymlinks(line);
  return (input) => {
    const changed: { -readonly [Key in keyof ConfigInput]: ConfigInput[Key] } = { ...input };
    if (port !== undefined || host !== undefined) {
      const first = Array.isArray(input.listen)
        ? (input.listen[0] as Record<string, unknown> | undefined)
        : undefined;
      changed.listen = [
        {
          host: host ?? (first?.host as string | undefined),
          port: port ?? (first?.port as number | undefined),
        },
      ];
    }
    if (symlinks !== undefined) {
      const servers: unknown = input.virtualServers ?? [{ documentRoot: '.' }];
      // Anything that is not a list of objects stays as it is, to be reported.
      if (Array.isArray(servers) && servers.every((server) => typeof server === 'object'))
        changed.virtualServers = servers.map((server: VirtualServerInput) => ({ ...server, symlinks }));
    }
    // Sources that are not objects stay as they are, to be reported.
    if (changeSource !== undefined && typeof (input.sources ?? {}) === 'object') {
      changed.sources = { ...input.sources, php: changeSource(input.sources?.php) };
    }
    return changed;
  };
}

function readSymlinks(line: CommandLine): SymlinkPolicy | undefined {
  const written = line.text('symlinks');
  const policy = symlinkPolicies.find((known) => known === written);
  if (written !== undefined && policy === undefined)
    throw new UsageError(
      `--symlinks is ${JSON.stringify(written)}, but must be one of ${symlinkPolicies.join(', ')}`,
    );
  return policy;
}

function readSourceChange(
  line: CommandLine,
  cwd: string,
): ((before: SourceInput | undefined) => SourceInput) | undefined {
  const written = line.text('source');
  const php = line.text('php');
  const workers = line.number('workers', 1, 1024);
  const ini = line.texts('ini').map(readSetting);
  if (written !== undefined) {
    if (php !== undefined || workers !== undefined || ini.length > 0) {
      throw new UsageError('--source is a PHP that runs already: leave out --php, --workers and --ini');
    }
    const address = readAddress(written, cwd);
    return () => ({ address, profile: 'php-fpm' });
  }
  if (php === undefined && workers === undefined && ini.length === 0) return undefined;
  if (php !== undefined && !isPhpVersion(php) && !/^(auto|fpm|cgi|embedded)$|\//.test(php)) {
    throw new UsageError(
      `--php is ${JSON.stringify(php)}, but must be fpm, cgi, embedded, a version (8.4) or a path`,
    );
  }
  const kind = php?.includes('/') ? resolve(cwd, php) : php;
  return (before) => {
    const written = before !== undefined && 'php' in before ? before : { php: 'auto' };
    return {
      ...written,
      ...(kind !== undefined && { php: kind }),
      ...(workers !== undefined && { workers }),
      ...(ini.length > 0 && { ini: { ...written.ini, ...Object.fromEntries(ini) } }),
    };
  };
}

function readSetting(written: string): readonly [name: string, value: string] {
  const at = written.indexOf('=');
  if (at < 1)
    throw new UsageError(`--ini is ${JSON.stringify(written)}, but must be NAME=VALUE, as memory_limit=256M`);
  return [written.slice(0, at), written.slice(at + 1)];
}

/** @throws {UsageError} */
export function readAddress(written: string, cwd: string): string {
  const path = /^(?:unix:)?(\.{0,2}\/.*)$/s.exec(written)?.[1];
  const address = path === undefined ? written : `unix:${resolve(cwd, path)}`;
  try {
    parseAddress(address);
    return address;
  } catch (error) {
    throw new UsageError((error as Error).message);
  }
}

/** Files alone need no PHP, nor a word about it. */
function isPhpThere(path: string | undefined, projects: readonly string[]): boolean {
  try {
    findPhp('auto', machineSearch(path, projects));
    return true;
  } catch {
    return false;
  }
}

function checkDirectory(directory: string, written: string): void {
  let stats: Stats | undefined;
  try {
    stats = statSync(directory, { throwIfNoEntry: false });
    if (stats?.isDirectory()) {
      accessSync(directory, constants.R_OK | constants.X_OK);
      return;
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code !== 'ENOTDIR') {
      throw new UsageError(
        `${written} cannot be read (${code}); give this user the right to read it, or start as another`,
      );
    }
  }
  throw new UsageError(
    stats === undefined
      ? `There is no directory ${written}; name the folder of the site`
      : `${written} is a file; name the directory that it is in`,
  );
}
