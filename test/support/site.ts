/** A site for a test: a folder with files, and gateways that serve it until the test file ends. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { after } from 'node:test';
import { type GatewayOptions, type GatewayProcess, startGateway } from './gateway-process.ts';
import { createTestDirectory } from './test-directory.ts';

/** Writes files by their paths below a folder, a new one unless it is given, and makes the folders that they need. */
export function writeSite(
  files: Readonly<Record<string, string>>,
  root: string = createTestDirectory(),
): string {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(root, dirname(name)), { recursive: true });
    writeFileSync(join(root, name), text);
  }
  return root;
}

/** @param config as that of `startGateway` */
export type StartGateway = (
  config: GatewayOptions['config'],
  options?: Omit<GatewayOptions, 'config'>,
) => Promise<GatewayProcess>;

/** @returns starts a gateway, which is stopped at the end of the file or suite that called this */
export function createGatewayStarter(): StartGateway {
  const running: GatewayProcess[] = [];
  after(() => Promise.all(running.map((gateway) => gateway.stop())));
  return async (config, options = {}) => {
    const gateway = await startGateway({ config, ...options });
    running.push(gateway);
    return gateway;
  };
}
