/** A gateway for one of Vite's servers: it says what it serves, and ends with the server, or with the process. */
import { relative } from 'node:path';
import { styleText } from 'node:util';
import type { PreviewServer, ViteDevServer } from 'vite';
import type { Config } from '../config/types.ts';
import { composeGateway } from '../gateway/gateway.ts';
import type { Gateway, GatewayOptions } from '../gateway/options.ts';
import { documentRootsOf } from './site.ts';

/** What Vite waits for when it closes: requests have no time, as their connections are gone. */
const closeMs = 1;

/**
 * The caller that opens it closes it when Vite's server closes.
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER: no PHP is there, with what to install
 * @throws {ConfigError} GW_ERR_CONFIG for a file or folder that cannot be written
 */
export async function openServerGateway(
  server: ViteDevServer | PreviewServer,
  config: Config,
  options: Pick<GatewayOptions, 'log' | 'wrapExchange'>,
): Promise<Pick<Gateway, 'listener' | 'close'>> {
  const gateway = composeGateway(config, options);
  try {
    await gateway.start();
  } catch (error) {
    await gateway.close(closeMs);
    throw error;
  }
  tellOfGateway(server, config, gateway);
  speakHttp1(server);
  const forget = closeOnSignal(() => gateway.close(closeMs));
  return {
    listener: gateway.listener,
    close() {
      forget();
      return gateway.close(closeMs);
    },
  };
}

/** One line below the URLs that Vite prints at its start. */
function tellOfGateway(server: ViteDevServer | PreviewServer, config: Config, gateway: Gateway): void {
  const { logger, root } = server.config;
  const roots = documentRootsOf(config).map((folder) => relative(root, folder) || '.');
  const title = `${styleText('green', '➜')}  ${styleText('bold', 'Fastway')}`;
  const line = `  ${title}: ${styleText('cyan', roots.join(', '))} (${gateway.describeSources().join('; ')})`;
  const print = server.printUrls.bind(server);
  // A server inside another program has no URLs to print.
  if (server.httpServer === null) logger.info(line);
  server.printUrls = () => {
    print();
    logger.info(line);
  };
}

/** Vite's HTTPS servers would speak HTTP/2, which Fastway does not. */
function speakHttp1({ httpServer }: ViteDevServer | PreviewServer): void {
  if (httpServer !== null && 'setSecureContext' in httpServer) {
    Object.assign(httpServer, { ALPNProtocols: Buffer.from('\x08http/1.1') });
  }
}

/**
 * Vite does not hear Ctrl+C, and PHP, which is not part of the terminal's job, would go on.
 * @returns takes it back
 */
function closeOnSignal(close: () => Promise<void>): () => void {
  const undo = (['SIGINT', 'SIGHUP'] as const).map((signal) => {
    const listener = () =>
      void close().finally(() => {
        // Other listeners decide what becomes of the process; without any it ends by the signal, as it would have.
        if (process.listenerCount(signal) === 0) process.kill(process.pid, signal);
      });
    process.once(signal, listener);
    return () => process.removeListener(signal, listener);
  });
  return () => {
    for (const one of undo) one();
  };
}
