/** `fastway deploy LINK RELEASE`: replaces the release by a new one, while requests go on. */
import { systemClock } from '../base/clock.ts';
import { escapeControls } from '../base/escape.ts';
import { hideInText } from '../base/secrets.ts';
import { type DeployReport, deploy as deployRelease } from '../deploy/deploy.ts';
import { type Flags, readFlags } from './flags.ts';
import { readAddress } from './site.ts';
import { type Terminal, UsageError } from './terminal.ts';

export const deployFlags: Flags = {
  php: {
    value: 'ADDRESS',
    multiple: true,
    help: 'A PHP whose opcache is emptied: tcp://host:port, unix:/path; may be given several times',
  },
  warm: {
    value: 'URL',
    short: 'w',
    multiple: true,
    help: 'A URL to ask for after the switch; may be given several times',
  },
};

/** @returns 0 when everything was done; 1 when the link was switched, but something after it failed */
export async function deploy(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = readFlags(deployFlags, args, terminal.env);
  const [link, release, ...more] = line.positionals;
  if (link === undefined || release === undefined || more.length > 0) {
    throw new UsageError('Say which link leads where: fastway deploy /srv/site/current /srv/site/releases/6');
  }
  const php = line.texts('php').map((written) => readAddress(written, terminal.cwd));
  const warm = line.texts('warm');
  const wrong = warm.find((url) => !/^https?:\/\//i.test(url) || !URL.canParse(url));
  if (wrong !== undefined) throw new UsageError(`--warm is ${JSON.stringify(wrong)}, which is no http URL`);
  // A gateway that runs elsewhere finishes the old release's requests by itself.
  const context = { php, outdated: () => [], drainMs: 0, clock: systemClock };
  const report = await deployRelease({ link, release, warm }, context);
  terminal.print(print(link, release, report));
  const isFine =
    report.opcache.every(({ outcome }) => outcome === 'reset' || outcome === 'off') &&
    report.warmed.every(({ status }) => status !== undefined && status < 500);
  if (!isFine && report.previous !== undefined) {
    terminal.printError(`The link was switched; back again: fastway deploy ${link} ${report.previous}\n`);
  }
  return isFine ? 0 : 1;
}

function print(link: string, release: string, { previous, opcache, warmed }: DeployReport): string {
  const row = (title: string, text: string) => `${title.padEnd(10)}${escapeControls(hideInText(text))}\n`;
  const before = previous === undefined ? '' : `, before ${previous}`;
  return [
    row('switched', `${link} -> ${release}${before}`),
    ...opcache.map(({ address, outcome, problem }) => row('opcache', `${address}: ${problem ?? outcome}`)),
    ...warmed.map(({ url, status, problem, durationMs }) =>
      row('warmed', `${url}: ${status ?? problem} in ${durationMs} ms`),
    ),
  ].join('');
}
