import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { test } from 'node:test';
import { explainStarter, planLaunch } from './launch.ts';

const runAs = { uid: 33, gid: 34, groups: [50, 51], name: 'www-data', warning: undefined };
const isPossible = ['/usr/bin/setpriv', '/usr/bin/prlimit', '/usr/bin/nice', '/usr/sbin/chroot'].every(
  existsSync,
);
const plan = (...options: Parameters<typeof planLaunch>) => {
  const { file, args, starter, ...ids } = planLaunch(...options);
  assert.equal(starter, options[3].chroot === undefined ? 'setpriv' : 'chroot');
  return { words: [file, ...args], ...ids };
};

test('only what is asked for, and the end with us', { skip: !isPossible }, () => {
  assert.deepEqual(plan('app', ['/bin/app', '-x'], undefined, {}), {
    words: ['/usr/bin/setpriv', '--pdeathsig', 'TERM', '--', '/bin/app', '-x'],
  });
});

test('limits are set before the user is changed, and no word is parsed', { skip: !isPossible }, () => {
  const limits = { openFiles: 64, memoryMb: 2, cpuSeconds: 9, processes: 5, fileMb: 1 };
  assert.deepEqual(plan('app', ['/bin/app', '$(x)'], runAs, { umask: 0o027, nice: -5, limits }).words, [
    ...['/bin/sh', '-c', 'umask "$0" && exec "$@"', '027'],
    ...['/usr/bin/nice', '-n', '-5'],
    '/usr/bin/prlimit',
    ...[
      '--nofile=64:64',
      '--as=2097152:2097152',
      '--cpu=9:9',
      '--nproc=5:5',
      '--fsize=1048576:1048576',
      '--',
    ],
    ...['/usr/bin/setpriv', '--pdeathsig', 'TERM', '--reuid=33', '--regid=34', '--groups=50,51', '--'],
    ...['/bin/app', '$(x)'],
  ]);
});

test('a chroot changes the user too', { skip: !isPossible }, () => {
  assert.deepEqual(plan('app', ['/bin/app'], runAs, { chroot: '/srv/jail' }).words, [
    ...['/usr/sbin/chroot', '--userspec=33:34', '--groups=50,51', '/srv/jail', '/bin/app'],
  ]);
});

test('a program that was never run is told from one that failed', () => {
  const denied = 'setpriv: failed to execute /a: Permission denied\n';
  assert.equal(explainStarter('setpriv', 126, denied), 'EACCES');
  assert.equal(
    explainStarter('setpriv', 126, 'setpriv: failed to execute /a: Exec format error\n'),
    'ENOEXEC',
  );
  assert.equal(explainStarter('chroot', 127, "chroot: failed to run command '/a': No such file\n"), 'ENOENT');
  assert.equal(explainStarter('setpriv', 1, denied), undefined);
  assert.equal(explainStarter('setpriv', 126, 'sh: 1: x: Permission denied\n'), undefined);
  assert.equal(explainStarter(undefined, 126, denied), undefined);
});
