import type { Port } from "../plugin/contract.js";

export type KeyAlgorithm = "ed25519" | "ecdsa-p256";

/** A private key that stays inside its backend. */
export interface BackendKey {
  /** Names the key inside the backend; stored by the `ca` plugin, meaningless to others. */
  readonly handle: string;
  readonly algorithm: KeyAlgorithm;
  /** SubjectPublicKeyInfo, DER. */
  readonly publicKeyDer: Buffer;
}

/** Holds CA private keys and signs with them. */
export interface KeyBackend {
  /**
   * True when `sign` is node:crypto in this very process. Signatures that come from anywhere else are verified before a
   * certificate is believed, which costs more than making them here.
   */
  readonly signsInProcess?: boolean;
  /** @throws {MezError} `KEY_BACKEND_UNAVAILABLE`; `KEY_BACKEND_REFUSED`, also for an algorithm that it cannot do */
  generate(algorithm: KeyAlgorithm): Promise<BackendKey>;
  /**
   * Signs `data`: Ed25519 (RFC 8032, 64 bytes), or ECDSA P-256 with SHA-256 as r || s (IEEE P1363, 64 bytes).
   * @param data At least one byte. Backends may refuse more than 4096 bytes for Ed25519, which cannot be hashed before.
   * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`, safe to retry; `KEY_BACKEND_REFUSED` when somebody has to act first;
   * `NOT_FOUND` for an unknown handle; `INVALID_ARGUMENT` for a length that cannot be signed
   */
  sign(handle: string, data: Buffer): Promise<Buffer>;
  /** Makes the key unusable for ever. Unknown handles are no error. */
  destroy(handle: string): Promise<void>;
}

export const KEY_BACKEND: Port<KeyBackend> = { id: "key-backend", version: 1, cardinality: "at-least-one" };
