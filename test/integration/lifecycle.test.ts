/** The process from start to stop: clear sentences for what cannot start, nothing lost and nothing left when it stops. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { after, describe, it } from 'node:test';
import { copyApplication, interpreterUser } from '../support/applications.ts';
import { createFileGate } from '../support/file-gate.ts';
import { freePort } from '../support/free-port.ts';
import {
  ensureBuilt,
  type GatewayProcess,
  repository,
  runFastway,
  startGateway,
  waitForLine,
} from '../support/gateway-process.ts';
import { fetchAnswer, openAnswer } from '../support/http-client.ts';
import { application, startPhpGateway } from '../support/php-gateway.ts';
import { descendants, isAlive } from '../support/process-facts.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const started: GatewayProcess[] = [];
after(async () => {
  await Promise.all(started.map((gateway) => gateway.stop()));
});
const start = async (gateway: Promise<GatewayProcess>) => {
  started.push(await gateway);
  return gateway;
};

/** One clear sentence, no stack trace. */
const isKind = (text: string) => {
  assert.ok(!/^\s+at .+:\d+/m.test(text), `a stack trace:\n${text}`);
  assert.ok(text.trim().split('\n').length <= 6, `too many words:\n${text}`);
};

describe('what cannot start', () => {
  it('a port in use', async () => {
    const holder = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => holder.once('listening', resolve));
    const { port } = holder.address() as { port: number };
    try {
      const { code, stderr } = await runFastway([copyApplication('php'), '--port', String(port)]);
      assert.equal(code, 1, stderr);
      assert.match(stderr, new RegExp(`${port}`));
      assert.match(stderr, /in use|taken|already/i);
      isKind(stderr);
    } finally {
      holder.close();
    }
  });
  it('a directory that is not there', async () => {
    const { code, stderr } = await runFastway(['/no/such/site', '--port', '0']);
    assert.ok(code === 1 || code === 2, stderr);
    assert.match(stderr, /\/no\/such\/site/);
    isKind(stderr);
  });
  it('an option that nobody knows', async () => {
    const { code, stderr } = await runFastway(['--prot', '8080']);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /--port/);
    isKind(stderr);
  });
  it('a configuration with mistakes: all of them, with their lines', async () => {
    const file = join(createTestDirectory(), 'fastway.config.json');
    writeFileSync(
      file,
      '{\n  "listen": [{ "prot": 1 }],\n  "sources": { "a": { "adress": "tcp://x" } }\n}\n',
    );
    const { code, stderr } = await runFastway(['check', '--config', file]);
    assert.equal(code, 1, stderr);
    assert.match(stderr, /:2\b[\s\S]*prot/);
    assert.match(stderr, /:3\b[\s\S]*adress/);
    assert.match(stderr, /did you mean/i);
    isKind(stderr);
  });
});

it('a folder that its own .htaccess closes whole is served, and the start says that nothing of it will be sent', async () => {
  for (const [name, text] of Object.entries({
    password: 'AuthType Basic\nAuthUserFile /etc/x\nRequire valid-user\n',
    denied: 'Order deny,allow\nDeny from all\n',
  })) {
    const site = createTestDirectory();
    writeFileSync(join(site, '.htaccess'), text);
    writeFileSync(join(site, 'index.html'), 'page');
    const sentence = new RegExp(
      `Nothing below ${site} is sent or run: .*\\.htaccess denies it, .* set "guard" to false`,
    );
    const gateway = await start(startGateway({ args: [site, '--port', '0'] }));
    await waitForLine(gateway, sentence);
    assert.equal((await fetchAnswer(gateway.origin, '/index.html')).status, 404, name);
  }
});

