import type { ErrorKind } from "../errors/codes.js";
import type { MezError } from "../errors/error.js";
import { html } from "../plugin/html.js";
import type { WebResponse } from "../plugin/web.js";
import { webPage } from "../plugin/web-page.js";

// As an import it would load Node's own fetch along with its other names: 13 MiB in every daemon, which none needs.
const { STATUS_CODES } = process.getBuiltinModule("node:http");

/** Why a request was not answered, for whoever asked. */
export class Problem {
  constructor(
    readonly status: number,
    /** A code of `MezError`, or one of HTTP's own: the standard phrase of the status. */
    readonly code: string,
    /** One line, may be shown. */
    readonly message: string,
    readonly more: {
      readonly allow?: readonly string[];
      readonly retryAfterSeconds?: number;
      readonly fields?: Readonly<Record<string, string | number | boolean>>;
    } = {},
  ) {}

  /** One that HTTP has a status for, and we no code. */
  static of(status: number, message: string, more: Problem["more"] = {}): Problem {
    return new Problem(status, (STATUS_CODES[status] ?? "").toUpperCase().replaceAll(/[^A-Z]+/g, "_"), message, more);
  }

  /** What the caller may know of an error; the rest is for the log. */
  static from(error: MezError): Problem {
    const status = STATUS_OF[error.kind];
    return new Problem(status, error.code, error.message, {
      fields: error.fields,
      ...(status === 429 || status === 503 ? { retryAfterSeconds: 5 } : {}),
    });
  }
}

/** Problem details (RFC 9457) with our code and the id of the request, or a page for browsers. */
export function problemResponse(problem: Problem, requestId: string, asPage: boolean): WebResponse {
  const { status, code, message, more } = problem;
  const title = STATUS_CODES[status] ?? "Error";
  const retry = more.retryAfterSeconds === undefined ? {} : { retryAfterSeconds: more.retryAfterSeconds };
  if (asPage) {
    const content = html`<p>${sentence(message)}</p>
      <p class="quiet">Status ${status}, request ${requestId}</p>`;
    return { status, ...retry, contentType: "text/html; charset=utf-8", body: webPage({ title, content }).text };
  }
  const details = { type: "about:blank", title, status, detail: message, code, requestId, ...more.fields };
  return { status, ...retry, contentType: "application/problem+json; charset=utf-8", body: JSON.stringify(details) };
}

// --- internal ---

const STATUS_OF: Readonly<Record<ErrorKind, number>> = {
  usage: 400,
  unauthenticated: 401,
  denied: 403,
  "not-found": 404,
  "already-exists": 409,
  conflict: 409,
  limit: 429,
  unavailable: 503,
  timeout: 504,
  corrupt: 500,
  environment: 500,
  internal: 500,
};

function sentence(message: string): string {
  return `${message.slice(0, 1).toUpperCase()}${message.slice(1)}.`;
}
