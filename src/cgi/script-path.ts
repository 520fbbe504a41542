/**
 * Which script answers a path, from the web server's side: the five Common CGI Options made into SCRIPT_NAME,
 * PATH_INFO and SCRIPT_FILENAME (RFC 3875 4.1.5, 4.1.13). Whether a file exists is asked through the root.
 * Invariant: SCRIPT_NAME + PATH_INFO is the decoded path, byte for byte, but for a `scriptAlias` below a root of the rule's own:
 * there SCRIPT_NAME is the URL of the script itself. No regular expression splits a path (T19).
 */
import { extensionOf, findExtensionEnd, isWithin } from '../http/target.ts';

/** A folder of scripts, as far as mapping needs it. A `DocumentRoot` is one. */
export interface ScriptRoot {
  /** Absolute, without trailing slash. */
  readonly path: string;
  /** What a path below the root names: `/a/b.php`, without trailing slash; `/` for the root. `hidden`: why nobody should ask for it. */
  find(
    path: string,
  ): { readonly kind: 'file' | 'directory'; readonly hidden?: string | undefined } | 'forbidden' | undefined;
}

/** How one rule maps paths; the same for all its requests. Strings are byte strings. */
export interface ScriptMapping {
  /**
   * On: the first regular file on the way down is the script, the rest is PATH_INFO.
   * Off: nothing is read from disk. SCRIPT_NAME is the rule's directory and PATH_INFO the rest; only a rule that names
   * extensions knows better, without a disk: the script ends with the first segment that ends in one of them. So a
   * php-fpm in a container of its own is served too, with `scriptRoot`.
   */
  readonly checkFile: boolean;
  /** On: what is hidden does not run. */
  readonly guard: boolean;
  /** Every request runs this script; an absolute path. */
  readonly scriptAlias: string | undefined;
  /** Asked for `scriptAlias` when `checkFile` is on: is it a regular file? */
  isFile(path: string): boolean;
  readonly root: ScriptRoot;
  /** The root is the rule's own: it stands for the rule's directory, `/static/a.css` is root + `/a.css`. */
  readonly rootIsDirectory: boolean;
  /** The root as the application sees it; undefined: as we do. Absolute, without trailing slash. */
  readonly scriptRoot: string | undefined;
}

/** A script to run. All paths on disk are as the application sees them. */
export interface Script {
  readonly kind: 'script';
  /** The URL's part that leads to the script; empty for an application that has the whole tree. */
  readonly scriptName: string;
  /** Absolute. For an application without files (`checkFile` off, no extension) root + SCRIPT_NAME. */
  readonly scriptFilename: string;
  /** The rest of the URL; empty for none. */
  readonly pathInfo: string;
  /** Document root + PATH_INFO (RFC 3875 4.1.6); undefined without PATH_INFO. */
  readonly pathTranslated: string | undefined;
  readonly documentRoot: string;
  /** SCRIPT_FILENAME as we see it: what to look at when the application says that it is not there. */
  readonly localFilename: string;
}

export type ScriptPath =
  | Script
  /** Needs a slash: redirect to it. Else look for an index: root + `localPath` + `/` + name; `localPath` ends without slash. */
  | { readonly kind: 'directory'; readonly needsSlash: boolean; readonly localPath: string }
  /** `missing`: nothing at `filename`. `extension`: a file that is not a script is there (T17); it must not run. */
  | { readonly kind: 'not-found'; readonly reason: 'missing' | 'extension'; readonly filename: string }
  | { readonly kind: 'forbidden'; readonly filename: string }
  | { readonly kind: 'hidden'; readonly filename: string; readonly reason: string };

/**
 * Maps a canonical path.
 * @param directory the rule's, without trailing slash and empty for none; the path is within it
 * @param extensions the rule's, lower case without dot; undefined when any file may run
 * @param isWhole the rule names exactly this path: no part of it is PATH_INFO of a `scriptAlias`
 */
