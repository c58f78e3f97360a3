import { constants, type Http2Session } from "node:http2";

const MAX_REASON_BYTES = 256;
const FLUSH_MILLISECONDS = 1000;

/** Ends a tunnel and all of its streams, telling the peer why in the GOAWAY frame (RFC 9113, 6.8). */
export function sayGoodbye(session: Http2Session, reason: string): void {
  if (session.destroyed) return;
  session.goaway(constants.NGHTTP2_CANCEL, 0, Buffer.from(reason).subarray(0, MAX_REASON_BYTES));
  // The peer closes on reading it; one that does not is cut off.
  const timer = setTimeout(() => session.destroy(), FLUSH_MILLISECONDS);
  session.once("close", () => clearTimeout(timer));
}

/** The reason in a GOAWAY frame, safe to print; `null` when the peer gave none. */
export function readGoodbye(data: Uint8Array | undefined): string | null {
  if (data === undefined || data.length === 0) return null;
  const text = Buffer.from(data).subarray(0, MAX_REASON_BYTES).toString("utf8");
  return text.replace(/[^\x20-\x7e]/g, "?");
}
