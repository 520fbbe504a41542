/**
 * PHP compiled to WebAssembly as a FastCGI Responder: one runtime, one request at a time.
 * It sees the machine's files at their own paths, with the rights of this process, as any PHP does.
 * Variables reach `$_SERVER` byte for byte; output leaves while the script runs.
 */
import { lstatSync, mkdirSync, readdirSync, readlinkSync, statSync } from 'node:fs';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import type { ApplicationRequest } from './app/index.ts';

export interface EmbeddedPhp {
  /**
   * Answers one request; ends this process when PHP can no longer be used.
   * @param alive called now and then while output is sent
   */
  handle(request: ApplicationRequest, socket: Socket, alive: () => void): Promise<void>;
}

/** The part of the Emscripten module that we use. Its functions are those of php-wasm's C code (php_wasm.c). */
interface PhpModule {
  ccall(
    name: string,
    result: 'number' | null,
    types: readonly string[],
    values: readonly unknown[],
    options?: { async: boolean },
  ): unknown;
  malloc(bytes: number): number;
  free(pointer: number): void;
  readonly HEAPU8: Uint8Array;
  readonly FS: {
    mkdirTree(path: string): void;
    mount(type: unknown, options: { root: string }, path: string): void;
    symlink(target: string, path: string): void;
    writeFile(path: string, text: string): void;
    analyzePath(path: string): { readonly exists: boolean };
    readonly filesystems: { readonly NODEFS: unknown };
  };
  onHeaders(bytes: Uint8Array): void;
  onStdout(bytes: Uint8Array): void;
  onStderr(bytes: Uint8Array): void;
  onMessage(text: string): Promise<string>;
  spawnProcess(command: string): never;
}

/** Folders of the virtual machine itself, or of no use to PHP. */
const ownFolders = new Set(['dev', 'proc', 'sys', 'internal', 'request', 'lost+found']);
const iniPath = '/internal/shared/php.ini';
/** Output is gathered up to so much, or until the script pauses, since a page is often thousands of short echos. */
const gatheredBytesMax = 16_384;
const gatheredMsMax = 50;
/** Output dropped after the web server has gone, before the script is ended as `ignore_user_abort=0` asks. */
const droppedBytesMax = 65_536;
const aliveIntervalMs = 5_000;

export async function createEmbeddedPhp(options: {
  readonly ini: string;
  readonly temporaryDirectory: string;
}): Promise<EmbeddedPhp> {
  const module = await loadModule();
  mountMachine(module);
  const folder = (name: string) => {
    const path = join(options.temporaryDirectory, name);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    return path;
  };
  const defaults = {
    sys_temp_dir: folder('tmp'),
    upload_tmp_dir: folder('uploads'),
    'session.save_path': folder('sessions'),
  };
  module.FS.mkdirTree('/internal/shared');
  module.FS.writeFile(
    iniPath,
    [
      'memory_limit=256M',
      'display_errors=1',
      'log_errors=1',
      'error_reporting=E_ALL',
      'post_max_size=0',
      'upload_max_filesize=2000M',
      'max_execution_time=0',
      // Each echo would otherwise be a message of its own; we send what is there when the script pauses.
      'implicit_flush=0',
      'output_buffering=0',
      'register_argc_argv=0',
      'expose_php=0',
      ...Object.entries(defaults).map(([name, path]) => `${name}="${path}"`),
      options.ini,
    ].join('\n'),
  );
  module.ccall('wasm_set_phpini_path', null, ['string'], [iniPath]);
  module.ccall('wasm_set_sapi_name', 'number', ['string'], ['fpm-fcgi']);
  module.onMessage = async () => '';
  module.spawnProcess = () => {
    throw Object.assign(new Error('The embedded PHP cannot start processes'), { code: 'SPAWN_UNSUPPORTED' });
  };
  await module.ccall('php_wasm_init', null, [], [], { async: true });
  return { handle: (request, socket, alive) => handle(module, request, socket, alive) };
}

/** What we use of the optional packages, whose own types do not resolve under node16 rules. */
interface Universal {
  loadPHPRuntime(loader: unknown, options: { ENV: Record<string, string> }): Promise<number>;
  popLoadedRuntime(id: number): unknown;
}
interface Php {
  getPHPLoaderModule(): Promise<unknown>;
}
const packages = ['@php-wasm/universal', '@php-wasm/node-8-4'] as const;