export function findScript(
  mapping: ScriptMapping,
  path: string,
  directory: string,
  extensions: readonly string[] | undefined,
  isWhole = false,
): ScriptPath {
  const { scriptAlias } = mapping;
  if (mapping.checkFile && scriptAlias === undefined) return walk(mapping, path, directory, extensions);
  if (scriptAlias === undefined && extensions !== undefined) {
    return splitAtExtension(mapping, path, directory, extensions);
  }
  if (scriptAlias === undefined) return wholeTree(mapping, path, directory);
  if (mapping.checkFile && !mapping.isFile(scriptAlias)) {
    return { kind: 'not-found', reason: 'missing', filename: scriptAlias };
  }
  return aliased(mapping, path, directory, scriptAlias, isWhole);
}

/**
 * A script that is named is a program and no folder: `/map` is its SCRIPT_NAME without a slash too. Below a root of the rule's
 * own, which has URLs, it has one itself, by which a front controller knows where its application begins.
 */
function aliased(
  mapping: ScriptMapping,
  path: string,
  directory: string,
  scriptAlias: string,
  isWhole: boolean,
): Script {
  const { root, rootIsDirectory } = mapping;
  if (!rootIsDirectory || !scriptAlias.startsWith(`${root.path}/`)) {
    const end = isWhole && !path.endsWith('/') ? path.length : isWhole ? path.length - 1 : directory.length;
    return script(mapping, path, end, scriptAlias);
  }
  const scriptName = directory + scriptAlias.slice(root.path.length);
  const rest = isWithin(path, scriptName) ? scriptName.length : directory.length;
  return { ...script(mapping, path, isWhole ? path.length : rest, scriptAlias), scriptName };
}

function walk(
  mapping: ScriptMapping,
  path: string,
  directory: string,
  extensions: readonly string[] | undefined,
): ScriptPath {
  const { root } = mapping;
  const from = mapping.rootIsDirectory ? directory.length : 0;
  const last = path.endsWith('/') ? path.length - 1 : path.length;

  // Most paths name a file or a directory whole: one question answers them.
  let end = last;
  let found = root.find(path.slice(from, end) || '/');
  if (found === undefined) {
    for (end = path.indexOf('/', from + 1); end !== -1 && end < last; end = path.indexOf('/', end + 1)) {
      found = root.find(path.slice(from, end));
      if (found === undefined || found === 'forbidden' || found.kind === 'file') break;
      found = undefined;
    }
  }
  const filename = root.path + path.slice(from, end === -1 ? last : end);
  if (found === undefined) return { kind: 'not-found', reason: 'missing', filename };
  if (found === 'forbidden') return { kind: 'forbidden', filename };
  if (mapping.guard && found.hidden !== undefined) return { kind: 'hidden', filename, reason: found.hidden };
  if (found.kind === 'directory') {
    return { kind: 'directory', needsSlash: last === path.length, localPath: path.slice(from, last) };
  }
  if (extensions !== undefined && !extensions.includes(extensionOf(lastSegment(filename)))) {
    return { kind: 'not-found', reason: 'extension', filename };
  }
  return script(mapping, path, end, filename);
}

function splitAtExtension(
  mapping: ScriptMapping,
  path: string,
  directory: string,
  extensions: readonly string[],
): ScriptPath {
  const from = mapping.rootIsDirectory ? directory.length : 0;
  const length = findExtensionEnd(path.slice(from), { has: (name) => extensions.includes(name) });
  if (length === -1) {
    return { kind: 'not-found', reason: 'extension', filename: mapping.root.path + path.slice(from) };
  }
  return script(mapping, path, from + length, mapping.root.path + path.slice(from, from + length));
}

function wholeTree(mapping: ScriptMapping, path: string, directory: string): Script {
  const name = mapping.rootIsDirectory ? '' : directory;
  return script(mapping, path, directory.length, mapping.root.path + name);
}

function script(mapping: ScriptMapping, path: string, nameLength: number, filename: string): Script {
  const local = mapping.root.path;
  const documentRoot = mapping.scriptRoot ?? local;
  const pathInfo = nameLength === path.length ? '' : path.slice(nameLength);
  return {
    kind: 'script',
    scriptName: nameLength === path.length ? path : path.slice(0, nameLength),
    scriptFilename:
      mapping.scriptRoot !== undefined && isWithin(filename, local)
        ? documentRoot + filename.slice(local.length)
        : filename,
    pathInfo,
    pathTranslated: pathInfo === '' ? undefined : documentRoot + pathInfo,
    documentRoot,
    localFilename: filename,
  };
}

function lastSegment(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1);
}
