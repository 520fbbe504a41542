/**
 * Replaces a release by a new one, from the operator's side: switches a link, empties PHP's opcache,
 * asks for some URLs so that their first visitor does not wait, and waits for the last request of the old release.
 * A request is pinned to the release that it began with (handler/document-root.ts), so that nothing waits for the switch.
 */
import { type Clock, pass } from '../base/clock.ts';
import { switchLink } from './link.ts';
import { type OpcacheReset, resetOpcache } from './opcache.ts';

export interface DeployOptions {
  /** The link, as `/srv/site/current`: a document root is it, or lies below it. Made when it is not there. */
  readonly link: string;
  /** The new release's directory, as `/srv/site/releases/6`. */
  readonly release: string;
  /** URLs to ask for once after the switch: http or https. */
  readonly warm?: readonly string[];
}

export interface DeployContext {
  /** Addresses of PHPs, whose opcache is emptied. */
  readonly php: readonly string[];
  /** Real paths with requests under way that began before the switch. */
  readonly outdated: () => readonly string[];
  /** So long the last of them is waited for. */
  readonly drainMs: number;
  readonly clock: Clock;
}

export interface DeployReport {
  /** Where the link led before; undefined when it was not there. */
  readonly previous: string | undefined;
  readonly opcache: readonly OpcacheReset[];
  readonly warmed: readonly WarmedUrl[];
  /** Real paths on which requests are still under way after `drainMs`; empty when all have ended. */
  readonly busy: readonly string[];
}

export interface WarmedUrl {
  readonly url: string;
  /** Undefined: no answer came, see `problem`. */
  readonly status: number | undefined;
  readonly problem: string | undefined;
  readonly durationMs: number;
}

/** A page that takes longer was at least begun. */
const warmMs = 30_000;
const lookMs = 20;

/**
 * The link is switched before this returns its promise, or nothing has changed; what fails later is in the report.
 * @throws {GatewayError} GW_ERR_DEPLOY
 */
export async function deploy(options: DeployOptions, context: DeployContext): Promise<DeployReport> {
  const previous = switchLink(options.link, options.release);
  // One after another: a site's first pages compete for its workers enough.
  const opcache: OpcacheReset[] = [];
  for (const address of context.php) opcache.push(await resetOpcache(address, options.release));
  const warmed: WarmedUrl[] = [];
  for (const url of options.warm ?? []) warmed.push(await warm(url, context.clock));
  return { previous, opcache, warmed, busy: await drain(context) };
}

async function warm(url: string, clock: Clock): Promise<WarmedUrl> {
  const startedMs = clock.now();
  const took = () => Math.round(clock.now() - startedMs);
  const patience = new AbortController();
  const timer = clock.setTimer(
    () => patience.abort(new Error(`no whole answer within ${warmMs} ms`)),
    warmMs,
  );
  try {
    const response = await fetch(url, { redirect: 'manual', signal: patience.signal });
    await response.arrayBuffer();
    return { url, status: response.status, problem: undefined, durationMs: took() };
  } catch (error) {
    const { message, cause } = error as Error;
    const problem = cause instanceof Error ? cause.message : message;
    return { url, status: undefined, problem, durationMs: took() };
  } finally {
    clock.clearTimer(timer);
  }
}

async function drain({ outdated, drainMs, clock }: DeployContext): Promise<readonly string[]> {
  const deadline = clock.now() + drainMs;
  for (;;) {
    const busy = outdated();
    if (busy.length === 0 || clock.now() >= deadline) return busy;
    await pass(clock, lookMs);
  }
}
