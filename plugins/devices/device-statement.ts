import { createHash, type KeyObject, verify } from "node:crypto";

/** What a device is asked for: to be enrolled, to be there at a login, to speak for the keys of a certificate. */
export type DevicePurpose = "enrolment" | "login" | "certificate";

export interface DeviceStatement {
  readonly purpose: DevicePurpose;
  readonly clusterName: string;
  readonly userName: string;
  /** Of a login or enrolment: random, good once. Of a certificate: `keysChallenge`. */
  readonly challenge: Buffer;
}

/** The bytes that a device signs: each part with its length in front, so that no two statements look alike. */
export function statementOf({ purpose, clusterName, userName, challenge }: DeviceStatement): Buffer {
  return framed(["mezite-device-v1", purpose, clusterName, userName, challenge]);
}

/** What a certificate's signature is about: the login session and the keys, so that it is worth nothing to who has other keys. */
export function keysChallenge(sessionId: string, publicKeys: readonly Buffer[]): Buffer {
  return createHash("sha256")
    .update(framed([sessionId, ...publicKeys]))
    .digest();
}

/** @param signature ECDSA with SHA-256, DER. */
export function isSignedBy(key: KeyObject, statement: DeviceStatement, signature: Buffer): boolean {
  return verify("sha256", statementOf(statement), { key, dsaEncoding: "der" }, signature);
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
