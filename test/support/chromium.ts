/** Debian's Chromium, driven by Playwright: for what only a real browser shows. */
import { type Browser, chromium } from 'playwright-core';

/** Whoever starts it closes it. */
export function startChromium(): Promise<Browser> {
  return chromium.launch({
    executablePath: '/usr/bin/chromium',
    // As root there is no sandbox, and a container's /dev/shm is small.
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
}
