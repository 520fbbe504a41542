import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isListedAsListening, listsTcpSocket, listsUnixSocket } from './listening.ts';

const unixList = `Num       RefCount Protocol Flags    Type St Inode Path
00000000e1a51c96: 00000003 00000000 00000000 0001 03 2402474 /run/connected.sock
000000000fc6cda7: 00000002 00000000 00010000 0001 01 1628218 /run/php fpm.sock
000000008dd59d58: 00000003 00000000 00000000 0001 03     452
`;
const tcpList = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:2328 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2401457 1 0 100 0 0 10 0
   1: 00000000:2329 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 637 1 0 100 0 0 10 0
   2: 0100007F:232A 0100007F:AEF6 01 00000000:00000032 00:00000000 00000000     0        0 2401214 3 0 20 4 1 18 -1
`;

test('the list of unix sockets: only those that accept', () => {
  assert.equal(listsUnixSocket(unixList, '/run/php fpm.sock'), true);
  assert.equal(listsUnixSocket(unixList, '/run/connected.sock'), false);
  assert.equal(listsUnixSocket(unixList, '/run/php'), false);
  assert.equal(listsUnixSocket(unixList, ''), false);
});

test('the list of TCP sockets: this address or all of them', () => {
  assert.equal(listsTcpSocket(tcpList, '127.0.0.1', 9000), true);
  assert.equal(listsTcpSocket(tcpList, '10.0.0.1', 9000), false);
  assert.equal(listsTcpSocket(tcpList, '10.0.0.1', 9001), true);
  assert.equal(listsTcpSocket(tcpList, '127.0.0.1', 9002), false);
  assert.equal(listsTcpSocket(tcpList, 'localhost', 9000), false);
});

test('real sockets, which hear of no connection', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'fastway-test-'));
  const path = join(directory, 'a b.sock');
  assert.equal(isListedAsListening({ kind: 'unix', path }), false);
  for (const target of [{ path }, { host: '127.0.0.1', port: 0 }]) {
    let connections = 0;
    const server = createServer(() => connections++);
    await new Promise<void>((resolve) => server.listen(target, resolve));
    const bound = server.address() as AddressInfo | string;
    const found =
      typeof bound === 'string'
        ? isListedAsListening({ kind: 'unix', path: bound })
        : isListedAsListening({ kind: 'tcp', host: '127.0.0.1', port: bound.port });
    assert.equal(found, process.platform === 'linux', JSON.stringify(bound));
    await new Promise((resolve) => server.close(resolve));
    assert.equal(connections, 0);
  }
  rmSync(directory, { recursive: true });
});
