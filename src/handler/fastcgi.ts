/**
 * The `fastcgi` handler: finds the script that a request is for, and runs it at one of several sources.
 * It knows nothing of FastCGI: a source may speak any protocol that carries a CGI request.
 */
import type { Balancer } from '../balancer/balancer.ts';
import { GatewayError } from '../base/errors.ts';
import type { Source } from '../source/source.ts';
import { AnswerHold } from './answer-hold.ts';
import { errorAnswers } from './error-response.ts';
import type { Explanation, Handler, RoutedRequest } from './handler.ts';
import type { ScriptOptions } from './script-options.ts';
import { ScriptPlanner } from './script-plan.ts';
import { runScript, type ScriptContext } from './script-request.ts';
import { StderrLimit } from './stderr-log.ts';

export interface FastcgiHandlerOptions extends ScriptOptions {
  readonly balancer: Balancer;
}

/** Makes the handler of one rule. It owns no source: whoever made them closes them. */
export function createFastcgiHandler(options: FastcgiHandlerOptions): Handler {
  return new ScriptHandler(options);
}

class ScriptHandler implements Handler {
  readonly #planner: ScriptPlanner;
  readonly #context: ScriptContext;

  constructor(options: FastcgiHandlerOptions) {
    this.#planner = new ScriptPlanner(options);
    this.#context = {
      options,
      planner: this.#planner,
      balancer: options.balancer,
      stderrLimit: new StderrLimit(options.now),
      hold: new AnswerHold(),
      active: 0,
      retrying: 0,
    };
  }

  handle(request: RoutedRequest): void {
    const plan = this.#planner.plan(request);
    switch (plan.action) {
      case 'run':
        runScript(this.#context, request, plan.script);
        break;
      case 'slash':
        request.answerStatus(301, ['Location', plan.to]);
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
        try {
          return {
            action: 'run',
            script: plan.script.scriptFilename,
            source: this.#sourceFor(request),
            variables: this.#planner.explainVariables(request, plan.script),
          };
        } catch (error) {
          if (!(error instanceof GatewayError)) throw error;
          return explainError(error);
        }
      case 'slash':
        return { action: 'redirect', status: 301, to: plan.to };
      case 'index':
        return { action: 'index', name: plan.name };
      case 'fail':
        return explainError(plan.error);
    }
  }

  #sourceFor(request: RoutedRequest): string {
    const { sources } = this.#context.balancer;
    const describe = ({ name, address }: Source) => `${name} (${address})`;
    const { address: clientAddress } = this.#planner.clientOf(request);
    const source = this.#context.balancer.pick(clientAddress, (candidate) => candidate.isAvailable());
    const chosen = describe(source ?? sources[0]!.source);
    return sources.length === 1 ? chosen : `${chosen}, one of ${sources.length}`;
  }
}

function explainError(error: GatewayError): Explanation {
  return { action: 'error', status: errorAnswers[error.code].status, reason: error.message };
}
