/**
 * The embedded PHP with scripts that ask for what it has not (processes, fibers, sockets that listen), or for peers that are not
 * there. A call never ends a worker, nor holds it: PHP says so itself, at once.
 */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer, openAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';

/** An expression of PHP, what it comes to as JSON, and what PHP warns of; undefined: of nothing. */
type Call = readonly [expression: string, comesTo: unknown, warning?: RegExp];

const refused = /Connection refused/;
const unreachable = /Network unreachable/;
const noName = /Name does not resolve/;
const calls: readonly Call[] = [
  ['stream_socket_client("tcp://127.0.0.1:9")', false, refused],
  ['stream_socket_client("tcp://database.example:9")', false, noName],
  ['stream_socket_client("ssl://127.0.0.1:9")', false, refused],
  ['stream_socket_client("udp://127.0.0.1:53")', false, unreachable],
  ['stream_socket_client("unix:///run/no.sock")', false, /No such file or directory/],
  ['stream_socket_client("tcp://127.0.0.1:9", $n, $s, 9, STREAM_CLIENT_ASYNC_CONNECT)', 'a resource'],
  ['fsockopen("127.0.0.1", 9)', false, refused],
  ['fsockopen("localhost", 9)', false, refused],
  ['fsockopen("udp://127.0.0.1", 53)', false, unreachable],
  ['pfsockopen("127.0.0.1", 9)', false, refused],
  ['file_get_contents("http://127.0.0.1:9/")', false, refused],
  ['file_get_contents("https://service.example/")', false, noName],
  ['file_get_contents("ftp://127.0.0.1:9/")', false, /Failed to open stream/],
  ['get_headers("http://127.0.0.1:9/")', false, refused],
  ['simplexml_load_file("http://127.0.0.1:9/")', false, /failed to load/],
  ['stream_socket_server("tcp://127.0.0.1:0")', false, /Permission denied/],
  ['stream_socket_server("udp://127.0.0.1:0", $n, $s, STREAM_SERVER_BIND)', false, /Permission denied/],
  ['stream_socket_server("unix:///tmp/fastway.sock")', false, /Unable to connect to unix/],
  ['stream_socket_pair(STREAM_PF_UNIX, STREAM_SOCK_STREAM, 0)', false, /Failed to create sockets/],
  ['gethostbyname("database.example")', 'database.example'],
  ['gethostbyname("192.0.2.1")', '192.0.2.1'],
  ['gethostbyname("localhost")', '127.0.0.1'],
  ['gethostbynamel("database.example")', false],
  ['dns_get_record("database.example")', [], /always returns an empty array/],
  ['checkdnsrr("database.example")', false, /always returns false/],
  [
    '(fn ($c) => [curl_setopt($c, CURLOPT_RETURNTRANSFER, 1), curl_exec($c), curl_errno($c)])(curl_init("http://127.0.0.1:9/"))',
    [true, false, 7],
  ],
  [
    '(fn ($c) => [curl_setopt($c, CURLOPT_RETURNTRANSFER, 1), curl_exec($c), curl_errno($c)])(curl_init("https://service.example/"))',
    [true, false, 6],
  ],
  ['new mysqli("127.0.0.1", "user", "secret", "", 9)', 'mysqli_sql_exception: Connection refused'],
  ['new mysqli("localhost", "user", "secret", "", 9)', 'mysqli_sql_exception: Connection refused'],
  [
    'new PDO("mysql:host=127.0.0.1;port=9", "user", "secret")',
    'PDOException: SQLSTATE[HY000] [2002] Connection refused',
  ],
  ['exec("ls")', false, /Unable to fork \[ls\]/],
  ['shell_exec("ls")', false, /Unable to execute 'ls'/],
  ['`ls`', false, /Unable to execute 'ls'/],
  ['system("ls")', false, /Unable to fork \[ls\]/],
  ['passthru("ls")', false, /Unable to fork \[ls\]/],
  ['popen("ls", "r")', false, /popen\(ls,r\): Function not implemented, called in .*script\.php:/],
  ['popen("cat", "w")', false, /popen\(cat,w\): Function not implemented/],
  [
    'proc_open("ls", [["pipe", "r"], ["pipe", "w"]], $pipes)',
    false,
    /proc_open\(\) failed - Function not implemented/,
  ],
  [
    'proc_open(["ls"], [1 => ["pipe", "w"]], $pipes)',
    false,
    /proc_open\(\) failed - Function not implemented/,
  ],
  ['mail("to@mail.example", "subject", "text")', false],
  [
    '(new Fiber(fn () => Fiber::suspend()))->start()',
    'Error: Call to undefined method Fiber::start()',
    /Fiber\(\) has been disabled/,
  ],
  ['fgets(fopen("php://stdin", "r"))', false],
  ['syslog(LOG_ERR, "text")', true],
];

