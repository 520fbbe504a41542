/** A private copy of Debian's DokuWiki with a configuration, users and pages of its own. */
import { cpSync, existsSync, mkdirSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestDirectory, giveAway } from './test-directory.ts';

export const wikiUser = { name: 'tester', password: 'correct horse', fullName: 'Test Person' } as const;

/** Of `wikiUser.password`, with a low cost, so that a login stays quick. */
export const passwordHash = '$2y$04$6tkZbBborVdF/oq.dr3G2e9dKKhbV9fQj6o2sdevoF4wAbs5Jxp3O';

/** @returns the document root; owned by www-data when made by root, so that its PHP runs as that user. */
export function createWiki(): string {
  const directory = createTestDirectory();
  const root = join(directory, 'wiki');
  cpSync('/usr/share/dokuwiki', root, { recursive: true, dereference: true, preserveTimestamps: true });
  // Debian's preload leads to /etc/dokuwiki; without it DokuWiki reads conf/ beside itself.
  rmSync(join(root, 'inc/preload.php'));
  rmSync(join(root, 'install.php'));
  cpSync('/etc/dokuwiki', join(root, 'conf'), {
    recursive: true,
    dereference: true,
    preserveTimestamps: true,
    filter: isReadable,
  });
  const data = join(directory, 'data');
  for (const name of [
    'attic',
    'cache',
    'index',
    'locks',
    'log',
    'media',
    'media_attic',
    'media_meta',
    'meta',
  ]) {
    mkdirSync(join(data, name), { recursive: true });
  }
  mkdirSync(join(data, 'tmp'));
  mkdirSync(join(data, 'pages'));
  writeFileSync(
    join(data, 'pages/start.txt'),
    '====== Welcome to the test wiki ======\n\nWith a [[first page]].\n',
  );
  const settings = {
    title: 'Test wiki',
    savedir: data,
    useacl: 1,
    superuser: '@admin',
    compress: 0,
    updatecheck: 0,
  };
  const lines = Object.entries(settings).map(
    ([name, value]) => `$conf['${name}'] = ${JSON.stringify(value)};`,
  );
  const local = join(root, 'conf/local.php');
  writeFileSync(local, `<?php\n${lines.join('\n')}\n`);
  // DokuWiki rebuilds a cached file, with a new ETag, while it is not younger, by whole seconds, than what it was made of.
  utimesSync(local, 0, 0);
  writeFileSync(join(root, 'conf/acl.auth.php'), '*\t@ALL\t1\n*\t@user\t8\n');
  writeFileSync(
    join(root, 'conf/users.auth.php'),
    `# <?php exit() ?>\n${wikiUser.name}:${passwordHash}:${wikiUser.fullName}:tester@example.org:user\n`,
  );
  if (process.getuid!() === 0) {
    // Debian's own pages directory belongs to the user that its web servers run as.
    const { uid, gid } = statSync('/var/lib/dokuwiki/data');
    giveAway(root, uid, gid);
    giveAway(data, uid, gid);
  }
  return root;
}

/** Links to files that only the installed wiki may read are left out, and written anew above. */
function isReadable(path: string): boolean {
  return existsSync(path) && !/\/(users|acl)\.auth\.php$/.test(path);
}
