/** Starts the person's browser, by what each system has for that. */
import { spawn } from 'node:child_process';
import { platform } from 'node:os';

/**
 * @param env where the program is looked for (PATH), and what it needs to find the screen
 * @param failed is called when there is no such program, or it says that it could not
 */
export function openUrl(
  url: string,
  env: Readonly<Record<string, string | undefined>>,
  failed: () => void,
): void {
  const openers: Partial<Record<NodeJS.Platform, readonly string[]>> = {
    darwin: ['open'],
    win32: ['rundll32', 'url.dll,FileProtocolHandler'],
  };
  const [program, ...args] = openers[platform()] ?? ['xdg-open'];
  const child = spawn(program!, [...args, url], { env, stdio: 'ignore', detached: true });
  child.once('error', failed);
  child.once('exit', (code) => {
    if (code !== 0) failed();
  });
  child.unref();
}
