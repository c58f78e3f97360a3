import { hash, randomInt } from "node:crypto";
import { Secret } from "../../core/plugin/secret.js";

export const RECOVERY_CODES = 10;

/** 80 random bits, in groups that are easy to type: `k3mp-7xqd-…`. */
export function generateRecoveryCode(): Secret {
  const group = (): string => Array.from({ length: 4 }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");
  return new Secret([group(), group(), group(), group()].join("-"));
}

/** What is stored of a code. With 80 random bits it needs no salt and no slow hash. */
export function hashRecoveryCode(userName: string, code: string): string {
  return hash("sha256", `${userName}\n${code.toLowerCase().replace(/[\s-]/g, "")}`, "base64url");
}

/** Tells whether a text has the form of a recovery code. */
export function isRecoveryCode(text: string): boolean {
  return FORM.test(text.toLowerCase().replace(/[\s-]/g, ""));
}

// --- internal ---

/** 32 signs without look-alikes and without "l", "o", "0" and "1". */
const ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789";
const FORM = /^[a-z2-9]{16}$/;
