import { isIP } from "node:net";
import type { ProcessRole } from "../../core/plugin/contract.js";
import { ROLE_ORGANIZATION_PREFIX } from "../../core/plugin/host-identity.js";
import type { CertificateAuthorities } from "../ca/api.js";
import type { HostPublicKeys } from "./host-keys.js";

/** Whom the certificates are for. */
export interface HostSubject {
  readonly id: string;
  readonly name: string;
  readonly role: ProcessRole;
  /** Host names and IP addresses besides the name. Empty for nodes: only proxies and auth servers are dialled. */
  readonly publicAddresses: readonly string[];
}

/** Both certificates of a host, from the Host CA. */
export interface HostCertificates {
  readonly agentId: string;
  /** Wire form. */
  readonly sshCertificate: Buffer;
  readonly tlsCertificatePem: string;
  /** X.509, lower-case hex. */
  readonly serial: string;
  readonly trustPem: readonly string[];
  /** Of the one that ends first. */
  readonly expiresAt: Date;
}

/** Issues the certificates of hosts. What a host says of itself never gets in, apart from a name that was checked. */
export class HostCertificateIssuer {
  constructor(
    private readonly authorities: CertificateAuthorities,
    private readonly clusterName: string,
    private readonly ttlSeconds: number,
  ) {}

  /** @throws {MezError} `KEY_BACKEND_UNAVAILABLE`, safe to retry */
  async issue(subject: HostSubject, keys: HostPublicKeys): Promise<HostCertificates> {
    const { id, name, role, publicAddresses } = subject;
    const names = [name, `${name}.${this.clusterName}`];
    const isDialled = role === "auth" || role === "proxy";
    const addresses = [...publicAddresses, ...(isDialled ? ["localhost", "127.0.0.1", "::1"] : [])];
    const sshIssued = this.authorities.issueHostCertificate({
      publicKeyBlob: keys.sshPublicKey,
      keyId: name,
      principals: unique([...names, id, ...addresses]),
      ttlSeconds: this.ttlSeconds,
    });
    const tlsIssued = this.authorities.issueHostX509({
      publicKeyDer: keys.tlsPublicKey,
      commonName: name,
      organization: `${ROLE_ORGANIZATION_PREFIX}${role}`,
      dnsNames: unique([...names, ...addresses.filter((address) => isIP(address) === 0)]),
      ipAddresses: unique(addresses.filter((address) => isIP(address) !== 0)),
      uris: [agentUri(this.clusterName, id)],
      ttlSeconds: this.ttlSeconds,
    });
    const [ssh, tls] = await Promise.all([sshIssued, tlsIssued]);
    return {
      agentId: id,
      sshCertificate: ssh.blob,
      tlsCertificatePem: tls.pem,
      serial: tls.serial,
      trustPem: this.authorities.trustBundle("host").certificatesPem,
      expiresAt: new Date(Math.min(ssh.expiresAt.getTime(), tls.expiresAt.getTime())),
    };
  }
}

/** Names an agent in its X.509 certificate. */
export function agentUri(clusterName: string, id: string): string {
  return `mezite://${clusterName}/agent/${id}`;
}

// --- internal ---

function unique(values: readonly string[]): readonly string[] {
  return [...new Set(values)];
}
