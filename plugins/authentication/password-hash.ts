import { randomBytes, timingSafeEqual } from "node:crypto";
import { hashRaw } from "@node-rs/argon2";
import { MezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";

/** Longer ones are refused before they cost anything. */
export const MAX_PASSWORD_CHARACTERS = 512;

/**
 * Hashes a password with argon2id and a fresh salt.
 * @returns PHC string format, `$argon2id$v=19$m=…,t=…,p=…$salt$hash`.
 * @see RFC 9106; OWASP Password Storage Cheat Sheet for the cost
 */
export async function hashPassword(password: Secret): Promise<Secret> {
  const salt = randomBytes(16);
  const hash = await derive(password, salt, COST, HASH_BYTES);
  return new Secret(`$argon2id$v=19$m=${COST.memory},t=${COST.passes},p=${COST.parallelism}$${unpadded(salt)}$${unpadded(hash)}`);
}

/**
 * Tells whether `password` is the one behind `stored`. Takes as long for `null` (no such user) as for a wrong password.
 * @throws {MezError} `STORAGE_CORRUPT` when `stored` is no argon2id string; `UNAVAILABLE` when too many wait.
 */
export async function verifyPassword(stored: Secret | null, password: Secret): Promise<boolean> {
  const { cost, salt, hash } = parse(stored?.expose() ?? NOBODY);
  const found = await derive(password, salt, cost, hash.length);
  return timingSafeEqual(found, hash) && stored !== null;
}

/** Tells whether `stored` was made with other costs than those of today. */
export function needsRehash(stored: Secret): boolean {
  const { cost } = parse(stored.expose());
  return cost.memory !== COST.memory || cost.passes !== COST.passes || cost.parallelism !== COST.parallelism;
}

// --- internal ---

interface Cost {
  /** KiB. */
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
}

const COST: Cost = { memory: 19_456, passes: 2, parallelism: 1 }; // OWASP: 19 MiB, 2 passes, 1 lane
const HASH_BYTES = 32;
const NOBODY = `$argon2id$v=19$m=${COST.memory},t=${COST.passes},p=${COST.parallelism}$${"A".repeat(22)}$${"A".repeat(43)}`;
const PHC = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{22,86})$/;

// Each hash takes 19 MiB and a thread of the pool that files and the database use as well.
const MAX_AT_ONCE = 2;
const MAX_WAITING = 100;
let running = 0;
const waiting: (() => void)[] = [];

async function derive(password: Secret, salt: Buffer, cost: Cost, outputLen: number): Promise<Buffer> {
  await turn();
  try {
    // RFC 8265: the same password typed on another keyboard may arrive in another normal form.
    const message = Buffer.from(password.expose().normalize("NFKC"), "utf8");
    // Half the time of Node's own, which takes no vector instructions. Its default is argon2id, version 1.3.
    return await hashRaw(message, {
      salt,
      outputLen,
      memoryCost: cost.memory,
      timeCost: cost.passes,
      parallelism: cost.parallelism,
    });
  } finally {
    running--;
    waiting.shift()?.();
  }
}

async function turn(): Promise<void> {
  if (running >= MAX_AT_ONCE) {
    if (waiting.length >= MAX_WAITING) throw new MezError("UNAVAILABLE", "too many logins at once; try again in a moment");
    await new Promise<void>((resolve) => waiting.push(resolve));
  }
  running++;
}

function parse(text: string): { readonly cost: Cost; readonly salt: Buffer; readonly hash: Buffer } {
  const match = PHC.exec(text);
  if (!match) throw new MezError("STORAGE_CORRUPT", "a stored password hash is damaged");
  const [, memory, passes, parallelism, salt = "", hash = ""] = match;
  return {
    cost: { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) },
    salt: Buffer.from(salt, "base64"),
    hash: Buffer.from(hash, "base64"),
  };
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
