import { createHmac, timingSafeEqual } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";

/**
 * Whether a page of another site made the request. Browsers say so in `Sec-Fetch-Site`, older ones in `Origin`; a program
 * that is no browser sends neither and is not meant.
 * @see Fetch Metadata Request Headers, 2.3; RFC 6454, 7
 */
export function isCrossSite(headers: IncomingHttpHeaders, ownOrigin: string): boolean {
  const site = headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return true;
  return headers.origin !== undefined && headers.origin !== ownOrigin;
}

/** What forms of a session carry. Made from the session's token, so every proxy can check it and none has to keep it. */
export function csrfTokenOf(sessionToken: string): string {
  return createHmac("sha256", sessionToken).update("mezite web form").digest("base64url");
}

/** Tells, in constant time, whether a page gave back its session's token against forged requests. */
export function isCsrfToken(given: string, sessionToken: string): boolean {
  const right = Buffer.from(csrfTokenOf(sessionToken));
  const bytes = Buffer.from(given);
  return bytes.length === right.length && timingSafeEqual(bytes, right);
}
