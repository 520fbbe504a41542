/** Finds and reads a configuration file: TypeScript, JavaScript, JSON, YAML. Each reader is loaded when it is needed. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { ConfigError } from '../base/errors.ts';
import { findStranger } from '../base/stranger.ts';
import { asksForAddress } from '../http/match.ts';
import { findMissingRoots, findRootAbove } from './check.ts';
import { findClosedRoots } from './closed-roots.ts';
import { tooDeep } from './depth.ts';
import { type PositionedValue, readJson, readYaml } from './positions.ts';
import { findSecrets } from './print.ts';
import { findImportedFiles } from './trust.ts';
import type { Config, ConfigInput } from './types.ts';

/** In the order in which they are looked for. */
export const configFileNames: readonly string[] = ['ts', 'js', 'mjs', 'json', 'yaml', 'yml'].map(
  (ending) => `fastway.config.${ending}`,
);

export interface LoadedConfig {
  readonly config: Config;
  /** For the operator: what works but should be changed. */
  readonly warnings: readonly string[];
}

export interface FoundConfigFile {
  /** Absolute; undefined: the directory has none that may be taken. */
  readonly file: string | undefined;
  /** One that would have been taken before it, but is code; absolute. */
  readonly passedOver: string | undefined;
}

/**
 * A directory's configuration file.
 * @param mayRunCode whether it may be one that is run (TypeScript, JavaScript): not in a folder that is merely to be served
 */
export function findConfigFile(directory: string, mayRunCode: boolean): FoundConfigFile {
  const files = configFileNames.map((name) => join(directory, name)).filter((file) => existsSync(file));
  const file = files.find((candidate) => mayRunCode || !isCode(candidate));
  return { file, passedOver: files[0] === file ? undefined : files[0] };
}

function isCode(file: string): boolean {
  return /^\.[cm]?[jt]s$/.test(extname(file));
}

/**
 * Reads and checks a file.
 * @param file absolute
 * @param adjust changes what the file says before it is checked: what flags and environment decide
 * @throws {ConfigError} GW_ERR_CONFIG with every problem, its line where the format has lines; for root also: somebody else
 * could have written it
 */
export async function loadConfig(
  file: string,
  adjust: (input: ConfigInput) => ConfigInput = (input) => input,
): Promise<LoadedConfig> {
  if (process.getuid?.() === 0) refuseForeignWords(file);
  const { value, lineOf } = await readConfigFile(file);
  const { kindOnDisk, parseConfig } = await import('./parse.ts');
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value);
  const config = parseConfig(isObject ? adjust(value) : value, { directory: dirname(file), file, lineOf });
  return {
    config,
    warnings: [
      ...findOpenSecrets(config, file),
      ...findBlindRules(config),
      ...findPublicLogs(config),
      ...findMissingRoots(config, kindOnDisk),
      ...findClosedRoots(config),
    ],
  };
}

/** Checks a configuration that is already a value. @throws {ConfigError} GW_ERR_CONFIG */
export async function resolveConfig(input: ConfigInput, directory: string): Promise<Config> {
  const { parseConfig } = await import('./parse.ts');
  return parseConfig(input, { directory });
}

/** What root reads, and runs, only root may have written. @throws {ConfigError} */
function refuseForeignWords(file: string): void {
  for (const part of existsSync(file) ? findImportedFiles(file) : []) {
    const stranger = findStranger(part);
    if (stranger === undefined) continue;
    const what =
      part === file ? 'Cannot be trusted by root' : `Imports ${part}, which cannot be trusted by root`;
    throw problem(
      file,
      `${what}: ${stranger}; give it to root (chown root, chmod go-w), or start Fastway as the user who owns it`,
    );
  }
}

async function readConfigFile(file: string): Promise<PositionedValue> {
  switch (extname(file).toLowerCase()) {
    case '.json':
    case '.jsonc':
      return readData(readJson, file);
    case '.yaml':
    case '.yml':
      return readData(readYaml, file);
    case '.ts':
    case '.mts':
    case '.js':
    case '.mjs':
    case '.cjs':
      readText(file);
      return { value: await readModule(file), lineOf: () => undefined };
    default:
      throw problem(
        file,
        'Is no configuration that we can read; use a .ts, .js, .mjs, .json, .yaml or .yml file',
      );
  }
}

