import { createPublicKey, type KeyObject } from "node:crypto";
import { MezError } from "../../core/errors/error.js";

/**
 * Checks a key that is to be certified: Ed25519, ECDSA P-256, P-384 or P-521, or RSA of 2048 bits or more.
 * @param der SubjectPublicKeyInfo.
 * @returns The key in its one DER form, so that nothing can hide behind or inside it.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function acceptedPublicKey(der: Buffer): Buffer {
  if (isPlainP256(der)) return der;
  const { asymmetricKeyType, asymmetricKeyDetails, key } = parsedKey(der);
  const isAccepted =
    asymmetricKeyType === "ed25519" ||
    (asymmetricKeyType === "ec" && EC_CURVES.includes(asymmetricKeyDetails?.namedCurve)) ||
    (asymmetricKeyType === "rsa" && (asymmetricKeyDetails?.modulusLength ?? 0) >= MIN_RSA_BITS);
  if (!isAccepted)
    throw new MezError(
      "INVALID_ARGUMENT",
      `a ${asymmetricKeyType} key of this kind cannot be certified; use Ed25519, ECDSA P-256, P-384 or P-521, or RSA of ${MIN_RSA_BITS} bits or more`,
    );
  return key;
}

// --- internal ---

const MIN_RSA_BITS = 2048;
const EC_CURVES: readonly (string | undefined)[] = ["prime256v1", "secp384r1", "secp521r1"];

/** SubjectPublicKeyInfo of a P-256 key up to its point, which is not compressed. @see RFC 5480, 2 */
const P256_HEADER = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d03010703420004", "hex");
const P256_LENGTH = P256_HEADER.length + 64;

/** Tells a P-256 key in its one DER form, as nearly all are, without writing it out again. */
function isPlainP256(der: Buffer): boolean {
  if (der.length !== P256_LENGTH || !der.subarray(0, P256_HEADER.length).equals(P256_HEADER)) return false;
  readKey(der); // the point is on the curve
  return true;
}

function parsedKey(der: Buffer) {
  const publicKey = readKey(der);
  return {
    asymmetricKeyType: publicKey.asymmetricKeyType,
    asymmetricKeyDetails: publicKey.asymmetricKeyDetails,
    key: publicKey.export({ format: "der", type: "spki" }),
  };
}

function readKey(der: Buffer): KeyObject {
  try {
    return createPublicKey({ key: der, format: "der", type: "spki" });
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "the public key is not a SubjectPublicKeyInfo in DER", { cause });
  }
}
