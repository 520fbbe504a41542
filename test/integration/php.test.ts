/** The application suite on PHP: php-fpm and php-cgi of the system, and the embedded PHP. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { applicationSuite } from '../support/application-suite.ts';
import { copyApplication } from '../support/applications.ts';
import { type GatewayProcess, startGateway, waitForLine } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';

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

    it('an uncaught exception is one line of the log: severity, request, file, line and trace', async () => {
      await fetchAnswer(gateway.origin, '/uncaught.php');
      const line = await waitForLine(gateway, /nobody catches this/);
      assert.match(
        line,
        / error PHP Fatal error: Uncaught RuntimeException: nobody catches this request=\w+ source=php file=\S+uncaught\.php line=6 trace="#0 /,
      );
      const repeated = gateway.lines.filter((other) => /nobody catches|Stack trace|thrown in/.test(other));
      assert.deepEqual(repeated, [line]);
    });
  });
}
