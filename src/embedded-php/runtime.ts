/**
 * PHP compiled to WebAssembly (the packages `@php-wasm/*`), as one interpreter that runs one request after the other.
 * It is driven through the C functions of its SAPI and not through the packages' own request object: bytes stay bytes,
 * `$_SERVER` holds what the web server said and nothing invented, and output arrives while the script runs.
 * PHP runs on this thread: while a script computes, nothing else of this process does. Nor does it while a script sleeps or waits.
 * What it lacks against a native PHP: processes, fibers, sockets that listen, UDP, memory shared with others.
 * A script that asks for these gets PHP's own warning: see `system-calls.ts`.
 */
import { existsSync, lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { dirname, isAbsolute } from 'node:path';
import { rootCertificates } from 'node:tls';
import { pathToFileURL } from 'node:url';
import { toText } from '../base/byte-string.ts';
import { SourceError } from '../base/errors.ts';
import { printIni } from '../source/php/php-ini.ts';
import { type AskLock, bindFileLocks, type UserSpace, type UserSpaceContext } from './file-locks.ts';
import { parseHead } from './head.ts';
import { Network } from './network.ts';
import { SharedMemory } from './shared-memory.ts';
import type { Descriptors } from './socket-calls.ts';
import { createSystem, type Instantiate, type System } from './system-calls.ts';

export interface PhpRequest {
  /** The script's path, a byte string; the file exists. */
  readonly scriptFilename: string;
  /** Byte strings; they become `$_SERVER`. */
  readonly params: ReadonlyMap<string, string>;
  readonly body: Uint8Array | undefined;
}

/** Hears the answer while the script runs. The bytes are a view into PHP's memory: copy or send them before returning. */
export interface PhpOutput {
  /** The response head as CGI writes it, blank line included. Comes once, before the first `stdout`. */
  head(bytes: Buffer): void;
  /** False: nobody listens any more, which PHP sees as a closed connection: it ends unless told to ignore that. */
  stdout(bytes: Uint8Array): boolean;
  stderr(bytes: Uint8Array): void;
}

/** One interpreter. */
export interface Php {
  /**
   * Runs a script; resolves with its exit status when it has ended.
   * A rejection means that the interpreter is lost: do not use it again.
   */
  run(request: PhpRequest, output: PhpOutput): Promise<number>;
}

export interface PhpOptions {
  /** As `8.4`. */
  readonly version: string;
  /** Absolute path or name of the package's module, and of that of the package which it depends on. */
  readonly loader: string;
  readonly universal: string;
  readonly ini: Readonly<Record<string, string>>;
  /** Environment variables of the interpreter. */
  readonly env: Readonly<Record<string, string>>;
  /** What `getmypid` says. */
  readonly processId: number;
  readonly askLock: AskLock;
  /** Called before a script waits for the network or sleeps: nothing else of this thread runs then. */
  readonly beforeWaiting: () => void;
  /** Called about four times a second while it does. */
  readonly whileWaiting: () => void;
  /**
   * How long the script may compute from now on; undefined: without an end. Called at the start of each request, by
   * `set_time_limit` in it, and at its end. Nothing here sees to it.
   */
  readonly onTimeLimit: (ms: number | undefined) => void;
  /** Monotonic milliseconds. */
  readonly now: () => number;
}

/** The part of Emscripten's module that is used here. */
interface Runtime {
  readonly FS: FileSystem;
  readonly HEAPU8: Uint8Array;
  malloc(bytes: number): number;
  free(pointer: number): void;
  ccall(
    name: string,
    returns: 'number' | null,
    types: readonly ('number' | 'array')[],
    values: readonly (number | Uint8Array)[],
    options?: { readonly async: true },
  ): unknown;
  onHeaders?: (chunk: Uint8Array) => void;
  onStdout?: (chunk: Uint8Array) => void;
  onStderr?: (chunk: Uint8Array) => void;
}

/** An open file of the host. */
interface HostStream {
  readonly path: string;
  /** The host's descriptor. */
  readonly nfd: number;
}

interface StreamOperations {
  mmap(
    stream: HostStream,
    length: number,
    position: number,
    protection: number,
    flags: number,
  ): { readonly ptr: number };
  msync(stream: HostStream, bytes: Uint8Array, position: number, length: number, flags: number): number;
}

interface FileSystem extends Descriptors {
  readonly filesystems: { readonly NODEFS: { readonly stream_ops: StreamOperations } };
  mkdirTree(path: string): void;
  mount(type: unknown, options: { readonly root: string }, path: string): void;
  symlink(target: string, path: string): void;
  writeFile(path: string, text: string): void;
  chdir(path: string): void;
}

// Emscripten's error numbers, and flags of mmap.
const EPIPE = 64;
const ENODEV = 43;
const PROT_WRITE = 2;
const MAP_PRIVATE = 2;

const iniPath = '/internal/shared/php.ini';
const prependPath = '/internal/shared/fastway.php';
const opensslPath = '/internal/shared/openssl.cnf';

/** What OpenSSL needs to make keys and requests for certificates: its build looks for a file that no machine has. */
const opensslConfiguration = `[req]
default_bits = 2048
distinguished_name = name
string_mask = utf8only
x509_extensions = authority
[name]
[authority]
basicConstraints = critical,CA:true
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid:always,issuer
`;

/** The runtime invents these unless they are there and undefined. */
const inventedVariables = ['USER', 'LOGNAME', 'PATH', 'PWD', 'HOME', 'LANG', '_'];

/**
 * Of PHP's own, these would invent an answer (an address of the runtime, a process that takes all input), or abort the
 * interpreter: it cannot switch between stacks.
 */
const replacedFunctions = 'gethostbyname,gethostbynamel,popen';
const missingClasses = 'Fiber';

/** What php-fpm has and this SAPI lacks. A function that the ini file disables may be defined anew, since PHP 8. */
const prepend = `<?php
if (PHP_VERSION_ID >= 80000) {
function gethostbyname(string $hostname): string
{
    return gethostbynamel($hostname)[0] ?? $hostname;
}
function gethostbynamel(string $hostname)
{
    if (filter_var($hostname, FILTER_VALIDATE_IP, FILTER_FLAG_IPV4)) return [$hostname];
    $addresses = array_filter(explode(' ', post_message_to_js($hostname)), fn ($a) => strpos($a, '.') !== false);
    return $addresses ? array_values($addresses) : false;
}
function popen(string $command, string $mode)
{
    ['file' => $file, 'line' => $line] = debug_backtrace(DEBUG_BACKTRACE_IGNORE_ARGS, 1)[0];
    trigger_error("popen($command,$mode): Function not implemented, called in $file:$line", E_USER_WARNING);
    return false;
}
}
// The SAPI has the query there, as text.
if (is_string($_SERVER['argv'] ?? null)) unset($_SERVER['argv']);
if (!function_exists('getallheaders')) {
    function getallheaders(): array
    {
        $headers = [];
        foreach ($_SERVER as $name => $value) {
            if (strncmp($name, 'HTTP_', 5) === 0) {
                $name = substr($name, 5);
            } elseif ($name !== 'CONTENT_TYPE' && $name !== 'CONTENT_LENGTH') {
                continue;
            }
            $headers[ucwords(strtolower(strtr($name, '_', '-')), '-')] = $value;
        }
        return $headers;
    }
    function apache_request_headers(): array
    {
        return getallheaders();
    }
}
`;

const iniDefaults: Readonly<Record<string, string>> = {
  auto_prepend_file: prependPath,
  // As php.ini-production, which distributions install for php-fpm: what is displayed comes before the head, so that a script
  // could not set its cookies any more. Messages go to the log.
  display_errors: '0',
  log_errors: '1',
  html_errors: '0',
  error_reporting: 'E_ALL & ~E_DEPRECATED',
  'zend.assertions': '-1',
  output_buffering: '4096',
  // `<?xml` at the start of a template is not code.
  short_open_tag: '0',
  // What stands in the URL is not an argument of a program.
  register_argc_argv: '0',
  expose_php: '0',
  enable_dl: '0',
  variables_order: 'GPCS',
  request_order: 'GP',
  'zend.exception_ignore_args': '1',
  memory_limit: '256M',
  sys_temp_dir: '/tmp',
  upload_tmp_dir: '/tmp',
  'session.save_path': '/tmp',
  // The web server limits bodies.
  post_max_size: '0',
  upload_max_filesize: '512M',
  // There is no shared memory: compiled scripts are kept in files of PHP's own memory file system.
  'opcache.enable': '1',
  'opcache.enable_cli': '1',
  'opcache.jit': '0',
  'opcache.file_cache': '/internal/shared/opcache',
  'opcache.file_cache_only': '1',
  'opcache.revalidate_freq': '0',
};

/**
 * Boots an interpreter: 1-2 s of CPU.
 * @throws {SourceError} GW_ERR_SOURCE_NO_INTERPRETER the packages are not installed
 */
export async function startPhp(options: PhpOptions): Promise<Php> {
  const { runtime, system, sharedMemory } = await loadRuntime(options);
  const { FS } = runtime;
  mountHost(FS);
  shareMemory(FS, sharedMemory);
  FS.mkdirTree(iniDefaults['opcache.file_cache']!);
  FS.writeFile(prependPath, prepend);
  FS.writeFile(opensslPath, opensslConfiguration);
  FS.writeFile(iniPath, printIni(iniOf(options, certificates(FS))));
  call(runtime, 'wasm_set_phpini_path', iniPath);
  call(runtime, 'wasm_set_sapi_name', 'cgi-fcgi');
  await runtime.ccall('php_wasm_init', null, [], [], { async: true });
  return {
    async run(request, output) {
      try {
        return await run(runtime, request, output);
      } finally {
        system.endRequest();
      }
    },
  };
}

/** Where the machine keeps the certificates that it trusts, by distribution: Debian, Fedora, openSUSE, Alpine and macOS. */
const certificateFiles = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
];

