import { createHash } from "node:crypto";
import { MezError } from "../errors/error.js";
import type { WebCookie, WebResponse } from "../plugin/web.js";
import { COOKIE_PREFIX } from "./received-request.js";

/** The headers of an answer, security first: no plugin can leave one out. */
export function responseHeaders(response: WebResponse, requestId: string, nonce: string): Record<string, string | string[]> {
  const { contentType, cacheSeconds, location, retryAfterSeconds, cookies = [] } = response;
  return {
    ...SECURITY_HEADERS,
    "content-security-policy": policy(nonce),
    "cache-control": cacheSeconds === undefined ? "no-store" : `public, max-age=${cacheSeconds}`,
    "x-request-id": requestId,
    ...(contentType === undefined ? {} : { "content-type": contentType }),
    ...(cacheSeconds === undefined ? {} : { etag: entityTag(response.body ?? "") }),
    ...(location === undefined ? {} : { location: checkedLocation(location) }),
    ...(retryAfterSeconds === undefined ? {} : { "retry-after": String(retryAfterSeconds) }),
    ...(cookies.length === 0 ? {} : { "set-cookie": cookies.map(cookieHeader) }),
  };
}

// --- internal ---

const SECURITY_HEADERS = {
  "strict-transport-security": "max-age=31536000", // RFC 6797
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer", // paths hold one-time links
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy":
    "publickey-credentials-get=(self), publickey-credentials-create=(self), camera=(), geolocation=(), microphone=()",
};

function policy(nonce: string): string {
  return [
    "default-src 'self'",
    `script-src 'self' 'nonce-${nonce}'`,
    `style-src 'self' 'nonce-${nonce}'`,
    "img-src 'self' data:",
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join("; ");
}

function entityTag(body: string | Buffer): string {
  return `"${createHash("sha256").update(body).digest("base64url").slice(0, 27)}"`;
}

function checkedLocation(location: string): string {
  if (!/^\/(?![/\\])[\x21-\x7e]*$/.test(location)) throw new MezError("INTERNAL", "a redirect leads to a path of this server");
  return location;
}

function cookieHeader({ name, value, maxAgeSeconds, sameSite = "strict" }: WebCookie): string {
  if (!/^[A-Za-z0-9-]+$/.test(name) || !/^[A-Za-z0-9._~-]*$/.test(value))
    throw new MezError("INTERNAL", `cookie "${name}" holds what cookies cannot`);
  const age = maxAgeSeconds === null ? "" : `; Max-Age=${maxAgeSeconds}`;
  return `${COOKIE_PREFIX}${name}=${value}; Path=/; Secure; HttpOnly; SameSite=${sameSite === "lax" ? "Lax" : "Strict"}${age}`;
}
