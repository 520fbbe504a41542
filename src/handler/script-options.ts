/**
 * What the handlers that ask an application have in common: the five Common CGI Options and how bodies are handled.
 * Everything arrives validated; paths, names and values are byte strings.
 */
import type { Clock } from '../base/clock.ts';
import type { ReceivedRequest } from '../http/exchange.ts';
import type { ResolvedClient } from '../http/real-ip.ts';
import type { DocumentRoot } from './document-root.ts';

/** What can be configured of every handler that asks an application. */
export interface ApplicationSettings {
  /** On: the application's error pages pass. Off: its 4xx and 5xx bodies become `errorPages` or ours. */
  readonly errorHandler: boolean;
  /** Off: only the well-known request fields become `HTTP_*`. */
  readonly passRequestHeaders: boolean;
  /** Request fields with `_` that pass, in lower case; the same name with `-` does not, then. */
  readonly underscoreHeaders: readonly string[];
  /** Configured variables; they win over everything. */
  readonly env: ReadonlyMap<string, string>;
  /** On: the whole request body is received before a source is contacted. */
  readonly bufferRequest: boolean;
  /** On: a slow client does not hold the source; the answer waits in memory, then in a file. */
  readonly bufferResponse: boolean;
  /** Largest request body in bytes. */
  readonly maxBodyBytes: number;
  /** The rule's own error pages, before the site's: status -> `https://...`, `/path`, or a file below the document root. */
  readonly errorPages: ReadonlyMap<number, string>;
  /** A request fails when a message of its error output matches, as text; undefined: none does. */
  readonly failurePattern?: RegExp | undefined;
}

/** Of every handler that asks an application. */
export interface ApplicationOptions extends ApplicationSettings {
  /** The rule's own root; undefined: the site's. */
  readonly documentRoot: DocumentRoot | undefined;
  /** It takes the place of the rule's directory, as it does when left out. */
  readonly rootIsDirectory?: boolean | undefined;
  /** On: what its folder's `.htaccess` denies, or a well-known application keeps for itself, is not there. */
  readonly guard: boolean;
  /** The rule's own `realIp`; undefined: the router's answer stands. */
  readonly clientOf: ((exchange: ReceivedRequest) => ResolvedClient) | undefined;
  /** Hears of a request field that is dropped since another could not be told from it. */
  readonly ignoredField?: (name: string) => void;
  /** Product and version for SERVER_SOFTWARE, as `fastway/1.0.0`. */
  readonly serverSoftware: string;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  /** Directory for bodies that do not fit in memory; private (0700). */
  readonly spoolDir: string;
}

/** What can be configured of one whose application runs scripts. */
export interface ScriptSettings {
  /** On: the script is looked up on disk, and 404 when it is not there. Off: nothing is read from disk. */
  readonly checkFile: boolean;
  /** Every request runs this script; absolute path. */
  readonly scriptAlias: string | undefined;
  /** The document root as the application sees it, in its container or chroot. */
  readonly scriptRoot: string | undefined;
  /** Honour `X-Sendfile` and `X-Accel-Redirect` for files below `sendfileRoots` and `accelRoots`. */
  readonly xSendfile: boolean;
  /** Absolute directories without trailing slash. */
  readonly sendfileRoots: readonly string[];
  /** Prefixes of X-Accel-Redirect that begin and end with a slash, and the absolute directory of each. */
  readonly accelRoots: Readonly<Record<string, string>>;
  /** `Location: /path` without a Status runs the rules again (RFC 3875 6.2.2). Off: it is an external redirect. */
  readonly localRedirect: boolean;
}

/** Of one whose application runs scripts. */
export interface ScriptOptions extends ApplicationOptions, ScriptSettings {
  /**
   * The application is a PHP of ours, on this disk, and runs only files with these extensions (lower case, without dot), whatever
   * `checkFile` says. Undefined: it decides by itself.
   */
  readonly runs?: ReadonlySet<string> | undefined;
  /** The application may become another protocol (`Status: 101`), as WebSocket. Undefined: no. */
  readonly upgrade?: boolean;
}

/** Completes the options of a handler whose application runs no script. */
export const withoutScript: ScriptSettings = {
  checkFile: false,
  scriptAlias: undefined,
  scriptRoot: undefined,
  xSendfile: false,
  sendfileRoots: [],
  accelRoots: {},
  localRedirect: false,
};
