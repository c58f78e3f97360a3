import { MezError } from "../../core/errors/error.js";
import { formatDuration } from "../../core/time/duration.js";

/** What a machine gets that asks for nothing. */
export const DEFAULT_TTL_SECONDS = 3_600;
/** No certificate lives longer. */
export const MAX_TTL_SECONDS = 86_400;

export interface GrantedTtl {
  readonly ttlSeconds: number;
  /** Empty, or why it is shorter than what was asked for. */
  readonly notice: string;
}

/**
 * The life of an instance's certificates: what was asked for, at most 24 h and the smallest `max_session_ttl` of the roles.
 * @param requestedSeconds 0 asks for the default.
 * @param roleCapSeconds `null` for none.
 * @throws {MezError} `INVALID_ARGUMENT` for less than nothing
 */
export function grantInstanceTtl(requestedSeconds: number, roleCapSeconds: number | null): GrantedTtl {
  if (!Number.isSafeInteger(requestedSeconds) || requestedSeconds < 0)
    throw new MezError("INVALID_ARGUMENT", `a lifetime of ${requestedSeconds} s is not valid; ask for at least 1 s`);
  const cap = Math.min(MAX_TTL_SECONDS, roleCapSeconds ?? MAX_TTL_SECONDS);
  const wanted = requestedSeconds === 0 ? DEFAULT_TTL_SECONDS : requestedSeconds;
  if (wanted <= cap) return { ttlSeconds: wanted, notice: "" };
  const why = cap === roleCapSeconds ? "max_session_ttl of the identity's roles" : "the longest that is allowed";
  return { ttlSeconds: cap, notice: `shortened from ${formatDuration(wanted)} to ${formatDuration(cap)}: ${why}` };
}
