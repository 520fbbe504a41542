/** Where the test applications lie, and as whom they run. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './gateway-process.ts';
import { createTestDirectory } from './test-directory.ts';

/** Copies `test/applications/NAME` to a directory that every user may read, and gives its path. */
export function copyApplication(name: 'php' | 'perl' | 'ruby' | 'django'): string {
  const directory = join(createTestDirectory(), name);
  cpSync(join(repository, 'test/applications', name), directory, { recursive: true });
  return directory;
}

/** Source options that keep an interpreter from running as root where the tests do. */
export function interpreterUser(): { readonly user?: string; readonly group?: string } {
  return process.getuid!() === 0 ? { user: 'www-data', group: 'www-data' } : {};
}
