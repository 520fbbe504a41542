/** What one request costs in target, script path, meta-variables and response head: `npx tsx bench/micro/meta-variables.ts`. */
import { MetaVariables } from '../../src/cgi/meta-variables.ts';
import { ResponseParser } from '../../src/cgi/response-parser.ts';
import { findScript, type ScriptMapping, type ScriptPath } from '../../src/cgi/script-path.ts';
import { parseTarget } from '../../src/http/target.ts';

const fields = [
  ...[
    'Host',
    'www.example.com',
    'User-Agent',
    'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  ],
  ...[
    'Accept',
    'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8',
    'Accept-Language',
    'en-GB,en;q=0.5',
  ],
  ...[
    'Accept-Encoding',
    'gzip, deflate, br',
    'Referer',
    'https://www.example.com/',
    'Connection',
    'keep-alive',
  ],
  ...['Cookie', 'session=0123456789abcdef; theme=dark', 'X-Requested-With', 'XMLHttpRequest', 'DNT', '1'],
];
const mapping: ScriptMapping = {
  checkFile: true,
  guard: true,
  scriptAlias: undefined,
  isFile: () => true,
  root: { path: '/srv/www', find: () => ({ kind: 'file' }) },
  rootIsDirectory: false,
  scriptRoot: undefined,
};
const variables = new MetaVariables({
  env: new Map([['APP_ENV', 'production']]),
  passRequestHeaders: true,
  serverSoftware: 'fastway',
});
const response = Buffer.from(
  'X-Powered-By: PHP/8.2.0\r\nSet-Cookie: a=b; path=/\r\nContent-type: text/html; charset=UTF-8\r\n\r\nhello',
);
const php = ['php'];

/** Kept where the compiler cannot prove that nobody looks. */
let seen: unknown;

measure('parseTarget, plain', () => parseTarget('/a/b.php?x=1'));
measure('parseTarget, escapes and dots', () => parseTarget('/a/./caf%C3%A9/b.php?x=1'));
measure('findScript', () => findScript(mapping, '/a/b.php', '', php));
measure('MetaVariables.build, 10 fields', buildVariables(findScript(mapping, '/a/b.php', '', php)));
measure('ResponseParser.push, 3 fields', () => new ResponseParser().push(response));

function buildVariables(script: ScriptPath): () => unknown {
  if (script.kind !== 'script') throw new Error(script.kind);
  const target = parseTarget('/a/b.php?x=1');
  return () =>
    variables.build({
      method: 'GET',
      version: '1.1',
      requestUri: '/a/b.php?x=1',
      path: target.path,
      query: target.query,
      fields,
      authority: target.authority,
      host: 'www.example.com',
      secure: false,
      remoteAddress: '192.0.2.7',
      remotePort: 4711,
      localAddress: '192.0.2.1',
      localPort: 8080,
      script,
      contentLength: undefined,
      redirectedFrom: undefined,
      redirectStatus: 200,
    });
}

/** The best of five runs, so that a busy machine disturbs it little. */
function measure(name: string, run: () => unknown): void {
  const rounds = 100_000;
  let best = Number.POSITIVE_INFINITY;
  for (let attempt = 0; attempt < 5; attempt++) {
    const start = process.hrtime.bigint();
    for (let i = 0; i < rounds; i++) seen = run();
    best = Math.min(best, Number(process.hrtime.bigint() - start) / rounds);
  }
  if (seen === undefined) throw new Error(`${name} gave nothing`);
  console.log(`${name.padEnd(36)} ${(best / 1000).toFixed(2).padStart(6)} us`);
}