/** A file with those that the machine trusts, else those that Node.js comes with. */
function certificates(FS: FileSystem): string {
  const found = certificateFiles.find((file) => existsSync(file));
  if (found !== undefined) return found;
  const own = '/internal/shared/certificates.pem';
  FS.writeFile(own, rootCertificates.join('\n'));
  return own;
}

function iniOf({ ini: asked, version }: PhpOptions, certificateFile: string): Record<string, string> {
  const join = (name: string, ours: string) => [ours, asked[name] ?? []].flat().join(',');
  return {
    ...iniDefaults,
    'openssl.cafile': certificateFile,
    'curl.cainfo': certificateFile,
    ...asked,
    disable_functions: join('disable_functions', version.startsWith('7.') ? 'popen' : replacedFunctions),
    disable_classes: join('disable_classes', missingClasses),
  };
}

/** What is used of the optional packages; their own types do not resolve here. */
interface Universal {
  loadPHPRuntime(
    loader: unknown,
    options: {
      readonly ENV: Readonly<Record<string, string | undefined>>;
      readonly processId: number;
      bindUserSpace(context: UserSpaceContext): UserSpace;
      instantiateWasm: Instantiate;
      onRuntimeInitialized(runtime: Runtime): void;
    },
  ): Promise<number>;
}
interface Loader {
  getPHPLoaderModule(): Promise<{ readonly dependencyFilename: string }>;
}

