/** `fastway conformance`: plays a web server against an application, or an application against a web server. */
import { escapeControls, escapeJson } from '../base/escape.ts';
import { hidden, hideInText, hideValue } from '../base/secrets.ts';
import { type CaseResult, checkApplication, checkWebServer } from '../testing/index.ts';
import { type Flags, readFlags, showSecretsFlag } from './flags.ts';
import { readVariable } from './request-words.ts';
import { readAddress } from './site.ts';
import { type Terminal, UsageError } from './terminal.ts';

export const conformanceFlags: Flags = {
  script: { value: 'PATH', help: 'Script to ask for, best one that echoes (docs/conformance.md)' },
  env: { value: 'NAME=VALUE', multiple: true, help: 'A variable of every request' },
  listen: { value: 'ADDRESS', help: 'Be the application of a web server, at this address' },
  url: { value: 'URL', help: 'With --listen: a URL that the web server passes to it' },
  only: { value: 'CASE', multiple: true, help: 'Only cases whose id contains this' },
  timeout: { value: 'MS', help: 'Longest wait for anything (3000; 10000 with --listen)' },
  json: { help: 'Print the results as JSON' },
  ...showSecretsFlag,
};

const usage =
  'Say what to check: fastway conformance ADDRESS, or fastway conformance --listen ADDRESS --url http://127.0.0.1:8080/app';

/** @returns 0 when no case failed, else 1 */
export async function conformance(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = readFlags(conformanceFlags, args, terminal.env);
  const [written, ...more] = line.positionals;
  const listen = line.text('listen');
  const url = line.text('url');
  if (
    more.length > 0 ||
    (written === undefined) === (listen === undefined) ||
    (listen === undefined) !== (url === undefined)
  ) {
    throw new UsageError(usage);
  }
  if (url !== undefined && !/^http:\/\//.test(url))
    throw new UsageError(`--url is ${JSON.stringify(url)}, but must begin with http://`);
  const isJson = line.isOn('json');
  const variables = line.texts('env').map(readVariable);
  const hide = (result: CaseResult): CaseResult =>
    line.isOn('show-secrets') ? result : { ...result, note: hideNote(result.note, variables) };
  const common = {
    only: line.texts('only'),
    timeoutMs: line.number('timeout', 1, 600_000),
    onResult: isJson ? undefined : (result: CaseResult) => terminal.print(printResult(hide(result))),
  };
  const results =
    listen === undefined
      ? await checkApplication(readAddress(written!, terminal.cwd), {
          ...common,
          script: line.text('script'),
          variables: Object.fromEntries(variables),
        })
      : await checkWebServer({ ...common, listen: readAddress(listen, terminal.cwd), url: url! });
  if (results.length === 0)
    throw new UsageError('No case has an id like this; leave out --only to see them all');
  if (isJson) terminal.print(`${escapeJson(JSON.stringify(results.map(hide), null, 2))}\n`);
  else terminal.print(`${summarize(results)}\n`);
  return results.some(({ outcome }) => outcome === 'fail') ? 1 : 0;
}

/** An application may have sent back what it was given. */
function hideNote(note: string, variables: readonly (readonly [string, string])[]): string {
  const secrets = variables.filter(([name, value]) => value.length > 3 && hideValue(name, value) !== value);
  return hideInText(secrets.reduce((text, [, value]) => text.replaceAll(value, hidden), note));
}

function printResult({ id, section, title, outcome, note }: CaseResult): string {
  const reason = note === '' ? '' : `\n${' '.repeat(15)}${escapeControls(note)}`;
  return `${outcome.padEnd(15)}${id.padEnd(26)} ${title} (${section})${reason}\n`;
}

function summarize(results: readonly CaseResult[]): string {
  const counts = new Map<string, number>();
  for (const { outcome } of results) counts.set(outcome, (counts.get(outcome) ?? 0) + 1);
  return `${results.length} cases: ${[...counts].map(([outcome, count]) => `${count} ${outcome}`).join(', ')}`;
}
