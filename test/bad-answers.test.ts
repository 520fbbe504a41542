/**
 * What an application answers and no client may get is a 502, a line in the log without a place in our code, and counts
 * against its source, whichever handler asked: three of them, and the source is out of service.
 */
import assert from 'node:assert/strict';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { request as sendRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { type ApplicationServer, serve } from '../src/app/index.ts';
import { type LogFields, silentLog } from '../src/base/log.ts';
import type { RuleInput } from '../src/config/types.ts';
import { createGateway } from '../src/gateway/gateway.ts';
import type { Gateway } from '../src/gateway/options.ts';

/** What it is -> what the application says, and the code in the log. */
const answers: Readonly<Record<string, readonly [string, string]>> = {
  nothing: ['', 'GW_ERR_CGI_NO_HEAD'],
  noColon: ['hello\r\n\r\n', 'GW_ERR_CGI_HEAD'],
  half: ['Content-Type: text/plain\r\n', 'GW_ERR_CGI_HEAD'],
  tooLarge: [`X-A: ${'b'.repeat(70_000)}\r\n\r\n`, 'GW_ERR_CGI_HEAD_TOO_LARGE'],
  noProtocol: ['Status: 101\r\n\r\n', 'GW_ERR_CGI_HEAD'],
};

/** Only who follows a local redirect looks where it leads. */
const badLocation = ['Location: /%zz\r\n\r\n', 'GW_ERR_CGI_HEAD'] as const;

/** A 200 for a client, and no word that lets anybody in. */
const emptyHead = ['\r\nhello', 'GW_ERR_CGI_NO_HEAD'] as const;

/** The handler -> a rule that asks a source in this way, below a directory. */
const askers: Readonly<Record<string, (asked: Asked) => RuleInput>> = {
  fastcgi: (asked) => ({ handler: { type: 'fastcgi', checkFile: false, localRedirect: true, ...asked } }),
  upgrade: (asked) => ({ handler: { type: 'fastcgi', checkFile: false, upgrade: true, ...asked } }),
  filter: (asked) => ({ handler: { type: 'filter', ...asked } }),
  authorizer: (asked) => ({ authorize: asked, handler: { type: 'files' } }),
};

interface Asked {
  readonly source: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Its source, and its directory. */
const nameOf = ({ asker, answer }: Pick<Case, 'asker' | 'answer'>) => `${asker}-${answer}`;

interface Case {
  readonly asker: string;
  readonly answer: string;
  readonly code: string;
}

const cases: readonly Case[] = Object.keys(askers).flatMap((asker) => [
  ...Object.entries(answers).map(([answer, [, code]]) => ({ asker, answer, code })),
  ...(asker === 'fastcgi' ? [{ asker, answer: 'badLocation', code: badLocation[1] }] : []),
  ...(asker === 'authorizer' ? [{ asker, answer: 'emptyHead', code: emptyHead[1] }] : []),
]);

describe('a bad answer counts against its source', () => {
  let directory: string;
  let application: ApplicationServer;
  let gateway: Gateway;
  let port: number;
  const logged: LogFields[] = [];

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'fastway-answers-'));
    const address = `unix:${join(directory, 'application.sock')}`;
    const said = new Map(
      Object.entries({ ...answers, badLocation, emptyHead }).map(([name, [text]]) => [name, text] as const),
    );
    application = await serve(
      (request) => {
        // An Authorizer is told no path (FastCGI 6.3): each has a variable for it.
        const name = request.params.get('ANSWER') ?? '';
        request.write(said.get(name)!);
        request.end();
      },
      { listen: address },
    );
    for (const one of cases) {
      mkdirSync(join(directory, nameOf(one)));
      writeFileSync(join(directory, nameOf(one), 'page.html'), 'text');
    }
    const log = (_: string, fields?: LogFields) => {
      if (fields?.code !== undefined) logged.push(fields);
    };
    gateway = await createGateway(
      {
        listen: [{ host: '127.0.0.1', port: 0 }],
        sources: Object.fromEntries(cases.map((one) => [nameOf(one), { address }])),
        virtualServers: [
          {
            documentRoot: directory,
            rules: cases.map((one) => ({
              match: { directory: `/${nameOf(one)}` },
              ...askers[one.asker]!({ source: nameOf(one), env: { ANSWER: one.answer } }),
            })),
          },
        ],
      },
      { log: { ...silentLog, info: log, warn: log, error: log } },
    );
    const [url] = await gateway.listen();
    port = Number(new URL(url!).port);
  });

  after(async () => {
    await gateway?.close(0);
    await application?.close();
    await rm(directory, { recursive: true });
  });

  for (const { asker, answer, code } of cases) {
    it(`${asker}, ${answer}`, async () => {
      const name = nameOf({ asker, answer });
      const headers: Readonly<Record<string, string>> =
        asker === 'upgrade' ? { Connection: 'Upgrade', Upgrade: 'websocket' } : {};
      for (let i = 0; i < 3; i++) {
        const { isAvailable } = gateway.sources.find((source) => source.name === name)!;
        assert.equal(isAvailable, true, `before request ${i + 1}`);
        assert.equal(await statusOf(port, `/${name}/page.html`, headers), 502);
      }
      assert.equal(gateway.sources.find((source) => source.name === name)!.isAvailable, false);
      const lines = logged.filter(({ source }) => source === name);
      assert.deepEqual(
        lines.map((line) => [line.code, line.stack]),
        Array(3).fill([code, undefined]),
      );
    });
  }
});

function statusOf(port: number, path: string, headers: Readonly<Record<string, string>>): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = sendRequest({ host: '127.0.0.1', port, path, headers, agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode!));
    });
    request.on('upgrade', () => reject(new Error('It was upgraded')));
    request.on('error', reject);
    request.end();
  });
}
