/** Content-Type of a file by its name. */
import { lookup } from 'mime-types';
import { extensionOf } from '../http/target.ts';

/** Types that are text by another name. */
const alsoText = /^application\/(javascript|json|manifest\+json|xml|xhtml\+xml)$/;

/** A type nobody knows is bytes to download, never a guess at HTML (T66). Text is UTF-8. */
export function mediaTypeOf(path: string): string {
  const type = lookup(extensionOf(path.slice(path.lastIndexOf('/') + 1)));
  if (type === false) return 'application/octet-stream';
  return type.startsWith('text/') || alsoText.test(type) ? `${type}; charset=utf-8` : type;
}
