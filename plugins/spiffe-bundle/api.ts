import type { CollectionKind } from "../../core/plugin/collection.js";
import type { ServiceToken } from "../../core/plugin/contract.js";

/** Who signs JWT-SVIDs, as OpenID Connect has it. */
export interface JwtIssuer {
  /** What `iss` of every JWT-SVID says: `https://host[:port]`, where the proxies publish the keys; `null` leaves it out. */
  readonly url: string | null;
}

/** Provided on the auth service, for whoever issues JWT-SVIDs; without it, tokens have no issuer. */
export const JWT_ISSUER: ServiceToken<JwtIssuer> = { id: "jwt-issuer", version: 1 };

/** The same for proxies, under the key `issuer`. */
export const JWT_ISSUER_COLLECTION: CollectionKind<JwtIssuer> = {
  name: "jwt-issuer",
  version: 1,
  visibleTo: (caller) => caller.kind === "agent" && caller.role === "proxy",
};
