/**
 * The thread of the connections that the scripts of one worker open. PHP stands still while it waits for the network, and with it
 * the event loop of its thread; this one goes on, and wakes it.
 */
import { lookup } from 'node:dns';
import { connect, type Socket } from 'node:net';
import { parentPort, workerData } from 'node:worker_threads';
import {
  type NetworkEvent,
  type NetworkOrder,
  type NetworkThreadData,
  waitingBytesMax,
} from './network-messages.ts';

/** How long what was written before a connection is closed may take to leave. */
const lingerMs = 5_000;

interface Connection {
  socket: Socket | undefined;
  /** Sent to the interpreter, which has not taken them yet. */
  waitingBytes: number;
}

const { port, signal } = workerData as NetworkThreadData;
const connections = new Map<number, Connection>();

port.on('message', (order: NetworkOrder) => {
  switch (order.type) {
    case 'resolve':
      return resolve(order.host);
    case 'connect':
      return open(order);
  }
  const connection = connections.get(order.id);
  const socket = connection?.socket;
  if (connection === undefined || socket === undefined) return;
  switch (order.type) {
    case 'write': {
      const { length } = order.bytes;
      socket.write(order.bytes, () => say({ type: 'written', id: order.id, bytes: length }));
      break;
    }
    case 'taken':
      connection.waitingBytes -= order.bytes;
      if (connection.waitingBytes < waitingBytesMax) socket.resume();
      break;
    case 'end':
      socket.end();
      break;
    case 'close':
      connections.delete(order.id);
      close(socket);
  }
});

parentPort!.postMessage('ready');

function say(event: NetworkEvent): void {
  port.postMessage(event);
  Atomics.add(signal, 0, 1);
  Atomics.notify(signal, 0);
}

function resolve(host: string): void {
  lookup(host, { all: true }, (error, found) =>
    say({ type: 'resolved', addresses: error === null ? found.map(({ address }) => address) : [] }),
  );
}

function open(order: Extract<NetworkOrder, { type: 'connect' }>): void {
  const { id } = order;
  const connection: Connection = { socket: undefined, waitingBytes: 0 };
  connections.set(id, connection);
  const isCurrent = () => connections.get(id) === connection;
  const targets =
    'path' in order
      ? [{ path: order.path }]
      : order.addresses.map((host) => ({ host, port: order.port, autoSelectFamily: false }));
  const attempt = (at: number) => {
    let socket: Socket;
    try {
      socket = connect({ ...targets[at]!, noDelay: true, allowHalfOpen: true });
    } catch (error) {
      say({ type: 'failed', id, code: codeOf(error) });
      return;
    }
    connection.socket = socket;
    let isOpen = false;
    socket.on('connect', () => {
      isOpen = true;
      const { localAddress = '', localPort = 0 } = socket;
      say({ type: 'open', id, local: { address: localAddress, port: localPort } });
    });
    socket.on('data', (bytes: Buffer) => {
      if (!isCurrent()) return;
      connection.waitingBytes += bytes.length;
      if (connection.waitingBytes >= waitingBytesMax) socket.pause();
      say({ type: 'data', id, bytes });
    });
    socket.on('end', () => isCurrent() && say({ type: 'ended', id }));
    socket.on('error', (error) => {
      if (!isCurrent()) return;
      if (!isOpen && at + 1 < targets.length) attempt(at + 1);
      else say({ type: 'failed', id, code: codeOf(error) });
    });
  };
  attempt(0);
}

function close(socket: Socket): void {
  if (socket.connecting || socket.destroyed) {
    socket.destroy();
    return;
  }
  socket.destroySoon();
  setTimeout(() => socket.destroy(), lingerMs).unref();
}

function codeOf(error: unknown): string {
  return (error as NodeJS.ErrnoException).code ?? 'ECONNREFUSED';
}
