/** What follows from the rules: who uses which source, for which files, and which files of a site are programs. */
import { extensionOfPath, type Match, mentionedExtensions } from '../http/match.ts';
import type {
  AuthorizeConfig,
  Config,
  FastcgiHandlerConfig,
  FilterHandlerConfig,
  HandlerConfig,
  RuleConfig,
  VirtualServerConfig,
} from './types.ts';

/** Somebody whom a rule asks: a handler or an authorizer, with the sources that it may choose from. */
export interface SourceUse {
  readonly asked: FastcgiHandlerConfig | FilterHandlerConfig | AuthorizeConfig;
  /** Names. */
  readonly sources: readonly string[];
  readonly rule: RuleConfig;
  readonly server: VirtualServerConfig;
  /** Where it is written. */
  readonly path: readonly PropertyKey[];
}

/** Everybody who asks a source, in the order of the configuration. */
export function findUses({ virtualServers }: Pick<Config, 'virtualServers'>): readonly SourceUse[] {
  return virtualServers.flatMap((server, serverIndex) =>
    server.rules.flatMap((rule, ruleIndex) => {
      const at = ['virtualServers', serverIndex, 'rules', ruleIndex];
      const use = (asked: SourceUse['asked'], ...path: PropertyKey[]): SourceUse => ({
        asked,
        sources: asked.balancer.sources.map(({ source }) => source),
        rule,
        server,
        path: [...at, ...path],
      });
      return [
        ...rule.authorize.map((authorizer, place) => use(authorizer, 'authorize', place)),
        ...('balancer' in rule.handler ? [use(rule.handler, 'handler')] : []),
      ];
    }),
  );
}

/** Absolute, byte strings: whose files a source reads, the first use first. A rule's own root stands before its server's. */
export function findDocumentRoots(config: Config, source: string): readonly string[] {
  const roots = findUses(config)
    .filter(({ sources }) => sources.includes(source))
    .map(({ asked, server }) => ('documentRoot' in asked && asked.documentRoot) || server.documentRoot);
  return [...new Set(roots)];
}

/** All roots of a configuration, byte strings. */
export function allDocumentRoots({ virtualServers }: Config): readonly string[] {
  return virtualServers.flatMap(({ documentRoot, rules }) => [
    documentRoot,
    ...rules.flatMap(({ handler }) =>
      'documentRoot' in handler && handler.documentRoot !== undefined ? [handler.documentRoot] : [],
    ),
  ]);
}

/** Sources that are chosen among: their names, for each balancer that has a choice. */
export function findGroups(config: Config): readonly (readonly string[])[] {
  const groups = findUses(config).flatMap(({ sources }) => (sources.length < 2 ? [] : [sources]));
  return [...new Map(groups.map((names) => [names.join('\n'), names])).values()];
}

/** Sources that run PHP scripts, whatever PHP they are. */
export function findPhpSources(config: Config): readonly string[] {
  const runsPhp = ({ asked, rule }: SourceUse) =>
    'type' in asked &&
    asked.type === 'fastcgi' &&
    (mentionedExtensions(rule.match).includes('php') || asked.scriptAlias?.endsWith('.php') === true);
  return [
    ...new Set(
      findUses(config)
        .filter(runsPhp)
        .flatMap(({ sources }) => sources),
    ),
  ];
}

/** Sent by nobody, whatever the rules say. */
const alwaysScripts = [
  'php',
  'phtml',
  'phar',
  'php3',
  'php4',
  'php5',
  'php7',
  'php8',
  'phps',
  'pht',
  'inc',
] as const;

/**
 * What is a program somewhere in a virtual server is never sent as a file there (T31).
 * @returns extensions in lower case, without dot
 */
export function findScriptExtensions({ rules }: Pick<VirtualServerConfig, 'rules'>): ReadonlySet<string> {
  return new Set([...alwaysScripts, ...rules.flatMap(extensionsThatRun)]);
}

/** The largest request body that a rule sends to a source, in bytes; undefined when no rule asks it. */
export function findLargestBody(config: Config, source: string): number | undefined {
  const limits = findUses(config)
    .filter(({ sources }) => sources.includes(source))
    .flatMap(({ asked }) => ('maxBodyBytes' in asked ? [asked.maxBodyBytes] : []));
  return limits.length === 0 ? undefined : Math.max(...limits);
}

/**
 * What a PHP of ours may run: what the rules that ask it say, so that `/avatar.jpg/x.php` is no way to run a picture.
 * @returns extensions in lower case, without dot; those of a rule that names none: `php`
 */
export function findRunExtensions(config: Config, source: string): ReadonlySet<string> {
  const rules = findUses(config)
    .filter(({ asked, sources, rule }) => asked === rule.handler && sources.includes(source))
    .map(({ rule }) => rule);
  return new Set(['php', ...rules.flatMap(extensionsThatRun)]);
}

function extensionsThatRun({ match, handler }: RuleConfig): readonly string[] {
  if (handler.type !== 'fastcgi' && handler.type !== 'cgi') return [];
  const own = handler.scriptAlias === undefined ? '' : extensionOfPath(handler.scriptAlias);
  return own === '' ? mentionedExtensions(match) : [...mentionedExtensions(match), own];
}

/** Matches of the rules that run files, before the rule at `index`. One without a match leaves nothing to those behind it. */
export function findProgramMatches(rules: readonly RuleConfig[], index: number): readonly Match[] {
  return rules.slice(0, index).flatMap(({ match, handler }) => (runsFiles(handler) ? [match] : []));
}

/** The rule runs files by their path: a CGI program, or a script that is looked up. */
function runsFiles(handler: HandlerConfig): boolean {
  if (handler.type === 'cgi') return handler.scriptAlias === undefined;
  return handler.type === 'fastcgi' && handler.checkFile && handler.scriptAlias === undefined;
}
