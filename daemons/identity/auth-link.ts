import { deriveJoinTokenKeys } from "../../core/join/join-token-keys.js";
import { TokenJoinClient } from "../../core/join/token-join-client.js";
import type { RpcConnection } from "../../core/plugin/rpc.js";
import type { Secret } from "../../core/plugin/secret.js";
import { grpcDialer } from "../../core/rpc/client.js";
import {
  CertificateRequest,
  type InstanceCertificates,
  InstanceServiceService,
} from "../../proto/gen/mezite/agent_identities/v1/agent_identities.js";
import type { CertificateSet } from "./certificate-set.js";
import type { InstanceKeys } from "./instance-keys.js";

/** The daemon's calls to the auth service. */
export class AuthLink {
  #open: { readonly set: CertificateSet; readonly connection: RpcConnection } | null = null;

  constructor(private readonly addresses: readonly string[]) {}

  /** Makes an instance with a token, which is proved and not sent. */
  async bootstrap(token: Secret, keys: InstanceKeys, ttlSeconds: number, signal: AbortSignal): Promise<InstanceCertificates> {
    const client = new TokenJoinClient(grpcDialer, { derive: deriveJoinTokenKeys }, { kind: "fingerprint" });
    const attempt = await client.begin({ addresses: this.addresses, token, kind: "identity", signal });
    try {
      const request = Buffer.from(CertificateRequest.encode({ ...publicHalves(keys), ttlSeconds }).finish());
      const proof = Buffer.from(await attempt.prove(request));
      const answer = await attempt.connection
        .client(InstanceServiceService)
        .bootstrapAgentIdentity({ method: attempt.method, proof, request }, { signal });
      // The bundle that was proven, not the one in the answer.
      return { ...answer, trustPem: [...attempt.trustPem] };
    } finally {
      attempt.close();
    }
  }

  /** Under the certificate of `set`. */
  renew(set: CertificateSet, keys: InstanceKeys, ttlSeconds: number, signal: AbortSignal): Promise<InstanceCertificates> {
    return this.connection(set)
      .client(InstanceServiceService)
      .renewAgentIdentity({ ...publicHalves(keys), ttlSeconds }, { signal });
  }

  /** Tells that `set` is in use, so that those before it are refused. */
  async confirm(set: CertificateSet, signal: AbortSignal): Promise<void> {
    await this.connection(set).client(InstanceServiceService).confirmAgentIdentity({}, { signal });
  }

  /** A connection under the certificate of `set`; the one before is closed. */
  connection(set: CertificateSet): RpcConnection {
    if (this.#open?.set !== set) {
      this.#open?.connection.close();
      const connection = grpcDialer.dial({
        addresses: this.addresses,
        trust: { kind: "authorities", certificatesPem: set.trustPem },
        identity: { certificatePem: set.x509CertificatePem, privateKeyPem: set.keys.x509PrivateKeyPem },
      });
      this.#open = { set, connection };
    }
    return this.#open.connection;
  }

  close(): void {
    this.#open?.connection.close();
  }
}

// --- internal ---

function publicHalves({ sshPublicKey, x509PublicKey }: InstanceKeys): { sshPublicKey: Buffer; x509PublicKey: Buffer } {
  return { sshPublicKey, x509PublicKey };
}
