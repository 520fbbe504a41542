/** The application suite on Ruby (Rack on ruby-fcgi), as the one script of a directory: `scriptAlias`. */
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { applicationSuite } from '../support/application-suite.ts';
import { copyApplication, interpreterUser } from '../support/applications.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';

describe('Ruby on ruby-fcgi', () => {
  let gateway: GatewayProcess;
  before(async () => {
    const directory = copyApplication('ruby');
    const script = join(directory, 'application.rb');
    gateway = await startGateway({
      config: {
        sources: {
          ruby: {
            address: 'unix:{runtimeDir}/ruby.sock',
            interpreter: ['ruby', script, '{path}', '4'],
            spawnTimeoutMs: 10_000,
            ...interpreterUser(),
          },
        },
        virtualServers: [
          {
            documentRoot: directory,
            rules: [
              {
                match: { directory: '/ruby' },
                handler: { type: 'fastcgi', source: 'ruby', scriptAlias: script },
              },
            ],
          },
        ],
      },
    });
  });
  after(() => gateway?.stop());

  // Debian's fcgi.so does not load in its Ruby, and the library in Ruby that stands in collects the whole answer.
  applicationSuite({
    origin: () => gateway.origin,
    scriptName: '/ruby',
    scriptFilename: '/ruby/application.rb',
    answersAtOnce: true,
    logLines: () => gateway.lines,
  });
});
