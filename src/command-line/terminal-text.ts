/** Bytes of somebody else, as text for a terminal: UTF-8 that comes in pieces. Control bytes are left to who prints it. */
export class TerminalText {
  readonly #decoder = new TextDecoder();
  /** A carriage return whose line feed has not come. */
  #held = '';

  /** What can be shown by now; line ends become line feeds. */
  read(bytes: Uint8Array): string {
    const text = this.#held + this.#decoder.decode(bytes, { stream: true });
    const end = text.endsWith('\r') ? text.length - 1 : text.length;
    this.#held = text.slice(end);
    return text.slice(0, end).replaceAll('\r\n', '\n');
  }

  /** What was held back, after the last piece. */
  end(): string {
    return this.#held + this.#decoder.decode();
  }
}
