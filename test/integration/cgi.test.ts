/** The application suite on the `cgi` handler: a program of its own for each request, here the PHP one on php-cgi. */
import { chmodSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { applicationSuite } from '../support/application-suite.ts';
import { type GatewayProcess, repository, startGateway } from '../support/gateway-process.ts';
import { createTestDirectory } from '../support/test-directory.ts';

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
