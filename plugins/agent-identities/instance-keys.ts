import { createHash, createPublicKey } from "node:crypto";
import { MezError } from "../../core/errors/error.js";
import { parsePublicKey } from "../../core/ssh/public-key.js";

/** The public keys of an instance, as it sends them to be certified. */
export interface InstanceKeys {
  /** SSH wire form, Ed25519. */
  readonly sshPublicKey: Buffer;
  /** SubjectPublicKeyInfo, DER, ECDSA P-256. */
  readonly x509PublicKey: Buffer;
}

/**
 * Checks keys that a machine sent.
 * @throws {MezError} `INVALID_ARGUMENT`
 */
export function parseInstanceKeys(keys: InstanceKeys): InstanceKeys {
  const ssh = read(() => parsePublicKey(keys.sshPublicKey));
  if (ssh.type !== "ssh-ed25519")
    throw new MezError("INVALID_ARGUMENT", `SSH keys of type ${ssh.type} are not certified here; use ssh-ed25519`);
  const x509 = read(() => createPublicKey({ key: keys.x509PublicKey, format: "der", type: "spki" }));
  if (x509.asymmetricKeyDetails?.namedCurve !== "prime256v1")
    throw new MezError("INVALID_ARGUMENT", "the X.509 key has to be ECDSA P-256");
  return { sshPublicKey: ssh.blob, x509PublicKey: x509.export({ format: "der", type: "spki" }) };
}

/** Names a pair of keys: SHA-256, base64. */
export function keysHashOf({ sshPublicKey, x509PublicKey }: InstanceKeys): string {
  // Both have a form of one length, so that no two pairs read the same.
  return createHash("sha256").update(sshPublicKey).update(x509PublicKey).digest("base64");
}

// --- internal ---

function read<T>(parse: () => T): T {
  try {
    return parse();
  } catch (cause) {
    throw new MezError("INVALID_ARGUMENT", "a key to be certified cannot be read", { cause });
  }
}
