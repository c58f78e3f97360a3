import { MezError, messageOf } from "../../core/errors/error.js";
import type { S3Settings } from "./s3-settings.js";

/** Gives what the SDK threw a code, and a line for the operator that names the bucket and what to look at. */
export function toBucketError(error: unknown, { bucket, endpoint, region }: S3Settings, key: string): MezError {
  if (error instanceof MezError) return error;
  const { name, status } = shapeOf(error);
  const place = `bucket "${bucket}"${endpoint === null ? ` in ${region}` : ` at ${endpoint}`}`;
  const refused = (why: string): MezError =>
    new MezError("BUCKET_REFUSED", `${place} cannot be used: ${why}`, { cause: error, detail: `${name}: ${messageOf(error)}` });
  if (MISSING.has(name) || (status === 404 && name !== "NoSuchBucket"))
    return new MezError("NOT_FOUND", `${place} has no ${key}`, { cause: error });
  if (name === "NoSuchBucket") return refused("it does not exist");
  if (name === "InvalidAccessKeyId" || name === "InvalidClientTokenId") return refused("its owner does not know the access key");
  if (name === "SignatureDoesNotMatch") return refused("the secret access key is wrong");
  if (name === "ExpiredToken" || name === "RequestTimeTooSkewed")
    return refused(`the credentials or the clock are off (${name})`);
  if (CREDENTIALS.has(name)) return refused("there are no credentials; see plugins.s3.config.access_key_id");
  if (name === "PermanentRedirect" || name === "AuthorizationHeaderMalformed") return refused(`it is not in region ${region}`);
  if (status === 401 || status === 403) return refused(`the credentials do not allow it (${name})`);
  if (status === 405 || status === 501)
    return new MezError("BUCKET_REFUSED", `${place} cannot be used: the store cannot do this (${name})`, {
      cause: error,
      fields: { unsupported: true },
    });
  if (status !== null && status < 500 && status !== 429 && status !== 408) return refused(`${name}: ${messageOf(error)}`);
  return new MezError("BUCKET_UNAVAILABLE", `${place} cannot be reached: ${reasonOf(error)}`, { cause: error });
}

// --- internal ---

const MISSING = new Set(["NoSuchKey", "NotFound", "NoSuchUpload"]);
const CREDENTIALS = new Set(["CredentialsProviderError", "TokenProviderError"]);

function shapeOf(error: unknown): { readonly name: string; readonly status: number | null } {
  const { name, Code, $metadata } = error as {
    readonly name?: string;
    readonly Code?: string;
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  return { name: Code ?? name ?? "unknown error", status: $metadata?.httpStatusCode ?? null };
}

/** The SDK's own words for a broken connection are empty at times. */
function reasonOf(error: unknown): string {
  const { code } = error as { readonly code?: unknown };
  const message = messageOf(error);
  return message !== "" ? message : typeof code === "string" ? code : "the connection broke";
}
