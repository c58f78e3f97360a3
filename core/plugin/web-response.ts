import type { Html } from "./html.js";
import type { WebCookie, WebResponse } from "./web.js";

export interface ResponseDetails {
  /** Default 200. */
  readonly status?: number;
  readonly cacheSeconds?: number;
  readonly cookies?: readonly WebCookie[];
}

/** @param value Anything that JSON can hold. */
export function jsonResponse(value: unknown, details: ResponseDetails = {}): WebResponse {
  return { status: 200, ...details, contentType: "application/json; charset=utf-8", body: JSON.stringify(value) };
}

/** An answer of plain text in UTF-8, with status 200 unless `details` say otherwise. */
export function textResponse(text: string, details: ResponseDetails = {}): WebResponse {
  return { status: 200, ...details, contentType: "text/plain; charset=utf-8", body: text };
}

/** A script for `webPage`, served by a route of its own: pages may run nothing else. */
export function scriptResponse(source: string, details: ResponseDetails = {}): WebResponse {
  return { status: 200, ...details, contentType: "text/javascript; charset=utf-8", body: source };
}

/** @param page A whole document, as `webPage` makes it. */
export function pageResponse(page: Html, details: ResponseDetails = {}): WebResponse {
  return { status: 200, ...details, contentType: "text/html; charset=utf-8", body: page.text };
}

/** Sends a browser on with GET, e.g. after a form. @param path On this server, beginning with one `/`. */
export function redirectResponse(path: string, cookies: readonly WebCookie[] = []): WebResponse {
  return { status: 303, location: path, cookies };
}

export const NO_CONTENT: WebResponse = { status: 204 };
