/** A routed request for tests of handlers, over a `FakeExchange`, with everything that was asked of the router. */
import type { GatewayError } from '../../src/base/errors.ts';
import { type Log, type LogFields, logLevels } from '../../src/base/log.ts';
import type { DocumentRoot, FileEntry, PinnedRoot } from '../../src/handler/document-root.ts';
import { respondError, respondStatus } from '../../src/handler/error-response.ts';
import type {
  AnswerRecord,
  Authorization,
  BackgroundWork,
  ErrorPage,
  RoutedRequest,
  Site,
} from '../../src/handler/handler.ts';
import type { ResolvedClient } from '../../src/http/real-ip.ts';
import type { Reply } from '../../src/http/reply.ts';
import { parseTarget, type Target } from '../../src/http/target.ts';
import { FakeExchange, type FakeExchangeOptions } from './fake-exchange.ts';

/** A document root that knows these files (path -> size), and the directories above them. */
export function fakeRoot(path: string, files: Readonly<Record<string, number>>): DocumentRoot & PinnedRoot {
  const entry = (kind: FileEntry['kind'], name: string, size: number): FileEntry => ({
    kind,
    path: path + name,
    realPath: path + name,
    size,
    modifiedMs: 0,
    hidden: undefined,
  });
  return {
    path,
    configuredPath: path,
    use: { requests: 0 },
    outdated: () => [],
    pin() {
      return this;
    },
    explainForbidden: (name) => `${path}${name} is forbidden`,
    find(name) {
      const size = files[name];
      if (size !== undefined) return entry('file', name, size);
      const isDirectory = Object.keys(files).some((file) => file.startsWith(name.replace(/\/?$/, '/')));
      return isDirectory ? entry('directory', name, 0) : undefined;
    },
  };
}

export function fakeSite(site: Partial<Site> = {}): Site {
  return {
    name: 'default',
    documentRoot: fakeRoot('/srv/www', { '/index.php': 10, '/a.php': 10, '/sub/index.php': 10 }),
    directoryIndex: ['index.php', 'index.html'],
    errorPages: new Map(),
    encodedSlashes: 'alike',
    scriptExtensions: new Set(['php']),
    ...site,
  };
}

export interface FakeRequestOptions extends FakeExchangeOptions {
  readonly site?: Site;
  readonly directory?: string;
  readonly extensions?: readonly string[] | undefined;
  readonly errorPage?: ErrorPage;
}

export class FakeRequest implements RoutedRequest {
  readonly exchange: FakeExchange;
  reply: Reply;
  readonly id = 'r1';
  readonly target: Target;
  readonly redirectedFrom = undefined;
  readonly clientTarget: Target;
  readonly errorPage: ErrorPage | undefined;
  readonly host = 'site.test';
  readonly client: ResolvedClient;
  readonly site: Site;
  readonly directory: string;
  readonly captures: readonly string[] = [];
  readonly extensions: readonly string[] | undefined;
  readonly nearest = '';
  readonly isWholePath = false;
  readonly method: string;
  readonly hasBody: boolean;
  readonly record: AnswerRecord = { source: undefined, tries: 0 };
  readonly startedMs = 0;
  authorization: Authorization | undefined;
  readonly log: Log;
  /** `level message` of each line. */
  readonly logged: string[] = [];
  readonly loggedFields: LogFields[] = [];
  readonly failures: GatewayError[] = [];
  readonly redirects: { target: string; keepMethod: boolean; errorPage?: ErrorPage | undefined }[] = [];
  readonly indexes: string[] = [];
  readonly works: Set<BackgroundWork> = new Set();

  constructor(options: FakeRequestOptions = {}) {
    this.exchange = new FakeExchange(options);
    this.reply = this.exchange;
    this.target = parseTarget(options.target ?? '/');
    this.clientTarget = this.target;
    this.errorPage = options.errorPage;
    this.site = options.site ?? fakeSite();
    this.directory = options.directory ?? '';
    this.extensions = 'extensions' in options ? options.extensions : ['php'];
    this.method = this.exchange.request.method;
    this.hasBody = this.exchange.bodyLength !== 0;
    this.client = { address: '192.0.2.7', port: 40_000, secure: false, authority: undefined, serverPort: 0 };
    this.log = Object.fromEntries(
      logLevels.map((level) => [
        level,
        (message: string, fields: LogFields = {}) => {
          this.logged.push(`${level} ${message}`);
          this.loggedFields.push(fields);
        },
      ]),
    ) as Log;
  }

  pin(root: DocumentRoot): PinnedRoot {
    return root.pin();
  }

  worksOn(work: BackgroundWork): void {
    this.works.add(work);
  }

  worksNoMore(work: BackgroundWork): void {
    this.works.delete(work);
  }

  fail(error: GatewayError, errorPages?: ReadonlyMap<number, string>): void {
    this.failures.push(error);
    respondError(this, error, errorPages);
  }

  answerStatus(status: number, fields: readonly string[] = []): void {
    respondStatus(this, status, fields);
  }

  serveIndex(name: string): void {
    this.indexes.push(name);
  }

  redirect(target: string, options: { readonly keepMethod: boolean; readonly errorPage?: ErrorPage }): void {
    this.redirects.push({ target, ...options });
  }
}
