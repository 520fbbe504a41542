/**
 * The meta-variables of a request (RFC 3875 section 4), from the web server's side.
 * One value per name. Configured ones win. A client decides only `HTTP_*`, only through names that can be told apart
 * ([A-Za-z0-9-]: `_` and `.` would become the same variable as `-`, T2 to T4; `underscoreHeaders` are said to be told
 * apart), and never HTTP_PROXY (CVE-2016-5385).
 * Hot path: a few microseconds a request are a tenth of all that it costs, so names are translated once and kept.
 */
import { HttpRequestError } from '../base/errors.ts';
import { equalsIgnoreCase, parseHost } from '../http/fields.ts';
import type { Fields } from '../http/message.ts';
import type { Script } from './script-path.ts';

/** What a rule decides for all its requests. Strings are byte strings. */
export interface MetaVariablesOptions {
  /** Names as `[A-Za-z_][A-Za-z0-9_]*`. */
  readonly env: ReadonlyMap<string, string>;
  /** Off: only the well-known request fields become `HTTP_*`. */
  readonly passRequestHeaders: boolean;
  /** Names with `_`, in lower case, that pass; the same name with `-` does not, then. Default: none. */
  readonly underscoreHeaders?: readonly string[];
  /** Hears of the name of a field that is dropped since others would become the same variable; once as long as it is kept. */
  readonly ignoredField?: ((name: string) => void) | undefined;
  /** Product and version, as `fastway/1.0.0`. */
  readonly serverSoftware: string;
}

/** What a request brings. Strings are byte strings. */
export interface MetaVariablesInput {
  readonly method: string;
  /** As `1.1`. */
  readonly version: string;
  /** Path and query as the client sent them, also after an internal redirect. */
  readonly requestUri: string;
  /** Canonical and decoded; after an internal redirect the new one. */
  readonly path: string;
  readonly query: string;
  readonly fields: Fields;
  /** Of an absolute-form target: takes the place of the Host field (T15). */
  readonly authority: string | undefined;
  /** Host that the request was routed on, without port; empty if none was named. */
  readonly host: string;
  /** The client speaks TLS, to us or to a proxy that we trust. */
  readonly secure: boolean;
  readonly remoteAddress: string;
  /** 0 when unknown. */
  readonly remotePort: number;
  /** Empty on a unix socket. */
  readonly localAddress: string;
  /** 0 where it is not the client's idea of our port, on a unix socket or when a proxy ends TLS: then the Host's counts. */
  readonly localPort: number;
  readonly script: Script;
  /** Exact bytes of the body, also of one that came chunked; undefined without a body. */
  readonly contentLength: number | undefined;
  /** The file that a Filter works on. */
  readonly data?: { readonly length: number; readonly modifiedMs: number } | undefined;
  /** What authorizers say (FastCGI 6.3), flat. Configured variables win over them, they win over all else. */
  readonly authorized?: readonly string[] | undefined;
  /** Of an internal redirect: the path and the query before. */
  readonly redirectedFrom: { readonly path: string; readonly query: string } | undefined;
  /** 200, or the status of the error page that is made; php-cgi wants to see one. */
  readonly redirectStatus: number;
}

/** A variable, and who decided its value. */
export interface VariableOrigin {
  readonly name: string;
  readonly value: string;
  readonly origin: string;
}

/** Builds the variables of one rule's requests. Keeps the translated names of fields it has met, at most 64 KiB of them. */
export class MetaVariables {
  readonly #env: ReadonlyMap<string, string>;
  readonly #envPairs: readonly string[];
  /** The configuration names a variable that we compute, so ours have to be filtered. */
  readonly #envReplaces: boolean;
  readonly #passRequestHeaders: boolean;
  readonly #underscored: ReadonlySet<string>;
  /** Of the names in `#underscored`, with `-`. */
  readonly #hyphenated: ReadonlySet<string>;
  readonly #ignoredField: ((name: string) => void) | undefined;
  readonly #serverSoftware: string;
  /** By field name as it came. */
  readonly #slots = new Map<string, Slot>();
  /** By variable: all spellings of a name share one slot. Apart, for a client may well name a field `HTTP_HOST`. */
  readonly #slotsByVariable = new Map<string, Slot>();
  #slotBytes = 0;
  /** Counts builds, so that a slot knows whether this request has filled it. */
  #build = 0;

