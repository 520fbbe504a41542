/**
 * Our application as an Authorizer (FastCGI 6.3) in front of somebody else's pages, and as a program that a web server
 * starts with its listening socket (FastCGI 2.2).
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { type ApplicationHandler, type ApplicationServer, serve } from '../../src/app/index.ts';
import { freePort } from '../support/free-port.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { createTestDirectory } from '../support/test-directory.ts';
import { apache, lighttpd, startWebServer, type WebServer } from '../support/web-servers.ts';

/** Lets in who has a ticket, and tells the page who it is; else a page of its own. */
const authorize: ApplicationHandler = (request) => {
  assert.equal(request.role, 'Authorizer');
  if (request.params.get('HTTP_X_TICKET') === 'golden') {
    request.write('Status: 200\r\nVariable-VISITOR: Charlie\r\n\r\n');
  } else {
    request.write('Status: 403 Forbidden\r\nContent-Type: text/plain\r\n\r\nNo ticket\n');
  }
};

describe('as an Authorizer', () => {
  const started: (WebServer | { stop(): Promise<void> })[] = [];
  after(async () => {
    for (const one of started.reverse()) await one.stop();
  });
  const startApplication = async (listen: string): Promise<ApplicationServer> => {
    const application = await serve(authorize, { listen, mode: 0o777 });
    started.push({ stop: () => application.close() });
    return application;
  };

  it('lighttpd: lets through to a CGI program, which gets the variables, or sends the answer', async () => {
    const path = join(createTestDirectory(), 'app.sock');
    await startApplication(`unix:${path}`);
    const web = await startWebServer(
      lighttpd(({ socket, folder }) => {
        const script = 'printf "Content-Type: text/plain\\r\\n\\r\\nWelcome $VISITOR"';
        writeFileSync(join(folder, 'page.sh'), script);
        return `"/" => (( "socket" => "${socket}", "mode" => "authorizer", "docroot" => "${folder}",
          "check-local" => "disable" ))`;
      }, 'server.modules += ( "mod_cgi" )\ncgi.assign = ( ".sh" => "/bin/sh" )'),
      path,
    );
    started.push(web);
    const refused = await fetchAnswer(web.origin, '/page.sh');
    assert.deepEqual([refused.status, refused.text], [403, 'No ticket\n'], web.log());
    const welcomed = await fetchAnswer(web.origin, '/page.sh', { headers: { 'X-Ticket': 'golden' } });
    assert.deepEqual([welcomed.status, welcomed.text], [200, 'Welcome Charlie'], web.log());
  });

  it('Apache mod_authnz_fcgi: lets through to a file, or refuses', async () => {
    const port = await freePort();
    await startApplication(`tcp://127.0.0.1:${port}`);
    const web = await startWebServer(
      apache(({ folder }) => {
        mkdirSync(join(folder, 'private'));
        writeFileSync(join(folder, 'private', 'page.txt'), 'the private page');
        return `
AuthnzFcgiDefineProvider authnz tickets fcgi://127.0.0.1:${port}/
<Location "/private">
  AuthType Basic
  AuthName "tickets"
  AuthnzFcgiCheckAuthnProvider tickets Authoritative On RequireBasicAuth Off UserExpr "%{reqenv:VISITOR}"
  Require valid-user
</Location>`;
      }),
      '',
    );
    started.push(web);
    const refused = await fetchAnswer(web.origin, '/private/page.txt');
    assert.equal(refused.status, 403, web.log());
    const welcomed = await fetchAnswer(web.origin, '/private/page.txt', {
      headers: { 'X-Ticket': 'golden' },
    });
    assert.deepEqual([welcomed.status, welcomed.text], [200, 'the private page'], web.log());
  });
});

describe('started by lighttpd with its listening socket', () => {
  const listens = {
    unix: ({ folder }: { folder: string }) => `"socket" => "${folder}/inherited.sock"`,
    tcp: (_place: unknown, port: number) => `"host" => "127.0.0.1", "port" => ${port}`,
  };
  for (const [kind, listen] of Object.entries(listens)) {
    it(`answers at file descriptor 0, ${kind}`, async () => {
      const directory = createTestDirectory();
      const program = join(directory, 'program.mts');
      const entry = (path: string) => JSON.stringify(fileURLToPath(new URL(path, import.meta.url)));
      writeFileSync(
        program,
        `import { serve } from ${entry('../../src/app/index.ts')};
        const server = await serve((request) => {
          request.write('Content-Type: text/plain\\r\\n\\r\\nfrom ' + (server.address?.kind ?? 'unix'));
        });
        process.once('SIGTERM', () => void server.close(5_000).then(() => process.exit()));`,
      );
      const port = await freePort();
      const command = `${process.execPath} --import ${import.meta.resolve('tsx')} ${program}`;
      const web = await startWebServer(
        lighttpd(
          (place) => `"/" => (( ${listen(place, port)}, "bin-path" => "${command}", "max-procs" => 1,
            "check-local" => "disable" ))`,
        ),
        '',
      );
      try {
        const answer = await fetchAnswer(web.origin, '/');
        assert.deepEqual([answer.status, answer.text], [200, `from ${kind}`], web.log());
      } finally {
        await web.stop();
      }
    });
  }
});
