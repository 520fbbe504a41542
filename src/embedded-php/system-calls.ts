/**
 * What the embedded PHP may not ask of the system: connections, names and processes. Its runtime has a part of each, made for
 * browsers, which throws in the middle of PHP, never answers, or invents something. Ours say at once what a system says that
 * has none of it, and PHP makes its own warning of that.
 */
import { readFile } from 'node:fs/promises';

/** Errors of the WebAssembly system interface, which musl has there, and of its `getaddrinfo`. */
const EACCES = 2;
const ENETUNREACH = 40;
const ENOSYS = 52;
const ENOTCONN = 53;
const EAI_NONAME = -2;

/** WebAssembly, as much as is used: its types are a browser's. */
interface Engine {
  instantiate(
    binary: Uint8Array,
    imports: Imports,
  ): Promise<{ readonly instance: { readonly exports: unknown }; readonly module: object }>;
}
interface Imports {
  readonly env: Record<string, unknown>;
}
interface Exports {
  /** It moves when it grows. */
  readonly memory: { readonly buffer: ArrayBuffer };
  __errno_location(): number;
}

/** Emscripten's hook `instantiateWasm`. */
export type Instantiate = (
  imports: Imports,
  receive: (instance: { readonly exports: unknown }, module: object) => void,
) => void;

/**
 * Makes the instance, with our functions in place of the runtime's.
 * @param binary absolute path of the WebAssembly module
 * @param failed hears why there is no instance
 */
export function instantiateRefusing(binary: string, failed: (error: unknown) => void): Instantiate {
  return (imports, receive) => {
    let exports: Exports;
    refuse(imports.env, {
      fail(errno) {
        new DataView(exports.memory.buffer).setInt32(exports.__errno_location(), errno, true);
        return -1;
      },
      text: (pointer) => readText(new Uint8Array(exports.memory.buffer), pointer),
    });
    const { instantiate } = (globalThis as unknown as { readonly WebAssembly: Engine }).WebAssembly;
    readFile(binary)
      .then((bytes) => instantiate(bytes, imports))
      .then(({ instance, module }) => {
        exports = instance.exports as Exports;
        receive(instance, module);
      })
      .catch(failed);
  };
}

interface Machine {
  /** Sets errno. */
  fail(errno: number): -1;
  /** Of C. */
  text(pointer: number): string;
}

/** The names of both builds of the runtime: for engines that can suspend WebAssembly (JSPI), and for those that cannot. */
function refuse(env: Record<string, unknown>, { fail, text }: Machine): void {
  const lookUp = env.getaddrinfo as (...pointers: number[]) => number;
  const unreachable = () => -ENETUNREACH;
  const noFile = () => 0;
  Object.assign(env, {
    __syscall_connect: unreachable,
    wasm_connect: unreachable,
    __syscall_bind: () => -EACCES,
    __syscall_listen: () => -EACCES,
    __syscall_accept4: () => -EACCES,
    __syscall_sendto: unreachable,
    __syscall_recvfrom: () => -ENOTCONN,
    wasm_setsockopt: () => 0,
    getaddrinfo: (node: number, ...others: number[]) =>
      node === 0 || isAddress(text(node)) ? lookUp(node, ...others) : EAI_NONAME,
    // Where the output of a command is.
    js_popen_to_file: noFile,
    __asyncjs__js_popen_to_file: noFile,
    js_open_process: () => fail(ENOSYS),
  });
}

function isAddress(node: string): boolean {
  return /^[\d.]*$|:|^localhost$/.test(node);
}

function readText(memory: Uint8Array, pointer: number): string {
  return Buffer.from(memory.subarray(pointer, memory.indexOf(0, pointer))).toString('latin1');
}
