/**
 * Where a redirect leads: text with variables, each encoded for the part of the URL in which it stands, so that what a client
 * wrote stays part of one path, one parameter or one host name: a `&` in a path makes no parameter.
 */
import { serverName } from '../cgi/meta-variables.ts';
import { encodePath, encodeQuery } from '../http/target.ts';
import type { RoutedRequest } from './handler.ts';
import { redirectVariable } from './redirect-variables.ts';

/** `host`: at the beginning of a host name; `authority`: further on, where a slash begins the path. */
type Part = 'path' | 'query' | 'host' | 'authority';

interface Variable {
  readonly name: string;
  readonly part: Part;
}

export class RedirectTarget {
  readonly #pieces: readonly (string | Variable)[];
  readonly #fragment: readonly (string | Variable)[];
  /** The request's own query is added. Not where `to` says where it goes, or ends with a `?`. */
  readonly #addsQuery: boolean;
  /** It names another host by itself. */
  readonly #isAbsolute: boolean;

  /** @param to a byte string, in which `findUnknownVariable` finds nothing */
  constructor(to: string) {
    const hash = to.indexOf('#');
    const [main, fragment] = hash === -1 ? [to, ''] : [to.slice(0, hash), to.slice(hash)];
    const endsQuery = main.endsWith('?');
    this.#pieces = readPieces(endsQuery ? main.slice(0, -1) : main);
    this.#fragment = readPieces(fragment);
    this.#addsQuery =
      !endsQuery && !this.#pieces.some((piece) => typeof piece === 'object' && piece.name === 'query');
    this.#isAbsolute = to.startsWith('//');
  }

  expand(request: RoutedRequest): string {
    const expanded = expandPieces(this.#pieces, request);
    // `$1` alone could begin with two slashes and name another host; a target that began with one slash keeps one.
    let target = this.#isAbsolute ? expanded : expanded.replace(/^\/{2,}/, '/');
    const { hasQuery, query } = request.target;
    if (!this.#addsQuery) target = query === '' ? target.replace(/[?&]$/, '') : target;
    else if (hasQuery) target += (target.includes('?') ? '&' : '?') + query;
    return target + expandPieces(this.#fragment, request);
  }
}

function readPieces(text: string): readonly (string | Variable)[] {
  const pieces: (string | Variable)[] = [];
  let from = 0;
  for (const match of text.matchAll(redirectVariable)) {
    const before = text.slice(0, match.index);
    pieces.push(text.slice(from, match.index));
    from = match.index + match[0].length;
    const name = match[1] ?? match[2] ?? match[3]!;
    pieces.push(name === '$' ? '$' : { name, part: partAfter(before) });
  }
  return [...pieces, text.slice(from)];
}

/** In which part of a URL is what follows this beginning? A fragment is written as a query is. */
function partAfter(beginning: string): Part {
  if (/[?#]/.test(beginning)) return 'query';
  const authority = /^(?:[A-Za-z][A-Za-z0-9+.-]*:)?\/\/([^/]*)$/.exec(beginning)?.[1];
  return authority === undefined ? 'path' : authority === '' ? 'host' : 'authority';
}

function expandPieces(pieces: readonly (string | Variable)[], request: RoutedRequest): string {
  let expanded = '';
  for (const piece of pieces) expanded += typeof piece === 'string' ? piece : expandVariable(piece, request);
  return expanded;
}

function expandVariable({ name, part }: Variable, request: RoutedRequest): string {
  const { target, captures } = request;
  switch (name) {
    case 'host':
      return serverName(request.host, request.exchange.request.localAddress);
    case 'query':
      return part === 'query' ? target.query : encoders[part](target.query);
    case 'path':
      return encodeDecodedPath(target.path, part, request);
    case 'nearest':
      return encodeDecodedPath(request.nearest, part, request);
    default: {
      const group = name === '0' ? (captures[0] ?? target.path) : (captures[Number(name)] ?? '');
      return encodeDecodedPath(group, part, request);
    }
  }
}

/** An encoded slash of the client's stays one: it is the one thing that a canonical path still holds encoded (T26). */
function encodeDecodedPath(text: string, part: Part, { target }: RoutedRequest): string {
  const encode = encoders[part];
  if (target.encodedSlash === -1) return encode(text);
  return text.split('%2F').map(encode).join('%2F');
}

const encoders: Readonly<Record<Part, (text: string) => string>> = {
  path: encodePath,
  query: encodeQuery,
  host: encodeHost,
  authority: (text) => (text.startsWith('/') ? encodePath(text) : encodeHost(text)),
};

/** A character that is not a letter of a host name must not end it. */
function encodeHost(text: string): string {
  return encodeQuery(text).replace(/[/:@!$'()*,]/g, (c) => `%${c.charCodeAt(0).toString(16)}`);
}
