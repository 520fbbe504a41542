import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createTestDirectory } from '../../support/test-directory.ts';
import type { Application } from '../application.ts';
import { makeRepository } from '../repository.ts';
import { commandOf, giveToWeb } from '../system-files.ts';

const program = '/usr/lib/git-core/git-http-backend';

export const application: Application = {
  title: 'git-http-backend',
  packages: ['git'],

  prepare({ folder }) {
    const repository = join(folder, 'project.git');
    makeRepository(repository);
    commandOf('git', '-C', repository, 'config', 'http.receivepack', 'true');
    giveToWeb(repository);
    return {
      fastway: {
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              {
                match: { directory: '/git' },
                handler: {
                  type: 'cgi',
                  scriptAlias: program,
                  env: { GIT_PROJECT_ROOT: folder, GIT_HTTP_EXPORT_ALL: '1' },
                },
              },
            ],
          },
        ],
      },
      peer: {
        kind: 'Apache',
        source: 'the example of git-http-backend(1)',
        directives: () => `
SetEnv GIT_PROJECT_ROOT ${folder}
SetEnv GIT_HTTP_EXPORT_ALL
ScriptAlias /git/ ${program}/
DocumentRoot ${folder}
<Files "git-http-backend">
  Require all granted
</Files>`,
      },
    };
  },

  async use(visitor) {
    const clone = join(createTestDirectory(), 'clone');
    const url = `${visitor.origin}/git/project.git`;
    visitor.step('clones');
    commandOf('git', 'clone', '--quiet', url, clone);
    assert.match(readFileSync(join(clone, 'README'), 'utf8'), /second/);
    visitor.step('pushes a commit of 3 MB, in chunks');
    const random = Buffer.alloc(3_000_000);
    for (let at = 0, value = 1; at < random.length; at++)
      random[at] = value = (value * 1103515245 + 12345) >>> 16;
    mkdirSync(join(clone, 'new'));
    writeFileSync(join(clone, 'new/large'), random);
    commandOf('git', '-C', clone, 'add', '.');
    commandOf('git', '-C', clone, ...author, 'commit', '--quiet', '--message', 'Add something large');
    commandOf('git', '-C', clone, 'push', '--quiet', 'origin', 'HEAD:main', 'HEAD:refs/heads/topic');
    visitor.step('clones again, without history');
    const again = join(createTestDirectory(), 'again');
    commandOf('git', 'clone', '--quiet', '--depth', '1', url, again);
    assert.ok(readFileSync(join(again, 'new/large')).equals(random));
    visitor.step('lists the references, in both protocols');
    const refs = await visitor.ask('/git/project.git/info/refs?service=git-upload-pack');
    assert.equal(refs.headers['content-type'], 'application/x-git-upload-pack-advertisement');
    assert.match(refs.text, /refs\/heads\/topic/);
    const second = await visitor.ask('/git/project.git/info/refs?service=git-upload-pack', {
      headers: { 'Git-Protocol': 'version=2' },
    });
    assert.match(second.text, /version 2/);
    for (const path of ['HEAD', 'info/refs', 'objects/info/packs', 'no-such-thing', '../etc/passwd'])
      await visitor.ask(`/git/project.git/${path}`);
  },
};

const author = ['-c', 'user.name=Ann', '-c', 'user.email=ann@example.org'];
