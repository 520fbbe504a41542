/**
 * Whether a request lies below the path that the gateway was mounted at. Frameworks compare a mount path with the letters of the
 * URL; what is routed is the canonical path of the whole one, which `..` and empty segments may lead elsewhere.
 */
import { isWithin, parseTarget } from '../http/target.ts';

/**
 * The canonical path of the client's target is the mount or lies below it.
 * Where the framework has rewritten the URL in another way than by taking a mount path off, the mount is not known: a path without
 * dot segments and empty segments is then taken to be where the framework saw it, and no other.
 * @param original the request-target as the client sent it
 * @param url what the framework has left of it; the same where it takes nothing off
 * @param prefix what its router matched at the beginning of `url` and left there; may hold parameters (`:name`, `*`)
 * @returns false also for a target that is none
 */
export function isWithinMount(original: string, url: string, prefix = ''): boolean {
  const path = canonicalPath(original);
  if (path === undefined) return false;
  const fixed = fixedPrefix(prefix);
  // A framework that takes nothing off may still write the same path in another way.
  const taken = original === url || path === canonicalPath(url) ? '' : takenOff(original, url);
  const mount = taken === undefined || fixed === undefined ? undefined : taken + fixed;
  if (mount === '') return true;
  if (mount === undefined) return isStraight(rawPath(original));
  const canonicalMount = isStraight(mount) ? canonicalPath(mount) : undefined;
  return canonicalMount !== undefined && isWithin(path, canonicalMount);
}

/** What was taken off the beginning of the path; undefined when it was something else that happened to it. */
function takenOff(original: string, url: string): string | undefined {
  const path = rawPath(original);
  const origin = /^https?:\/\/[^/?#]*/i.exec(original)?.[0];
  // Cut off behind the authority, since a framework may leave something that begins with no slash.
  const rest = rawPath(origin !== undefined && url.startsWith(origin) ? url.slice(origin.length) : url);
  if (path.endsWith(rest)) return path.slice(0, path.length - rest.length);
  // Express and Connect put a slash before what has none: `/php?a` and, in Connect, `/php.a` below `/php`.
  const unslashed = rest.slice(1);
  if (rest.startsWith('/') && path.endsWith(unslashed)) return path.slice(0, path.length - unslashed.length);
  return undefined;
}

/** Without the slash at its end, in bytes as a client sends them; undefined when it holds parameters. */
function fixedPrefix(prefix: string): string | undefined {
  if (/[:*]/.test(prefix)) return undefined;
  return prefix.replace(/\/+$/, '').replace(/[^\x21-\x7e]/gu, encodeURIComponent);
}

/** As it came: without scheme, authority and query. */
function rawPath(target: string): string {
  return target.replace(/^https?:\/\/[^/?#]*/i, '').replace(/\?.*$/s, '');
}

/** No dot segment, no empty one but the last, and no backslash, which some take for a slash: what it begins with holds it. */
function isStraight(path: string): boolean {
  return !/\\|\/(?:\/|(?:\.|%2e){1,2}(?:\/|$))/i.test(path);
}

function canonicalPath(target: string): string | undefined {
  try {
    return parseTarget(target).path;
  } catch {
    return undefined;
  }
}
