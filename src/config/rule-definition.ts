/** What may stand for a rule: a match, its authorizers and a handler. */
import { z } from 'zod';
import { everything, type Match, nothing } from '../http/match.ts';
import { createHandlerDefinition } from './handler-definition.ts';
import { held } from './held.ts';
import { createMatchDefinition } from './match-definition.ts';
import { sourceChoice, toBalancer } from './source-choice.ts';
import type {
  AuthorizeConfig,
  AuthorizeInput,
  HandlerConfig,
  HandlerInput,
  MatchInput,
  RuleConfig,
  RuleInput,
} from './types.ts';
import { byteVariables, strict, tolerate, variableName } from './values.ts';

/** The parts of a rule. */
export interface RuleDefinition {
  readonly rule: z.ZodType<RuleConfig, RuleInput>;
  /** In place of what is wrong it has what nothing can be said about. */
  readonly tolerant: z.ZodType<RuleConfig>;
  readonly authorize: z.ZodType<AuthorizeConfig, AuthorizeInput>;
  readonly match: z.ZodType<Match, MatchInput>;
  readonly handler: z.ZodType<HandlerConfig, HandlerInput>;
}

/** @param bodyBytesMax of handlers that name no `maxBodyBytes` */
export function createRuleDefinition(directory: string, bodyBytesMax: number): RuleDefinition {
  const match = createMatchDefinition();
  const handler = createHandlerDefinition(directory, bodyBytesMax);
  const authorize = createAuthorizeDefinition();
  const keys = {
    match: match.optional().describe('What the handler is for; without it, everything.'),
    authorize: z
      .union([authorize, z.array(authorize)])
      .optional()
      .describe(
        'A FastCGI Authorizer, or several in a row, asked before the handler. Its 200 lets the request through; anything else is the answer.',
      ),
    handler: handler.describe('Who answers.'),
  };
  return {
    rule: held<RuleConfig, RuleInput>()(strict(keys).transform(toRule)),
    tolerant: tolerate(keys, {
      match: nothing,
      handler: handler.parse({ type: 'error', status: 404 }),
    }).transform(toRule),
    authorize,
    match,
    handler,
  };
}

interface RuleKeys {
  readonly match?: Match | undefined;
  readonly authorize?: AuthorizeConfig | AuthorizeConfig[] | undefined;
  readonly handler: HandlerConfig;
}

function toRule({ match = everything, authorize = [], handler }: RuleKeys): RuleConfig {
  return { match, authorize: Array.isArray(authorize) ? authorize : [authorize], handler };
}

function createAuthorizeDefinition(): z.ZodType<AuthorizeConfig, AuthorizeInput> {
  const authorize = strict({
    ...sourceChoice,
    env: byteVariables
      .prefault({})
      .describe(
        'Variables for the Authorizer; they win over everything else. One that runs scripts (PHP) wants its `SCRIPT_FILENAME` here.',
      ),
    cacheMs: z
      .int()
      .min(0)
      .max(3_600_000)
      .default(0)
      .describe(
        'How long a 200 is remembered. 0: the Authorizer is asked for every request, since only it knows when its decision changes.',
      ),
    cacheKey: z
      .array(variableName)
      .min(1)
      .optional()
      .describe(
        'Variables that the decision depends on, as `["HTTP_COOKIE", "REMOTE_ADDR"]`: requests that agree in them share a remembered 200. Without it all variables count but REMOTE_PORT.',
      ),
  }).transform((value, context): AuthorizeConfig => {
    const { env, cacheMs, cacheKey, balancer } = toBalancer(value, context);
    return { balancer, env, cacheMs, cacheKey };
  });
  return held<AuthorizeConfig, AuthorizeInput>()(authorize);
}
