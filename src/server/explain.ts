/** What the router would do with a request, without contacting anybody: for `fastway explain`. */
import { toGatewayError } from '../base/errors.ts';
import { explainError } from '../handler/explain-run.ts';
import type { Explanation } from '../handler/handler.ts';
import type { RequestHead } from '../http/message.ts';
import type { Target } from '../http/target.ts';
import { refuseAsParser } from './parser-rules.ts';
import type { Rule } from './rule.ts';
import {
  internalRedirectsMax,
  noRule,
  type RoutingContext,
  redirectLoop,
  ServerRequest,
} from './server-request.ts';
import { UnansweredExchange } from './unanswered-exchange.ts';

/** One pass through the rules. */
export interface RouteStep {
  readonly virtualServer: string;
  /** The path and query that the rules saw. */
  readonly target: Target;
  /** 0-based place of the rule that matched; undefined when none did. */
  readonly ruleIndex: number | undefined;
  readonly ruleDescription: string | undefined;
  readonly explanation: Explanation;
}

/** Each pass through the rules; the last one decides. */
export function explainRequest(context: RoutingContext, head: RequestHead): readonly RouteStep[] {
  let request = new ServerRequest(context, new UnansweredExchange(head));
  request.isUnderWay = false;
  const ending = explainPreparation(context, request);
  if (ending !== undefined) return [toStep(request, undefined, ending)];
  const steps: RouteStep[] = [];
  for (let passes = 0; passes <= internalRedirectsMax; passes++) {
    const step = explainPass(request);
    steps.push(step);
    const { explanation } = step;
    if (explanation.action === 'index') request = request.forIndex(explanation.name);
    else if (explanation.action === 'rewrite') {
      try {
        request = request.forTarget(explanation.to, true);
      } catch (error) {
        return [...steps, failedStep(request, error)];
      }
    } else return steps;
  }
  return [...steps, failedStep(request, redirectLoop())];
}

/** What the front or `prepare` would refuse or answer itself; undefined for nothing. */
function explainPreparation(context: RoutingContext, request: ServerRequest): Explanation | undefined {
  const refusal = refuseAsParser(request.exchange.request, context.headerBytesMax);
  if (refusal !== undefined) return explainError(refusal);
  try {
    if (request.prepare()) return undefined;
    return { action: 'error', status: 204, reason: 'OPTIONS * is answered by the server itself' };
  } catch (error) {
    return explainError(toGatewayError(error));
  }
}

function explainPass(request: ServerRequest): RouteStep {
  let rule: Rule | undefined;
  try {
    rule = request.match();
  } catch (error) {
    return failedStep(request, error);
  }
  if (rule !== undefined) return toStep(request, rule, rule.handler.explain(request));
  return failedStep(request, noRule(request.site));
}

function failedStep(request: ServerRequest, error: unknown): RouteStep {
  return toStep(request, undefined, explainError(toGatewayError(error)));
}

function toStep(request: ServerRequest, rule: Rule | undefined, explanation: Explanation): RouteStep {
  return {
    virtualServer: request.site.name,
    target: request.target,
    ruleIndex: rule === undefined ? undefined : request.server.rules.indexOf(rule),
    ruleDescription: rule?.description,
    explanation,
  };
}