async function loadRuntime({
  universal,
  loader: loaderModule,
  env,
  processId,
  askLock,
  beforeWaiting,
  whileWaiting,
  onTimeLimit,
  now,
}: PhpOptions): Promise<{
  readonly runtime: Runtime;
  readonly system: System;
  readonly sharedMemory: SharedMemory;
}> {
  const [{ loadPHPRuntime }, { getPHPLoaderModule }] = await importPackages(universal, loaderModule);
  const loader = await getPHPLoaderModule();
  const network = await Network.start({ beforeWaiting, whileWaiting, now });
  return new Promise((resolve, reject) => {
    let runtime: Runtime;
    const sharedMemory = new SharedMemory(() => runtime.HEAPU8);
    const system = createSystem({
      binary: loader.dependencyFilename,
      network,
      descriptors: () => runtime.FS,
      onTimeLimit,
      failed: reject,
    });
    loadPHPRuntime(loader, {
      ENV: {
        ...Object.fromEntries(inventedVariables.map((name) => [name, undefined])),
        OPENSSL_CONF: opensslPath,
        ...env,
      },
      processId,
      bindUserSpace(context) {
        const locks = bindFileLocks(context, askLock, system.setErrno, sharedMemory);
        return {
          ...locks,
          fcntl64: (...values) => system.fcntl(...values) ?? locks.fcntl64(...values),
        };
      },
      instantiateWasm: system.instantiate,
      onRuntimeInitialized(initialized) {
        runtime = initialized;
        resolve({ runtime, system, sharedMemory });
      },
    }).catch(reject);
  });
}