/** @throws {ConfigError} also for text that is nested so deeply that its reader has no more stack */
async function readData(read: typeof readJson, file: string): Promise<PositionedValue> {
  const text = readText(file);
  try {
    return await read(text, file);
  } catch (error) {
    if (error instanceof RangeError) throw problem(file, tooDeep, error);
    throw error;
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8').replace(/^\ufeff/, '');
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reasons: Record<string, string> = {
      ENOENT: 'Does not exist; check the name after --config',
      EACCES: 'Cannot be read; give our user permission to read it',
      EISDIR: 'Is a directory; name the file in it',
    };
    throw problem(file, reasons[code ?? ''] ?? `Cannot be read: ${message}`, error);
  }
}

async function readModule(file: string): Promise<unknown> {
  let module: { default?: unknown };
  try {
    module = await importModule(file);
  } catch (error) {
    throw problem(file, `Cannot be run: ${error instanceof Error ? error.message : String(error)}`, error);
  }
  let exported = module.default;
  if (exported === undefined)
    throw problem(file, 'Has no default export; write "export default defineConfig({...})"');
  try {
    if (typeof exported === 'function') exported = exported();
    return await exported;
  } catch (error) {
    throw problem(
      file,
      `Its function failed: ${error instanceof Error ? error.message : String(error)}`,
      error,
    );
  }
}

async function importModule(file: string): Promise<{ default?: unknown }> {
  const typescript = /\.m?ts$/.test(file);
  if (!typescript || (process.features as { typescript?: unknown }).typescript) {
    try {
      return await import(pathToFileURL(file).href);
    } catch (error) {
      // Started by `npx`, or installed for the whole machine, we are not among the file's own modules.
      const { code, message } = error as NodeJS.ErrnoException;
      // The second code is that of `require`.
      if (!/^(ERR_)?MODULE_NOT_FOUND$/.test(code ?? '') || !message.includes("'fastway'")) throw error;
    }
  }
  const { createJiti } = await import('jiti');
  const own = fileURLToPath(new URL(`./types${extname(import.meta.url)}`, import.meta.url));
  const isInstalled = isResolvable(file);
  const jiti = createJiti(file, {
    fsCache: false,
    moduleCache: false,
    alias: isInstalled ? {} : { fastway: own },
  });
  return jiti.import<{ default?: unknown }>(file);
}

/** Whether `import 'fastway'` leads somewhere from this file. */
function isResolvable(file: string): boolean {
  for (let folder = dirname(file); ; folder = dirname(folder)) {
    if (existsSync(join(folder, 'node_modules', 'fastway', 'package.json'))) return true;
    if (folder === dirname(folder)) return false;
  }
}

/** T94: passwords in a file that everybody may read. */
function findOpenSecrets(config: Config, file: string): string[] {
  if ((statSync(file).mode & 0o077) === 0) return [];
  const [name] = findSecrets(config);
  if (name === undefined) return [];
  return [`${file} holds ${name} and can be read by other users; run: chmod 600 ${file}`];
}

/** A client on a unix socket has no address: a rule by addresses lets every such client in, or none (S17). */
function findBlindRules({ listen, realIp, virtualServers }: Config): string[] {
  const socket = listen.find((entry) => 'path' in entry);
  if (socket === undefined || realIp.trusted.has('')) return [];
  return virtualServers.flatMap(({ name, rules }) => {
    const index = rules.findIndex(({ match }) => asksForAddress(match));
    if (index === -1) return [];
    return [
      `Rule ${index + 1} of ${name} asks for addresses, and clients of ${socket.path} have none; add "unix" to realIp.trusted if a proxy connects there, or to the rule's "from"`,
    ];
  });
}

/** A log that anybody may ask for tells who was here, and what they looked for. */
function findPublicLogs(config: Config): string[] {
  return config.virtualServers.flatMap(({ name, accessLog }) => {
    if (accessLog === false || accessLog.file === '-') return [];
    const root = findRootAbove(accessLog.file, config);
    if (root === undefined) return [];
    return [
      `The access log ${accessLog.file} of ${name} lies below the document root ${root}; name a file outside of it`,
    ];
  });
}

function problem(file: string, message: string, cause?: unknown): ConfigError {
  const error = new ConfigError([{ path: '', message, file }]);
  if (cause !== undefined) error.cause = cause;
  return error;
}
