/**
 * The system calls of the embedded PHP about sockets. Its runtime has some, made for browsers, of which the ones that wait
 * suspend WebAssembly, which most of PHP's calls cannot survive; ours wait by standing still, so any part of PHP may call them.
 * Connections go out, over TCP and unix sockets; nothing listens, and there is no UDP.
 */
import { isIP } from 'node:net';
import { toText } from '../base/byte-string.ts';
import type { Connection, Network } from './network.ts';
import { waitingBytesMax } from './network-messages.ts';

/** The part of Emscripten's file system that holds descriptors. */
export interface Descriptors {
  readonly ErrnoError: new (errno: number) => Error;
  createStream(stream: object): { readonly fd: number };
  getStream(fd: number): Stream | null | undefined;
  close(stream: Stream): void;
  cwd(): string;
}

interface Stream {
  flags: number;
  readonly node: { readonly mode?: number; readonly socket?: Socket };
  readonly stream_ops: { poll?(stream: Stream, timeout: number): number };
}

/** WebAssembly's memory, which moves when it grows. */
export interface Memory {
  view(): DataView;
  bytes(): Uint8Array;
  /** Of C; latin1. */
  text(pointer: number): string;
  /** Hands a C string, latin1, to a function, for as long as that runs. */
  withText<Result>(text: string, use: (pointer: number) => Result): Result;
}

interface Socket {
  readonly family: number;
  readonly type: number;
  /** It was prepared to listen. */
  isServer: boolean;
  connection: Connection | undefined;
  /** What it was connected to. */
  peer: SocketAddress | undefined;
  /** Descriptors of it. */
  descriptors: number;
}

interface SocketAddress {
  /** Of an IP address, or a path. */
  readonly host: string;
  readonly port: number;
}

// Numbers of the WebAssembly system interface and of musl.
const errnos: Readonly<Record<string, number>> = {
  EACCES: 2,
  EADDRNOTAVAIL: 4,
  EAFNOSUPPORT: 5,
  EAGAIN: 6,
  EBADF: 8,
  ECONNREFUSED: 14,
  ECONNRESET: 15,
  EHOSTUNREACH: 23,
  EINPROGRESS: 26,
  EINVAL: 28,
  EISCONN: 30,
  EMFILE: 33,
  ENETUNREACH: 40,
  ENOENT: 44,
  ENOPROTOOPT: 50,
  ENOTCONN: 53,
  ENOTSOCK: 57,
  EPERM: 63,
  EPIPE: 64,
  EPROTONOSUPPORT: 66,
  ETIMEDOUT: 73,
};
const EAI_NONAME = -2;
const AF_UNIX = 1;
const AF_INET = 2;
const AF_INET6 = 10;
const families: ReadonlySet<number> = new Set([AF_UNIX, AF_INET, AF_INET6]);
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const SOCK_NONBLOCK = 0o4000;
const SOCK_CLOEXEC = 0o2000000;
/** Of flags of a descriptor: it is for reading and writing. */
const readWrite = 2;
const O_NONBLOCK = 0o4000;
const S_IFSOCK = 0o140000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const SO_TYPE = 3;
const SO_ERROR = 4;
const SHUT_RD = 0;
const MSG_PEEK = 2;
const MSG_DONTWAIT = 0x40;
const F_SETFL = 4;
const POLLIN = 1;
const POLLOUT = 4;
const POLLERR = 8;
const POLLHUP = 16;
const POLLNVAL = 32;
const FIONREAD = 21531;
const FIONBIO = 21537;

/** A `select` without an end, of a set that was not asked for before, ends after this. */
const selectMs = 1_000;

/** Looks to the runtime as its own errors of system calls do. */
class SystemError extends Error {
  override readonly name = 'ErrnoError';
  readonly errno: number;

  constructor(code: string) {
    super(code);
    this.errno = errnos[code] ?? errnos.ECONNREFUSED!;
  }
}

/** By their names; numbers and pointers. Negative: an error number. */
export type SystemCalls = Readonly<Record<string, (...values: number[]) => number>>;

export interface SocketCalls {
  readonly calls: SystemCalls;
  /** `fcntl` of a socket, where it sets flags: the runtime's own never takes one away. Undefined: it is something else. */
  setFlags(fd: number, command: number, pointer: number): number | undefined;
  /** As the machine resolves it; IPv4 comes first. Empty: there is none. */
  resolve(host: string): readonly string[];
  /** Closes what a script has left open, and forgets what it has resolved. */
  endRequest(): void;
}

