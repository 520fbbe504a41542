/**
 * Empties the opcache of a PHP that runs, through FastCGI: PHP offers no other way in from outside.
 * The scripts of a new release have new paths, so that nothing old would run without it; it frees the memory of the old
 * release, and helps sites that include files through the link.
 */
import type { GatewayError } from '../base/errors.ts';
import { withFileForAll } from '../base/private-files.ts';
import { createClient } from '../client/index.ts';

export interface OpcacheReset {
  readonly address: string;
  /** `off`: this PHP runs without opcache. `absent`: nobody is there, and no opcache. `failed`: see `problem`. */
  readonly outcome: 'reset' | 'off' | 'absent' | 'failed';
  readonly problem: string | undefined;
}

/** Workers that are all busy answer when one is free. */
const resetMs = 10_000;

const script = `<?php
// Written by a deploy of Fastway, and removed at once.
clearstatcache(true);
echo function_exists('opcache_reset') && opcache_reset() ? 'opcache reset' : 'opcache off';
`;

/** @param release a directory that this PHP can read; the script is there for a moment, as a file that is never served */
export async function resetOpcache(address: string, release: string): Promise<OpcacheReset> {
  try {
    // PHP may run as another user.
    return await withFileForAll(release, '.php', script, (file) => runScript(address, file));
  } catch (error) {
    const problem = `The script for it could not be written: ${(error as Error).message}`;
    return { address, outcome: 'failed', problem };
  }
}

async function runScript(address: string, file: string): Promise<OpcacheReset> {
  const client = createClient(address, { keepConnections: 0 });
  try {
    const response = await client.request({ script: file, timeoutMs: resetMs });
    const text = await response.text();
    if (text === 'opcache reset') return { address, outcome: 'reset', problem: undefined };
    if (text === 'opcache off') return { address, outcome: 'off', problem: undefined };
    const problem = `It answered ${response.status}: ${text.trim().slice(0, 100)}`;
    return { address, outcome: 'failed', problem };
  } catch (error) {
    const { code, message } = error as GatewayError;
    return { address, outcome: code === 'GW_ERR_SOURCE_CONNECT' ? 'absent' : 'failed', problem: message };
  } finally {
    await client.close();
  }
}
