import { MezError } from "../../core/errors/error.js";
import { formatDuration } from "../../core/time/duration.js";

/** No session and no user certificate lives longer. */
export const MAX_TTL_SECONDS = 86_400;

export interface GrantedTtl {
  readonly ttlSeconds: number;
  /** Empty, or why it is shorter than what was asked for. */
  readonly notice: string;
}

/**
 * The lifetime that a person gets: what was asked for or the default, at most 24 h, at most the smallest
 * `max_session_ttl` of the person's roles (`null` for none).
 * @param requestedSeconds 0 asks for the default.
 * @throws {MezError} `INVALID_ARGUMENT` for less than nothing
 */
export function grantTtl(requestedSeconds: number, defaultSeconds: number, roleCapSeconds: number | null): GrantedTtl {
  if (!Number.isSafeInteger(requestedSeconds) || requestedSeconds < 0) {
    throw new MezError("INVALID_ARGUMENT", `a lifetime of ${requestedSeconds} s is not valid; ask for at least 1 s`);
  }
  const cap = Math.min(MAX_TTL_SECONDS, roleCapSeconds ?? MAX_TTL_SECONDS);
  const wanted = requestedSeconds === 0 ? defaultSeconds : requestedSeconds;
  if (wanted <= cap) return { ttlSeconds: wanted, notice: "" };
  if (requestedSeconds === 0) return { ttlSeconds: cap, notice: "" };
  const why =
    roleCapSeconds !== null && roleCapSeconds <= MAX_TTL_SECONDS
      ? "max_session_ttl of your roles"
      : "the longest that is allowed";
  return { ttlSeconds: cap, notice: `shortened from ${formatDuration(requestedSeconds)} to ${formatDuration(cap)}: ${why}` };
}
