import { randomUUID } from "node:crypto";
import { formatCertAuthority } from "../../core/ssh/known-hosts.js";
import type { CertificateAuthorities } from "../ca/api.js";
import type { Access } from "../roles/api.js";
import { type AgentIdentity, instanceUri, machineNameOf } from "./agent-identity.js";
import type { InstanceKeys } from "./instance-keys.js";
import { grantInstanceTtl } from "./instance-ttl.js";

/** A set of certificates from the User CA, and what its holder has to trust. JSON. */
export interface InstanceCertificates {
  readonly identity: string;
  readonly instanceId: string;
  readonly generation: number;
  /** Wire form, base64. */
  readonly sshCertificate: string;
  /** Decimal. */
  readonly sshSerial: string;
  readonly x509CertificatePem: string;
  /** Lines of a known_hosts file. */
  readonly knownHosts: string;
  readonly trustPem: readonly string[];
  /** Of the one that ends first. */
  readonly expiresAt: string;
  readonly ttlSeconds: number;
  /** Why they live shorter than what was asked for; empty when they do not. */
  readonly notice: string;
}

/** Issues the certificates of instances. What they say comes from the identity alone. */
export class InstanceCertificateIssuer {
  constructor(
    private readonly authorities: CertificateAuthorities,
    private readonly access: Access,
    private readonly clusterName: string,
  ) {}

  /**
   * @param requestedTtlSeconds 0 for the default.
   * @throws {MezError} `KEY_BACKEND_UNAVAILABLE`, safe to retry; `INVALID_ARGUMENT`
   */
  async issue(
    { name, roles }: AgentIdentity,
    { instanceId, generation }: { readonly instanceId: string; readonly generation: number },
    keys: InstanceKeys,
    requestedTtlSeconds: number,
  ): Promise<InstanceCertificates> {
    const machine = machineNameOf(name);
    const options = this.access.sessionOptions({ user: machine, roles });
    const logins = this.access.logins({ user: machine, roles });
    const { ttlSeconds, notice } = grantInstanceTtl(requestedTtlSeconds, options.maxSessionTtlSeconds);
    const sshIssued = this.authorities.issueUserCertificate({
      publicKeyBlob: keys.sshPublicKey,
      keyId: machine,
      // OpenSSH takes an empty list of principals for "any login".
      principals: logins.length > 0 ? logins.slice(0, MAX_PRINCIPALS) : [`-mezite-no-login-${randomUUID()}`],
      ttlSeconds,
      extensions: {
        "permit-pty": "",
        ...(options.portForwarding ? { "permit-port-forwarding": "" } : {}),
        "kind@mezite": "agent_identity",
        "roles@mezite": JSON.stringify(roles),
        "instance@mezite": instanceId,
        "generation@mezite": String(generation),
      },
    });
    const uri = instanceUri(this.clusterName, name, instanceId);
    const x509Issued = this.authorities.issueUserX509({
      publicKeyDer: keys.x509PublicKey,
      commonName: machine,
      organization: "mezite:agent-identity",
      uris: [uri, `${uri}/${generation}`],
      ttlSeconds,
    });
    const [ssh, x509] = await Promise.all([sshIssued, x509Issued]);
    const host = this.authorities.trustBundle("host");
    const lines = host.sshPublicKeys.map((key) =>
      formatCertAuthority(Buffer.from(key, "base64"), ["*"], `${this.clusterName} host CA`),
    );
    return {
      ...{ identity: name, instanceId, generation, ttlSeconds, notice },
      sshCertificate: ssh.blob.toString("base64"),
      sshSerial: ssh.serial,
      x509CertificatePem: x509.pem,
      knownHosts: lines.map((line) => `${line.trimEnd()}\n`).join(""),
      trustPem: host.certificatesPem,
      expiresAt: new Date(Math.min(ssh.expiresAt.getTime(), x509.expiresAt.getTime())).toISOString(),
    };
  }
}

// --- internal ---

const MAX_PRINCIPALS = 256; // OpenSSH refuses more: SSHKEY_CERT_MAX_PRINCIPALS
