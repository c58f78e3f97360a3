import type { IncomingMessage, ServerResponse } from "node:http";
import type { WebRoute } from "../plugin/web.js";
import { Problem } from "./problem.js";

export const DEFAULT_MAX_BODY_BYTES = 65_536;

/**
 * Reads the body that a route accepts. A client that waits for `100 Continue` is told to go on only when nothing in the head
 * is wrong.
 */
export async function readBody(
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { accepts, maxBodyBytes = DEFAULT_MAX_BODY_BYTES }: WebRoute,
): Promise<Buffer | Problem> {
  const { headers } = incoming;
  const declared = Number(headers["content-length"] ?? 0);
  if (declared === 0 && headers["transfer-encoding"] === undefined) return Buffer.alloc(0);
  if (accepts === undefined) return Problem.of(400, "this request takes no body");
  const type = headers["content-type"]?.split(";")[0]?.trim().toLowerCase();
  if (type !== CONTENT_TYPES[accepts]) return Problem.of(415, `the body has to be ${CONTENT_TYPES[accepts]}`);
  if (headers["content-encoding"] !== undefined) return Problem.of(415, "the body must not be compressed");
  const tooLarge = Problem.of(413, `the body may have ${maxBodyBytes} bytes at most`);
  if (declared > maxBodyBytes) return tooLarge;
  if (headers.expect !== undefined) outgoing.writeContinue();
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of incoming as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBodyBytes) return tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

// --- internal ---

const CONTENT_TYPES = { json: "application/json", form: "application/x-www-form-urlencoded" } as const;
