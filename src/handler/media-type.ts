/** Content-Type of a file by its name. */
import { lookup } from 'mime-types';
import { extensionOf } from '../http/target.ts';

const none: ReadonlyMap<string, string> = new Map();

/** Types that are text by another name. */
const alsoText = /^application\/(javascript|json|manifest\+json|xml|xhtml\+xml)$/;

/**
 * A type nobody knows is bytes to download, never a guess at HTML (T66). Text is UTF-8.
 * @param own types by extension, lower case without dot, before those that everybody knows; sent as they are
 */
export function mediaTypeOf(path: string, own: ReadonlyMap<string, string> = none): string {
  const extension = extensionOf(path.slice(path.lastIndexOf('/') + 1));
  const configured = own.get(extension);
  if (configured !== undefined) return configured;
  const type = lookup(extension);
  if (type === false) return 'application/octet-stream';
  return type.startsWith('text/') || alsoText.test(type) ? `${type}; charset=utf-8` : type;
}
