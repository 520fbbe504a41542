/** Starts the person's browser, by what each system has for that. */
import { spawn } from 'node:child_process';
import { platform } from 'node:os';

/** @param failed is called when there is no such program */
export function openUrl(url: string, failed: () => void): void {
  const openers: Partial<Record<NodeJS.Platform, readonly string[]>> = {
    darwin: ['open'],
    win32: ['rundll32', 'url.dll,FileProtocolHandler'],
  };
  const [program, ...args] = openers[platform()] ?? ['xdg-open'];
  const child = spawn(program!, [...args, url], { stdio: 'ignore', detached: true });
  child.once('error', failed);
  child.unref();
}
