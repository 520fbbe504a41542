/** The usual gateway of a test: the PHP program of the application suite on php-fpm. */
import type { LimitsConfig, VirtualServerInput } from '../../src/config/types.ts';
import { copyApplication } from './applications.ts';
import { type GatewayProcess, startGateway } from './gateway-process.ts';
import { fetchAnswer } from './http-client.ts';

export interface PhpGatewayOptions {
  readonly workers?: number;
  readonly limits?: Partial<LimitsConfig>;
  readonly virtualServer?: Partial<VirtualServerInput>;
  readonly env?: Readonly<Record<string, string>>;
}

/** Routes of the program, as a path: `/application.php`. */
export const application = '/application.php';

/** Starts it, and PHP with a first request. */
export async function startPhpGateway(options: PhpGatewayOptions = {}): Promise<GatewayProcess> {
  const { workers = 2, limits = {}, virtualServer = {}, env = {} } = options;
  const gateway = await startGateway({
    config: {
      sources: { php: { php: 'fpm', workers } },
      limits,
      virtualServers: [
        { documentRoot: copyApplication('php'), preset: 'php', source: 'php', ...virtualServer },
      ],
    },
    env,
  });
  const answer = await fetchAnswer(gateway.origin, `${application}/echo`);
  if (answer.status !== 200)
    throw new Error(`PHP does not answer: ${answer.text}\n${gateway.lines.join('\n')}`);
  return gateway;
}
