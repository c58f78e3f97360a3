import { randomBytes } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { AuthorityType } from "./api.js";

/** The longest that a certificate of each authority may live. */
export const MAX_TTL_SECONDS: Readonly<Record<AuthorityType, number>> = {
  user: 24 * 3600,
  host: 7 * 24 * 3600,
  spiffe: 24 * 3600,
};

/** The dates of a new certificate, whole seconds. */
export interface Validity {
  readonly validFrom: Date;
  readonly expiresAt: Date;
}

/**
 * Counts the dates of a certificate.
 * @throws {MezError} `INVALID_ARGUMENT` when `ttlSeconds` is not a whole number from 1 to the authority's limit
 */
export function validityOf(type: AuthorityType, ttlSeconds: number, now: Date): Validity {
  const limit = MAX_TTL_SECONDS[type];
  if (!Number.isInteger(ttlSeconds) || ttlSeconds < 1 || ttlSeconds > limit) {
    throw new MezError("INVALID_ARGUMENT", `a ${type} certificate may live for 1 to ${limit} seconds, not ${ttlSeconds}`);
  }
  return { validFrom: backdated(now), expiresAt: wholeSeconds(now.getTime() + ttlSeconds * 1000) };
}

/** A minute before `now`, so that a peer whose clock is behind accepts the certificate at once. */
export function backdated(now: Date): Date {
  return wholeSeconds(now.getTime() - 60_000);
}

/** Positive and below 2^63. */
export function randomSshSerial(): bigint {
  return randomBytes(8).readBigUInt64BE() & (2n ** 63n - 1n) || 1n;
}

/** 16 bytes, positive, with no leading zeros. @see RFC 5280, 4.1.2.2 */
export function randomX509Serial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = ((serial[0] ?? 0) & 0x7f) | 0x40;
  return serial;
}

// --- internal ---

function wholeSeconds(milliseconds: number): Date {
  return new Date(Math.floor(milliseconds / 1000) * 1000);
}
