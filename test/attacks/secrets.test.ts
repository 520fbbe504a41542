/**
 * Secrets of a configuration, of a request or of an application in what people paste into bug reports: what commands print, the log,
 * faults. Each secret below is a canary; none may be shown. Deterministic.
 */
import assert from 'node:assert/strict';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { endRequest, record, stderr, stdout } from '../../src/testing/record-builder.ts';
import { runFastway, startGateway, waitForLine } from '../support/gateway-process.ts';
import { exchangeRaw } from '../support/raw-client.ts';
import { type ScriptedApplication, startScriptedApplication } from '../support/scripted-application.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const folder = createTestDirectory();
let application: ScriptedApplication;
before(async () => {
  application = await startScriptedApplication({
    scenarios: {
      talk: (c) =>
        c.finish(
          stderr('SQLSTATE[HY000]: could not connect to mysql://root:canary-e1@db/app\n'),
          stderr('sent Authorization: Bearer canary-e2-0123456789 and password=canary-e3\n'),
          stdout('Status: 200\r\nSet-Cookie: sid=canary-e4\r\n\r\nok'),
          record(6, 1, Buffer.alloc(0)),
          endRequest(),
        ),
    },
  });
});
after(() => application.close());

/** Variables as deployments have them: secret by their name, by a URL, by their looks. */
const env = {
  DATABASE_URL: 'mysql://app:canary-1@db.test/shop',
  MAILER_DSN: 'smtp://user:canary-2%40x@mail.test:25?verify=1',
  SENTRY_DSN: 'https://canary-3@sentry.test/1',
  AWS_CREDENTIALS: 'canary-4',
  AUTH_SALT: 'canary-5',
  BEARER: 'canary-6',
  API_TOKEN: 'canary-7',
  DB_PWD: 'canary-8',
  PLAIN: 'host=db.test password=canary-9 user=x',
  SETTING: 'Ca7NaRy10Zx9Kq2Lm7Pw4Rt8',
  WEBHOOK_URL: 'https://hooks.test/services?token=canary-11',
  JSON_SETTINGS: '{"client_secret":"canary-12","id":7}',
  APP_ENV: 'production',
};
const canaries = /canary-[\w%]+|Ca7NaRy10\w+/i;

const config = () => ({
  sources: {
    app: {
      interpreter: [
        '/bin/true',
        ...['--password', 'canary-a1', '--api-key=canary-a2', '-d', 'mysqli.default_pw=canary-a3'],
        ...['DB_PASSWORD=canary-a4', 'sh -c "mysql --password canary-a5"', 'redis://:canary-a6@cache.test/0'],
        ...['-pcanary-a7', '--port', '9000'],
      ],
      env,
    },
    php: {
      php: 'cgi',
      ini: {
        'mysqli.default_pw': 'canary-i1',
        'session.save_path': 'tcp://r.test:6379?auth=canary-i2',
        memory_limit: '64M',
      },
    },
    other: { address: application.address, check: { path: '/health?api_key=canary-c1' } },
  },
  virtualServers: [
    {
      documentRoot: folder,
      rules: [
        {
          match: {
            path: '/never',
            header: { Authorization: 'Bearer canary-m1', 'X-Api-Key': { regex: '^canary-m2$' } },
            query: { token: 'canary-m3' },
          },
          handler: { type: 'redirect', to: 'https://user:canary-m4@elsewhere.test/' },
        },
        {
          authorize: { source: 'other', env: { LDAP_PASSWORD: 'canary-z1' } },
          handler: { type: 'fastcgi', source: 'other', checkFile: false, env },
        },
      ],
    },
  ],
});

function writeConfig(name: string, value: unknown, mode = 0o600): string {
  const file = join(folder, name);
  writeFileSync(file, JSON.stringify(value));
  chmodSync(file, mode);
  return file;
}

