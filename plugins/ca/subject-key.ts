import { createPublicKey } from "node:crypto";
import { MezError } from "../../core/errors/error.js";

/**
 * Checks a key that is to be certified: Ed25519, ECDSA P-256, P-384 or P-521, or RSA of 2048 bits or more.
 * @param der SubjectPublicKeyInfo.
 * @returns The key in its one DER form, so that nothing can hide behind or inside it.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function acceptedPublicKey(der: Buffer): Buffer {
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

function parsedKey(der: Buffer) {
  try {
    const publicKey = createPublicKey({ key: der, format: "der", type: "spki" });
    return {
      asymmetricKeyType: publicKey.asymmetricKeyType,
      asymmetricKeyDetails: publicKey.asymmetricKeyDetails,
      key: publicKey.export({ format: "der", type: "spki" }),
    };
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "the public key is not a SubjectPublicKeyInfo in DER", { cause });
  }
}
