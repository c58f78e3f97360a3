import { formatCertAuthority } from "../../core/ssh/known-hosts.js";

/** The Host CA as a login keeps it, as file contents. */
export interface HostTrust {
  /** Certificates, PEM. */
  readonly hostCaPem: string;
  /** `@cert-authority` lines. */
  readonly knownHosts: string;
}

/**
 * @param sshKeys Wire form.
 * @param certificates PEM.
 */
export function hostTrustOf(clusterName: string, sshKeys: readonly Buffer[], certificates: readonly string[]): HostTrust {
  return {
    hostCaPem: certificates.map((pem) => `${pem.trimEnd()}\n`).join(""),
    knownHosts: sshKeys.map((key) => `${formatCertAuthority(key, ["*"], clusterName)}\n`).join(""),
  };
}