describe('interpreters that fail', () => {
  const withInterpreter = (interpreter: readonly string[]) =>
    start(
      startGateway({
        config: {
          sources: {
            broken: {
              address: 'unix:{runtimeDir}/broken.sock',
              interpreter,
              spawnTimeoutMs: 1000,
              ...interpreterUser(),
            },
          },
          virtualServers: [
            {
              documentRoot: copyApplication('php'),
              rules: [{ handler: { type: 'fastcgi', source: 'broken', checkFile: false } }],
            },
          ],
        },
      }),
    );

  it('a program that is not there: refused at start, with its place in the configuration', async () => {
    await assert.rejects(
      withInterpreter(['/no/such/interpreter', '{path}']),
      /json:1: sources\.broken\.interpreter\[0\].*\/no\/such\/interpreter/,
    );
  });

  it('a program that vanishes later: 503, and the log names it', async () => {
    const program = join(createTestDirectory(), 'interpreter');
    writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
    const gateway = await withInterpreter([program, '{path}']);
    rmSync(program);
    const answer = await fetchAnswer(gateway.origin, '/');
    assert.equal(answer.status, 503);
    assert.ok(!answer.text.includes(program), 'the visitor sees our paths');
    const line = await waitForLine(gateway, /error .*interpreter/);
    assert.ok(line.includes(program), line);
  });

  it('a program that ends at once: 503 with Retry-After, its last words in the log, no spawn storm', async () => {
    const gateway = await withInterpreter(['/bin/sh', '-c', 'echo I cannot find my shoes >&2; exit 7']);
    const answers = await Promise.all(Array.from({ length: 30 }, () => fetchAnswer(gateway.origin, '/')));
    for (const answer of answers) {
      assert.equal(answer.status, 503);
      assert.match(answer.headers['retry-after'] ?? '', /^[1-9]\d*$/);
    }
    const line = await waitForLine(gateway, /7.*I cannot find my shoes|I cannot find my shoes.*7/);
    assert.ok(line.length < 1000);
    // So many that a start for each of them would show.
    await Promise.all(Array.from({ length: 30 }, () => fetchAnswer(gateway.origin, '/')));
    const words = gateway.lines.filter((text) => /shoes/.test(text) && !/request=|status=503/.test(text));
    assert.ok(words.length < 30, `started too often:\n${words.join('\n')}`);
  });

  it('a program that never listens: 503 after spawnTimeoutMs', async () => {
    const gateway = await withInterpreter(['/bin/sleep', '60']);
    const answer = await fetchAnswer(gateway.origin, '/');
    assert.ok([503, 504].includes(answer.status), `status ${answer.status}`);
    await waitForLine(gateway, /did not answer at .* within 1000 ms/);
    const { code } = await gateway.stop();
    assert.equal(code, 0);
    assert.deepEqual(descendants(gateway.pid), []);
  });
});

describe('remote sources', () => {
  it('a source that is down is 503 and is used again soon after it came; a second one takes over meanwhile', async () => {
    const port = await freePort();
    const remote = { address: `tcp://127.0.0.1:${port}` };
    const documentRoot = copyApplication('php');
    const gateway = await start(
      startGateway({
        config: {
          sources: { down: remote, spare: { php: 'fpm', workers: 1 } },
          virtualServers: [
            {
              documentRoot,
              rules: [
                {
                  match: { query: { alone: '1' } },
                  handler: { type: 'fastcgi', source: 'down' },
                },
                {
                  handler: {
                    type: 'fastcgi',
                    balancer: { policy: 'round-robin', sources: ['down', 'spare'] },
                  },
                },
              ],
            },
          ],
        },
      }),
    );
    const alone = () => fetchAnswer(gateway.origin, `${application}/echo?alone=1`);
    const answer = await alone();
    assert.equal(answer.status, 503);
    assert.match(answer.headers['retry-after'] ?? '', /^\d+$/);
    for (let number = 0; number < 4; number++) {
      const posted = await fetchAnswer(gateway.origin, `${application}/body`, {
        method: 'POST',
        body: 'hello',
      });
      assert.equal(posted.status, 200, 'a failed connect takes the next source, also for a POST');
    }
    const php = await start(
      startGateway({
        config: {
          sources: {
            served: {
              address: `tcp://127.0.0.1:${port}`,
              interpreter: ['php-cgi', '-b', '127.0.0.1:{port}'],
              ...interpreterUser(),
            },
          },
          virtualServers: [{ documentRoot, rules: [{ handler: { type: 'fastcgi', source: 'served' } }] }],
        },
      }),
    );
    assert.equal((await fetchAnswer(php.origin, `${application}/echo`)).status, 200);
    await until(async () => (await alone()).status === 200, 'another try of the source');
  });
});