/** What a `select` asks of one descriptor. */
interface Selected {
  readonly fd: number;
  readonly events: number;
}

/**
 * The names are those of both builds of the runtime: for engines that can suspend WebAssembly (JSPI), and for those that cannot.
 * @param descriptors asked for with the first call
 * @param original the runtime's own
 */
export function socketCalls(
  network: Network,
  memory: Memory,
  descriptors: () => Descriptors,
  original: SystemCalls,
): SocketCalls {
  const streamOf = (fd: number) => descriptors().getStream(fd) ?? null;
  const socketOf = (fd: number): [Stream, Socket] => {
    const stream = streamOf(fd);
    if (stream === null) throw new SystemError('EBADF');
    const { socket } = stream.node;
    if (socket === undefined) throw new SystemError('ENOTSOCK');
    return [stream, socket];
  };
  const isOurs = (fd: number) => streamOf(fd)?.node.socket !== undefined;
  const isNonBlocking = ({ flags }: Stream) => (flags & O_NONBLOCK) !== 0;

  const read = (socket: Socket, into: Uint8Array, waits: boolean, isPeek = false): number => {
    const { connection } = socket;
    if (connection === undefined) throw new SystemError('ENOTCONN');
    const isReady = () =>
      connection.received.length > 0 || connection.hasEnded || connection.state === 'failed';
    network.look();
    if (waits) network.waitUntil(isReady, Number.POSITIVE_INFINITY);
    const bytes = network.read(connection, into, isPeek);
    if (bytes > 0 || connection.hasEnded || into.length === 0) return bytes;
    throw new SystemError(connection.state === 'failed' ? connection.code! : 'EAGAIN');
  };

  const write = (socket: Socket, bytes: Uint8Array, waits: boolean): number => {
    const { connection } = socket;
    if (connection === undefined) throw new SystemError('ENOTCONN');
    network.look();
    if (waits) {
      network.waitUntil(() => network.canWrite(connection) || isOver(connection), Number.POSITIVE_INFINITY);
    }
    if (isOver(connection)) throw new SystemError('EPIPE');
    if (!network.canWrite(connection)) throw new SystemError('EAGAIN');
    const part = bytes.subarray(0, waitingBytesMax);
    network.write(connection, part);
    return part.length;
  };

  const socketMask = ({ connection }: Socket): number => {
    if (connection === undefined) return POLLOUT | POLLHUP;
    if (isOver(connection)) return POLLIN | POLLOUT | POLLERR | POLLHUP;
    const canRead = connection.received.length > 0 || connection.hasEnded;
    return (canRead ? POLLIN : 0) | (network.canWrite(connection) ? POLLOUT : 0);
  };
  const maskOf = (fd: number): number => {
    const stream = streamOf(fd);
    if (stream === null) return POLLNVAL;
    if (stream.node.socket !== undefined) return socketMask(stream.node.socket);
    return stream.stream_ops.poll?.(stream, -1) ?? POLLIN | POLLOUT;
  };

  const stream_ops = {
    poll: ({ node }: Stream) => socketMask(node.socket!),
    read: (stream: Stream, buffer: Int8Array, offset: number, length: number) =>
      read(stream.node.socket!, bytesOf(buffer, offset, length), !isNonBlocking(stream)),
    write: (stream: Stream, buffer: Int8Array, offset: number, length: number) =>
      write(stream.node.socket!, bytesOf(buffer, offset, length), !isNonBlocking(stream)),
    ioctl(stream: Stream, request: number, pointer: number): number {
      if (request === FIONBIO) {
        const isOn = memory.view().getInt32(pointer, true) !== 0;
        stream.flags = isOn ? stream.flags | O_NONBLOCK : stream.flags & ~O_NONBLOCK;
      } else if (request === FIONREAD) {
        const received = stream.node.socket!.connection?.received ?? [];
        const bytes = received.reduce((sum, piece) => sum + piece.length, 0);
        memory.view().setInt32(pointer, bytes, true);
      } else {
        throw new SystemError('EINVAL');
      }
      return 0;
    },
    dup({ node }: Stream): void {
      node.socket!.descriptors++;
    },
    close({ node }: Stream): void {
      const socket = node.socket!;
      if (--socket.descriptors === 0 && socket.connection !== undefined) network.close(socket.connection);
    },
  };

  const createSocket = (family: number, type: number): number => {
    const socket: Socket = {
      family,
      type: type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC),
      isServer: false,
      connection: undefined,
      peer: undefined,
      descriptors: 1,
    };
    const at = new Date(0);
    const attributes = {
      dev: 0,
      ino: 0,
      nlink: 1,
      uid: 0,
      gid: 0,
      rdev: 0,
      size: 0,
      blksize: 4096,
      blocks: 0,
    };
    const node = {
      mode: S_IFSOCK | 0o600,
      socket,
      node_ops: {
        getattr: () => ({ ...attributes, mode: S_IFSOCK | 0o600, atime: at, mtime: at, ctime: at }),
      },
    };
    const flags = readWrite | (type & SOCK_NONBLOCK);
    return descriptors().createStream({
      path: 'socket',
      node,
      flags,
      seekable: false,
      position: 0,
      stream_ops,
    }).fd;
  };

  const readAddress = (pointer: number, length: number): SocketAddress => {
    const view = memory.view();
    const family = view.getUint16(pointer, true);
    const port = view.getUint16(pointer + 2);
    const bytes = memory.bytes().slice(pointer, pointer + length);
    if (family === AF_INET) return { host: bytes.subarray(4, 8).join('.'), port };
    if (family === AF_INET6) {
      const groups = Array.from({ length: 8 }, (_, at) => view.getUint16(pointer + 8 + 2 * at).toString(16));
      return { host: groups.join(':'), port };
    }
    if (family !== AF_UNIX) throw new SystemError('EAFNOSUPPORT');
    const path = Buffer.from(bytes.subarray(2)).toString('latin1');
    // An abstract one begins with a NUL.
    return { host: toText(path[0] === '\0' ? path : path.replace(/\0.*$/s, '')), port: 0 };
  };
  const writeAddress = (pointer: number, lengthPointer: number, { host, port }: SocketAddress): void => {
    const version = isIP(host);
    const address = Buffer.alloc(version === 4 ? 16 : version === 6 ? 28 : 110);
    if (version === 4) {
      address.writeUInt16LE(AF_INET);
      address.set(host.split('.').map(Number), 4);
    } else if (version === 6) {
      address.writeUInt16LE(AF_INET6);
      address.set(bytesOfIpv6(host), 8);
    } else {
      address.writeUInt16LE(AF_UNIX);
      address.write(host, 2);
    }
    if (version !== 0) address.writeUInt16BE(port, 2);
    const room = memory.view().getUint32(lengthPointer, true);
    memory.bytes().set(address.subarray(0, room), pointer);
    memory.view().setUint32(lengthPointer, address.length, true);
  };

  /** Which other addresses the hosts have that the running request has resolved: a connection takes the first that accepts. */
  const alternatives = new Map<string, readonly string[]>();
  const resolve = (host: string, family = 0): readonly string[] => {
    const found = network
      .resolve(host)
      .filter((address) => family === 0 || isIP(address) === (family === AF_INET6 ? 6 : 4))
      .sort((one, other) => isIP(one) - isIP(other));
    if (found[0] !== undefined) alternatives.set(found[0], found);
    return found;
  };

  // The runtime's `select` sleeps for 0 ms, then polls one descriptor after the other, each for the whole time.
  let select: { readonly asked: Selected[]; hasWaited: boolean } | undefined;
  let selectedBefore: readonly Selected[] = [];
  const endSelect = () => {
    if (select !== undefined) selectedBefore = select.asked;
    select = undefined;
  };
  const isReady = ({ fd, events }: Selected) => {
    // What may be read is asked for with POLLOUT besides.
    const wanted = events === (POLLIN | POLLOUT) ? POLLIN : events;
    return (maskOf(fd) & (wanted | POLLERR | POLLHUP | POLLNVAL)) !== 0;
  };
  const pollSelected = (fd: number, events: number, timeoutMs: number): number => {
    // Elsewhere the runtime asks `poll` afterwards.
    if (select === undefined) return 0;
    const asked = { fd, events };
    select.asked.push(asked);
    if (!select.hasWaited && events !== POLLERR) {
      select.hasWaited = true;
      const isAsBefore = selectedBefore[0]?.fd === fd && selectedBefore[0].events === events;
      const waited = isAsBefore ? selectedBefore : [asked];
      // Without an end, for a set that we do not know: it is asked for again.
      const ms = timeoutMs >= 0 ? timeoutMs : isAsBefore ? Number.POSITIVE_INFINITY : selectMs;
      network.waitUntil(() => waited.some(isReady), ms);
    }
    return isReady(asked) ? 1 : 0;
  };

  const calls: Record<string, SystemCalls[string]> = {
    __syscall_socket(family, type) {
      const kind = type & ~(SOCK_NONBLOCK | SOCK_CLOEXEC);
      // PHP opens one of UDP to learn whether there is IPv6.
      const isKnown = kind === SOCK_STREAM ? families.has(family) : kind === SOCK_DGRAM && family !== AF_UNIX;
      if (!isKnown) throw new SystemError('EAFNOSUPPORT');
      return createSocket(family, type);
    },
    __syscall_connect(fd, pointer, length) {
      const [stream, socket] = socketOf(fd);
      if (socket.type !== SOCK_STREAM) throw new SystemError('ENETUNREACH');
      if (socket.connection !== undefined) throw new SystemError('EISCONN');
      const peer = readAddress(pointer, length);
      const connection = network.connect(
        socket.family === AF_UNIX
          ? { path: resolvePath(descriptors().cwd(), peer.host) }
          : { addresses: alternatives.get(peer.host) ?? [peer.host], port: peer.port },
      );
      if (connection === undefined) throw new SystemError('EMFILE');
      socket.connection = connection;
      socket.peer = peer;
      if (isNonBlocking(stream)) throw new SystemError('EINPROGRESS');
      network.waitUntil(() => connection.state !== 'connecting', Number.POSITIVE_INFINITY);
      if (connection.state === 'failed') throw new SystemError(connection.code!);
      return 0;
    },
    __syscall_bind(fd, pointer, length) {
      const [, { family, isServer }] = socketOf(fd);
      // The machine chooses from where a connection comes.
      if (!isServer && family !== AF_UNIX && readAddress(pointer, length).port === 0) return 0;
      throw new SystemError('EACCES');
    },
    __syscall_listen() {
      throw new SystemError('EACCES');
    },
    __syscall_accept4() {
      throw new SystemError('EACCES');
    },
    __syscall_sendto(fd, pointer, length, flags) {
      const [stream, socket] = socketOf(fd);
      if (socket.type !== SOCK_STREAM) throw new SystemError('ENETUNREACH');
      const bytes = memory.bytes().subarray(pointer, pointer + length);
      return write(socket, bytes, !isNonBlocking(stream) && (flags & MSG_DONTWAIT) === 0);
    },
    __syscall_sendmsg(fd, message, flags) {
      const view = memory.view();
      const parts = view.getUint32(message + 8, true);
      const count = view.getInt32(message + 12, true);
      let sent = 0;
      for (let at = parts; at < parts + 8 * count; at += 8) {
        const [pointer, length] = [view.getUint32(at, true), view.getUint32(at + 4, true)];
        // What does not fit is the caller's again; only the first piece may wait.
        const bytes =
          length === 0
            ? 0
            : calls.__syscall_sendto!(fd, pointer, length, sent > 0 ? flags | MSG_DONTWAIT : flags);
        sent += bytes;
        if (bytes < length) break;
      }
      return sent;
    },
    __syscall_recvfrom(fd, pointer, length, flags, _address, addressLength) {
      const [stream, socket] = socketOf(fd);
      if (addressLength !== 0) memory.view().setUint32(addressLength, 0, true);
      const waits = !isNonBlocking(stream) && (flags & MSG_DONTWAIT) === 0;
      // The memory may have moved before the bytes come, but not while it stands still.
      return read(
        socket,
        memory.bytes().subarray(pointer, pointer + length),
        waits,
        (flags & MSG_PEEK) !== 0,
      );
    },
    __syscall_getsockopt(fd, level, option, pointer, lengthPointer) {
      const [, socket] = socketOf(fd);
      const { connection } = socket;
      let value: number;
      if (level === SOL_SOCKET && option === SO_TYPE) value = socket.type;
      else if (level === SOL_SOCKET && option === SO_ERROR) {
        network.look();
        value = connection?.state === 'failed' ? new SystemError(connection.code!).errno : 0;
      } else throw new SystemError('ENOPROTOOPT');
      memory.view().setInt32(pointer, value, true);
      memory.view().setUint32(lengthPointer, 4, true);
      return 0;
    },
    __syscall_getsockname(fd, pointer, lengthPointer) {
      const [, { connection, family }] = socketOf(fd);
      const { address, port } = connection?.local ?? { address: '', port: 0 };
      const none = family === AF_INET ? '0.0.0.0' : family === AF_INET6 ? '::' : '';
      writeAddress(pointer, lengthPointer, { host: address || none, port });
      return 0;
    },
    __syscall_getpeername(fd, pointer, lengthPointer) {
      const [, { peer, connection }] = socketOf(fd);
      if (peer === undefined || connection?.state !== 'open') throw new SystemError('ENOTCONN');
      writeAddress(pointer, lengthPointer, peer);
      return 0;
    },
    __syscall_poll(pointer, count, timeoutMs) {
      const look = () => {
        let ready = 0;
        for (let at = pointer; at < pointer + 8 * count; at += 8) {
          const view = memory.view();
          const fd = view.getInt32(at, true);
          const asked = view.getInt16(at + 4, true) | POLLERR | POLLHUP | POLLNVAL;
          const mask = fd < 0 ? 0 : maskOf(fd) & asked;
          view.setInt16(at + 6, mask, true);
          if (mask !== 0) ready++;
        }
        return ready;
      };
      let ready = 0;
      network.waitUntil(
        () => {
          ready = look();
          return ready > 0;
        },
        timeoutMs < 0 ? Number.POSITIVE_INFINITY : timeoutMs,
      );
      return ready;
    },
    getaddrinfo(node, service, hints, result) {
      const host = node === 0 ? '' : memory.text(node);
      if (host === '' || isIP(host) !== 0) return original.getaddrinfo!(node, service, hints, result);
      const family = hints === 0 ? 0 : memory.view().getInt32(hints + 4, true);
      const [address] = resolve(host, family);
      if (address === undefined) return EAI_NONAME;
      return memory.withText(address, (pointer) => original.getaddrinfo!(pointer, service, hints, result));
    },
    // `gethostbyname` of PHP 7, which cannot hear that there is none.
    _emscripten_lookup_name(host) {
      const [address = '0.0.0.0'] = resolve(memory.text(host), AF_INET);
      return Buffer.from(address.split('.').map(Number)).readInt32LE();
    },
    wasm_shutdown(fd, how) {
      const [, { connection }] = socketOf(fd);
      if (connection === undefined) throw new SystemError('ENOTCONN');
      if (how !== SHUT_RD) network.end(connection);
      return 0;
    },
    wasm_setsockopt(fd, level, option) {
      if (level === SOL_SOCKET && option === SO_REUSEADDR) socketOf(fd)[1].isServer = true;
      return 0;
    },
    wasm_close(fd) {
      const stream = streamOf(fd);
      if (stream === null) throw new SystemError('EBADF');
      // Locks go with a file; a socket has none.
      descriptors().close(stream);
      return 0;
    },
  };
  for (const [name, call] of Object.entries(calls)) {
    calls[name] = (...values) => {
      endSelect();
      try {
        return call(...values);
      } catch (error) {
        if ((error as Error).name !== 'ErrnoError') throw error;
        return -(error as SystemError).errno;
      }
    };
  }
  const sleep = (ms: number) => {
    endSelect();
    if (ms > 0) network.waitUntil(() => false, ms);
    else select = { asked: [], hasWaited: false };
    return 0;
  };
  return {
    calls: {
      ...calls,
      wasm_connect: calls.__syscall_connect!,
      wasm_poll_socket: pollSelected,
      __asyncjs__wasm_poll_socket: pollSelected,
      emscripten_sleep: sleep,
    },
    setFlags(fd, command, pointer) {
      if (command !== F_SETFL || !isOurs(fd)) return undefined;
      streamOf(fd)!.flags = readWrite | (memory.view().getInt32(pointer, true) & ~readWrite);
      return 0;
    },
    resolve,
    endRequest() {
      network.closeAll();
      alternatives.clear();
      selectedBefore = [];
    },
  };
}

function isOver({ state }: Connection): boolean {
  return state === 'failed' || state === 'closed';
}

function bytesOf(buffer: ArrayBufferView, offset: number, length: number): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset + offset, length);
}

function resolvePath(folder: string, path: string): string {
  return /^[/\0]/.test(path) ? path : `${folder}/${path}`;
}

function bytesOfIpv6(host: string): Uint8Array {
  // Writes an IPv4 address at the end as two groups.
  const groups = new URL(`http://[${host.replace(/%.*/, '')}]`).hostname.slice(1, -1);
  const [before, after] = groups.split('::').map((part) => part.split(':').filter(Boolean)) as [
    string[],
    string[] | undefined,
  ];
  const zeros = Array<string>(8 - before.length - (after?.length ?? 0)).fill('0');
  const bytes = Buffer.alloc(16);
  for (const [at, group] of [...before, ...zeros, ...(after ?? [])].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), 2 * at);
  }
  return bytes;
}
