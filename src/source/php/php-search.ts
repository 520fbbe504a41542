/**
 * Finds the PHP of a machine: a php-fpm, else a php-cgi, else the optional packages of the embedded PHP.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { delimiter, join } from 'node:path';
import { SourceError } from '../../base/errors.ts';
import { isExecutable } from '../../process/executable.ts';

/** A PHP that can answer FastCGI. */
export type FoundPhp =
  | { readonly kind: 'fpm' | 'cgi'; readonly path: string; readonly version: string }
  | { readonly kind: 'embedded' };

export interface PhpSearch {
  /** Folders to look in, as in PATH. */
  readonly path: string;
  /** The packages of the embedded PHP are installed. */
  readonly hasEmbedded: () => boolean;
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

/** The search path of a machine: PATH, and where php-fpm is usually hidden. */
export function machineSearch(path: string | undefined): PhpSearch {
  return {
    path: [path ?? '', ...moreFolders].filter(Boolean).join(delimiter),
    hasEmbedded: hasEmbeddedPackages,
  };
}

/**
 * @param php `auto`, `fpm`, `cgi`, `embedded`, or the path of a php-fpm or php-cgi
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: one sentence with what to install
 */
export function findPhp(php: string, search: PhpSearch): FoundPhp {
  switch (php) {
    case 'auto': {
      const found = findProgram('fpm', search) ?? findProgram('cgi', search);
      if (found !== undefined) return found;
      if (search.hasEmbedded()) return { kind: 'embedded' };
      throw notFound(
        'There is no php-fpm and no php-cgi on this machine, and the embedded PHP is not installed',
        `install one of them: apt install php-fpm, or npm install ${embeddedPackages.join(' ')}`,
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
    case 'embedded':
      if (search.hasEmbedded()) return { kind: 'embedded' };
      throw notFound('The embedded PHP is not installed', `run npm install ${embeddedPackages.join(' ')}`);
    default: {
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

const embeddedPackages = ['@php-wasm/node-8-4', '@php-wasm/universal'] as const;

function hasEmbeddedPackages(): boolean {
  const require = createRequire(import.meta.url);
  try {
    for (const name of embeddedPackages) require.resolve(name);
    return true;
  } catch {
    return false;
  }
}

function findProgram(kind: 'fpm' | 'cgi', search: PhpSearch): FoundPhp | undefined {
  for (const folder of new Set(search.path.split(delimiter).filter(Boolean))) {
    for (const name of candidates(folder, kind)) {
      const path = join(folder, name);
      const found = isExecutable(path) ? inspect(path) : undefined;
      if (found !== undefined && found.kind === kind) return found;
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
function inspect(path: string): FoundPhp | undefined {
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