/** Says of each call what came of it and how long it took. */
const script = `<?php
$answers = [];
foreach ([${calls.map(([expression]) => `fn () => ${expression}`).join(',\n')}] as $call) {
  $warning = null;
  set_error_handler(function ($level, $message) use (&$warning) { $warning .= $message; return true; });
  $started = hrtime(true);
  try { $value = $call(); } catch (Throwable $error) { $value = get_class($error) . ': ' . $error->getMessage(); }
  $answers[] = [is_resource($value) ? 'a resource' : $value, $warning, (hrtime(true) - $started) / 1e6];
}
echo json_encode([getmypid(), $answers]);`;

describe('S23: the embedded PHP', () => {
  const root = createTestDirectory();
  const write = (name: string, text: string) => writeFileSync(join(root, name), text);
  let gateway: GatewayProcess;

  before(async () => {
    write('script.php', script);
    write('pid.php', '<?php echo getmypid();');
    gateway = await startGateway({
      config: {
        sources: {
          php: { php: 'embedded', workers: 1, ini: { max_execution_time: '5' } },
        },
        virtualServers: [{ documentRoot: root, preset: 'php', source: 'php' }],
      },
    });
    assert.equal((await fetchAnswer(gateway.origin, '/pid.php')).status, 200);
  });
  after(() => gateway?.stop());

  it('S23: a call for what it has not fails as PHP says it, at once, and its worker lives on', async () => {
    const { status, text } = await fetchAnswer(gateway.origin, '/script.php');
    assert.equal(status, 200, [text, ...gateway.lines].join('\n'));
    const [pid, answers] = JSON.parse(text) as [number, [unknown, string | null, number][]];
    assert.equal(answers.length, calls.length);
    for (const [at, [expression, comesTo, warning]] of calls.entries()) {
      const [value, warned, ms] = answers[at]!;
      assert.deepEqual(value, comesTo, `${expression}: ${warned}`);
      if (warning === undefined) assert.equal(warned, null, expression);
      else assert.match(warned ?? '', warning, expression);
      // Milliseconds; much more than a busy machine takes, and much less than any time limit of PHP.
      assert.ok(ms < 5_000, `${expression} took ${ms} ms`);
    }
    assert.equal((await fetchAnswer(gateway.origin, '/pid.php')).text, String(pid));
  });

  it('S23: the functions and classes that a site disables are disabled besides', async () => {
    write(
      'disabled.php',
      '<?php echo json_encode([function_exists("exec"), ini_get("disable_functions"), ini_get("disable_classes")]);',
    );
    const other = await startGateway({
      config: {
        sources: { php: { php: 'embedded', workers: 1, ini: { disable_functions: 'exec,system' } } },
        virtualServers: [{ documentRoot: root, preset: 'php', source: 'php' }],
      },
    });
    try {
      assert.deepEqual(JSON.parse((await fetchAnswer(other.origin, '/disabled.php')).text), [
        false,
        'gethostbyname,gethostbynamel,popen,exec,system',
        'Fiber',
      ]);
    } finally {
      await other.stop();
    }
  });

  it('S23: a script that waits on, though its client has gone, gives its worker back after the time limit', async () => {
    write('wait.php', '<?php ignore_user_abort(true); ob_end_flush(); echo "."; flush(); sleep(100000);');
    (await openAnswer(gateway.origin, '/wait.php')).destroy();
    assert.equal((await fetchAnswer(gateway.origin, '/pid.php')).status, 200);
    await waitForLine(gateway, /more than 5 seconds .*, or waited so long without a client/);
  });

  it('S23: a script that ends the interpreter is a 502, whose reason is in words, and the next is answered', async () => {
    // Each call takes of the stack of the engine, which no limit of PHP counts.
    write('crash.php', '<?php function call($n) { return array_map("call", [$n]); } call(1);');
    assert.equal((await fetchAnswer(gateway.origin, '/crash.php')).status, 502);
    assert.equal((await fetchAnswer(gateway.origin, '/pid.php')).status, 200);
    const lines = gateway.lines.filter((line) => line.includes('crashed in'));
    assert.match(
      lines.join('\n'),
      /crashed in .*crash\.php: Maximum call stack size exceeded; its worker is replaced/,
    );
  });
});
