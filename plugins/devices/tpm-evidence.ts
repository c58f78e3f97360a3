import { hash, X509Certificate } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import type { Clock } from "../../core/time/clock.js";
import { type Assurance, publicKeyDer } from "./device.js";
import { parseTpmPublic, type TpmPublic } from "./tpm-public.js";

/** What a client shows of its TPM. */
export interface TpmEvidence {
  /** TPMT_PUBLIC of the device's key. */
  readonly keyPublic: Buffer;
  /** TPMT_PUBLIC of the endorsement key. */
  readonly endorsementPublic: Buffer;
  /** X.509, DER; empty when the TPM has none. */
  readonly endorsementCertificate: Buffer;
}

/** What the evidence says, if the TPM can also decrypt what is made for `endorsement` and `name`. */
export interface TpmFinding {
  /** SubjectPublicKeyInfo of the device's key, DER. */
  readonly publicKey: Buffer;
  readonly name: Buffer;
  readonly endorsement: TpmPublic;
  readonly assurance: Exclude<Assurance, "file">;
  /** SHA-256 of the endorsement key, hexadecimal: which TPM it is. */
  readonly endorsementKey: string;
}

/** Decides which TPMs are believed. */
export class TpmTrust {
  readonly #makers: readonly X509Certificate[];

  /**
   * @param makersPem Certificates of those who issue endorsement certificates, PEM; empty for none.
   * @throws {MezError} `CONFIG_INVALID`
   */
  constructor(
    makersPem: string,
    private readonly clock: Clock,
  ) {
    this.#makers = parseCertificates(makersPem);
  }

  /**
   * Checks that the key was made in a TPM for signing and cannot leave it, and whether its maker vouches for that TPM.
   * @throws {MezError} `INVALID_ARGUMENT`, `ENROLMENT_REFUSED`
   */
  check({ keyPublic, endorsementPublic, endorsementCertificate }: TpmEvidence): TpmFinding {
    const key = parseTpmPublic(keyPublic);
    const { isFixed, signs, decrypts } = key.attributes;
    if (key.kind !== "ecc-p256" || !isFixed || !signs || decrypts)
      throw new MezError("ENROLMENT_REFUSED", "the key was not made in the TPM, or could leave it");
    const endorsement = parseTpmPublic(endorsementPublic);
    const its = endorsement.attributes;
    const isStorage = its.isFixed && its.isRestricted && its.decrypts && !its.signs;
    if (!isStorage || !WRAPPING_BITS.has(endorsement.wrappingBits ?? 0))
      throw new MezError("ENROLMENT_REFUSED", "the TPM has to show its endorsement key, which wraps with AES");
    const der = publicKeyDer(endorsement.key);
    const isKnown = this.#isVouchedFor(endorsementCertificate, der);
    return {
      ...{ publicKey: publicKeyDer(key.key), name: key.name, endorsement },
      assurance: isKnown ? "tpm" : "tpm_unverified",
      endorsementKey: hash("sha256", der, "hex"),
    };
  }

  #isVouchedFor(certificateDer: Buffer, endorsementKey: Buffer): boolean {
    if (certificateDer.length === 0 || this.#makers.length === 0) return false;
    const certificate = readCertificate(certificateDer);
    if (!publicKeyDer(certificate.publicKey).equals(endorsementKey))
      throw new MezError("ENROLMENT_REFUSED", "the TPM's endorsement certificate is for another endorsement key");
    const now = this.clock.now();
    if (certificate.validFromDate > now || certificate.validToDate < now) return false;
    return this.#makers.some((maker) => certificate.checkIssued(maker) && certificate.verify(maker.publicKey));
  }
}

// --- internal ---

const WRAPPING_BITS: ReadonlySet<number> = new Set([128, 256]);

function parseCertificates(pem: string): readonly X509Certificate[] {
  const blocks = pem.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0 && pem.trim() !== "")
    throw new MezError("CONFIG_INVALID", "plugins.devices.config.tpm_ca_file holds no certificate in PEM");
  return blocks.map((block) => {
    try {
      return new X509Certificate(block);
    } catch (cause) {
      throw new MezError("CONFIG_INVALID", "plugins.devices.config.tpm_ca_file holds a damaged certificate", { cause });
    }
  });
}

function readCertificate(der: Buffer): X509Certificate {
  try {
    // In a TPM's memory, bytes may follow the certificate.
    return new X509Certificate(der.subarray(0, 4 + der.readUInt16BE(2)));
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "the TPM's endorsement certificate cannot be read", { cause });
  }
}
