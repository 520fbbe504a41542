/** A small git repository with a fixed content, for what shows or serves one. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestDirectory } from '../support/test-directory.ts';
import { picture } from './material.ts';
import { command } from './system-files.ts';

/** Makes a bare one, with two commits on `main`. */
export function makeRepository(path: string): void {
  const work = join(createTestDirectory(), 'work');
  const env = {
    GIT_AUTHOR_NAME: 'Ann',
    GIT_AUTHOR_EMAIL: 'ann@example.org',
    GIT_COMMITTER_NAME: 'Ann',
    GIT_COMMITTER_EMAIL: 'ann@example.org',
    GIT_AUTHOR_DATE: '2020-02-02T02:02:02Z',
    GIT_COMMITTER_DATE: '2020-02-02T02:02:02Z',
  };
  const git = (...args: string[]) => command(['git', ...args], { env });
  git('init', '--quiet', '--initial-branch=main', work);
  const commit = (message: string) => {
    git('-C', work, 'add', '.');
    git('-C', work, 'commit', '--quiet', '--message', message);
  };
  writeFileSync(join(work, 'README'), 'The first text.\n');
  writeFileSync(join(work, 'picture.png'), picture);
  commit('A first commit');
  mkdirSync(join(work, 'src'));
  writeFileSync(join(work, 'src/a file & more.txt'), 'Käse\n'.repeat(500));
  writeFileSync(join(work, 'README'), 'The second text.\n');
  commit('A second commit');
  git('clone', '--quiet', '--bare', work, path);
  git('-C', path, 'update-server-info');
}
