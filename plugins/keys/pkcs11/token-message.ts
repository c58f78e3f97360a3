import type { KeyAlgorithm } from "../../../core/ports/key-backend.js";

/** What the pool asks of a thread that holds a session. Keys are named by their CKA_ID, hexadecimal. */
export type TokenRequest =
  | { readonly kind: "open"; readonly module: string; readonly label: string; readonly pin: string }
  | { readonly kind: "generate"; readonly algorithm: KeyAlgorithm; readonly id: string }
  | { readonly kind: "sign"; readonly id: string; readonly data: Uint8Array }
  | { readonly kind: "destroy"; readonly id: string }
  | { readonly kind: "close" }
  /** Ends the module for the whole process. */
  | { readonly kind: "finalize"; readonly module: string };

/** What a thread is sent. */
export interface TokenMessage {
  readonly request: TokenRequest;
  /** Keys that other sessions have destroyed meanwhile: their object handles may mean other keys by now. */
  readonly forget: readonly string[];
}

/** A public key (SubjectPublicKeyInfo, DER) of `generate`, a signature of `sign`, `null` of all others; or what went wrong. */
export type TokenAnswer =
  | { readonly value: Uint8Array | null; readonly failure?: undefined }
  | { readonly failure: TokenFailure };

export interface TokenFailure {
  readonly kind: FailureKind;
  /** For people; never holds the PIN. */
  readonly message: string;
}

/**
 * - `lost`: the session was gone before the request was carried out; it can be carried out in a new one.
 * - `failed`: the token answered with an error, and nobody knows what it did.
 * - `absent`: the token cannot be reached.
 * - `full`: it has no session left.
 * - `refused`: it does not let us in, and will not by itself: a wrong PIN, a wrong module.
 * - `unsupported`: it cannot do this.
 * - `unknown-key`
 */
export type FailureKind = "lost" | "failed" | "absent" | "full" | "refused" | "unsupported" | "unknown-key";
