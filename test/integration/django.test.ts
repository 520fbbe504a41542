/** The application suite on Django, run by uWSGI's FastCGI socket with `checkFile` off: at `/` and below a prefix. */
import { after, before, describe } from 'node:test';
import { applicationSuite } from '../support/application-suite.ts';
import { copyApplication, interpreterUser } from '../support/applications.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';

describe('Django on uWSGI', () => {
  let gateway: GatewayProcess;
  before(async () => {
    const directory = copyApplication('django');
    gateway = await startGateway({
      config: {
        sources: {
          django: {
            address: 'unix:{runtimeDir}/django.sock',
            interpreter: [
              ...['uwsgi', '--fastcgi-socket', '{path}', '--plugin', 'python3'],
              ...['--chdir', directory, '--module', 'application'],
              ...['--master', '--processes', '4', '--die-on-term', '--need-app'],
            ],
            spawnTimeoutMs: 10_000,
            ...interpreterUser(),
          },
        },
        virtualServers: [
          {
            documentRoot: directory,
            rules: [
              {
                match: { directory: '/site' },
                handler: { type: 'fastcgi', source: 'django', checkFile: false },
              },
              { handler: { type: 'fastcgi', source: 'django', checkFile: false } },
            ],
          },
        ],
      },
    });
  });
  after(() => gateway?.stop());

  describe('at /', () => {
    applicationSuite({ origin: () => gateway.origin, scriptName: '', logLines: () => gateway.lines });
  });
  describe('below /site', () => {
    applicationSuite({ origin: () => gateway.origin, scriptName: '/site' });
  });
});
