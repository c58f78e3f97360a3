import { formatDuration } from "../../core/time/duration.js";
import type { Role } from "../roles/api.js";

export interface RequestLifetimes {
  readonly defaultTtlSeconds: number;
  readonly maxTtlSeconds: number;
  readonly pendingTtlSeconds: number;
}

/**
 * How long a grant lasts: as asked, but not longer than the cluster and the roles allow.
 * @param askedSeconds 0 asks for the default.
 * @param roles Those that are asked for.
 * @returns `notice` is empty, or says why it will be shorter than asked.
 */
export function lifetimeOf(
  askedSeconds: number,
  roles: readonly Role[],
  { defaultTtlSeconds, maxTtlSeconds }: RequestLifetimes,
): { readonly ttlSeconds: number; readonly notice: string } {
  const caps = roles.map(({ options }) => options.maxSessionTtlSeconds ?? maxTtlSeconds);
  const longest = Math.min(maxTtlSeconds, ...caps);
  const wanted = askedSeconds === 0 ? defaultTtlSeconds : askedSeconds;
  if (wanted <= longest) return { ttlSeconds: wanted, notice: "" };
  const why = longest < maxTtlSeconds ? "max_session_ttl of the roles that were asked for" : "the longest that is granted";
  const notice = askedSeconds === 0 ? "" : `shortened from ${formatDuration(wanted)} to ${formatDuration(longest)}: ${why}`;
  return { ttlSeconds: longest, notice };
}
