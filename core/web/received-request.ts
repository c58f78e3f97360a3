import type { IncomingMessage } from "node:http";
import { MezError } from "../errors/error.js";
import type { WebRequest, WebSession } from "../plugin/web.js";
import type { RequestTarget } from "./request-target.js";
import type { RouteMatch } from "./route-table.js";

export interface RequestFacts {
  readonly id: string;
  readonly target: RequestTarget;
  readonly match: RouteMatch;
  readonly session: WebSession | null;
  readonly clientAddress: string;
  readonly origin: string;
  readonly nonce: string;
  readonly signal: AbortSignal;
}

/** Before the name of every cookie: browsers take it only with Secure, from this very host, for all paths. */
export const COOKIE_PREFIX = "__Host-";

/** What a handler gets to see of a request. */
export function receivedRequest(incoming: IncomingMessage, body: Buffer, facts: RequestFacts): WebRequest {
  const { target, match, ...plain } = facts;
  return {
    ...plain,
    method: incoming.method ?? "",
    path: target.path,
    query: target.query,
    parameter: (name) => {
      const value = match.parameters.get(name);
      if (value === undefined) throw new MezError("INTERNAL", `route ${match.served.route.path} has no parameter "${name}"`);
      return value;
    },
    header: (name) => {
      const value = incoming.headers[name.toLowerCase()];
      return typeof value === "string" ? value : null;
    },
    cookie: (name) => cookieOf(incoming, name),
    json: () => parseJson(body),
    form: () => parseForm(body),
  };
}

/** A cookie of ours; of two with one name, which browsers do not send, neither. */
export function cookieOf(incoming: IncomingMessage, name: string): string | null {
  const pairs = (incoming.headers.cookie ?? "").split(";").map((pair) => pair.trim());
  const values = pairs.filter((pair) => pair.startsWith(`${COOKIE_PREFIX}${name}=`));
  return values.length === 1 ? (values[0] as string).slice(COOKIE_PREFIX.length + name.length + 1) : null;
}

/** @throws {MezError} `INVALID_DOCUMENT` */
export function parseForm(body: Buffer): ReadonlyMap<string, string> {
  const fields = new Map<string, string>();
  for (const [name, value] of new URLSearchParams(body.toString("utf8"))) {
    if (fields.has(name)) throw new MezError("INVALID_DOCUMENT", `field "${name.slice(0, 40)}" comes twice`);
    fields.set(name, value);
  }
  return fields;
}

// --- internal ---

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)) as unknown;
  } catch (cause) {
    throw new MezError("INVALID_DOCUMENT", "the body is not JSON", { cause });
  }
}
