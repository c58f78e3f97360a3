import { createHash, type KeyObject, verify, X509Certificate } from "node:crypto";

/** What a device is asked for: to be enrolled, to be there at a login, to speak for the keys of a certificate. */
export type DevicePurpose = "enrolment" | "login" | "certificate";

export interface DeviceStatement {
  readonly purpose: DevicePurpose;
  readonly clusterName: string;
  readonly userName: string;
  /** Of a login or enrolment: random, good once. Of a certificate: `keysChallenge`. */
  readonly challenge: Buffer;
  /** `authorityHash` of the Host CA behind the server that the device's program is connected to. */
  readonly authority: Buffer;
}

/** What a server knows of a statement: its own authorities, one of which the device has to have seen. */
export type ExpectedStatement = Omit<DeviceStatement, "authority"> & { readonly authorities: readonly Buffer[] };

/** SHA-256 of the SubjectPublicKeyInfo of a CA. @param certificatePem A certificate of it. */
export function authorityHash(certificatePem: string): Buffer {
  const spki = new X509Certificate(certificatePem).publicKey.export({ format: "der", type: "spki" });
  return createHash("sha256").update(spki).digest();
}

/**
 * The bytes that a device signs: each part with its length in front, so that no two statements look alike. The authority makes them
 * worthless to a server that passes on what another cluster's asks.
 */
export function statementOf({ purpose, clusterName, userName, authority, challenge }: DeviceStatement): Buffer {
  return framed(["mezite-device-v2", purpose, clusterName, userName, authority, challenge]);
}

/** What a certificate's signature is about: the login session and the keys, so that it is worth nothing to who has other keys. */
export function keysChallenge(sessionId: string, publicKeys: readonly Buffer[]): Buffer {
  return createHash("sha256")
    .update(framed([sessionId, ...publicKeys]))
    .digest();
}

/** @param signature ECDSA with SHA-256, DER. */
export function isSignedBy(key: KeyObject, { authorities, ...said }: ExpectedStatement, signature: Buffer): boolean {
  return authorities.some((authority) =>
    verify("sha256", statementOf({ ...said, authority }), { key, dsaEncoding: "der" }, signature),
  );
}

/** The word of a purpose that came from outside, `null` for an unknown one. */
export function parsePurpose(word: string): DevicePurpose | null {
  return word === "enrolment" || word === "login" || word === "certificate" ? word : null;
}

// --- internal ---

function framed(parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part);
      const length = Buffer.alloc(4);
      length.writeUInt32BE(bytes.length);
      return [length, bytes];
    }),
  );
}
