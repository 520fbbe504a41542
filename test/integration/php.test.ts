/** The application suite on PHP: php-fpm and php-cgi of the system, and the embedded PHP. */
import { after, before, describe } from 'node:test';
import { applicationSuite } from '../support/application-suite.ts';
import { copyApplication } from '../support/applications.ts';
import { type GatewayProcess, startGateway } from '../support/gateway-process.ts';

for (const php of ['fpm', 'cgi', 'embedded'] as const) {
  describe(`PHP: ${php}`, () => {
    let gateway: GatewayProcess;
    before(async () => {
      gateway = await startGateway({
        config: {
          sources: { php: { php, workers: php === 'embedded' ? 2 : 4 } },
          virtualServers: [
            {
              documentRoot: copyApplication('php'),
              rules: [
                { match: { extensions: ['php'] }, handler: { type: 'fastcgi', source: 'php' } },
                { handler: { type: 'files' } },
              ],
            },
          ],
        },
      });
    });
    after(() => gateway?.stop());

    applicationSuite({
      origin: () => gateway.origin,
      scriptName: '/application.php',
      scriptFilename: '/php/application.php',
      logLines: () => gateway.lines,
    });
  });
}
