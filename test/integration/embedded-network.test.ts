/**
 * The embedded PHP as a client of servers: HTTP, TLS and plain TCP, by names, IPv4, IPv6 and unix sockets, from all that PHP has
 * for it. What a script leaves open is closed, and no descriptor is left.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { type AddressInfo, createServer as createTcpServer, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

const large = Buffer.alloc(5_000_000, 'fastway');
const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');

function answer(request: IncomingMessage, response: ServerResponse): void {
  switch (request.url) {
    case '/hello':
      response.end(`hello ${request.headers.host}`);
      break;
    case '/large':
      response.end(large);
      break;
    case '/echo':
      request.pipe(response);
      break;
    case '/late':
      setTimeout(() => response.end('late'), 300);
      break;
    case '/later':
      setTimeout(() => response.end('later'), 7_000);
      break;
    case '/reset':
      request.socket.resetAndDestroy();
      break;
    case '/never':
      break;
  }
}

describe('the embedded PHP as a client', () => {
  const root = createTestDirectory();
  const key = join(root, 'key.pem');
  const cert = join(root, 'cert.pem');
  const socketPath = join(root, 'server.sock');
  /** Connections to the server of plain TCP that are open. */
  const silent = new Set<Socket>();
  const servers: Server[] = [];
  let ports: Record<'http' | 'tls' | 'silent', number>;
  let gateway: GatewayProcess;
  let worker: number;

  const listen = async (
    server: Server,
    where: { host: string; port: 0 } | { path: string },
  ): Promise<number> => {
    servers.push(server);
    server.listen(where);
    await once(server, 'listening');
    return (server.address() as AddressInfo).port;
  };
  /** What an expression of PHP comes to; `$http`, `$tls` and `$silent` are ports. Throws PHP's warnings. */
  const evaluate = async (expression: string, timeoutMs = 30_000): Promise<unknown> => {
    const { text } = await fetchAnswer(gateway.origin, '/evaluate.php', {
      method: 'POST',
      body: Buffer.from(expression),
      timeoutMs,
    });
    const { value, warnings, pid } = JSON.parse(text) as { value: unknown; warnings: string; pid: number };
    assert.equal(pid, worker, 'The worker was replaced');
    if (warnings !== '') throw new Error(warnings);
    return value;
  };

  before(async () => {
    execFileSync(
      'openssl',
      // biome-ignore format: as one would type it
      ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-subj', '/CN=localhost',
        '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'],
      { stdio: 'ignore' },
    );
    const silentServer = createTcpServer((socket) => {
      silent.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => silent.delete(socket));
    });
    const secure = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, answer);
    ports = {
      http: await listen(createServer(answer), { host: '127.0.0.1', port: 0 }),
      tls: await listen(secure, { host: '127.0.0.1', port: 0 }),
      silent: await listen(silentServer, { host: '127.0.0.1', port: 0 }),
    };
    await listen(createServer(answer), { path: socketPath });
    // The worker is another user where the gateway is root.
    chmodSync(socketPath, 0o666);
    writeFileSync(
      join(root, 'evaluate.php'),
      `<?php
      [$http, $tls, $silent] = [${ports.http}, ${ports.tls}, ${ports.silent}];
      $warnings = '';
      set_error_handler(function ($level, $message) use (&$warnings) { if (error_reporting() & $level) $warnings .= $message; return true; });
      function curl($url, $options = []) {
        $curl = curl_init($url);
        curl_setopt_array($curl, $options + [CURLOPT_RETURNTRANSFER => true, CURLOPT_NOSIGNAL => true]);
        $text = curl_exec($curl);
        return curl_errno($curl) === 0 ? $text : curl_errno($curl);
      }
      try { $value = eval('return ' . file_get_contents('php://input') . ';'); }
      catch (Throwable $error) { $warnings .= get_class($error) . ': ' . $error->getMessage(); }
      echo json_encode(['value' => $value ?? null, 'warnings' => $warnings, 'pid' => getmypid()]);`,
    );
    gateway = await startGateway({
      config: {
        sources: { php: { php: 'embedded', workers: 1, ini: { max_execution_time: '5' } } },
        virtualServers: [{ documentRoot: root, preset: 'php', source: 'php' }],
      },
    });
    writeFileSync(join(root, 'pid.php'), '<?php echo getmypid();');
    worker = Number((await fetchAnswer(gateway.origin, '/pid.php', { timeoutMs: 60_000 })).text);
  });
  after(async () => {
    await gateway?.stop();
    for (const socket of silent) socket.destroy();
    for (const server of servers) server.close();
  });

  it('streams, curl and plain sockets reach a server by IPv4, by name and by a unix socket', async () => {
    assert.equal(
      await evaluate('file_get_contents("http://127.0.0.1:$http/hello")'),
      `hello 127.0.0.1:${ports.http}`,
    );
    // The other address of the name, where there is one, refuses.
    assert.equal(
      await evaluate('file_get_contents("http://localhost:$http/hello")'),
      `hello localhost:${ports.http}`,
    );
    assert.equal(await evaluate('curl("http://127.0.0.1:$http/hello")'), `hello 127.0.0.1:${ports.http}`);
    assert.equal(await evaluate('curl("http://localhost:$http/hello")'), `hello localhost:${ports.http}`);
    const plain =
      '(function ($f) { fwrite($f, "GET /hello HTTP/1.0\\r\\nHost: plain\\r\\n\\r\\n"); return stream_get_contents($f); })';
    for (const opened of [
      'fsockopen("127.0.0.1", $http)',
      'stream_socket_client("tcp://localhost:$http")',
      `stream_socket_client("unix://${socketPath}")`,
    ]) {
      assert.match(
        String(await evaluate(`${plain}(${opened})`)),
        /^HTTP\/1\.1 200 OK[\s\S]*hello plain$/,
        opened,
      );
    }
  });

  it('reaches a server that listens on IPv6 alone, by its address and by name', async (context) => {
    if (!Object.values(networkInterfaces()).some((all) => all?.some(({ address }) => address === '::1'))) {
      context.skip('this machine has no IPv6');
      return;
    }
    const port = await listen(createServer(answer), { host: '::1', port: 0 });
    assert.equal(await evaluate(`file_get_contents("http://[::1]:${port}/hello")`), `hello [::1]:${port}`);
    assert.equal(
      await evaluate(`stream_socket_get_name(stream_socket_client("tcp://[::1]:${port}"), true)`),
      `[::1]:${port}`,
    );
  });

  it('TLS: a certificate is checked, against what the machine trusts unless the script says otherwise', async () => {
    const trusting = `stream_context_create(["ssl" => ["cafile" => "${cert}"]])`;
    const hello = `hello localhost:${ports.tls}`;
    assert.equal(
      await evaluate(`file_get_contents("https://localhost:$tls/hello", false, ${trusting})`),
      hello,
    );
    assert.equal(
      await evaluate(`curl("https://localhost:$tls/hello", [CURLOPT_CAINFO => "${cert}"])`),
      hello,
    );
    await assert.rejects(
      evaluate('file_get_contents("https://localhost:$tls/hello")'),
      /certificate verify failed/,
    );
    assert.equal(await evaluate('curl("https://localhost:$tls/hello")'), 60);
    assert.equal(
      await evaluate('preg_match("/BEGIN CERTIFICATE/", file_get_contents(ini_get("openssl.cafile")))'),
      1,
    );
    assert.equal(
      await evaluate(`hash("sha256", file_get_contents("https://localhost:$tls/large", false, ${trusting}))`),
      sha256(large),
    );
  });

  it('large answers and bodies arrive whole', async () => {
    const hash = sha256(large);
    assert.equal(await evaluate('hash("sha256", file_get_contents("http://127.0.0.1:$http/large"))'), hash);
    assert.equal(await evaluate('hash("sha256", curl("http://127.0.0.1:$http/large"))'), hash);
    const body = 'str_repeat("0123456789", 300000)';
    assert.equal(
      await evaluate(`curl("http://127.0.0.1:$http/echo", [CURLOPT_POSTFIELDS => ${body}]) === ${body}`),
      true,
    );
  });

  it('curl_multi waits for several at the same time, and stream_select for one', async () => {
    const several = `(function () use ($http) {
      $multi = curl_multi_init();
      for ($i = 0; $i < 5; $i++) {
        $all[] = $curl = curl_init("http://127.0.0.1:$http/late");
        curl_setopt($curl, CURLOPT_RETURNTRANSFER, true);
        curl_multi_add_handle($multi, $curl);
      }
      do { curl_multi_exec($multi, $running); if ($running) curl_multi_select($multi, 5); } while ($running);
      return array_map('curl_multi_getcontent', $all);
    })()`;
    assert.deepEqual(await evaluate(several), Array(5).fill('late'));
    const select = (path: string, seconds: number) =>
      `(function ($f) { fwrite($f, "GET ${path} HTTP/1.0\\r\\n\\r\\n"); $r = [$f]; $w = $e = null; return [stream_select($r, $w, $e, ${seconds}), $r === [] ? '' : substr(fgets($f), 0, 12)]; })(fsockopen("127.0.0.1", $http))`;
    assert.deepEqual(await evaluate(select('/late', 20)), [1, 'HTTP/1.1 200']);
    assert.equal(
      await evaluate(
        select('/never', 0).replace(
          "[stream_select($r, $w, $e, 0), $r === [] ? '' : substr(fgets($f), 0, 12)]",
          'stream_select($r, $w, $e, 0, 200000)',
        ),
      ),
      0,
    );
  });

  it('time limits end what never answers, and a broken connection is a warning', async () => {
    const limited = 'stream_context_create(["http" => ["timeout" => 0.5]])';
    await assert.rejects(
      evaluate(`file_get_contents("http://127.0.0.1:$http/never", false, ${limited})`),
      /HTTP request failed/,
    );
    assert.equal(await evaluate('curl("http://127.0.0.1:$http/never", [CURLOPT_TIMEOUT_MS => 1500])'), 28);
    await assert.rejects(
      evaluate('file_get_contents("http://127.0.0.1:$http/reset")'),
      /HTTP request failed/,
    );
    assert.equal(await evaluate('curl("http://127.0.0.1:$http/reset")'), 56);
  });

  it('a script may wait for a server for longer than it may compute', async () => {
    assert.equal(await evaluate('file_get_contents("http://127.0.0.1:$http/later")'), 'later');
  });

  it('a worker opens as many connections as a process may, and all are closed with the request', async () => {
    const many = `(function () use ($silent) {
      for ($i = 0; $i < 300; $i++) $open[] = @fsockopen("127.0.0.1", $silent, $number, $text);
      $GLOBALS["kept"] = $open;
      return [count(array_filter($open)), $text];
    })()`;
    assert.deepEqual(await evaluate(many), [256, 'No file descriptors available']);
    assert.equal(await evaluate('is_resource(pfsockopen("127.0.0.1", $silent))'), true);
    await until(() => silent.size === 0, 'the end of all connections');
    // A persistent one that was closed is opened anew.
    assert.equal(await evaluate('fwrite(pfsockopen("127.0.0.1", $silent), "x")'), 1);
  });

  it('a thousand requests that connect leave no descriptor', async () => {
    const descriptors = () => readdirSync(`/proc/${worker}/fd`).length;
    const connect = (times: number) =>
      evaluate(
        `(function () use ($http) { for ($i = 0; $i < ${times}; $i++) { $f = fsockopen("127.0.0.1", $http); if ($i % 2) fclose($f); } return true; })()`,
      );
    await connect(10);
    const before = descriptors();
    for (let request = 0; request < 1_000; request++) await connect(2);
    await until(() => descriptors() <= before + 2, `${before} descriptors again`);
  });

  it('a script that waits for a server, though its client has gone, gives its worker back', async () => {
    writeFileSync(
      join(root, 'wait.php'),
      `<?php ignore_user_abort(true); ini_set('default_socket_timeout', 100000); fgets(fsockopen('127.0.0.1', ${ports.silent}));`,
    );
    const before = new Set(silent);
    const leaver = new AbortController();
    const leaving = assert.rejects(fetchAnswer(gateway.origin, '/wait.php', { signal: leaver.signal }));
    await until(() => [...silent].some((socket) => !before.has(socket)), 'its connection');
    leaver.abort();
    await leaving;
    assert.equal((await fetchAnswer(gateway.origin, '/pid.php')).status, 200);
    await waitForLine(gateway, /or waited so long without a client/);
  });
});
