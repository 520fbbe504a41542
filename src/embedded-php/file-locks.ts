/**
 * The file locks of one worker of the embedded PHP: its system calls `flock`, `fcntl` and `close`, answered with the help of
 * the supervisor. Files of the interpreter's own memory are nobody else's, and need none.
 */
import { fstatSync, readSync, writeSync } from 'node:fs';
import type { LockConflict, LockQuestion } from './lock-service.ts';
import { identify, type SharedMemory } from './shared-memory.ts';

/** What Emscripten passes to the code that implements its locks. */
export interface UserSpaceContext {
  readonly memory: { readonly [view in 'HEAP16' | 'HEAP32' | 'HEAPU32']: HeapView<number> } & {
    readonly HEAP64: HeapView<bigint>;
  };
  readonly wasmImports: {
    builtin_fcntl64(fd: number, command: number, pointer: number): number;
    builtin_fd_close(fd: number): number;
  };
  readonly FS: {
    /** `nfd`: the host's descriptor, for a file of the host. */
    getStream(fd: number): { readonly nfd?: number; readonly position: number } | null;
  };
}

/** Indexed as the typed array of that name. */
interface HeapView<T> {
  get(index: number): T;
  set(index: number, value: T): void;
}

/** The system calls. */
export interface UserSpace {
  /** Negative: an error number. */
  fcntl64(fd: number, command: number, pointer: number): number;
  /** -1: errno says why. */
  flock(fd: number, operation: number): number;
  fd_close(fd: number): number;
  js_release_file_locks(): void;
}

/** Asks the supervisor, and stands still until it answers. */
export type AskLock = (question: LockQuestion) => boolean | LockConflict | null;

// Numbers of the WebAssembly system interface, which musl has there.
const EAGAIN = 6;
const EBADF = 8;
const EINVAL = 28;
const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const F_GETLK = 12;
const F_SETLK = 13;
const F_SETLKW = 14;
const F_RDLCK = 0;
const F_WRLCK = 1;
const F_UNLCK = 2;

/** Stands for the end of every file. */
const endOfAll = Number.MAX_SAFE_INTEGER;

/**
 * Implements the locks.
 * @param setErrno sets the interpreter's errno
 */
export function bindFileLocks(
  context: UserSpaceContext,
  ask: AskLock,
  setErrno: (errno: number) => void,
  sharedMemory: SharedMemory,
): UserSpace {
  const { memory, wasmImports, FS } = context;
  /** Files on which this worker may hold record locks, and open files with a lock: only those are worth a question. */
  const lockedFiles = new Set<string>();
  const lockedDescriptors = new Map<number, string>();

  const hostDescriptor = (fd: number) => FS.getStream(fd)?.nfd;

  const fail = (errno: number) => {
    setErrno(errno);
    return -1;
  };

  const unlockDescriptor = (descriptor: number) => {
    const file = lockedDescriptors.get(descriptor);
    if (file === undefined) return;
    lockedDescriptors.delete(descriptor);
    ask({ ask: 'unlock', file, descriptor, type: 'shared', start: 0, end: endOfAll, waits: false });
  };

  const unlockFile = (file: string) => {
    if (lockedFiles.delete(file)) {
      ask({ ask: 'unlock', file, type: 'shared', start: 0, end: endOfAll, waits: false });
    }
  };

  return {
    flock(fd, operation) {
      const descriptor = hostDescriptor(fd);
      if (descriptor === undefined) return FS.getStream(fd) === null ? fail(EBADF) : 0;
      const wanted = operation & ~LOCK_NB;
      if (wanted === LOCK_UN) {
        unlockDescriptor(descriptor);
        return 0;
      }
      if (wanted !== LOCK_SH && wanted !== LOCK_EX) return fail(EINVAL);
      const file = `flock ${identify(descriptor)}`;
      const isLocked = ask({
        ask: 'lock',
        file,
        descriptor,
        type: wanted === LOCK_SH ? 'shared' : 'exclusive',
        start: 0,
        end: endOfAll,
        waits: (operation & LOCK_NB) === 0,
      });
      if (isLocked !== true) return fail(EAGAIN);
      lockedDescriptors.set(descriptor, file);
      return 0;
    },

    fcntl64(fd, command, pointer) {
      const descriptor = hostDescriptor(fd);
      const isLock = command === F_GETLK || command === F_SETLK || command === F_SETLKW;
      if (!isLock || descriptor === undefined) return wasmImports.builtin_fcntl64(fd, command, pointer);
      const at = memory.HEAPU32.get(pointer >> 2);
      const flock = readFlock(memory, at, descriptor, FS.getStream(fd)!.position);
      if (flock === undefined) return -EINVAL;
      const file = `fcntl ${identify(descriptor)}`;
      const { start, end } = flock;
      if (flock.type === 'none') {
        sharedMemory.publish(descriptor);
        ask({ ask: 'unlock', file, type: 'shared', start, end, waits: false });
        return 0;
      }
      const question = { file, type: flock.type, start, end, waits: command === F_SETLKW };
      if (command === F_GETLK) {
        writeFlock(memory, at, ask({ ask: 'conflict', ...question }) as LockConflict | null);
        return 0;
      }
      if (ask({ ask: 'lock', ...question }) !== true) return -EAGAIN;
      lockedFiles.add(file);
      sharedMemory.refresh(descriptor);
      return 0;
    },

    fd_close(fd) {
      const descriptor = lockedFiles.size + lockedDescriptors.size === 0 ? undefined : hostDescriptor(fd);
      if (descriptor !== undefined) {
        sharedMemory.close(descriptor);
        unlockDescriptor(descriptor);
        // Closing any descriptor of a file gives up the process's record locks on it (POSIX, fcntl).
        if (lockedFiles.size > 0) unlockFile(`fcntl ${identify(descriptor)}`);
      }
      return wasmImports.builtin_fd_close(fd);
    },

    js_release_file_locks() {
      for (const descriptor of [...lockedDescriptors.keys()]) unlockDescriptor(descriptor);
      for (const file of [...lockedFiles]) unlockFile(file);
    },
  };
}

