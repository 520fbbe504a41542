/** The `fastcgi` handler: runs a script at one of several sources. */
import type { Balancer } from '../balancer/balancer.ts';
import type { ScriptOptions } from './script-options.ts';

export interface FastcgiHandlerOptions extends ScriptOptions {
  readonly balancer: Balancer;
}
