/**
 * Scripts that lie in a folder only so that nobody looks into it ("silence is golden"): they are not front controllers for what is
 * not there.
 */
import { closeSync, readSync } from 'node:fs';
import type { FileEntry, PinnedRoot } from './document-root.ts';
import { openFile } from './open-file.ts';

/** By pinned root and path: as old as the root's own answers. */
const known = new WeakMap<PinnedRoot, Map<string, boolean>>();

/** A longer script does something. */
const bytesMax = 4096;

/** What a refusing script consists of: white space, comments, fields, and its end. */
const refusals =
  /\s+|<\?php\b|\?>|\/\*[\s\S]*?\*\/|(?:\/\/|#)[^\n]*|(?:header|http_response_code|exit|die)\b\s*(?:\([^()]*\))?\s*;/iy;

/** The file is such a script. One that cannot be read is not one: the interpreter that runs it says why. */
export function onlyRefuses(root: PinnedRoot, entry: FileEntry): boolean {
  let answers = known.get(root);
  if (answers === undefined) {
    answers = new Map();
    known.set(root, answers);
  }
  let answer = answers.get(entry.realPath);
  if (answer === undefined) {
    answer = entry.size <= bytesMax && isRefusal(readText(entry));
    answers.set(entry.realPath, answer);
  }
  return answer;
}

function isRefusal(text: string | undefined): boolean {
  if (text === undefined) return false;
  for (refusals.lastIndex = 0; refusals.lastIndex < text.length; ) {
    if (!refusals.test(text)) return false;
  }
  return true;
}

function readText(entry: FileEntry): string | undefined {
  let descriptor: number;
  try {
    descriptor = openFile(entry);
  } catch {
    return undefined;
  }
  try {
    const bytes = Buffer.allocUnsafe(bytesMax);
    return bytes.toString('latin1', 0, readSync(descriptor, bytes, 0, bytesMax, 0));
  } catch {
    return undefined;
  } finally {
    closeSync(descriptor);
  }
}