function assertNoCanary(text: string, what: string): void {
  assert.equal(canaries.exec(text)?.[0], undefined, `${what}:\n${text}`);
}

test('S25: print-config shows no secret, whatever tells that it is one', async () => {
  const file = writeConfig('print.json', config());
  const { code, stdout: out, stderr: err } = await runFastway(['print-config', '--config', file]);
  assert.equal(code, 0, err);
  assertNoCanary(out + err, 'print-config');
  for (const kept of [
    'mysql://***@db.test/shop',
    '"production"',
    '"64M"',
    '"9000"',
    'password=*** user=x',
    '"/bin/true"',
  ]) {
    assert.ok(out.includes(kept), kept);
  }
  const shown = (await runFastway(['print-config', '--show-secrets', '--config', file])).stdout;
  for (const secret of JSON.stringify(config()).match(/canary-[\w%]+|Ca7NaRy10\w+/g)!) {
    assert.ok(shown.includes(secret), secret);
  }
});

test('S25: explain shows no secret of the configuration, the URL or a field', async () => {
  const file = writeConfig('explain.json', config());
  const fields = ['Authorization: Basic canary-h1', 'Cookie: sid=canary-h2', 'X-Api-Key: canary-h3'];
  const words = [...fields.flatMap((field) => ['-H', field]), '/a?token=canary-q1&page=2', '--config', file];
  const { code, stdout: out, stderr: err } = await runFastway(['explain', ...words]);
  assert.equal(code, 0, err);
  assertNoCanary(out + err, 'explain');
  assert.match(out, /QUERY_STRING +=? ?token=\*\*\*&page=2/);
  assert.match(out, /APP_ENV += production/);
  const shown = (await runFastway(['explain', '--show-secrets', ...words])).stdout;
  for (const secret of ['canary-h1', 'canary-h2', 'canary-h3', 'canary-q1', 'canary-1@', 'canary-7']) {
    assert.ok(shown.includes(secret), secret);
  }
  const never = await runFastway([
    'explain',
    '-H',
    'Authorization: Bearer canary-m1',
    '-H',
    'X-Api-Key: canary-m2',
    '/never?token=canary-m3',
    '--config',
    file,
  ]);
  assert.match(never.stdout, /redirects +302 to https:\/\/\*\*\*@elsewhere/);
  assertNoCanary(never.stdout, 'explain');
});

test('S25: a configuration that is wrong is told without its secrets', async () => {
  const wrong = {
    sources: {
      php: { php: 'cgi', env: { DB_PASSWORD: 12345678 }, ini: { 'mysqli.default_pw': ['canary-w1'] } },
      app: { address: 'tcp://user:canary-w2@db.test:90000' },
    },
    virtualServers: [
      {
        documentRoot: folder,
        rules: [{ match: { query: { token: 87654321 } }, handler: { type: 'error', status: 403 } }],
      },
    ],
  };
  const { code, stderr: err } = await runFastway(['check', '--config', writeConfig('wrong.json', wrong)]);
  assert.equal(code, 1);
  assert.match(err, /env\.DB_PASSWORD: /);
  assertNoCanary(err, 'check');
  assert.doesNotMatch(err, /12345678|87654321/);
});

test('S25: any secret of a file that everybody may read is a warning', async () => {
  for (const source of [
    { php: 'cgi', ini: { 'mysqli.default_pw': 'canary' } },
    { interpreter: ['/bin/true', '--password', 'canary'] },
    { php: 'cgi', env: { DATABASE_URL: 'mysql://a:canary@db/x' } },
  ]) {
    const server = { documentRoot: folder, source: 'app', preset: 'php' };
    const file = writeConfig('open.json', { sources: { app: source }, virtualServers: [server] }, 0o644);
    const { code, stderr: err } = await runFastway(['check', '--config', file]);
    assert.equal(code, 0, err);
    assert.match(err, /can be read by other users/);
  }
});

