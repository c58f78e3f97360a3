import type { ServiceToken } from "../../../core/plugin/contract.js";

/** Encrypts what other plugins keep in the database, under the key that protects the CA keys. */
export interface Sealing {
  /**
   * @param context What the plaintext belongs to, e.g. `mfa factor 7f3a`; the same must be given to open it.
   * @returns Base64.
   * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`
   */
  seal(plaintext: Buffer, context: string): Promise<string>;
  /** @throws {MezError} `STORAGE_CORRUPT` when the context or a byte of it is another; `KEY_BACKEND_UNAVAILABLE` */
  open(sealed: string, context: string): Promise<Buffer>;
}

export const SEALING: ServiceToken<Sealing> = { id: "sealing", version: 1 };