async function loadModule(): Promise<PhpModule> {
  let loaded: unknown[];
  try {
    loaded = await Promise.all(packages.map((name) => import(name)));
  } catch (cause) {
    throw new Error(
      `The embedded PHP is not installed; run npm install ${packages.join(' ')}, or install php-fpm`,
      { cause },
    );
  }
  const [universal, php] = loaded as [Universal, Php];
  const id = await universal.loadPHPRuntime(await php.getPHPLoaderModule(), {
    ENV: { PATH: '/usr/local/bin:/usr/bin:/bin', LANG: 'C.UTF-8' },
  });
  return universal.popLoadedRuntime(id) as PhpModule;
}

/** Every folder of the machine at its own path, so that includes, links and absolute paths work as they are written. */
function mountMachine({ FS }: PhpModule): void {
  for (const name of readdirSync('/')) {
    if (ownFolders.has(name)) continue;
    const path = `/${name}`;
    const status = lstatSync(path, { throwIfNoEntry: false });
    if (status?.isSymbolicLink() && !FS.analyzePath(path).exists) {
      FS.symlink(readlinkSync(path), path);
    } else if (status?.isDirectory()) {
      FS.mkdirTree(path);
      FS.mount(FS.filesystems.NODEFS, { root: path }, path);
    }
  }
}

