import { createPrivateKey, createPublicKey, generateKeyPairSync, sign } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import { publicKeyDer } from "./device.js";
import type { StoredDeviceKey } from "./device-file.js";
import { type ProgramEnvironment, TpmTools } from "./tpm-tools.js";

/**
 * Signs with the key of this machine.
 * @returns ECDSA with SHA-256, DER.
 * @throws {MezError} `DEVICE_KEY_UNUSABLE`
 */
export async function signWith(key: StoredDeviceKey, statement: Buffer, env: ProgramEnvironment): Promise<Buffer> {
  if (key.kind === "tpm") {
    const blobs = { public: Buffer.from(key.public, "base64"), private: Buffer.from(key.private, "base64") };
    return TpmTools.with(env, (tpm) => tpm.sign(blobs, statement));
  }
  try {
    return sign("sha256", statement, { key: createPrivateKey(key.privateKeyPem), dsaEncoding: "der" });
  } catch (cause) {
    throw new MezError("DEVICE_KEY_UNUSABLE", "the key in the device's file is damaged; enrol this machine again", { cause });
  }
}

/** The connection does not say by whose word its server is the right one, so nothing is signed for it. */
export function serverUnknown(): MezError {
  return new MezError(
    "DEVICE_KEY_UNUSABLE",
    "a device signs only for a server whose certificate the Host CA signed and this side has checked: no --insecure, nothing that ends TLS in between",
  );
}

/** A new key that is kept in a file. */
export function makeFileKey(): { readonly key: StoredDeviceKey; readonly publicKey: Buffer } {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const privateKeyPem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  return { key: { kind: "file", privateKeyPem }, publicKey: publicKeyDer(createPublicKey(privateKey)) };
}