  constructor(options: MetaVariablesOptions) {
    this.#env = options.env;
    this.#envPairs = [...options.env].flat();
    this.#envReplaces = [...options.env.keys()].some((name) => origins.has(name));
    this.#passRequestHeaders = options.passRequestHeaders;
    this.#underscored = new Set(options.underscoreHeaders);
    this.#hyphenated = new Set(options.underscoreHeaders?.map((name) => name.replaceAll('_', '-')));
    this.#ignoredField = options.ignoredField;
    this.#serverSoftware = options.serverSoftware;
  }

  /**
   * Flat: name, value, name, value ...
   * @throws {HttpRequestError} GW_ERR_HTTP_REQUEST: a field that may come once came twice (T5)
   */
  build(input: MetaVariablesInput): string[] {
    const { script } = input;
    const variables = [
      'GATEWAY_INTERFACE',
      'CGI/1.1',
      'SERVER_SOFTWARE',
      this.#serverSoftware,
      'SERVER_PROTOCOL',
      input.version === '1.1' ? 'HTTP/1.1' : `HTTP/${input.version}`,
      'SERVER_NAME',
      serverName(input.host, input.localAddress),
      'SERVER_PORT',
      input.localPort !== 0 ? String(input.localPort) : portOf(input),
      'REMOTE_ADDR',
      input.remoteAddress,
      'REQUEST_METHOD',
      input.method,
      'REQUEST_SCHEME',
      input.secure ? 'https' : 'http',
      'REQUEST_URI',
      input.requestUri,
      'QUERY_STRING',
      input.query,
      'DOCUMENT_ROOT',
      script.documentRoot,
      'DOCUMENT_URI',
      input.path,
      'SCRIPT_NAME',
      script.scriptName,
      'SCRIPT_FILENAME',
      script.scriptFilename,
      'PATH_INFO',
      script.pathInfo,
      'REDIRECT_STATUS',
      input.redirectStatus === 200 ? '200' : String(input.redirectStatus),
    ];
    if (script.pathTranslated !== undefined) variables.push('PATH_TRANSLATED', script.pathTranslated);
    if (input.remotePort !== 0) variables.push('REMOTE_PORT', String(input.remotePort));
    if (input.localAddress !== '') variables.push('SERVER_ADDR', input.localAddress);
    // Only when on: applications ask whether it is there (the original sent "off").
    if (input.secure) variables.push('HTTPS', 'on');
    if (input.contentLength !== undefined) variables.push('CONTENT_LENGTH', String(input.contentLength));
    if (input.data !== undefined) {
      // FastCGI 6.4: bytes, and seconds since 1970.
      const { length, modifiedMs } = input.data;
      variables.push('FCGI_DATA_LENGTH', String(length));
      variables.push('FCGI_DATA_LAST_MOD', String(Math.floor(modifiedMs / 1000)));
    }
    // By REDIRECT_URL PHP takes itself for an action of Apache: it drops PATH_INFO and runs PATH_TRANSLATED (fix_pathinfo).
    if (input.redirectedFrom !== undefined && script.pathInfo === '') {
      variables.push(
        'REDIRECT_URL',
        input.redirectedFrom.path,
        'REDIRECT_QUERY_STRING',
        input.redirectedFrom.query,
      );
    }
    this.#pushFields(variables, input);
    if (input.authorized !== undefined) this.#authorize(variables, input.authorized);
    return this.#envPairs.length === 0 ? variables : this.#configure(variables);
  }