/** A question over a pipe to the supervisor. */
export function askOver(pipe: number): AskLock {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const buffer = Buffer.alloc(512);
  return (question) => {
    repeat(pause, () => writeSync(pipe, `${JSON.stringify(question)}\n`));
    let text = '';
    while (!text.endsWith('\n')) {
      const bytes = repeat(pause, () => readSync(pipe, buffer));
      if (bytes === 0) throw new Error('The supervisor of the embedded PHP has gone');
      text += buffer.toString('latin1', 0, bytes);
    }
    return JSON.parse(text) as boolean | LockConflict | null;
  };
}

function repeat(pause: Int32Array<SharedArrayBuffer>, call: () => number): number {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(pause, 0, 0, 1);
    }
  }
}

/** musl's `struct flock`: l_type and l_whence of 16 bits, l_start and l_len of 64 at 8 and 16, l_pid of 32 at 24. */
function readFlock(
  memory: UserSpaceContext['memory'],
  at: number,
  descriptor: number,
  position: number,
):
  | { readonly type: 'shared' | 'exclusive' | 'none'; readonly start: number; readonly end: number }
  | undefined {
  const type = ({ [F_RDLCK]: 'shared', [F_WRLCK]: 'exclusive', [F_UNLCK]: 'none' } as const)[
    memory.HEAP16.get(at >> 1)
  ];
  // SEEK_SET, SEEK_CUR, SEEK_END
  const base = [() => 0, () => position, () => fstatSync(descriptor).size][
    memory.HEAP16.get((at + 2) >> 1)
  ]?.();
  if (type === undefined || base === undefined) return undefined;
  const from = base + Number(memory.HEAP64.get((at + 8) >> 3));
  const length = Number(memory.HEAP64.get((at + 16) >> 3));
  // Length 0 is up to the end, however large the file grows; a negative one lies before the start.
  const [start, end] =
    length > 0 ? [from, from + length] : length === 0 ? [from, endOfAll] : [from + length, from];
  return start < 0 ? undefined : { type, start, end };
}

function writeFlock(memory: UserSpaceContext['memory'], at: number, conflict: LockConflict | null): void {
  if (conflict === null) {
    memory.HEAP16.set(at >> 1, F_UNLCK);
    return;
  }
  memory.HEAP16.set(at >> 1, conflict.type === 'shared' ? F_RDLCK : F_WRLCK);
  memory.HEAP16.set((at + 2) >> 1, 0);
  memory.HEAP64.set((at + 8) >> 3, BigInt(conflict.start));
  memory.HEAP64.set((at + 16) >> 3, BigInt(conflict.end === endOfAll ? 0 : conflict.end - conflict.start));
  memory.HEAP32.set((at + 24) >> 2, conflict.pid);
}
