import { MezError } from "../../core/errors/error.js";
import type { WebHandlers, WebResponse } from "../../core/plugin/web.js";
import { jsonResponse } from "../../core/plugin/web-response.js";
import type { SpiffeBundle } from "../ca/api.js";

/** Where the keys are published. */
export const KEY_ROUTES = {
  bundle: { method: "GET", path: "/v1/webapi/spiffe/bundle", access: "public" },
  discovery: { method: "GET", path: "/.well-known/openid-configuration", access: "public" },
  keySet: { method: "GET", path: "/.well-known/jwks.json", access: "public" },
} as const;

export interface PublishedKeys {
  /** `null` while the auth service has said nothing yet. */
  readonly bundle: () => SpiffeBundle | null;
  /** What JWT-SVIDs say as `iss`, `null` for nothing. */
  readonly issuer: () => string | null;
}

/**
 * Public keys, from the copies that this proxy keeps: a rotation shows in the next answer.
 * @see SPIFFE Trust Domain and Bundle, 4; SPIFFE Federation, 5; OpenID Connect Discovery 1.0, 4
 */
export function keyHandlers({ bundle, issuer }: PublishedKeys): WebHandlers<typeof KEY_ROUTES> {
  const current = (): SpiffeBundle => {
    const found = bundle();
    if (found === null) throw new MezError("UNAVAILABLE", "the keys have not come from the auth service yet");
    return found;
  };
  return {
    bundle: async () => document(current().bundleJson),
    keySet: async () => document(current().jwksJson),
    discovery: async () => {
      const url = issuer();
      if (url === null)
        throw new MezError("NOT_FOUND", "tokens of this cluster name no issuer; set jwt_issuer of the plugin spiffe-bundle");
      return jsonResponse(discoveryDocument(url), { cacheSeconds: CACHE_SECONDS });
    },
  };
}

// --- internal ---

/** New keys are published for longer than this before anything is signed with them: see the phases of a rotation. */
const CACHE_SECONDS = 60;

function document(json: string): WebResponse {
  return { status: 200, contentType: "application/json; charset=utf-8", body: json, cacheSeconds: CACHE_SECONDS };
}

/** What is said of an issuer that has no login page: its tokens come from the Workload API. */
function discoveryDocument(issuer: string): object {
  return {
    issuer,
    jwks_uri: `${issuer}${KEY_ROUTES.keySet.path}`,
    authorization_endpoint: "",
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: ["ES256"],
    claims_supported: ["iss", "sub", "aud", "exp", "iat"],
  };
}
