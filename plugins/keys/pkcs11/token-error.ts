import { messageOf } from "../../../core/errors/error.js";
import type { FailureKind, TokenFailure } from "./token-message.js";

/** A failure inside a thread that holds a session. */
export class TokenError extends Error {
  constructor(
    readonly kind: FailureKind,
    message: string,
  ) {
    super(message);
  }
}

/** What a CK_RV other than CKR_OK means for the pool. Anything that pkcs11js threw. */
export function failureOf(error: unknown): TokenFailure {
  if (error instanceof TokenError) return { kind: error.kind, message: error.message };
  const code = returnValueOf(error);
  const message = messageOf(error);
  if (code === null) return { kind: "failed", message };
  const kind = [...KINDS].find(([, codes]) => codes.includes(code))?.[0] ?? "failed";
  return { kind, message };
}

/** The CK_RV of an error that pkcs11js threw, `null` of any other. */
export function returnValueOf(error: unknown): number | null {
  const code = error instanceof Error && "code" in error ? error.code : null;
  return typeof code === "number" ? code : null;
}

/** Return values that the flow of a session depends on. @see PKCS #11 3.0, pkcs11t.h */
export const CKR = {
  CANT_LOCK: 0x0a,
  PIN_INCORRECT: 0xa0,
  PIN_LOCKED: 0xa4,
  SESSION_COUNT: 0xb1,
  USER_ALREADY_LOGGED_IN: 0x100,
  CRYPTOKI_NOT_INITIALIZED: 0x190,
  CRYPTOKI_ALREADY_INITIALIZED: 0x191,
} as const;

// --- internal ---

const KINDS: ReadonlyMap<FailureKind, readonly number[]> = new Map([
  // CKR_DEVICE_REMOVED, SESSION_CLOSED, SESSION_HANDLE_INVALID, TOKEN_NOT_PRESENT, USER_NOT_LOGGED_IN, and handles of objects
  // that a token gives anew when it comes back: KEY_HANDLE_INVALID, OBJECT_HANDLE_INVALID.
  ["lost", [0x32, 0xb0, 0xb3, 0xe0, 0x101, 0x60, 0x82, CKR.CRYPTOKI_NOT_INITIALIZED]],
  ["full", [CKR.SESSION_COUNT]],
  // CKR_PIN_INVALID, PIN_LEN_RANGE, PIN_EXPIRED, USER_PIN_NOT_INITIALIZED, USER_TYPE_INVALID
  ["refused", [CKR.CANT_LOCK, CKR.PIN_INCORRECT, 0xa1, 0xa2, 0xa3, CKR.PIN_LOCKED, 0x102, 0x103]],
  // CKR_MECHANISM_INVALID, CURVE_NOT_SUPPORTED, FUNCTION_NOT_SUPPORTED
  ["unsupported", [0x70, 0x140, 0x54]],
]);
