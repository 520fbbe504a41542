/** The application suite on Perl (libfcgi), as a script that `checkFile` finds in the document root. */
import { join } from 'node:path';
import { after, before, describe } from 'node:test';
import { applicationSuite } from '../support/application-suite.ts';
import { copyApplication, interpreterUser } from '../support/applications.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';

describe('Perl on libfcgi', () => {
  let gateway: GatewayProcess;
  before(async () => {
    const directory = copyApplication('perl');
    gateway = await startGateway({
      config: {
        sources: {
          perl: {
            address: 'unix:{runtimeDir}/perl.sock',
            interpreter: ['perl', join(directory, 'application.pl'), '{path}', '4'],
            ...interpreterUser(),
          },
        },
        virtualServers: [
          {
            documentRoot: directory,
            rules: [{ match: { extensions: ['pl'] }, handler: { type: 'fastcgi', source: 'perl' } }],
          },
        ],
      },
    });
  });
  after(() => gateway?.stop());

  applicationSuite({
    origin: () => gateway.origin,
    scriptName: '/application.pl',
    scriptFilename: '/perl/application.pl',
    logLines: () => gateway.lines,
  });
});
