import { hash, randomBytes } from "node:crypto";
import { Secret } from "../../core/plugin/secret.js";

/** A new session token: 256 random bits in base64url. */
export function generateLoginToken(): Secret {
  return new Secret(randomBytes(32).toString("base64url"));
}

/** What is stored of a token. Random tokens need no salt and no slow hash. */
export function hashLoginToken(token: string): string {
  return hash("sha256", token, "base64url");
}

/** Tells whether a text has the form of a session token. */
export function isLoginToken(text: string): boolean {
  return LOGIN_TOKEN.test(text);
}

// --- internal ---

const LOGIN_TOKEN = /^[A-Za-z0-9_-]{43}$/;
