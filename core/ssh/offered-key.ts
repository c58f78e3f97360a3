import { MezError } from "../errors/error.js";
import { CERTIFICATE_ALGORITHMS } from "./algorithms.js";
import { CERTIFICATE_SUFFIX, isCertificateType, parseCertificate, type SshCertificate } from "./certificate.js";
import { parsePublicKey } from "./public-key.js";
import { type SignatureAlgorithm, signatureAlgorithmsOf } from "./signature.js";

/** A key, or a certified one, with which a client wants to log in. */
export interface OfferedKey {
  /** Parsed, not checked; `null` for a plain key. */
  readonly certificate: SshCertificate | null;
  /** The plain key, or the key that is certified. */
  readonly publicKeyBlob: Buffer;
  readonly signatureAlgorithm: SignatureAlgorithm;
}

/**
 * Reads what a client offers.
 * @param known A certificate that was read before; the same one is not parsed again.
 * @throws {MezError} `SSH_MALFORMED`, `SSH_KEY_UNSUPPORTED`
 * @see RFC 4252, 7
 */
export function readOfferedKey(algorithm: string, blob: Buffer, known: SshCertificate | null): OfferedKey {
  if (isCertificateType(algorithm)) {
    const allowed = CERTIFICATE_ALGORITHMS.get(algorithm);
    const certificate = known?.blob.equals(blob) ? known : parseCertificate(blob);
    if (allowed === undefined || allowed.certificateType !== certificate.keyType + CERTIFICATE_SUFFIX)
      throw wrongAlgorithm(algorithm);
    return { certificate, publicKeyBlob: certificate.subjectBlob, signatureAlgorithm: allowed.signature };
  }
  const key = parsePublicKey(blob);
  const signatureAlgorithm = signatureAlgorithmsOf(key.type).find((allowed) => allowed === algorithm);
  if (signatureAlgorithm === undefined) throw wrongAlgorithm(algorithm);
  return { certificate: null, publicKeyBlob: key.blob, signatureAlgorithm };
}

// --- internal ---

function wrongAlgorithm(algorithm: string): MezError {
  return new MezError("SSH_KEY_UNSUPPORTED", `algorithm "${algorithm.slice(0, 60)}" does not fit the key or is not supported`);
}
