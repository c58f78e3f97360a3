import { createHash, X509Certificate } from "node:crypto";
import { MezError } from "../errors/error.js";

/**
 * Names a CA certificate by its key: `sha256:` and the lower-case hexadecimal SHA-256 of the SubjectPublicKeyInfo.
 * @param certificate PEM, or DER.
 * @see RFC 7469, 2.4
 */
export function pinOf(certificate: string | Buffer): string {
  const publicKey = new X509Certificate(certificate).publicKey.export({ format: "der", type: "spki" });
  return `sha256:${createHash("sha256").update(publicKey).digest("hex")}`;
}

/**
 * Reads a pin as people write it: capitals and colons between the bytes are let through.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parsePin(text: string): string {
  const [, hex = ""] = /^sha256:([0-9a-f:]+)$/i.exec(text.trim()) ?? [];
  const digits = hex.replaceAll(":", "").toLowerCase();
  if (digits.length !== 64) {
    throw new MezError(
      "INVALID_ARGUMENT",
      `CA pin "${text.slice(0, 80)}" is not valid; it is sha256: and 64 hexadecimal digits, as "mezctl ca status" shows it`,
    );
  }
  return `sha256:${digits}`;
}

/**
 * Reads pins with commas between them. During a rotation of the Host CA there are two.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parsePins(text: string): readonly string[] {
  return [...new Set(text.split(",").map(parsePin))];
}

/**
 * Splits a PEM file into its certificates.
 * @param source Names the file in messages.
 * @throws {MezError} `INVALID_ARGUMENT` when there is none, or one cannot be read.
 */
export function parseAuthorities(text: string, source: string): readonly string[] {
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  if (blocks.length === 0) throw new MezError("INVALID_ARGUMENT", `${source} holds no certificate in PEM form`);
  for (const [index, block] of blocks.entries()) {
    try {
      new X509Certificate(block);
    } catch (cause) {
      throw new MezError("INVALID_ARGUMENT", `certificate ${index + 1} of ${source} cannot be read`, { cause });
    }
  }
  return blocks.map((block) => `${block}\n`);
}
