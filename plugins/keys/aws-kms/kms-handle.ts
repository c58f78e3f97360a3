import type { KeyAlgorithm } from "../../../core/ports/key-backend.js";

/** A key of KMS. */
export interface KmsKey {
  readonly algorithm: KeyAlgorithm;
  readonly arn: string;
  /** Of the ARN. */
  readonly region: string;
}

/** E.g. `ed25519 arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab`. */
export function formatKmsHandle({ algorithm, arn }: Pick<KmsKey, "algorithm" | "arn">): string {
  return `${algorithm} ${arn}`;
}

/** Reads a handle; `null` for anything that `formatKmsHandle` did not write. */
export function parseKmsHandle(handle: string): KmsKey | null {
  const [, algorithm, arn, region] =
    /^(ed25519|ecdsa-p256) (arn:aws[a-z-]*:kms:([a-z0-9-]+):[0-9]{12}:key\/[0-9a-z-]+)$/.exec(handle) ?? [];
  if (arn === undefined || region === undefined) return null;
  return { algorithm: algorithm === "ed25519" ? "ed25519" : "ecdsa-p256", arn, region };
}
