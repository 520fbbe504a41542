/** The fuzz modules in test/fuzz: those files that export `fuzz`. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export interface FuzzModule {
  /** Throws what is wrong, with the input; the same seed gives the same inputs. */
  readonly fuzz: (seed: number, rounds: number) => void | Promise<void>;
  /** Rounds for the test suite where a round is slow. */
  readonly shortRounds?: number;
}

export function fuzzModules(): { readonly name: string; readonly load: () => Promise<FuzzModule> }[] {
  const folder = resolve(fileURLToPath(import.meta.url), '../../fuzz');
  return readdirSync(folder)
    .filter((file) => /^export (async )?function fuzz\b/m.test(readFileSync(resolve(folder, file), 'utf8')))
    .sort()
    .map((file) => ({
      name: file.replace(/\.ts$/, ''),
      load: () => import(pathToFileURL(resolve(folder, file)).href),
    }));
}
