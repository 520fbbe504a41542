/** git over HTTP, with git's own program behind us: a push above `http.postBuffer` comes chunked, and other bodies are streamed. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const run = promisify(execFile);
const base = createTestDirectory();
const git = async (folder: string, ...args: string[]) => {
  const settings = ['user.name=a', 'user.email=a@a.test', 'init.defaultBranch=main', 'safe.directory=*'];
  const env = { PATH: process.env.PATH, HOME: base, GIT_CONFIG_NOSYSTEM: '1', GIT_TERMINAL_PROMPT: '0' };
  const all = [...settings.flatMap((setting) => ['-c', setting]), ...args];
  return (await run('git', all, { cwd: folder, env, timeout: 60_000 })).stdout;
};

let gateway: GatewayProcess;
before(async () => {
  const projects = join(base, 'projects');
  mkdirSync(projects);
  await git(projects, 'init', '--bare', '--shared=0777', 'a.git');
  await git(join(projects, 'a.git'), 'config', 'http.receivepack', 'true');
  // The program runs as another user where the test is root.
  await run('chmod', ['-R', 'a+rwX', projects]);
  const { stdout } = await run('git', ['--exec-path']);
  gateway = await startGateway({
    config: {
      virtualServers: [
        {
          documentRoot: base,
          rules: [
            {
              match: { directory: '/git' },
              handler: {
                type: 'cgi',
                scriptAlias: join(stdout.trim(), 'git-http-backend'),
                bufferRequest: false,
                maxBodyBytes: 100_000_000,
                env: {
                  GIT_PROJECT_ROOT: projects,
                  GIT_HTTP_EXPORT_ALL: '1',
                  GIT_CONFIG_COUNT: '1',
                  GIT_CONFIG_KEY_0: 'safe.directory',
                  GIT_CONFIG_VALUE_0: '*',
                },
              },
            },
          ],
        },
      ],
    },
  });
});
after(() => gateway?.stop());

test('a push of 3 MB, chunked, and one with a length, are cloned again', async () => {
  const work = join(base, 'work');
  mkdirSync(work);
  await git(work, 'init');
  const content = randomBytes(3_000_000);
  writeFileSync(join(work, 'large'), content);
  await git(work, 'add', '.');
  await git(work, 'commit', '-m', 'large');
  const url = `${gateway.origin}/git/a.git`;
  await git(work, 'push', url, 'main');
  writeFileSync(join(work, 'small'), 'text');
  await git(work, 'add', '.');
  await git(work, 'commit', '-m', 'small');
  await git(work, 'push', url, 'main');
  await git(base, 'clone', '-q', '-b', 'main', url, 'again');
  assert.equal(await git(join(base, 'again'), 'rev-parse', 'HEAD'), await git(work, 'rev-parse', 'HEAD'));
});
