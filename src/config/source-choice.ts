/** Which source, or which of several, a handler or an authorizer asks. */
import { z } from 'zod';
import { type BalancerConfig, type BalancerInput, balancerPolicies } from './types.ts';
import { filledText, positiveCount, strict } from './values.ts';

const usualPolicy: BalancerConfig['policy'] = 'round-robin';

const weightedSource = z.union([
  filledText.transform((source) => ({ source, weight: 1 })),
  strict({
    source: filledText.describe('Name of a source.'),
    weight: positiveCount.max(1000).default(1).describe('Its share relative to the others.'),
  }),
]);

/** Which application is asked. */
export const sourceChoice: {
  readonly balancer: z.ZodOptional<z.ZodType<BalancerConfig, BalancerInput>>;
  readonly source: z.ZodOptional<z.ZodType<string, string>>;
} = {
  balancer: strict({
    policy: z
      .enum(balancerPolicies)
      .default(usualPolicy)
      .describe(
        '`round-robin`: in turn, by weight; simple and fair. `ip-hash`: a client stays at its source. `failover`: the first that works, in order. `least-busy`: the fewest requests in flight.',
      ),
    sources: z
      .array(weightedSource)
      .min(1)
      .describe('Names of sources, or `{ "source": name, "weight": 2 }`.'),
  })
    .optional()
    .describe('Which sources, and how one is chosen.'),
  source: filledText.optional().describe('Short for a balancer with this one source.'),
};

/** One of the two, as a balancer. */
export function toBalancer<T extends { balancer?: BalancerConfig | undefined; source?: string | undefined }>(
  { balancer: given, source, ...rest }: T,
  context: z.RefinementCtx,
): Omit<T, 'balancer' | 'source'> & { balancer: BalancerConfig } {
  if ((given === undefined) === (source === undefined)) {
    context.issues.push({
      code: 'custom',
      input: given,
      message:
        given === undefined
          ? 'Says no source; add "source": name, or a "balancer" with several'
          : 'Has "source" and "balancer"; keep one of them',
    });
  }
  return {
    ...rest,
    balancer: given ?? { policy: usualPolicy, sources: [{ source: source ?? '', weight: 1 }] },
  };
}
