import { type OnReadOpts, Socket, type SocketConstructorOpts } from "node:net";
import { markLending, offerBytes } from "./lending.js";
import { lendDuring } from "./lent-memory.js";
import { ReadMemory } from "./read-memory.js";
import { ReadRests } from "./read-rests.js";
import { writeSmallNow } from "./write-now.js";

/**
 * Moves a fresh connection or pipe to a socket that lends what it reads. Nothing may have been read of it but what has
 * been put back with `unshift`; the old one is of no use afterwards.
 */
export function lendingSocket(old: Socket): Socket {
  const { _handle: handle, allowHalfOpen } = old as SocketInside;
  if (handle === null) return old;
  const read: Buffer | null = old.read();
  (old as SocketInside)._handle = null;
  old.on("error", () => undefined).destroy();
  const { memory, onread, attach } = lendingReads();
  const socket = new Socket({ handle, allowHalfOpen, onread } as SocketConstructorOpts);
  attach(socket);
  if (read !== null) socket.unshift(read);
  socket.once("close", () => memory.close());
  return socket;
}

/** The reading end of a pipe, as a socket that lends. It is read in large pieces: see `ReadRests`. */
export function lendingPipe(readEnd: number): Socket {
  const { memory, onread, attach } = lendingReads(new ReadRests());
  const socket = new Socket({ fd: readEnd, readable: true, writable: false, onread } as SocketConstructorOpts);
  attach(socket);
  socket.once("close", () => memory.close());
  return socket;
}

/** For `net.connect`: the options that make its socket lend, and what to call with that socket. */
export function lendingReads(rests: ReadRests | null = null): {
  memory: ReadMemory;
  onread: OnReadOpts;
  attach: (socket: Socket) => void;
} {
  const memory = new ReadMemory();
  let socket: Socket | null = null;
  let length = 0;
  let goesOn = true;
  const handOut = () => {
    if (socket === null) return;
    const bytes = memory.area.subarray(0, length);
    goesOn = offerBytes(socket, bytes) ? !socket.isPaused() : socket.push(Buffer.from(bytes));
  };
  return {
    memory,
    attach: (made) => {
      socket = made;
      markLending(made);
      writeSmallNow(made);
    },
    onread: {
      buffer: () => memory.after(length),
      callback: (read) => {
        length = read;
        lendDuring(memory, handOut);
        return goesOn && (rests === null || socket === null || !rests.rests(socket, read));
      },
    },
  };
}

// --- internal ---

interface SocketInside extends Socket {
  _handle: object | null;
  readonly allowHalfOpen: boolean;
}
