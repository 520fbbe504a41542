/** A new release in the place of the old one, under load, on a real php-fpm: nothing is lost, and nothing mixed. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { createGateway, type Gateway, GatewayError } from '../../src/index.ts';
import { runFastway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

/** Says its release three times: by a file beside it after a pause, by one in a folder, and by the document root. */
const page = `<?php
$first = require __DIR__ . '/version.php';
usleep((int) ($_GET['rest'] ?? 20000));
$second = require $_SERVER['DOCUMENT_ROOT'] . '/lib/version.php';
echo $first, ' ', $second, ' ', basename(dirname($_SERVER['DOCUMENT_ROOT'])), ' ', basename(dirname(__DIR__));
`;

function createReleases(): { readonly site: string; readonly release: (name: string) => string } {
  const site = join(createTestDirectory(), 'site');
  const release = (name: string) => {
    const root = join(site, 'releases', name, 'public');
    mkdirSync(join(root, 'lib'), { recursive: true });
    writeFileSync(join(root, 'index.php'), page);
    for (const file of ['version.php', 'lib/version.php']) {
      writeFileSync(join(root, file), `<?php return '${name}';`);
    }
    writeFileSync(join(root, 'version.txt'), name);
    return join(site, 'releases', name);
  };
  release('r0');
  symlinkSync('releases/r0', join(site, 'current'));
  return { site, release };
}

describe('a deploy', () => {
  const { site, release } = createReleases();
  const link = join(site, 'current');
  let gateway: Gateway;
  let origin: string;
  before(async () => {
    gateway = await createGateway({
      listen: [{ host: '127.0.0.1', port: 0 }],
      sources: { php: { php: 'fpm', workers: 4 } },
      virtualServers: [
        { documentRoot: join(link, 'public'), preset: 'php', source: 'php', accessLog: false },
      ],
    });
    [origin] = (await gateway.listen()) as [string];
    assert.equal((await fetchAnswer(origin, '/')).text, 'r0 r0 r0 r0');
  });
  after(() => gateway?.close());

  it('under load: every answer is of one release, none is lost', async () => {
    let isOver = false;
    const answers: string[] = [];
    const visitors = Array.from({ length: 8 }, async () => {
      while (!isOver) {
        const { status, text } = await fetchAnswer(origin, '/blog/post');
        answers.push(`${status} ${text}`);
      }
    });
    for (let round = 1; round <= 5; round++) {
      const report = await gateway.deploy({
        link,
        release: release(`r${round}`),
        warm: [`${origin}?rest=0`],
      });
      assert.deepEqual(
        report.opcache.map(({ outcome }) => outcome),
        ['reset'],
      );
      assert.equal(report.previous, join(site, 'releases', `r${round - 1}`));
      assert.deepEqual([report.warmed[0]!.status, report.busy], [200, []]);
      await until(() => answers.some((answer) => answer.startsWith(`200 r${round} `)), 'an answer of it');
    }
    isOver = true;
    await Promise.all(visitors);
    const mixed = answers.filter((answer) => !/^200 (r\d) \1 \1 \1$/.test(answer));
    assert.deepEqual(mixed, []);
    assert.equal((await fetchAnswer(origin, '/version.txt')).text, 'r5');
    assert.equal(readlinkSync(link), 'releases/r5');
  });

  it('waits for the last request of the old release, which ends as it began', async () => {
    const slow = fetchAnswer(origin, '/?rest=1000000');
    const active = () => gateway.sources[0]!.active;
    await until(() => active() === 1, 'the begin of a request');
    const report = await gateway.deploy({ link, release: release('r6') });
    assert.deepEqual([report.busy, active()], [[], 0]);
    assert.equal((await slow).text, 'r5 r5 r5 r5');
    assert.equal((await fetchAnswer(origin, '/')).text, 'r6 r6 r6 r6');
  });

  it('refuses what is no link or no release, and changes nothing', async () => {
    const isKind = (pattern: RegExp) => (error: GatewayError) =>
      error instanceof GatewayError && error.code === 'GW_ERR_DEPLOY' && pattern.test(error.message);
    const missing = gateway.deploy({ link, release: join(site, 'releases/none') });
    await assert.rejects(missing, isKind(/There is no directory .*none/));
    const folder = gateway.deploy({ link: join(site, 'releases'), release: join(site, 'releases/r1') });
    await assert.rejects(folder, isKind(/releases is no link and is left as it is/));
    assert.equal(readlinkSync(link), 'releases/r6');
    assert.deepEqual(readdirSync(site).sort(), ['current', 'releases']);
  });

  it('by the command line, for a PHP that somebody else runs', async () => {
    const socket = join(createTestDirectory(), 'php.sock');
    const php = spawn('php-cgi', ['-b', socket], { stdio: 'ignore' });
    try {
      await until(() => existsSync(socket), 'the start of php-cgi');
      const next = release('r7');
      const done = await runFastway(['deploy', link, next, '--php', `unix:${socket}`, '--warm', origin]);
      assert.equal(done.code, 0, done.stderr);
      assert.match(
        done.stdout,
        /^switched .*current -> .*r7, before .*r6\nopcache .*php\.sock: reset\nwarmed .*: 200 in \d+ ms\n$/,
      );
      assert.deepEqual(readdirSync(next), ['public'], 'the script for the opcache is still there');
    } finally {
      php.kill();
    }
    const failed = await runFastway([
      'deploy',
      link,
      join(site, 'releases/r1'),
      '--php',
      `unix:${socket}.gone`,
    ]);
    assert.equal(failed.code, 1);
    assert.match(failed.stdout, /opcache .*Could not connect/);
    assert.match(failed.stderr, /back again: fastway deploy .*current .*r7\n/);
    assert.equal((await runFastway(['deploy', link])).code, 2);
  });
});
