/** Writes a `Config` as a configuration that people can read and we can load: presets become rules, defaults values. */
import { printAddress } from '../base/address.ts';
import { toText } from '../base/byte-string.ts';
import { hideArguments, hideInText, hideValue } from '../base/secrets.ts';
import { printExpression, printMatch } from '../http/match.ts';
import type { TrustedProxies } from '../http/real-ip.ts';
import type {
  Config,
  HandlerConfig,
  RealIpInput,
  RemoteSourceConfig,
  RightsConfig,
  RuleConfig,
  SourceConfig,
} from './types.ts';

/**
 * JSON text. What is secret is `***` (base/secrets.ts): this is pasted into bug reports.
 * Loading the text again gives the same `Config`, but for that.
 */
export function printConfig(config: Config, options: { readonly showSecrets?: boolean } = {}): string {
  return JSON.stringify(toInput(config), options.showSecrets === true ? undefined : hideSecrets(), 2);
}

/** Names of what `printConfig` hides, in its order: the variable, or the key in which it is. */
export function findSecrets(config: Config): readonly string[] {
  const found: string[] = [];
  JSON.stringify(toInput(config), hideSecrets(found));
  return found;
}

function toInput(config: Config): object {
  const { listen, sources, virtualServers, realIp, ...rest } = config;
  return {
    listen: listen.map((entry) =>
      'path' in entry ? { ...entry, mode: entry.mode.toString(8).padStart(4, '0') } : entry,
    ),
    sources: Object.fromEntries(
      Object.entries(sources).map(([name, source]) => [name, toSourceInput(source)]),
    ),
    virtualServers: virtualServers.map(({ name, accessLog, rules, ...server }) => ({
      name,
      ...(allToText(server) as object),
      accessLog,
      rules: rules.map(toRuleInput),
    })),
    realIp: toRealIpInput(realIp),
    ...rest,
  };
}

function toSourceInput(source: SourceConfig): object {
  const { kind, ...rest } = source;
  if (kind !== 'remote') return printUmask(rest as Omit<Exclude<SourceConfig, RemoteSourceConfig>, 'kind'>);
  const { address, statusAddress } = source;
  return {
    ...rest,
    address: printAddress(address),
    ...(statusAddress !== undefined && { statusAddress: printAddress(statusAddress) }),
  };
}

function printUmask<Rights extends RightsConfig>({ umask, ...rest }: Rights): object {
  return { ...rest, ...(umask !== undefined && { umask: umask.toString(8).padStart(3, '0') }) };
}

function toRuleInput({ match, authorize, handler }: RuleConfig): object {
  const written = printMatch(match);
  return {
    ...(written !== undefined && { match: allToText(written) }),
    // Most rules ask nobody.
    ...(authorize.length > 0 && { authorize: allToText(authorize) }),
    handler: toHandlerInput(handler),
  };
}

function toHandlerInput(handler: HandlerConfig): object {
  if (!('passRequestHeaders' in handler)) return allToText(handler) as object;
  const { realIp, failurePattern, ...rest } = handler;
  return {
    ...(allToText(rest.type === 'cgi' ? printUmask(rest) : rest) as object),
    ...(realIp !== undefined && { realIp: toRealIpInput(realIp) }),
    ...(failurePattern !== undefined && { failurePattern: printExpression(failurePattern) }),
  };
}

function toRealIpInput({ trusted, field, protoField, hostField, portField }: TrustedProxies): RealIpInput {
  return {
    trusted: trusted.ranges,
    field,
    protoField: protoField ?? false,
    hostField: hostField ?? false,
    portField: portField ?? false,
  };
}

/** Byte strings back to text, in keys and values. */
function allToText(value: unknown): unknown {
  if (typeof value === 'string') return toText(value);
  if (Array.isArray(value)) return value.map(allToText);
  if (value instanceof Map) return allToText(Object.fromEntries(value));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [toText(key), allToText(inner)]));
}

/** Objects whose keys are names that people chose. */
const named: ReadonlySet<string> = new Set(['env', 'ini', 'header', 'query']);

/** A replacer for `JSON.stringify`. @param found gets the names of what was hidden */
function hideSecrets(found: string[] = []): (key: string, value: unknown) => unknown {
  const tell = <Value>(name: string, before: Value, after: Value): Value => {
    if (before !== after) found.push(name);
    return after;
  };
  return (key, value) => {
    if (typeof value === 'string') return tell(key, value, hideInText(value));
    if (key === 'interpreter') {
      const before = value as readonly string[];
      return hideArguments(before).map((argument, index) => tell(key, before[index]!, argument));
    }
    if (!named.has(key) || typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, content]) => [name, hideNamed(name, content, tell)]),
    );
  };
}

/** Text, or what a match expects: text, a regular expression, or only that there is something. */
function hideNamed(
  name: string,
  content: unknown,
  tell: (name: string, before: string, after: string) => string,
): unknown {
  if (typeof content === 'string') return tell(name, content, hideValue(name, content));
  if (typeof content !== 'object' || content === null) return content;
  const { regex } = content as { readonly regex: string };
  return { regex: tell(name, regex, hideValue(name, regex)) };
}
