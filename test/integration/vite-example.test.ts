/** The example of PHP beside Vite, installed into a directory of its own and run by Vite's command. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { EventEmitter, once } from 'node:events';
import { chmodSync, cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, afterEach, before, it } from 'node:test';
import type { Browser, Page } from 'playwright-core';
import { startChromium } from '../support/chromium.ts';
import { freePort } from '../support/free-port.ts';
import { ensureBuilt, repository } from '../support/gateway-process.ts';
import { fetchAnswer } from '../support/http-client.ts';
import { descendants, isAlive } from '../support/process-facts.ts';
import { createTestDirectory } from '../support/test-directory.ts';

const folder = createTestDirectory();
let browser: Browser;
let page: Page;
const running = new Set<ChildProcess>();

before(async () => {
  ensureBuilt();
  cpSync(join(repository, 'examples/vite'), folder, { recursive: true });
  chmodSync(folder, 0o755);
  mkdirSync(join(folder, 'node_modules'));
  symlinkSync(repository, join(folder, 'node_modules/fastway'));
  symlinkSync(join(repository, 'node_modules/vite'), join(folder, 'node_modules/vite'));
  browser = await startChromium();
  page = await browser.newPage();
});
after(() => browser.close());
afterEach(() => {
  for (const child of running) child.kill('SIGKILL');
});

interface Command {
  readonly child: ChildProcess;
  /** Of stdout and stderr, growing. */
  readonly lines: readonly string[];
  readonly exited: Promise<unknown[]>;
  /** Resolves with the first line that has this in it; rejects when the command ends without. */
  waitFor(text: string): Promise<void>;
}

function runVite(args: readonly string[]): Command {
  const vite = join(repository, 'node_modules/vite/bin/vite.js');
  const child = spawn(process.execPath, [vite, ...args], {
    cwd: folder,
    // With CI set Vite does not end with its input.
    env: { ...process.env, NO_COLOR: '1', CI: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.add(child);
  const exited = once(child, 'exit').finally(() => running.delete(child));
  const lines: string[] = [];
  const heard = new EventEmitter();
  for (const stream of [child.stdout, child.stderr]) {
    createInterface(stream).on('line', (line) => {
      lines.push(line);
      heard.emit('line');
    });
  }
  return {
    child,
    lines,
    exited,
    async waitFor(text) {
      while (!lines.some((line) => line.includes(text))) {
        await Promise.race([once(heard, 'line'), exited]);
        if (child.exitCode !== null) throw new Error(`Vite ended:\n${lines.join('\n')}`);
      }
    },
  };
}

async function serve(command: readonly string[]): Promise<Command & { readonly origin: string }> {
  const port = await freePort();
  const vite = runVite([...command, '--host', '127.0.0.1', '--port', String(port), '--strictPort']);
  await vite.waitFor('Fastway: public (php: ');
  return { ...vite, origin: `http://127.0.0.1:${port}` };
}

/** By the signal of Ctrl+C; of PHP nothing is left. */
async function interrupt({ child, exited }: Command): Promise<void> {
  const php = descendants(child.pid!).filter(({ command }) => command.includes('php'));
  assert.ok(php.length > 0);
  child.kill('SIGINT');
  assert.deepEqual(await exited, [null, 'SIGINT']);
  assert.deepEqual(
    php.filter(({ pid }) => isAlive(pid)),
    [],
  );
}

async function usePage(origin: string): Promise<void> {
  await page.context().clearCookies();
  await page.goto(origin);
  assert.equal(await page.textContent('h1'), 'Hello stranger');
  await page.fill('input', 'Zoë');
  await page.click('text=Send');
  await page.waitForSelector('h1:text-is("Hello Zoë")');
  await page.click('text=Counted 0');
  await page.waitForSelector('text=Counted 1');
}

it('vite serves pages by PHP and modules by itself, and both change when they are saved', async () => {
  const vite = await serve([]);
  await usePage(vite.origin);
  const label = readFileSync(join(folder, 'src/label.ts'), 'utf8');
  writeFileSync(join(folder, 'src/label.ts'), label.replace('Counted', 'Clicked'));
  // The count of before: the page was not loaded anew.
  await page.waitForSelector('text=Clicked 1');
  const index = readFileSync(join(folder, 'public/index.php'), 'utf8');
  writeFileSync(join(folder, 'public/index.php'), index.replace('Hello', 'Welcome'));
  await page.waitForSelector('h1:text-is("Welcome Zoë")');
  writeFileSync(join(folder, 'src/label.ts'), label);
  writeFileSync(join(folder, 'public/index.php'), index);
  await interrupt(vite);
});

it('vite preview serves what vite build has made', async () => {
  const build = runVite(['build']);
  assert.deepEqual(await build.exited, [0, null], build.lines.join('\n'));
  const vite = await serve(['preview']);
  await usePage(vite.origin);
  const { text } = await fetchAnswer(vite.origin, '/');
  assert.match(text, /<link rel="stylesheet" href="\/assets\/main-[^"]+\.css">/);
  assert.match(text, /<script type="module" src="\/assets\/main-[^"]+\.js"><\/script>/);
  assert.ok(!text.includes('@vite'));
  await interrupt(vite);
});
