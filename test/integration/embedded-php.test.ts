/** The embedded PHP as a program of its own, asked over FastCGI: what PHP sees, what comes back, and what is left at the end. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parseAddress } from '../../src/base/address.ts';
import { systemClock } from '../../src/base/clock.ts';
import { silentLog } from '../../src/base/log.ts';
import { createRemoteSource } from '../../src/source/remote/remote.ts';
import type { Source } from '../../src/source/source.ts';
import { ask, bodyOf, type Outcome, PiecewiseBody } from '../support/ask.ts';
import { encodeMultipart } from '../support/form-data.ts';
import { startGateway } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { descendants, isAlive, peakResidentBytes, resetPeakResidentBytes } from '../support/process-facts.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

interface Answer extends Outcome {
  readonly head: readonly string[];
  readonly body: string;
}

class EmbeddedPhp {
  readonly process: ChildProcess;
  readonly source: Source;
  readonly socketPath: string;
  stderr = '';

  constructor(socketPath: string, settings: object = {}) {
    this.socketPath = socketPath;
    const address = `unix:${socketPath}`;
    this.process = spawn(process.execPath, ['--import', 'tsx', 'src/embedded-php.ts'], {
      env: {
        PATH: process.env.PATH,
        FROM_OUTSIDE: 'yes',
        FASTWAY_EMBEDDED_PHP: JSON.stringify({
          address,
          workers: 2,
          documentRoot: '/',
          idleMs: 3_600_000,
          ...settings,
        }),
      },
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.process.stderr!.on('data', (chunk) => {
      this.stderr += chunk;
    });
    this.source = createRemoteSource({
      name: 'php',
      address: parseAddress(address),
      profile: 'php-cgi',
      readTimeoutMs: 60_000,
      log: silentLog,
      clock: systemClock,
      random: Math.random,
    });
  }

  async listening(): Promise<void> {
    await until(() => {
      assert.equal(this.process.exitCode, null, this.stderr);
      return existsSync(this.socketPath);
    }, 'the socket of the embedded PHP');
  }

  /** Runs a script; further variables win. */
  async run(script: string, variables: Record<string, string> = {}, body?: Uint8Array): Promise<Answer> {
    const all: Record<string, string> = {
      REQUEST_METHOD: body === undefined ? 'GET' : 'POST',
      SCRIPT_FILENAME: script,
      SCRIPT_NAME: '/script.php',
      REQUEST_URI: '/script.php',
      QUERY_STRING: '',
      SERVER_PROTOCOL: 'HTTP/1.1',
      ...(body === undefined ? {} : { CONTENT_LENGTH: String(body.length) }),
      ...variables,
    };
    const outcome = await ask(this.source, {
      variables: Object.entries(all).flat(),
      body:
        body === undefined
          ? undefined
          : body.length < 100_000
            ? bodyOf(body)
            : new PiecewiseBody(body, 65_536),
    });
    const end = outcome.stdout.indexOf('\r\n\r\n');
    return {
      ...outcome,
      head: outcome.stdout.slice(0, end).split('\r\n'),
      body: outcome.stdout.slice(end + 4),
    };
  }

  async stop(): Promise<void> {
    await this.source.close();
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    this.process.kill('SIGTERM');
    const exited = once(this.process, 'exit');
    const late = setTimeout(() => this.process.kill('SIGKILL'), 30_000);
    await exited;
    clearTimeout(late);
    assert.equal(this.process.signalCode, null, `It did not stop: ${this.stderr}`);
  }
}

