/** The `files` handler: sends what lies below the document root, and only what is meant to be sent. */
import { GatewayError } from '../base/errors.ts';
import { acceptsCoding } from '../http/accept.ts';
import type { FileEntry, PinnedRoot } from './document-root.ts';
import { sendFile } from './file-answer.ts';
import { answerWithoutFile, explainWithoutFile, type FileRules, findFile } from './find-file.ts';
import type { Explanation, Handler, RoutedRequest } from './handler.ts';
import { mediaTypeOf } from './media-type.ts';

export { sendFile } from './file-answer.ts';

export interface FilesHandlerOptions
  extends Pick<FileRules, 'documentRoot' | 'rootIsDirectory' | 'sendLeftovers' | 'guard' | 'isProgram'> {
  /** Send `name.br` or `name.gz` when it lies beside the file, is not older, and the client takes it. */
  readonly precompressed: boolean;
}

export function createFilesHandler(options: FilesHandlerOptions): Handler {
  const rules: FileRules = { ...options, methods: ['GET', 'HEAD'] };
  return {
    handle(request) {
      const found = findFile(request, rules);
      if (found.kind === 'file') sendEntry(request, found.entry, options);
      else answerWithoutFile(request, found, rules);
    },
    explain(request): Explanation {
      const found = findFile(request, rules);
      if (found.kind === 'file') return { action: 'file', path: found.entry.path };
      return explainWithoutFile(request, found);
    },
  };
}

function sendEntry(request: RoutedRequest, entry: FileEntry, options: FilesHandlerOptions): void {
  const root = request.pin(options.documentRoot ?? request.site.documentRoot);
  const { errorPage } = request;
  const fields: string[] = [
    ...(errorPage?.fields ?? []),
    'Content-Type',
    mediaTypeOf(entry.path, request.site.mediaTypes),
  ];
  const sent = options.precompressed ? chooseCoding(request, root, entry, fields, options.guard) : entry;
  try {
    sendFile(request, sent, { status: errorPage?.status ?? 200, fields, log: request.log });
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    request.fail(error);
  }
}

const codings = [
  { name: 'br', ending: '.br' },
  { name: 'gzip', ending: '.gz' },
] as const;

/** The file itself, or the variant beside it that the client takes; caches learn that the answer varies either way. */
function chooseCoding(
  request: RoutedRequest,
  root: PinnedRoot,
  entry: FileEntry,
  fields: string[],
  guard: boolean,
): FileEntry {
  const path = entry.path.slice(root.path.length);
  let varies = false;
  for (const { name, ending } of codings) {
    const variant = root.find(path + ending);
    if (typeof variant !== 'object' || variant.kind !== 'file') continue;
    if (guard && variant.hidden !== undefined) continue;
    // One that is older than its file was made of another content.
    if (Math.floor(variant.modifiedMs / 1000) < Math.floor(entry.modifiedMs / 1000)) continue;
    if (!varies) fields.push('Vary', 'Accept-Encoding');
    varies = true;
    if (acceptsCoding(request.exchange.request.fields, name)) {
      fields.push('Content-Encoding', name);
      return variant;
    }
  }
  return entry;
}
