/** `fastway explain URL [DIR]`: which rule would match, which script would run, with which variables; nothing is sent. */
import { toByteString, toText } from '../base/byte-string.ts';
import { escapeControls } from '../base/escape.ts';
import { hideInText, hideValue } from '../base/secrets.ts';
import type { Explanation } from '../handler/handler.ts';
import { canonicalAddress } from '../http/address-set.ts';
import type { RequestHead } from '../http/message.ts';
import type { RouteStep } from '../server/explain.ts';
import { type CommandLine, type Flags, readFlags, showSecretsFlag } from './flags.ts';
import { readHeader } from './request-words.ts';
import { loadSite, siteFlags } from './site.ts';
import { type Terminal, UsageError } from './terminal.ts';

export const explainFlags: Flags = {
  ...siteFlags,
  method: { value: 'METHOD', short: 'X', help: 'Method of the request (GET)' },
  header: {
    value: "'NAME: VALUE'",
    short: 'H',
    multiple: true,
    help: 'A header field; may be given several times',
  },
  client: { value: 'ADDRESS', help: 'Who connects (127.0.0.1); unix for a peer on a unix socket' },
  ...showSecretsFlag,
};

export async function explain(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = readFlags(explainFlags, args, terminal.env);
  const [url, ...directory] = line.positionals;
  if (url === undefined) throw new UsageError('explain needs a URL: fastway explain /index.php');
  const head = readHead(url, line);
  const site = await loadSite({ ...line, positionals: directory }, terminal);
  for (const warning of site.warnings) terminal.printError(`${warning}\n`);
  const { composeGateway } = await import('../gateway/gateway.ts');
  const gateway = composeGateway(site.config, { environment: terminal.env });
  try {
    const steps = gateway.explain(head);
    const printer = new Printer(line.isOn('show-secrets'));
    terminal.print(
      `${head.method} ${printer.text(url)}\n${steps.map((step) => printer.step(step)).join('')}`,
    );
  } finally {
    await gateway.close(1);
  }
  return 0;
}

/** @throws {UsageError} */
function readHead(url: string, line: CommandLine): RequestHead {
  const match = /^(?:(https?):\/\/([^/?#]+))?(\/[^#]*|\?[^#]*)?(?:#.*)?$/i.exec(url);
  if (match === null || url === '') {
    throw new UsageError(`${JSON.stringify(url)} is no URL; write http://host/path or /path`);
  }
  const [, scheme, authority = 'localhost', rest = '/'] = match;
  const secure = scheme?.toLowerCase() === 'https';
  return {
    method: line.text('method') ?? 'GET',
    target: encodeText(rest.startsWith('/') ? rest : `/${rest}`),
    version: '1.1',
    fields: ['Host', toByteString(authority), ...line.texts('header').flatMap(readHeader).map(toByteString)],
    secure,
    remoteAddress: readClient(line.text('client') ?? '127.0.0.1'),
    remotePort: 49_152,
    localAddress: '127.0.0.1',
    localPort: secure ? 443 : 80,
  };
}

/** @throws {UsageError} */
function readClient(written: string): string {
  if (written === 'unix') return '';
  const address = canonicalAddress(written);
  if (address === undefined)
    throw new UsageError(`--client is ${JSON.stringify(written)}, but must be an IP address, or unix`);
  return address;
}

/** As a browser sends what was typed: UTF-8, with escapes for all that is not ASCII or is a space. */
function encodeText(text: string): string {
  return text.replace(/[^\x21-\x7e]+/g, (part) => encodeURIComponent(part));
}

/** Prints what became of a request, in lines without control bytes. */
class Printer {
  readonly #showsSecrets: boolean;

  constructor(showsSecrets: boolean) {
    this.#showsSecrets = showsSecrets;
  }

  step(step: RouteStep): string {
    const { explanation, target, ruleDescription } = step;
    let text = row('path', this.#bytes(target.hasQuery ? `${target.path}?${target.query}` : target.path));
    text += row('server', this.text(step.virtualServer));
    text += row('matched', ruleDescription === undefined ? 'no rule' : this.#bytes(ruleDescription));
    for (const authorizer of explanation.authorizers ?? []) {
      text += row('asks', `${authorizer}, as an Authorizer: only its 200 lets the request through`);
    }
    return `\n${text}${this.#explanation(explanation)}`;
  }

  text(text: string): string {
    return escapeControls(this.#showsSecrets ? text : hideInText(text));
  }

  #explanation(explanation: Explanation): string {
    switch (explanation.action) {
      case 'run': {
        const { script, source, variables } = explanation;
        const width = Math.max(...variables.map(({ name }) => name.length));
        const lines = variables.map(
          ({ name, value, origin }) =>
            `    ${name.padEnd(width)} = ${this.#value(name, value)}  (${escapeControls(origin)})\n`,
        );
        return `${row('runs', this.#bytes(script))}${row('at', source)}${row('with', '')}${lines.join('')}`;
      }
      case 'file':
        return row('sends', this.#bytes(explanation.path));
      case 'redirect':
        return row('redirects', `${explanation.status} to ${this.#bytes(explanation.to)}`);
      case 'rewrite':
        return row('rewrites', `to ${this.#bytes(explanation.to)}, and the rules run again`);
      case 'index':
        return row('index', `${this.#bytes(explanation.name)}, and the rules run again`);
      case 'error':
        return row('answers', `${explanation.status}: ${this.#bytes(explanation.reason)}`);
    }
  }

  #value(name: string, byteString: string): string {
    const value = toText(byteString);
    return escapeControls(this.#showsSecrets ? value : hideValue(name, value));
  }

  #bytes(byteString: string): string {
    return this.text(toText(byteString));
  }
}

function row(title: string, text: string): string {
  return `${`  ${title.padEnd(10)}${text}`.trimEnd()}\n`;
}
