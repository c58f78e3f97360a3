import { MezError } from "../../core/errors/error.js";
import { formatDuration } from "../../core/time/duration.js";
import type { JoinRole, NewJoinToken } from "./api.js";

const JOIN_ROLES: readonly JoinRole[] = ["node", "proxy", "identity"];
const SHOWN_ROLES = "node, proxy";
const MIN_TTL_SECONDS = 60;
const MAX_TTL_SECONDS = 86_400;
const DEFAULT_TTL_SECONDS = 3_600;

/** A request for a token that has been checked. */
export interface JoinTokenPlan {
  readonly roles: readonly JoinRole[];
  readonly name: string | null;
  readonly ttlSeconds: number;
}

/** @throws {MezError} `INVALID_ARGUMENT` saying which part is wrong and what would be right */
export function planJoinToken(request: NewJoinToken): JoinTokenPlan {
  const ttlSeconds = request.ttlSeconds ?? DEFAULT_TTL_SECONDS;
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < MIN_TTL_SECONDS || ttlSeconds > MAX_TTL_SECONDS) {
    throw new MezError(
      "INVALID_ARGUMENT",
      `a join token cannot live for ${formatDuration(ttlSeconds)}; use ${formatDuration(MIN_TTL_SECONDS)} to 24h`,
    );
  }
  return { roles: parseRoles(request.roles), name: parseName(request.name ?? null), ttlSeconds };
}

/** Tells whether a token can no longer be used by anyone, nor its join be repeated. */
export function isExpired(token: { readonly expiresAt: Date }, now: Date): boolean {
  return token.expiresAt.getTime() <= now.getTime();
}

// --- internal ---

function parseRoles(words: readonly string[]): readonly JoinRole[] {
  if (words.length === 0) throw new MezError("INVALID_ARGUMENT", `a join token needs a role; use one of ${SHOWN_ROLES}`);
  const roles = new Set<JoinRole>();
  for (const word of words) {
    const role = JOIN_ROLES.find((known) => known === word);
    if (role === undefined)
      throw new MezError("INVALID_ARGUMENT", `role "${word.slice(0, 40)}" cannot join with a token; use one of ${SHOWN_ROLES}`);
    roles.add(role);
  }
  return [...roles].sort();
}

function parseName(name: string | null): string | null {
  if (name === null || name === "") return null;
  const looksLikeId = /^[0-9a-f]{32}$/.test(name);
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(name) || looksLikeId) {
    throw new MezError(
      "INVALID_ARGUMENT",
      `token name "${name.slice(0, 80)}" is not valid; use up to 64 letters, digits, dots, dashes and underscores`,
    );
  }
  return name;
}
