import type { IncomingMessage } from "node:http";
import { MezError } from "../errors/error.js";
import { Secret } from "../plugin/secret.js";
import type { WebRoute, WebSession } from "../plugin/web.js";
import { SESSION_COOKIE } from "../plugin/web.js";
import type { WebAuthenticator } from "../ports/web-authenticator.js";
import { cookieOf, parseForm } from "./received-request.js";
import { csrfTokenOf, isCsrfToken } from "./same-origin.js";

export interface FoundSession extends WebSession {
  /** Browsers send cookies along by themselves, so a cookie alone does not show that its owner wanted the request. */
  readonly fromCookie: boolean;
}

/** @throws {MezError} `UNAUTHENTICATED`, `UNAVAILABLE` */
export async function sessionOf(
  incoming: IncomingMessage,
  authenticators: readonly WebAuthenticator[],
  signal: AbortSignal,
): Promise<FoundSession> {
  const bearer = bearerToken(incoming.headers.authorization);
  const text = bearer ?? cookieOf(incoming, SESSION_COOKIE);
  const [authenticator] = authenticators;
  if (text === null || text === "" || text.length > MAX_TOKEN_LENGTH || authenticator === undefined)
    throw new MezError("UNAUTHENTICATED", "log in first");
  const token = new Secret(text);
  const person = await authenticator.authenticate(token, signal);
  return { ...person, token, csrfToken: csrfTokenOf(text), fromCookie: bearer === null };
}

/** @throws {MezError} `ACCESS_DENIED` */
export function requireFormToken(incoming: IncomingMessage, route: WebRoute, body: Buffer, { token }: WebSession): void {
  const header = incoming.headers["x-mezite-csrf"];
  const given = typeof header === "string" ? header : route.accepts === "form" ? parseForm(body).get("csrf") : undefined;
  if (given === undefined || !isCsrfToken(given, token.expose()))
    throw new MezError("ACCESS_DENIED", "the form is out of date; load its page again");
}

// --- internal ---

const MAX_TOKEN_LENGTH = 512;

function bearerToken(header: string | undefined): string | null {
  return /^Bearer ([A-Za-z0-9_.~+/=-]+)$/i.exec(header ?? "")?.[1] ?? null;
}
