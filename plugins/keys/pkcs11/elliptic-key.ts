import { createPublicKey, type KeyObject, verify } from "node:crypto";
import type { KeyAlgorithm } from "../../../core/ports/key-backend.js";
import { TokenError } from "./token-error.js";

/** How a token makes and uses the keys of an algorithm. */
export interface EllipticAlgorithm {
  readonly keyType: number;
  readonly generateMechanism: number;
  readonly signMechanism: number;
  /** CKA_EC_PARAMS, DER, in the order in which they are tried: tokens differ in how they name a curve. */
  readonly parameters: readonly Buffer[];
  readonly pointBytes: number;
  /** What the point is put behind to be a SubjectPublicKeyInfo. */
  readonly spkiPrefix: Buffer;
}

/** @see PKCS #11 Mechanisms 3.0, 2.3; RFC 8410; RFC 5480 */
export const ELLIPTIC_ALGORITHMS: Readonly<Record<KeyAlgorithm, EllipticAlgorithm>> = {
  ed25519: {
    keyType: 0x40, // CKK_EC_EDWARDS
    generateMechanism: 0x1055, // CKM_EC_EDWARDS_KEY_PAIR_GEN
    signMechanism: 0x1057, // CKM_EDDSA
    parameters: [
      Buffer.from("06032b6570", "hex"), // 1.3.101.112
      Buffer.from("130c656477617264733235353139", "hex"), // PrintableString "edwards25519"
      Buffer.from("06092b06010401da470f01", "hex"), // 1.3.6.1.4.1.11591.15.1, before RFC 8410
    ],
    pointBytes: 32,
    spkiPrefix: Buffer.from("302a300506032b6570032100", "hex"),
  },
  "ecdsa-p256": {
    keyType: 0x03, // CKK_EC
    generateMechanism: 0x1040, // CKM_EC_KEY_PAIR_GEN
    signMechanism: 0x1041, // CKM_ECDSA
    parameters: [Buffer.from("06082a8648ce3d030107", "hex")], // 1.2.840.10045.3.1.7
    pointBytes: 65,
    spkiPrefix: Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex"),
  },
};

/** The algorithm of a CKA_KEY_TYPE, `null` for one that is none of ours. */
export function algorithmOf(keyType: number): KeyAlgorithm | null {
  for (const algorithm of ["ed25519", "ecdsa-p256"] as const)
    if (ELLIPTIC_ALGORITHMS[algorithm].keyType === keyType) return algorithm;
  return null;
}

/**
 * The public key of a CKA_EC_POINT, which tokens give bare, as an OCTET STRING or as a BIT STRING.
 * @returns SubjectPublicKeyInfo, DER
 * @throws {TokenError} `unsupported`
 */
export function publicKeyOfPoint(algorithm: KeyAlgorithm, encoded: Buffer): Buffer {
  const { pointBytes, spkiPrefix } = ELLIPTIC_ALGORITHMS[algorithm];
  const wrappings = [
    Buffer.alloc(0),
    Buffer.of(OCTET_STRING, pointBytes), // PKCS #11 2.40, 2.3.3
    Buffer.of(BIT_STRING, pointBytes + 1, 0), // PKCS #11 3.0, 2.3.5, as some read it
  ];
  for (const wrapping of wrappings) {
    if (encoded.length !== wrapping.length + pointBytes || !encoded.subarray(0, wrapping.length).equals(wrapping)) continue;
    return Buffer.concat([spkiPrefix, encoded.subarray(wrapping.length)]);
  }
  throw new TokenError("unsupported", `the token describes its ${algorithm} key in a way that is not known here`);
}

/** Tells whether a signature as the port wants it is true. */
export function isSignedBy(algorithm: KeyAlgorithm, publicKeyDer: Buffer, data: Buffer, signature: Buffer): boolean {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: publicKeyDer, format: "der", type: "spki" });
  } catch {
    return false;
  }
  return algorithm === "ed25519"
    ? verify(null, data, key, signature)
    : verify("sha256", data, { key, dsaEncoding: "ieee-p1363" }, signature);
}

// --- internal ---

const BIT_STRING = 0x03;
const OCTET_STRING = 0x04;
