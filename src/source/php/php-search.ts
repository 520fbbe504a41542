/**
 * Finds the PHP of a machine: a php-fpm, else a php-cgi, else an installed package of the embedded PHP.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { SourceError } from '../../base/errors.ts';
import { isExecutable } from '../../process/executable.ts';
import { isPhpVersion } from './php-version.ts';

/** A PHP that can answer FastCGI. */
export type FoundPhp = Program | ({ readonly kind: 'embedded' } & EmbeddedPackage);

interface Program {
  readonly kind: 'fpm' | 'cgi';
  readonly path: string;
  readonly version: string;
}

/** An installed package of the embedded PHP: absolute paths of its modules. */
export interface EmbeddedPackage {
  /** `8.4` */
  readonly version: string;
  readonly loader: string;
  /** What all versions share, of the package's own version. */
  readonly universal: string;
}

export interface PhpSearch {
  /** Folders to look in, as in PATH. */
  readonly path: string;
  /** The embedded PHP of a version, else the newest that is installed. */
  readonly embedded: (version?: string) => EmbeddedPackage | undefined;
}

/** Where php-fpm lies although it is in nobody's PATH. */
const moreFolders = [
  '/usr/sbin',
  '/usr/local/sbin',
  '/usr/local/bin',
  '/usr/bin',
  '/opt/homebrew/sbin',
  '/opt/homebrew/bin',
];

/**
 * The search path of a machine: PATH, and where php-fpm is usually hidden; packages are looked for as Node.js would.
 * @param projects absolute folders whose packages come before those beside Fastway
 */
export function machineSearch(path: string | undefined, projects: readonly string[] = []): PhpSearch {
  const origins = [...projects.map((folder) => join(folder, 'package.json')), fileURLToPath(import.meta.url)];
  return {
    path: [path ?? '', ...moreFolders].filter(Boolean).join(delimiter),
    embedded: (version) => findEmbedded(version === undefined ? embeddedVersions : [version], origins),
  };
}

/**
 * @param php `auto`, `fpm`, `cgi`, `embedded`, a version as `8.4`, or the path of a php-fpm or php-cgi
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: one sentence with what to install
 */
export function findPhp(php: string, search: PhpSearch): FoundPhp {
  switch (php) {
    case 'auto': {
      const found = findProgram('fpm', search) ?? findProgram('cgi', search);
      if (found !== undefined) return found;
      const embedded = search.embedded();
      if (embedded !== undefined) return { kind: 'embedded', ...embedded };
      throw notFound(
        'There is no php-fpm and no php-cgi on this machine, and the embedded PHP is not installed',
        `install one of them: apt install php-fpm, or ${installEmbedded()}`,
      );
    }
    case 'fpm':
    case 'cgi': {
      const found = findProgram(php, search);
      if (found !== undefined) return found;
      throw notFound(
        `There is no php-${php} in ${search.path || 'an empty search path'}`,
        `install it (apt install php-${php}), give its path, or use "php": "auto"`,
      );
    }
    case 'embedded': {
      const embedded = search.embedded();
      if (embedded !== undefined) return { kind: 'embedded', ...embedded };
      throw notFound('The embedded PHP is not installed', `run ${installEmbedded()}`);
    }
    default: {
      if (isPhpVersion(php)) return findVersion(php, search);
      if (!isExecutable(php))
        throw notFound(`There is no program at ${php}`, 'correct "php", or use "php": "auto"');
      const found = inspect(php);
      if (found !== undefined) return found;
      throw notFound(
        `${php} is no php-fpm and no php-cgi`,
        'give the path of one of them, or use "php": "auto"',
      );
    }
  }
}

function findVersion(version: string, search: PhpSearch): FoundPhp {
  const found = findProgram('fpm', search, version) ?? findProgram('cgi', search, version);
  if (found !== undefined) return found;
  const embedded = search.embedded(version);
  if (embedded !== undefined) return { kind: 'embedded', ...embedded };
  const alternative = embeddedVersions.includes(version) ? `, or ${installEmbedded(version)}` : '';
  throw notFound(
    `There is no php-fpm and no php-cgi ${version} on this machine, and no embedded PHP ${version}`,
    `install it (apt install php${version}-fpm${alternative}), or use "php": "auto"`,
  );
}

/** As the packages are named, the newest first. */
const embeddedVersions: readonly string[] = ['8.5', '8.4', '8.3', '8.2', '8.1', '8.0', '7.4'];
/** The last release whose packages say that they run on Node.js 20. */
const embeddedRelease = '3.1.54';

function embeddedName(version: string): string {
  return `@php-wasm/node-${version.replace('.', '-')}`;
}

function installEmbedded(version = '8.4'): string {
  return `npm install ${embeddedName(version)}@${embeddedRelease}`;
}

/** @param origins files from which a package is looked for, in order */
function findEmbedded(versions: readonly string[], origins: readonly string[]): EmbeddedPackage | undefined {
  for (const origin of origins) {
    for (const version of versions) {
      try {
        const loader = createRequire(origin).resolve(embeddedName(version));
        const universal = createRequire(loader).resolve('@php-wasm/universal');
        return { version, loader: asModule(loader), universal: asModule(universal) };
      } catch {
        // Not installed there.
      }
    }
  }
  return undefined;
}

/** The packages have two builds beside each other; `require` names the other one. */
function asModule(path: string): string {
  return join(dirname(path), 'index.js');
}

function findProgram(kind: 'fpm' | 'cgi', search: PhpSearch, version?: string): Program | undefined {
  for (const folder of new Set(search.path.split(delimiter).filter(Boolean))) {
    for (const name of candidates(folder, kind)) {
      const path = join(folder, name);
      const found = isExecutable(path) ? inspect(path) : undefined;
      if (found?.kind === kind && (version === undefined || found.version === version)) return found;
    }
  }
  return undefined;
}

/** `php-fpm`, else the versioned names of distributions (php-fpm8.4, php-fpm84, php8.4-fpm), the newest first. */
function candidates(folder: string, kind: 'fpm' | 'cgi'): string[] {
  const pattern = new RegExp(`^php(?:-${kind}-?[\\d.]*|[\\d.]+-?${kind})$`);
  let names: string[];
  try {
    names = readdirSync(folder);
  } catch {
    // Not every folder of a PATH exists.
    return [];
  }
  return names.filter((name) => pattern.test(name)).sort((a, b) => rank(b) - rank(a));
}

function rank(name: string): number {
  const digits = name.replace(/\D/g, '');
  // The plain name is the one that the machine's owner chose.
  return digits === '' ? Number.POSITIVE_INFINITY : Number(digits[0]) * 1000 + Number(digits.slice(1));
}

/**
 * What it is by its own word (`PHP 8.2.36 (fpm-fcgi) ...`): a name or a link may say anything.
 * Waits for it (about 20 ms), as a source has to say what it is when it is made.
 */
function inspect(path: string): Program | undefined {
  const { stdout } = spawnSync(path, ['-v'], {
    env: {},
    encoding: 'latin1',
    timeout: 5_000,
    maxBuffer: 65_536,
  });
  const match = /^PHP (\d+\.\d+)\S* \((fpm|cgi)-fcgi\)/m.exec(stdout ?? '');
  return match === null ? undefined : { kind: match[2] as 'fpm' | 'cgi', path, version: match[1]! };
}

function notFound(what: string, advice: string): SourceError {
  return new SourceError('GW_ERR_SOURCE_NO_INTERPRETER', `${what}; ${advice}`, { delivery: 'unsent' });
}
