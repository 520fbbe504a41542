/** An application with one worker and the shortest queue of connections, which can be frozen: it then accepts nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { copyApplication } from './applications.ts';
import { createTestDirectory } from './test-directory.ts';

export interface NarrowApplication {
  /** As configuration writes it. */
  readonly address: string;
  freeze(): void;
  thaw(): void;
  stop(): Promise<void>;
}

/** @param tcp a port of the loopback interface, and not a unix socket */
export async function startNarrowApplication({ tcp }: { readonly tcp: boolean }): Promise<NarrowApplication> {
  const programs = copyApplication('perl');
  const path = tcp ? '' : join(createTestDirectory(), 'narrow.sock');
  const child = spawn('perl', [join(programs, 'narrow.pl'), path, 'perl', join(programs, 'pid.pl')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const kill = () => void child.kill('SIGKILL');
  process.once('exit', kill);
  const exited = once(child, 'exit');
  const address = await Promise.race([
    once(createInterface(child.stdout), 'line').then(([line]) => String(line)),
    exited.then(() => Promise.reject(new Error('The narrow application ended at its start'))),
  ]);
  return {
    address,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    async stop() {
      process.removeListener('exit', kill);
      kill();
      await exited;
    },
  };
}
