import { MezError } from "../../../core/errors/error.js";
import type { Federation } from "./federation.js";

/** What the server says of a federation; account, role and SPIFFE ID are those that the administrator typed. */
export type FederationTarget = Pick<Federation, "partition" | "issuer" | "audience" | "thumbprints">;

/**
 * Reads the target of a plan: it decides what is done with an administrator's credentials, so nothing but the expected passes.
 * @throws {MezError} `INVALID_DOCUMENT`
 */
export function parseTarget(json: string): FederationTarget {
  const { partition, issuer, audience, thumbprints } = recordOf(json);
  const isTarget =
    (partition === "aws" || partition === "aws-cn" || partition === "aws-us-gov") &&
    isText(issuer, /^https:\/\/[a-z0-9.-]{1,253}$/) &&
    isText(audience, /^[A-Za-z0-9.:/_-]{1,255}$/) &&
    Array.isArray(thumbprints) &&
    thumbprints.length <= MAX_THUMBPRINTS &&
    thumbprints.every((each) => isText(each, /^[0-9a-f]{40}$/));
  if (isTarget) return { partition, issuer, audience, thumbprints };
  throw new MezError(
    "INVALID_DOCUMENT",
    "the server's plan is not one that this mezctl understands; use the mezctl of its release",
  );
}

// --- internal ---

const MAX_THUMBPRINTS = 5; // AWS IAM API Reference, CreateOpenIDConnectProvider, "ThumbprintList"

function recordOf(json: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(json);
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function isText(value: unknown, form: RegExp): value is string {
  return typeof value === "string" && form.test(value);
}
