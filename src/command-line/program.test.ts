/** Commands, called as a person calls them, in a world of our own. `serve` runs as a process: it has signals and ports. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { hasScripts, recogniseFolder } from '../config/folder.ts';
import { run } from './program.ts';

const directory = mkdtempSync(join(tmpdir(), 'fastway-test-'));
const running = new Set<ChildProcess>();
after(() => {
  for (const child of running) child.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

function write(name: string, text: string): string {
  const file = join(directory, name);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
  return file;
}

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

async function call(args: readonly string[], env: Record<string, string> = {}): Promise<Outcome> {
  const out: Buffer[] = [];
  let err = '';
  const code = await run({
    args,
    env,
    cwd: directory,
    color: false,
    isInteractive: false,
    print: (text) => void out.push(Buffer.from(text)),
    printError: (text) => {
      err += text;
    },
    readInput: async () => Buffer.from('from stdin'),
    onStop: () => {},
    onReopen: () => {},
    onFault: () => {},
  });
  return {
    code,
    out: Buffer.concat(out).toString().replaceAll(directory, ''),
    err: err.replaceAll(directory, ''),
  };
}

write('site/index.html', 'hello');
write('site/index.php', '<?php');
write('laravel/artisan', '');
write('laravel/public/index.php', '<?php');
write('good/fastway.config.json', '{ "virtualServers": [{ "documentRoot": "../site" }] }');
write('bad/fastway.config.json', '{ "lisen": [],\n "log": { "level": "wran" } }');
write('a.sock', '');
write('php-cgi', '');

test('help and version', async () => {
  const { code, out } = await call(['--help']);
  assert.equal(code, 0);
  for (const word of [
    'serve',
    'check',
    'explain',
    'request',
    'print-config',
    'schema',
    '--port',
    '--workers',
  ]) {
    assert.ok(out.includes(word), word);
  }
  assert.match((await call(['request', '--help'])).out, /--script PATH/);
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'));
  assert.deepEqual(await call(['--version']), { code: 0, out: `fastway ${version}\n`, err: '' });
});

for (const [args, sentence] of [
  [['chek'], '"chek" is neither a directory nor a command; did you mean "check"?'],
  [['serve', 'nowhere'], 'There is no directory nowhere; name the folder of the site'],
  [['./nowhere'], 'There is no directory ./nowhere; name the folder of the site'],
  [['site/index.html/below'], 'There is no directory site/index.html/below; name the folder of the site'],
  [['site/index.html'], 'site/index.html is a file; name the directory that it is in'],
  [['site', 'laravel'], 'Give one directory, not 2: site laravel'],
  [
    ['site', '--config', 'x.json'],
    'Give a directory or --config, not both: the configuration names its document roots',
  ],
  [['site', '--php', 'fmp'], '--php is "fmp", but must be fpm, cgi, embedded, a version (8.4) or a path'],
  [
    ['site', '--ini', 'memory_limit'],
    '--ini is "memory_limit", but must be NAME=VALUE, as memory_limit=256M',
  ],
  [['site', '--workers', '0'], '--workers is "0", but must be a whole number from 1 to 1024'],
  [
    ['site', '--source', 'tcp://a'],
    'Address "tcp://a" is invalid: write tcp://host:port, unix:/path or unix:@name',
  ],
  [
    ['site', '--source', ':9000', '--workers', '2'],
    '--source is a PHP that runs already: leave out --php, --workers and --ini',
  ],
  [['check', 'site'], 'There is no fastway.config.* here; name one with --config, or its directory'],
  [['explain'], 'explain needs a URL: fastway explain /index.php'],
  [['explain', 'ftp://a'], '"ftp://a" is no URL; write http://host/path or /path'],
  [['explain', '/', '--header', 'x'], '"x" is no header field; write "Name: value"'],
  [['schema', 'x'], 'schema takes no argument: x'],
] as const) {
  test(`usage: ${args.join(' ')}`, async () => {
    const { code, out, err } = await call(args);
    assert.equal(code, 2);
    assert.equal(out, '');
    assert.equal(err.split('\n')[0], sentence);
  });
}

test('a folder with files of the names that frameworks have for folders is a plain one', () => {
  write('files/core', '');
  write('files/web', '');
  const files = join(directory, 'files');
  assert.deepEqual(recogniseFolder(files), { documentRoot: files, preset: 'php', reason: undefined });
});

test('scripts are found in a folder and in those below; a missing or unreadable one has none', () => {
  write('deep/a/b/INDEX.PHP', '');
  for (const [name, has] of [
    ['deep', true],
    ['laravel', true],
    ['files', false],
    ['nowhere', false],
    ['a.sock', false],
  ] as const) {
    assert.equal(hasScripts(join(directory, name)), has, name);
  }
});

test('check: right, wrong, missing', async () => {
  assert.deepEqual(await call(['check', 'good']), {
    code: 0,
    out: '/good/fastway.config.json is right: 1 source, 1 virtual server, 7 rules\n',
    err: '',
  });
  assert.deepEqual(await call(['check', '--config', 'bad/fastway.config.json']), {
    code: 1,
    out: '',
    err: `/bad/fastway.config.json:1: Unknown key "lisen"; did you mean "listen"?
/bad/fastway.config.json:2: log.level: Is "wran", but must be one of debug, info, warn, error; did you mean "warn"?
2 problems
`,
  });
  assert.equal((await call(['check', '--config', 'no.json'])).code, 1);
});

test('print-config: flags beat the environment, the environment the file, the file the defaults', async () => {
  write('order/fastway.config.json', '{ "listen": [{ "host": "::1", "port": 1 }] }');
  const listen = async (args: readonly string[], env: Record<string, string> = {}): Promise<unknown> =>
    JSON.parse((await call(['print-config', ...args], env)).out).listen;
  assert.deepEqual(await listen(['site']), [{ host: '127.0.0.1', port: 8080 }]);
  assert.deepEqual(await listen(['order']), [{ host: '::1', port: 1 }]);
  assert.deepEqual(await listen(['order'], { PORT: '2' }), [{ host: '::1', port: 2 }]);
  assert.deepEqual(await listen(['order', '--port', '3', '--host', '0.0.0.0'], { PORT: '2' }), [
    { host: '0.0.0.0', port: 3 },
  ]);
  assert.deepEqual(await listen([], { FASTWAY_DIR: 'order' }), [{ host: '::1', port: 1 }]);
});

test('print-config: frameworks, presets and sources of the command line', async () => {
  const print = async (...args: readonly string[]) => JSON.parse((await call(['print-config', ...args])).out);
  const laravel = await print('laravel', '--workers', '3', '--php', './php-cgi');
  assert.equal(laravel.virtualServers[0].documentRoot, '/laravel/public');
  assert.equal(laravel.virtualServers[0].symlinks, 'owner');
  assert.deepEqual([laravel.sources.php.php, laravel.sources.php.workers], ['/php-cgi', 3]);
  const settings = ['memory_limit=256M', 'error_append_string=a=b'].flatMap((setting) => ['--ini', setting]);
  assert.deepEqual((await print('laravel', ...settings)).sources.php.ini, {
    memory_limit: '256M',
    error_append_string: 'a=b',
  });
  const remote = await print('site', '--source', 'unix:a.sock'.replace(':', ':./'));
  assert.deepEqual([remote.sources.php.address, remote.sources.php.profile], ['unix:/a.sock', 'php-fpm']);
});

test('schema: the file that is published', async () => {
  const published = readFileSync(new URL('../../schema.json', import.meta.url), 'utf8');
  assert.deepEqual(await call(['schema']), { code: 0, out: published, err: '' });
});

test('explain: rule, script and variables, through the front controller', async () => {
  const { code, out, err } = await call(['explain', 'http://shop.example/b%20c?x=1', 'site', '-H', 'X-A: b']);
  assert.equal(code, 0, err);
  assert.match(out, /rewrites +to \/index\.php/);
  assert.match(out, /runs +\/site\/index\.php\n/);
  assert.match(out, /REQUEST_URI += \/b%20c\?x=1 /);
  assert.match(out, /QUERY_STRING += x=1 /);
  assert.match(out, /HTTP_X_A += b /);
  assert.match(out, /HTTP_HOST += shop\.example /);
  assert.match((await call(['explain', '/index.html', 'site'])).out, /sends +\/site\/index\.html\n/);
  write('site/.env', '');
  assert.match((await call(['explain', '/.env', 'site'])).out, /answers +404/);
});

/** An application of one canned answer; the records are written out by hand. FastCGI 3.3 */
async function startApplication(
  stdout: string,
  stderr: string,
): Promise<{ server: Server; received: Buffer[] }> {
  const record = (type: number, content: string): Buffer => {
    const bytes = Buffer.from(content, 'latin1');
    return Buffer.concat([Buffer.from([1, type, 0, 1, bytes.length >> 8, bytes.length & 255, 0, 0]), bytes]);
  };
  const received: Buffer[] = [];
  const server = createServer((socket) => {
    socket.on('error', () => {});
    socket.on('data', (chunk) => {
      received.push(chunk);
      // The empty STDIN record ends a request.
      if (!Buffer.concat(received).includes(Buffer.from([1, 5, 0, 1, 0, 0]))) return;
      socket.end(
        Buffer.concat([record(7, stderr), record(6, stdout), record(6, ''), record(3, '\0'.repeat(8))]),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { server, received };
}

test('request: the answer as it is on stdout, the rest on stderr', async () => {
  const { server, received } = await startApplication(
    'Status: 404 Not Found\r\nX: y\r\n\r\nbody',
    'a warning\n',
  );
  const { port } = server.address() as { port: number };
  try {
    const { code, out, err } = await call([
      'request',
      `tcp://127.0.0.1:${port}`,
      ...['--script', '/srv/a.php', '--query', 'a=b', '--header', 'X-Foo: bar', '--env', 'REMOTE_USER=me'],
      ...['--body', '-', '--trace'],
    ]);
    assert.equal(out, 'Status: 404 Not Found\r\nX: y\r\n\r\nbody');
    assert.match(err, /^a warning$/m);
    assert.match(err, /^Status 404, appStatus 0, first byte after \d+ ms, \d+ ms$/m);
    assert.match(err, /^-> BEGIN_REQUEST 1, Responder$/m);
    assert.match(err, /^<- END_REQUEST 1, appStatus 0, REQUEST_COMPLETE$/m);
    assert.equal(code, 0);
    const sent = Buffer.concat(received).toString('latin1');
    for (const pair of [
      '\x0f\x0aSCRIPT_FILENAME/srv/a.php',
      '\x0c\x03QUERY_STRINGa=b',
      '\x0a\x03HTTP_X_FOObar',
      '\x0b\x02REMOTE_USERme',
      '\x0e\x04REQUEST_METHODPOST',
      '\x0e\x02CONTENT_LENGTH10',
    ]) {
      assert.ok(sent.includes(pair), JSON.stringify(pair));
    }
    assert.ok(sent.includes('from stdin'));
  } finally {
    server.close();
  }
});

test('request: no CGI response, and nobody there, are failures with a sentence', async () => {
  const { server } = await startApplication('no head', '');
  const { port } = server.address() as { port: number };
  const wrong = await call(['request', `:${port}`, '--script', '/a.php']);
  server.close();
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /^GW_ERR_CGI_/m);
  const nobody = await call(['request', 'unix:./none.sock', '--script', '/a.php']);
  assert.equal(nobody.code, 1);
  assert.match(nobody.err, /^GW_ERR_SOURCE_CONNECT: /m);
});

interface Served {
  readonly child: ChildProcess;
  readonly url: string;
  readonly lines: string[];
  readonly ended: Promise<number | null>;
}

function serve(...args: readonly string[]): Promise<Served> {
  const cli = fileURLToPath(new URL('../cli.ts', import.meta.url));
  const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), cli, ...args], {
    cwd: directory,
    env: { PATH: process.env.PATH, TMPDIR: process.env.TMPDIR },
  });
  running.add(child);
  const lines: string[] = [];
  const ended = new Promise<number | null>((resolve) =>
    child.once('close', (code) => {
      running.delete(child);
      resolve(code);
    }),
  );
  return new Promise((resolve) => {
    const hear = (chunk: Buffer): void => {
      lines.push(...chunk.toString().split('\n'));
      const url = /http:\/\/[\w.:]+/.exec(lines.join('\n'))?.[0];
      if (url !== undefined) resolve({ child, url, lines, ended });
    };
    child.stdout.on('data', hear);
    child.stderr.on('data', hear);
    void ended.then(() => resolve({ child, url: '', lines, ended }));
  });
}

test('serve: a banner, files, and an orderly end on SIGTERM', async () => {
  write('laravel/public/left.php', '');
  const { child, url, lines, ended } = await serve('laravel', '--port', '0', '--source', 'unix:/none.sock');
  const banner = lines.join('\n').replaceAll(directory, '');
  assert.match(banner, /serving +\/laravel\/public \(Laravel, recognised by artisan\)/);
  assert.match(banner, /source +php: /);
  assert.equal((await fetch(`${url}/left.php`)).status, 404);
  child.kill('SIGTERM');
  assert.equal(await ended, 0);
  assert.match(lines.join('\n'), /SIGTERM: stopping/);
});

test('serve: a port in use is one sentence, and exit code 1', async () => {
  const holder = createServer();
  await new Promise<void>((resolve) => holder.listen(0, '127.0.0.1', resolve));
  const { port } = holder.address() as { port: number };
  const { lines, ended } = await serve('site', '--port', String(port), '--source', 'unix:/none.sock');
  assert.equal(await ended, 1);
  holder.close();
  const said = lines.filter((line) => line !== '');
  assert.equal(said.length, 1, said.join('\n'));
  assert.match(
    said[0]!,
    new RegExp(`^Port ${port} is in use.*; stop that program, or choose another port with --port \\d+$`),
  );
});
