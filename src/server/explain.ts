/** What the router would do with a request, without contacting anybody: for `fastway explain`. */
import { GatewayError } from '../base/errors.ts';
import type { Explanation } from '../handler/handler.ts';
import type { RequestHead } from '../http/message.ts';
import type { Target } from '../http/target.ts';
import { UnansweredExchange } from './explained-exchange.ts';
import type { Rule } from './rule.ts';
import {
  internalRedirectsMax,
  noRule,
  type RoutingContext,
  redirectLoop,
  ServerRequest,
} from './server-request.ts';

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
  const fault = explainPreparation(request);
  if (fault !== undefined) return [toStep(request, undefined, fault)];
  const steps: RouteStep[] = [];
  for (let passes = 0; passes <= internalRedirectsMax; passes++) {
    const step = explainPass(request);
    steps.push(step);
    const { explanation } = step;
    if (explanation.action === 'index') request = request.forIndex(explanation.name);
    else if (explanation.action === 'rewrite') request = request.forTarget(explanation.to, true);
    else return steps;
  }
  const reason = redirectLoop().message;
  return [...steps, toStep(request, undefined, { action: 'error', status: 500, reason })];
}

/** What `prepare` would refuse or answer itself; undefined for nothing. */
function explainPreparation(request: ServerRequest): Explanation | undefined {
  try {
    if (request.prepare()) return undefined;
    return { action: 'error', status: 204, reason: 'OPTIONS * is answered by the server itself' };
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    const status = error.code === 'GW_ERR_HTTP_NOT_FOUND' ? 404 : 400;
    return { action: 'error', status, reason: error.message };
  }
}

function explainPass(request: ServerRequest): RouteStep {
  const rule = request.match();
  if (rule !== undefined) return toStep(request, rule, rule.handler.explain(request));
  const { message } = noRule(request.site);
  return toStep(request, undefined, { action: 'error', status: 404, reason: message });
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
