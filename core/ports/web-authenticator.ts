import type { Port } from "../plugin/contract.js";
import type { Secret } from "../plugin/secret.js";
import type { WebPerson } from "../plugin/web.js";

/** Tells on a proxy who is logged in: it asks the auth service each time, so that locks and endings hold at once. */
export interface WebAuthenticator {
  /**
   * @param token Of the session cookie or of `authorization: Bearer`.
   * @throws {MezError} `UNAUTHENTICATED` when it is not the token of a session in force; `ACCESS_DENIED`,
   * `PASSWORD_CHANGE_REQUIRED`, `UNAVAILABLE`
   */
  authenticate(token: Secret, signal: AbortSignal): Promise<WebPerson>;
}

export const WEB_AUTHENTICATOR: Port<WebAuthenticator> = { id: "web-authenticator", version: 1, cardinality: "zero-or-more" };
