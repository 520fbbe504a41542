/**
 * Runs the conformance kit on every application and web server that is installed, and writes docs/conformance.md
 * (`npm run conformance`). Fails when ours does not pass every case. Web servers: bench/install.sh.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { runProgram, startProgram, waitUntil } from '../bench/process.ts';
import { type BenchServer, servers } from '../bench/servers.ts';
import { type CaseResult, checkApplication, checkWebServer, webServerCases } from '../src/testing/index.ts';
import { type ProgramName, programNames, startEcho } from '../test/support/fastcgi-programs.ts';
import { freePort } from '../test/support/free-port.ts';
import { createTestDirectory, openToAll } from '../test/support/test-directory.ts';

interface Column {
  readonly name: string;
  readonly version: string;
  readonly results: readonly CaseResult[];
}

const packages: Record<Exclude<ProgramName, 'fastway'>, string> = {
  'php-fpm': 'php8.2-fpm',
  'php-cgi': 'php8.2-cgi',
  'libfcgi (C)': 'libfcgi-dev',
  'libfcgi (Perl)': 'libfcgi-perl',
  'ruby-fcgi': 'ruby-fcgi',
  uwsgi: 'uwsgi-core',
};

function versionOf(name: ProgramName): string {
  if (name === 'fastway') return '';
  try {
    const [, version] = runProgram(['dpkg-query', '--show', packages[name]]).trim().split('\t');
    return version!.replace(/^\d+:|[-+].*$/g, '');
  } catch {
    return '';
  }
}

async function runApplication(name: ProgramName): Promise<Column> {
  const program = await startEcho(name);
  try {
    const results = await checkApplication(program.address, { script: program.script });
    return { name, version: versionOf(name), results };
  } finally {
    await program.stop();
  }
}

/** A server that dies of a case is started again for the next one. */
async function runWebServer(server: BenchServer): Promise<Column> {
  const shared = createTestDirectory();
  openToAll(shared);
  const documentRoot = join(shared, 'root');
  const folder = join(shared, server.name);
  for (const directory of [documentRoot, folder]) mkdirSync(directory);
  writeFileSync(join(documentRoot, 'page.php'), '');
  const socket = join(shared, 'app.sock');
  const results: CaseResult[] = [];
  while (results.length < webServerCases.length) {
    const port = await freePort();
    const command = server.prepare({ folder, documentRoot, socket, port });
    const program = await startProgram(command, { core: 0, cwd: folder });
    try {
      await waitUntil(program, () => canConnect(port), 20_000);
      const found = await checkWebServer({
        listen: `unix:${socket}`,
        url: `http://127.0.0.1:${port}/page.php`,
        only: webServerCases.slice(results.length),
      });
      const alive = found.findIndex(({ note }) => note.includes('could not be connected to'));
      if (!program.exited() || alive === 0) results.push(...found);
      else results.push(...found.slice(0, Math.max(alive - 1, 0)), died(found[Math.max(alive - 1, 0)]!));
    } finally {
      await program.stop();
    }
  }
  return { name: server.title, version: server.version().replace(/^fastway | on Node.*/g, ''), results };
}

function died(result: CaseResult): CaseResult {
  return { ...result, outcome: 'fail', note: "the web server's process ended" };
}

function canConnect(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

function printTable(columns: readonly Column[]): string {
  const first = columns[0]!.results;
  const lines = [
    `| case | section | ${columns.map(({ name, version }) => `${name} ${version}`.trim()).join(' | ')} |`,
    `|---|---|${columns.map(() => '---').join('|')}|`,
    ...first.map(({ title, section }, i) => {
      const cells = columns.map(({ results }) => mark(results[i]!));
      return `| ${title} | ${section} | ${cells.join(' | ')} |`;
    }),
    `| **passed** | | ${columns.map(({ results }) => `${count(results)} of ${results.length}`).join(' | ')} |`,
  ];
  const reasons = columns.flatMap(({ name, results }) => {
    const others = results.filter(({ note }) => note !== '');
    if (others.length === 0) return [];
    return [
      `\n**${name}**\n`,
      ...others.map(({ id, outcome, note }) => `- \`${id}\`, ${outcome}: ${escapeMarkdown(note)}`),
    ];
  });
  return `${lines.join('\n')}\n${reasons.join('\n')}\n`;
}

function mark({ outcome }: CaseResult): string {
  return { pass: 'pass', fail: '**fail**', 'not supported': 'no', 'not tested': '?' }[outcome];
}

function count(results: readonly CaseResult[]): number {
  return results.filter(({ outcome }) => outcome === 'pass').length;
}

function escapeMarkdown(text: string): string {
  return text.replace(/[<|*_]/g, (c) => `\\${c}`);
}

const introduction = `# Conformance

<!-- Written by \`npm run conformance\`; change the words in scripts/write-conformance.ts. -->

\`fastway conformance\` checks FastCGI programs against the specification (FastCGI 1.0; the sections are its) and against what goes wrong in
practice. It builds and reads its records with code of its own, apart from Fastway's.

**An application**: \`fastway conformance unix:/run/app.sock\`, for PHP with \`--script /srv/echo.php\`. Best is an application that echoes: it
answers with its variables as \`NAME=VALUE\` lines, an empty line, then its STDIN (as a Filter also DATA), as text/plain. See
test/applications/echo. Without an echo some cases are "not tested".

**A web server**: \`fastway conformance --listen unix:/run/app.sock --url http://127.0.0.1:8080/page.php\`. Fastway is the application at this address, and
asks the web server for the URL, which must lead there with its query.

\`--only pairs/\` runs some cases, \`--json\` prints for programs. The exit code is 1 when a case failed. From a program:

\`\`\`ts
import { checkApplication, checkWebServer, startScriptedApplication } from 'fastway/testing';

const results = await checkApplication('unix:/run/app.sock', { script: '/srv/echo.php' });
const failed = results.filter(({ outcome }) => outcome === 'fail');
\`\`\`

\`startScriptedApplication\` alone is an application that plays any fault a request asks for (\`?play=overloaded\`; \`scenarioNames\` lists them), and
\`record\`, \`pair\`, \`params\` and the others build records for tests of your own.

**no** means: not supported, and the program says so or does no harm. All programs are as Debian 12 ships them, with two workers; the results
are of one run.
`;

const only = process.argv[2];
const applications: Column[] = [];
const webServers: Column[] = [];
for (const name of programNames) {
  if (only !== undefined && !name.includes(only)) continue;
  applications.push(await runApplication(name));
  console.error(`${name}: ${count(applications.at(-1)!.results)} passed`);
}
for (const server of servers) {
  if (server.name === 'nginx-kept' || (only !== undefined && !server.name.includes(only))) continue;
  webServers.push(await runWebServer(server));
  console.error(`${server.name}: ${count(webServers.at(-1)!.results)} passed`);
}
const text = `${introduction}\n## Applications\n\n${printTable(applications)}\n## Web servers\n\n${printTable(webServers)}`;
if (only === undefined) writeFileSync(join(import.meta.dirname, '../docs/conformance.md'), text);
else console.log(text);
const ours = [...applications, ...webServers].filter(({ name }) => /^fastway$/i.test(name));
process.exitCode = ours.every(({ results }) => count(results) === results.length) ? 0 : 1;
