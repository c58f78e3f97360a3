import { generateKeyPairSync } from "node:crypto";
import { Secret } from "../../core/plugin/secret.js";
import { formatPublicKey } from "../../core/ssh/authorized-key.js";
import { formatPrivateKey, generateSshKeyPair } from "../../core/ssh/private-key.js";

/** Fresh keys of a login: Ed25519 for SSH, ECDSA P-256 for TLS. */
export interface NewKeys {
  /** Wire form. */
  readonly sshPublicKeyBlob: Buffer;
  readonly sshPublicKey: string;
  readonly sshPrivateKey: Secret;
  /** SubjectPublicKeyInfo, DER. */
  readonly tlsPublicKeyDer: Buffer;
  readonly tlsPrivateKeyPem: Secret;
}

/** @param comment Ends the public key's line, e.g. `alice@prod`. */
export function makeKeys(comment: string): NewKeys {
  const ssh = generateSshKeyPair();
  const tls = generateKeyPairSync("ec", { namedCurve: "P-256" });
  return {
    sshPublicKeyBlob: ssh.publicKeyBlob,
    sshPublicKey: formatPublicKey(ssh.publicKeyBlob, comment),
    sshPrivateKey: new Secret(formatPrivateKey(ssh, comment)),
    tlsPublicKeyDer: tls.publicKey.export({ format: "der", type: "spki" }),
    tlsPrivateKeyPem: new Secret(tls.privateKey.export({ format: "pem", type: "pkcs8" }).toString()),
  };
}
