import { parsePublicKey } from "../../core/ssh/public-key.js";
import type { AuthorityType } from "./api.js";

/** The public material of an authority, as `Export` gives it. */
export interface ExportedAuthority {
  readonly clusterName: string;
  /** Wire form in base64. */
  readonly sshPublicKeys: readonly string[];
  readonly certificatesPem: readonly string[];
}

/**
 * Lines for OpenSSH's files: of the User CA for `TrustedUserCAKeys`, of the Host CA for `known_hosts`.
 * @see sshd_config(5), sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT"
 */
export function trustLines(type: AuthorityType, { clusterName, sshPublicKeys }: ExportedAuthority): string {
  const marker = type === "host" ? "@cert-authority * " : "";
  const keyType = (key: string): string => parsePublicKey(Buffer.from(key, "base64")).type;
  return sshPublicKeys.map((key) => `${marker}${keyType(key)} ${key} ${clusterName} ${type} CA\n`).join("");
}

/** The X.509 certificates one after another, for a trust bundle. */
export function trustPem({ certificatesPem }: ExportedAuthority): string {
  return certificatesPem.join("");
}
