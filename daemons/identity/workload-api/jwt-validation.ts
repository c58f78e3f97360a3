import { createLocalJWKSet, type JSONWebKeySet, type JWTPayload, jwtVerify } from "jose";
import { MezError } from "../../../core/errors/error.js";
import type { Clock } from "../../../core/time/clock.js";
import type { WorkloadDirectory } from "./workload-entry.js";

/** What a JWT-SVID says, once it is believed. */
export interface ValidJwtSvid {
  readonly spiffeId: string;
  readonly claims: JWTPayload;
}

/**
 * Checks a JWT-SVID of the cluster's trust domain.
 * @param audience Must be among those of the token.
 * @throws {MezError} `INVALID_ARGUMENT`, with the reason
 * @see https://github.com/spiffe/spiffe/blob/main/standards/JWT-SVID.md
 */
export async function validateJwtSvid(
  token: string,
  audience: string,
  { bundle, trustDomainId }: Pick<WorkloadDirectory, "bundle" | "trustDomainId">,
  clock: Clock,
): Promise<ValidJwtSvid> {
  if (audience === "") throw refused("no audience is given");
  let verified: Awaited<ReturnType<typeof jwtVerify>>;
  try {
    verified = await jwtVerify(token, createLocalJWKSet(keysOf(bundle.jwksJson)), {
      algorithms: ["ES256"],
      audience,
      requiredClaims: ["sub", "aud", "exp"],
      currentDate: clock.now(),
    });
  } catch (cause) {
    throw refused(cause instanceof Error ? cause.message : "it cannot be read", cause);
  }
  const { payload, protectedHeader } = verified;
  const { typ } = protectedHeader;
  if (typ !== undefined && typ !== "JWT" && typ !== "JOSE")
    throw refused(`its typ "${String(typ).slice(0, 40)}" is not JWT or JOSE`);
  const spiffeId = payload.sub ?? "";
  if (!spiffeId.startsWith(`${trustDomainId}/`)) throw refused(`its sub is not a SPIFFE ID of ${trustDomainId}`);
  return { spiffeId, claims: payload };
}

// --- internal ---

/** `use` of the SPIFFE bundle is not one that JOSE knows. */
function keysOf(jwksJson: string): JSONWebKeySet {
  const { keys } = JSON.parse(jwksJson) as JSONWebKeySet;
  return { keys: keys.map(({ use: _use, ...key }) => key) };
}

function refused(why: string, cause?: unknown): MezError {
  return new MezError("INVALID_ARGUMENT", `the JWT-SVID is not valid: ${why}`, { cause });
}
