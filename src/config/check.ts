/** What only the whole configuration can tell: names that lead nowhere, rules that nothing reaches, files that are not there. */
import { realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { toByteString, toText } from '../base/byte-string.ts';
import { asksDisk, extensionOfPath, takesAll } from '../http/match.ts';
import { allDocumentRoots, findScriptExtensions, findUses } from './facts.ts';
import { printNearest } from './nearest.ts';
import type {
  AuthorizeConfig,
  Config,
  HandlerConfig,
  RightsConfig,
  RuleConfig,
  VirtualServerConfig,
} from './types.ts';

/** Path into the configuration: keys and indexes. */
export type ConfigPath = readonly PropertyKey[];

/** Something wrong, before it has a place in a file. */
export interface Problem {
  readonly path: ConfigPath;
  readonly message: string;
}

/** @param kindOf what a path (byte string) names on disk */
export function findProblems(config: Config, kindOf: KindOf): Problem[] {
  const found: Problem[] = [];
  const report: Report = (path, message) => void found.push({ path, message });
  checkListen(config, report);
  checkSources(config, kindOf, report);
  checkHosts(config.virtualServers, report);
  for (const [index, server] of config.virtualServers.entries()) {
    const at = ['virtualServers', index];
    if (server.rules.length === 0 || server.rules.some(readsSiteRoot))
      checkDirectory([...at, 'documentRoot'], server.documentRoot, kindOf, report);
    if (server.accessLog !== false && server.accessLog.file !== '-') {
      checkDirectory(
        [...at, 'accessLog', 'file'],
        toByteString(dirname(server.accessLog.file)),
        kindOf,
        report,
      );
      checkLogIsNoProgram([...at, 'accessLog', 'file'], server, config, report);
    }
    checkReach(at, server, report);
    for (const [ruleIndex, { authorize, handler }] of server.rules.entries()) {
      for (const [place, authorizer] of authorize.entries()) {
        const path = [...at, 'rules', ruleIndex, 'authorize', place];
        checkBalancer(path, authorizer.balancer.sources, config, report);
        checkCacheKey(path, authorizer, place > 0, report);
      }
      checkHandler([...at, 'rules', ruleIndex, 'handler'], handler, config, kindOf, report);
    }
  }
  checkPhpValue(config, report);
  checkRights(config, report);
  return found;
}

/** What a path (byte string) names on disk. */
export type KindOf = (path: string) => 'file' | 'directory' | undefined;

type Report = (path: ConfigPath, message: string) => void;

function checkListen({ listen, metrics }: Config, report: Report): void {
  const seen = new Set<string>();
  for (const [index, entry] of listen.entries()) {
    const place = 'path' in entry ? entry.path : `${entry.host}:${entry.port}`;
    if (seen.has(place) && !place.endsWith(':0'))
      report(['listen', index], `${place} is there twice; remove one`);
    seen.add(place);
  }
  if (metrics === false || metrics.port === 0) return;
  const at = listen.findIndex(
    (own) => 'port' in own && own.port === metrics.port && own.host === metrics.host,
  );
  if (at === -1) return;
  report(
    ['metrics'],
    `Is the address of listen[${at}] too; give it another port, as clients must not read it`,
  );
}

/** Programs that are named by a path; those named by a word are searched when they are started. */
function checkSources({ sources }: Config, kindOf: KindOf, report: Report): void {
  for (const [name, source] of Object.entries(sources)) {
    if (source.kind === 'remote') continue;
    const isPhp = source.kind === 'php';
    const program = isPhp ? source.php : source.interpreter[0]!;
    const path = isPhp ? program : (source.chroot ?? '') + program;
    if (program.startsWith('/') && kindOf(toByteString(path)) !== 'file') {
      report(
        ['sources', name, ...(isPhp ? ['php'] : ['interpreter', 0])],
        `There is no program ${path}; install it, or correct the path`,
      );
    }
    if (source.workingDirectory !== undefined) {
      checkDirectory(
        ['sources', name, 'workingDirectory'],
        toByteString(source.workingDirectory),
        kindOf,
        report,
      );
    }
  }
}

function checkHosts(servers: readonly VirtualServerConfig[], report: Report): void {
  const owners = new Map<string, number>();
  for (const [index, { hosts }] of servers.entries()) {
    for (const [hostIndex, host] of hosts.entries()) {
      const owner = owners.get(host);
      if (owner === undefined) owners.set(host, index);
      else {
        report(
          ['virtualServers', index, 'hosts', hostIndex],
          `${JSON.stringify(host)} already belongs to virtualServers[${owner}] (${servers[owner]!.name}); a host has one virtual server`,
        );
      }
    }
  }
}

/** What a client says of itself is in the log: below a root that runs or sends it, a User-Agent would be a program. */
function checkLogIsNoProgram(
  path: ConfigPath,
  { accessLog }: VirtualServerConfig,
  config: Config,
  report: Report,
): void {
  if (accessLog === false) return;
  const root = findRootAbove(accessLog.file, config);
  const extension = extensionOfPath(accessLog.file);
  if (
    root === undefined ||
    !config.virtualServers.some((server) => findScriptExtensions(server).has(extension))
  )
    return;
  report(
    path,
    `${accessLog.file} lies below ${toText(root)} and ends in .${extension}: what clients send would become a program there; name a file outside of it`,
  );
}

function checkDirectory(path: ConfigPath, root: string, kindOf: KindOf, report: Report): void {
  const kind = kindOf(root);
  if (kind === 'directory') return;
  report(
    path,
    `${toText(root)} ${kind === 'file' ? 'is a file' : 'does not exist or cannot be read'}; name a directory`,
  );
}

/** A rule looks for files in the virtual server's root: by its handler, or by what its match asks to exist. */
function readsSiteRoot({ match, handler }: RuleConfig): boolean {
  const hasOwn = 'documentRoot' in handler && handler.documentRoot !== undefined;
  return !hasOwn && (readsFiles(handler) || asksDisk(match));
}

/** An application that has a whole tree, or one named script, is asked without looking at the root. */
function readsFiles(handler: HandlerConfig): boolean {
  switch (handler.type) {
    case 'fastcgi':
    case 'cgi':
      return handler.checkFile && handler.scriptAlias === undefined;
    case 'files':
    case 'filter':
      return true;
    case 'redirect':
    case 'error':
      return false;
  }
}

/**
 * Roots of rules that are not there, where files are looked for in them: a sentence for each. Only their rules' requests fail, so that
 * one folder that is gone takes no other site down.
 */
export function findMissingRoots({ virtualServers }: Config, kindOf: KindOf): string[] {
  return virtualServers.flatMap(({ name, rules }) =>
    rules.flatMap(({ match, handler }, index) => {
      const root = 'documentRoot' in handler ? handler.documentRoot : undefined;
      if (root === undefined || !(readsFiles(handler) || asksDisk(match)) || kindOf(root) === 'directory')
        return [];
      const what = kindOf(root) === 'file' ? 'is a file' : 'does not exist or cannot be read';
      return [
        `The documentRoot ${toText(root)} of rule ${index + 1} of ${name} ${what}, so that the rule finds nothing; name a directory`,
      ];
    }),
  );
}

function checkReach(at: ConfigPath, server: VirtualServerConfig, report: Report): void {
  const last = server.rules.findIndex(({ match }) => takesAll(match));
  if (last !== -1 && last < server.rules.length - 1) {
    report(
      [...at, 'rules', last + 1],
      `Is never reached: rules[${last}] before it takes every request; move that one to the end`,
    );
  }
}

function checkHandler(
  path: ConfigPath,
  handler: HandlerConfig,
  config: Config,
  kindOf: KindOf,
  report: Report,
): void {
  if ('balancer' in handler) checkBalancer(path, handler.balancer.sources, config, report);
  if (handler.type !== 'fastcgi' && handler.type !== 'cgi') return;
  // With checkFile off or a scriptRoot the script may live where only the application sees it.
  if (handler.scriptAlias !== undefined && handler.checkFile && kindOf(handler.scriptAlias) !== 'file') {
    report(
      [...path, 'scriptAlias'],
      `${toText(handler.scriptAlias)} is no file; name the script, or set "checkFile" to false if only the application sees it`,
    );
  }
  for (const [index, root] of handler.sendfileRoots.entries()) {
    checkDirectory([...path, 'sendfileRoots', index], root, kindOf, report);
  }
  for (const [prefix, root] of Object.entries(handler.accelRoots)) {
    checkDirectory([...path, 'accelRoots', prefix], root, kindOf, report);
  }
  if (handler.xSendfile) return;
  for (const key of ['sendfileRoots', 'accelRoots'] as const) {
    if (Object.keys(handler[key]).length === 0) continue;
    report([...path, key], 'Has no effect while "xSendfile" is off; set it to true, or remove this');
  }
}

/** Variables that every request may have; the rest are `HTTP_*`. */
const requestVariables: readonly string[] = [
  'CONTENT_TYPE',
  'DOCUMENT_ROOT',
  'DOCUMENT_URI',
  'HTTPS',
  'QUERY_STRING',
  'REMOTE_ADDR',
  'REQUEST_METHOD',
  'REQUEST_SCHEME',
  'REQUEST_URI',
  'SERVER_ADDR',
  'SERVER_NAME',
  'SERVER_PORT',
  'SERVER_PROTOCOL',
];

/** By a name that no request has, all requests would be alike, and what one may all could. */
function checkCacheKey(
  path: ConfigPath,
  { cacheKey, cacheMs, env }: AuthorizeConfig,
  hearsOthers: boolean,
  report: Report,
): void {
  if (cacheKey === undefined) return;
  if (cacheMs === 0) {
    report([...path, 'cacheKey'], 'Has no effect while "cacheMs" is 0; set that, or remove this');
  }
  // Those before it may say anything.
  if (hearsOthers) return;
  for (const [index, name] of cacheKey.entries()) {
    if (name.startsWith('HTTP_') || requestVariables.includes(name) || env.has(name)) continue;
    const field = `HTTP_${name.toUpperCase()}`;
    report(
      [...path, 'cacheKey', index],
      `No request has a variable ${name}${printNearest(name, [...requestVariables, field]) || `; the field ${name} is ${field}`}`,
    );
  }
}

function checkBalancer(
  path: ConfigPath,
  chosen: readonly { readonly source: string }[],
  config: Config,
  report: Report,
): void {
  const names = Object.keys(config.sources);
  const seen = new Set<string>();
  for (const { source } of chosen) {
    if (!Object.hasOwn(config.sources, source)) {
      const known = names.length === 0 ? 'there are none' : `there are ${names.join(', ')}`;
      report(
        path,
        `No source is called ${JSON.stringify(source)}${printNearest(source, names) || `; ${known}`}`,
      );
    } else if (seen.has(source)) {
      report(path, `Source ${JSON.stringify(source)} is there twice; give it a "weight" instead`);
    }
    seen.add(source);
  }
}

/**
 * PHP keeps settings that came by PHP_VALUE for the next request of the same process (T8): what one virtual server sets,
 * another one that shares the source gets.
 */
function checkPhpValue(config: Config, report: Report): void {
  const uses = findUses(config);
  for (const { path, asked, sources } of uses) {
    const shared = sources.find(
      (source) =>
        new Set(uses.filter((use) => use.sources.includes(source)).map(({ server }) => server)).size > 1,
    );
    if (shared === undefined) continue;
    for (const name of ['PHP_VALUE', 'PHP_ADMIN_VALUE']) {
      if (!asked.env.has(name)) continue;
      report(
        [...path, 'env', name],
        `${name} stays in the interpreter for later requests, and several virtual servers use source ${JSON.stringify(shared)}; give each its own source, with "ini"`,
      );
    }
  }
}

/** A process that has become the top level's `user` can start programs as that user only, and with nothing that only root may give. */
function checkRights({ user, group, sources, virtualServers }: Config, report: Report): void {
  if (user === undefined) {
    if (group !== undefined) report(['group'], 'Has no effect without "user"; add that, or remove this');
    return;
  }
  const check = (path: ConfigPath, own: RightsConfig & { readonly chroot?: string | undefined }) => {
    const isRoots = {
      user: own.user !== undefined && own.user !== user,
      group: own.group !== undefined && own.group !== group,
      groups: own.groups !== undefined,
      nice: own.nice !== undefined && own.nice < 0,
      chroot: own.chroot !== undefined,
    };
    for (const [key, isWrong] of Object.entries(isRoots)) {
      if (!isWrong) continue;
      report(
        [...path, key],
        `Needs root, but Fastway itself becomes ${JSON.stringify(user)}, the "user" of the top level; remove one of them`,
      );
    }
  };
  for (const [name, source] of Object.entries(sources)) {
    if (source.kind !== 'remote') check(['sources', name], source);
  }
  for (const [index, { rules }] of virtualServers.entries()) {
    for (const [ruleIndex, { handler }] of rules.entries()) {
      if (handler.type === 'cgi') check(['virtualServers', index, 'rules', ruleIndex, 'handler'], handler);
    }
  }
}

/** The document root that a file lies below, links resolved; undefined for none. @param file as people write it, absolute */
export function findRootAbove(file: string, config: Config): string | undefined {
  const real = realPath(dirname(file));
  return allDocumentRoots(config).find((root) => {
    const folder = realPath(toText(root));
    return real === folder || real.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
  });
}

function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}
