import type { IncomingHttpHeaders, OutgoingHttpHeaders } from "node:http2";
import { MezError } from "../errors/error.js";
import { oneLine } from "./one-line.js";
import { parseSessionId, SESSION_ID_HEADER } from "./stream-headers.js";

/*
 * A proxy that is about to end a session cannot say why inside of it: those bytes are SSH between the client and the node.
 * So it asks the agent, by a request of its own on the tunnel, to end the session with that reason. An agent that does
 * not know the request answers 400, and the proxy ends the session in silence.
 */

/** Where the proxy posts which session it ends. */
export const ENDS_PATH = "/ends";
/** Why, percent-encoded (RFC 3986, 2.1). */
export const END_REASON_HEADER = "mezite-end-reason";

/** A session that its proxy ends. */
export interface SessionEnd {
  /** As in the request for its stream. */
  readonly sessionId: string;
  /** One line for the person, of printable characters. */
  readonly reason: string;
}

/** The request that tells an agent of it. */
export function sessionEndHeaders({ sessionId, reason }: SessionEnd): OutgoingHttpHeaders {
  return {
    ":method": "POST",
    ":path": ENDS_PATH,
    [SESSION_ID_HEADER]: sessionId,
    [END_REASON_HEADER]: encodeURIComponent(oneLine(reason)),
  };
}

/**
 * Checks such a request, of which the path is known.
 * @throws {MezError} `INVALID_ARGUMENT` naming the header
 */
export function parseSessionEnd(headers: IncomingHttpHeaders): SessionEnd {
  const reason = headers[END_REASON_HEADER];
  if (headers[":method"] !== "POST" || typeof reason !== "string" || reason.length > MAX_REASON_BYTES) throw invalid();
  return { sessionId: parseSessionId(headers), reason: oneLine(decoded(reason)) };
}

// --- internal ---

const MAX_REASON_BYTES = 12_000; // 1,000 characters of four bytes, percent-encoded

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw invalid();
  }
}

function invalid(): MezError {
  return new MezError("INVALID_ARGUMENT", `header "${END_REASON_HEADER}" is not percent-encoded text of a POST`);
}
