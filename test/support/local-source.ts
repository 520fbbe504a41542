/** Local sources for tests: a log that can be read, requests for PHP pages, and how many processes a source has. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { systemClock } from '../../src/base/clock.ts';
import type { Log, LogFields, LogLevel } from '../../src/base/log.ts';
import type { LocalSourceOptions } from '../../src/source/interpreter/local-options.ts';
import { createLocalSource, type LocalSource } from '../../src/source/interpreter/local-source.ts';
import { createPhpSource, type PhpSourceOptions } from '../../src/source/php/php.ts';
import type { SourceRequest } from '../../src/source/source.ts';
import { bodyOf } from './ask.ts';
import { createTestDirectory } from './test-directory.ts';

export interface LogLine {
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

export interface SourceUnderTest {
  readonly source: LocalSource;
  readonly lines: LogLine[];
  /** The folder of the pages. */
  readonly root: string;
}

/** A log that keeps its lines. */
export function recordLog(): { readonly log: Log; readonly lines: LogLine[] } {
  const lines: LogLine[] = [];
  const at =
    (level: LogLevel) =>
    (message: string, fields: LogFields = {}) =>
      void lines.push({ level, message, fields });
  return { lines, log: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } };
}

const usual = { clock: systemClock, random: () => 0.5 };

/** A PHP source over some pages; closed after the test. */
export function openPhp(
  t: TestContext,
  options: Partial<PhpSourceOptions> & { readonly php: string },
  pages: Readonly<Record<string, string>> = {},
): SourceUnderTest {
  const root = createTestDirectory();
  for (const [name, code] of Object.entries(pages)) writeFileSync(join(root, name), code);
  const { log, lines } = recordLog();
  const source = createPhpSource({ name: 'php', workers: 2, documentRoot: root, ...usual, log, ...options });
  t.after(() => source.close());
  return { source, lines, root };
}

/** A source with an interpreter of its own; closed after the test. */
export function openInterpreter(
  t: TestContext,
  options: Partial<LocalSourceOptions> & { readonly interpreter: readonly string[] },
): SourceUnderTest {
  const { log, lines } = recordLog();
  const root = createTestDirectory();
  const source = createLocalSource({ name: 'app', ...usual, log, ...options });
  t.after(() => source.close());
  return { source, lines, root };
}

/** A request as the gateway sends it for a script on disk. */
export function pageRequest(
  root: string,
  script: string,
  options: {
    readonly method?: string;
    readonly query?: string;
    readonly body?: Uint8Array;
    readonly contentType?: string;
    readonly more?: Readonly<Record<string, string>>;
  } = {},
): SourceRequest {
  const { method = 'GET', query = '', body, contentType, more = {} } = options;
  const variables: Record<string, string> = {
    GATEWAY_INTERFACE: 'CGI/1.1',
    SERVER_PROTOCOL: 'HTTP/1.1',
    SERVER_NAME: 'site.test',
    SERVER_PORT: '80',
    REMOTE_ADDR: '192.0.2.7',
    REQUEST_METHOD: method,
    REQUEST_URI: `${script}${query === '' ? '' : `?${query}`}`,
    QUERY_STRING: query,
    SCRIPT_NAME: script,
    SCRIPT_FILENAME: root + script,
    DOCUMENT_ROOT: root,
    REDIRECT_STATUS: '200',
    ...(body === undefined ? {} : { CONTENT_LENGTH: String(body.length) }),
    ...(contentType === undefined ? {} : { CONTENT_TYPE: contentType }),
    ...more,
  };
  return { variables: Object.entries(variables).flat(), body: body === undefined ? undefined : bodyOf(body) };
}

/** Living processes whose command line or group leader names `text`; zombies are none. */
export function processesWith(text: string): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter((name) => {
      try {
        return readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(text);
      } catch {
        return false;
      }
    })
    .map(Number);
}