async function handle(
  module: PhpModule,
  request: ApplicationRequest,
  socket: Socket,
  alive: () => void,
): Promise<void> {
  const { params } = request;
  if (request.role !== 'Responder') {
    request.writeError(`PHP is a Responder, not ${request.role}\n`);
    request.end(1);
    return;
  }
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of request.stdin) chunks.push(chunk as Buffer);
  } catch {
    // The body did not come whole: nothing runs on half of it.
    return;
  }
  const script = params.get('SCRIPT_FILENAME') ?? '';
  if (!isFile(script)) {
    // As php-fpm says it; PHP itself would break on it here.
    request.writeError('Primary script unknown\n');
    request.write('Status: 404 Not Found\r\nContent-Type: text/html; charset=UTF-8\r\n\r\nFile not found.\n');
    request.end(0);
    return;
  }
  // A blocking socket is the one brake that works while PHP computes: a write waits until the web server takes it.
  setBlocking(socket, true);
  const output = new Output(request, alive);
  module.onHeaders = (bytes) => output.head(bytes);
  module.onStdout = (bytes) => output.body(bytes);
  module.onStderr = (bytes) => void request.writeError(Buffer.from(bytes));
  const body = Buffer.concat(chunks);
  const pointer = setRequest(module, params, body);
  try {
    const exitCode = await module.ccall('wasm_sapi_handle_request', 'number', [], [], { async: true });
    output.flush();
    request.end(Number(exitCode));
    setBlocking(socket, false);
  } catch (error) {
    // The memory of this PHP is no longer to be trusted. Without END_REQUEST the answer is visibly not whole.
    output.flush();
    request.writeError(`The embedded PHP broke: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  }
  if (pointer !== 0) module.free(pointer);
}

function setRequest(module: PhpModule, params: ReadonlyMap<string, string>, body: Buffer): number {
  // Arrays of bytes, since the string form would make UTF-8 of byte strings.
  const set = (name: string, ...values: readonly string[]) =>
    module.ccall(
      name,
      null,
      values.map(() => 'array'),
      values.map((value) => Buffer.from(`${value}\0`, 'latin1')),
    );
  set('wasm_set_request_uri', params.get('REQUEST_URI') ?? '');
  set('wasm_set_query_string', params.get('QUERY_STRING') ?? '');
  set('wasm_set_request_method', params.get('REQUEST_METHOD') ?? 'GET');
  set('wasm_set_request_host', params.get('HTTP_HOST') ?? params.get('SERVER_NAME') ?? '');
  // 443 would make it set HTTPS; SERVER_PORT and HTTPS come with the variables.
  module.ccall('wasm_set_request_port', null, ['number'], [80]);
  const cookie = params.get('HTTP_COOKIE');
  if (cookie !== undefined) set('wasm_set_cookies', cookie);
  const contentType = params.get('CONTENT_TYPE');
  if (contentType !== undefined) set('wasm_set_content_type', contentType);
  set('wasm_set_path_translated', params.get('SCRIPT_FILENAME') ?? '');
  let pointer = 0;
  if (body.length > 0) {
    pointer = module.malloc(body.length);
    if (pointer === 0) throw new Error(`A body of ${body.length} bytes does not fit into the memory of PHP`);
    module.HEAPU8.set(body, pointer);
    module.ccall('wasm_set_request_body', null, ['number'], [pointer]);
    module.ccall('wasm_set_content_length', null, ['number'], [body.length]);
  }
  set(
    'wasm_add_SERVER_entry',
    'PHP_SELF',
    (params.get('SCRIPT_NAME') ?? '') + (params.get('PATH_INFO') ?? ''),
  );
  const credentials = decodeBasic(params.get('HTTP_AUTHORIZATION'));
  if (credentials !== undefined) {
    set('wasm_add_SERVER_entry', 'PHP_AUTH_USER', credentials.user);
    set('wasm_add_SERVER_entry', 'PHP_AUTH_PW', credentials.password);
  }
  for (const [name, value] of params) set('wasm_add_SERVER_entry', name, value);
  return pointer;
}

/** As PHP's other servers do it for a script (main.c, php_handle_auth_data). */
function decodeBasic(authorization: string | undefined): { user: string; password: string } | undefined {
  if (authorization === undefined || !/^basic /i.test(authorization)) return undefined;
  const text = Buffer.from(authorization.slice(6), 'base64').toString('latin1');
  const colon = text.indexOf(':');
  return colon < 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** Gathers output into records, and notices that nobody wants it any more. */
class Output {
  readonly #request: ApplicationRequest;
  readonly #alive: () => void;
  #head = '';
  #gathered: Buffer[] = [];
  #gatheredBytes = 0;
  #gatheredSince = 0;
  #droppedBytes = 0;
  #aliveAt = Date.now();
  #isHeadSent = false;

  constructor(request: ApplicationRequest, alive: () => void) {
    this.#request = request;
    this.#alive = alive;
  }

  head(bytes: Uint8Array): void {
    this.#head += Buffer.from(bytes).toString('latin1');
  }

  body(bytes: Uint8Array): void {
    this.#sendHead();
    this.#gather(Buffer.from(bytes));
  }

  flush(): void {
    this.#sendHead();
    if (this.#gatheredBytes === 0) return;
    const bytes = Buffer.concat(this.#gathered);
    this.#gathered = [];
    this.#gatheredBytes = 0;
    if (this.#request.signal.aborted) {
      this.#droppedBytes += bytes.length;
      if (this.#droppedBytes > droppedBytesMax) process.exit(0);
    } else {
      this.#request.write(bytes);
    }
  }

  #gather(bytes: Buffer): void {
    const now = Date.now();
    if (this.#gatheredBytes === 0) {
      this.#gatheredSince = now;
      // Runs as soon as the script sleeps or waits: what it said before is due then.
      setImmediate(() => this.flush());
    }
    this.#gathered.push(bytes);
    this.#gatheredBytes += bytes.length;
    if (this.#gatheredBytes >= gatheredBytesMax || now - this.#gatheredSince > gatheredMsMax) this.flush();
    if (now - this.#aliveAt > aliveIntervalMs) {
      this.#aliveAt = now;
      this.#alive();
    }
  }

  #sendHead(): void {
    if (this.#isHeadSent || this.#head === '') return;
    this.#isHeadSent = true;
    this.#gather(Buffer.from(printHead(this.#head), 'latin1'));
  }
}

/**
 * The head that php-wasm prints (`{ "status": 200, "headers": ["A: b",\n"C: d",\n"__terminator__"]}`) as a CGI head.
 * It is not quite JSON, since control bytes stand as they are; a header never holds a line feed (PHP refuses them).
 */
export function printHead(text: string): string {
  const status = /"status": (\d{3})/.exec(text)?.[1] ?? '200';
  const start = text.indexOf('[') + 1;
  const lines = text
    .slice(start)
    .split('\n')
    .map((line) => /^"(.*)",?$/s.exec(line)?.[1]?.replace(/\\(["\\])/g, '$1'))
    .filter((line): line is string => line !== undefined && line !== '');
  return `${[`Status: ${status}`, ...lines].join('\r\n')}\r\n\r\n`;
}

function isFile(byteString: string): boolean {
  return statSync(Buffer.from(byteString, 'latin1'), { throwIfNoEntry: false })?.isFile() ?? false;
}

/** Node has no public call for it; without it output would pile up in memory while PHP computes. */
function setBlocking(socket: Socket, blocking: boolean): void {
  const { _handle } = socket as Socket & {
    readonly _handle?: { setBlocking?(blocking: boolean): void } | null;
  };
  _handle?.setBlocking?.(blocking);
}
