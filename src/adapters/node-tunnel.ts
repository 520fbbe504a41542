/**
 * A client connection of node:http that has become another protocol (RFC 9110 7.8): its bytes, for one receiver.
 * The response stays open and assigned, so that the server counts the connection as busy; only node:http's reading ends.
 */
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';
import type { BodyReader, BodyReceiver, Fields } from '../http/message.ts';
import { detachParser } from './node-connection.ts';

export class NodeTunnel implements BodyReader {
  readonly #socket: Socket;
  #receiver: BodyReceiver | undefined;
  /** The client's, behind the 101. */
  bytesReceived = 0;

  /** Sends the head, and takes the connection over. */
  constructor(socket: Socket, fields: Fields, receiver: BodyReceiver) {
    this.#socket = socket;
    this.#receiver = receiver;
    let head = 'HTTP/1.1 101 Switching Protocols\r\n';
    for (let index = 0; index < fields.length; index += 2)
      head += `${fields[index]}: ${fields[index + 1]}\r\n`;
    socket.write(`${head}\r\n`, 'latin1');
    detachParser(socket, (chunk) => {
      this.bytesReceived += chunk.length;
      if (this.#receiver?.data(chunk) === false) socket.pause();
    });
  }

  resume(): void {
    if (this.#receiver !== undefined) this.#socket.resume();
  }

  /** What still comes is dropped. */
  close(): void {
    this.#receiver = undefined;
    this.#socket.resume();
  }

  /** Sends what waits, and closes. @param lingerMs how long the client gets to close, too */
  end(lingerMs: number, clock: Clock): void {
    this.close();
    this.#socket.end();
    clock.setTimer(() => this.#socket.destroy(), lingerMs).unref();
  }
}
