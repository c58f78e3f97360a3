import { createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import { Secret } from "../../core/plugin/secret.js";
import { formatPrivateKey, generateSshKeyPair, parsePrivateKey } from "../../core/ssh/private-key.js";
import { parsePublicKey } from "../../core/ssh/public-key.js";

/** The public halves of a host's keys, as they are sent to be certified. */
export interface HostPublicKeys {
  /** SSH wire form, Ed25519. */
  readonly sshPublicKey: Buffer;
  /** SubjectPublicKeyInfo, DER, ECDSA P-256. */
  readonly tlsPublicKey: Buffer;
}

/** The keys of a host: one for SSH, one for TLS. They never leave the process or its data directory. */
export interface HostKeys extends HostPublicKeys {
  /** OpenSSH private key file. */
  readonly sshPrivateKey: Secret;
  /** PKCS #8, PEM. */
  readonly tlsPrivateKeyPem: Secret;
}

/** Makes fresh keys for a host: Ed25519 for SSH, ECDSA P-256 for TLS. */
export function generateHostKeys(): HostKeys {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const tlsPrivateKeyPem = new Secret(privateKey.export({ format: "pem", type: "pkcs8" }).toString());
  return restoreHostKeys(new Secret(formatPrivateKey(generateSshKeyPair())), tlsPrivateKeyPem);
}

/** Host keys from their stored private halves. @throws when one cannot be read */
export function restoreHostKeys(sshPrivateKey: Secret, tlsPrivateKeyPem: Secret): HostKeys {
  const tlsPublicKey = createPublicKey(createPrivateKey(tlsPrivateKeyPem.expose())).export({ format: "der", type: "spki" });
  return { sshPrivateKey, tlsPrivateKeyPem, sshPublicKey: parsePrivateKey(sshPrivateKey.expose()).publicKeyBlob, tlsPublicKey };
}

/**
 * Checks keys that an agent sent.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseHostPublicKeys(keys: HostPublicKeys | undefined): HostPublicKeys {
  if (keys === undefined) throw new MezError("INVALID_ARGUMENT", "the request has no keys to certify");
  const ssh = read(() => parsePublicKey(keys.sshPublicKey));
  if (ssh.type !== "ssh-ed25519")
    throw new MezError("INVALID_ARGUMENT", `host keys of type ${ssh.type} are not certified; use ssh-ed25519`);
  const tls = read(() => createPublicKey({ key: keys.tlsPublicKey, format: "der", type: "spki" }));
  if (tls.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new MezError("INVALID_ARGUMENT", "the TLS key of a host must be ECDSA P-256");
  return { sshPublicKey: ssh.blob, tlsPublicKey: tls.export({ format: "der", type: "spki" }) };
}

// --- internal ---

function read<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "a key to be certified cannot be read", { cause });
  }
}