  /** The same variables with their origins, for `fastway explain`. */
  explain(input: MetaVariablesInput): VariableOrigin[] {
    const variables = this.build(input);
    const explained: VariableOrigin[] = [];
    for (let i = 0; i < variables.length; i += 2) {
      const name = variables[i]!;
      explained.push({ name, value: variables[i + 1]!, origin: this.#originOf(name, input) });
    }
    return explained;
  }

  #pushFields(variables: string[], input: MetaVariablesInput): void {
    if (this.#slotBytes > slotBytesMax) {
      this.#slots.clear();
      this.#slotsByVariable.clear();
      this.#slotBytes = 0;
    }
    const build = ++this.#build;
    const { fields, authority } = input;
    for (let i = 0; i < fields.length; i += 2) {
      const slot = this.#slots.get(fields[i]!) ?? this.#addSlot(fields[i]!);
      if (slot === dropped) continue;
      if (slot.build !== build) {
        slot.build = build;
        // Of Content-Length only the number of its lines counts: the body itself says how long it is.
        if (slot.variable !== 'CONTENT_LENGTH') {
          slot.index = variables.push(slot.variable, fields[i + 1]!) - 1;
        }
      } else if (slot.separator === undefined) {
        throw new HttpRequestError(
          'GW_ERR_HTTP_REQUEST',
          `Field ${fields[i]} came twice, and may come only once`,
        );
      } else {
        variables[slot.index] += slot.separator + fields[i + 1];
      }
    }
    if (authority !== undefined) this.#replace(variables, 'HTTP_HOST', authority, build);
  }

  #replace(variables: string[], variable: string, value: string, build: number): void {
    const slot = this.#slotsByVariable.get(variable);
    if (slot?.build === build) variables[slot.index] = value;
    else if (!this.#env.has(variable)) variables.push(variable, value);
  }

  #authorize(variables: string[], authorized: readonly string[]): void {
    for (let i = 0; i < authorized.length; i += 2) {
      const name = authorized[i]!;
      if (this.#env.has(name)) continue;
      let at = 0;
      while (at < variables.length && variables[at] !== name) at += 2;
      if (at === variables.length) variables.push(name, '');
      variables[at + 1] = authorized[i + 1]!;
    }
  }

  #configure(variables: string[]): string[] {
    if (!this.#envReplaces) {
      for (const part of this.#envPairs) variables.push(part);
      return variables;
    }
    const kept: string[] = [];
    for (let i = 0; i < variables.length; i += 2) {
      if (!this.#env.has(variables[i]!)) kept.push(variables[i]!, variables[i + 1]!);
    }
    return kept.concat(this.#envPairs);
  }

  /** A field whose variable is configured is dropped here, so that finding it is all that it costs. */
  #addSlot(name: string): Slot {
    const variable = this.#variableOf(name);
    let slot: Slot | undefined = dropped;
    if (variable !== '' && !this.#env.has(variable)) {
      slot = this.#slotsByVariable.get(variable);
      if (slot === undefined) {
        slot = { variable, separator: separatorOf(variable), build: 0, index: 0 };
        this.#slotsByVariable.set(variable, slot);
      }
    }
    this.#slots.set(name, slot);
    this.#slotBytes += name.length;
    return slot;
  }

  #variableOf(name: string): string {
    if (!isPlain(name)) {
      const variable = this.#underscored.has(name.toLowerCase())
        ? variableOf(name.replaceAll('_', '-'), true)
        : '';
      if (variable === '') this.#ignoredField?.(name);
      return variable;
    }
    if (this.#hyphenated.size > 0 && this.#hyphenated.has(name.toLowerCase())) {
      this.#ignoredField?.(name);
      return '';
    }
    return variableOf(name, this.#passRequestHeaders);
  }

  #originOf(name: string, input: MetaVariablesInput): string {
    if (this.#env.has(name)) return 'configuration';
    if (name === 'HTTP_HOST' && input.authority !== undefined) return 'request-target';
    const known = origins.get(name);
    if (known !== undefined) return known;
    for (let i = 0; i < input.fields.length; i += 2) {
      if (this.#variableOf(input.fields[i]!) === name) return `request field ${input.fields[i]}`;
    }
    return 'request';
  }
}

/** What becomes of one field name. */
interface Slot {
  /** Empty: nothing. */
  readonly variable: string;
  /** Between the values of a field that came again; undefined when it must not. */
  readonly separator: string | undefined;
  /** The build that filled it last. */
  build: number;
  /** Where in that build's variables the value is. */
  index: number;
}

const slotBytesMax = 65_536;

const dropped: Slot = Object.freeze({ variable: '', separator: undefined, build: -1, index: -1 });

/** The variables that we compute, and where their values come from. */
const origins: ReadonlyMap<string, string> = new Map([
  ['GATEWAY_INTERFACE', 'RFC 3875'],
  ['SERVER_SOFTWARE', 'gateway'],
  ['SERVER_PROTOCOL', 'request line'],
  ['SERVER_NAME', 'host'],
  ['SERVER_PORT', 'listener'],
  ['SERVER_ADDR', 'listener'],
  ['REMOTE_ADDR', 'client'],
  ['REMOTE_PORT', 'client'],
  ['REQUEST_METHOD', 'request line'],
  ['REQUEST_SCHEME', 'client'],
  ['REQUEST_URI', 'request line'],
  ['HTTPS', 'client'],
  ['QUERY_STRING', 'request-target'],
  ['DOCUMENT_ROOT', 'document root'],
  ['DOCUMENT_URI', 'request-target'],
  ['SCRIPT_NAME', 'script path'],
  ['SCRIPT_FILENAME', 'script path'],
  ['PATH_INFO', 'script path'],
  ['PATH_TRANSLATED', 'script path'],
  ['CONTENT_LENGTH', 'request body'],
  ['FCGI_DATA_LENGTH', 'filtered file'],
  ['FCGI_DATA_LAST_MOD', 'filtered file'],
  ['REDIRECT_STATUS', 'gateway'],
  ['REDIRECT_URL', 'internal redirect'],
  ['REDIRECT_QUERY_STRING', 'internal redirect'],
]);

/**
 * Fields that never become variables: those about one connection or about framing (T3), and those through which a
 * client could speak in a proxy's or an interpreter's name (T1, T72).
 */
const neverPassed: ReadonlySet<string> = new Set([
  'connection',
  'http2-settings',
  'keep-alive',
  'proxy',
  'proxy-authenticate',
  'proxy-authorization',
  'proxy-connection',
  'te',
  'trailer',
  'transfer-encoding',
  'upgrade',
  'x-accel-mapping',
  'x-sendfile-type',
]);

/** What still passes with `passRequestHeaders` off; the two of the body are no `HTTP_*` variables. */
const wellKnown: ReadonlySet<string> = new Set([
  'accept',
  'accept-charset',
  'accept-encoding',
  'accept-language',
  'authorization',
  'content-length',
  'content-type',
  'cookie',
  'host',
  'if-modified-since',
  'if-none-match',
  'if-range',
  'range',
  'referer',
  'user-agent',
  'x-forwarded-for',
  'x-forwarded-host',
]);

/** Letters, digits and `-` alone: no other such name becomes the same variable. */
function isPlain(name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const c = name.charCodeAt(i);
    const letter = c | 0x20;
    if ((letter < 0x61 || letter > 0x7a) && (c < 0x30 || c > 0x39) && c !== 0x2d) return false;
  }
  return true;
}

/** `X-Foo` is HTTP_X_FOO (RFC 3875 4.1.18); empty for a name that must not become a variable. @param name plain */
function variableOf(name: string, passAll: boolean): string {
  // Only ASCII is left, where letter case has no surprises.
  const lower = name.toLowerCase();
  if (lower === '' || neverPassed.has(lower) || !(passAll || wellKnown.has(lower))) return '';
  const variable = name.toUpperCase().replaceAll('-', '_');
  return lower === 'content-type' || lower === 'content-length' ? variable : `HTTP_${variable}`;
}

function separatorOf(variable: string): string | undefined {
  switch (variable) {
    case 'CONTENT_LENGTH':
    case 'CONTENT_TYPE':
    case 'HTTP_AUTHORIZATION':
    case 'HTTP_HOST':
      return undefined;
    case 'HTTP_COOKIE':
      return '; ';
    default:
      return ', ';
  }
}

/** SERVER_NAME: the host that was asked for, and of an HTTP/1.0 request without one the address that it came to. */
export function serverName(host: string, localAddress: string): string {
  if (host !== '') return host;
  if (localAddress === '') return 'localhost';
  return localAddress.includes(':') ? `[${localAddress}]` : localAddress;
}

function portOf(input: MetaVariablesInput): string {
  let value = input.authority;
  for (let i = 0; value === undefined && i < input.fields.length; i += 2) {
    if (equalsIgnoreCase(input.fields[i]!, 'host')) value = input.fields[i + 1];
  }
  const port = value === undefined ? undefined : parseHost(value)?.port;
  return String(port ?? (input.secure ? 443 : 80));
}
