/** What a handler that asks an application says of a request before it does so: for `fastway explain`. */
import type { Balancer } from '../balancer/balancer.ts';
import { errorFacts } from '../base/error-facts.ts';
import { type GatewayError, toGatewayError } from '../base/errors.ts';
import type { Script } from '../cgi/script-path.ts';
import type { Source } from '../source/source.ts';
import { chooseSource } from './further-tries.ts';
import type { Explanation, RoutedRequest } from './handler.ts';
import type { FilteredFile, ScriptPlanner } from './script-plan.ts';

/** @param data of a Filter */
export function explainRun(
  planner: ScriptPlanner,
  balancer: Balancer,
  request: RoutedRequest,
  script: Script,
  data?: FilteredFile,
): Explanation {
  const refusal = planner.refuseBody(request);
  if (refusal !== undefined) return explainError(refusal);
  try {
    const variables = planner.explainVariables(request, script, data);
    const source = describeChoice(balancer, planner.clientOf(request).address);
    return { action: 'run', script: script.scriptFilename, source, variables };
  } catch (error) {
    return explainError(toGatewayError(error));
  }
}

export function explainError(error: GatewayError): Explanation {
  return { action: 'error', status: errorFacts[error.code].status, reason: error.message };
}

/** The source that would be asked, and that there are others. @throws {SourceError} as `chooseSource` */
export function describeChoice(balancer: Balancer, clientAddress: string): string {
  const { sources } = balancer;
  const describe = ({ name, address }: Source) => `${name} (${address})`;
  const chosen = describe(chooseSource(balancer, clientAddress, 'preview'));
  return sources.length === 1 ? chosen : `${chosen}, one of ${sources.length}`;
}
