import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { canEnter, canRead, canWriteIn, chooseRunAs } from './run-as.ts';

const passwd =
  'root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:34::/var/www:/bin/false\nanna:x:1000:1001::/home/anna:/bin/sh\n';
const groupFile = 'root:x:0:\nstaff:x:50:anna,bert\nshop:x:51:anna\nanna:x:1001:anna\n';

function makeSite(t: TestContext, mode: number): string {
  const parent = mkdtempSync(join(tmpdir(), 'fastway-run-as-'));
  t.after(() => rmSync(parent, { recursive: true }));
  chmodSync(parent, 0o755);
  const site = join(parent, 'site');
  mkdirSync(site);
  chmodSync(site, mode);
  return site;
}

test('not root: as ourselves; another user is refused with what to do', () => {
  assert.equal(chooseRunAs({ ownUid: 1000, passwd, groupFile }), undefined);
  assert.equal(chooseRunAs({ ownUid: 1000, user: 'anna', passwd, groupFile }), undefined);
  assert.throws(() => chooseRunAs({ ownUid: 1000, user: 'www-data', passwd, groupFile }), {
    code: 'GW_ERR_SOURCE_SPAWN',
    message:
      'The interpreter should run as www-data, but only root may change users; start Fastway as root, or remove "user", "group" and "groups"',
  });
});

test('a system without users: as ourselves', () => {
  assert.equal(chooseRunAs({ ownUid: 1, passwd: '', groupFile: '' }), undefined);
});

test('the configured user and group, by name or number', () => {
  const choose = (user: string, group?: string) => chooseRunAs({ ownUid: 0, user, group, passwd, groupFile });
  const warning = undefined;
  assert.deepEqual(choose('anna'), { uid: 1000, gid: 1001, groups: [50, 51], name: 'anna', warning });
  assert.deepEqual(choose('1000', 'staff'), {
    uid: 1000,
    gid: 50,
    groups: [51, 1001],
    name: 'anna',
    warning,
  });
  assert.deepEqual(choose('4711', '4712'), { uid: 4711, gid: 4712, groups: [], name: '4711', warning });
  assert.deepEqual(choose('root'), { uid: 0, gid: 0, groups: [], name: 'root', warning });
  const chosen = chooseRunAs({ ownUid: 0, user: 'anna', groups: ['staff', '77'], passwd, groupFile });
  assert.deepEqual(chosen?.groups, [50, 77]);
  assert.throws(() => choose('nobody-here'), /There is no user "nobody-here"; create it/);
  assert.throws(() => choose('anna', 'no-group'), /There is no group "no-group"; create it/);
});

test("as root: the document root's owner", (t) => {
  const site = makeSite(t, 0o700);
  if (process.getuid?.() === 0) chownSync(site, 1000, 1001);
  const { uid, gid } = statSync(site);
  const name = uid === 1000 ? 'anna' : String(uid);
  assert.deepEqual(chooseRunAs({ ownUid: 0, documentRoot: site, passwd, groupFile }), {
    uid,
    gid,
    groups: uid === 1000 ? [50, 51] : [],
    name,
    warning: undefined,
  });
});

test("root's own site: www-data if it can read it and the program, else root with a warning", (t) => {
  const choose = (reads: string[]) =>
    chooseRunAs({ ownUid: 0, documentRoot: '/usr', reads, passwd, groupFile });
  const program = join(makeSite(t, 0o755), 'program');
  writeFileSync(program, '', { mode: 0o755 });
  assert.deepEqual(choose([program]), { uid: 33, gid: 34, groups: [], name: 'www-data', warning: undefined });
  chmodSync(program, 0o700);
  const asRoot = choose([program]);
  assert.deepEqual([asRoot?.uid, asRoot?.name], [0, 'root']);
  assert.match(asRoot?.warning ?? '', /runs as root, because neither www-data nor nobody can read .*chown/);
});

test('reading needs the bits of the path and of every folder above', (t) => {
  const site = makeSite(t, 0o711);
  const file = join(site, 'index.php');
  writeFileSync(file, '', { mode: 0o644 });
  const stranger = { uid: 4711, gid: 4711 };
  assert.equal(canRead(file, stranger), true);
  assert.equal(canRead(site, stranger), false);
  assert.equal(canEnter(site, stranger), true);
  chmodSync(file, 0o640);
  assert.equal(canRead(file, stranger), false);
  assert.equal(canRead(file, { uid: 4711, gid: statSync(file).gid }), true);
  chmodSync(site, 0o700);
  assert.equal(canEnter(site, stranger), false);
  assert.equal(canEnter(site, { uid: 0, gid: 0 }), true);
  assert.equal(canRead(join(site, 'nothing'), stranger), false);
});

test('who may make files in a folder: by its bits, and by those of the folders above', (t) => {
  const folder = makeSite(t, 0o755);
  const { uid, gid } = statSync(folder);
  assert.equal(canWriteIn(folder, { uid, gid }), true);
  assert.equal(canWriteIn(folder, { uid: uid + 1, gid: gid + 1 }), false);
  chmodSync(folder, 0o1777);
  assert.equal(canWriteIn(folder, { uid: uid + 1, gid: gid + 1 }), true);
  assert.equal(canWriteIn(join(folder, 'none'), { uid, gid }), false);
});
