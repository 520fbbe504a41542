/**
 * Who asks, behind a proxy: what a client writes into the proxies' fields never wins over what the proxy wrote.
 * Deterministic. The proxy is the test itself, which writes each head as a proxy passes it on.
 */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import type { RealIpInput } from '../../src/config/types.ts';
import { type GatewayProcess, runFastway, startGateway } from '../support/gateway-process.ts';
import { exchangeRaw, parseResponses, type RawResponse } from '../support/raw-client.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';

let application: ScriptedApplication;
let gateway: GatewayProcess | undefined;
const folder = createTestDirectory();
const socketPath = join(folder, 'front.sock');
const logFile = join(folder, 'access.log');

before(async () => {
  application = await startScriptedApplication();
});
afterEach(async () => {
  await gateway?.stop();
  gateway = undefined;
});
after(() => application.close());

/** A gateway on a port and a unix socket: `/inner` is for 192.168.0.0/16, `/barred` for all but 198.51.100.0/24. */
async function start(realIp: unknown, from: readonly string[] = ['192.168.0.0/16']): Promise<void> {
  const handler = { type: 'fastcgi', source: 'app', checkFile: false } as const;
  const server = { documentRoot: folder, accessLog: { file: logFile } };
  gateway = await startGateway({
    config: {
      listen: [
        { host: '127.0.0.1', port: 0 },
        { path: socketPath, mode: '0600' },
      ],
      realIp: realIp as RealIpInput,
      sources: { app: { address: application.address } },
      virtualServers: [
        {
          ...server,
          rules: [
            { match: { directory: '/inner', not: { from } }, handler: { type: 'error', status: 403 } },
            {
              match: { directory: '/barred', from: ['198.51.100.0/24'] },
              handler: { type: 'error', status: 403 },
            },
            { handler },
          ],
        },
        {
          ...server,
          name: 'admin',
          hosts: ['admin.test'],
          rules: [{ handler: { type: 'error', status: 410 } }],
        },
      ],
    },
  });
}

type Asked = { readonly status: number; readonly variables: ReadonlyMap<string, string> };

