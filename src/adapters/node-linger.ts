/** How long a connection of node:http stays for a client that has its answer, or as much of it as it will get. */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Clock } from '../base/clock.ts';

/** Lets an unread body pass by. @param drainMs the connection of a longer one is destroyed */
export function dropBody(req: IncomingMessage, drainMs: number, clock: Clock): void {
  const { socket } = req;
  req.resume();
  const giveUp = () => {
    if (!req.complete) socket.destroy();
  };
  clock.setTimer(giveUp, drainMs).unref();
}

/**
 * Closes in order, but without the end of the answer: the client has the bytes and sees that they are not all.
 * @param idleMs a client that has not taken them by then is disconnected
 */
export function closeWhenFlushed(socket: Socket, idleMs: number, clock: Clock): void {
  socket.destroySoon();
  const timer = clock.setTimer(() => socket.destroy(), idleMs);
  timer.unref();
  socket.once('close', () => clock.clearTimer(timer));
}
