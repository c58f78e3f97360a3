import { MezError } from "../../core/errors/error.js";
import { formatPublicKey } from "../../core/ssh/authorized-key.js";
import type { InstanceCertificates } from "../../proto/gen/mezite/agent_identities/v1/agent_identities.js";
import type { InstanceKeys } from "./instance-keys.js";

/** What one set of certificates is, besides its files. */
export interface SetFacts {
  readonly identity: string;
  readonly instanceId: string;
  readonly generation: number;
  readonly trustPem: readonly string[];
  readonly issuedAt: Date;
  /** By this machine's clock; never later than it is. */
  readonly expiresAt: Date;
  /** Names the token that the instance was made with; not a secret. */
  readonly tokenId: string;
}

/** Keys with their certificates. */
export interface CertificateSet extends SetFacts {
  readonly keys: InstanceKeys;
  /** A line as in an `authorized_keys` file. */
  readonly sshCertificate: string;
  readonly x509CertificatePem: string;
  readonly sshSerial: string;
  readonly knownHosts: string;
}

/** The files of a set, by name. */
export const SET_FILES = ["ssh_key", "ssh_cert", "x509_cert.pem", "x509_key.pem", "cert_serial", "ssh_known_hosts"] as const;

export type SetFile = (typeof SET_FILES)[number];

/** @throws {MezError} `INTERNAL` for an answer that lacks something */
export function certificateSetOf(answer: InstanceCertificates, keys: InstanceKeys, tokenId: string, now: Date): CertificateSet {
  const { identity, instanceId, generation, sshCertificate, sshSerial, x509CertificatePem, knownHosts, trustPem, expiresAt } =
    answer;
  if (expiresAt === undefined || instanceId === "" || sshCertificate.length === 0 || x509CertificatePem === "")
    throw new MezError("INTERNAL", "the auth service sent certificates that are not complete");
  return {
    ...{ identity, instanceId, generation, trustPem, tokenId, keys, sshSerial, x509CertificatePem, knownHosts },
    sshCertificate: `${formatPublicKey(sshCertificate, `identity/${identity}`).trimEnd()}\n`,
    issuedAt: now,
    // A clock that is behind would see the end too late; an answer that was lost before is older than now.
    expiresAt: new Date(Math.min(expiresAt.getTime(), now.getTime() + answer.ttlSeconds * 1000)),
  };
}

/** What stands in each file. */
export function contentOf(set: CertificateSet): Readonly<Record<SetFile, string>> {
  return {
    ssh_key: set.keys.sshPrivateKey.expose(),
    ssh_cert: set.sshCertificate,
    "x509_cert.pem": set.x509CertificatePem,
    "x509_key.pem": set.keys.x509PrivateKeyPem.expose(),
    cert_serial: `${set.sshSerial}\n`,
    ssh_known_hosts: set.knownHosts,
  };
}