it('a TMPDIR that is ours alone is not given to PHP as another user: its forms have their fields', async () => {
  const own = createTestDirectory();
  chmodSync(own, 0o755);
  const gateway = await start(startPhpGateway({ env: { TMPDIR: own } }));
  // What is longer than 16 KiB PHP writes to a file first.
  const body = new URLSearchParams({ text: 'x'.repeat(100_000) }).toString();
  const answer = await fetchAnswer(gateway.origin, `${application}/form`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/x-www-form-urlencoded' },
    body,
  });
  assert.equal(JSON.parse(answer.text).fields.text?.length, 100_000);
});

describe('SIGTERM', () => {
  it('finishes what runs, accepts nothing more, leaves no process, exits with 0', async () => {
    const gateway = await start(startPhpGateway({ workers: 20 }));
    // php-fpm listens before it has made them all.
    await until(() => descendants(gateway.pid).length > 20, 'the start of all workers');
    const children = descendants(gateway.pid);
    const gate = createFileGate();
    const running = Array.from({ length: 20 }, () =>
      fetchAnswer(gateway.origin, `${application}/gate?${gate.query}`),
    );
    await until(() => gate.arrived().length === 20, 'the run of all');
    const stopped = gateway.stop();
    await waitForLine(gateway, /SIGTERM: stopping/);
    gate.open();
    const answers = await Promise.all(running);
    assert.deepEqual([...new Set(answers.map(({ status }) => status))], [200]);
    const { code, signal } = await stopped;
    assert.deepEqual({ code, signal }, { code: 0, signal: null });
    assert.deepEqual(
      children.filter(({ pid }) => isAlive(pid)),
      [],
    );
    await assert.rejects(fetchAnswer(gateway.origin, '/page.html'));
  });

  it('under a steady load loses no request that was accepted', async () => {
    const gateway = await start(startPhpGateway({ workers: 4 }));
    let isStopping = false;
    const faults: string[] = [];
    let answered = 0;
    const client = async () => {
      for (;;) {
        try {
          const { status } = await fetchAnswer(gateway.origin, `${application}/echo`);
          if (status !== 200) faults.push(`status ${status}`);
          answered++;
        } catch (error) {
          // Once it stops, nobody listens: that is the only fault a client may see.
          const { code } = error as NodeJS.ErrnoException;
          if (!(isStopping && code === 'ECONNREFUSED')) faults.push(String(error));
          return;
        }
      }
    };
    const clients = Array.from({ length: 8 }, client);
    await until(() => answered >= 100, '100 answers');
    isStopping = true;
    const { code } = await gateway.stop();
    await Promise.all(clients);
    assert.equal(code, 0);
    // A connection in the kernel's queue when the listener closes is reset by the kernel; nothing of it was accepted.
    assert.deepEqual(
      faults.filter((fault) => !/ECONNRESET/.test(fault)),
      [],
    );
  });

  it('answers whom the system had told that they are connected before the signal', async () => {
    const gateway = await start(startPhpGateway());
    process.kill(gateway.pid, 'SIGSTOP');
    const clients = Array.from({ length: 50 }, () => {
      const socket = connect(gateway.port, '127.0.0.1');
      const connected = once(socket, 'connect');
      socket.write('GET /page.html HTTP/1.1\r\nHost: test\r\n\r\n');
      return { connected, answer: text(socket).catch(String) };
    });
    await Promise.all(clients.map(({ connected }) => connected));
    process.kill(gateway.pid, 'SIGTERM');
    process.kill(gateway.pid, 'SIGCONT');
    const answers = await Promise.all(clients.map(({ answer }) => answer));
    assert.deepEqual(
      answers.map((answer) => answer.split('\r\n')[0]).filter((line) => line !== 'HTTP/1.1 200 OK'),
      [],
    );
    assert.equal((await gateway.exited).code, 0);
  });

  it('SIGHUP, the end of a terminal, is not for one that has none', async () => {
    const gateway = await start(startGateway({ args: [copyApplication('php'), '--port', '0'] }));
    process.kill(gateway.pid, 'SIGHUP');
    assert.equal((await fetchAnswer(gateway.origin, '/page.html')).status, 200);
    assert.equal((await gateway.stop()).code, 0);
  });

  it('a second signal ends it now', async () => {
    const gateway = await start(startPhpGateway({ workers: 2 }));
    const answer = await openAnswer(gateway.origin, `${application}/wait?ticks=1200`);
    const cut = new Promise((resolve) => {
      answer.on('error', resolve);
      answer.on('close', resolve);
      answer.resume();
    });
    const children = descendants(gateway.pid);
    const stopped = gateway.stop('SIGINT');
    await waitForLine(gateway, /again to stop at once/);
    process.kill(gateway.pid, 'SIGINT');
    // After its grace time it would be 0.
    assert.equal((await stopped).code, 1);
    await cut;
    await until(() => !children.some(({ pid }) => isAlive(pid)), 'the end of its interpreters');
  });
});

