/**
 * Memory that workers of the embedded PHP share by mapping a file: the index of SQLite's write-ahead log (`NAME-shm`) is such.
 * WebAssembly cannot share a mapping, so each worker has a copy, which is brought into line at the file's locks: what the worker
 * wrote goes to the file before it gives a lock up, and what others wrote comes when it has got one. SQLite cannot tell (its wal.c):
 * each word is written only by who holds the lock for it, and what was read without one is looked at again under one.
 */
import { fstatSync, readSync, writeSync } from 'node:fs';

interface Mapping {
  /** The host's, open for as long as the file is mapped. */
  readonly descriptor: number;
  readonly file: string;
  /** Of its first byte in the file. */
  readonly position: number;
  /** Of its first byte in the interpreter's memory. */
  readonly pointer: number;
  /** What the file held when the two were alike. */
  readonly known: Buffer;
}

export class SharedMemory {
  readonly #memory: () => Uint8Array;
  /** By position: the head of an index, at 0, is read first and written last, as it says what of the rest counts. */
  #mappings: Mapping[] = [];

  /** @param memory the interpreter's, which moves when it grows */
  constructor(memory: () => Uint8Array) {
    this.#memory = memory;
  }

  /** A part of a file has been copied to `pointer`. */
  map(descriptor: number, position: number, pointer: number, length: number): void {
    const known = Buffer.from(this.#memory().subarray(pointer, pointer + length));
    const mapping = { descriptor, file: identify(descriptor), position, pointer, known };
    this.#mappings = [...this.#mappings, mapping].sort((one, other) => one.position - other.position);
  }

  /** That memory is about to be given back. */
  unmap(descriptor: number, position: number): void {
    this.#drop((mapping) => mapping.descriptor === descriptor && mapping.position === position);
  }

  /** A descriptor is about to be closed. */
  close(descriptor: number): void {
    if (this.#mappings.length > 0) this.#drop((mapping) => mapping.descriptor === descriptor);
  }

  /** A lock on the file is about to be given up. */
  publish(descriptor: number): void {
    for (const mapping of this.#of(descriptor).reverse()) this.#publish(mapping);
  }

  /** A lock on the file has been got. */
  refresh(descriptor: number): void {
    this.publish(descriptor);
    for (const mapping of this.#of(descriptor)) {
      const here = this.#here(mapping);
      readSync(mapping.descriptor, here, 0, here.length, mapping.position);
      mapping.known.set(here);
    }
  }

  #of(descriptor: number): Mapping[] {
    if (this.#mappings.length === 0) return [];
    const file = identify(descriptor);
    return this.#mappings.filter((mapping) => mapping.file === file);
  }

  #drop(isMeant: (mapping: Mapping) => boolean): void {
    for (const mapping of this.#mappings.filter(isMeant).reverse()) this.#publish(mapping);
    this.#mappings = this.#mappings.filter((mapping) => !isMeant(mapping));
  }

  /** Only what has changed: other words of the file may be another worker's. */
  #publish(mapping: Mapping): void {
    const { descriptor, position, known } = mapping;
    const here = this.#here(mapping);
    if (here.equals(known)) return;
    for (let end = here.length; end > 0; ) {
      const start = startOfChange(here, known, end);
      if (start < end) writeSync(descriptor, here, start, end - start, position + start);
      end = Math.min(start, end - wordBytes);
    }
    known.set(here);
  }

  #here({ pointer, known }: Mapping): Buffer {
    return Buffer.from(this.#memory().buffer as ArrayBuffer, pointer, known.length);
  }
}

const wordBytes = 4;

/** Where the changed words begin that end at `end`; `end` when the word before it has not changed. */
function startOfChange(here: Buffer, known: Buffer, end: number): number {
  let start = end;
  while (start > 0) {
    const before = start - wordBytes;
    if (here.compare(known, before, start, before, start) === 0) break;
    start = before;
  }
  return start;
}

/** A name for a file that all workers give it. */
export function identify(descriptor: number): string {
  const { dev, ino } = fstatSync(descriptor, { bigint: true });
  return `${dev}:${ino}`;
}
