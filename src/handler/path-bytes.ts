/** A byte string for the file system: as it is when it is ASCII, else its bytes. */
export function toPath(path: string): string | Buffer {
  for (let i = 0; i < path.length; i++) {
    if (path.charCodeAt(i) > 0x7f) return Buffer.from(path, 'latin1');
  }
  return path;
}
