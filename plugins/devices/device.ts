import { createPublicKey, hash, type KeyObject } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { DeviceEntry } from "../roles/api.js";

/** Where the key of a device is, from weak to strong; `tpm` is one that its maker vouches for. */
export type Assurance = "file" | "tpm_unverified" | "tpm";

/** A machine that a person enrolled. */
export interface Device {
  /** UUID. */
  readonly id: string;
  readonly userName: string;
  /** Unique among the person's. */
  readonly name: string;
  readonly assurance: Assurance;
  /** SubjectPublicKeyInfo, DER, in base64. */
  readonly publicKey: string;
  /** SHA-256 of the TPM's endorsement key, `null` for a key in a file. */
  readonly endorsementKey: string | null;
  readonly createdAt: Date;
  /** `null` until a login used it. */
  readonly lastUsedAt: Date | null;
  /** `null` while it is good. */
  readonly revokedAt: Date | null;
  /** Name of the user; empty while it is good. */
  readonly revokedBy: string;
}

/** @throws {MezError} `INVALID_ARGUMENT` */
export function parseDeviceName(text: string): string {
  const name = text.trim();
  if (DEVICE_NAME.test(name)) return name;
  throw new MezError(
    "INVALID_ARGUMENT",
    `a device cannot be called "${printable(text)}"; use up to 64 letters, digits, spaces, dots, dashes and underscores`,
  );
}

/**
 * Reads the public key of a device: ECDSA with P-256, as TPMs have it.
 * @param der SubjectPublicKeyInfo.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseDeviceKey(der: Buffer): KeyObject {
  try {
    const key = createPublicKey({ key: der, format: "der", type: "spki" });
    // Written again, so that one key has one form.
    if (key.asymmetricKeyDetails?.namedCurve === "prime256v1" && publicKeyDer(key).equals(der)) return key;
  } catch {
    // said below
  }
  throw new MezError("INVALID_ARGUMENT", "the key of a device has to be an ECDSA key on the curve P-256");
}

/** SubjectPublicKeyInfo, DER. */
export function publicKeyDer(key: KeyObject): Buffer {
  return key.export({ format: "der", type: "spki" });
}

/** As people compare it: SHA-256 in base64 without padding. */
export function fingerprintOf({ publicKey }: Pick<Device, "publicKey">): string {
  return hash("sha256", Buffer.from(publicKey, "base64"), "base64").replace(/=+$/, "");
}

/** What is published of a device. */
export function entryOf({ userName, name, revokedAt }: Device): DeviceEntry {
  return { user: userName, name, isRevoked: revokedAt !== null };
}

/** One line for whoever is at a revoked device. */
export function revokedSentence(name: string): string {
  return `device ${name} was revoked by an administrator`;
}

/** Text of somebody else's, made harmless for a message. */
export function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, "?").slice(0, 64);
}

// --- internal ---

const DEVICE_NAME = /^[\p{L}\p{N}][\p{L}\p{N} ._-]{0,63}$/u;
