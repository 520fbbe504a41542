/** Writes a `Config` as a configuration that people can read and we can load: presets become rules, defaults values. */
import type { Config, MatchConfig, RuleConfig } from './schema.ts';

/** Variables whose value is nobody else's business (T94). */
export function isSecretName(name: string): boolean {
  return /pass|secret|key|token/i.test(name);
}

/**
 * JSON text. Values of variables whose name speaks of a secret are `***`: this is pasted into bug reports.
 * Loading the text again gives the same `Config`, but for those.
 */
export function printConfig(config: Config): string {
  const { listen, sources, virtualServers, ...rest } = config;
  const input = {
    listen: listen.map((entry) =>
      'path' in entry ? { ...entry, mode: entry.mode.toString(8).padStart(4, '0') } : entry,
    ),
    sources: Object.fromEntries(Object.entries(sources).map(([name, { kind, ...source }]) => [name, source])),
    virtualServers: virtualServers.map(({ name, accessLog, rules, ...server }) => ({
      name,
      ...(toText(server) as object),
      accessLog,
      rules: rules.map((rule) => toText(toRuleInput(rule))),
    })),
    ...rest,
  };
  return JSON.stringify(input, hideSecrets, 2);
}

function toRuleInput({ match, authorize, handler }: RuleConfig): object {
  return {
    ...(match !== undefined && { match: toMatchInput(match) }),
    // Most rules ask nobody.
    ...(authorize.length > 0 && { authorize }),
    handler,
  };
}

/** The directory `/` is kept without its slash. */
function toMatchInput({ directory, all, any, not, ...rest }: MatchConfig): object {
  return {
    ...(directory !== undefined && { directory: directory || '/' }),
    ...rest,
    ...(all !== undefined && { all: all.map(toMatchInput) }),
    ...(any !== undefined && { any: any.map(toMatchInput) }),
    ...(not !== undefined && { not: toMatchInput(not) }),
  };
}

/** Byte strings back to text, in keys and values. */
function toText(value: unknown): unknown {
  if (typeof value === 'string') return Buffer.from(value, 'latin1').toString('utf8');
  if (Array.isArray(value)) return value.map(toText);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [toText(key), toText(inner)]));
}

function hideSecrets(key: string, value: unknown): unknown {
  if (key !== 'env') return value;
  return Object.fromEntries(
    Object.entries(value as Record<string, string>).map(([name, content]) => [
      name,
      isSecretName(name) ? '***' : content,
    ]),
  );
}
