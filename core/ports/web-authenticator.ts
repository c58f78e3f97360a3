import type { Caller } from "../plugin/caller.js";
import type { Port } from "../plugin/contract.js";
import type { Secret } from "../plugin/secret.js";

/** Tells on a proxy who is logged in: it asks the auth service, so that locks and endings hold at once. */
export interface WebAuthenticator {
  /**
   * @param token Of the session cookie or of `authorization: Bearer`.
   * @throws {MezError} `UNAUTHENTICATED` when it is not the token of a session in force; `UNAVAILABLE`
   */
  authenticate(token: Secret, clientAddress: string): Promise<Caller & { readonly kind: "user" }>;
}

export const WEB_AUTHENTICATOR: Port<WebAuthenticator> = { id: "web-authenticator", version: 1, cardinality: "zero-or-more" };
