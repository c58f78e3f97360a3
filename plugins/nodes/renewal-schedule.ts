import { X509Certificate } from "node:crypto";
import type { HostCredentials } from "../../core/plugin/host-identity.js";

/** After a renewal that failed. */
export const RENEWAL_RETRY_MS = 30_000;

const RENEW_AFTER = 2 / 3;
const JITTER = 0.1;
const MAX_TIMER_MS = 2_147_483_647; // setTimeout, 2^31 - 1

/**
 * Milliseconds until credentials are to be renewed: two thirds of their life, less up to a tenth of it, so that agents
 * that started together do not ask together.
 * @param random 0 to 1.
 */
export function renewalDelayMs(
  credentials: Pick<HostCredentials, "certificatePem" | "expiresAt">,
  now: Date,
  random = Math.random(),
): number {
  const begin = new X509Certificate(credentials.certificatePem).validFromDate.getTime();
  const life = credentials.expiresAt.getTime() - begin;
  const due = begin + life * (RENEW_AFTER - JITTER * random);
  return Math.min(Math.max(0, due - now.getTime()), MAX_TIMER_MS);
}
