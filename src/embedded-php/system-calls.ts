/**
 * The system calls of the embedded PHP that its runtime has made for browsers: they throw in the middle of PHP, never answer, or
 * invent something. Ours speak to the network (`socket-calls.ts`), or say at once what a system says that has none of it, of which
 * PHP makes its own warning.
 */
import { readFile } from 'node:fs/promises';
import type { Network } from './network.ts';
import {
  type Descriptors,
  type Memory,
  type SocketCalls,
  type SystemCalls,
  socketCalls,
} from './socket-calls.ts';

/** Error of the WebAssembly system interface, which musl has there. */
const ENOSYS = 52;

/** WebAssembly, as much as is used: its types are a browser's. */
interface Engine {
  instantiate(
    binary: Uint8Array,
    imports: Imports,
  ): Promise<{ readonly instance: { readonly exports: unknown }; readonly module: object }>;
}
interface Imports {
  readonly env: Record<string, SystemCalls[string]>;
}
interface Exports {
  /** It moves when it grows. */
  readonly memory: { readonly buffer: ArrayBuffer };
  malloc(bytes: number): number;
  free(pointer: number): void;
  __errno_location(): number;
}

/** Emscripten's hook `instantiateWasm`. */
export type Instantiate = (
  imports: Imports,
  receive: (instance: { readonly exports: unknown }, module: object) => void,
) => void;

/** What the interpreter asks of us. */
export interface System {
  readonly instantiate: Instantiate;
  /** `fcntl` of something that is not a file; undefined: it is none of ours. */
  fcntl(fd: number, command: number, pointer: number): number | undefined;
  /**
   * Sets the interpreter's errno. Not by what the runtime hands over for it: where that suspends WebAssembly (JSPI), a wrapped
   * function gives a promise and no address.
   */
  setErrno(errno: number): void;
  /** Closes what a script has left open. */
  endRequest(): void;
}

export interface SystemOptions {
  /** Absolute path of the WebAssembly module. */
  readonly binary: string;
  readonly network: Network;
  /** Asked for when a call needs them. */
  readonly descriptors: () => Descriptors;
  /** As that of an interpreter. */
  readonly onTimeLimit: (ms: number | undefined) => void;
  /** Hears why there is no instance. */
  readonly failed: (error: unknown) => void;
}

export function createSystem({ binary, network, descriptors, onTimeLimit, failed }: SystemOptions): System {
  let sockets: SocketCalls | undefined;
  let exports: Exports;
  const setErrno = (errno: number) =>
    new DataView(exports.memory.buffer).setInt32(exports.__errno_location(), errno, true);
  return {
    instantiate(imports, receive) {
      const memory: Memory = {
        view: () => new DataView(exports.memory.buffer),
        bytes: () => new Uint8Array(exports.memory.buffer),
        text: (pointer) => readText(new Uint8Array(exports.memory.buffer), pointer),
        withText(text, use) {
          const pointer = putText(exports, text);
          try {
            return use(pointer);
          } finally {
            exports.free(pointer);
          }
        },
      };
      sockets = socketCalls(network, memory, descriptors, { ...imports.env });
      Object.assign(imports.env, sockets.calls, processCalls(setErrno), {
        // The runtime's own has a timer, which never comes while PHP computes.
        _setitimer_js(_which: number, ms: number) {
          onTimeLimit(ms === 0 ? undefined : ms);
          return 0;
        },
        __asyncjs__js_module_onMessage: messageCall(memory, () => exports, sockets),
      });
      const { instantiate } = (globalThis as unknown as { readonly WebAssembly: Engine }).WebAssembly;
      readFile(binary)
        .then((bytes) => instantiate(bytes, imports))
        .then(({ instance, module }) => {
          exports = instance.exports as Exports;
          receive(instance, module);
        })
        .catch(failed);
    },
    setErrno,
    fcntl: (fd, command, pointer) => sockets?.setFlags(fd, command, pointer),
    endRequest: () => sockets?.endRequest(),
  };
}

/** No processes. The names are those of both builds of the runtime. */
function processCalls(setErrno: System['setErrno']): SystemCalls {
  // Where the output of a command is.
  const noFile = () => 0;
  return {
    js_popen_to_file: noFile,
    __asyncjs__js_popen_to_file: noFile,
    js_open_process() {
      setErrno(ENOSYS);
      return -1;
    },
  };
}

/** PHP's function `post_message_to_js`, by which our own functions of PHP ask for the addresses of a host, separated by spaces. */
function messageCall(memory: Memory, exports: () => Exports, { resolve }: SocketCalls): SystemCalls[string] {
  return (text, responsePointer) => {
    const addresses = resolve(memory.text(text)).join(' ');
    const pointer = putText(exports(), addresses);
    memory.view().setUint32(responsePointer, pointer, true);
    return addresses.length;
  };
}

/** Returns where it lies, which the caller frees. */
function putText(exports: Exports, text: string): number {
  const bytes = Buffer.from(`${text}\0`, 'latin1');
  const pointer = exports.malloc(bytes.length);
  new Uint8Array(exports.memory.buffer).set(bytes, pointer);
  return pointer;
}

function readText(memory: Uint8Array, pointer: number): string {
  return Buffer.from(memory.subarray(pointer, memory.indexOf(0, pointer))).toString('latin1');
}
