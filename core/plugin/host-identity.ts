import type { ProcessRole, ServiceToken } from "./contract.js";
import type { RpcConnection } from "./rpc.js";
import type { Secret } from "./secret.js";

/** The organization (O) of an X.509 host certificate is this and the process role: what the holder is, by the word of the Host CA. */
export const ROLE_ORGANIZATION_PREFIX = "mezite:role:";

/** What a process of the cluster shows to others: an X.509 leaf for TLS and an SSH host certificate, both from the Host CA. */
export interface HostCredentials {
  /** Node name or host name, e.g. `web-01`. */
  readonly name: string;
  /** UUID of the agent record. */
  readonly id: string;
  readonly role: ProcessRole;
  readonly certificatePem: string;
  readonly privateKeyPem: Secret;
  /** X.509 certificates of the Host CA that peers are checked against. */
  readonly trustPem: readonly string[];
  /** OpenSSH private key file (Ed25519). */
  readonly sshPrivateKey: Secret;
  /** Wire form of the SSH host certificate. */
  readonly sshCertificate: Buffer;
  readonly expiresAt: Date;
}

/** The current credentials of one role of this process; replaced before they expire and when a CA rotates. */
export interface HostIdentity {
  readonly role: ProcessRole;
  current(): HostCredentials;
  onChange(listener: (credentials: HostCredentials) => void): () => void;
  /** A connection to the auth service under this identity; follows replacements by itself. */
  connection(): RpcConnection;
}

export interface HostIdentities {
  /** @throws {MezError} `UNAVAILABLE` before the process has joined the cluster. */
  of(role: ProcessRole): HostIdentity;
}

/** Provided by the plugin that runs the join; the core serves gRPC with it. */
export const HOST_IDENTITIES: ServiceToken<HostIdentities> = { id: "host-identities", version: 1 };