describe('embedded PHP', () => {
  const root = createTestDirectory();
  let php: EmbeddedPhp;
  const script = (name: string, code: string) => {
    const path = join(root, name);
    writeFileSync(path, `<?php ${code}`);
    return path;
  };

  before(async () => {
    php = new EmbeddedPhp(join(root, 'php.sock'));
    await php.listening();
  });
  after(() => php.stop());

  it('gives a script the variables byte for byte, and nothing invented', async () => {
    const path = script(
      'server.php',
      'foreach ($_SERVER as $k => $v) if (is_string($v)) echo bin2hex($k), "=", bin2hex($v), "\n";',
    );
    const { body, appStatus } = await php.run(path, {
      PATH_INFO: '/a/\xff\xe9',
      QUERY_STRING: 'a=1',
      REQUEST_URI: '/script.php/a/%FF?a=1',
      HTTP_HOST: 'example.test:81',
      HTTP_X_BYTES: 'caf\xe9 \xc3\xa9 "\\',
      SERVER_PORT: '443',
      SERVER_SOFTWARE: 'fastway',
      HTTP_AUTHORIZATION: `Basic ${Buffer.from('us:pa:ss').toString('base64')}`,
    });
    assert.equal(appStatus, 0);
    const server = Object.fromEntries(
      body
        .trim()
        .split('\n')
        .map((line) => line.split('=').map((hex) => Buffer.from(hex, 'hex').toString('latin1'))),
    );
    const expected: Record<string, string> = {
      PATH_INFO: '/a/\xff\xe9',
      REQUEST_URI: '/script.php/a/%FF?a=1',
      QUERY_STRING: 'a=1',
      HTTP_HOST: 'example.test:81',
      HTTP_X_BYTES: 'caf\xe9 \xc3\xa9 "\\',
      SERVER_PORT: '443',
      SERVER_SOFTWARE: 'fastway',
      SERVER_PROTOCOL: 'HTTP/1.1',
      SCRIPT_FILENAME: path,
      PHP_SELF: '/script.php/a/\xff\xe9',
      PHP_AUTH_USER: 'us',
      PHP_AUTH_PW: 'pa:ss',
      FROM_OUTSIDE: 'yes',
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(server[name], value, name);
    assert.equal(server.HTTPS, undefined);
    for (const name of [
      'FASTWAY_EMBEDDED_PHP',
      'HOME',
      'USER',
      'LOGNAME',
      'PWD',
      'LANG',
      '_',
      'argv',
      'argc',
    ])
      assert.equal(server[name], undefined, name);
    const next = await php.run(
      script(
        'next.php',
        'echo json_encode([$_SERVER["PATH_INFO"] ?? null, $_SERVER["PHP_AUTH_USER"] ?? null, $_COOKIE, $_POST]);',
      ),
    );
    assert.equal(next.body, '[null,null,[],[]]');
  });

  it('hands out status, repeated fields and awkward bytes', async () => {
    const { head } = await php.run(
      script(
        'head.php',
        String.raw`http_response_code(418); header("X-A: one"); header("X-A: two", false); header("X-B: a\t\"\\\xe9"); setcookie("c", "d");`,
      ),
    );
    assert.equal(head[0], 'Status: 418');
    for (const line of ['X-A: one', 'X-A: two', 'X-B: a\t"\\\xe9', 'Set-Cookie: c=d'])
      assert.ok(head.includes(line), line);
    const redirect = await php.run(script('redirect.php', 'header("Location: /elsewhere");'));
    assert.equal(redirect.head[0], 'Status: 302');
    assert.ok(redirect.head.includes('Location: /elsewhere'));
    const own = 'header("Status: 410 Gone"); header("Status: 411 No", false); echo "x";';
    for (const [code, expected] of [
      [own, 'Status: 410 Gone'],
      [`${own} http_response_code(404);`, 'Status: 410 Gone'],
      ['header("HTTP/1.1 503 Later");', 'Status: 503'],
    ] as const) {
      const { head } = await php.run(script('status.php', code));
      assert.deepEqual(
        head.filter((line) => /^status:/i.test(line)),
        [expected],
        code,
      );
    }
  });

  it('takes forms, cookies and files with any bytes', async () => {
    const content = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * i + (i >> 8)) & 255));
    const { body, type } = encodeMultipart({ title: 'a b' }, [
      { name: 'file', filename: 'caf\u00e9.bin', type: 'application/octet-stream', content },
    ]);
    const path = script(
      'upload.php',
      'move_uploaded_file($_FILES["file"]["tmp_name"], __DIR__ . "/kept.bin"); echo json_encode([$_POST, $_FILES["file"]["name"], hash_file("sha256", __DIR__ . "/kept.bin"), $_COOKIE]);',
    );
    const answer = await php.run(path, { CONTENT_TYPE: type, HTTP_COOKIE: 'a=b; c=d' }, body);
    const { createHash } = await import('node:crypto');
    assert.deepEqual(JSON.parse(answer.body), [
      { title: 'a b' },
      'caf\u00e9.bin',
      createHash('sha256').update(content).digest('hex'),
      { a: 'b', c: 'd' },
    ]);
    const raw = await php.run(
      script('raw.php', 'echo file_get_contents("php://input");'),
      { CONTENT_TYPE: 'text/plain' },
      Buffer.from('\0\xff\r\n', 'latin1'),
    );
    assert.equal(raw.body, '\0\xff\r\n');
  });

  it('runs in the folder of the script, follows links, and reaches files beside the document root', async () => {
    mkdirSync(join(root, 'public'));
    mkdirSync(join(root, 'shared'));
    writeFileSync(join(root, 'outside.txt'), 'outside');
    writeFileSync(join(root, 'public', 'beside.txt'), 'beside');
    writeFileSync(join(root, 'shared', 'linked.txt'), 'linked');
    symlinkSync(join(root, 'shared'), join(root, 'public', 'absolute'));
    symlinkSync('../shared', join(root, 'public', 'relative'));
    const { body } = await php.run(
      script(
        'public/index.php',
        'echo getcwd(), "|"; foreach (["beside.txt", "../outside.txt", "absolute/linked.txt", "relative/linked.txt"] as $f) readfile($f);',
      ),
    );
    assert.equal(body, `${join(root, 'public')}|besideoutsidelinkedlinked`);
  });

  it('keeps a session between workers', async () => {
    const path = script(
      'session.php',
      'session_start(); echo session_id(), " ", $_SESSION["n"] = ($_SESSION["n"] ?? 0) + 1;',
    );
    const [id] = (await php.run(path)).body.split(' ');
    const again = () => php.run(path, { HTTP_COOKIE: `PHPSESSID=${id}` });
    assert.equal((await again()).body, `${id} 2`);
    assert.equal((await again()).body, `${id} 3`);
  });

  /** PHP that goes on when it has begun in both workers: each says so, and waits for the other. */
  const meet = (place: string) =>
    `mkdir(__DIR__ . "/${place}-" . getmypid()); while (count(glob(__DIR__ . "/${place}-*")) < 2) { usleep(5000); clearstatcache(); } `;
  /** What a script answers that two requests run at the same time. */
  const runTwice = async (path: string, variables: Record<string, string> = {}) => {
    const answers = await Promise.all([php.run(path, variables), php.run(path, variables)]);
    for (const { stderr, error } of answers) assert.deepEqual([stderr, error], ['', undefined]);
    return answers.map(({ body }) => body).sort();
  };

  it('flock makes one worker wait for the other, and says when it would', async () => {
    // Here and not by `touch` in the script: of two that find no file, the second would empty what the first has written.
    writeFileSync(join(root, 'count'), '');
    const path = script(
      'flock.php',
      `${meet('flock')} $f = fopen(__DIR__ . "/count", "r+");
      for ($i = 0; $i < 50; $i++) {
        flock($f, LOCK_EX); rewind($f); $n = (int) fgets($f); usleep(1000); rewind($f); fwrite($f, $n + 1); fflush($f); flock($f, LOCK_UN);
      }
      echo getmypid();`,
    );
    const [one, two] = await runTwice(path);
    assert.notEqual(one, two);
    assert.equal(readFileSync(join(root, 'count'), 'latin1'), '100');

    const holder = script(
      'hold.php',
      'touch(__DIR__ . "/held"); $f = fopen(__DIR__ . "/held", "r"); flock($f, LOCK_EX); touch(__DIR__ . "/holding"); while (!file_exists(__DIR__ . "/let-go")) { usleep(10000); clearstatcache(); }',
    );
    const held = php.run(holder);
    await until(() => existsSync(join(root, 'holding')), 'the lock');
    const { body } = await php.run(
      script(
        'try.php',
        '$f = fopen(__DIR__ . "/held", "r"); $got = flock($f, LOCK_EX | LOCK_NB, $blocked); echo json_encode([$got, $blocked]); touch(__DIR__ . "/let-go");',
      ),
    );
    assert.equal(body, '[false,1]');
    await held;
    // A script that ends gives up what it locked.
    assert.equal((await php.run(join(root, 'try.php'))).body, '[true,0]');
  });

  it('requests of one session follow each other and lose nothing', async () => {
    const path = script(
      'count.php',
      'session_start(); $n = $_SESSION["n"] ?? 0; usleep(20000); $_SESSION["n"] = $n + 1; echo session_id();',
    );
    const id = (await php.run(path)).body;
    for (let round = 0; round < 10; round++) await runTwice(path, { HTTP_COOKIE: `PHPSESSID=${id}` });
    const read = script('read.php', 'session_start(); echo $_SESSION["n"];');
    assert.equal((await php.run(read, { HTTP_COOKIE: `PHPSESSID=${id}` })).body, '21');
  });

  it('two workers write one SQLite file and lose nothing', async () => {
    const setUp = script(
      'create.php',
      '$db = new PDO("sqlite:" . __DIR__ . "/data.db"); $db->exec("CREATE TABLE t (pid)");',
    );
    assert.equal((await php.run(setUp)).stderr, '');
    const path = script(
      'insert.php',
      `${meet('sqlite')} $db = new PDO("sqlite:" . __DIR__ . "/data.db", options: [PDO::ATTR_TIMEOUT => 30]);
      for ($i = 0; $i < 50; $i++) $db->prepare("INSERT INTO t VALUES (?)")->execute([getmypid()]);`,
    );
    assert.deepEqual(await runTwice(path), ['', '']);
    const sum = script(
      'sum.php',
      '$db = new PDO("sqlite:" . __DIR__ . "/data.db"); echo json_encode([$db->query("SELECT count(*), count(DISTINCT pid) FROM t")->fetch(PDO::FETCH_NUM), $db->query("PRAGMA integrity_check")->fetchColumn()]);',
    );
    assert.equal((await php.run(sum)).body, '[[100,2],"ok"]');
  });

  it('two workers share the write-ahead log of SQLite: no row is lost, no sum is read that never was', async () => {
    const open =
      '$db = new PDO("sqlite:" . __DIR__ . "/wal.db", options: [PDO::ATTR_TIMEOUT => 30]); $db->exec("PRAGMA wal_autocheckpoint = 8");';
    const setUp = script(
      'wal-create.php',
      `${open} echo $db->query("PRAGMA journal_mode = wal")->fetchColumn(); $db->exec("CREATE TABLE t (pid); CREATE TABLE sums (n); INSERT INTO sums VALUES (500), (500)");`,
    );
    assert.equal((await php.run(setUp)).body, 'wal');
    const path = script(
      'wal-insert.php',
      `${meet('shared')} ${open}
      for ($i = 0; $i < 100; $i++) {
        $db->exec("BEGIN IMMEDIATE");
        $db->prepare("INSERT INTO t VALUES (?)")->execute([getmypid()]);
        $db->exec("UPDATE sums SET n = n + 1 WHERE rowid = 1; UPDATE sums SET n = n - 1 WHERE rowid = 2");
        $db->exec("COMMIT");
        $sum = $db->query("SELECT sum(n) FROM sums")->fetchColumn();
        if ($sum != 1000) echo "a sum of $sum\n";
      }`,
    );
    assert.deepEqual(await runTwice(path), ['', '']);
    const sum = script(
      'wal-sum.php',
      `${open} echo json_encode([$db->query("SELECT count(*), count(DISTINCT pid), (SELECT group_concat(n) FROM sums) FROM t")->fetch(PDO::FETCH_NUM), $db->query("PRAGMA integrity_check")->fetchColumn()]);`,
    );
    assert.equal((await php.run(sum)).body, '[[200,2,"700,300"],"ok"]');
  });

  it('says what php-fpm says of a missing script', async () => {
    const { head, body, stderr } = await php.run(join(root, 'absent.php'));
    assert.equal(head[0], 'Status: 404 Not Found');
    assert.equal(body, 'File not found.\n');
    assert.equal(stderr, 'Primary script unknown\n');
  });

  it('an error of the script is a 500 with its message on STDERR, and the worker lives on', async () => {
    const before = workers(php);
    const { head, stderr, appStatus } = await php.run(
      script('fatal.php', 'ini_set("display_errors", 0); undefined_function();'),
    );
    assert.equal(head[0], 'Status: 500');
    assert.match(stderr, /PHP Fatal error:.*undefined_function/);
    assert.equal(appStatus, 255);
    assert.equal((await php.run(script('exit.php', 'echo "bye"; exit(3);'))).body, 'bye');
    assert.match(
      (await php.run(script('memory.php', '$s = str_repeat("x", 1 << 30);'))).stderr,
      /Allowed memory size/,
    );
    assert.equal((await php.run(script('fine.php', 'echo "fine";'))).body, 'fine');
    assert.deepEqual(workers(php), before);
  });

  it('a message before the head, and output before a cookie, lose no cookie: php.ini is that of php-fpm', async () => {
    const path = script(
      'cookie.php',
      '(function ($optional = 1, $required) {})(1, 2); echo $undefined, "early"; session_start(); header("X-Late: yes"); setcookie("c", "d"); echo "late";',
    );
    const { head, body, stderr } = await php.run(path);
    assert.equal(body, 'earlylate');
    for (const line of ['X-Late: yes', 'Set-Cookie: c=d']) assert.ok(head.includes(line), head.join('\n'));
    assert.ok(
      head.some((line) => line.startsWith('Set-Cookie: PHPSESSID=')),
      head.join('\n'),
    );
    assert.match(stderr, /^PHP Warning: {2}Undefined variable \$undefined in .*cookie\.php/);
    assert.doesNotMatch(stderr, /Deprecated/);
  });

  it('php.ini is that of production, and OpenSSL finds its configuration', async () => {
    const path = script(
      'production.php',
      `foreach (["short_open_tag", "expose_php", "enable_dl", "display_errors"] as $name) if (ini_get($name)) echo $name;
      assert(false);
      openssl_pkey_export(openssl_pkey_new(), $key);
      $request = openssl_csr_new(["commonName" => "example.org"], $key);
      $certificate = openssl_csr_sign($request, null, $key, 1);
      echo isset($argc) || isset($_SERVER["argv"]) ? "arguments" : "no arguments", " ", openssl_x509_parse($certificate)["subject"]["CN"], " ";
      ?><?xml version="1.0"?>`,
    );
    const { body, head, stderr } = await php.run(path, { QUERY_STRING: 'a+b' });
    assert.equal(body, 'no arguments example.org <?xml version="1.0"?>', stderr);
    assert.ok(!head.some((line) => /^X-Powered-By/i.test(line)), head.join('\n'));
  });

  it('phpinfo names the SAPI', async () => {
    const { body } = await php.run(script('info.php', 'phpinfo();'));
    assert.match(body, /PHP Version 8\.4/);
  });

  it('events arrive one by one, and the head before the first byte of the body', async () => {
    const path = script(
      'events.php',
      // Goes on when the piece before has arrived.
      'header("Content-Type: text/event-stream"); ob_end_flush(); flush(); foreach ([1, 2, 3] as $n) { while (!file_exists(__DIR__ . "/arrived-$n")) { usleep(5000); clearstatcache(); } echo "data: $n\n\n"; flush(); }',
    );
    const arrivals: string[] = [];
    await new Promise<void>((resolve, reject) => {
      php.source.open(
        { variables: ['SCRIPT_FILENAME', path, 'REQUEST_METHOD', 'GET'], body: undefined },
        {
          stdout(chunk) {
            arrivals.push(chunk.toString());
            writeFileSync(join(root, `arrived-${arrivals.length}`), '');
            return true;
          },
          stderr() {},
          end: () => resolve(),
          error: reject,
        },
      );
    });
    assert.equal(arrivals.length, 4, JSON.stringify(arrivals));
    assert.match(arrivals[0]!, /Content-type: text\/event-stream[\s\S]*\r\n\r\n$/i);
    assert.deepEqual(arrivals.slice(1), ['data: 1\n\n', 'data: 2\n\n', 'data: 3\n\n']);
  });

  it('two workers answer at the same time', async () => {
    const [one, two] = await runTwice(script('meet.php', `${meet('workers')} echo getmypid();`));
    assert.notEqual(one, two);
    assert.equal(workers(php).length, 2);
  });

  it('a large answer waits for its reader in little memory', async () => {
    const path = script(
      'large.php',
      '$block = str_repeat("0123456789abcdef", 4096); for ($i = 0; $i < 1024; $i++) echo $block;',
    );
    for (const worker of workers(php)) resetPeakResidentBytes(worker);
    const before = Math.max(...workers(php).map(peakResidentBytes));
    let bytes = 0;
    await new Promise<void>((resolve, reject) => {
      const exchange = php.source.open(
        { variables: ['SCRIPT_FILENAME', path, 'REQUEST_METHOD', 'GET'], body: undefined },
        {
          stdout(chunk) {
            const isFirst = bytes === 0;
            bytes += chunk.length;
            // A reader that is not there for a while.
            if (isFirst) setTimeout(() => exchange.resume(), 500);
            return !isFirst;
          },
          stderr() {},
          end: () => resolve(),
          error: reject,
        },
      );
    });
    assert.ok(bytes > 64 * 1_048_576);
    const peak = Math.max(...workers(php).map(peakResidentBytes));
    assert.ok(peak - before < 32 * 1_048_576, `${(peak - before) / 1_048_576} MiB more`);
  });

  it('a script whose reader left ends, and its worker goes on', async () => {
    const before = workers(php);
    const path = script(
      'endless.php',
      'register_shutdown_function(fn () => file_put_contents(__DIR__ . "/ended", connection_aborted())); while (true) echo str_repeat("x", 1000);',
    );
    await new Promise<void>((resolve, reject) => {
      const exchange = php.source.open(
        { variables: ['SCRIPT_FILENAME', path, 'REQUEST_METHOD', 'GET'], body: undefined },
        {
          stdout() {
            exchange.abort();
            resolve();
            return true;
          },
          stderr() {},
          end() {},
          error: reject,
        },
      );
    });
    await until(() => existsSync(join(root, 'ended')), 'the end of the script');
    await Promise.all([1, 2].map(() => php.run(script('fine.php', 'echo "fine";'))));
    assert.deepEqual(workers(php), before);
  });

  it('a script that sleeps when its reader leaves has its worker for itself until it ends', async () => {
    const before = workers(php);
    const path = script(
      'sleeper.php',
      'ignore_user_abort(true); ob_end_flush(); echo "."; flush(); for ($i = 0; $i < 10; $i++) { usleep(100000); echo "."; flush(); } file_put_contents(__DIR__ . "/slept", "x", FILE_APPEND);',
    );
    const leave = () =>
      new Promise<void>((resolve, reject) => {
        const exchange = php.source.open(
          { variables: ['SCRIPT_FILENAME', path, 'REQUEST_METHOD', 'GET'], body: undefined },
          {
            stdout() {
              exchange.abort();
              resolve();
              return true;
            },
            stderr() {},
            end() {},
            error: reject,
          },
        );
      });
    await Promise.all([leave(), leave()]);
    const answers = await Promise.all([1, 2, 3, 4].map(() => php.run(script('fine.php', 'echo "fine";'))));
    assert.deepEqual(
      answers.map(({ body }) => body),
      ['fine', 'fine', 'fine', 'fine'],
    );
    const slept = () => readFileSync(join(root, 'slept'), 'latin1');
    assert.match(slept(), /^x/, 'nobody was served beside a sleeper');
    // The worker that woke first may have served all four.
    await until(() => slept() === 'xx', 'the end of the other sleeper');
    assert.deepEqual(workers(php), before);
  });

  it('a killed worker cuts its answer, and another takes its place', async () => {
    const [victim] = workers(php);
    const path = script(
      'pause.php',
      `ob_end_flush(); echo "."; flush(); ${meet('pause')} while (!file_exists(__DIR__ . "/killed")) { usleep(5000); clearstatcache(); }`,
    );
    const asked = Promise.all([php.run(path), php.run(path)]);
    const isRunning = () => readdirSync(root).filter((name) => name.startsWith('pause-')).length === 2;
    await until(isRunning, 'a script in each worker');
    process.kill(victim!, 'SIGKILL');
    writeFileSync(join(root, 'killed'), '');
    const errors = (await asked).map(({ error }) => error?.code);
    assert.deepEqual(
      errors.filter((code) => code !== undefined),
      ['GW_ERR_SOURCE_CLOSED'],
    );
    await until(() => /A worker of the embedded PHP ended.*SIGKILL/.test(php.stderr), 'its line in the log');
    const answers = await Promise.all([1, 2, 3, 4].map(() => php.run(script('fine.php', 'echo "fine";'))));
    assert.deepEqual(
      answers.map(({ body }) => body),
      ['fine', 'fine', 'fine', 'fine'],
    );
  });

  it('a worker grown too large is replaced; one that computes for too long is ended', async () => {
    const other = new EmbeddedPhp(join(root, 'other.sock'), {
      workers: 1,
      recycleRssMb: 50,
      ini: { max_execution_time: '2', precision: '5', error_reporting: 'E_ALL & ~E_NOTICE' },
    });
    try {
      await other.listening();
      const path = script(
        'ini.php',
        'echo ini_get("precision"), " ", error_reporting() === (E_ALL & ~E_NOTICE) ? "yes" : "no";',
      );
      assert.equal((await other.run(path)).body, '5 yes');
      const [first] = workers(other);
      assert.equal((await other.run(path)).body, '5 yes');
      await until(() => !workers(other).includes(first!), 'another worker');
      const stuck = await other.run(script('stuck.php', 'while (true);'));
      assert.equal(stuck.error?.code, 'GW_ERR_SOURCE_CLOSED');
      await until(() => /computed for more than 2 seconds/.test(other.stderr), 'its line in the log');
      const longer = await other.run(
        script('longer.php', 'set_time_limit(600); $end = time() + 5; while (time() < $end); echo "done";'),
      );
      assert.deepEqual([longer.body, longer.error], ['done', undefined]);
      const shorter = await other.run(script('shorter.php', 'set_time_limit(1); while (true);'));
      assert.equal(shorter.error?.code, 'GW_ERR_SOURCE_CLOSED');
      await until(() => /computed for more than 1 seconds/.test(other.stderr), 'its line in the log');
      assert.equal((await other.run(path)).body, '5 yes');
    } finally {
      await other.stop();
    }
  });

  it('one sentence and exit status 1 for settings, an address or packages that are wrong', async () => {
    const living = new EmbeddedPhp(php.socketPath);
    await once(living.process, 'close');
    assert.equal(living.process.exitCode, 1);
    assert.match(living.stderr, /^Could not listen on unix:.*php\.sock: somebody else listens there/);
    const wrong = new EmbeddedPhp(join(root, 'wrong.sock'), { workers: 0 });
    await once(wrong.process, 'close');
    assert.match(wrong.stderr, /^FASTWAY_EMBEDDED_PHP\.workers: /);
  });

  it('a gateway starts it with itself, so that the first page waits for no start', async () => {
    const gateway = await startGateway({
      config: {
        sources: { php: { php: 'embedded', workers: 4 } },
        virtualServers: [{ documentRoot: root, preset: 'php', source: 'php' }],
      },
    });
    try {
      const booted = () => descendants(gateway.pid).filter(({ command }) => command.endsWith(' worker'));
      await until(() => booted().length > 0, 'a worker runs');
      script('one.php', 'echo getmypid();');
      const { text } = await fetchAnswer(gateway.origin, '/one.php', { timeoutMs: 60_000 });
      assert.deepEqual(
        booted().map(({ pid }) => String(pid)),
        [text],
      );
    } finally {
      await gateway.stop();
    }
  });

  it('leaves no process and no socket when it is stopped, nor when its parent dies', async () => {
    const stopped = new EmbeddedPhp(join(root, 'stopped.sock'));
    let processes: number[] = [];
    try {
      await stopped.listening();
      await stopped.run(script('fine.php', 'echo "fine";'));
      processes = workers(stopped);
      assert.equal(processes.length, 1);
    } finally {
      await stopped.stop();
    }
    assert.equal(stopped.process.exitCode, 0);
    assert.ok(!existsSync(stopped.socketPath));
    assert.deepEqual(processes.filter(isAlive), []);

    const orphanPath = join(root, 'orphan.sock');
    const settings = JSON.stringify({ address: `unix:${orphanPath}`, workers: 1, documentRoot: root });
    const parent = spawn(
      process.execPath,
      [
        '-e',
        'require("node:child_process").spawn(process.execPath, ["--import", "tsx", "src/embedded-php.ts"], { detached: true, stdio: "ignore" })',
      ],
      { env: { PATH: process.env.PATH, FASTWAY_EMBEDDED_PHP: settings }, stdio: 'ignore' },
    );
    await until(() => existsSync(orphanPath), 'the orphan listens');
    const orphans = descendants(parent.pid!).map(({ pid }) => pid);
    assert.ok(orphans.length >= 1);
    parent.kill('SIGKILL');
    await until(() => !orphans.some(isAlive), 'the orphan ends');
    await assert.rejects(once(connect(orphanPath), 'connect'));
  });
});

function workers(php: EmbeddedPhp): number[] {
  return descendants(php.process.pid!)
    .filter(({ command }) => command.endsWith(' worker'))
    .map(({ pid }) => pid)
    .sort();
}
