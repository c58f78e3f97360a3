import type { Secret } from "./secret.js";

/**
 * One route of the proxy's web server. HEAD is answered where GET is, OPTIONS everywhere. Requests other than GET are
 * refused when a page of another site made them, whatever their access.
 */
export interface WebRoute {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** e.g. `/v1/webapi/mfa/:link`; a part that begins with `:` is a parameter. A literal part goes before a parameter. */
  readonly path: string;
  /**
   * `public` needs no credentials at all. `session` needs the session cookie of somebody who is logged in, or the same
   * token as `authorization: Bearer`; with the cookie, requests other than GET also need its CSRF token, in the header
   * `x-mezite-csrf` or the form field `csrf`.
   */
  readonly access: "public" | "session";
  /** What the body has to be; without it, a request with a body is refused. */
  readonly accepts?: "json" | "form";
  /** Default 65,536. */
  readonly maxBodyBytes?: number;
}

/** Name of the cookie with the session's token, for `WebRequest.cookie` and `WebCookie`. */
export const SESSION_COOKIE = "mezite-session";

export type WebRoutes = { readonly [name: string]: WebRoute };

export type WebHandler = (request: WebRequest) => Promise<WebResponse>;

/** A handler for each route, by its name. What it throws is answered by kind of error, as problem details or as a page. */
export type WebHandlers<Routes extends WebRoutes> = { readonly [Name in keyof Routes]: WebHandler };

/** Somebody who is logged in, as the auth service said. */
export interface WebPerson {
  readonly userName: string;
  readonly roles: readonly string[];
  /** Names the login session in the audit log; not its token. */
  readonly sessionId: string;
  /** `null` when the session has no end of its own. */
  readonly expiresAt: Date | null;
}

/** What a request of theirs brings along. */
export interface WebSession extends WebPerson {
  /** For calls to the auth service in the person's name. */
  readonly token: Secret;
  /** For the forms of a page; see `WebRoute.access`. */
  readonly csrfToken: string;
}

export interface WebRequest {
  /** UUID; stands in the log and in the answer's `x-request-id`. */
  readonly id: string;
  readonly method: string;
  /** Without the query; decoded parts are read with `parameter`. */
  readonly path: string;
  readonly query: URLSearchParams;
  /** `null` on a public route. */
  readonly session: WebSession | null;
  /** Address of the client without its port, e.g. `192.0.2.7`. */
  readonly clientAddress: string;
  /** As the client's address bar shows it, e.g. `https://mezite.example.com:3080`; its name is one of ours. */
  readonly origin: string;
  /** For `<script nonce>` and `<style nonce>` of the page that answers; the answer's policy names it. */
  readonly nonce: string;
  /** Aborted when the client goes away or the time limit of 30 s passes. */
  readonly signal: AbortSignal;
  /** What stood in the place of `:name`, decoded. @throws {MezError} `INTERNAL` when the route has no such parameter. */
  parameter(name: string): string;
  /** `null` when the header is absent. */
  header(name: string): string | null;
  /** A cookie that `WebResponse.cookies` set, `null` when it is absent. */
  cookie(name: string): string | null;
  /** The body of a route that accepts `json`. @throws {MezError} `INVALID_DOCUMENT` when it is not JSON. */
  json(): unknown;
  /** The fields of a route that accepts `form`. @throws {MezError} `INVALID_DOCUMENT` when one comes twice. */
  form(): ReadonlyMap<string, string>;
}

/** Set under the prefix `__Host-`, with Secure, HttpOnly and Path=/. */
export interface WebCookie {
  readonly name: string;
  /** Letters, digits, `-._~`; empty with `maxAgeSeconds: 0` takes the cookie away. */
  readonly value: string;
  /** `null` until the browser is closed. */
  readonly maxAgeSeconds: number | null;
  /** Default `strict`; `lax` comes along when a link of another site is followed. */
  readonly sameSite?: "strict" | "lax";
}

/**
 * An answer, made with `jsonResponse`, `pageResponse` and the like. Security headers are the server's business and cannot
 * be changed; what is not here is not sent.
 */
export interface WebResponse {
  readonly status: number;
  /** With its charset. */
  readonly contentType?: string;
  readonly body?: string | Buffer;
  /** How long anybody may keep it, with an ETag; without it, nobody may. */
  readonly cacheSeconds?: number;
  /** Path on this server, for redirects. */
  readonly location?: string;
  readonly retryAfterSeconds?: number;
  readonly cookies?: readonly WebCookie[];
}
