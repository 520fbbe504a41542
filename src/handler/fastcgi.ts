/**
 * The `fastcgi` handler: finds the script that a request is for, and runs it at one of several sources.
 * It knows nothing of FastCGI: a source may speak any protocol that carries a CGI request.
 */
import type { Balancer } from '../balancer/balancer.ts';
import { explainError, explainRun } from './explain-run.ts';
import type { Explanation, Handler, RoutedRequest } from './handler.ts';
import type { ScriptOptions } from './script-options.ts';
import { ScriptPlanner } from './script-plan.ts';
import { createScriptContext, runScript, type ScriptContext } from './script-request.ts';
import { runUpgrade, wantsUpgrade } from './upgrade.ts';

export interface FastcgiHandlerOptions extends ScriptOptions {
  readonly balancer: Balancer;
}

/** Makes the handler of one rule. It owns no source: the caller that made them closes them. */
export function createFastcgiHandler(options: FastcgiHandlerOptions): Handler {
  return new ScriptHandler(options);
}

class ScriptHandler implements Handler {
  readonly #planner: ScriptPlanner;
  readonly #context: ScriptContext;

  constructor(options: FastcgiHandlerOptions) {
    this.#planner = new ScriptPlanner(options);
    this.#context = createScriptContext(options, this.#planner, undefined);
  }

  handle(request: RoutedRequest): void {
    const plan = this.#planner.plan(request);
    switch (plan.action) {
      case 'run':
        if (this.#context.options.upgrade && wantsUpgrade(request))
          runUpgrade(this.#context, request, plan.script);
        else runScript(this.#context, request, plan.script);
        break;
      case 'slash':
        request.answerStatus(plan.status, ['Location', plan.to]);
        break;
      case 'index':
        request.serveIndex(plan.name);
        break;
      case 'fail':
        request.fail(plan.error);
    }
  }

  explain(request: RoutedRequest): Explanation {
    const plan = this.#planner.plan(request);
    switch (plan.action) {
      case 'run':
        return explainRun(this.#planner, this.#context.balancer, request, plan.script);
      case 'slash':
        return { action: 'redirect', status: plan.status, to: plan.to };
      case 'index':
        return { action: 'index', name: plan.name };
      case 'fail':
        return explainError(plan.error);
    }
  }
}