describe('SIGKILL, which nobody can hear', () => {
  for (const php of ['fpm', 'cgi'] as const) {
    it(`takes the interpreters along: ${php}`, async () => {
      const gateway = await start(
        startGateway({
          config: {
            sources: { php: { php, workers: 2 } },
            virtualServers: [{ documentRoot: copyApplication('php'), preset: 'php', source: 'php' }],
          },
        }),
      );
      assert.equal((await fetchAnswer(gateway.origin, `${application}/echo`)).status, 200);
      const children = descendants(gateway.pid);
      assert.ok(children.length >= 3, JSON.stringify(children));
      await gateway.stop('SIGKILL');
      await until(() => !children.some(({ pid }) => isAlive(pid)), 'the end of its interpreters');
    });
  }
});

describe('one command', () => {
  it('serves a folder: a framework with public/ is recognised, dot files and vendor/ are not sent', async () => {
    const directory = join(createTestDirectory(), 'project');
    mkdirSync(join(directory, 'public'), { recursive: true });
    mkdirSync(join(directory, 'vendor'));
    writeFileSync(join(directory, 'artisan'), '<?php\n');
    writeFileSync(join(directory, 'composer.json'), '{"require":{"laravel/framework":"^12.0"}}');
    writeFileSync(join(directory, '.env'), 'APP_KEY=secret\n');
    writeFileSync(
      join(directory, 'public/index.php'),
      '<?php echo "front controller: ", $_SERVER["REQUEST_URI"];',
    );
    writeFileSync(join(directory, 'public/robots.txt'), 'User-agent: *\n');
    const gateway = await start(startGateway({ args: [directory, '--port', '0'] }));
    const text = async (path: string) => (await fetchAnswer(gateway.origin, path)).text;
    assert.equal(await text('/'), 'front controller: /');
    assert.equal(await text('/shop/42?page=2'), 'front controller: /shop/42?page=2');
    assert.equal(await text('/robots.txt'), 'User-agent: *\n');
    for (const path of ['/.env', '/../.env', '/vendor/', '/composer.json', '/nothing.php']) {
      const answer = await fetchAnswer(gateway.origin, path);
      assert.ok(!answer.text.includes('secret') && !answer.text.includes('laravel'), path);
    }
    // What is there and not for visitors is 404; what is not there is the application's.
    writeFileSync(join(directory, 'public/left.php'), '<?php echo "secret";');
    assert.equal((await fetchAnswer(gateway.origin, '/left.php')).status, 404);
    assert.equal(await text('/nothing.php'), 'front controller: /nothing.php');
    assert.ok(gateway.lines.some((line) => line.includes('public')));
  });

  it('request asks a FastCGI server directly', async () => {
    const directory = copyApplication('php');
    const socket = join(createTestDirectory(), 'php.sock');
    const php = spawn('php-cgi', ['-b', socket], { stdio: 'ignore' });
    try {
      await until(() => existsSync(socket), 'the start of php-cgi');
      const script = join(directory, 'answer.php');
      const { code, stdout, stderr } = await runFastway(['request', `unix:${socket}`, '--script', script]);
      assert.equal(code, 0, stderr);
      assert.match(stdout, /Content-type: text\/plain/i);
      assert.match(stdout, /the answer of the script/);
    } finally {
      php.kill();
    }
    const { code, stderr } = await runFastway(['request', `unix:${socket}.gone`, '--script', '/x.php']);
    assert.equal(code, 1);
    isKind(stderr);
  });

  it('explain names the rule, the script and every variable, and contacts nobody', async () => {
    const directory = copyApplication('php');
    const { code, stdout, stderr } = await runFastway([
      'explain',
      'http://127.0.0.1:8080/application.php/echo?a=1',
      '--config',
      writeConfig(directory),
    ]);
    assert.equal(code, 0, stderr);
    for (const expected of [
      'application.php',
      'SCRIPT_FILENAME',
      'PATH_INFO',
      '/echo',
      'QUERY_STRING',
      'a=1',
    ]) {
      assert.ok(stdout.includes(expected), `${expected} is missing:\n${stdout}`);
    }
  });
});