async function importPackages(...modules: readonly string[]): Promise<[Universal, Loader]> {
  try {
    const urls = modules.map((module) => (isAbsolute(module) ? pathToFileURL(module).href : module));
    return (await Promise.all(urls.map((url) => import(url)))) as [Universal, Loader];
  } catch (cause) {
    throw new SourceError(
      'GW_ERR_SOURCE_NO_INTERPRETER',
      `The embedded PHP could not be loaded from ${modules.join(' and ')}; install its package again, or install php-fpm`,
      { cause, delivery: 'unsent' },
    );
  }
}

/**
 * Shows PHP the host's folders under the host's paths, as a native PHP sees them: a front controller in `public/` loads
 * code from beside it, and links lead where they lead. PHP's own folders and the kernel's stay out.
 */
function mountHost(FS: FileSystem): void {
  for (const name of readdirSync('/')) {
    if (['dev', 'proc', 'sys', 'internal', 'request'].includes(name)) continue;
    const path = `/${name}`;
    const status = lstatSync(path);
    if (status.isSymbolicLink()) {
      FS.symlink(readlinkSync(path), path);
    } else if (status.isDirectory()) {
      FS.mkdirTree(path);
      FS.mount(FS.filesystems.NODEFS, { root: path }, path);
    }
  }
}

/**
 * Emscripten gives each process a copy where a file is mapped to share it. That will do for the index of SQLite's write-ahead log, which
 * is shared under locks; anything else would lose what other workers wrote, so it has to hear that there is no such memory.
 */
function shareMemory(FS: FileSystem, sharedMemory: SharedMemory): void {
  const operations = FS.filesystems.NODEFS.stream_ops;
  const { mmap, msync } = operations;
  const isShared = (stream: HostStream, flags: number) =>
    (flags & MAP_PRIVATE) === 0 && stream.path.endsWith('-shm');
  operations.mmap = (stream, length, position, protection, flags) => {
    if ((protection & PROT_WRITE) === 0 || (flags & MAP_PRIVATE) !== 0)
      return mmap(stream, length, position, protection, flags);
    if (!isShared(stream, flags)) throw new FS.ErrnoError(ENODEV);
    const mapped = mmap(stream, length, position, protection, flags);
    sharedMemory.map(stream.nfd, position, mapped.ptr, length);
    return mapped;
  };
  // Called before the memory is given back: all of the copy would go to the file.
  operations.msync = (stream, bytes, position, length, flags) => {
    if (!isShared(stream, flags)) return msync(stream, bytes, position, length, flags);
    sharedMemory.unmap(stream.nfd, position);
    return 0;
  };
}

