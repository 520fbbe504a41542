/** `fastway serve [DIR]`: listens, says so, and stops in order. */
import { toText } from '../base/byte-string.ts';
import { ConfigError, printThrown } from '../base/errors.ts';
import { escapeControls } from '../base/escape.ts';
import { createLog, type Log } from '../base/log.ts';
import { readVersion } from '../base/version.ts';
import type { Gateway } from '../gateway/options.ts';
import { type Flags, readFlags } from './flags.ts';
import { openUrl } from './open-url.ts';
import { findPortHolder } from './port-holder.ts';
import { type LoadedSite, loadSite, siteFlags } from './site.ts';
import type { Terminal } from './terminal.ts';

export const serveFlags: Flags = {
  ...siteFlags,
  open: { help: 'Open the site in the browser' },
  quiet: { short: 'q', env: ['FASTWAY_QUIET'], help: 'No banner, and only warnings and errors in the log' },
};

/** Runs until a signal stops it. @returns the exit code */
export async function serve(args: readonly string[], terminal: Terminal): Promise<number> {
  const line = readFlags(serveFlags, args, terminal.env);
  const site = await loadSite(line, terminal);
  const quiet = line.isOn('quiet');
  const log = createLog({
    write: (text) => terminal.printError(text),
    level: quiet ? 'warn' : site.config.log.level,
    format: site.config.log.format,
    color: terminal.color,
    now: () => new Date(),
  });
  for (const warning of site.warnings) log.warn(warning);

  const { composeGateway } = await import('../gateway/gateway.ts');
  const gateway = composeGateway(site.config, { log, environment: terminal.env });
  // From here on a signal has something to end: private directories, interpreters.
  const stopped = stopOnSignal(gateway, site.config.limits.shutdownGraceMs, terminal, log);
  terminal.onReopen(() => gateway.reopenLogs());
  let urls: readonly string[];
  try {
    urls = await gateway.listen();
  } catch (error) {
    await gateway.close(1);
    throw explainListenFault(error, site);
  }
  if (!quiet) {
    if (site.config.log.format === 'json') {
      for (const url of urls) log.info('Listening', { url });
      if (gateway.metricsUrl !== undefined) log.info('Listening for metrics', { url: gateway.metricsUrl });
    } else terminal.printError(printBanner(site, urls, gateway, terminal.color));
  }
  if (process.getuid?.() === 0) {
    log.warn(
      'Fastway runs as root and can send what only root may read; set "user" at the top level of the configuration, as "www-data", or start it as another user',
    );
  }
  if (line.isOn('open')) openBrowser(urls, terminal, log);
  return stopped;
}

/** First signal: finish what runs. Second: now. Third: without waiting for anything. */
function stopOnSignal(gateway: Gateway, graceMs: number, terminal: Terminal, log: Log): Promise<number> {
  return new Promise((resolve, reject) => {
    let signals = 0;
    const close = (ms: number): void => {
      gateway.close(ms).then(() => resolve(signals === 1 ? 0 : 1), reject);
    };
    terminal.onStop((signal) => {
      signals++;
      if (signals > 2) resolve(1);
      else if (signals === 2) log.info(`${signal}: stopping at once`);
      else log.info(`${signal}: stopping; again to stop at once`);
      close(signals === 1 ? graceMs : 1);
    });
    // Whatever a client or an application made happen belongs to one request, and must not end those of the others.
    terminal.onFault((error) => {
      log.error('An error of ours that nobody expected; a request may have been lost', {
        error: printThrown(error),
      });
    });
  });
}

function printBanner(site: LoadedSite, urls: readonly string[], gateway: Gateway, color: boolean): string {
  const [bold, plain] = color ? ['\x1b[1m', '\x1b[0m'] : ['', ''];
  const row = (title: string, text: string, before = '', after = ''): string =>
    `  ${title.padEnd(10)}${before}${escapeControls(text)}${after}\n`;
  let text = `\n  Fastway ${readVersion()}\n\n`;
  for (const url of urls) text += row('listening', url, bold, plain);
  for (const server of site.config.virtualServers) {
    const names = site.config.virtualServers.length > 1 ? ` (${server.hosts.join(', ')})` : '';
    text += row(
      'serving',
      `${toText(server.documentRoot)}${names}${site.reason === undefined ? '' : ` (${site.reason})`}`,
    );
  }
  if (site.configFile !== undefined) text += row('config', site.configFile);
  for (const source of gateway.describeSources()) text += row('source', source);
  if (gateway.metricsUrl !== undefined) text += row('metrics', gateway.metricsUrl);
  return `${text}${row('stop', 'Ctrl+C')}\n`;
}

/** A port in use gets its holder's name, when the system tells it, and the flag that helps. */
function explainListenFault(error: unknown, { config }: LoadedSite): unknown {
  if (!(error instanceof ConfigError)) return error;
  if ((error.cause as NodeJS.ErrnoException | undefined)?.code !== 'EADDRINUSE') return error;
  const index = /^listen\[(\d+)\]$/.exec(error.problems[0]!.path)?.[1];
  const entry = config.listen[Number(index)];
  if (entry === undefined || !('port' in entry)) return error;
  const { port } = entry;
  const holder = findPortHolder(port);
  return new ConfigError([
    {
      path: '',
      message: `Port ${port} is in use${holder === undefined ? '' : ` by ${holder}`}; stop that program, or choose another port with --port ${port === 65_535 ? 8080 : port + 1}`,
    },
  ]);
}

function openBrowser(urls: readonly string[], { env }: Terminal, log: Log): void {
  const url = urls.find((candidate) => candidate.startsWith('http'));
  if (url === undefined) log.warn('No browser can open a socket; --open needs a host and a port');
  else openUrl(url, env, () => log.warn(`No browser could be started; open ${url} yourself`));
}
