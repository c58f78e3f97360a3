import { MezError, messageOf } from "../../../core/errors/error.js";

/** Gives what the SDK threw a code, and a line for the operator. */
export function toKeyError(error: unknown, region: string): MezError {
  if (error instanceof MezError) return error;
  const { name, status } = shapeOf(error);
  const detail = `${name}: ${messageOf(error)}`;
  const refused = (why: string): MezError =>
    new MezError("KEY_BACKEND_REFUSED", `AWS KMS in ${region} refuses: ${why}`, { cause: error, detail });
  if (isGone(error)) return new MezError("NOT_FOUND", `AWS KMS in ${region} has no such key`, { cause: error, detail });
  if (name === "DisabledException") return refused("the key is disabled; enable it in AWS KMS");
  if (name === "LimitExceededException") return refused("a quota of the account is used up (LimitExceededException)");
  if (name === "UnsupportedOperationException" || name === "ValidationException")
    return refused(`it does not do this there (${name}: ${messageOf(error)})`);
  if (CREDENTIALS.has(name)) return refused("there are no credentials; see plugins.keys.aws-kms.config.access_key_id");
  if (!isThrottled(error) && status !== null && status < 500 && !RETRIED.has(name))
    return refused(`the credentials do not allow it, or the request is wrong (${name})`);
  return new MezError("KEY_BACKEND_UNAVAILABLE", `AWS KMS in ${region} is out of reach (${name}); try again`, {
    cause: error,
    detail,
  });
}

/** A key that does not exist, that is not there yet, or that waits to be deleted. */
export function isGone(error: unknown): boolean {
  const { name } = shapeOf(error);
  return name === "NotFoundException" || (name === "KMSInvalidStateException" && /pending deletion/i.test(messageOf(error)));
}

/** The request was not looked at, because there were too many. */
export function isThrottled(error: unknown): boolean {
  return shapeOf(error).name === "ThrottlingException";
}

// --- internal ---

const CREDENTIALS = new Set(["CredentialsProviderError", "TokenProviderError"]);
/** Answered with 400, and may pass. */
const RETRIED = new Set(["KMSInvalidStateException", "RequestExpired"]);

function shapeOf(error: unknown): { readonly name: string; readonly status: number | null } {
  const { name, $metadata } = error as {
    readonly name?: string;
    readonly $metadata?: { readonly httpStatusCode?: number };
  };
  return { name: name ?? "unknown error", status: $metadata?.httpStatusCode ?? null };
}