for (const format of ['text', 'json'] as const) {
  test(`S25: the log shows no credentials, cookies or tokens of a request, at debug either (${format})`, async () => {
    const gateway = await startGateway({
      config: {
        log: { level: 'debug', format },
        sources: { app: { address: application.address }, gone: { address: `unix:${folder}/gone.sock` } },
        virtualServers: [
          {
            documentRoot: folder,
            rules: [
              {
                match: { directory: '/gone' },
                handler: { type: 'fastcgi', source: 'gone', checkFile: false },
              },
              { match: { directory: '/app' }, handler: { type: 'fastcgi', source: 'app', checkFile: false } },
              { handler: { type: 'files' } },
            ],
          },
        ],
      },
    });
    try {
      const fields =
        'Authorization: Bearer canary-l1\r\nProxy-Authorization: Basic canary-l2\r\nCookie: sid=canary-l3\r\nConnection: close\r\n';
      for (const target of [
        '/gone/reset?token=canary-l4&x=1',
        '/missing?api_key=canary-l5',
        '/app/?play=talk&password=canary-l6',
        'http://user:canary-l7@site.test/x',
        '/a%00?access_token=canary-l8',
      ]) {
        await exchangeRaw(gateway.port, `GET ${target} HTTP/1.1\r\nHost: a\r\n${fields}\r\n`);
      }
      const twice = `GET /app/ HTTP/1.1\r\nHost: a\r\nAuthorization: Basic canary-l9\r\n${fields}\r\n`;
      await exchangeRaw(gateway.port, twice);
      await waitForLine(gateway, /token=\*\*\*&x=1/);
      await waitForLine(gateway, /came twice/);
      await waitForLine(gateway, /could not connect to mysql:\/\/\*\*\*@db\/app/);
    } finally {
      await gateway.stop();
    }
    assertNoCanary(gateway.lines.join('\n'), 'log');
  });
}

test('S25: what an interpreter says, and how it ends, is logged without its arguments and secrets', async () => {
  const script = 'echo "started with --password canary-p1 for mysql://a:canary-p2@db" >&2; exit 3';
  const gateway = await startGateway({
    config: {
      log: { level: 'debug' },
      sources: {
        app: {
          interpreter: ['/bin/sh', '-c', script, '{address}', '--token', 'canary-p3'],
          env: { API_KEY: 'canary-p4' },
        },
      },
      virtualServers: [
        { documentRoot: folder, rules: [{ handler: { type: 'fastcgi', source: 'app', checkFile: false } }] },
      ],
    },
  });
  try {
    const { text } = await exchangeRaw(
      gateway.port,
      'GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n',
    );
    assert.match(text, /^HTTP\/1\.1 503/);
    assertNoCanary(text, 'answer');
    await waitForLine(gateway, /exit code 3/);
  } finally {
    await gateway.stop();
  }
  assertNoCanary(gateway.lines.join('\n'), 'log');
});

test('S25: `request --trace` shows no credentials, and the answer itself as it came', async () => {
  const words = [
    'request',
    application.address,
    '--script',
    '/a',
    '--query',
    'play=talk&token=canary-t1',
    '--trace',
  ];
  const secrets = [
    '-H',
    'Authorization: Basic canary-t2',
    '-H',
    'Cookie: sid=canary-t3',
    '--env',
    'DB_PASSWORD=canary-t4',
  ];
  const { stdout: out, stderr: err } = await runFastway([...words, ...secrets]);
  assert.match(out, /Set-Cookie: sid=canary-e4/);
  assert.match(err, /HTTP_AUTHORIZATION = \*\*\*/);
  assertNoCanary(err, 'trace');
  const shown = (await runFastway([...words, ...secrets, '--show-secrets'])).stderr;
  for (const secret of ['canary-t1', 'canary-t2', 'canary-t3', 'canary-t4', 'canary-e1', 'canary-e3']) {
    assert.ok(shown.includes(secret), secret);
  }
});
