/**
 * What a file of test/apps/applications says about one application that others wrote: its Debian packages, how it is set up,
 * the configuration that an administrator would write for Fastway, the web server that it is compared with, and how it is used.
 */
import type { ConfigInput } from '../../src/config/types.ts';
import type { WebServerPlace } from '../support/web-servers.ts';
import type { Visitor } from './visitor.ts';

export interface Application {
  readonly title: string;
  /** Of Debian; the first one's version is the application's. */
  readonly packages: readonly string[];
  /** Answers for packages that ask at their installation: lines of `debconf-set-selections`. */
  readonly debconf?: readonly string[];
  /** The line of Node.js that Fastway runs on here, as `24`. Without it the Node that runs the tests. */
  readonly node?: string;
  /**
   * Makes a fresh state in an empty folder, with all that runs beside the web server. Called once for each server, so that both
   * meet the same state.
   */
  prepare(place: Place): Prepared | Promise<Prepared>;
  /** Uses it as people do, and demands right answers. */
  use(visitor: Visitor): Promise<void>;
  /** Text that is another one in each answer, as tokens and times: taken out before bodies are compared. */
  readonly volatile?: readonly RegExp[];
}

export interface Place {
  /** Empty, and open to every user; the page of results calls it /srv/NAME. */
  readonly folder: string;
  /** Ends with the application, or is called when it has ended: newest first. */
  atEnd(undo: () => unknown): void;
}

export interface Prepared {
  readonly fastway: Omit<ConfigInput, '$schema' | 'listen'>;
  readonly peer: Peer;
}

/** The web server to compare with. */
export interface Peer {
  readonly kind: 'Apache' | 'nginx';
  /** Where its configuration comes from, as `Debian's /etc/phpmyadmin/apache.conf`. */
  readonly source: string;
  /** What has to run beside it, where Fastway starts that itself. */
  readonly start?: () => Promise<void>;
  /** Directives of its only server. @param php unix socket of a php-fpm that runs as www-data */
  readonly directives: (place: WebServerPlace & { readonly php: string }) => string;
}