function writeConfig(documentRoot: string): string {
  const file = join(createTestDirectory(), 'fastway.config.json');
  const config = {
    sources: { php: { address: 'unix:/nowhere/php.sock' } },
    virtualServers: [{ documentRoot, preset: 'php', source: 'php' }],
  };
  writeFileSync(file, JSON.stringify(config));
  return file;
}

describe('the banner', () => {
  it('says which PHP was chosen and why: the first that PATH leads to', async () => {
    const folder = createTestDirectory();
    const program = join(folder, 'php-fpm8.9');
    writeFileSync(program, "#!/bin/sh\necho 'PHP 8.9.1 (fpm-fcgi) (built: Mar  1 2026 10:00:00)'\n", {
      mode: 0o755,
    });
    const args = ['serve', copyApplication('php'), '--port', '0', '--workers', '3'];
    const gateway = await start(startGateway({ args, env: { PATH: folder } }));
    const line = await waitForLine(gateway, /^ {2}source /);
    assert.match(line, /php: php-fpm 8\.9 with 3 workers.*, because it was found at /);
    assert.ok(line.endsWith(program), line);
  });
});

describe('--open', () => {
  /** A site without PHP, and a folder whose `xdg-open` does so. */
  const startOpening = async (program: string | undefined) => {
    const folder = createTestDirectory();
    if (program !== undefined) {
      writeFileSync(join(folder, 'xdg-open'), `#!/bin/sh\n${program}\n`, { mode: 0o755 });
    }
    const args = ['serve', copyApplication('php'), '--port', '0', '--source', 'unix:/nowhere', '--open'];
    return {
      folder,
      gateway: await start(startGateway({ args, env: { PATH: folder, OPENED: join(folder, 'opened') } })),
    };
  };

  it('hands the URL to the program that opens what one clicks', async () => {
    const { folder, gateway } = await startOpening('echo "$@" > "$OPENED"');
    const file = join(folder, 'opened');
    await until(() => existsSync(file) && readFileSync(file, 'latin1').endsWith('\n'), 'the call');
    assert.equal(readFileSync(file, 'latin1'), `${gateway.origin}/\n`);
  });

  for (const [what, program] of [
    ['there is no such program', undefined],
    ['it finds no browser', 'exit 3'],
  ] as const) {
    it(`says so kindly when ${what}`, async () => {
      const { gateway } = await startOpening(program);
      await waitForLine(gateway, new RegExp(`No browser could be started; open ${gateway.origin}/ yourself`));
      assert.equal((await fetchAnswer(gateway.origin, '/page.html')).status, 200);
    });
  }
});

describe('npm start', () => {
  it('ends with npm when that is asked to end', async () => {
    ensureBuilt();
    const npm = spawn('npm', ['start', '--ignore-scripts', '--', '--port', '0'], {
      cwd: repository,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    let said = '';
    npm.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const ended = new Promise((resolve) => npm.once('exit', resolve));
    await until(() => /listening +http:/.test(said), 'a listening server');
    const pids = descendants(npm.pid!).map(({ pid }) => pid);
    assert.ok(pids.length > 0);
    npm.kill('SIGTERM');
    await ended;
    await until(() => pids.every((pid) => !isAlive(pid)), 'the end of all');
  });
});
