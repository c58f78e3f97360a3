import { isMezError, MezError, messageOf } from "../../../core/errors/error.js";

/**
 * What an error of the AWS client means for an administrator.
 * @param operation As policies name it, e.g. `iam:CreateRole`.
 */
export function toAwsError(error: unknown, operation: string): MezError {
  if (isMezError(error)) return error;
  const { name = "", $metadata } = (error ?? {}) as { name?: string; $metadata?: { httpStatusCode?: number } };
  const said = messageOf(error)
    .replace(/\p{Cc}/gu, " ")
    .slice(0, MAX_SAID);
  if (name === "AbortError") return new MezError("CANCELLED", "cancelled", { cause: error });
  if (CREDENTIALS.test(name))
    return new MezError("UNAUTHENTICATED", `there are no AWS credentials that work: ${said}`, { cause: error });
  if (/^Region is missing/.test(said))
    return new MezError("INVALID_ARGUMENT", "the AWS profile names no region; give --aws-region");
  const status = $metadata?.httpStatusCode;
  if (/^NoSuchEntity/.test(name) || status === 404) return new MezError("NOT_FOUND", `${operation}: ${said}`, { cause: error });
  if (/^AccessDenied|^UnauthorizedOperation/.test(name))
    return new MezError("ACCESS_DENIED", `AWS does not let these credentials do ${operation}: ${said}`, { cause: error });
  if (/^(?:LimitExceeded|Throttling)/.test(name))
    return new MezError("LIMIT_EXCEEDED", `${operation}: ${said}`, { cause: error });
  if (status === undefined || status >= 500)
    return new MezError("UNAVAILABLE", `AWS did not answer ${operation}: ${said}`, { cause: error });
  return new MezError("CONFLICT", `AWS refused ${operation}: ${name}: ${said}`, { cause: error });
}

// --- internal ---

const MAX_SAID = 300;
const CREDENTIALS =
  /^(?:CredentialsProviderError|TokenProviderError|InvalidClientTokenId|SignatureDoesNotMatch|ExpiredToken|InvalidAccessKeyId|UnrecognizedClient)/;
