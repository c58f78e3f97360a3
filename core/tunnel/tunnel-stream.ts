import { constants, type Http2Stream } from "node:http2";
import type { Duplex } from "node:stream";
import { isMezError, MezError } from "../errors/error.js";

/**
 * Makes an HTTP/2 stream behave like a socket, without another layer for the bytes to pass:
 * `destroy()` before both directions have ended reaches the peer as a reset and never as a clean end;
 * errors are `MezError` `TUNNEL_STREAM_RESET` (the peer gave up) or `TUNNEL_LOST` (the tunnel went away);
 * an error that nobody listens for does not end the process. Half-close and back-pressure are HTTP/2's own.
 */
export function socketLike(stream: Http2Stream): Duplex {
  const destroy = stream._destroy.bind(stream);
  stream._destroy = (error, callback) => {
    const isLost = stream.session === undefined || stream.session.destroyed;
    const isWhole = (stream.readableEnded && stream.writableFinished) || (stream.closed && stream.rstCode === constants.NGHTTP2_NO_ERROR);
    const givenUpHere = !isWhole && !isLost && !stream.closed;
    if (givenUpHere) stream.close(constants.NGHTTP2_CONNECT_ERROR);
    destroy(error, (failure) => {
      if (isWhole || (givenUpHere && error === null)) callback(null);
      else if (isMezError(error)) callback(error);
      else callback(isLost ? tunnelLost(failure) : streamReset(failure));
    });
  };
  stream.on("error", () => {});
  // Node's server resets a request that was answered whole before anyone began to read it.
  stream.read(0);
  return stream;
}

/** The error of a stream whose tunnel went away. */
export function tunnelLost(cause?: unknown): MezError {
  return new MezError("TUNNEL_LOST", "the tunnel to the node was lost", { cause: cause ?? undefined });
}

// --- internal ---

function streamReset(cause: unknown): MezError {
  return new MezError("TUNNEL_STREAM_RESET", "the other end of the tunnel gave the connection up", { cause: cause ?? undefined });
}