async function run(runtime: Runtime, request: PhpRequest, output: PhpOutput): Promise<number> {
  const { params, scriptFilename, body } = request;
  const state = { head: '', isHeadSent: false, isAborted: false };
  const sendHead = (isLast: boolean) => {
    const head = parseHead(state.head);
    if (head === undefined && !isLast) return;
    state.isHeadSent = true;
    output.head(head ?? Buffer.from('Status: 500\r\nContent-Type: text/html; charset=UTF-8\r\n\r\n'));
  };
  runtime.onHeaders = (chunk) => {
    if (state.isHeadSent) return;
    state.head += Buffer.from(chunk).toString('latin1');
    // A script may flush its head long before its body.
    if (state.head.endsWith(']}')) sendHead(false);
  };
  runtime.onStdout = (chunk) => {
    if (!state.isHeadSent) sendHead(true);
    if (state.isAborted || output.stdout(chunk)) return;
    // Said once: the script ends, or with ignore_user_abort goes on, and then PHP would try the same bytes again for ever.
    state.isAborted = true;
    throw new runtime.FS.ErrnoError(EPIPE);
  };
  runtime.onStderr = (chunk) => output.stderr(chunk);

  const bodyPointer = setRequest(runtime, request);
  for (const [name, value] of params) call(runtime, 'wasm_add_SERVER_entry', name, value);
  for (const [name, value] of derivedVariables(params)) call(runtime, 'wasm_add_SERVER_entry', name, value);
  runtime.FS.chdir(dirname(toText(scriptFilename)));
  const status = await runtime.ccall('wasm_sapi_handle_request', 'number', [], [], { async: true });
  if (body !== undefined) runtime.free(bodyPointer);
  if (!state.isHeadSent) sendHead(true);
  return status as number;
}

/** Returns where the body lies in PHP's memory. */
function setRequest(runtime: Runtime, { params, scriptFilename, body }: PhpRequest): number {
  const param = (name: string) => params.get(name) ?? '';
  call(runtime, 'wasm_set_request_uri', param('REQUEST_URI'));
  call(runtime, 'wasm_set_query_string', param('QUERY_STRING'));
  call(runtime, 'wasm_set_request_method', param('REQUEST_METHOD'));
  call(runtime, 'wasm_set_request_host', param('HTTP_HOST'));
  call(runtime, 'wasm_set_request_port', Number(param('SERVER_PORT')) || 80);
  call(runtime, 'wasm_set_path_translated', scriptFilename);
  if (params.has('HTTP_COOKIE')) call(runtime, 'wasm_set_cookies', param('HTTP_COOKIE'));
  if (params.has('CONTENT_TYPE')) call(runtime, 'wasm_set_content_type', param('CONTENT_TYPE'));
  if (body === undefined) return 0;
  const pointer = runtime.malloc(body.length);
  if (pointer === 0) throw new RangeError(`PHP has no memory for a request body of ${body.length} bytes`);
  runtime.HEAPU8.set(body, pointer);
  call(runtime, 'wasm_set_request_body', pointer);
  call(runtime, 'wasm_set_content_length', body.length);
  return pointer;
}

/** What the FastCGI SAPI of a native PHP adds to the variables. */
function derivedVariables(params: ReadonlyMap<string, string>): [string, string][] {
  const added: [string, string][] = [];
  if (!params.has('PHP_SELF')) {
    added.push(['PHP_SELF', (params.get('SCRIPT_NAME') ?? '') + (params.get('PATH_INFO') ?? '')]);
  }
  const [, scheme, credentials] =
    /^(basic|digest) +(.*)$/i.exec(params.get('HTTP_AUTHORIZATION') ?? '') ?? [];
  if (scheme === undefined) return added;
  if (scheme.toLowerCase() === 'digest') return [...added, ['PHP_AUTH_DIGEST', credentials!]];
  const [, user, password] =
    /^([^:]*):(.*)$/s.exec(Buffer.from(credentials!, 'base64').toString('latin1')) ?? [];
  return user === undefined ? added : [...added, ['PHP_AUTH_USER', user], ['PHP_AUTH_PW', password!]];
}

/** Calls a C function; byte strings become NUL-terminated bytes, where Emscripten's own strings would become UTF-8. */
function call(runtime: Runtime, name: string, ...values: (string | number)[]): void {
  runtime.ccall(
    name,
    'number',
    values.map((value) => (typeof value === 'number' ? 'number' : 'array')),
    values.map((value) => (typeof value === 'number' ? value : Buffer.from(`${value}\0`, 'latin1'))),
  );
}
