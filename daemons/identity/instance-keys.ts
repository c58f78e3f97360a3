import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { Secret } from "../../core/plugin/secret.js";
import { formatPrivateKey, generateSshKeyPair, parsePrivateKey } from "../../core/ssh/private-key.js";

/** The keys of an instance. The private halves never leave this machine. */
export interface InstanceKeys {
  /** OpenSSH private key file, Ed25519. */
  readonly sshPrivateKey: Secret;
  /** PKCS #8, PEM, ECDSA P-256. */
  readonly x509PrivateKeyPem: Secret;
  /** SSH wire form. */
  readonly sshPublicKey: Buffer;
  /** SubjectPublicKeyInfo, DER. */
  readonly x509PublicKey: Buffer;
}

/** Makes fresh keys for an instance: Ed25519 for SSH, ECDSA P-256 for TLS. */
export function generateInstanceKeys(): InstanceKeys {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const pem = privateKey.export({ format: "pem", type: "pkcs8" }).toString();
  return restoreInstanceKeys(formatPrivateKey(generateSshKeyPair()), pem);
}

/** Keys from their stored private halves. @throws when one cannot be read */
export function restoreInstanceKeys(sshPrivateKey: string, x509PrivateKeyPem: string): InstanceKeys {
  return {
    sshPrivateKey: new Secret(sshPrivateKey),
    x509PrivateKeyPem: new Secret(x509PrivateKeyPem),
    sshPublicKey: parsePrivateKey(sshPrivateKey).publicKeyBlob,
    x509PublicKey: createPublicKey(createPrivateKey(x509PrivateKeyPem)).export({ format: "der", type: "spki" }),
  };
}
