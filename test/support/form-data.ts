/** Request bodies of HTML forms, written by hand from RFC 7578, so that every byte is known. */

export interface FormFile {
  readonly name: string;
  readonly filename: string;
  readonly type: string;
  readonly content: Uint8Array;
}

/** A `multipart/form-data` body, and the Content-Type that goes with it. */
export function encodeMultipart(
  fields: Readonly<Record<string, string>>,
  files: readonly FormFile[],
): { readonly type: string; readonly body: Buffer } {
  const boundary = '----fastway-test-3c1f9a7e';
  const parts: Buffer[] = [];
  for (const [name, value] of Object.entries(fields)) {
    parts.push(
      Buffer.from(`--${boundary}\r\nContent-Disposition: form-data; name="${name}"\r\n\r\n${value}\r\n`),
    );
  }
  for (const { name, filename, type, content } of files) {
    parts.push(
      Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="${name}"; filename="${filename}"\r\n` +
          `Content-Type: ${type}\r\n\r\n`,
      ),
      Buffer.from(content),
      Buffer.from('\r\n'),
    );
  }
  parts.push(Buffer.from(`--${boundary}--\r\n`));
  return { type: `multipart/form-data; boundary=${boundary}`, body: Buffer.concat(parts) };
}

/** An `application/x-www-form-urlencoded` body. */
export function encodeForm(fields: Readonly<Record<string, string>>): string {
  return new URLSearchParams(fields).toString();
}
