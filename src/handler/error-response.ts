/**
 * How an error becomes an answer: the line in the log, and the page of its status.
 * This is the one place that logs a failed request. A page says what the status means and the request's id, never what
 * happened inside: that is in the log, under the same id.
 */
import { close, fstatSync, read } from 'node:fs';
import { STATUS_CODES } from 'node:http';
import { errorFacts } from '../base/error-facts.ts';
import { type GatewayError, SourceError } from '../base/errors.ts';
import { hideInText } from '../base/secrets.ts';
import { acceptsHtml } from '../http/accept.ts';
import type { Fields } from '../http/message.ts';
import { generalMethods } from '../http/method.ts';
import type { FileEntry } from './document-root.ts';
import type { RoutedRequest } from './handler.ts';
import { mediaTypeOf } from './media-type.ts';
import { openFile } from './open-file.ts';

/** A page from the document root larger than this is not taken; ours is sent. Bytes. */
const pageBytesMax = 1024 * 1024;

/**
 * Logs the failure and answers with the status of its code: the error page, or a cut when the head was sent.
 * @param errorPages looked at before the site's
 */
export function respondError(
  request: RoutedRequest,
  error: GatewayError,
  errorPages?: ReadonlyMap<number, string>,
): void {
  const { exchange, reply } = request;
  const { status, level, retryAfterSeconds } = errorFacts[error.code];
  request.log[level](error.message, {
    request: request.id,
    code: error.code,
    // A program that embeds us may have a log of its own.
    target: hideInText(exchange.request.target),
    host: request.host === '' ? undefined : request.host,
    source: request.record.source,
    // Only our own faults need the place in the code.
    stack: error.code === 'GW_ERR_INTERNAL' && error.cause instanceof Error ? error.cause.stack : undefined,
  });
  if (reply.headSent) {
    reply.cut();
    return;
  }
  const seconds = (error instanceof SourceError ? error.retryAfterSeconds : undefined) ?? retryAfterSeconds;
  respondStatus(request, status, fieldsOfStatus(status, seconds), errorPages);
}

/** What belongs to a status: RFC 9110 10.2.3 and 15.5.6. */
function fieldsOfStatus(status: number, retryAfterSeconds: number | undefined): Fields {
  if (status === 405) return ['Allow', generalMethods];
  return retryAfterSeconds === undefined || status !== 503 ? [] : ['Retry-After', String(retryAfterSeconds)];
}

/**
 * Answers with the page of a status, and logs nothing: the rule's or the site's error page, else our own.
 * @param fields sent besides the page's own
 */
export function respondStatus(
  request: RoutedRequest,
  status: number,
  fields: Fields = [],
  errorPages?: ReadonlyMap<number, string>,
): void {
  const { reply } = request;
  if (reply.ended || reply.headSent) return;
  // An error page that fails itself: its own page would fail likewise. The first error is the one to tell.
  if (request.errorPage !== undefined) {
    respondOwnPage(request, request.errorPage.status, request.errorPage.fields);
    return;
  }
  const page = errorPages?.get(status) ?? request.site.errorPages.get(status);
  if (page === undefined) respondOwnPage(request, status, fields);
  else if (/^https?:\/\//i.test(page)) respondOwnPage(request, 302, [...fields, 'Location', page]);
  else if (page.startsWith('/')) {
    request.redirect(page, { keepMethod: false, errorPage: { status, fields } });
  } else respondFile(request, status, fields, page);
}

function respondFile(request: RoutedRequest, status: number, fields: Fields, page: string): void {
  const failed = (problem: string): void => {
    sayPageFailed(request, status, page, problem);
    respondOwnPage(request, status, fields);
  };
  const entry = request.pin(request.site.documentRoot).find(`/${page}`);
  const problem = problemOf(entry);
  if (problem !== undefined) {
    failed(problem);
    return;
  }
  let descriptor: number;
  try {
    descriptor = openFile(entry as FileEntry);
  } catch (error) {
    failed((error as Error).message);
    return;
  }
  // What was opened, which may be another file than what was found a second ago.
  const body = Buffer.alloc(Math.min(fstatSync(descriptor).size, pageBytesMax));
  read(descriptor, body, 0, body.length, 0, (cause, bytes) => {
    close(descriptor, () => {});
    const { reply } = request;
    if (reply.ended) return;
    if (cause !== null) {
      failed(cause.message);
      return;
    }
    reply.respond(status, '', [
      ...fields,
      'Content-Type',
      mediaTypeOf(page, request.site.mediaTypes),
      'Content-Length',
      String(bytes),
    ]);
    reply.end(body.subarray(0, bytes));
  });
}

function problemOf(entry: FileEntry | 'forbidden' | undefined): string | undefined {
  if (entry === undefined) return 'it is not there';
  if (entry === 'forbidden') return 'it may not be read';
  if (entry.kind === 'directory') return 'it is a directory';
  return entry.size > pageBytesMax ? `it has more than ${pageBytesMax} bytes` : undefined;
}

function sayPageFailed(request: RoutedRequest, status: number, page: string, problem: string): void {
  const path = `${request.pin(request.site.documentRoot).path}/${page}`;
  request.log.warn(`Error page ${path} for status ${status} was not sent: ${problem}`, {
    request: request.id,
  });
}

function respondOwnPage(request: RoutedRequest, status: number, fields: Fields): void {
  const { exchange, reply } = request;
  const phrase = STATUS_CODES[status] ?? 'Error';
  const html = acceptsHtml(exchange.request.fields);
  const body = Buffer.from(
    html ? htmlPage(status, phrase, request.id) : textPage(status, phrase, request.id),
  );
  reply.respond(status, phrase, [
    ...fields,
    'Content-Type',
    html ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8',
    'Content-Length',
    String(body.length),
    'X-Content-Type-Options',
    'nosniff',
  ]);
  reply.end(body);
}

/** What a status asks of the person who reads the page; nothing about what happened inside. */
const sentences: Readonly<Record<number, string>> = {
  400: 'The request could not be understood.',
  401: 'You need to log in to see this page.',
  403: 'You may not see this page.',
  404: 'There is nothing at this address.',
  405: 'This address does not take requests of that kind.',
  408: 'The request took too long to arrive.',
  413: 'What was sent is larger than this server takes.',
  431: 'The request carries more fields than this server takes.',
  500: 'Something went wrong on this server.',
  501: 'This server cannot do what the request asks for.',
  502: 'The application behind this server gave no proper answer.',
  503: 'This server cannot answer at the moment. Please try again.',
  504: 'The application behind this server took too long to answer.',
  505: 'This server does not speak that version of HTTP.',
};

function htmlPage(status: number, phrase: string, id: string): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${status} ${phrase}</title>
<style>
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 34rem; margin: 18vh auto 0; padding: 0 1rem; color: #222; background: #fff }
small { color: #666 }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } small { color: #999 } }
</style>
<h1>${status} ${phrase}</h1>
<p>${sentences[status] ?? ''}</p>
<p><small>Request ${id}</small></p>
</html>
`;
}

function textPage(status: number, phrase: string, id: string): string {
  const sentence = sentences[status];
  return `${status} ${phrase}\n${sentence === undefined ? '' : `${sentence}\n`}Request ${id}\n`;
}
