/** The application suite on the `cgi` handler: a program of its own for each request, here the PHP one on php-cgi. */
import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { applicationSuite } from '../support/application-suite.ts';
import { type GatewayProcess, repository, startGateway, waitForLine } from '../support/gateway-process.ts';
import { createTestDirectory, openToAll } from '../support/test-directory.ts';
import { until } from '../support/until.ts';

describe('a CGI program', () => {
  let gateway: GatewayProcess;
  before(async () => {
    const directory = createTestDirectory();
    const program = join(directory, 'application.cgi');
    const source = readFileSync(join(repository, 'test/applications/php/application.php'), 'utf8');
    writeFileSync(program, `#!/usr/bin/php-cgi\n${source}`);
    chmodSync(program, 0o755);
    gateway = await startGateway({
      config: {
        virtualServers: [
          {
            documentRoot: directory,
            rules: [{ match: { extensions: ['cgi'] }, handler: { type: 'cgi' } }],
          },
        ],
      },
    });
  });
  after(() => gateway?.stop());

  applicationSuite({
    origin: () => gateway.origin,
    scriptName: '/application.cgi',
    scriptFilename: '/application.cgi',
    logLines: () => gateway.lines,
  });
});

/** Says that it runs, works until it is told to end, printing all the time, and says whether it came to its end. */
const work = `#!/bin/sh
cat > /dev/null
file=work/$QUERY_STRING
printf 'Content-Type: text/plain\\n\\n'
echo run > $file.run
while [ ! -e $file.go ]; do printf '%01000d\\n' 1; sleep 0.02; done
echo done > $file.done
`;

describe('a CGI program whose client leaves', () => {
  const directory = createTestDirectory();
  const state = (name: string) => join(directory, 'work', name);
  let gateway: GatewayProcess;
  before(async () => {
    mkdirSync(state(''));
    openToAll(state(''));
    writeFileSync(join(directory, 'work.cgi'), work);
    chmodSync(join(directory, 'work.cgi'), 0o755);
    gateway = await startGateway({
      config: {
        virtualServers: [
          {
            documentRoot: directory,
            accessLog: {},
            rules: [{ handler: { type: 'cgi', capacity: 1 } }],
          },
        ],
      },
    });
  });
  after(() => gateway?.stop());

  for (const [method, leave] of [
    ['POST', 'destroy'],
    ['POST', 'resetAndDestroy'],
    ['PUT', 'destroy'],
  ] as const)
    it(`${method}, ${leave}: it comes to its end, and then its place is free`, async () => {
      const name = `${method}-${leave}`;
      const client = connect(gateway.port, '127.0.0.1');
      client.on('error', () => {});
      client.resume();
      client.write(`${method} /work.cgi?${name} HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na=1`);
      await until(() => existsSync(state(`${name}.run`)), 'a program that runs');
      client[leave]();
      await waitForLine(gateway, new RegExp(`"${method} /work.cgi\\?${name} HTTP/1.1" (499|200) `));
      writeFileSync(state(`${name}-next.go`), '');
      const next = fetch(`${gateway.origin}/work.cgi?${name}-next`);
      writeFileSync(state(`${name}.go`), '');
      await until(() => existsSync(state(`${name}.done`)), 'the end of the program');
      assert.equal((await next).status, 200);
    });
});