/** Asks as a proxy does, over TCP or over the unix socket; `fields` are the lines that it passes on. */
async function ask(
  by: 'tcp' | 'unix',
  fields: readonly string[],
  target = '/',
  host = 'site.test',
): Promise<Asked> {
  const lines = [`GET ${target} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...fields, '', ''];
  const count = application.requests.length;
  const [response] =
    by === 'tcp'
      ? (await exchangeRaw(gateway!.port, lines.join('\r\n'))).responses
      : await askSocket(lines.join('\r\n'));
  assert.ok(response !== undefined, 'no answer');
  return { status: response.status, variables: application.requests[count]?.variables ?? new Map() };
}

function askSocket(bytes: string): Promise<readonly RawResponse[]> {
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath, () => socket.write(bytes, 'latin1'));
    let text = '';
    socket.setEncoding('latin1').on('data', (chunk) => {
      text += chunk;
    });
    socket.once('error', reject);
    socket.once('close', () => resolve(parseResponses(text)));
  });
}

const address = async (...fields: readonly string[]): Promise<string | undefined> =>
  (await ask('tcp', fields)).variables.get('REMOTE_ADDR');

test("S16: with `field: x-real-ip` a client's own X-Forwarded-For says nothing", async () => {
  await start({ trusted: ['127.0.0.1'], field: 'X-Real-IP' });
  const fields = ['X-Forwarded-For: 192.168.1.1', 'X-Real-IP: 1.2.3.4'];
  const { status, variables } = await ask('tcp', fields);
  assert.deepEqual([status, variables.get('REMOTE_ADDR')], [200, '1.2.3.4']);
  assert.equal((await ask('tcp', fields, '/inner/')).status, 403);
  assert.equal(
    (await ask('tcp', ['Forwarded: for=192.168.1.1', 'X-Real-IP: 1.2.3.4'], '/inner/')).status,
    403,
  );
});

test('S16: with X-Forwarded-For, the default, no other field says anything', async () => {
  await start({ trusted: ['127.0.0.1'] });
  assert.equal(await address('X-Real-IP: 192.168.1.1', 'X-Forwarded-For: 1.2.3.4'), '1.2.3.4');
  for (const field of [
    'X-Real-IP: 192.168.1.1',
    'CF-Connecting-IP: 192.168.1.1',
    'Forwarded: for=192.168.1.1',
  ]) {
    assert.equal(await address(field), '127.0.0.1', field);
    assert.equal((await ask('tcp', [field], '/inner/')).status, 403, field);
  }
});

test('S16: a field of one value that came twice is believed in neither, and makes nobody the proxy', async () => {
  // The proxy's own address is let in: the client must not get there by sending a field of its own, either.
  await start({ trusted: ['127.0.0.1'], field: 'cf-connecting-ip' }, ['192.168.0.0/16', '127.0.0.1']);
  assert.equal(await address('CF-Connecting-IP: 1.2.3.4'), '1.2.3.4');
  for (const own of ['192.168.1.1', 'junk', '']) {
    const twice = [`CF-Connecting-IP: ${own}`, 'CF-Connecting-IP: 1.2.3.4'];
    const joined = [`CF-Connecting-IP: ${own}, 1.2.3.4`];
    for (const fields of [twice, twice.toReversed(), joined]) {
      assert.equal((await ask('tcp', fields, '/inner/')).status, 400, fields.join(' | '));
    }
  }
});

test("S16: `field: forwarded` reads the proxy's element, whatever the client wrote before it", async () => {
  await start({ trusted: ['127.0.0.1', '10.0.0.0/8'], field: 'forwarded' });
  assert.equal(await address('Forwarded: for=1.2.3.4;proto=https;by=10.0.0.1'), '1.2.3.4');
  assert.equal(await address('Forwarded: for=192.168.1.1, For="1.2.3.4:99", for=10.0.0.7'), '1.2.3.4');
  assert.equal(await address('Forwarded: for="[2001:DB8::0:1]:4711"'), '2001:db8::1');
  for (const own of ['for="', 'for="192.168.1.1', '"', ';;', 'for=192.168.1.1;by="a,', '\\"']) {
    assert.equal(await address(`Forwarded: ${own}`, 'Forwarded: for=1.2.3.4'), '1.2.3.4', own);
    assert.equal(await address(`Forwarded: ${own}, for="1.2.3.4"`), '1.2.3.4', own);
  }
  const { variables } = await ask('tcp', [
    'X-Forwarded-Proto: http',
    'X-Forwarded-Host: admin.test',
    'Forwarded: for=9.9.9.9;proto=http;host=admin.test, for=1.2.3.4;proto=https;host="site.test:8443"',
  ]);
  assert.deepEqual(
    ['REMOTE_ADDR', 'HTTPS', 'HTTP_HOST', 'SERVER_NAME', 'SERVER_PORT'].map((name) => variables.get(name)),
    ['1.2.3.4', 'on', 'site.test:8443', 'site.test', '8443'],
  );
});

test('S16: X-Forwarded-Host and X-Forwarded-Port are believed only where the configuration names them', async () => {
  const fields = ['X-Forwarded-For: 1.2.3.4', 'X-Forwarded-Host: admin.test', 'X-Forwarded-Port: 8443'];
  await start({ trusted: ['127.0.0.1'] });
  const { status, variables } = await ask('tcp', fields);
  assert.deepEqual([status, variables.get('HTTP_HOST')], [200, 'site.test']);
  assert.notEqual(variables.get('SERVER_PORT'), '8443');
  await gateway!.stop();
  await start({ trusted: ['127.0.0.1'], hostField: 'X-Forwarded-Host', portField: 'X-Forwarded-Port' });
  assert.equal((await ask('tcp', fields)).status, 410);
  const asked = [
    'X-Forwarded-Host: admin.test, Shop.test',
    'X-Forwarded-Port: 8443',
    'X-Forwarded-Proto: https',
  ];
  const shop = (await ask('tcp', asked)).variables;
  assert.deepEqual(
    ['HTTP_HOST', 'SERVER_NAME', 'SERVER_PORT', 'HTTPS'].map((name) => shop.get(name)),
    ['Shop.test', 'shop.test', '8443', 'on'],
  );
  for (const port of ['0', '65536', '-1', '1e3', '80 81']) {
    const odd = (await ask('tcp', [`X-Forwarded-Port: ${port}`])).variables;
    assert.equal(odd.get('SERVER_PORT'), String(gateway!.port), port);
  }
  assert.equal((await ask('tcp', ['X-Forwarded-Host: a b'])).variables.get('HTTP_HOST'), 'site.test');
});

test('S17: a proxy on a unix socket is trusted by the word `unix`', async () => {
  await start({ trusted: ['unix'] });
  const fields = ['X-Forwarded-For: 192.168.1.1, 1.2.3.4', 'X-Forwarded-Proto: https'];
  const { variables } = await ask('unix', fields);
  assert.deepEqual(
    ['REMOTE_ADDR', 'HTTPS', 'SERVER_PORT'].map((name) => variables.get(name)),
    ['1.2.3.4', 'on', '443'],
  );
  assert.equal((await ask('unix', fields, '/inner/')).status, 403);
  assert.equal((await ask('unix', ['X-Forwarded-For: 192.168.1.1'], '/inner/')).status, 200);
  assert.equal((await ask('unix', ['X-Forwarded-For: 198.51.100.9'], '/barred/')).status, 403);
  // The word is for unix sockets alone.
  assert.equal(await address('X-Forwarded-For: 192.168.1.1'), '127.0.0.1');
});

test('S17: whoever has no address is in no range, and no application sees an empty REMOTE_ADDR', async () => {
  await start({ trusted: ['127.0.0.1'] }, ['0.0.0.0/0', '::/0']);
  const { variables } = await ask('unix', ['X-Forwarded-For: 192.168.1.1']);
  assert.equal(variables.get('REMOTE_ADDR'), 'unix:');
  assert.equal(variables.has('REMOTE_PORT'), false);
  assert.equal((await ask('unix', [], '/inner/')).status, 403);
  await gateway!.stop();
  await start({}, ['unix']);
  assert.equal((await ask('unix', [], '/inner/')).status, 200);
  assert.equal((await ask('tcp', [], '/inner/')).status, 403);
});

test('S17: `check` says where rules by address see nobody', async () => {
  const file = join(folder, 'blind.config.json');
  const write = (trusted: readonly string[]) =>
    writeFileSync(
      file,
      JSON.stringify({
        listen: [{ path: join(folder, 'x.sock') }],
        realIp: { trusted },
        virtualServers: [
          {
            documentRoot: folder,
            rules: [{ match: { any: [{ from: ['10.0.0.0/8'] }] }, handler: { type: 'error', status: 403 } }],
          },
        ],
      }),
      { mode: 0o600 },
    );
  write([]);
  const blind = await runFastway(['check', '--config', file]);
  assert.deepEqual([blind.code, /"unix" to realIp\.trusted/.test(blind.stderr)], [0, true], blind.stderr);
  write(['unix']);
  assert.equal((await runFastway(['check', '--config', file])).stderr, '');
});

test('S28: ports that are none, and addresses in other spellings', async () => {
  await start({ trusted: ['127.0.0.1'] });
  const client = async (hop: string) => {
    const { variables } = await ask('tcp', [`X-Forwarded-For: ${hop}`]);
    return [variables.get('REMOTE_ADDR'), variables.get('REMOTE_PORT')];
  };
  assert.deepEqual(await client('1.2.3.4:65535'), ['1.2.3.4', '65535']);
  for (const port of ['99999', '65536', '0', '_hidden']) {
    assert.deepEqual(await client(`1.2.3.4:${port}`), ['1.2.3.4', undefined], port);
  }
  assert.deepEqual(await client('::ffff:c0a8:0101'), ['192.168.1.1', undefined]);
  assert.deepEqual(await client('[::FFFF:192.168.1.1]:5'), ['192.168.1.1', '5']);
  assert.deepEqual(await client('2001:0DB8:0:0:0::1'), ['2001:db8::1', undefined]);
  assert.equal((await ask('tcp', ['X-Forwarded-For: ::ffff:c0a8:0101'], '/inner/')).status, 200);
});

test('S28: the access log has the address that the rules saw', async () => {
  await start({ trusted: ['unix'] });
  await ask('unix', ['X-Forwarded-For: ::ffff:c0a8:0102'], '/logged');
  await gateway!.stop();
  assert.match(readFileSync(logFile, 'latin1'), /^192\.168\.1\.2 - - \[[^\]]+\] "GET \/logged /m);
});
