import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { TLSSocket } from "node:tls";
import { isMezError, MezError } from "../errors/error.js";

const KEEP_ALIVE_MILLISECONDS = 15_000;

/**
 * Gives one stream's TLS connection the manners that sessions rely on, without another layer for the bytes to pass:
 * `destroy()` before both directions have ended resets the TCP connection, so the peer never takes it for a clean end;
 * errors are `MezError` `TUNNEL_STREAM_RESET`; an error that nobody listens for does not end the process; a peer that
 * vanished is noticed by TCP keep-alive. Half-close and back-pressure are TLS's and TCP's own.
 * @param tcp The connection under `socket`.
 */
export function tunnelStream(socket: TLSSocket, tcp: Socket): Duplex {
  tcp.setNoDelay(true);
  tcp.setKeepAlive(true, KEEP_ALIVE_MILLISECONDS);
  const destroy = socket._destroy.bind(socket);
  // Otherwise `resetAndDestroy()` ends the connection first, and the peer reads a clean end.
  tcp.destroySoon = () => void tcp.destroy();
  socket._destroy = (error, callback) => {
    const isWhole = socket.readableEnded && socket.writableFinished;
    callback(error === null || isMezError(error) ? error : streamReset(error));
    // A socket says "close" as soon as its handle is gone; the error that `callback` raises comes before.
    process.nextTick(() => {
      // libuv refuses to reset during a half-close, and Node then keeps the connection for ever. Our end was whole by then.
      const isHalfClosed = socket.writableEnded && socket.writableLength === 0;
      if (isHalfClosed) tcp.destroy();
      else if (!isWhole && !tcp.destroyed) tcp.resetAndDestroy();
      destroy(error, () => {});
    });
  };
  socket.on("error", () => {});
  return socket;
}

/** The same manners for a stream without TLS of its own. */
export function bareTunnelStream(socket: Socket): Duplex {
  socket.setKeepAlive(true, KEEP_ALIVE_MILLISECONDS);
  const inside = socket as Socket & { resetAndClosing?: boolean };
  const destroy = inside._destroy.bind(inside);
  inside._destroy = (error, callback) => {
    const isWhole = inside.readableEnded && inside.writableFinished;
    const isHalfClosed = inside.writableEnded && inside.writableLength === 0;
    if (!isWhole && !isHalfClosed) inside.resetAndClosing = true; // what `resetAndDestroy()` does, without its wait
    destroy(error === null || isMezError(error) ? error : streamReset(error), callback);
  };
  inside.on("error", () => {});
  return inside;
}

// --- internal ---

function streamReset(cause: Error): MezError {
  return new MezError("TUNNEL_STREAM_RESET", "the other end of the tunnel gave the connection up", { cause });
}
